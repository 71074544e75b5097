"""Memory shared with NumPy: one storage for each owner of memory, so that two tensors on the same array alias."""

from __future__ import annotations

import weakref

import numpy as np

from ..ir.dtypes import from_numpy as dtype_of
from ..ir.shapes import layout, size
from ..trace.handle import Storage, Tensor, placed

_known: dict[int, tuple[weakref.ref, weakref.ref]] = {}  # id of the owner -> (owner, storage)


def owner_of(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def share(array: np.ndarray) -> Tensor:
    """A tensor on an array's memory; TypeError or ValueError where that cannot be."""
    d = dtype_of(array.dtype)
    if array.dtype.byteorder not in ("=", "|") and array.dtype != array.dtype.newbyteorder("="):
        raise ValueError("given numpy array has byte order different from the native byte order. Conversion between byte orders is currently not supported.")
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently supported. (You can probably work around this by making a copy of your array with array.copy().)"
        )
    if any(s % array.itemsize for s in array.strides):
        raise ValueError("given numpy array strides not a multiple of the element byte size. Copy array to reallocate the memory.")
    if not array.flags.writeable:
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means writing to this tensor will result in undefined behavior; tenfold copies it instead.",
            UserWarning,
            stacklevel=3,
        )
        array = array.copy()
    strides = tuple(s // array.itemsize for s in array.strides)
    lay = layout(size(array.shape), None if array.flags.c_contiguous else strides, d)
    if array.size == 0:
        return placed(Storage(np.empty(0, array.dtype)), lay)
    owner = owner_of(array)
    if owner.dtype == array.dtype and (owner.flags.c_contiguous or owner.flags.f_contiguous):
        st = storage_of(owner)
        offset = (array.ctypes.data - owner.ctypes.data) // array.itemsize
        return placed(st, lay, offset)
    low = np.ndarray((lay.extent,), array.dtype, array, 0) if array.flags.c_contiguous else np.lib.stride_tricks.as_strided(array, (lay.extent,), (array.itemsize,))
    st = Storage(low)
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
