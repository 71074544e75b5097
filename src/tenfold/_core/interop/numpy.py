"""Memory shared with NumPy: one storage for each owner of memory, so that two tensors on the same array alias."""

from __future__ import annotations

import warnings
import weakref

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..ir.dtypes import from_numpy as dtype_of
from ..ir.shapes import layout, size
from ..trace.handle import Storage, Tensor, placed

_known: dict[int, tuple[weakref.ref, weakref.ref]] = {}  # id of the owner -> (owner, storage)


def owner_of(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def check_array(array: np.ndarray) -> None:
    """Raises where a tensor cannot have an array's elements: another byte order, negative strides, odd strides."""
    if array.dtype.byteorder not in ("=", "|") and array.dtype != array.dtype.newbyteorder("="):
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is"
            " currently not supported: give array.astype(array.dtype.newbyteorder('='))."
        )
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently"
            f" supported: the strides are {array.strides}. Give array.copy() instead."
        )
    if any(s % array.itemsize for s in array.strides):
        raise ValueError(
            f"given numpy array strides not a multiple of the element byte size: strides {array.strides}, elements of"
            f" {array.itemsize} bytes. Copy the numpy array to reallocate the memory."
        )


def copied(array: np.ndarray) -> np.ndarray:
    """A writable array with the same elements and strides."""
    if array.size == 0:
        return array.copy()
    extent = 1 + sum((n - 1) * s for n, s in zip(array.shape, array.strides)) // array.itemsize
    memory = as_strided(array, (extent,), (array.itemsize,)).copy()
    return as_strided(memory, array.shape, array.strides)


def share(array: np.ndarray) -> Tensor:
    """A tensor on an array's memory; TypeError or ValueError where that cannot be."""
    d = dtype_of(array.dtype)
    check_array(array)
    if not array.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable, and tensors can be written to: tenfold copies it, so that neither"
            " sees what is written to the other. Give a writable array to share its memory.",
            UserWarning,
            stacklevel=3,
        )
        array = copied(array)
    strides = tuple([s // array.itemsize for s in array.strides])
    lay = layout(size(array.shape), strides, d)
    if array.size == 0:
        return placed(Storage(np.empty(0, array.dtype)), lay)
    owner = owner_of(array)
    apart = array.ctypes.data - owner.ctypes.data
    dense = owner.flags.c_contiguous or owner.flags.f_contiguous
    if owner.dtype == array.dtype and dense and owner.flags.writeable and apart % array.itemsize == 0:
        return placed(storage_of(owner), lay, apart // array.itemsize)
    st = Storage(as_strided(array, (lay.extent,), (array.itemsize,)))
    st.exported = True
    return placed(st, lay)


def storage_of(owner: np.ndarray) -> Storage:
    """The storage of all of an array's memory: the one there is, or a new one."""
    found = _known.get(id(owner))
    if found is not None and found[0]() is owner:
        st = found[1]()
        if st is not None and st.exported:
            st.shared = True
            return st
    flat = owner.reshape(-1, order="C" if owner.flags.c_contiguous else "F")
    st = Storage(flat)
    st.exported = True
    key = id(owner)
    _known[key] = (weakref.ref(owner, lambda _: _known.pop(key, None)), weakref.ref(st))
    return st
