"""How operations apply to all slices of a vmap at once, by the kind of their declaration.

A rule gets a Spec (of one slice), its operands (`Slices`, or a tensor or number that is the same for all) and the Batch, and
returns the results with the slices in front, or None where it does not cover the case. A dim of size 1 that it leaves too
much or too little, and a dtype, are put right by its caller. Compositions need no rule: they are followed by their parts."""

from __future__ import annotations

from collections.abc import Callable

from ..ir.operation import TENSOR
from ..ir.shapes import size
from ..ir.special import ACCUMULATE, CAST, SUM_TO
from ..trace.handle import layout_of
from .batching import RULES, Slices, call
from .declare import OPERATIONS, can_cast, promoted
from .sequences import arange


def operation(name: str, *args):
    return OPERATIONS[name].call(*args)


# --- element by element -----------------------------------------------------------------------------------------------


def elementwise(spec, operands, batch):
    """Dims are aligned from the right; the slices stand in front of the most dims that there are."""
    lays = spec.lays
    ndim = max([l.ndim for l in lays])
    given = [x if l.number else batch.aligned(x, ndim) for x, l in zip(operands, lays)]
    if getattr(spec.op, "compute", None) is not None and len(lays) > 1:
        d = promoted(lays)
        seen = [l if l.number else layout_of(x) for x, l in zip(given, lays)]
        if promoted(seen) is not d:  # what has no dims in a slice has one here, and counts for more
            given = [x if l.number or l.dtype is d else CAST.call(x, d) for x, l in zip(given, lays)]
    return call(spec, given)


def where(spec, operands, batch):
    ndim = max([l.ndim for l in spec.lays])
    d = spec.outs[0].dtype
    given = [batch.aligned(operands[0], ndim)]
    for x, l in zip(operands[1:], spec.lays[1:]):
        if not l.number:
            x = batch.aligned(x, ndim)
            x = CAST.call(x, d) if l.dtype is not d and can_cast(l.dtype, d) else x
        given.append(x)
    return call(spec, given)


def masked_fill(spec, operands, batch):
    x, mask, value = operands
    ndim = max(spec.lays[0].ndim, spec.lays[1].ndim)
    x, mask = batch.aligned(Slices(batch.wide(x)), ndim), batch.aligned(mask, ndim)
    if not spec.lays[2].number and not (type(value) is not Slices and spec.lays[2].ndim == 0):
        value = CAST.call(batch.aligned(value, ndim), spec.lays[0].dtype)
        return operation("where", mask, value, x)
    return call(spec, [x, mask, value])


# --- along dims -------------------------------------------------------------------------------------------------------


def further(dims):
    """Dims, counted one further."""
    if isinstance(dims, int):
        return dims + 1 if dims >= 0 else dims
    return tuple([d + 1 if d >= 0 else d for d in dims])


def along(name: str, *, empty_is_all: bool = False) -> Callable:
    """A rule for an operation along dims, which are the argument of that name; all of its tensors have these dims.
    `empty_is_all`: no dims mean all."""

    def rule(spec, operands, batch):
        n = spec.lays[0].ndim
        if any([not l.number and l.ndim != n for l in spec.lays]):
            return None
        given = [x if l.number else batch.wide(x) for x, l in zip(operands, spec.lays)]
        if not n:
            given = [x if l.number else x.unsqueeze(1) for x, l in zip(given, spec.lays)]
        k = spec.op.position[name]
        dims = spec.static[k]
        if dims is None or dims == () and empty_is_all:
            if spec.op.name in ("argmax", "argmin"):
                given = [given[0].reshape(batch.size, -1)]
                dims = 1
            else:
                dims = tuple(range(1, max(n, 1) + 1))
        else:
            dims = further(dims) if n or isinstance(dims, int) else (1,)
        return call(spec, given, [*spec.static[:k], dims, *spec.static[k + 1 :]])

    return rule


def roll(spec, operands, batch):
    """Without dims the elements of each slice are rolled as if they were one dim."""
    _, shifts, dims = spec.static
    t = batch.wide(operands[0])
    if not dims and shifts:
        return call(spec, [t.reshape((batch.size, -1))], [*spec.static[:2], (1,)])
    return call(spec, [t], [*spec.static[:2], further(dims)])


