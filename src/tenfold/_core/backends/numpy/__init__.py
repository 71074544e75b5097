"""The reference backend: one primitive after the other, with NumPy."""
