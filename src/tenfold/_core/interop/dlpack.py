"""Memory shared with other libraries by the DLPack protocol, through NumPy, which speaks it.

Source: the DLPack standard, and the Python array API standard for `__dlpack__`."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

CPU = (1, 0)  # kind and number of the device, as DLPack numbers them
_valid = ctypes.pythonapi.PyCapsule_IsValid
_valid.restype = ctypes.c_int
_valid.argtypes = [ctypes.py_object, ctypes.c_char_p]


class _Producer:
    """A capsule as an object that has `__dlpack__`."""

    def __init__(self, capsule: Any):
        self.capsule = capsule

    def __dlpack__(self, **options) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return CPU


class _Writable:
    """The memory of an array, without the mark that it must not be written to."""

    def __init__(self, array: np.ndarray):
        described = dict(array.__array_interface__)
        described["data"] = (array.ctypes.data, False)
        self.array = array
        self.__array_interface__ = described


def is_capsule(x: Any) -> bool:
    return type(x).__name__ == "PyCapsule"


def from_capsule(capsule: Any) -> np.ndarray:
    """An array on the memory that a capsule describes, which is used up by it."""
    old = _valid(capsule, b"dltensor") == 1
    if not old and _valid(capsule, b"dltensor_versioned") != 1:
        raise RuntimeError(
            "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you might"
            " have already constructed a tensor from it once."
        )
    array = np.from_dlpack(_Producer(capsule))
    if old and not array.flags.writeable:  # the older protocol does not tell; NumPy then forbids writing
        array = np.asarray(_Writable(array))
    return array


def from_producer(x: Any) -> np.ndarray:
    """An array on the memory of an object that has `__dlpack__`."""
    device = tuple(int(n) for n in x.__dlpack_device__())
    if device[0] != CPU[0]:
        raise BufferError(
            f"from_dlpack: the array is on a device of kind {device[0]}, and tenfold has only the CPU's memory"
        )
    try:
        capsule = x.__dlpack__(max_version=(1, 0))
    except TypeError:
        capsule = x.__dlpack__()
    return from_capsule(capsule)


def to_capsule(array: np.ndarray, max_version: tuple[int, int] | None) -> Any:
    """A capsule on an array's memory, of the newer kind where the consumer knows it."""
    if max_version is not None and max_version[0] >= 1:
        try:
            return array.__dlpack__(max_version=max_version)
        except TypeError:  # NumPy before 2.1
            pass
    return array.__dlpack__()
