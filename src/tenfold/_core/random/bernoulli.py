"""Coin flips, and the masks of the dropout family and of the randomized leaky ReLU."""

from __future__ import annotations

import math

import numpy as np

from tenfold._core.random.arguments import (
    Shape,
    as_shape,
    find_dtype,
    find_floating,
    number_of_elements,
    round_to,
    show,
    unsupported,
)
from tenfold._core.random.engine import Engine
from tenfold._core.random.uniform import fractions32, fractions64

_CHUNK = 1 << 15
_MASK53 = np.uint64(2**53 - 1)


def bernoulli(engine: Engine, shape: Shape, dtype: str = "float32", p: float = 0.5) -> np.ndarray:
    """One with probability `p`, else zero, in any real dtype.

    Raises:
        RuntimeError: `p` is not between 0 and 1.
    """
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={show(p)}")
    kind = find_dtype(dtype, "bernoulli_scalar_cpu_")
    sizes = as_shape(shape)
    result = np.empty(number_of_elements(sizes), kind.array)
    # The 53-bit fraction is below p exactly if its integer is below this bound.
    bound = np.uint64(math.ceil(p * 2.0**53))
    for start in range(0, len(result), _CHUNK):
        part = result[start : start + _CHUNK]
        pairs = engine.random64(len(part))
        pairs &= _MASK53
        part[...] = pairs < bound
    return result.reshape(sizes)


def bernoulli_tensor(
    engine: Engine, p: np.ndarray, p_dtype: str = "float32", shape: Shape | None = None, dtype: str | None = None
) -> np.ndarray:
    """One with the probability at the same place of `p`, else zero.

    Args:
        p: probabilities, broadcast to `shape`.
        p_dtype: their dtype; it decides how many words a flip takes.
        shape: that of the result. Default: that of `p`.
        dtype: that of the result. Default: `p_dtype`.
    Raises:
        RuntimeError: a probability is not between 0 and 1.
    """
    p_kind = find_dtype(p_dtype, "bernoulli_tensor_cpu_p_")
    if not p_kind.is_floating:
        raise unsupported("bernoulli_tensor_cpu_p_", p_kind.label)
    kind = find_dtype(dtype or p_dtype, "bernoulli_tensor_cpu_self_")
    sizes = np.shape(p) if shape is None else as_shape(shape)
    inside = (p >= 0) & (p <= 1)
    if not np.all(inside):
        wrong = p[~inside].flat[0]
        raise RuntimeError(f"Expected p_in >= 0 && p_in <= 1 to be true: bernoulli got the probability {show(wrong)}")
    fractions = fractions64 if p_kind.name == "float64" else fractions32
    draws = fractions(engine, number_of_elements(sizes)).reshape(sizes)
    return (draws < p).astype(kind.array)


def dropout_mask(engine: Engine, shape: Shape, dtype: str = "float32", p: float = 0.5) -> np.ndarray:
    """The ones (kept, with probability 1 - p) and zeros of one dropout call in training, not yet scaled.

    What each caller does with it, `noise` being this mask:

    - `dropout`: shape of the input. ``noise /= 1 - p`` in the dtype of the input, then ``input * noise``.
    - `feature_dropout` (dropout1d, 2d, 3d): shape from `feature_noise_shape`, the batch added first
      where the layer was given none; the rest as above.
    - `alpha_dropout`, `feature_alpha_dropout`: shapes as the two above. With alpha = 1.7580993408473766 and
      ``a = 1 / sqrt((alpha**2 * p + 1) * (1 - p))``: ``bias = (noise - 1) * alpha * a + alpha * a * p``,
      result ``input * (noise * a) + bias``.

    No call is made, and no word drawn, when `p` is 0, when `p` is 1 (the result is zero), when the input has no
    element, or outside training.
    """
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {show(p)}")
    find_floating(dtype, "bernoulli_scalar_cpu_")
    return bernoulli(engine, shape, dtype, 1.0 - p)


def feature_noise_shape(shape: Shape) -> tuple[int, ...]:
    """The mask's shape for dropout of whole features: (N, C, *) gives (N, C, 1, ...)."""
    sizes = as_shape(shape)
    if len(sizes) < 2:
        raise RuntimeError(f"Feature dropout requires at least 2 dimensions in the input, but it has shape {sizes}")
    return sizes[:2] + (1,) * (len(sizes) - 2)


def rrelu_noise(
    engine: Engine, input: np.ndarray, dtype: str = "float32", lower: float = 1 / 8, upper: float = 1 / 3
) -> np.ndarray:
    """The slopes of the randomized leaky ReLU in training: 1 where `input` is positive, else uniform.

    Words are drawn for the elements that are not positive only, in memory order.
    """
    if not lower <= upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    kind = find_floating(dtype, "rrelu_with_noise_out_cpu")
    if kind.name == "float16":
        raise unsupported("rrelu_with_noise_out_cpu", kind.label)
    slopes = np.ones(input.shape, kind.array)
    negative = input <= 0
    draws = fractions64(engine, int(np.count_nonzero(negative)))
    # The bounds are rounded to the precision of the arithmetic first, float32 for bfloat16 too.
    first, last = (float(kind.array.type(bound)) for bound in (lower, upper))
    slopes[negative] = round_to(draws * (last - first) + first, kind)
    return slopes
