"""Older ways to make tensors and ask for their type: `torch.Tensor(2, 3)`, `torch.LongTensor([1, 2])`, `t.type()`."""

from __future__ import annotations

import math
import warnings

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import dtype as dtype_class
from ..ir.dtypes import get_default_dtype
from ..ir.shapes import Size, dim_index
from ..ops.conversion import to
from ..ops.creation import filled, shape_from, tensor
from ..ops.declare import PUBLIC
from ..ops.devices import device_name
from ..ops.sparse_tensor import Sparse, SparseTensor, sparse_coo_tensor
from ..trace.handle import Tensor, layout_of, placed
from ..trace.walk import place
from . import copies  # noqa: F401  attaches copying and pickling
from .storage import TypedStorage, UntypedStorage

NAMES = {
    "FloatTensor": dtypes.float32, "DoubleTensor": dtypes.float64, "HalfTensor": dtypes.float16, "BFloat16Tensor": dtypes.bfloat16,
    "ByteTensor": dtypes.uint8, "CharTensor": dtypes.int8, "ShortTensor": dtypes.int16, "IntTensor": dtypes.int32, "LongTensor": dtypes.int64,
    "BoolTensor": dtypes.bool_,
}  # fmt: skip
NAME_OF = {d: n for n, d in NAMES.items()} | {
    dtypes.complex64: "ComplexFloatTensor",
    dtypes.complex128: "ComplexDoubleTensor",
}


def construct(d: dtype_class, args: tuple, device=None, any_dtype: bool = False) -> Tensor:
    """A tensor from sizes, or from data (converted to d)."""
    where = device_name(device)
    if not args:
        return filled(shape_from((0,), "Tensor"), 0, d, where)
    first = args[0]
    if len(args) == 1:
        if isinstance(first, Size):
            return filled(shape_from((first,), "Tensor"), 0, d, where)
        if isinstance(first, Tensor):
            if layout_of(first).dtype is not d and not any_dtype:
                raise TypeError(f"expected {NAME_OF[d]} (got {first.type()}): convert with .to(...) instead")
            return first.detach()
        if isinstance(first, (list, tuple, np.ndarray)):
            return tensor(first, dtype=d, device=where)
        if isinstance(first, TypedStorage):
            if first.dtype is not d:
                raise TypeError(f"Expected a Storage of type {d}, got one of {first.dtype}: convert it first")
            return first._tensor
        if isinstance(first, (str, bytes)):
            raise TypeError(f"new(): invalid data type '{type(first).__name__}'")
        if hasattr(first, "__len__") and hasattr(first, "__getitem__") and not isinstance(first, dict):
            return tensor(list(first), dtype=d, device=where)  # a range, a deque, any sequence
    if all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in args):
        return filled(shape_from(args, "Tensor"), 0, d, where)
    if len(args) == 1:
        raise TypeError(f"new(): data must be a sequence (got {type(first).__name__})")
    raise TypeError(
        f"new(): invalid arguments {tuple(type(a).__name__ for a in args)}: give sizes as ints, or one sequence of data"
    )


def _new(cls, *args, device=None, **more):
    if cls is not Tensor:
        base = construct(get_default_dtype(), args, device)
        st = place(base)
        return placed(st, base._lay, base._off, cls)
    if more:
        raise TypeError(f"Tensor() got an unexpected keyword argument '{next(iter(more))}'")
    return construct(get_default_dtype(), args, device, any_dtype=True)


Tensor.__new__ = _new
Tensor.__init__ = lambda self, *args, **kwargs: None


class _TypeMeta(type):
    """isinstance(t, torch.LongTensor) asks for the dtype."""

    def __instancecheck__(cls, t) -> bool:
        return isinstance(t, Tensor) and not isinstance(t, Sparse) and layout_of(t).dtype is cls.dtype

    def __call__(cls, *args, device=None):
        return construct(cls.dtype, args, device)

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


