"""torch.masked: reductions and normalisations of the elements that a bool mask keeps.

A result for which no element was kept is that of an empty tensor: 0 for a sum, 1 for a product, NaN for a mean."""

import math

import tenfold

__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]

# --- shared ---------------------------------------------------------------------------------------------------


def _is_integer(dtype):
    return not dtype.is_floating_point and not dtype.is_complex


def _kept(input, mask, fill):
    """input with `fill` at the places that the mask does not keep."""
    if mask is None:
        return input
    return tenfold.where(mask, input, tenfold.full((), fill, dtype=input.dtype))


def _least(dtype):
    return tenfold.iinfo(dtype).min if _is_integer(dtype) else -math.inf


def _greatest(dtype):
    return tenfold.iinfo(dtype).max if _is_integer(dtype) else math.inf


def _dims(input, dim):
    """All dims for None or (), else a tuple of dims that are not negative."""
    n = input.dim()
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(n))
    dims = dim if isinstance(dim, (tuple, list)) else (dim,)
    for d in dims:
        if not -max(n, 1) <= d < max(n, 1):
            raise IndexError(f"Dimension out of range: masked operations take dims of {n}-d tensors, not {d}")
    out = tuple(d % n for d in dims) if n else ()
    if len(set(out)) != len(out):
        raise RuntimeError(f"dim appears multiple times in the list of dims {tuple(dims)}")
    return out


def _summed_dtype(input, dtype):
    if dtype is not None:
        return dtype
    return tenfold.int64 if _is_integer(input.dtype) else input.dtype


def _floating(name, input, dtype):
    dtype = input.dtype if dtype is None else dtype
    if _is_integer(dtype):
        raise ValueError(
            f"{name}(): Could not infer output dtype. Input dtype must be either a floating point or complex dtype."
            f" Got: {dtype}"
        )
    return dtype


# --- sums and products ----------------------------------------------------------------------------------------


