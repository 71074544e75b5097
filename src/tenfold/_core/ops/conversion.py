"""Other dtypes, other devices; single elements as Python numbers; writing whole tensors."""

from __future__ import annotations

import math

from ..ir import dtypes
from ..ir.dtypes import BOOL, COMPLEX, FLOAT, INT
from ..ir.dtypes import dtype as dtype_class
from ..ir.shapes import broadcast_shapes, layout, number
from ..ir.special import CAST
from ..trace.flush import element
from ..trace.handle import Tensor, layout_of, tls
from ..trace.walk import check_writable
from . import declare
from .calling import meta_tensor, python_number
from .creation import filled, tensor
from .declare import function, overwrite, promoted, publish, store_out
from .devices import device, device_name
from .shape import channels_last_strides, clone, format_kind

# --- dtypes and devices --------------------------------------------------------------------------------------


def _to_arguments(args: tuple, kwargs: dict) -> tuple:
    """(dtype, device, copy, memory_format) of the three forms of `to`: (dtype), (device, dtype) and (other)."""
    rest = list(args)
    d = where = None
    if rest and isinstance(rest[0], Tensor) or "other" in kwargs:
        other = rest.pop(0) if rest else kwargs["other"]
        if not isinstance(other, Tensor):
            raise TypeError(f"to(): argument 'other' must be Tensor, not {type(other).__name__}")
        d, where = layout_of(other).dtype, layout_of(other).device
    elif rest and isinstance(rest[0], dtype_class):
        d = rest.pop(0)
        if "device" in kwargs and rest and isinstance(rest[0], dtype_class):
            raise TypeError("to() received an invalid combination of arguments: two dtypes")
    elif rest and not isinstance(rest[0], bool):
        if not (rest[0] is None or isinstance(rest[0], (str, int, device))):
            kind = type(rest[0]).__name__
            raise TypeError(
                "to() received an invalid combination of arguments: the first is a dtype, a device or a tensor, "
                f"not {kind}"
            )
        where = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], dtype_class)):
            d = rest.pop(0)
    if len(rest) > 2 or any(not isinstance(x, bool) for x in rest):
        raise TypeError(
            f"to() received an invalid combination of arguments: {rest!r} after the dtype or device, where "
            "non_blocking and copy go"
        )
    unknown = set(kwargs) - {"other", "dtype", "device", "non_blocking", "copy", "memory_format"}
    if unknown:
        raise TypeError(f"to() got an unexpected keyword argument '{unknown.pop()}'")
    d = d if kwargs.get("dtype") is None else kwargs["dtype"]
    if d is not None and not isinstance(d, dtype_class):
        raise TypeError(f"to(): argument 'dtype' must be torch.dtype, not {type(d).__name__}")
    where = where if kwargs.get("device") is None else kwargs["device"]
    copy = rest[1] if len(rest) > 1 else kwargs.get("copy", False)
    return d, where, copy, kwargs.get("memory_format")


@function(where="Tensor")
def to(self, *args, **kwargs):
    """The tensor with another dtype or on another device; itself where nothing changes.

    Args: a dtype, a device, both, or another tensor to be like; then non_blocking (which has no effect) and copy=True,
    which always copies; memory_format says how a copy lies in memory.
    Returns: the tensor itself, or a new one; gradients pass through."""
    if len(args) == 1 and not kwargs and isinstance(args[0], dtype_class):
        return self if layout_of(self).dtype is args[0] else CAST.call(self, args[0])
    d, where, copy, fmt = _to_arguments(args, kwargs)
    lay = layout_of(self)
    name = lay.device if where is None else device_name(where)
    if name != lay.device:
        if name == "cpu":
            raise NotImplementedError(
                "Cannot copy out of meta tensor; no data! Use to_empty() or make the tensor on the CPU."
            )
        return meta_tensor(layout(lay.shape, lay.strides, d or lay.dtype, "meta"))
    keep = fmt is None or format_kind(fmt) == "preserve"
    if d is None or d is lay.dtype:
        if copy:
            return clone(self, memory_format=fmt)
        return self if keep or format_kind(fmt) == _likely_format(lay) else clone(self, memory_format=fmt)
    out = CAST.call(self, d)
    return out if keep else out.contiguous(memory_format=fmt)


