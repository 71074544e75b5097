"""NumPy's own BLAS, with which the interpreter multiplies matrices, and its threads.

Each of OpenBLAS's products waits for all of its threads. Where another process has one of the cores, that takes until the
core is given back, some milliseconds, for a product that one thread does in a tenth of one. So products run on one
thread, but for those that take long enough alone for such a wait to matter little.

NumPy has no public way to set the threads. Its wheels bring OpenBLAS along, whose functions are called where they are
found; other builds of NumPy keep their own number."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

NAMES = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads", "openblas_{}_num_threads")
ALONE_FROM = 1 << 18  # products of numbers in a product of matrices; OpenBLAS itself uses one thread below
ALONE_UNTIL = 1 << 29  # some 10 ms of one core


@functools.cache
def _functions():
    """OpenBLAS's own setter and getter of its threads, or None."""
    folder = Path(np.__file__).parent
    for place in (folder.parent / "numpy.libs", folder / ".dylibs"):
        for file in sorted(place.glob("*openblas*")) if place.is_dir() else ():
            try:
                library = ctypes.CDLL(str(file))  # the one that NumPy has loaded
            except OSError:
                continue
            for name in NAMES:
                if hasattr(library, name.format("set")) and hasattr(library, name.format("get")):
                    return getattr(library, name.format("set")), getattr(library, name.format("get"))
    return None


class _Alone:
    """How many callers run their products on one thread, and how many threads there were before."""

    lock = threading.Lock()
    callers = 0
    before = 1


def set_threads(n: int) -> bool:
    """How many threads products of matrices use. Returns whether it could be said."""
    found = _functions()
    if found is None:
        return False
    with _Alone.lock:
        _Alone.before = n
        if not _Alone.callers:
            found[0](ctypes.c_int(n))
    return True


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Within it, products of matrices use one thread."""
    found = _functions()
    if found is None:
        yield
        return
    setter, getter = found
    with _Alone.lock:
        if not _Alone.callers:
            _Alone.before = getter()
            setter(ctypes.c_int(1))
        _Alone.callers += 1
    try:
        yield
    finally:
        with _Alone.lock:
            _Alone.callers -= 1
            if not _Alone.callers:
                setter(ctypes.c_int(_Alone.before))


def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """np.matmul, on one thread unless the product is large."""
    work = a.shape[-1] * b.shape[-1] * (a.shape[-2] if a.ndim > 1 else 1)
    if ALONE_FROM <= work < ALONE_UNTIL:
        with one_thread():
            return np.matmul(a, b, out=out)
    return np.matmul(a, b, out=out)
