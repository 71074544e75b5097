"""Other dtypes, other devices; writing whole tensors."""

from __future__ import annotations

from ..ir import dtypes
from ..ir.dtypes import dtype as dtype_class
from ..ir.shapes import layout
from ..ir.special import CAST
from ..trace.handle import Tensor, layout_of, tls
from ..trace.walk import check_writable
from .creation import filled, tensor
from .declare import PUBLIC, function, meta_tensor, overwrite
from .devices import device, device_name
from .shape import clone, format_kind


@function(where="Tensor")
def to(self, *args, **kwargs):
    """The tensor with another dtype or on another device; itself where nothing changes.

    Args: a dtype, a device, both, or another tensor to be like; copy=True always copies; non_blocking has no effect."""
    d, where, copy, fmt = None, None, kwargs.get("copy", False), kwargs.get("memory_format")
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
        d, where = layout_of(other).dtype, layout_of(other).device
    elif rest and isinstance(rest[0], dtype_class):
        d = rest.pop(0)
    elif rest and (rest[0] is None or isinstance(rest[0], (str, int, device)) and not isinstance(rest[0], bool)):
        where = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], dtype_class)):
            d = rest.pop(0)
    elif rest and not isinstance(rest[0], bool):
        raise TypeError(f"to() received an invalid combination of arguments: the first is a dtype, a device or a tensor, not {type(rest[0]).__name__}")
    if len(rest) > 1:
        copy = rest[1]
    d = kwargs.get("dtype", d) if kwargs.get("dtype") is not None else d
    where = kwargs.get("device", where) if kwargs.get("device") is not None else where
    if isinstance(kwargs.get("other"), Tensor):
        d, where = layout_of(kwargs["other"]).dtype, layout_of(kwargs["other"]).device
    lay = layout_of(self)
    name = lay.device if where is None else device_name(where)
    if name != lay.device:
        if name == "cpu":
            raise NotImplementedError("Cannot copy out of meta tensor; no data! Use to_empty() or make the tensor on the CPU.")
        return meta_tensor(layout(lay.shape, lay.strides, d or lay.dtype, "meta"))
    if (d is None or d is lay.dtype) and not copy:
        if fmt is None or format_kind(fmt) == "preserve":
            return self
        return self.contiguous(memory_format=fmt)
    if d is None or d is lay.dtype:
        return clone(self, memory_format=fmt)
    out = CAST.call(self, d)
    return out if fmt is None or format_kind(fmt) == "preserve" else out.contiguous(memory_format=fmt)


def _cast(name: str, d: dtype_class):
    def method(self, memory_format=None):
        return to(self, d)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"The tensor as {d}; itself where it is."
    function(method, where="Tensor")


for _name, _d in (
    ("float", dtypes.float32), ("double", dtypes.float64), ("half", dtypes.float16), ("bfloat16", dtypes.bfloat16), ("long", dtypes.int64),
    ("int", dtypes.int32), ("short", dtypes.int16), ("char", dtypes.int8), ("byte", dtypes.uint8), ("bool", dtypes.bool_),
    ("cfloat", dtypes.complex64), ("cdouble", dtypes.complex128),
):  # fmt: skip
    _cast(_name, _d)


@function(where="Tensor")
def copy_(self, src, non_blocking=False):
    """Writes the elements of src (broadcast, converted) into the tensor."""
    if not isinstance(src, Tensor):
        src = tensor(src, dtype=layout_of(self).dtype)
    check_writable(self, tls.walk)
    lay = layout_of(self)
    if layout_of(src).shape != lay.shape:
        src = src.expand(lay.shape)
    if layout_of(src).strides != lay.strides or src._st is not None:
        src = clone(src)
    return overwrite(self, src)


@function(where="Tensor")
def fill_(self, value):
    """Writes one value (a number or a 0-d tensor) everywhere."""
    if isinstance(value, Tensor):
        if layout_of(value).ndim:
            raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {layout_of(value).ndim} dimensions.")
        return copy_(self, value)
    return overwrite_filled(self, value)


def overwrite_filled(t: Tensor, value) -> Tensor:
    check_writable(t, tls.walk)
    lay = layout_of(t)
    if isinstance(value, complex) and not lay.dtype.is_complex:
        raise RuntimeError("value cannot be converted to type float without overflow: a complex number does not fit in a real tensor")
    return overwrite(t, filled(lay.shape, value, lay.dtype, lay.device))


@function(where="torch Tensor")
def zero_(input):
    """Writes zeros everywhere."""
    return overwrite_filled(input, 0)


# --- what kind of numbers ------------------------------------------------------------------------------------------------------


@function
def is_floating_point(input) -> bool:
    """Whether the dtype is a floating-point one."""
    return layout_of(input).dtype.is_floating_point


@function
def is_complex(input) -> bool:
    """Whether the dtype is complex."""
    return layout_of(input).dtype.is_complex


@function
def is_signed(input) -> bool:
    """Whether the dtype has negative numbers."""
    return layout_of(input).dtype.is_signed


@function
def type_as(self, other):
    """The tensor with the dtype of another."""
    return to(self, layout_of(other).dtype)


PUBLIC["torch"].pop("type_as", None)


@function(where="Tensor")
def cpu(self, memory_format=None):
    """The tensor on the CPU: itself."""
    return to(self, "cpu")


@function(where="Tensor")
def cuda(self, device=None, non_blocking=False, memory_format=None):
    """There is no GPU backend yet: raises as PyTorch without CUDA."""
    return to(self, "cuda")


def _number(self):
    n = layout_of(self).numel
    if n != 1:
        raise RuntimeError(f"a Tensor with {n} elements cannot be converted to Scalar")
    return self.item()


@function(where="Tensor")
def __float__(self) -> float:
    return float(_number(self))


@function(where="Tensor")
def __int__(self) -> int:
    return int(_number(self))


@function(where="Tensor")
def __complex__(self) -> complex:
    return complex(_number(self))


@function(where="Tensor")
def __index__(self) -> int:
    if layout_of(self).numel != 1 or layout_of(self).dtype.category > 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(self.item())
