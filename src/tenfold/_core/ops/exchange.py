"""Tensors on the memory of others: NumPy arrays, buffers, and whatever speaks DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..interop import dlpack
from ..interop.numpy import share
from ..ir.dtypes import dtype as dtype_class
from ..ir.dtypes import get_default_dtype
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of, placed, requires_grad
from ..trace.walk import detach, place
from .creation import chosen, mark, tensor
from .declare import function
from .devices import device_name


@function(where="torch")
def from_numpy(ndarray):
    """A tensor on the memory of a NumPy array: writes on either side are seen on the other."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    return share(ndarray)


@function(where="torch")
def as_tensor(data, dtype=None, device=None):
    """data as a tensor: itself where it is one of that dtype and device, the same memory for arrays, else a copy."""
    dtype = chosen("as_tensor", dtype)
    if isinstance(data, Tensor):
        return data.to(device=device, dtype=dtype)
    if isinstance(data, np.ndarray):
        return share(data).to(device=device, dtype=dtype)
    return tensor(data, dtype=dtype, device=device)


@function(where="torch")
def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """obj as a tensor: a tensor, a NumPy array, what speaks DLPack, a buffer, a number or nested sequences of numbers.

    Args:
        copy: True: always a copy; False: never, and ValueError where there must be one. Default None: if it must be.
        requires_grad: whether the result requires grad. Default False: as obj."""
    dtype = chosen("asarray", dtype)
    t, own = _alias(obj, dtype, copy)
    have = layout_of(t)
    where = have.device if device is None else device_name(device)
    wanted = dtype or have.dtype
    if where != have.device or wanted is not have.dtype:
        if copy is False and where != have.device:
            raise ValueError(f"can't alias tensor from device '{have.device}' to '{where}'.")
        if copy is False:
            raise ValueError(f"can't alias tensor with dtype '{have.dtype}' into dtype '{wanted}'.")
        t = t.to(device=where, dtype=wanted)
    elif copy and not own:
        t = t.clone()
    return mark(t, True) if requires_grad and not t.requires_grad else t


def _alias(obj: Any, d: dtype_class | None, copy) -> tuple[Tensor, bool]:
    """A tensor on the memory of obj where that can be, and whether it is a copy instead."""
    if isinstance(obj, Tensor):
        return obj, False
    if isinstance(obj, np.ndarray):
        return share(obj), False
    if isinstance(obj, np.generic):
        return tensor(obj), True
    if hasattr(obj, "__dlpack__") and hasattr(obj, "__dlpack_device__"):
        return from_dlpack(obj), False
    if _is_buffer(obj):
        return frombuffer(obj, dtype=d or get_default_dtype()), False
    if copy is False:
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    return tensor(obj, dtype=d), True


def _is_buffer(obj: Any) -> bool:
    try:
        memoryview(obj)
    except TypeError:
        return False
    return True


@function(where="torch")
def frombuffer(buffer, *, dtype=None, count=-1, offset=0, requires_grad=False):
    """A vector on the memory of a buffer (bytearray, mmap, array ...).

    Args:
        dtype: of the elements, which lie one after the other.
        count: how many; default -1: all there are.
        offset: how many bytes come before them. Default 0."""
    if dtype is None:
        raise TypeError('frombuffer() missing 1 required positional arguments: "dtype"')
    d = chosen("frombuffer", dtype)
    try:
        memory = memoryview(buffer)
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    count = _checked_count(memory.nbytes, d, count, offset)
    array = np.frombuffer(buffer, d.np, count, offset)
    t = share(array)
    if d.half and layout_of(t).dtype is not d:  # bfloat16 in the memory of NumPy's uint16
        st = place(t)
        st.name = d.name
        t = placed(st, _with_dtype(layout_of(t), d), t._off)
    return mark(t, requires_grad)


def _with_dtype(lay, d: dtype_class):
    from ..ir.shapes import layout

    return layout(lay.shape, lay.strides, d, lay.device)


def _checked_count(length: int, d: dtype_class, count: int, offset: int) -> int:
    """How many elements there shall be; ValueError where the buffer does not have them."""
    if length == 0 or count == 0:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({length} bytes) minus 1"
        )
    rest = length - offset
    if count < 0:
        if rest % d.itemsize:
            raise ValueError(
                f"buffer length ({rest} bytes) after offset ({offset} bytes) must be a multiple of element size ({d.itemsize})"
            )
        return rest // d.itemsize
    if count * d.itemsize > rest:
        raise ValueError(
            f"requested buffer length ({count} * {d.itemsize} bytes) after offset ({offset} bytes) must not be greater than"
            f" actual buffer length ({length} bytes)"
        )
    return count


# --- DLPack ---------------------------------------------------------------------------------------


@function(where="torch")
def from_dlpack(ext_tensor, *, device=None, copy=None):
    """A tensor on the memory of another library's array.

    Args:
        ext_tensor: an object with `__dlpack__`, or a capsule, which can be used once.
        device: where the tensor shall be. Default None: where the array is.
        copy: True: always copy; False: never. Default None: only if it must."""
    where = None if device is None else device_name(device)
    if isinstance(ext_tensor, Tensor):
        t = _sharing(ext_tensor)
    elif hasattr(ext_tensor, "__dlpack__"):
        t = share(dlpack.from_producer(ext_tensor))
    elif dlpack.is_capsule(ext_tensor):
        t = share(dlpack.from_capsule(ext_tensor))
    else:
        raise RuntimeError(
            f"from_dlpack received an invalid capsule: {type(ext_tensor).__name__} is no capsule and has no __dlpack__"
        )
    if where is not None and where != layout_of(t).device:
        if copy is False:
            raise ValueError(f"cannot move from_dlpack's tensor from cpu to {where} without copying, and copy=False")
        return t.to(device=where)
    return t.clone() if copy else t


def _check_exportable(t: Tensor) -> None:
    if requires_grad(t):
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if layout_of(t).device == "meta":
        raise BufferError("Cannot pack tensors on meta: they have shapes only")


def _sharing(t: Tensor) -> Tensor:
    """Another tensor on the same memory."""
    _check_exportable(t)
    return detach(t)


@function(where="Tensor")
def __dlpack__(self, *, stream=-1, max_version=None, dl_device=None, copy=None):
    """A DLPack capsule on its memory, which one consumer may take.

    Args: stream: None or -1 on the CPU; max_version: the newest protocol that the consumer knows; copy: of a copy."""
    _check_exportable(self)
    if dl_device is not None and int(dl_device[0]) != dlpack.CPU[0]:
        raise BufferError(f"__dlpack__: tenfold has the CPU's memory only, not a device of kind {int(dl_device[0])}")
    if stream not in (None, -1):
        raise AssertionError("stream should be None on cpu.")
    if layout_of(self).dtype.name == "bfloat16":
        raise BufferError("__dlpack__: NumPy, which makes the capsules, has no bfloat16; export tensor.float() instead")
    if copy:
        self = self.clone()
    st = place(self)
    array = array_of(self)
    st.exported = True
    return dlpack.to_capsule(array, max_version)


@function(where="torch")
def to_dlpack(tensor):
    """A DLPack capsule on the tensor's memory, which one consumer may take."""
    return tensor.__dlpack__()


@function(where="Tensor")
def __dlpack_device__(self):
    """The device as DLPack numbers it: (1, 0), the CPU."""
    return dlpack.CPU
