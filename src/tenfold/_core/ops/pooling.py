"""Pooling with fixed windows: the greatest of each, their mean, their norm; and unpooling.

Primitives work on the last dims and take canonical arguments: tuples, and `count`, the number of windows in each dim.
Pools whose windows adapt to the size of the result are in adaptive.py."""

from __future__ import annotations

import itertools

import numpy as np

from ..errors import shape_text
from ..ir.arrays import as_array, full, known, required, zeros
from ..ir.dtypes import bool_, int64
from ..ir.shapes import Layout, layout, size
from .conv import ordered_like
from .declare import not_implemented, operation, primitive, publish
from .extremes import scattered, taken
from .matmul import takes_tensors
from .windows import pad_last, reach, volume

# --- the greatest ---------------------------------------------------------------------------------------------


def flat_scatter(g, indices, sizes, unique: bool):
    """Zeros whose last dims are `sizes`, with g added at the indices into them, flattened."""
    lead = g.shape[: g.dim() - len(sizes)]
    places = volume(g.shape[len(lead) :])
    flat = g.reshape(*lead, places), indices.reshape(*lead, places)
    spread = scattered(flat[0], len(lead), flat[1], (*lead, volume(sizes)), unique)
    return spread.reshape(*lead, *sizes)


def _max_rule(input: Layout, kernel, stride, padding, dilation, count) -> tuple[Layout, Layout]:
    values = ordered_like((*input.shape[: input.ndim - len(kernel)], *count), input)
    return values, layout(values.shape, values.strides, int64, input.device)


def _max_gradient(g, out, input, kernel, stride, padding, dilation, count):
    unique = all(s >= reach(k, d) for s, k, d in zip(stride, kernel, dilation))
    return flat_scatter(g[0], out[1], input.shape[input.dim() - len(kernel) :], unique)


def lowest(d: np.dtype):
    return np.iinfo(d).min if d.kind in "iu" else -np.inf


def window_pads(sizes, kernel, stride, padding, dilation, count) -> list[tuple[int, int]]:
    """What goes around each dim so that all windows lie inside."""
    steps = zip(sizes, kernel, stride, padding, dilation, count)
    return [(p, max(0, (c - 1) * s + reach(k, d) - n - p)) for n, k, s, p, d, c in steps]


