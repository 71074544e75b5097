"""Tables looked up by index: embedding, bags of embeddings, one-hot vectors."""

from __future__ import annotations

import warnings

import numpy as np

from ..ir.arrays import Symbolic, required
from ..ir.dtypes import FLOAT, bool_, int32, int64
from ..ir.shapes import Layout, layout, size
from ..trace.flush import array_of
from ..trace.handle import layout_of, translated
from .checks import known_values, tensor_function
from .creation import from_array
from .declare import assign, operation, primitive, scalar_name
from .joining import cat
from .masking import where

# --- rows of a table ----------------------------------------------------------------------------------------------


def check_index_dtype(name: str, what: str, lay: Layout) -> None:
    if lay.dtype not in (int64, int32):
        raise RuntimeError(
            f"Expected tensor for argument #1 '{what}' to have one of the following scalar types: Long, Int; but got"
            f" {scalar_name(lay.dtype)} instead (while checking arguments for {name}): convert it with .long()"
        )


def _lookup_rule(weight: Layout, indices: Layout, padding, by_count, name) -> Layout:
    if weight.ndim != 2:
        raise RuntimeError(f"'weight' must be 2-D, but {name} got one of shape {list(weight.shape)}")
    check_index_dtype(name, "indices", indices)
    return layout(size((*indices.shape, weight.shape[1])), None, weight.dtype, weight.device)


def check_indices(indices: np.ndarray, count: int, name: str) -> None:
    if not indices.size or required((indices >= 0) & (indices < count)):
        return
    at = [int(k) for k in np.argwhere((indices < 0) | (indices >= count))[0]]
    value = int(indices[tuple(at)])
    if name == "embedding_bag":
        raise RuntimeError(
            f"Index {at[0]} of input takes value {value} which is not in the valid range [0, {count}) ({name})"
        )
    raise IndexError(
        f"index out of range in self: {name} got {value} at position {at}, and its table has rows 0 to {count - 1}."
    )


def _lookup_gradient(g, out, weight, indices, padding, by_count, name):
    return add_rows(g, indices, weight.shape[0], padding, by_count)


@primitive(rule=_lookup_rule, gradient=_lookup_gradient, raw=True, name="embedding", grad_name="Embedding")
def lookup(weight, indices, padding, by_count, name):
    """Rows of weight; the row `padding` gets no gradient, and by_count divides gradients by how often a row occurs."""
    check_indices(indices, weight.shape[0], name)
    return np.take(weight, indices, axis=0)


def _add_rows_rule(g: Layout, indices: Layout, count: int, padding, by_count) -> Layout:
    return layout(size((count, g.shape[-1])), None, g.dtype, g.device)


def _add_rows_gradient(gg, out, g, indices, count, padding, by_count):
    back = lookup(gg, indices, None, False, "embedding")
    return back if padding is None and not by_count else back * _factors(indices, padding, by_count, gg.dtype)


@primitive(rule=_add_rows_rule, gradient=_add_rows_gradient, name="embedding_dense_backward")
def add_rows(g, indices, count, padding, by_count):
    """A table in which row i is the sum of the rows of g whose index is i."""
    width = g.shape[-1]
    rows, index = g.reshape(-1, width), indices.reshape(-1).astype(np.int64)
    if padding is not None or by_count:
        rows = rows * factors_of(index, padding, by_count, g.dtype)
    if isinstance(rows, Symbolic):
        return rows.summed_at(index, count)
    out = np.zeros(count * width, g.dtype)
    np.add.at(out, (index[:, None] * width + np.arange(width)).reshape(-1), np.ascontiguousarray(rows).reshape(-1))
    return out.reshape(count, width)


def factors_of(indices: np.ndarray, padding, by_count: bool, d) -> np.ndarray:
    """A column: 0 for the padding's index, and 1 over the number of times that an index occurs if asked for."""
    if by_count and indices.size:
        factors = 1 / np.bincount(indices.reshape(-1))[indices]
    else:
        factors = np.ones(indices.shape)
    if padding is not None:
        factors = np.where(indices == padding, 0, factors)
    return factors[..., None].astype(d)


