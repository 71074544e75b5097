"""Tensors from data, and tensors filled with values."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ..interop.numpy import check_array
from ..ir import dtypes
from ..ir.arrays import Symbolic
from ..ir.dtypes import dtype, encode, get_default_dtype, of_number, promote
from ..ir.shapes import Size, layout, result_strides, size
from ..ir.special import RELAYOUT, convert
from ..trace.handle import Storage, Tensor, layout_of, placed, tls
from .calling import meta_tensor
from .declare import function, primitive, store_out
from .devices import device_name

# --- from data ------------------------------------------------------------------------------------


def from_array(array: np.ndarray, d: dtype, device: str = "cpu") -> Tensor:
    """A tensor that owns `array` (contiguous, in d's memory format)."""
    lay = layout(size(array.shape), None, d, device)
    if device == "meta":
        return meta_tensor(lay)
    st = Storage(array.reshape(-1))
    st.name = d.name
    t = placed(st, lay)
    level = tls.walk.level
    if level is not None:
        level.made(t)
    return t


class _Kinds:
    """What nested sequences of numbers consist of: their shape, dtypes of tensors and arrays, kinds of Python numbers."""

    def __init__(self) -> None:
        self.kinds: set[type] = set()
        self.dtypes: list[dtype] = []

    def shape(self, x: Any, depth: int = 0) -> tuple[int, ...]:
        """The shape of x; notes what is in it."""
        if isinstance(x, (bool, int, float, complex)) and not isinstance(x, np.generic):
            self.kinds.add(next(k for k in (bool, int, float, complex) if isinstance(x, k)))
            return ()
        if isinstance(x, Tensor):
            return self._tensor(x)
        if isinstance(x, (np.ndarray, np.generic)):
            self.dtypes.append(dtypes.from_numpy(x.dtype))
            return x.shape
        if isinstance(x, (str, bytes)):
            if depth:
                raise ValueError(f"too many dimensions '{type(x).__name__}': {x!r} is no number")
            raise TypeError(f"new(): invalid data type '{type(x).__name__}'")
        if isinstance(x, dict) or x is None:
            raise RuntimeError(f"Could not infer dtype of {type(x).__name__}")
        if hasattr(x, "__len__") and hasattr(x, "__getitem__"):
            return self._sequence(x, depth)
        for kind, method in ((int, "__index__"), (float, "__float__")):
            if hasattr(x, method):
                self.kinds.add(kind)
                return ()
        raise RuntimeError(f"Could not infer dtype of {type(x).__name__}")

    def _tensor(self, x: Tensor) -> tuple[int, ...]:
        lay = layout_of(x)
        if lay.numel != 1:
            raise ValueError(
                "only one element tensors can be converted to Python scalars: the data has one of shape"
                f" {list(lay.shape)}; torch.stack puts tensors together"
            )
        self.dtypes.append(lay.dtype)
        return ()

    def _sequence(self, x: Any, depth: int) -> tuple[int, ...]:
        n = len(x)
        if n == 0:
            return (0,)
        first = self.shape(x[0], depth + 1)
        for i in range(1, n):
            other = self.shape(x[i], depth + 1)
            if other == first:
                continue
            if not other or not first:
                raise TypeError(f"not a sequence: of the data's dim {depth}, item {i} is a number where others are not")
            raise ValueError(f"expected sequence of length {first[0]} at dim {depth + 1} (got {other[0]})")
        return (n, *first)

    def dtype(self) -> dtype:
        """The dtype that they have together."""
        d: dtype | None = None
        for found in [*self.dtypes, *[of_number(k) for k in self.kinds]]:
            d = found if d is None else promote(d, found)
        return d or get_default_dtype()


def _numbers(data: Any, wanted: dtype | None) -> tuple[np.ndarray, dtype]:
    """Nested sequences of numbers as an array, and their dtype: the one wanted, or the one they have by themselves."""
    if type(data) is list and data and type(data[0]) in (int, float) and len(set(map(type, data))) == 1:
        shape: tuple[int, ...] = (len(data),)  # the usual case, shortly
        natural = of_number(type(data[0]))
        plain = data
    else:
        found = _Kinds()
        shape = found.shape(data)
        natural = found.dtype()
        plain = _plain(data) if found.dtypes else data
    try:
        array = np.array(plain, dtype=_holder(natural)).reshape(shape)
    except OverflowError:
        raise ValueError(f"Overflow when unpacking long long: an int of the data does not fit {natural}") from None
    if wanted is not None and wanted is not natural:
        _check_numbers(array, wanted)
    return array, wanted or natural


def _check_numbers(array: np.ndarray, d: dtype) -> None:
    """Raises for Python numbers that the dtype cannot hold."""
    if array.dtype.kind == "c" and d.category < 3:
        raise TypeError(f"must be real number, not complex: the data has complex numbers, the dtype is {d}")
    if d.category == 1 and array.size and array.dtype.kind != "b":
        info = dtypes.iinfo(d)
        low = -info.max if info.min == 0 else info.min
        bad = ~((array >= low) & (array <= info.max))
        if bad.any():
            raise RuntimeError(f"value cannot be converted to type {d.name} without overflow: {array[bad][0]}")


def _holder(d: dtype) -> np.dtype:
    """A NumPy dtype that holds Python numbers of the dtype's kind without loss."""
    return _HOLDERS[d.category]


_HOLDERS = [np.dtype(name) for name in ("?", "i8", "f8", "c16")]


def _plain(x):
    if isinstance(x, Tensor):
        return x.item()
    if isinstance(x, np.ndarray):
        return x.tolist()
    if isinstance(x, np.generic):
        return x.item()
    if hasattr(x, "__len__"):
        return [_plain(y) for y in x]
    return x


def in_memory(array: np.ndarray, d: dtype) -> np.ndarray:
    """The array in d's memory format, C-contiguous, in memory of its own."""
    if d.half:
        out = encode(convert(array, np.dtype("f4")), d)
    else:
        out = convert(array, d.np)
    return (
        np.array(out, order="C", copy=True)
        if out is array or out.base is not None or not out.flags.c_contiguous
        else out
    )


# --- what factories are asked for -----------------------------------------------------------------

_PYTHON_TYPES = {float: dtypes.float64, int: dtypes.int64, bool: dtypes.bool_, complex: dtypes.complex128}


def chosen(name: str, d) -> dtype | None:
    """The dtype that was asked for, also by a Python type; None where none was."""
    if d is None or isinstance(d, dtype):
        return d
    found = _PYTHON_TYPES.get(d) if isinstance(d, type) else None
    if found is None:
        raise TypeError(f"{name}(): argument 'dtype' must be torch.dtype, not {type(d).__name__}")
    return found


def check_options(name: str, layout=None, pin_memory=False) -> None:
    """Tensors are strided, and there is no accelerator to pin memory for."""
    if layout is not None and getattr(layout, "name", None) != "strided":
        if type(layout).__name__ != "layout":
            raise TypeError(f"{name}(): argument 'layout' must be torch.layout, not {type(layout).__name__}")
        raise NotImplementedError(f"{name}: tenfold has no {layout} tensors; leave the layout out for a strided one")
    if pin_memory:
        raise RuntimeError(
            "pin_memory=True requires a CUDA or other accelerator backend; no pinned memory allocator is available on this"
            f" system ({name}): leave pin_memory out"
        )


_C_NAMES = {
    "uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int", "int64": "int64_t", "float16": "at::Half",
    "bfloat16": "at::BFloat16", "float32": "float", "float64": "double", "complex64": "c10::complex<float>",
}  # fmt: skip


def check_fits(name: str, value, d: dtype) -> None:
    """RuntimeError for a number that the dtype cannot hold."""
    if d.category == 0 or d.category == 3:
        return
    real = value.real if isinstance(value, complex) else value
    if isinstance(value, complex) and value.imag:
        fits = False
    elif d.category == 1:
        info = dtypes.iinfo(d)
        low = -info.max if info.min == 0 else info.min
        fits = real == real and low <= real <= info.max
    else:
        fits = not math.isfinite(real) or abs(real) <= dtypes.finfo(d).max
    if not fits:
        raise RuntimeError(
            f"value cannot be converted to type {_C_NAMES.get(d.name, d.name)} without overflow: {name} got {value} for {d}"
        )


def _fill_number(name: str, value):
    """A number to fill with, from a number or a 0-d tensor without a gradient."""
    if isinstance(value, Tensor) and not layout_of(value).ndim and not value.requires_grad:
        return value.item()
    if isinstance(value, (np.generic,)):
        return value.item()
    if not isinstance(value, (bool, int, float, complex)):
        raise TypeError(f"{name}(): argument 'fill_value' must be Number, not {type(value).__name__}")
    return value


@function(where="torch")
def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False) -> Tensor:
    """A new tensor with a copy of `data`: a number, nested sequences of numbers, a NumPy array or a tensor.

    Args:
        dtype: default: that of the data (Python floats: the default dtype).
        device: default "cpu".
        requires_grad: whether backward gives it a `.grad`. Default False.
    Raises: ValueError for ragged sequences, TypeError for what is no number."""
    if isinstance(data, Tensor):
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        dtype = chosen("tensor", dtype)
        out = data.detach().clone() if dtype is None else data.detach().to(dtype, copy=True)
        return out.requires_grad_(requires_grad) if requires_grad else out
    check_options("tensor", None, pin_memory)
    where = device_name(device)
    dtype = chosen("tensor", dtype)
    if isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
        check_array(array)
        natural = dtypes.from_numpy(array.dtype)
    else:
        array, natural = _numbers(data, dtype)
        if array.dtype == (dtype or natural).np:  # an array of its own
            return mark(from_array(array, dtype or natural, where), requires_grad)
    out = from_array(in_memory(array, dtype or natural), dtype or natural, where)
    return mark(out, requires_grad)