for _name, _d in NAMES.items():
    _cls = _TypeMeta(_name, (), {"dtype": _d, "__module__": "torch", "__doc__": f"A {_d} tensor from sizes or data."})
    PUBLIC["torch"][_name] = _cls


class _SparseMeta(_TypeMeta):
    """torch.sparse.FloatTensor and its kin: deprecated constructors of sparse tensors."""

    def __instancecheck__(cls, t) -> bool:
        return isinstance(t, SparseTensor) and layout_of(t).dtype is cls.dtype

    def __call__(cls, *args, device=None):
        warnings.warn(
            f"torch.sparse.{cls.__name__} is deprecated: use torch.sparse_coo_tensor", UserWarning, stacklevel=2
        )
        if not args or not isinstance(args[0], Tensor):
            return sparse_coo_tensor(tuple(shape_from(args or (0,), "sparse.Tensor")), dtype=cls.dtype, device=device)
        if len(args) not in (2, 3) or not isinstance(args[1], Tensor):
            raise TypeError(
                f"sparse.{cls.__name__}: new() received an invalid combination of arguments: give indices and values"
                f" (tensors) and a size, or a size alone, not {tuple(type(a).__name__ for a in args)}"
            )
        if layout_of(args[0]).dtype is not dtypes.int64:
            raise RuntimeError(f"indices must be an int64 tensor, but are of {layout_of(args[0]).dtype}")
        return sparse_coo_tensor(*args, device=device)

    def __repr__(cls) -> str:
        return f"<class 'torch.sparse.{cls.__name__}'>"


for _name, _d in NAMES.items():
    if _d is not dtypes.bool_:
        _doc = f"A sparse tensor of {_d} from indices and values, or a size."
        PUBLIC["sparse"][_name] = _SparseMeta(_name, (), {"dtype": _d, "__module__": "torch.sparse", "__doc__": _doc})


def type_name(t: Tensor) -> str:
    return f"torch.{'sparse.' if isinstance(t, SparseTensor) else ''}{NAME_OF[layout_of(t).dtype]}"


def _type(self, dtype=None, non_blocking=False, **more):
    """The name of the tensor's type; or, with a dtype (or such a name), the tensor converted to it."""
    if dtype is None:
        return type_name(self)
    if isinstance(dtype, str):
        name = dtype.rsplit(".", 1)[-1]
        if name not in NAMES:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = NAMES[name]
    elif isinstance(dtype, _TypeMeta):
        dtype = dtype.dtype
    return to(self, dtype)


Tensor.type = _type


def _new_like(self, *args, device=None):
    """A tensor of this one's dtype from sizes or data."""
    return construct(layout_of(self).dtype, args, device)


Tensor.new = _new_like


def _resize(self, *sizes):
    """The same elements in another shape of as many (`reshape`); deprecated."""
    warnings.warn("non-inplace resize is deprecated: use reshape", UserWarning, stacklevel=2)
    return _in_shape(self, tuple(shape_from(sizes, "resize")))


def _in_shape(self, shape):
    if math.prod(shape) != self.numel():
        raise RuntimeError(
            f"requested resize to {list(shape)} ({math.prod(shape)} elements in total), but the given tensor has a size of"
            f" {list(self.shape)} ({self.numel()} elements): resize keeps the number of elements, resize_ changes it"
        )
    return self.contiguous().view(shape)


def _resize_as(self, tensor):
    """The same elements in the shape of another tensor; deprecated."""
    warnings.warn("non-inplace resize_as is deprecated: use reshape", UserWarning, stacklevel=2)
    return _in_shape(self, tuple(tensor.shape))