@primitive(
    rule=lambda indices, padding, by_count, d: layout(size((*indices.shape, 1)), None, d, indices.device),
    differentiable=False,
    name="_row_factors",
)
def _factors(indices, padding, by_count, d):
    return factors_of(indices, padding, by_count, d.compute)


def _early(arguments: list) -> None:
    weight, indices, *_, name = arguments
    values = known_values(indices)
    if values is not None and layout_of(indices).dtype in (int64, int32) and layout_of(weight).ndim == 2:
        check_indices(values, layout_of(weight).shape[0], name)


lookup.operation.early = _early


@primitive(rule=lambda weight, indices, max_norm, norm_type: weight, differentiable=False, name="embedding_renorm")
def _renormed(weight, indices, max_norm, norm_type):
    check_indices(indices, weight.shape[0], "embedding")
    out = weight.copy()
    rows = np.unique(indices)
    length = np.linalg.norm(weight[rows], norm_type, axis=1)
    scale = np.where(length > max_norm, max_norm / (length + 1e-7), 1)
    out[rows] = weight[rows] * scale[:, None].astype(weight.dtype)
    return out


@tensor_function(where="torch")
def embedding_renorm_(weight, indices, max_norm, norm_type):
    """Scales the rows of weight that indices name to a norm of at most max_norm, in place."""
    check_index_dtype("embedding_renorm_", "indices", layout_of(indices))
    assign([weight], [_renormed(weight.detach(), indices, float(max_norm), float(norm_type))])
    return weight


def _padding(padding_idx, count: int):
    if padding_idx is None:
        return None
    if not -count <= padding_idx < count:
        raise AssertionError(f"Padding_idx must be within num_embeddings: {padding_idx} with {count} rows")
    return padding_idx % count


@tensor_function(where="nn.functional", name="embedding")
@translated
def functional_embedding(
    input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False
):
    """Rows of a table.

    Args:
        input: (*), integers; weight: (V, D).
        padding_idx: a row that gets no gradient. Default None.
        max_norm: rows that are looked up are scaled, in place, to this norm at most. Default None.
        norm_type: which norm. Default 2.0.
        scale_grad_by_freq: divide a row's gradient by how often it was looked up. Default False.
        sparse: the gradient is a sparse tensor, of the rows that were looked up. Default False.
    Returns: (*, D).
    Raises: IndexError for an index outside 0 to V - 1."""
    if padding_idx is not None:
        padding_idx = _padding(padding_idx, layout_of(weight).shape[0])
    if max_norm is not None:
        embedding_renorm_(weight, input, max_norm, norm_type)
    return _looked_up(weight, input, padding_idx, bool(scale_grad_by_freq), sparse)


def _looked_up(weight, indices, padding, by_count: bool, sparse: bool, name: str = "embedding"):
    if sparse:
        from .sparse_tensor import sparse_lookup  # which is made of these operations

        return sparse_lookup(weight, indices, padding, by_count, name)
    return lookup(weight, indices, padding, by_count, name)


@tensor_function(where="torch", name="embedding")
def embedding(weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    """As nn.functional.embedding, with the table first; a negative padding_idx means none."""
    return _looked_up(weight, indices, padding_idx if padding_idx >= 0 else None, bool(scale_grad_by_freq), sparse)


# --- bags ---------------------------------------------------------------------------------------------------------


def _bags_rule(offsets: Layout, n: int, last: bool) -> tuple[Layout, Layout]:
    check_index_dtype("embedding_bag", "offsets", offsets)
    if last and offsets.shape[0] == 0:
        raise RuntimeError("include_last_offset: number of offsets should be at least 1")
    return layout(size((n,)), None, int64, offsets.device), layout(size((n,)), None, bool_, offsets.device)


def check_offsets(offsets: np.ndarray, n: int) -> None:
    if isinstance(offsets, Symbolic):
        required(offsets[:1] == 0)
        required(offsets[-1:] <= n)
        required(offsets[1:] >= offsets[:-1])
        return
    if offsets.size and offsets[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0."
            f" However, got {int(offsets[0])}"
        )
    if offsets.size and offsets[-1] > n:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {n} but got offsets[-1] of {int(offsets[-1])}"
        )
    if (np.diff(offsets) < 0).any():
        raise RuntimeError(f"embedding_bag: offsets must not decrease, but got {offsets.tolist()}")


