"""torch.nested: making nested tensors from lists, from rows in one tensor, and from padded batches."""

from __future__ import annotations

import numpy as np

from ..ir.dtypes import INT, bool_
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from .conversion import to as converted
from .creation import check_options
from .creation import tensor as make_tensor
from .declare import function
from .joining import cat
from .nested import NestedTensor, Rows
from .uneven import UnevenTensor


def _is_jagged(layout) -> bool:
    name = getattr(layout, "name", "strided")
    if name not in ("strided", "jagged"):
        raise RuntimeError(
            f"Specified layout is unsupported for nested tensors: {layout} (torch.strided, torch.jagged)"
        )
    return name == "jagged"


def _components(name: str, items, dtype, device, new: bool) -> list[Tensor]:
    if not isinstance(items, (list, tuple)):
        raise TypeError(f"Only lists (List[Tensor] and List[List...[Scalar]]) are accepted in {name}")
    tensors = [x if isinstance(x, Tensor) else make_tensor(x) for x in items]
    tensors = [x.detach() if new else x for x in tensors]
    return [x.to(device=device, dtype=dtype) if dtype is not None or device is not None else x for x in tensors]


def _joined(name: str, tensors: list[Tensor], jagged: bool) -> NestedTensor | UnevenTensor:
    """The tensors as one batch; RuntimeError unless they have equally many dims (differ in one alone, if jagged)."""
    if not tensors:
        if jagged:
            raise RuntimeError("Cannot construct a nested tensor from an empty tensor list")
        return NestedTensor(make_tensor([]), Rows.of_counts([]), 1, False)
    lays = [layout_of(x) for x in tensors]
    first = lays[0]
    if any(l.ndim != first.ndim for l in lays):
        raise RuntimeError("When constructing a nested tensor, all tensors in list must have the same dim")
    if any(l.dtype is not first.dtype for l in lays):
        if jagged:
            raise RuntimeError("When constructing a nested tensor, all tensors in list must have the same dtype")
        tensors = [x.to(first.dtype) for x in tensors]
    if not first.ndim:
        raise RuntimeError("Cannot construct a nested tensor from a list of zero-dim tensors")
    uneven = [d for d in range(first.ndim) if len({l.shape[d] for l in lays}) > 1]
    if len(uneven) > 1 and jagged:
        raise RuntimeError(
            "Cannot represent given tensor list as a nested tensor with the jagged layout: it allows a single ragged dim, but"
            f" the tensors given to {name} differ in dims {uneven}; torch.strided allows several"
        )
    if len(uneven) > 1:
        return UnevenTensor.of(tensors)
    d = uneven[0] if uneven else 0
    rows = Rows.of_counts([l.shape[d] for l in lays])
    return NestedTensor(cat(tensors, d), rows, d + 1, jagged)