def mark(t: Tensor, needs_grad: bool) -> Tensor:
    """A new leaf's requires_grad."""
    if needs_grad:
        d = layout_of(t).dtype
        if not (d.is_floating_point or d.is_complex):
            raise RuntimeError(f"Only Tensors of floating point and complex dtype can require gradients, not {d}")
        t.requires_grad_(True)
    return t


# --- filled ---------------------------------------------------------------------------------------


def shape_from(args: tuple, name: str) -> Size:
    """A shape given as ints or as one sequence of ints."""
    if len(args) == 1 and (isinstance(args[0], (tuple, list)) or hasattr(args[0], "_fields")):
        args = tuple(args[0])
    out = []
    for n in args:
        if isinstance(n, Tensor):
            n = n.item() if layout_of(n).numel == 1 else n
        try:
            k = operator.index(n)
        except TypeError:
            k = None
        if k is None or isinstance(n, bool):
            raise TypeError(
                f"{name}(): argument 'size' must be tuple of ints, but found element of type {type(n).__name__}"
            )
        if k < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {k}: {list(args)} ({name})")
        out.append(k)
    return size(out)


def _sequence(name: str, size_) -> tuple:
    """The size of `full` and its like, which is a sequence always."""
    if not isinstance(size_, (tuple, list)):
        raise TypeError(f"{name}(): argument 'size' (position 1) must be tuple of ints, not {type(size_).__name__}")
    return (size_,)


