"""Pooling into a given number of bins: adaptive means and maxima, and the maxima of windows placed at random.

Bin i of m over n places spans floor(i n / m) to ceil((i + 1) n / m)."""

from __future__ import annotations

import itertools

import numpy as np

from ..errors import shape_text
from ..ir.arrays import Symbolic, known, zeros
from ..ir.dtypes import decode, dtype, encode, int64
from ..ir.shapes import Layout, layout, size
from ..trace.handle import layout_of
from .conv import ordered_like
from .declare import function, not_implemented, operation, primitive, publish
from .matmul import takes_tensors
from .pooling import flat_scatter, ints
from .random import rand
from .windows import volume


def bins(n: int, m: int) -> list[tuple[int, int]]:
    """Where each of m bins over n places begins and ends."""
    return [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


def _result_rule(input: Layout, sizes) -> Layout:
    return ordered_like((*input.shape[: input.ndim - len(sizes)], *sizes), input)


# --- means ----------------------------------------------------------------------------------------------------


def _bin_sizes(sizes, counts) -> np.ndarray:
    out = np.ones((), np.int64)
    for n, m in zip(sizes, counts):
        out = out[..., None] * np.array([b - a for a, b in bins(n, m)], np.int64)
    return out


def _sum_bins(x: np.ndarray, axis: int, m: int) -> np.ndarray:
    """The sum of each of m bins along an axis."""
    n = x.shape[axis]
    if m and n % m == 0:
        return x.reshape(*x.shape[:axis], m, n // m, *x.shape[axis + 1 :]).sum(axis + 1, dtype=x.dtype)
    out = zeros((*x.shape[:axis], m, *x.shape[axis + 1 :]), x.dtype, x)
    place = (slice(None),) * axis
    for i, (a, b) in enumerate(bins(n, m)):
        out[(*place, i)] = x[(*place, slice(a, b))].sum(axis, dtype=x.dtype)
    return out


def _mean_gradient(g, out, input, counts):
    return _spread_means(g, tuple(input.shape[input.dim() - len(counts) :]))


@primitive(
    rule=_result_rule, gradient=_mean_gradient, where="", name="_adaptive_avg_pool", grad_name="AdaptiveAvgPool2D"
)
def _bin_means(input, counts):
    """The mean of each bin over the last dims."""
    lead = input.ndim - len(counts)
    total = input
    for axis, m in enumerate(counts, lead):
        total = _sum_bins(total, axis, m)
    return total / _bin_sizes(input.shape[lead:], counts).astype(input.dtype)


@primitive(
    rule=_result_rule,
    gradient=lambda gg, out, g, sizes: _bin_means(gg, tuple(g.shape[g.dim() - len(sizes) :])),
    where="",
    name="_adaptive_avg_pool_spread",
    grad_name="AdaptiveAvgPool2DBackward",
)
def _spread_means(g, sizes):
    """Each bin's cotangent, in equal parts over its places."""
    lead = g.ndim - len(sizes)
    part = g / _bin_sizes(sizes, g.shape[lead:]).astype(g.dtype)
    for axis, n in enumerate(sizes, lead):
        place = (slice(None),) * axis
        out = zeros((*part.shape[:axis], n, *part.shape[axis + 1 :]), g.dtype, g)
        for i, (a, b) in enumerate(bins(n, part.shape[axis])):
            out[(*place, slice(a, b))] += part[(*place, slice(i, i + 1))]
        part = out
    return part


# --- maxima ---------------------------------------------------------------------------------------------------


def last_greatest(x: np.ndarray) -> np.ndarray:
    """The place of the greatest along the last axis: the first of equals, but the last NaN before all."""
    at = x.argmax(-1)
    if x.dtype.kind == "f":
        wrong = np.isnan(x)
        if isinstance(x, Symbolic) or wrong.any():
            last = x.shape[-1] - 1 - wrong[..., ::-1].argmax(-1)
            at = np.where(wrong.any(-1), last, at)
    return at


def _pair_rule(input: Layout, counts) -> tuple[Layout, Layout]:
    values = _result_rule(input, counts)
    return values, layout(values.shape, values.strides, int64, input.device)


def _max_gradient(g, out, input, counts):
    sizes = input.shape[input.dim() - len(counts) :]
    return flat_scatter(g[0], out[1], sizes, all(m and n % m == 0 for n, m in zip(sizes, counts)))


@primitive(rule=_pair_rule, gradient=_max_gradient, where="", name="_adaptive_max_pool", grad_name="AdaptiveMaxPool2D")
def _bin_maxima(input, counts):
    """The greatest of each bin over the last dims, and its flat index in them."""
    n = len(counts)
    sizes = input.shape[input.ndim - n :]
    lead = input.shape[: input.ndim - n]
    values = zeros((*lead, *counts), input.dtype, input)
    indices = zeros((*lead, *counts), np.int64, input)
    place = np.arange(volume(sizes)).reshape(sizes)
    for at in itertools.product(*[range(m) for m in counts]):
        spans = tuple([slice(*bins(k, m)[i]) for i, k, m in zip(at, sizes, counts)])
        block = input[(..., *spans)]
        block = block.reshape(*lead, volume(block.shape[len(lead) :]))
        best = last_greatest(block)
        values[(..., *at)] = np.take_along_axis(block, best[..., None], -1)[..., 0]
        indices[(..., *at)] = known(place[spans].reshape(-1), best)[best]
    return values, indices


# --- arguments ------------------------------------------------------------------------------------------------


def _counts(name: str, input, n: int, output_size) -> tuple[int, ...]:
    """The number of bins in each dim; None keeps the dim's size. TypeError, RuntimeError."""
    d = input.dim()
    if n > 1 and isinstance(output_size, (tuple, list)) and d <= len(output_size):
        raise ValueError(
            f"Input dimension should be at least {len(output_size) + 1}: {name} got {shape_text(input.shape)}"
        )
    if d not in (n + 1, n + 2):
        raise RuntimeError(f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got {shape_text(input.shape)}")
    sizes = input.shape[d - n :]
    given = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * n
    if len(given) != n:
        raise RuntimeError(f"{name}: output_size must be {n} ints (or one); it is {output_size!r}")
    for v in given:
        if v is not None and not hasattr(v, "__index__"):
            raise TypeError(f"{name}(): argument 'output_size' must be tuple of ints, not {type(v).__name__}")
    counts = tuple([k if v is None else int(v) for v, k in zip(given, sizes)])
    if any(m < 0 for m in counts):
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0 but received {list(counts)}"
        )
    for i in range(d - n - 1, d):
        if input.shape[i] == 0:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes"
                f" {shape_text(input.shape)} with"
                f" dimension {i} being empty"
            )
    if not input.dtype.is_floating_point:
        raise not_implemented(name, input.dtype)
    return counts


def _means(n: int, input, output_size):
    return _bin_means(input, _counts(f"adaptive_avg_pool{n}d", input, n, output_size))


@operation(where="torch nn.functional", grad_name="SqueezeBackward1")
def adaptive_avg_pool1d(input, output_size):
    """The means of `output_size` bins over the last dim.

    Args: input: (N, C, L) or (C, L); output_size: an int. Returns: (N, C, output_size)."""
    return _means(1, input, output_size)


@operation(where="nn.functional", grad_name="AdaptiveAvgPool2D")
def adaptive_avg_pool2d(input, output_size):
    """The means of bins over the last two dims.

    Args: input: (N, C, H, W) or (C, H, W); output_size: an int or two; None keeps a dim's size."""
    return _means(2, input, output_size)


@operation(where="nn.functional", grad_name="AdaptiveAvgPool3D")
def adaptive_avg_pool3d(input, output_size):
    """The means of bins over the last three dims.

    Args: input: (N, C, D, H, W) or (C, D, H, W); output_size: an int or three; None keeps a dim's size."""
    return _means(3, input, output_size)


def _maxima(n: int, input, output_size, return_indices: bool):
    found = _bin_maxima(input, _counts(f"adaptive_max_pool{n}d", input, n, output_size))
    return tuple(found) if return_indices else found[0]


@operation(where="nn.functional", grad_name="SqueezeBackward1")
def adaptive_max_pool1d(input, output_size, return_indices=False):
    """The greatest elements of `output_size` bins over the last dim.

    Args: input: (N, C, L) or (C, L); output_size: an int; return_indices: also return their positions, int64."""
    return _maxima(1, input, output_size, return_indices)


@operation(where="nn.functional", grad_name="AdaptiveMaxPool2D")
def adaptive_max_pool2d(input, output_size, return_indices=False):
    """The greatest elements of bins over the last two dims.

    Args: as in `adaptive_avg_pool2d`; return_indices: also return their positions, counted in H * W."""
    return _maxima(2, input, output_size, return_indices)


@operation(where="nn.functional", grad_name="AdaptiveMaxPool3D")
def adaptive_max_pool3d(input, output_size, return_indices=False):
    """The greatest elements of bins over the last three dims.

    Args: as in `adaptive_avg_pool3d`; return_indices: also return their positions, counted in D * H * W."""
    return _maxima(3, input, output_size, return_indices)


def _with_indices(pool, name: str, where: str) -> None:
    def pooled(input, output_size, return_indices=False):
        return pool(input, output_size, True)

    pooled.__name__ = pooled.__qualname__ = name
    pooled.__doc__ = f"`{pool.__name__}` with its indices: (values, indices)."
    publish(pooled, name, where)


_with_indices(adaptive_max_pool1d, "adaptive_max_pool1d", "torch")
_with_indices(adaptive_max_pool1d, "adaptive_max_pool1d_with_indices", "nn.functional")
_with_indices(adaptive_max_pool2d, "adaptive_max_pool2d_with_indices", "nn.functional")
_with_indices(adaptive_max_pool3d, "adaptive_max_pool3d_with_indices", "nn.functional")


# --- windows placed at random ---------------------------------------------------------------------------------


def _random_rule(input: Layout, samples: Layout, kernel, counts, d) -> tuple[Layout, Layout]:
    shape = size((*input.shape[: input.ndim - len(counts)], *counts))
    return layout(shape, None, input.dtype, input.device), layout(shape, None, int64, input.device)


def _random_gradient(g, out, input, samples, kernel, counts, d):
    return flat_scatter(g[0], out[1], input.shape[input.dim() - len(counts) :], False), None


def _starts(samples: np.ndarray, n: int, kernel: int, m: int, d: dtype) -> np.ndarray:
    """Where each of m windows over n places begins: floor((i + u) a) - floor(u a) for a sample u, the last at the end.

    Every step is rounded to the dtype of the input, on which the places depend."""
    out = np.full((*samples.shape, m), n - kernel, np.int64)
    if m > 1:
        step = _rounded(np.asarray((n - kernel) / (m - 1), samples.dtype), d)
        u = samples[..., None]
        at = _rounded(_rounded(np.arange(m - 1, dtype=samples.dtype) + u, d) * step, d)
        out[..., :-1] = at.astype(np.int64) - _rounded(u * step, d).astype(np.int64)
    return out


def _rounded(x: np.ndarray, d: dtype) -> np.ndarray:
    return decode(encode(x, d), d) if d.half else x


@primitive(
    rule=_random_rule, gradient=_random_gradient, where="", name="_fractional_max_pool", grad_name="FractionalMaxPool2D"
)
def _fractional(input, samples, kernel, counts, d):
    """The greatest of windows of one size whose places the samples decide, and its flat index in the last dims."""
    n = len(counts)
    sizes = input.shape[input.ndim - n :]
    lead = input.shape[: input.ndim - n]
    samples = samples.reshape(*lead, n)
    place = np.zeros(lead, np.int64)
    for axis, (k, w, m) in enumerate(zip(sizes, kernel, counts)):
        # two dims take their samples in the order W, H; three in the order D, H, W
        start = _starts(samples[..., n - 1 - axis if n == 2 else axis], k, w, m, d)
        along = start[..., :, None] + np.arange(w)
        shape = [*lead, *[1] * (2 * axis), m, w]
        place = place[..., None, None] * k + along.reshape(shape)
    order = [*range(len(lead)), *range(len(lead), place.ndim, 2), *range(len(lead) + 1, place.ndim, 2)]
    place = place.transpose(order).reshape(*lead, volume(counts) * volume(kernel))
    block = np.take_along_axis(input.reshape(*lead, volume(sizes)), place, -1).reshape(*lead, *counts, volume(kernel))
    best = last_greatest(block)[..., None]
    indices = np.take_along_axis(place.reshape(block.shape), best, -1)[..., 0]
    return np.take_along_axis(block, best, -1)[..., 0], indices


_fractional.operation.blind = frozenset((1,))


@operation(where="", name="fractional_max_pool", grad_name="FractionalMaxPool2D")
def _fractional_pair(input, samples, kernel, counts):
    return tuple(_fractional(input, samples, kernel, counts, input.dtype))


def _random_counts(name: str, n: int, input, kernel, output_size, output_ratio) -> tuple[int, ...]:
    lay = layout_of(input)
    if lay.ndim not in (n + 1, n + 2) or 0 in lay.shape[lay.ndim - n - 1 :]:
        raise RuntimeError(
            f"{name}: Expected {n + 1}D or {n + 2}D tensor with non-empty dims, but got: {shape_text(lay.shape)}"
        )
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    sizes = lay.shape[lay.ndim - n :]
    if output_size is None:
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * n
        counts = tuple([int(k * r) for k, r in zip(sizes, ratios)])
    else:
        counts = ints(name, "output_size", output_size, n)
    for k, w, m in zip(sizes, kernel, counts):
        if m + w - 1 > k or m < 1:
            raise RuntimeError(f"{name}(): pool size {w} too large relative to input size {k}, for {m} windows")
    return counts


def _fractional_pool(n: int, input, kernel_size, output_size, output_ratio, samples):
    name = f"fractional_max_pool{n}d"
    kernel = ints(name, "kernel_size", kernel_size, n)
    counts = _random_counts(name, n, input, kernel, output_size, output_ratio)
    lay = layout_of(input)
    if not lay.dtype.is_floating_point:
        raise not_implemented(name, lay.dtype)
    lead = lay.shape[: lay.ndim - n]
    batch = (1, *lead) if len(lead) == 1 else lead
    if samples is None:
        samples = rand(*batch, n, dtype=lay.dtype)
    _check_samples(name, lay, layout_of(samples), (*batch, n))
    if layout_of(samples).shape[0] > batch[0]:
        samples = samples[: batch[0]]
    return _fractional_pair(input, samples, kernel, counts)


def _check_samples(name: str, lay: Layout, samples: Layout, shape) -> None:
    if samples.dtype is not lay.dtype:
        raise RuntimeError(
            f"Expect _random_samples to have the same dtype as input: {name} got {samples.dtype} and {lay.dtype}"
        )
    have = tuple(samples.shape)
    if len(have) != 3 or have[0] < shape[0] or have[1:] != tuple(shape[1:]):
        raise RuntimeError(f"Expect _random_samples of size {list(shape)}; {name} got {shape_text(have)}")


def _publish_fractional(n: int) -> None:
    def pair(input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None):
        return _fractional_pool(n, input, kernel_size, output_size, output_ratio, _random_samples)

    def pool(input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None):
        found = _fractional_pool(n, input, kernel_size, output_size, output_ratio, _random_samples)
        return found if return_indices else found[0]

    pool.__name__ = pool.__qualname__ = f"fractional_max_pool{n}d"
    pool.__doc__ = f"""The greatest elements of windows of one size, placed at random over the last {n} dims.

    Args:
        kernel_size: of the windows, an int or {n}.
        output_size: how many windows, an int or {n}; or output_ratio: that in parts of the input's size, below 1.
        return_indices: also return the positions, int64. Default False.
    Source: Graham 2014, Fractional max-pooling."""
    pair.__name__ = pair.__qualname__ = f"fractional_max_pool{n}d_with_indices"
    pair.__doc__ = f"`fractional_max_pool{n}d` with its indices: (values, indices)."
    function(where="nn.functional")(pool)
    function(where="nn.functional")(pair)


_publish_fractional(2)
_publish_fractional(3)
for _f in (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
):
    takes_tensors(_f, "input")
