"""Reductions of the segments that a dim is cut into: of the rows of a nested tensor."""

from __future__ import annotations

import math

import numpy as np

from ..ir.dtypes import FLOAT, INT
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from .creation import tensor as make_tensor
from .declare import PUBLIC, function, not_implemented
from .nested import NestedTensor, Rows

EMPTY = {"sum": 0.0, "mean": math.nan, "max": -math.inf, "min": math.inf, "prod": 1.0}


def _boundaries(lengths, offsets, unsafe: bool, shape, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each segment begins, and how long it is: (*batch, segments)."""
    given = offsets if lengths is None else lengths
    lay = layout_of(given)
    if lay.dtype.category != INT:
        raise not_implemented("_segment_reduce_lengths_cpu_kernel1", lay.dtype)
    if lay.ndim - 1 != axis or lay.shape[:-1] != shape[:axis]:
        raise RuntimeError(
            f"segment_reduce(): Expected axis to be the last dimension of lengths but got {axis}: lengths or offsets have"
            f" shape {list(lay.shape)}, data {list(shape)}"
        )
    known, n = array_of(given).astype(np.int64), shape[axis]
    if lengths is None:
        starts, counts = known[..., :-1], np.diff(known)
    else:
        counts = known
        if (counts < 0).any():
            raise RuntimeError("lengths contains negative value! (segment_reduce)")
        if not unsafe and (counts.sum(-1) != n).any():
            raise RuntimeError(
                f"segment_reduce(): Expected all rows of lengths along axis to sum to data.size(lengths.dim()-1) when !unsafe."
                f" They sum to {counts.sum(-1).tolist()}, and the dim has {n} places"
            )
        starts = np.cumsum(counts, -1) - counts
    if (counts < 0).any() or (starts < 0).any() or (starts + counts > n).any():
        raise RuntimeError(f"segment_reduce(): segments must lie in order inside of {n} places: {known.tolist()}")
    return starts, counts


def _reduced(x: NestedTensor, reduce: str, initial) -> Tensor:
    rows = x._rows
    if reduce == "sum":
        out = x.sum(1)
        return out if initial is None else out + initial
    if reduce == "mean":
        total = x.sum(1) if initial is None else x.sum(1) + initial
        counts = rows.counts if initial is None else np.maximum(rows.counts, 1)
        return total / make_tensor(counts).to(layout_of(total).dtype).reshape(-1, *[1] * (total.dim() - 1))
    empty = EMPTY[reduce]
    if not rows.longest:
        out = x._elements.new_full((rows.number, *x._elements.shape[1:]), empty)
    else:
        wide = x.to_padded_tensor(empty)
        out = wide.prod(1) if reduce == "prod" else wide.amax(1) if reduce == "max" else wide.amin(1)
    if initial is None:
        return out
    return out * initial if reduce == "prod" else out.clamp(min=initial) if reduce == "max" else out.clamp(max=initial)


@function(where="torch")
def segment_reduce(data, reduce, *, lengths=None, indices=None, offsets=None, axis=0, unsafe=False, initial=None):
    """The sum, mean, max, min or product of each of the segments that a dim is cut into.

    Args:
        data: (*, N, ...), floating point; reduce: "sum", "mean", "max", "min" or "prod".
        lengths: (*, S), how long each segment is; offsets: (*, S + 1), where each begins and the last ends. One of both.
        axis: the dim that is cut. Default 0; unsafe: lengths need not add up to N. Default False.
        initial: where each reduction starts. Default None: an empty segment gives 0, NaN, -inf, inf or 1.
    Returns: (*, S, ...). Raises: RuntimeError where a segment does not fit."""
    if reduce not in EMPTY:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, max or min, got {reduce} (segment_reduce)")
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    if lengths is None and offsets is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    lay = layout_of(data)
    if lay.dtype.category != FLOAT:
        raise not_implemented("_segment_reduce_cpu", lay.dtype)
    axis = axis + lay.ndim if axis < 0 else axis
    batch, rest = tuple(lay.shape[:axis]), tuple(lay.shape[axis + 1 :])
    starts, counts = _boundaries(lengths, offsets, unsafe, lay.shape, axis)
    many, segments = math.prod(batch), starts.shape[-1]
    first = (starts.reshape(many, segments) + np.arange(many)[:, None] * lay.shape[axis]).reshape(-1)
    rows = Rows.of_counts(counts.reshape(-1))
    at = np.arange(rows.starts[-1]) + np.repeat(first - rows.starts[:-1], rows.counts)
    flat = data.reshape(many * lay.shape[axis], *rest).index_select(0, make_tensor(at))
    return _reduced(NestedTensor(flat, rows), reduce, initial).reshape(*batch, segments, *rest)


def _copied(name: str) -> None:
    """The part of a sparse tensor of that name in new memory: torch.values_copy and its kin."""

    def f(input, *, out=None):
        part = getattr(input, name)().clone()
        return part if out is None else out.copy_(part)

    f.__name__ = f.__qualname__ = f"{name}_copy"
    f.__doc__ = f"A copy of a sparse tensor's {name}()."
    PUBLIC["torch"][f.__name__] = f


for _name in "indices values crow_indices col_indices ccol_indices row_indices".split():
    _copied(_name)