COMPARED = 1 << 20  # pairs of a place and an offset up to which compiled programs compare them all


@primitive(rule=_bags_rule, differentiable=False, name="_bag_numbers")
def _bag_numbers(offsets, n, last):
    """The bag that each index is in, and whether it is in any."""
    check_offsets(offsets, n)
    if isinstance(offsets, Symbolic) and n * offsets.size <= COMPARED:
        bags = (offsets[None] <= np.arange(n)[:, None]).sum(1) - 1  # type: ignore[index]
    else:
        bags = np.searchsorted(offsets, np.arange(n), side="right") - 1
    count = offsets.size - bool(last)
    inside = (bags >= 0) & (bags < count)
    return np.where(inside, bags, 0), inside


def _bag_max_rule(rows: Layout, bags: Layout, keep: Layout, count: int) -> tuple[Layout, Layout]:
    shape = size((count, rows.shape[1]))
    return layout(shape, None, rows.dtype, rows.device), layout(shape, None, int64, rows.device)


def _bag_max_gradient(g, out, rows, bags, keep, count):
    return _put_back(g[0], out[1], rows.shape[0])


@primitive(rule=_bag_max_rule, gradient=_bag_max_gradient, name="_bag_max", grad_name="EmbeddingBag")
def _bag_max(rows, bags, keep, count):
    """The largest of each bag's rows, number by number (0 for an empty bag), and which row it is of (-1 for none)."""
    n = rows.shape[0]
    position = np.full((count, rows.shape[1]), -1, np.int64)
    best = np.zeros((count, rows.shape[1]), rows.dtype)
    used = np.flatnonzero(keep)
    if used.size:
        rows, bags = rows[used], bags[used]
        begins = np.flatnonzero(np.diff(bags, prepend=-1))
        found = bags[begins]
        best[found] = np.maximum.reduceat(rows, begins, axis=0)
        largest = (rows == best[bags]) | np.isnan(rows)
        position[found] = np.minimum.reduceat(np.where(largest, used[:, None], n), begins, axis=0)
    return best, position


@primitive(
    rule=lambda g, position, n: layout(size((n, g.shape[1])), None, g.dtype, g.device),
    gradient=lambda gg, out, g, position, n: _take_at(gg, position),
    name="_bag_max_backward",
)
def _put_back(g, position, n):
    out = np.zeros((n, g.shape[1]), g.dtype)
    bag, column = np.nonzero(position >= 0)
    out[position[bag, column], column] = g[bag, column]
    return out


@primitive(
    rule=lambda x, position: layout(position.shape, None, x.dtype, x.device),
    gradient=lambda g, out, x, position: _put_back(g, position, x.shape[0]),
    name="_bag_max_double_backward",
)
def _take_at(x, position):
    taken = np.take_along_axis(x, np.maximum(position, 0), 0) if x.size else np.zeros(position.shape, x.dtype)
    return np.where(position >= 0, taken, 0).astype(x.dtype)


@operation(where="", name="embedding_bag", grad_name="EmbeddingBag")
def _embedding_bag(weight, indices, offsets, per_sample_weights, mode, last, padding, by_count):
    """(bags, bag of each index, sizes of the bags, positions of maxima)"""
    n = indices.shape[0]
    count = offsets.shape[0] - int(last)
    bags, keep = _bag_numbers(offsets, n, last)
    rows = lookup(weight, indices, padding, by_count, "embedding_bag")
    if padding is not None:
        keep = keep & (indices != padding)
    if mode == "max":
        out, position = _bag_max(rows, bags, keep, count)
        found = position >= 0
        which = indices.to(int64).index_select(0, position.clamp(min=0).reshape(-1)) if n else position.reshape(-1)
        sizes = add_rows(keep.to(int64).unsqueeze(-1), bags, count, None, False).reshape(-1)
        return out, bags, sizes, which.reshape(position.shape) * found
    share = keep.to(rows.dtype).unsqueeze(-1)
    rows = rows * (share if per_sample_weights is None else share * per_sample_weights.unsqueeze(-1))
    out = add_rows(rows, bags, count, None, False)
    sizes = add_rows(share, bags, count, None, False)
    whole = sizes.to(int64).reshape(-1)
    if mode == "mean":
        return out / sizes.clamp(min=1), bags, whole, whole.clone()
    return out, bags, whole * 0, whole * 0


