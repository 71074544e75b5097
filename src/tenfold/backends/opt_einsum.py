"""The package opt_einsum is not used: `einsum` contracts its operands from left to right."""

enabled = False
strategy = None


def is_available() -> bool:
    """False."""
    return False