def _index(self, positions, dims):
    """Indexes some dims: `t.index((0, 2), (i, j))` is `t[i, :, j]`.

    Args:
        positions: a dim or a sequence of dims; a tuple of neighbouring dims in it is indexed as one, flattened.
        dims: for each of them an index: an int, a slice, None, a tensor or a list of ints."""
    one = isinstance(positions, int)
    if one or not isinstance(dims, (tuple, list)):
        dims = (dims,)
    positions = (positions,) if one else tuple(positions)
    if len(positions) != len(dims):
        raise TypeError(f"dims ({len(positions)}) and indices ({len(dims)}) must have the same length")
    groups = [_dims_of_position(p, self.ndim) for p in positions]
    for group in sorted((g for g in groups if len(g) > 1), reverse=True):
        self = self.flatten(group[0], group[-1])
    wide = [g for g in groups if len(g) > 1]
    index = [slice(None)] * self.ndim
    for group, i in zip(groups, dims):
        d = group[0] - sum(len(g) - 1 for g in wide if g[0] < group[0])
        if index[d] != slice(None):
            raise IndexError(f"index: dim {group[0]} is indexed twice")
        index[d] = list(i) if isinstance(i, tuple) else i
    return self[tuple(index)]


def _dims_of_position(p, ndim: int) -> tuple[int, ...]:
    group = tuple(p) if isinstance(p, (tuple, list)) else (p,)
    if not all(isinstance(d, int) for d in group):
        raise TypeError(f"expected a dimension specifyer but found {p!r}: index takes dims as ints, or tuples of them")
    group = tuple([dim_index(d, ndim) for d in group])
    if group != tuple(range(group[0], group[0] + len(group))):
        raise ValueError(f"index: the dims {group} of a group have to be neighbours, in order")
    return group


def _reinforce(self, reward):
    """Was removed from PyTorch."""
    raise RuntimeError(
        "reinforce() was removed: build the loss yourself, with torch.distributions: "
        "m = Categorical(probs); action = m.sample(); loss = -m.log_prob(action) * reward; loss.backward()"
    )


def _eig(self, eigenvectors=False):
    """Removed from PyTorch: use torch.linalg.eig, whose results are complex."""
    return _gone("eig", "torch.linalg.eig, whose results are complex")


def _symeig(self, eigenvectors=False):
    """Removed from PyTorch: use torch.linalg.eigh."""
    return _gone("symeig", "torch.linalg.eigh(A, UPLO='U')")


def _lstsq(self, other):
    """Removed from PyTorch: use torch.linalg.lstsq, with its arguments the other way round."""
    return _gone("lstsq", "torch.linalg.lstsq(A, B), with its arguments the other way round")


def _solve(self, other):
    """Removed from PyTorch: use torch.linalg.solve, with its arguments the other way round."""
    return _gone("solve", "torch.linalg.solve(A, B), with its arguments the other way round")


def _gone(name: str, instead: str):
    raise RuntimeError(f"{name}: this function was deprecated since PyTorch 1.9 and is now removed: use {instead}")


for _name, _f in {"eig": _eig, "symeig": _symeig, "lstsq": _lstsq, "solve": _solve}.items():
    setattr(Tensor, _name, _f)
    PUBLIC["torch"][_name] = _f

for _name, _f in {"resize": _resize, "resize_as": _resize_as, "index": _index, "reinforce": _reinforce}.items():
    setattr(Tensor, _name, _f)


def is_tensor(obj, /) -> bool:
    """Whether obj is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj, /) -> bool:
    """Whether obj is a storage."""
    return isinstance(obj, (TypedStorage, UntypedStorage))


def typename(obj, /) -> str:
    """The type of obj as text: `torch.FloatTensor` for tensors."""
    if isinstance(obj, Tensor):
        return type_name(obj)
    cls = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(cls, "__module__", "")
    if module.split(".")[0] == "tenfold":
        module = ".".join(["torch", *module.split(".")[1:]])
    return f"{module}.{cls.__qualname__}" if module and module not in ("builtins", "__builtin__") else cls.__qualname__


def numel(input) -> int:
    """The number of elements."""
    return layout_of(input).numel


for _f in (is_tensor, is_storage, typename, numel):
    PUBLIC["torch"][_f.__name__] = _f