def sum(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Sum of the elements kept, over all dims or those given."""
    x = _kept(input.to(_summed_dtype(input, dtype)), mask, 0)
    dims = _dims(input, dim)
    return x.sum(dims, keepdim) if dims else x.clone()


def prod(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Product of the elements kept, over all dims or those given."""
    x = _kept(input.to(_summed_dtype(input, dtype)), mask, 1)
    for d in sorted(_dims(input, dim), reverse=True):
        x = x.prod(d, keepdim)
    return x


def cumsum(input, dim, *, dtype=None, mask=None):
    """Running sum of the elements kept along dim."""
    return _kept(input.to(_summed_dtype(input, dtype)), mask, 0).cumsum(dim)


def cumprod(input, dim, *, dtype=None, mask=None):
    """Running product of the elements kept along dim."""
    return _kept(input.to(_summed_dtype(input, dtype)), mask, 1).cumprod(dim)


# --- extremes -------------------------------------------------------------------------------------------------


def _extreme(over, fill, input, dim, keepdim, dtype, mask):
    x = input.to(input.dtype if dtype is None else dtype)
    dims = _dims(input, dim)
    x = _kept(x, mask, fill(x.dtype))
    return over(x, dims, keepdim) if dims else x.clone()


def amax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The greatest element kept, over all dims or those given."""
    return _extreme(tenfold.amax, _least, input, dim, keepdim, dtype, mask)


def amin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The least element kept, over all dims or those given."""
    return _extreme(tenfold.amin, _greatest, input, dim, keepdim, dtype, mask)


def argmax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The position of the greatest element kept, in `dtype` (default that of input)."""
    dtype = input.dtype if dtype is None else dtype
    return _kept(input, mask, _least(input.dtype)).argmax(dim, keepdim).to(dtype)


def argmin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The position of the least element kept, in `dtype` (default that of input)."""
    dtype = input.dtype if dtype is None else dtype
    return _kept(input, mask, _greatest(input.dtype)).argmin(dim, keepdim).to(dtype)


# --- moments --------------------------------------------------------------------------------------------------


def _count(input, dims, keepdim, mask):
    """How many elements are kept for each result."""
    kept = (
        tenfold.ones(input.shape, dtype=tenfold.int64) if mask is None else mask.expand(input.shape).to(tenfold.int64)
    )
    return kept.sum(dims, keepdim) if dims else kept


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Mean of the elements kept, over all dims or those given."""
    dtype = _floating("mean", input, dtype)
    dims = _dims(input, dim)
    if mask is None:
        return input.to(dtype).mean(dims, keepdim) if dims else input.to(dtype).clone()
    return sum(input, dims or (), keepdim=keepdim, dtype=dtype, mask=mask) / _count(input, dims, keepdim, mask)


def _variance(input, dim, unbiased, correction, keepdim, dtype, mask):
    if unbiased is not None and correction is not None:
        raise RuntimeError("var(): give unbiased or correction, not both")
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    if dtype is None:
        dtype = tenfold.float32 if _is_integer(input.dtype) else input.dtype
    dims = _dims(input, dim)
    x = input.to(tenfold.promote_types(dtype, tenfold.float32))
    count = _count(input, dims, True, mask)
    centred = _kept(x - sum(x, dims, keepdim=True, mask=mask) / count, mask, 0)
    squares = (centred * centred.conj()).real if centred.is_complex() else centred * centred
    total = squares.sum(dims, keepdim) if dims else squares
    free = count if keepdim or not dims else count.reshape(total.shape)
    free = (free - correction).clamp(min=0)
    return (total / free).to(dtype)


def var(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """Variance of the elements kept, over all dims or those given. Args: correction: taken off the count. Default 1."""
    return _variance(input, dim, unbiased, correction, keepdim, dtype, mask)


def std(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """Standard deviation of the elements kept: the root of `var`."""
    return _variance(input, dim, unbiased, correction, keepdim, dtype, mask).sqrt()


def median(input, dim=-1, *, keepdim=False, dtype=None, mask=None):
    """The middle element kept along dim (the lesser of two); NaN where none was."""
    dtype = _floating("median", input, dtype)
    x = input.to(dtype)
    if mask is None:
        return x.nanmedian(dim, keepdim).values
    if x.isnan().any():
        raise ValueError("median expected no fully masked out rows with NaN: input contains NaN")
    return _kept(x, mask, math.nan).nanmedian(dim, keepdim).values


# --- norms ----------------------------------------------------------------------------------------------------


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The norm of the elements kept, over all dims or those given."""
    dtype = _floating("norm", input, dtype)
    fill = math.inf if ord < 0 else 0
    x = _kept(input.to(dtype), mask, fill)
    dims = _dims(input, dim)
    return tenfold.linalg.vector_norm(x, ord, dims or None, keepdim)


def normalize(input, ord, dim, *, eps=1e-12, dtype=None, mask=None):
    """input over the norm of the elements kept along dim, the norm being at least eps."""
    dtype = _floating("normalize", input, dtype)
    size = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _kept(input.to(dtype), mask, 0) / size.clamp(min=eps)


# --- exponentials ---------------------------------------------------------------------------------------------


def softmax(input, dim, *, dtype=None, mask=None):
    """exp(input) over its sum along dim, among the elements kept."""
    x = input.to(input.dtype if dtype is None else dtype)
    return tenfold.softmax(_kept(x, mask, -math.inf), dim)


def log_softmax(input, dim, *, dtype=None, mask=None):
    """The logarithm of `softmax`."""
    x = input.to(input.dtype if dtype is None else dtype)
    return tenfold.log_softmax(_kept(x, mask, -math.inf), dim)


def softmin(input, dim, *, dtype=None, mask=None):
    """`softmax` of -input."""
    x = input.to(input.dtype if dtype is None else dtype)
    return tenfold.softmax(-_kept(x, mask, math.inf), dim)


def logsumexp(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """log(sum(exp(input))) of the elements kept, over all dims or those given."""
    dtype = input.dtype if dtype is None else dtype
    x = _kept(input.to(dtype), mask, _least(dtype))
    return tenfold.logsumexp(x, _dims(input, dim), keepdim).to(dtype)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None):
    """log(exp(input) + exp(other)), each with its mask."""
    dtype = input.dtype if dtype is None else dtype
    a, b = _kept(input.to(dtype), input_mask, -math.inf), _kept(other.to(dtype), other_mask, -math.inf)
    return tenfold.logaddexp(a, b)