def _likely_format(lay) -> str:
    """How a tensor lies in memory, of the two formats that are told apart."""
    last = lay.ndim in (4, 5) and not lay.contig and lay.strides == channels_last_strides(lay.shape)
    return "channels_last" if last else "contiguous"


def _cast(name: str, d: dtype_class):
    def method(self, memory_format=None):
        if layout_of(self).dtype is d and memory_format is None:
            return self
        return to(self, d, memory_format=memory_format)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"The tensor as {d}; itself where it is."
    function(method, where="Tensor")


for _name, _d in (
    ("float", dtypes.float32),
    ("double", dtypes.float64),
    ("half", dtypes.float16),
    ("bfloat16", dtypes.bfloat16),
    ("long", dtypes.int64),
    ("int", dtypes.int32),
    ("short", dtypes.int16),
    ("char", dtypes.int8),
    ("byte", dtypes.uint8),
    ("bool", dtypes.bool_),
    ("cfloat", dtypes.complex64),
    ("cdouble", dtypes.complex128),
):
    _cast(_name, _d)


@function(where="Tensor")
def chalf(self, memory_format=None):
    """Not there: tenfold has no complex32."""
    raise NotImplementedError("chalf: tenfold has no dtype complex32; use cfloat() for complex64")


@function(where="Tensor")
def type_as(self, other):
    """The tensor with the dtype and device of other."""
    if not isinstance(other, Tensor):
        raise TypeError(f"type_as(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}")
    return to(self, other)


@function(where="Tensor")
def cpu(self, memory_format=None):
    """The tensor on the CPU: itself."""
    return to(self, "cpu", memory_format=memory_format)


@function(where="Tensor")
def cuda(self, device=None, non_blocking=False, memory_format=None):
    """The tensor on a GPU. Raises AssertionError: tenfold has no GPU backend yet."""
    return to(self, "cuda" if device is None else device)


@function
def get_device(input) -> int:
    """The number of the GPU that the tensor is on; -1 for the CPU."""
    return -1


@function
def is_floating_point(input) -> bool:
    """Whether the dtype is a real floating-point one."""
    return _dtype_of("is_floating_point", input).is_floating_point


@function
def is_complex(input) -> bool:
    """Whether the dtype is complex."""
    return _dtype_of("is_complex", input).is_complex


@function
def is_signed(input) -> bool:
    """Whether the dtype has negative numbers."""
    return _dtype_of("is_signed", input).is_signed


def _dtype_of(name: str, input) -> dtype_class:
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    return layout_of(input).dtype


@function(where="torch")
def can_cast(from_, to) -> bool:
    """Whether a result of one dtype may be stored in the other: not complex in real, floats in integers, numbers in
    bool."""
    return declare.can_cast(from_, to)


@function(where="torch")
def promote_types(type1, type2) -> dtype_class:
    """The dtype in which the two meet."""
    for position, d in ((1, type1), (2, type2)):
        if not isinstance(d, dtype_class):
            raise TypeError(
                f"promote_types(): argument 'type{position}' (position {position}) must be torch.dtype, not "
                f"{type(d).__name__}"
            )
    return dtypes.promote(type1, type2)


@function(where="torch")
def result_type(tensor1, tensor2) -> dtype_class:
    """The dtype of arithmetic on the two, tensors or numbers."""
    lays = []
    for x in (tensor1, tensor2):
        lays.append(layout_of(x) if isinstance(x, Tensor) else number(type(python_number(x))))
    return promoted(lays)