def _bag_arguments(input, weight, offsets, mode: str, scale: bool, samples, padding_idx):
    """Checks; (indices, offsets, weights of the indices, padding row)."""
    lay, table = layout_of(input), layout_of(weight)
    if samples is not None and layout_of(samples).shape != lay.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({layout_of(samples).shape}) is not None, then it must have the same"
            f" shape as the input ({lay.shape})"
        )
    if lay.ndim == 2:
        if offsets is not None:
            raise ValueError("if input is 2D, then offsets has to be None: each row of the input is a bag")
        step = lay.shape[1]
        offsets = from_array(np.arange(lay.shape[0], dtype=np.int64) * step, int64)
        input = input.reshape(-1)
        samples = None if samples is None else samples.reshape(-1)
    elif lay.ndim != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {lay.ndim}")
    elif offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None: it says where the bags of a 1D input begin")
    elif layout_of(offsets).ndim != 1:
        raise ValueError(f"offsets has to be a 1D Tensor, and has {layout_of(offsets).ndim} dims")
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"mode has to be one of sum, mean or max, not {mode!r}")
    if mode == "max" and scale:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if samples is not None and mode != "sum":
        raise NotImplementedError(
            f"embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for"
            f" mode='sum' (got mode='{mode}')"
        )
    if samples is not None and layout_of(samples).dtype is not table.dtype:
        raise RuntimeError(
            f"embedding_bag: per_sample_weights is {layout_of(samples).dtype}, and weight {table.dtype}:"
            " give them one dtype"
        )
    check_index_dtype("embedding_bag", "indices", lay)
    if padding_idx is not None:
        rows = table.shape[0]
        if not -rows <= padding_idx < rows:
            raise RuntimeError(
                f"padding_idx must be within the number of embeddings, -{rows} through {rows - 1},"
                f" but got {padding_idx}"
            )
        padding_idx %= rows
    return input, offsets, samples, padding_idx


def _early_bags(arguments: list) -> None:
    weight, indices, offsets, *_ = arguments
    values = known_values(offsets)
    if values is not None and layout_of(offsets).dtype in (int64, int32):
        check_offsets(values, layout_of(indices).numel)
    _early([weight, indices, "embedding_bag"])


_embedding_bag.operation.early = _early_bags


def _sparse_bags(weight, indices, offsets, samples, mode, last, padding, by_count):
    """As _embedding_bag, with a sparse gradient: bags of the rows that were looked up."""
    if mode == "max":
        raise ValueError("max mode does not support sparse weights: use sparse=False, or mode sum or mean")
    rows = _looked_up(weight, indices, padding, by_count, True, "embedding_bag")
    n = layout_of(indices).shape[0]
    places = from_array(np.arange(n), int64)
    if padding is not None:  # one more row stands for it
        rows = cat([rows, rows.new_zeros((1, layout_of(rows).shape[1]))])
        places = where(indices == padding, n, places)
        padding = n
    return _embedding_bag(rows, places, offsets, samples, mode, last, padding, False)


