"""Memory shared with others: NumPy, DLPack."""