def _first_places(sizes, stride, padding, dilation, count) -> np.ndarray:
    """For each window, the flat index of its first place that is inside the input."""
    out = np.zeros((), np.int64)
    for n, s, p, d, c in zip(sizes, stride, padding, dilation, count):
        start = np.arange(c) * s - p
        start += np.maximum(0, -(start // d)) * d
        out = out[..., None] * n + start
    return out


@primitive(rule=_max_rule, gradient=_max_gradient, where="", name="_max_pool", grad_name="MaxPool2DWithIndices")
def _max_pool(input, kernel, stride, padding, dilation, count):
    """The greatest of each window and its flat index in the input's last dims; the last NaN counts as greatest."""
    n = len(kernel)
    sizes = input.shape[input.ndim - n :]
    low = lowest(input.dtype)
    x = pad_last(input, window_pads(sizes, kernel, stride, padding, dilation, count), low)
    shape = (*input.shape[: input.ndim - n], *count)
    best = full(shape, low, input.dtype, input)
    where = _first_places(sizes, stride, padding, dilation, count)
    where = np.broadcast_to(known(where, input), shape).copy()
    origin = np.zeros((), np.int64)
    for m, s, p, c in zip(sizes, stride, padding, count):
        origin = origin[..., None] * m + (np.arange(c) * s - p)
    steps = [volume(sizes[i + 1 :]) for i in range(n)]
    floating = input.dtype.kind == "f"
    for k in itertools.product(*[range(m) for m in kernel]):
        at = tuple([slice(i * d, i * d + s * (c - 1) + 1, s) for i, d, s, c in zip(k, dilation, stride, count)])
        candidate = x[(..., *at)]
        better = candidate > best
        if floating:
            better |= candidate != candidate
        np.copyto(best, candidate, where=better)
        shift = sum([i * d * t for i, d, t in zip(k, dilation, steps)])
        np.copyto(where, origin + shift, where=better)
    return best, where


# --- the mean -------------------------------------------------------------------------------------------------


def _divisors(sizes, kernel, stride, padding, count, include_pad: bool, divisor) -> np.ndarray | int:
    """How many places each window counts: all, or those inside the input."""
    if divisor is not None:
        return divisor
    out = np.ones((), np.int64)
    for n, k, s, p, c in zip(sizes, kernel, stride, padding, count):
        start = np.arange(c) * s - p
        end = np.minimum(start + k, n + p)
        if not include_pad:
            start = np.maximum(start, 0)
            end = np.minimum(end, n)
        out = out[..., None] * (end - start)
    return out


def _divide(total: np.ndarray, by) -> np.ndarray:
    if total.dtype.kind in "iu":
        return np.trunc(total / by).astype(total.dtype)
    return total / as_array(by).astype(total.dtype)


def _mean_rule(input: Layout, kernel, stride, padding, count, include_pad, divisor) -> Layout:
    return ordered_like((*input.shape[: input.ndim - len(kernel)], *count), input)


def _mean_gradient(g, out, input, kernel, stride, padding, count, include_pad, divisor):
    sizes = tuple(input.shape[input.dim() - len(kernel) :])
    return _mean_spread(g, sizes, kernel, stride, padding, count, include_pad, divisor)


@primitive(rule=_mean_rule, gradient=_mean_gradient, where="", name="_avg_pool", grad_name="AvgPool2D")
def _avg_pool(input, kernel, stride, padding, count, include_pad, divisor):
    """The mean of each window over the last dims."""
    n = len(kernel)
    sizes = input.shape[input.ndim - n :]
    ones = (1,) * n
    x = pad_last(input, window_pads(sizes, kernel, stride, padding, ones, count))
    total = zeros((*input.shape[: input.ndim - n], *count), input.dtype, input)
    for k in itertools.product(*[range(m) for m in kernel]):
        at = tuple([slice(i, i + s * (c - 1) + 1, s) for i, s, c in zip(k, stride, count)])
        total += x[(..., *at)]
    return _divide(total, _divisors(sizes, kernel, stride, padding, count, include_pad, divisor))


def _spread_rule(g: Layout, sizes, kernel, stride, padding, count, include_pad, divisor) -> Layout:
    return layout(size((*g.shape[: g.ndim - len(sizes)], *sizes)), None, g.dtype, g.device)


def _spread_gradient(gg, out, g, sizes, kernel, stride, padding, count, include_pad, divisor):
    return _avg_pool(gg, kernel, stride, padding, count, include_pad, divisor)


@primitive(
    rule=_spread_rule, gradient=_spread_gradient, where="", name="_avg_pool_spread", grad_name="AvgPool2DBackward"
)
def _mean_spread(g, sizes, kernel, stride, padding, count, include_pad, divisor):
    """Each window's cotangent, in equal parts over its places."""
    n = len(kernel)
    part = _divide(g, _divisors(sizes, kernel, stride, padding, count, include_pad, divisor))
    pads = window_pads(sizes, kernel, stride, padding, (1,) * n, count)
    lead = g.shape[: g.ndim - n]
    out = zeros((*lead, *[m + a + b for m, (a, b) in zip(sizes, pads)]), g.dtype, g)
    for k in itertools.product(*[range(m) for m in kernel]):
        at = tuple([slice(i, i + s * (c - 1) + 1, s) for i, s, c in zip(k, stride, count)])
        out[(..., *at)] += part
    return out[(..., *[slice(a, a + m) for m, (a, _) in zip(sizes, pads)])]


# --- arguments ------------------------------------------------------------------------------------------------


def ints(name: str, argument: str, value, n: int) -> tuple[int, ...]:
    """An int for each of n dims. TypeError, RuntimeError."""
    items = value if isinstance(value, (tuple, list)) else (value,)
    for v in items:
        if not hasattr(v, "__index__"):
            raise TypeError(f"{name}(): argument '{argument}' must be tuple of ints, not {type(v).__name__}")
    if len(items) not in (1, n):
        raise RuntimeError(f"{name}: {argument} must either be a single int, or a tuple of {n} ints; it is {value!r}")
    out = tuple([int(v) for v in items])
    return out * n if len(out) == 1 else out


def check_dims(name: str, input, n: int) -> None:
    """RuntimeError unless input is (C, ...) or (N, C, ...), and no dim but the batch's is empty."""
    d = input.dim()
    if d not in (n + 1, n + 2) or 0 in input.shape[d - n - 1 :]:
        raise RuntimeError(
            f"{name}: Expected {n + 1}D or {n + 2}D (batch mode) tensor with optional 0 dim batch size for input, but"
            f" got:"
            f"{shape_text(input.shape)}"
        )


def _geometry(name: str, n: int, input, kernel_size, stride, padding, dilation, ceil_mode):
    """kernel, stride, padding, dilation as tuples, and the number of windows in each dim."""
    kernel = ints(name, "kernel_size", kernel_size, n)
    empty = stride is None or (isinstance(stride, (tuple, list)) and not stride)
    strides = kernel if empty else ints(name, "stride", stride, n)
    pads = ints(name, "padding", padding, n)
    dilations = ints(name, "dilation", dilation, n)
    if any(k <= 0 for k in kernel) or any(s <= 0 for s in strides):
        raise RuntimeError(
            f"{name}: kernel_size and stride should be greater than zero, stride should not be zero; got"
            f" kernel_size={list(kernel)} stride={list(strides)}"
        )
    if any(d <= 0 for d in dilations):
        raise RuntimeError(f"{name}: dilation should be greater than zero, but got dilation={list(dilations)}")
    for p, k, d in zip(pads, kernel, dilations):
        if p < 0:
            raise RuntimeError(f"{name}: pad must be non-negative, but got pad: {p}")
        if p > reach(k, d) // 2:
            raise RuntimeError(
                f"{name}: pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and"
                f" dilation={d}"
            )
    check_dims(name, input, n)
    sizes = input.shape[input.dim() - n :]
    count = tuple([pooled_size(*v, ceil_mode) for v in zip(sizes, kernel, strides, pads, dilations)])
    if any(c <= 0 for c in count):
        texts = ["x".join(map(str, (input.shape[input.dim() - n - 1], *v))) for v in (sizes, count)]
        raise RuntimeError(
            f"{name}: Given input size: ({texts[0]}). Calculated output size: ({texts[1]}). Output size is too small"
        )
    return kernel, strides, pads, dilations, count


def pooled_size(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows fit; with ceil_mode also one that reaches beyond the end, if it begins inside."""
    span = n + 2 * padding - reach(kernel, dilation)
    out = -(-span // stride) + 1 if ceil_mode else span // stride + 1
    if ceil_mode and (out - 1) * stride >= n + padding:
        out -= 1
    return out


def _refuse_dtype(name: str, input, integers: bool) -> None:
    d = input.dtype
    if d is bool_ or d.is_complex or (not integers and not d.is_floating_point):
        raise not_implemented(name, d)


def _maximum(name: str, n: int, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    kernel, strides, pads, dilations, count = _geometry(
        name, n, input, kernel_size, stride, padding, dilation, ceil_mode
    )
    _refuse_dtype(name, input, n > 1)
    values, indices = _max_pool(input, kernel, strides, pads, dilations, count)
    return (values, indices) if return_indices else values


# --- public: the greatest -------------------------------------------------------------------------------------


@operation(where="torch nn.functional", grad_name="SqueezeBackward1")
def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The greatest element of each window over the last dim.

    Args:
        input: (N, C, L) or (C, L).
        kernel_size, stride, padding, dilation: ints; stride None means kernel_size. Defaults None, 0, 1.
        ceil_mode: also take a last window that reaches beyond the end. Default False.
        return_indices: also return the positions, int64. Default False.
    Returns: (N, C, L') or (values, indices)."""
    return _maximum("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@operation(where="torch nn.functional", grad_name="MaxPool2DWithIndices")
def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The greatest element of each window over the last two dims.

    Args: as in `max_pool1d`, with an int or two for each: input (N, C, H, W) or (C, H, W). Indices count in H * W."""
    return _maximum("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@operation(where="torch nn.functional", grad_name="MaxPool3DWithIndices")
def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The greatest element of each window over the last three dims.

    Args: as in `max_pool1d`, with an int or three for each: input (N, C, D, H, W) or (C, D, H, W)."""
    return _maximum("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def with_indices(pool, where: str):
    """The form of a pool that always returns (values, indices)."""

    def pooled(input, *args, **kwargs):
        kwargs["return_indices"] = True
        return pool(input, *args[:5], **kwargs)

    pooled.__name__ = pooled.__qualname__ = f"{pool.__name__}_with_indices"
    pooled.__doc__ = f"`{pool.__name__}` with its indices: (values, indices)."
    publish(pooled, pooled.__name__, where)
    return pooled


with_indices(max_pool1d, "torch nn.functional")
with_indices(max_pool2d, "nn.functional")
with_indices(max_pool3d, "nn.functional")


# --- public: means and norms ----------------------------------------------------------------------------------


def _average(name: str, n: int, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    if divisor_override == 0:
        raise RuntimeError(f"divisor must be not zero: {name} got divisor_override=0")
    kernel, strides, pads, _, count = _geometry(name, n, input, kernel_size, stride, padding, 1, ceil_mode)
    _refuse_dtype(name, input, True)
    return _avg_pool(input, kernel, strides, pads, count, bool(count_include_pad), divisor_override)


@operation(where="torch nn.functional", grad_name="SqueezeBackward1")
def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window over the last dim.

    Args:
        input: (N, C, L) or (C, L).
        kernel_size, stride, padding: ints; stride None means kernel_size. Defaults None, 0.
        ceil_mode: also take a last window that reaches beyond the end. Default False.
        count_include_pad: the zeros of the padding count in the mean. Default True."""
    return _average("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@operation(where="nn.functional", grad_name="AvgPool2D", out=True)
def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of each window over the last two dims.

    Args: as in `avg_pool1d`, with an int or two for each; divisor_override: divide by this instead. Default None."""
    return _average(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@operation(where="nn.functional", grad_name="AvgPool3D", out=True)
def avg_pool3d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of each window over the last three dims.

    Args: as in `avg_pool1d`, with an int or three for each; divisor_override: divide by this instead. Default None."""
    return _average(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _norm(n: int, input, norm_type, kernel_size, stride, ceil_mode):
    name = f"lp_pool{n}d"
    kernel = ints(name, "kernel_size", kernel_size, n)
    power = float(norm_type)
    means = _average(name, n, input.pow(power), kernel, stride, 0, ceil_mode, True, None)
    return (means.sign() * means.abs().relu() * volume(kernel)).pow(1.0 / power)


@operation(where="nn.functional", grad_name="Pow")
def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The norm of each window over the last dim: (sum of x ** norm_type) ** (1 / norm_type).

    Args: as in `avg_pool1d`; norm_type: a number."""
    return _norm(1, input, norm_type, kernel_size, stride, ceil_mode)


@operation(where="nn.functional", grad_name="Pow")
def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The norm of each window over the last two dims: (sum of x ** norm_type) ** (1 / norm_type).

    Args: as in `avg_pool2d`; norm_type: a number."""
    return _norm(2, input, norm_type, kernel_size, stride, ceil_mode)


@operation(where="nn.functional", grad_name="Pow")
def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The norm of each window over the last three dims: (sum of x ** norm_type) ** (1 / norm_type).

    Args: as in `avg_pool3d`; norm_type: a number."""
    return _norm(3, input, norm_type, kernel_size, stride, ceil_mode)


# --- unpooling ------------------------------------------------------------------------------------------------


def _unpool_rule(input: Layout, indices: Layout, sizes) -> Layout:
    return ordered_like((*input.shape[: input.ndim - len(sizes)], *sizes), input)


def _unpool_gradient(g, out, input, indices, sizes):
    lead = input.shape[: input.dim() - len(sizes)]
    places = volume(input.shape[len(lead) :])
    flat = taken(g.reshape(*lead, volume(sizes)), len(lead), indices.reshape(*lead, places), False)
    return flat.reshape(input.shape), None


@primitive(rule=_unpool_rule, gradient=_unpool_gradient, where="", name="_max_unpool", grad_name="MaxUnpool2D")
def _unpool(input, indices, sizes):
    """Zeros with the elements of input at the flat indices into the last dims."""
    lead = input.shape[: input.ndim - len(sizes)]
    total = volume(sizes)
    bad = (indices < 0) | (indices >= total)
    if not required(~bad):
        at = [int(i) for i in np.argwhere(bad)[0]]
        text = "x".join(map(str, sizes))
        raise RuntimeError(
            f"Found an invalid max index: {int(indices[tuple(at)])} at position {at} (output volumes are of size"
            f" {text}): max_unpool takes the indices that"
            f" max_pool returned, and a result as large as what was pooled"
        )
    out = zeros((*lead, total), input.dtype, input)
    places = volume(input.shape[len(lead) :])
    np.put_along_axis(out, indices.reshape(*lead, places), input.reshape(*lead, places), -1)
    return out.reshape(*lead, *sizes)


_unpool.operation.blind = frozenset((1,))


def _unpooled(n: int, input, indices, kernel_size, stride, padding, output_size):
    name = f"max_unpool{n}d"
    kernel = ints(name, "kernel_size", kernel_size, n)
    strides = kernel if stride is None else ints(name, "stride", stride, n)
    pads = ints(name, "padding", padding, n)
    check_dims(name, input, n)
    if indices.dtype is not int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices.dtype} ({name})")
    if indices.shape != input.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({shape_text(input.shape)}) but got"
            f" indices tensor with shape:"
            f" {shape_text(indices.shape)} ({name})"
        )
    plain = [(m - 1) * s + k - 2 * p for m, s, k, p in zip(input.shape[input.dim() - n :], strides, kernel, pads)]
    return _unpool(input, indices, _unpooled_sizes(name, n, plain, strides, output_size))


def _unpooled_sizes(name: str, n: int, plain, strides, output_size) -> tuple[int, ...]:
    """The result's last dims: those that the pool's arguments say, or output_size if it is near them."""
    if output_size is None:
        return tuple(plain)
    given = list(output_size)
    if len(given) == n + 2:
        given = given[2:]
    if len(given) != n:
        raise ValueError(
            f"output_size should be a sequence containing {n} or {n + 2} elements, but it has a length of"
            f" '{len(given)}' ({name})"
        )
    for d, (m, p, s) in enumerate(zip(given, plain, strides)):
        if not p - s < m < p + s:
            raise ValueError(
                f'invalid output_size "{output_size}" (dim {d} must be between {p - s} and {p + s}) in {name}'
            )
    return tuple([int(m) for m in given])


@operation(where="nn.functional", grad_name="SqueezeBackward1")
def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Puts the results of `max_pool1d` back where they were; zeros elsewhere.

    Args: input, indices: (N, C, L) or (C, L), as the pool returned them; kernel_size, stride, padding: the pool's;
        output_size: the size that was pooled, where several give the same result. Default None.
    Raises: RuntimeError for an index outside the result; ValueError for an output_size that cannot be."""
    return _unpooled(1, input, indices, kernel_size, stride, padding, output_size)


@operation(where="nn.functional", grad_name="MaxUnpool2D")
def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Puts the results of `max_pool2d` back where they were; zeros elsewhere.

    Args: as in `max_unpool1d`, with two dims."""
    return _unpooled(2, input, indices, kernel_size, stride, padding, output_size)


@operation(where="nn.functional", grad_name="MaxUnpool3D")
def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Puts the results of `max_pool3d` back where they were; zeros elsewhere.

    Args: as in `max_unpool1d`, with three dims."""
    return _unpooled(3, input, indices, kernel_size, stride, padding, output_size)


for _f in (max_pool1d, max_pool2d, max_pool3d, avg_pool1d, avg_pool2d, avg_pool3d, lp_pool1d, lp_pool2d, lp_pool3d):
    takes_tensors(_f, "input")
for _f in (max_unpool1d, max_unpool2d, max_unpool3d):
    takes_tensors(_f, "input", "indices")