@tensor_function(where="nn.functional", name="embedding_bag")
def functional_embedding_bag(
    input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode="mean", sparse=False,
    per_sample_weights=None, include_last_offset=False, padding_idx=None,
):  # fmt: skip
    """Sums, means or maxima of bags of a table's rows.

    Args:
        input: (B, N), each row a bag, or (N), bags beginning at `offsets` (B); weight: (V, D).
        mode: "sum", "mean" (default) or "max".
        per_sample_weights: factors of the rows, of the input's shape, for mode "sum". Default None.
        include_last_offset: the last offset is where the last bag ends. Default False.
        padding_idx: a row that does not count; max_norm, norm_type, scale_grad_by_freq, sparse: as in `embedding`.
    Returns: (B, D).
    Raises: RuntimeError for an index outside 0 to V - 1."""
    if layout_of(weight).dtype in (int64, int32) and layout_of(input).dtype.category == FLOAT:
        warnings.warn("embedding_bag takes the input first, then the weight: this order is deprecated.", stacklevel=3)
        input, weight = weight, input
    indices, offsets, samples, padding = _bag_arguments(
        input, weight, offsets, mode, scale_grad_by_freq, per_sample_weights, padding_idx
    )
    if max_norm is not None:
        embedding_renorm_(weight, indices, max_norm, norm_type)
    last, scale = bool(include_last_offset), bool(scale_grad_by_freq)
    bags = _sparse_bags if sparse else _embedding_bag
    return bags(weight, indices, offsets, samples, mode, last, padding, scale)[0]


@tensor_function(where="torch", name="embedding_bag")
def embedding_bag(
    weight, indices, offsets, scale_grad_by_freq=False, mode=0, sparse=False, per_sample_weights=None,
    include_last_offset=False, padding_idx=None,
):  # fmt: skip
    """As nn.functional.embedding_bag; mode 0 sum, 1 mean, 2 max.

    Returns: the bags, the bag of each index, the bags' sizes, and the rows that maxima are of."""
    if mode not in (0, 1, 2):
        raise ValueError(f"embedding_bag: mode is 0 (sum), 1 (mean) or 2 (max), not {mode!r}")
    name = ("sum", "mean", "max")[mode]
    indices, offsets, samples, padding = _bag_arguments(
        indices, weight, offsets, name, scale_grad_by_freq, per_sample_weights, padding_idx
    )
    last, scale = bool(include_last_offset), bool(scale_grad_by_freq)
    made = _sparse_bags if sparse else _embedding_bag
    out, bags, sizes, which = made(weight, indices, offsets, samples, name, last, padding, scale)
    return out, bags if mode else bags[:0], sizes, which


# --- one-hot vectors ----------------------------------------------------------------------------------------------


def check_one_hot(values: np.ndarray, num_classes: int) -> None:
    if isinstance(values, Symbolic):
        required((values >= 0) & (values < num_classes) if num_classes >= 0 else values >= 0)
        return
    if values.size and values.min() < 0:
        raise RuntimeError(f"Class values must be non-negative. one_hot got {int(values.min())}")
    if values.size and num_classes >= 0 and values.max() >= num_classes:
        raise RuntimeError(
            f"Class values must be smaller than num_classes. one_hot got {int(values.max())}, num_classes={num_classes}"
        )


@primitive(
    rule=lambda input, n: layout(size((*input.shape, n)), None, int64, input.device),
    differentiable=False,
    name="one_hot",
)
def _one_hot(input, n):
    check_one_hot(input, n)
    return (input[..., None] == np.arange(n)).astype(np.int64)


def _early_one_hot(arguments: list) -> None:
    values = known_values(arguments[0])
    if values is not None:
        check_one_hot(values, arguments[1])


_one_hot.operation.early = _early_one_hot


@tensor_function(where="nn.functional")
def one_hot(input, num_classes=-1):
    """Vectors of zeros with a one at the class: (*, num_classes), int64.

    Args: input: (*), int64, not negative; num_classes: default -1, one more than the largest class."""
    lay = layout_of(input)
    if lay.dtype is not int64:
        raise RuntimeError(f"one_hot is only applicable to index tensor of type LongTensor, not {lay.dtype}.")
    if lay.numel == 0 and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor: give one_hot num_classes.")
    if num_classes == -1:
        values = array_of(input)
        check_one_hot(values, -1)
        num_classes = int(values.max()) + 1
    elif num_classes < 1:
        raise RuntimeError(f"Class values must be smaller than num_classes. one_hot got num_classes={num_classes}")
    return _one_hot(input, int(num_classes))
