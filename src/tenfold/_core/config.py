"""Settings that come from the environment, in one table."""

import os


def _flag(name: str, default: str = "0") -> bool:
    return os.environ.get(name, default).lower() not in ("", "0", "false", "no")


def _count(name: str) -> int:
    """A positive number, or 0 where none is given."""
    text = os.environ.get(name, "").strip()
    return int(text) if text.isdecimal() else 0


EAGER = _flag("TENFOLD_EAGER")  # compute every operation when it is called, for debugging
EXPLAIN = _flag("TENFOLD_EXPLAIN")  # print at the end which paths ran, how often and how long
MAX_NODES = int(os.environ.get("TENFOLD_MAX_NODES", "200000"))  # nodes that one thread's tree keeps
MAX_WALK = int(os.environ.get("TENFOLD_MAX_WALK", "2000"))  # edges after which a walk looks for a place to end
MAX_PLAIN_WALK = int(os.environ.get("TENFOLD_MAX_PLAIN_WALK", "128"))  # the same, of a walk that began under no_grad
MAX_PENDING = int(os.environ.get("TENFOLD_MAX_PENDING", str(1 << 30)))  # bytes of results that a walk may hold back
CACHE = os.environ.get("TENFOLD_CACHE", "")  # folder of compiled kernels; "0": none; "ro:FOLDER": only read
COMPILE = _flag("TENFOLD_COMPILE", "1")  # whether paths that come back are compiled
VERIFY = _flag("TENFOLD_VERIFY")  # the compiler checks what it makes, and its mistakes are raised
COMPILE_AT_DEFAULT = int(os.environ.get("TENFOLD_COMPILE_AT", "8"))
COMPILE_AT = COMPILE_AT_DEFAULT  # the visit of a path from which the compiled program runs
MAX_SPECS = int(os.environ.get("TENFOLD_MAX_SPECS", "100000"))  # remembered (operation, layouts, static arguments)
THREADS = _count("TENFOLD_THREADS")  # that a program may run on, also beyond the cores; 0: as many as there are cores,
OPENMP_THREADS = _count("OMP_NUM_THREADS") or _count("MKL_NUM_THREADS")  # or fewer where these say so, as in PyTorch
NATIVE = _flag("TENFOLD_NATIVE", "1")  # whether the recorder becomes machine code, once there is a compiled program