# --- one element as a Python number --------------------------------------------------------------------------


def _only_element(self):
    lay = layout_of(self)
    if lay.numel != 1:
        raise ValueError(
            f"only one element tensors can be converted to Python scalars, this one has shape {list(lay.shape)}"
        )
    return element(self)


def _real_element(self):
    x = _only_element(self)
    if isinstance(x, complex):
        if x.imag:
            raise RuntimeError(f"value cannot be converted to type double without overflow: {x} has an imaginary part")
        x = x.real
    return x


@function(where="Tensor", aliases=("__long__",))
def __int__(self):
    return int(_real_element(self))


@function(where="Tensor")
def __float__(self):
    return float(_real_element(self))


@function(where="Tensor")
def __complex__(self):
    return complex(_only_element(self))


@function(where="Tensor")
def __index__(self):
    lay = layout_of(self)
    if lay.dtype.category > INT or lay.numel != 1:
        raise TypeError(
            f"only integer tensors of a single element can be converted to an index, not {lay.dtype} of shape "
            f"{list(lay.shape)}"
        )
    return int(_only_element(self))


publish(lambda self: bool(self), "__nonzero__", "Tensor")


# --- writing whole tensors -----------------------------------------------------------------------------------


@function(where="Tensor")
def copy_(self, src, non_blocking=False):
    """Writes the elements of src (broadcast, converted) into the tensor. Raises RuntimeError where shapes do not
    fit."""
    lay = layout_of(self)
    if not isinstance(src, Tensor):
        src = tensor(src, dtype=lay.dtype)
    check_writable(self, tls.walk)
    given = layout_of(src)
    if given.shape != lay.shape:
        shape = broadcast_shapes(lay.shape, given.shape)
        if shape != lay.shape:
            raise RuntimeError(
                f"copy_: output with shape {list(lay.shape)} doesn't match the broadcast shape {list(shape)}"
            )
        src = src.expand(lay.shape)
    if layout_of(src).strides != lay.strides or src._st is not None:
        src = clone(src)
    return overwrite(self, src)


@function(where="Tensor")
def fill_(self, value):
    """Writes one value (a number or a 0-d tensor) everywhere."""
    if isinstance(value, Tensor):
        if layout_of(value).ndim:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {layout_of(value).ndim} dimensions."
            )
        return copy_(self, value)
    return overwrite_filled(self, value)


publish(fill_, "fill_", "torch")


def check_fits(value, d: dtype_class) -> None:
    """RuntimeError for a number that the dtype cannot hold."""
    if isinstance(value, complex):
        if d.category != COMPLEX and value.imag:
            raise RuntimeError(f"value cannot be converted to type {d} without overflow: {value} has an imaginary part")
        value = value.real
    if d.category == BOOL or d.category == COMPLEX:
        return
    if d.category == INT:
        info = dtypes.iinfo(d)
        low = info.min if info.min else -info.max
        fits = math.isfinite(value) and low <= int(value) <= info.max
    else:
        fits = not math.isfinite(value) or abs(value) <= dtypes.finfo(d).max
    if not fits:
        raise RuntimeError(f"value cannot be converted to type {d} without overflow: {value}")


def overwrite_filled(t: Tensor, value) -> Tensor:
    check_writable(t, tls.walk)
    lay = layout_of(t)
    value = python_number(value)
    check_fits(value, lay.dtype)
    if isinstance(value, complex) and lay.dtype.category <= FLOAT:
        value = value.real
    return overwrite(t, filled(lay.shape, value, lay.dtype, lay.device))


@function(where="torch Tensor")
def zero_(input):
    """Writes zeros everywhere."""
    return overwrite_filled(input, 0)


@function
def fill(input, value, *, out=None):
    """A tensor like input with one value (a number or a 0-d tensor) everywhere."""
    r = fill_(clone(input), value)
    return r if out is None else store_out(out, r, "fill")
