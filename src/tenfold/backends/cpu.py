"""The CPU."""


def get_cpu_capability() -> str:
    """What the interpreter uses of the CPU is NumPy's choice."""
    return "DEFAULT"
