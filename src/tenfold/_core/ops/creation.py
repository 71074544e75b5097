"""Tensors from data, and tensors filled with values."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import dtype, encode, get_default_dtype, of_number, promote
from ..ir.shapes import Size, layout, size
from ..ir.special import convert
from ..trace.handle import Storage, Tensor, layout_of, placed
from .declare import function, meta_tensor, primitive, store_out
from .devices import device_name

# --- from data -----------------------------------------------------------------------------------------------------------


def from_array(array: np.ndarray, d: dtype, device: str = "cpu") -> Tensor:
    """A tensor that owns `array` (contiguous, in d's memory format)."""
    lay = layout(size(array.shape), None, d, device)
    if device == "meta":
        return meta_tensor(lay)
    st = Storage(array.reshape(-1))
    st.name = d.name
    return placed(st, lay)


def _numbers(data: Any) -> tuple[np.ndarray, dtype]:
    """Nested sequences of numbers as an array, and the dtype they have by themselves."""
    kinds: set[type] = set()
    found: list[dtype] = []

    def shape_of(x, depth: int) -> tuple:
        if isinstance(x, Tensor):
            found.append(layout_of(x).dtype)
            return tuple(layout_of(x).shape)
        if isinstance(x, np.ndarray):
            found.append(dtypes.from_numpy(x.dtype))
            return x.shape
        if isinstance(x, np.generic):
            found.append(dtypes.from_numpy(x.dtype))
            return ()
        if isinstance(x, (str, bytes)):
            raise TypeError(f"new(): invalid data type '{type(x).__name__}'")
        if isinstance(x, (bool, int, float, complex)):
            kinds.add(bool if isinstance(x, bool) else int if isinstance(x, int) else float if isinstance(x, float) else complex)
            return ()
        if hasattr(x, "__len__") and hasattr(x, "__getitem__"):
            n = len(x)
            if n == 0:
                return (0,)
            first = shape_of(x[0], depth + 1)
            for i in range(1, n):
                other = shape_of(x[i], depth + 1)
                if other != first:
                    if len(other) != len(first) and (not other or not first):
                        raise ValueError(f"only one element tensors can be converted to Python scalars: item {i} of dim {depth} is no sequence of the others' length")
                    raise ValueError(f"expected sequence of length {first[0] if first else 0} at dim {depth + 1} (got {other[0] if other else 0})")
            return (n, *first)
        if hasattr(x, "__index__"):
            kinds.add(int)
            return ()
        if hasattr(x, "__float__"):
            kinds.add(float)
            return ()
        if x is None:
            raise RuntimeError("Could not infer dtype of NoneType")
        raise RuntimeError(f"Could not infer dtype of {type(x).__name__}")

    shape = shape_of(data, 0)
    d: dtype | None = None
    for f in found:
        d = f if d is None else promote(d, f)
    for kind in kinds:
        k = of_number(kind)
        d = k if d is None else promote(d, k)
    if d is None:
        d = get_default_dtype()
    plain = data if not found else _plain(data)
    try:
        array = np.array(plain, dtype=_holder(d))
    except OverflowError:
        raise RuntimeError("value cannot be converted to type int64_t without overflow") from None
    return array.reshape(shape), d


def _holder(d: dtype) -> np.dtype:
    """A NumPy dtype that holds Python numbers of the dtype's kind without loss."""
    return np.dtype({0: "?", 1: "i8", 2: "f8", 3: "c16"}[d.category])


def _plain(x):
    if isinstance(x, Tensor):
        return x.tolist()
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
    return np.array(out, order="C", copy=True) if out is array or out.base is not None or not out.flags.c_contiguous else out


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
        out = data.detach().clone() if dtype is None else data.detach().to(dtype, copy=True)
        return out.requires_grad_(requires_grad) if requires_grad else out
    where = device_name(device)
    if isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
        natural = dtypes.from_numpy(array.dtype)
    else:
        array, natural = _numbers(data)
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


# --- filled ----------------------------------------------------------------------------------------------------------------


def shape_from(args: tuple, name: str) -> Size:
    """A shape given as ints or as one sequence of ints."""
    if len(args) == 1 and (isinstance(args[0], (tuple, list)) or hasattr(args[0], "_fields")):
        args = tuple(args[0])
    out = []
    for n in args:
        if isinstance(n, Tensor):
            n = int(n.item())
        try:
            n = operator.index(n)
        except TypeError:
            raise TypeError(f"{name}(): argument 'size' must be tuple of ints, but found element of type {type(n).__name__}") from None
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {list(args)}")
        out.append(n)
    return size(out)


def _full_rule(size_, value, d):
    return layout(size_, None, d)


@primitive(rule=_full_rule, data=("value",), name="full_", where="")
def _full(size_, value, d):
    if d.category == 1 and isinstance(value, int):
        return np.full(size_, np.array(value % (1 << 64), np.uint64).astype(d.np) if value < 0 else value, d.np) if -(2**63) <= value < 2**63 else np.full(size_, value, d.np)
    return np.full(size_, convert(np.asarray(value), d.compute), d.compute)


def filled(shape: Size, value, d: dtype, device: str, needs_grad: bool = False) -> Tensor:
    if device == "meta":
        return mark(meta_tensor(layout(shape, None, d, "meta")), needs_grad)
    return mark(_full(shape, value, d), needs_grad)


def _factory(name: str, value, doc: str):
    def f(*size, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False, **more):
        if "size" in more:
            size = (more.pop("size"),)
        more.pop("names", None)
        more.pop("memory_format", None)
        if more:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(more))}'")
        if out is not None and dtype is None:
            dtype = layout_of(out).dtype
        r = filled(shape_from(size, name), value, dtype or get_default_dtype(), device_name(device), requires_grad)
        if out is not None:
            return store_out(out, r, name)
        return r

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    return function(f, where="torch")


zeros = _factory("zeros", 0, "A tensor of zeros of that shape (ints, or one sequence of ints).")
ones = _factory("ones", 1, "A tensor of ones of that shape (ints, or one sequence of ints).")
empty = _factory("empty", 0, "A tensor of that shape whose values are not specified (here they are zeros).")