def _full_rule(size_, value, d):
    return layout(size_, None, d)


@primitive(rule=_full_rule, data=("value",), name="full_", where="")
def _full(size_, value, d):
    if isinstance(value, Symbolic):
        return np.broadcast_to(convert(value, d.compute), size_)  # type: ignore[call-overload]
    if d.category == 1 and isinstance(value, int):
        return (
            np.full(size_, np.array(value % (1 << 64), np.uint64).astype(d.np) if value < 0 else value, d.np)
            if -(2**63) <= value < 2**63
            else np.full(size_, value, d.np)
        )
    return np.full(size_, convert(np.asarray(value), d.compute), d.compute)


def filled(shape: Size, value, d: dtype, device: str, needs_grad: bool = False) -> Tensor:
    if device == "meta":
        return mark(meta_tensor(layout(shape, None, d, "meta")), needs_grad)
    return mark(_full(shape, value, d), needs_grad)


def _factory(name: str, value, doc: str):
    def f(*size, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False, **more):
        if "size" in more:
            size = (more.pop("size"),)
        elif not size:
            raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
        memory_format = more.pop("memory_format", None) if name == "empty" else None
        if more:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(more))}'")
        if layout is not None or pin_memory:
            check_options(name, layout, pin_memory)
        d = chosen(name, dtype) or (get_default_dtype() if out is None else layout_of(out).dtype)
        r = filled(shape_from(size, name), value, d, device_name(device), requires_grad)
        if memory_format is not None and memory_format.kind not in ("contiguous", "preserve"):
            r = mark(r.detach().contiguous(memory_format=memory_format), requires_grad)
        if out is not None:
            return store_out(out, r, name)
        return r

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    return function(f, where="torch")


zeros = _factory("zeros", 0, "A tensor of zeros of that shape (ints, or one sequence of ints).")
ones = _factory("ones", 1, "A tensor of ones of that shape (ints, or one sequence of ints).")
empty = _factory("empty", 0, "A tensor of that shape whose values are not specified (here they are zeros).")


