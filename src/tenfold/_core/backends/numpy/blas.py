"""The threads of NumPy's own BLAS, with which the interpreter multiplies matrices.

NumPy has no public way to set them. Its wheels bring OpenBLAS along, whose setter is called where it is found; other builds
of NumPy keep their own number."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import numpy as np

SETTERS = ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads")


@functools.cache
def _setter():
    """OpenBLAS's function, or None."""
    folder = Path(np.__file__).parent
    for place in (folder.parent / "numpy.libs", folder / ".dylibs"):
        for file in sorted(place.glob("*openblas*")) if place.is_dir() else ():
            try:
                library = ctypes.CDLL(str(file))  # the one that NumPy has loaded
            except OSError:
                continue
            for name in SETTERS:
                if hasattr(library, name):
                    return getattr(library, name)
    return None


def set_threads(n: int) -> bool:
    """How many threads products of matrices use. Returns whether it could be said."""
    found = _setter()
    if found is None:
        return False
    found(ctypes.c_int(n))
    return True