@function(where="nested")
def nested_tensor(tensor_list, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """A new nested tensor, a leaf, from a list of tensors (or of lists of numbers) of equally many dims.

    Args: layout: torch.strided (default), or torch.jagged, which has a shape and more operations, and whose tensors differ
    in one dim at most.
    Raises: RuntimeError where the tensors do not fit together."""
    check_options("nested_tensor", None, pin_memory)
    jagged = _is_jagged(layout)
    made = _joined("nested_tensor", _components("nested_tensor", tensor_list, dtype, device, True), jagged)
    return made.requires_grad_() if requires_grad else made


@function(where="nested")
def as_nested_tensor(ts, dtype=None, device=None, layout=None):
    """A nested tensor of tensors, through which gradients flow to these.

    Args: ts: a list of tensors, or a tensor whose first dim is the batch; layout: as in `nested_tensor`."""
    if isinstance(ts, (NestedTensor, UnevenTensor)):
        return ts if dtype is None else converted(ts, dtype)
    if isinstance(ts, Tensor):
        ts = list(ts.unbind(0))
    return _joined("as_nested_tensor", _components("as_nested_tensor", ts, dtype, device, False), _is_jagged(layout))


def _row_indices(name: str, what: str, t) -> np.ndarray:
    if not isinstance(t, Tensor):
        raise TypeError(f"{name}(): argument '{what}' must be Tensor, not {type(t).__name__}")
    lay = layout_of(t)
    if lay.dtype.category != INT or lay.ndim != 1:
        raise RuntimeError(f"{name}: {what} must be a vector of integers, but is {lay}")
    return array_of(t).astype(np.int64)


@function(where="nested")
def nested_tensor_from_jagged(values, offsets=None, lengths=None, jagged_dim=None, min_seqlen=None, max_seqlen=None):
    """A nested tensor whose rows lie in one tensor already, one after the other; gradients flow to it.

    Args:
        values: (total, *), or another dim uneven; offsets: (rows + 1), where each row begins and the last ends. The same
        offsets tensor means the same sizes: two nested tensors that share it can be added.
        lengths: (rows), how long each is: instead of offsets, or shorter than these say (the rest is left out).
        jagged_dim: the uneven dim, the batch being 0. Default 1; min_seqlen, max_seqlen: have no effect.
    Raises: RuntimeError where a row would reach outside of values."""
    name = "nested_tensor_from_jagged"
    if offsets is None and lengths is None:
        raise RuntimeError("nested_tensor_from_jagged(): At least one of offsets or lengths is required.")
    uneven = 1 if jagged_dim is None else int(jagged_dim)
    shape = layout_of(values).shape
    if not 1 <= uneven <= len(shape):
        raise RuntimeError(f"{name}: jagged_dim must be in 1..{len(shape)}, but is {jagged_dim}")
    total = shape[uneven - 1]
    counts = None if lengths is None else _row_indices(name, "lengths", lengths)
    if counts is not None and (counts < 0).any():
        raise RuntimeError(f"{name}: lengths must not be negative, but are {counts.tolist()}")
    if offsets is None:
        rows = Rows.of_counts(counts)
        if rows.starts[-1] != total:
            raise RuntimeError(
                f"{name}: lengths add up to {rows.starts[-1]}, but dim {uneven - 1} of values has {total}"
            )
        return NestedTensor(values, rows, uneven)
    starts = _row_indices(name, "offsets", offsets)
    if not starts.size or starts[0] < 0 or (np.diff(starts) < 0).any() or starts[-1] > total:
        raise RuntimeError(f"{name}: offsets must rise from 0 to {total} at most, but are {starts.tolist()}")
    if counts is None and starts[0] == 0 and starts[-1] == total:
        rows = getattr(offsets, "_rows_here", None)
        if rows is None or not np.array_equal(rows.starts, starts):
            rows = offsets._rows_here = Rows(offsets, starts)
        return NestedTensor(values, rows, uneven)
    counts = np.diff(starts) if counts is None else counts
    if counts.size != starts.size - 1 or (starts[:-1] + counts > total).any():
        raise RuntimeError(f"{name}: lengths {counts.tolist()} do not fit offsets {starts.tolist()} and {total} places")
    return _stretches(values, starts[:-1], counts, uneven)


def _stretches(
    values: Tensor, starts: np.ndarray, counts: np.ndarray, uneven: int, jagged: bool = True
) -> NestedTensor:
    """Rows that are stretches of values: what lies between them is left out."""
    rows = Rows.of_counts(counts)
    at = np.arange(rows.starts[-1]) + np.repeat(starts - rows.starts[:-1], counts)
    return NestedTensor(values.index_select(uneven - 1, make_tensor(at)), rows, uneven, jagged)


@function(where="nested")
def narrow(tensor, dim, start, length, layout=None):
    """A nested tensor of a stretch of each row of a batch.

    Args: tensor: (N, T, *); dim: 1; start, length: ints, or a vector with one for each row; layout: as in
    `nested_tensor`. Raises: RuntimeError where a stretch reaches outside of its row."""
    jagged = _is_jagged(layout)
    if dim != 1:
        raise RuntimeError(f"torch.nested.narrow: only dim=1 supported for jagged layout, but got dim={dim}")
    n, t = tensor.shape[:2]
    starts, counts = [
        _row_indices("narrow", what, x) if isinstance(x, Tensor) else np.full(n, x, np.int64)
        for what, x in (("start", start), ("length", length))
    ]
    if starts.size != n or counts.size != n or (starts < 0).any() or (counts < 0).any() or (starts + counts > t).any():
        raise RuntimeError(f"narrow: start {starts.tolist()} and length {counts.tolist()} do not fit {n} rows of {t}")
    flat = tensor.reshape(n * t, *tensor.shape[2:])
    return _stretches(flat, starts + np.arange(n) * t, counts, 1, jagged)


@function(where="nested")
def masked_select(tensor, mask):
    """The elements of each row of a matrix where the mask is true, as a nested tensor."""
    if layout_of(mask).dtype is not bool_:
        raise RuntimeError(f"Expected mask to have dtype torch.bool, but got {layout_of(mask).dtype}")
    if tensor.dim() != 2:
        raise RuntimeError(f"masked_select only supports dense tensors of dim 2, but got {tensor.dim()}")
    wide = array_of(mask.expand(tensor.shape)) if mask.dim() == 2 else None
    if wide is None:
        raise RuntimeError(f"masked_select: mask must have 2 dims as tensor, but has {mask.dim()}")
    elements = tensor.reshape(-1).index_select(0, make_tensor(np.flatnonzero(wide)))
    return NestedTensor(elements, Rows.of_counts(wide.sum(1)), 1)


@function(where="nested")
def to_padded_tensor(input, padding, output_size=None, *, out=None):
    """A nested tensor as one ordinary tensor, rows filled up with `padding`: as the method."""
    if not isinstance(input, (NestedTensor, UnevenTensor)):
        raise RuntimeError("to_padded_tensor: expected a nested tensor")
    return input.to_padded_tensor(padding, output_size)


def _only_nested(name: str):
    def method(self, *args, **kwargs):
        raise NotImplementedError(f"{name} is defined for nested tensors")

    method.__name__ = method.__qualname__ = name
    method.__doc__ = "Defined for nested tensors; raises NotImplementedError for others."
    return method


Tensor.to_padded_tensor = _only_nested("to_padded_tensor")