@function(where="torch")
def full(size, fill_value, *, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """A tensor of that shape filled with one value. Args: dtype: default: int64, bool or the default dtype, by the value."""
    check_options("full", layout, pin_memory)
    shape = shape_from(_sequence("full", size), "full")
    fill_value = _fill_number("full", fill_value)
    d = chosen("full", dtype) or (layout_of(out).dtype if out is not None else of_number(type(fill_value)))
    check_fits("full", fill_value, d)
    r = filled(shape, fill_value, d, device_name(device), requires_grad)
    return r if out is None else store_out(out, r, "full")


def _like(name: str, value, doc: str):
    def f(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None, pin_memory=False):
        if layout is not None or pin_memory:
            check_options(name, layout, pin_memory)
        return like(input, value, chosen(name, dtype), device, requires_grad, memory_format)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    return function(f, where="torch")


def like(input: Tensor, value, d, where, needs_grad: bool, memory_format) -> Tensor:
    """Filled, with the shape of input, and where memory allows with its order of dims."""
    if not isinstance(input, Tensor):
        raise TypeError(
            f"zeros_like() and its like: argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
        )
    lay = layout_of(input)
    name = lay.device if where is None else device_name(where)
    t = filled(lay.shape, value, d or lay.dtype, name)
    if (memory_format is None or memory_format.kind == "preserve") and not lay.contig:
        t = _ordered_as(t, lay)
    elif memory_format is not None and memory_format.kind == "channels_last":
        t = t.contiguous(memory_format=memory_format)
    return mark(t, needs_grad)


def _ordered_as(t: Tensor, lay) -> Tensor:
    strides = lay.strides if lay.dense else result_strides(lay.shape, [lay])
    if strides is None:
        return t
    have = layout_of(t)
    wanted = layout(lay.shape, strides, have.dtype, have.device)
    return meta_tensor(wanted) if have.device == "meta" else RELAYOUT.call(t, wanted)


zeros_like = _like("zeros_like", 0, "Zeros, with the shape and dtype of input.")
ones_like = _like("ones_like", 1, "Ones, with the shape and dtype of input.")
empty_like = _like(
    "empty_like", 0, "A tensor with the shape and dtype of input, whose values are not specified (here they are zeros)."
)


@function(where="torch")
def full_like(
    input,
    fill_value,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
    pin_memory=False,
):
    """Filled with one value, with the shape and dtype of input."""
    check_options("full_like", layout, pin_memory)
    fill_value = _fill_number("full_like", fill_value)
    dtype = chosen("full_like", dtype) or layout_of(input).dtype
    check_fits("full_like", fill_value, dtype)
    return like(input, fill_value, dtype, device, requires_grad, memory_format)


def _new(name: str, value, doc: str):
    def f(self, *size, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False, **more):
        if "size" in more:
            size = (more.pop("size"),)
        if more:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(more))}'")
        check_options(name, layout, pin_memory)
        lay = layout_of(self)
        where = lay.device if device is None else device_name(device)
        return filled(shape_from(size, name), value, chosen(name, dtype) or lay.dtype, where, requires_grad)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    return function(f, where="Tensor")


_new("new_zeros", 0, "Zeros of that shape, with the dtype and device of this tensor.")
_new("new_ones", 1, "Ones of that shape, with the dtype and device of this tensor.")
_new("new_empty", 0, "A tensor of that shape whose values are not specified, with the dtype and device of this tensor.")


@function(where="Tensor")
def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """Filled with one value, with the dtype and device of this tensor."""
    check_options("new_full", layout, pin_memory)
    lay = layout_of(self)
    fill_value = _fill_number("new_full", fill_value)
    d = chosen("new_full", dtype) or lay.dtype
    check_fits("new_full", fill_value, d)
    where = lay.device if device is None else device_name(device)
    return filled(shape_from(_sequence("new_full", size), "new_full"), fill_value, d, where, requires_grad)


@function(where="Tensor")
def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """A new tensor with a copy of data, with the dtype and device of this tensor."""
    check_options("new_tensor", layout, pin_memory)
    dtype = chosen("new_tensor", dtype)
    lay = layout_of(self)
    if isinstance(data, Tensor):
        data = data.detach().clone()
        return mark(data.to(dtype or layout_of(data).dtype), requires_grad)
    return tensor(
        data, dtype=dtype or lay.dtype, device=lay.device if device is None else device, requires_grad=requires_grad
    )