def along_shape(spec, operands, batch):
    """Gathers and scatters along a dim into a shape that is an argument."""
    if not spec.lays[0].ndim:
        return None
    given = [batch.wide(x) for x in operands]
    _, _, dim, shape, *rest = spec.static
    return call(spec, given, [*spec.static[:2], further(dim), size((batch.size, *shape)), *rest])


def sum_to(spec, operands, batch):
    """Leading dims that are summed away are kept until the end, of size 1."""
    shape = spec.static[1]
    lead = spec.lays[0].ndim - len(shape)
    return SUM_TO.call(operands[0].tensor, size((batch.size, *(1,) * lead, *shape)))


def joined(spec, operands, batch):
    """Tensors are joined along a dim, counted one further. Vectors without elements fit to anything."""
    k = spec.op.position["dim"]
    ndim = spec.outs[0].ndim
    kept = [x for x, l in zip(operands, spec.lays) if spec.op.name == "stack" or l.shape != (0,) or ndim == 1]
    return spec.op.call([batch.wide(x) for x in kept], further(spec.static[k]))


# --- other dims in front ----------------------------------------------------------------------------------------------


def in_front(spec, operands, batch):
    """For an operation that takes any dims in front, as many for each of its tensors: the slices are one of them."""
    if len({l.ndim for l in spec.lays if not l.number}) > 1:
        return None
    return call(spec, [x if l.number else batch.wide(x) for x, l in zip(operands, spec.lays)])


def by_samples(spec, operands, batch):
    """For an operation on (samples, *), each for itself: the samples of all slices are its samples."""
    given = []
    for x, l in zip(operands, spec.lays):
        given.append(x if l.number else batch.wide(x).reshape((batch.size * l.shape[0], *l.shape[1:])))
    return call(spec, given)


def clone(spec, operands, batch):
    return operands[0].tensor.clone()


def broadcast_in_front(spec, operands, batch):
    """As `in_front`, where dims in front broadcast: they are aligned."""
    ndim = max([l.ndim for l in spec.lays])
    return call(spec, [x if l.number else batch.aligned(x, ndim) for x, l in zip(operands, spec.lays)])


# --- products ---------------------------------------------------------------------------------------------------------


def _matrix(x, ndim: int, column: bool):
    """A factor as a matrix: a vector is a row, or a column."""
    t = x.tensor if type(x) is Slices else x
    return t.unsqueeze(-1 if column else -2) if ndim == 1 else t


def matmul(spec, operands, batch):
    a, b = spec.lays
    if a.ndim == 0 or b.ndim == 0:
        return None
    x = _matrix(operands[0], a.ndim, False)
    y = _matrix(operands[1], b.ndim, True)
    ndim = max(a.ndim, b.ndim, 2)
    if type(operands[0]) is Slices:
        x = batch.aligned(Slices(x), ndim)
    if type(operands[1]) is Slices:
        y = batch.aligned(Slices(y), ndim)
    return call(spec, [x, y])


def linear(spec, operands, batch):
    x, weight, *bias = operands
    if type(weight) is not Slices and not any([type(b) is Slices for b in bias]):
        return call(spec, [x.tensor, weight, *bias])
    if spec.lays[1].ndim != 2:
        return None
    ndim = spec.lays[0].ndim
    x = batch.aligned(x, max(ndim, 2)) if type(x) is Slices else x if ndim > 1 else x.unsqueeze(0)
    w = weight.tensor.mT if type(weight) is Slices else weight.mT
    if type(weight) is Slices and ndim > 2:
        w = w.reshape((batch.size, *(1,) * (ndim - 2), *layout_of(w).shape[1:]))
    out = operation("matmul", x, w)
    if ndim == 1:
        out = out.squeeze(-2)
    return out + batch.aligned(bias[0], max(ndim, 1)) if bias else out


def conv(spec, operands, batch):
    """Samples of all slices together; filters that differ between slices are so many groups."""
    x, weight = operands
    geometry = list(spec.static[2:])
    a, b = spec.lays
    if type(weight) is not Slices:
        return call(spec, [batch.wide(x).reshape((batch.size * a.shape[0], *a.shape[1:])), weight])
    w = weight.tensor.reshape((batch.size * b.shape[0], *b.shape[1:]))
    geometry[-1] *= batch.size
    return _apart(call(spec, [_channels(x, a, batch), w], [*spec.static[:2], *geometry]), batch)


def _channels(x, lay, batch):
    """(N, C, *) of each slice as (N, slices * C, *)."""
    t = batch.wide(x).transpose(0, 1)
    return t.reshape((lay.shape[0], batch.size * lay.shape[1], *lay.shape[2:]))


def _apart(t, batch):
    """(N, slices * C, *) as (slices, N, C, *)."""
    n, c, *rest = layout_of(t).shape
    return t.reshape((n, batch.size, c // batch.size, *rest)).transpose(0, 1)


def conv_weight(spec, operands, batch):
    g, x = operands
    geometry = list(spec.static[3:])
    geometry[-1] *= batch.size
    static = [*spec.static[:3], *geometry]
    return call(spec, [_channels(g, spec.lays[0], batch), _channels(x, spec.lays[1], batch)], static)


# --- rows by number ---------------------------------------------------------------------------------------------------


def _numbers(batch, ndim: int):
    """The number of each slice, before `ndim` dims."""
    return arange(batch.size).reshape((batch.size, *(1,) * ndim))


def index(spec, operands, batch):
    x, *indices = operands
    dims = spec.static[1]
    adjacent = dims == tuple(range(dims[0], dims[0] + len(dims)))
    ndim = max([l.ndim for l in spec.lays[1:]])
    if not any([type(i) is Slices for i in indices]):
        out = spec.op.call(x.tensor, further(dims), indices)
        return out if adjacent else out.movedim(ndim, 0)
    given = [_numbers(batch, ndim), *[batch.aligned(i, ndim) for i in indices]]
    out = spec.op.call(batch.wide(x), (0, *further(dims)), given)
    return _indexed(out, dims[0] if adjacent else 0, ndim, False)


def _indexed(t, front: int, ndim: int, back: bool):
    """(slices, indices' dims, the rest) with `front` dims of the rest before those of the indices; or `back`."""
    if not front:
        return t
    n = layout_of(t).ndim
    at = list(range(1 + ndim, 1 + ndim + front))
    order = [0, *at, *range(1, 1 + ndim), *range(1 + ndim + front, n)]
    if back:
        order = [order.index(d) for d in range(n)]
    return t.permute(order)


def index_put(spec, operands, batch):
    x, *indices, value = operands
    dims = spec.static[1]
    adjacent = dims == tuple(range(dims[0], dims[0] + len(dims)))
    lays = spec.lays[1:-1]
    ndim = max([l.ndim for l in lays])
    shape = OPERATIONS["index"].rule(spec.lays[0], dims, list(lays)).shape
    v = batch.wide(batch.aligned(value, len(shape)) if type(value) is not Slices else value)
    if type(value) is Slices:
        v = batch.aligned(value, len(shape))
    elif layout_of(v).ndim <= len(shape):
        v = v.reshape((batch.size, *(1,) * (len(shape) + 1 - layout_of(v).ndim), *layout_of(v).shape[1:]))
    v = v.expand((batch.size, *shape))
    # where the slices' numbers stand next to those of the indices, the indices' dims stay where they are
    front = dims[0] if adjacent else 0
    given = [_numbers(batch, ndim), *[batch.aligned(i, ndim) for i in indices]]
    return spec.op.call(batch.wide(x), (0, *further(dims)), given, _indexed(v, front, ndim, True), spec.static[-1])


def index_select(spec, operands, batch):
    x, numbers = operands
    dim = spec.static[1]
    if not spec.lays[0].ndim:
        return None
    if type(numbers) is not Slices:
        return spec.op.call(x.tensor, further(dim), numbers)
    return operation("gather", batch.wide(x), dim + 1, _spread_numbers(numbers, dim, spec.outs[0].shape, batch))


def _spread_numbers(numbers, dim: int, shape, batch):
    """Numbers along a dim of that shape, for all places of the others."""
    lead = (1,) * dim
    tail = (1,) * (len(shape) - dim - 1)
    return batch.wide(numbers).reshape((batch.size, *lead, -1, *tail)).expand((batch.size, *shape))


def index_write(spec, operands, batch):
    x, numbers, source = operands
    dim, how, include_self = spec.static[1], *spec.static[4:]
    base = spec.lays[0]
    if not base.ndim or not spec.lays[2].number and spec.lays[2].ndim != base.ndim:
        return None
    if type(numbers) is not Slices:
        source = source if spec.lays[2].number else batch.wide(source)
        return call(spec, [batch.wide(x), numbers, source], [spec.static[0], further(dim), *spec.static[2:]])
    shape = tuple([spec.lays[1].numel if d == dim else n for d, n in enumerate(base.shape)])
    source = source if spec.lays[2].number else batch.wide(source)
    at = _spread_numbers(numbers, dim, shape, batch)
    return operation("scatter", batch.wide(x), dim + 1, at, source, how, include_self)


def embedding(spec, operands, batch):
    weight, numbers = operands
    if type(weight) is not Slices:
        return call(spec, [weight, numbers.tensor])
    rows, width = spec.lays[0].shape
    if spec.static[2] is not None or spec.static[3]:
        return None
    first = _numbers(batch, spec.lays[1].ndim) * rows
    return call(spec, [weight.tensor.reshape((batch.size * rows, width)), batch.wide(numbers) + first])


def embedding_backward(spec, operands, batch):
    g, numbers = operands
    _, _, count, padding, by_count = spec.static
    if padding is not None or by_count:
        return None
    numbers = batch.wide(numbers) + _numbers(batch, spec.lays[1].ndim) * count
    return call(spec, [batch.wide(g), numbers], [*spec.static[:2], count * batch.size, padding, by_count])


# --- normalisation ----------------------------------------------------------------------------------------------------


def standardize(spec, operands, batch):
    """Along axes; what broadcasts (a weight) is aligned."""
    k = spec.op.position["axes"]
    ndim = spec.lays[0].ndim
    given = [batch.wide(x) if l.ndim == ndim else batch.aligned(x, ndim) for x, l in zip(operands, spec.lays)]
    return call(spec, given, [*spec.static[:k], further(spec.static[k]), *spec.static[k + 1 :]])


def sum_rows(spec, operands, batch):
    lead = spec.lays[0].ndim - spec.static[1]
    t = operands[0].tensor
    return t.sum(tuple(range(1, lead + 1))) if lead else t


def layer_norm_weight(spec, operands, batch):
    g, x, mean, rstd = (batch.wide(v) for v in operands)
    lead = spec.lays[0].ndim - spec.static[-1]
    t = g * ((x - mean) * rstd)
    return t.sum(tuple(range(1, lead + 1))) if lead else t


# --- classes ----------------------------------------------------------------------------------------------------------


def likelihood(spec, operands, batch):
    """Losses of classes and their gradients: the samples of all slices at once, not reduced; then each slice for itself."""
    it = iter(operands)
    given = {p: next(it) if s is TENSOR else s for p, s in zip(spec.op.params, spec.static)}
    if type(given["weight"]) is Slices:
        return None
    name, reduction = spec.op.name, given["reduction"]
    lays = dict(zip([p for p, s in zip(spec.op.params, spec.static) if s is TENSOR], spec.lays))
    for p, x in given.items():
        if p in ("input", "logp", "gg"):
            given[p] = _samples(batch.wide(x), lays[p].ndim > 1)
    target = batch.wide(given["target"])
    given["target"] = _samples(target, lays["target"].ndim > 0)
    given["reduction"] = "none"
    tensors = [x for x in (given.get("input"), given.get("logp"), given.get("gg")) if x is not None]
    zero = operation("full_", size(()), 0, layout_of(tensors[0]).dtype)
    dims = tuple(range(1, layout_of(target).ndim))

    if name in ("nll_loss_backward", "_nll_of_scores_backward"):
        g = batch.wide(given["g"])
        if reduction != "none":
            if reduction == "mean":
                g = g / _not_zero(batch.wide(given["total"]))
            g = batch.aligned(Slices(g), len(dims)).expand(layout_of(target).shape)
        given["g"] = g.reshape(layout_of(given["target"]).shape)
        given["total"] = zero
        return spec.op.call(*given.values())
    if "total" in given:
        total, given["total"] = batch.wide(given["total"]), zero
        loss = spec.op.call(*given.values()).reshape(layout_of(target).shape)
        if reduction == "none":
            return loss
        loss = loss.sum(dims) if dims else loss
        return loss / _not_zero(total) if reduction == "mean" else loss
    loss, nothing, *logp = spec.op.call(*given.values())
    loss = loss.reshape(layout_of(target).shape)
    total = batch.wide(nothing)
    if reduction != "none":
        weights = operation("_nll_factors", target, given["weight"], zero, given["ignore_index"], "sum")
        loss, total = (x.sum(dims) if dims else x for x in (loss, weights))
        loss = loss / total if reduction == "mean" else loss
    return (loss, total, *logp)


def _samples(t, several: bool):
    """(slices, N, *) as (slices * N, *)."""
    shape = layout_of(t).shape
    return t.reshape((shape[0] * shape[1], *shape[2:])) if several else t


def _not_zero(total):
    """Sums of weights, 1 where they are 0: then every target is ignored."""
    return total + (total == 0)


def likelihood_factors(spec, operands, batch):
    target, *weight, total = operands
    if weight and type(weight[0]) is Slices:
        return None
    static = list(spec.static)
    mean, static[-1] = static[-1] == "mean", "sum"
    zero = operation("full_", size(()), 0, spec.outs[0].dtype)
    made = call(spec, [batch.wide(target), *weight, zero], static)
    return made / batch.aligned(Slices(_not_zero(batch.wide(total))), spec.lays[0].ndim) if mean else made


# --- the table --------------------------------------------------------------------------------------------------------

BY_NAME: dict[Callable, str] = {
    elementwise: "frexp nextafter complex polar zero_where",
    where: "where",
    masked_fill: "masked_fill",
    along(
        "dim"
    ): """_prod argmax argmin _extreme _cumsum _cumprod _delay _recurrence _logcumsumexp _running_extreme _sort
        _topk _kth _median _mode _softmax _softmax_backward_data _log_softmax glu gather scatter _cross _weighed""",
    along("dim", empty_is_all=True): "sum mean any all",
    along("dims"): "_sum _count_nonzero _logsumexp _amax _amin flip _dft _half_dft _from_half",
    roll: "roll",
    along_shape: "_put_along _take_along",
    joined: "cat stack",
    in_front: """tril triu _inv _info _cofactor _det _slogdet _solve _solve_triangular _cholesky _qr _svd _eigh _eig _lu _permutation
        _expm _pinv _geqrf _columns one_hot from_front _max_pool _avg_pool _avg_pool_spread _max_unpool _pad _pad_near
        _pad_near_back _adaptive_avg_pool _adaptive_avg_pool_spread _adaptive_max_pool _resample _resample_back
        _binary_cross_entropy _searchsorted _cdist _rank _cholesky_info _ldl _ldl_solve _at_least""",
    by_samples: "_im2col _col2im _overlap_add",
    broadcast_in_front: "_attention_weights",
    clone: "clone clone_strided",
    matmul: "matmul",
    linear: "linear",
    conv: "_conv _conv_input",
    conv_weight: "_conv_weight",
    index: "index",
    index_put: "index_put",
    index_select: "index_select",
    index_write: "index_write",
    embedding: "embedding",
    embedding_backward: "embedding_dense_backward",
    standardize: "_standardize _standardize_backward _layer_norm_backward",
    sum_rows: "_sum_rows",
    layer_norm_weight: "_layer_norm_weight_gradient",
    likelihood: """nll_loss nll_loss_backward nll_loss_double_backward _nll_of_scores _nll_of_scores_backward""",
    likelihood_factors: "_nll_factors",
}
RULES.update({OPERATIONS[name]: rule for rule, names in BY_NAME.items() for name in names.split()})
RULES.update({CAST: in_front, ACCUMULATE: in_front, SUM_TO: sum_to, "elementwise": elementwise})
