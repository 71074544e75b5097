"""Reductions: over all dims, one, or several. Sums, means, products, any and all, norms of sums of exponentials.

Primitives take canonical arguments: `dims` is a tuple of dims that are not negative."""

from __future__ import annotations

import builtins
import math
from functools import lru_cache

import numpy as np

from ..ir.arrays import Symbolic, as_array
from ..ir.dtypes import FLOAT, bool_, dtype, float32, int64, of_number, uint8, uint64
from ..ir.shapes import Layout, dim_index, dim_list, layout, size
from ..ir.special import convert
from ..trace.handle import layout_of
from .declare import elementwise, function, not_implemented, operation, primitive, scalar_name, store_out
from .elementwise import conj
from .ordered import LANES, SMALL, sum_columns, sum_rows

# --- shapes -------------------------------------------------------------------------------------------------


def reduced_shape(shape, dims: tuple[int, ...], keepdim: bool):
    if keepdim:
        return size([1 if d in dims else n for d, n in enumerate(shape)])
    return size([n for d, n in enumerate(shape) if d not in dims])


def restored(g, dims: tuple[int, ...], keepdim: bool):
    """The result of a reduction (or its cotangent) with the reduced dims back, of size 1."""
    if not keepdim:
        for d in sorted(dims):
            g = g.unsqueeze(d)
    return g


def unreduced(g, shape, dims: tuple[int, ...], keepdim: bool):
    """A cotangent of a reduction, spread over the dims that it reduced."""
    return restored(g, dims, keepdim).expand(shape)


def one_dim(dim, ndim: int) -> int:
    """A dim that is one int; 0-d tensors count as having one. TypeError, IndexError."""
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise TypeError(f"argument 'dim' must be int, not {type(dim).__name__}")
    return dim_index(int(dim), max(ndim, 1))


def count_of(shape, dims) -> int:
    return math.prod([shape[d] for d in dims])


def check_dtype(name: str, d) -> None:
    if d is not None and not isinstance(d, dtype):
        raise TypeError(f"{name}(): argument 'dtype' must be torch.dtype, not {type(d).__name__}")


def check_dims(name: str, dim) -> None:
    """TypeError where dim is neither None nor an int nor a sequence of ints."""
    items = dim if isinstance(dim, (tuple, list)) else () if dim is None else (dim,)
    for d in items:
        if not hasattr(d, "__index__"):
            raise TypeError(f"{name}(): argument 'dim' must be an int or a tuple of ints, not {type(d).__name__}")


@elementwise(
    name="_zero_where", where="", inplace=False, out=False,
    gradient=lambda g, out, input, mask: (zero_where(g, mask), None),
)  # fmt: skip
def zero_where(input, mask):
    """input, but 0 where the mask is true, whatever stood there (NaN too)."""
    return np.where(mask, np.zeros((), as_array(input).dtype), input)


@elementwise(
    kind="real", name="_squares", where="", inplace=False, out=False,
    gradient=lambda g, out, input: g * input * 2,
)  # fmt: skip
def squares(input):
    """The square of the absolute value, real."""
    return input.real * input.real + input.imag * input.imag if np.iscomplexobj(input) else input * input


# --- sums ---------------------------------------------------------------------------------------------------

WIDE = {np.dtype("f4"): np.dtype("f8"), np.dtype("c8"): np.dtype("c16")}


def accumulate_sum(x: np.ndarray, dims: tuple[int, ...], keepdim: bool) -> np.ndarray:
    """Sums. Few numbers are added in PyTorch's order. NumPy adds pairwise along the axis that is innermost in memory, and
    naively along the others: there, single precision is added in blocks."""
    if isinstance(x, Symbolic):
        return x.sum(dims, keepdims=keepdim, dtype=x.dtype)
    if 4 < x.size <= SMALL and x.dtype in LANES and x.flags.c_contiguous:
        shape, add, to = _small_sum(x.shape, dims, keepdim)
        if add is not None:
            return np.asarray(add(x.reshape(shape))).reshape(to)
    if x.dtype not in WIDE or x.size <= 64 or not dims:
        return x.sum(dims, keepdims=keepdim, dtype=x.dtype)
    shape = reduced_shape(x.shape, dims, keepdim)
    if x.flags.c_contiguous:
        groups = _merged(x.shape, dims)
        x = x.reshape([n for n, _ in groups])
        dims = tuple(i for i, (_, reduced) in enumerate(groups) if reduced)
    inner = min(range(x.ndim), key=lambda d: abs(x.strides[d]) if x.shape[d] > 1 else math.inf)
    if inner in dims:
        x = x.sum(inner, keepdims=True)
    for d in dims:
        if d != inner:
            x = _sum_in_blocks(x, d)
    return x.reshape(shape)


@lru_cache(maxsize=4096)
def _small_sum(shape, dims: tuple[int, ...], keepdim: bool) -> tuple:
    """How to add few numbers that lie in order: (shape to give them, sum_rows or sum_columns or None, result's shape)."""
    groups = _merged(shape, dims) if dims else []
    to = reduced_shape(shape, dims, keepdim)
    reduced = [r for _, r in groups]
    add = {(True,): sum_rows, (False, True): sum_rows, (True, False): sum_columns}.get(tuple(reduced))
    return tuple([n for n, _ in groups]), add, to


def _merged(shape, dims: tuple[int, ...]) -> list[tuple[int, bool]]:
    """Neighbouring dims that are all reduced, or all kept, as one: (size, whether it is reduced)."""
    out: list[tuple[int, bool]] = []
    for d, n in enumerate(shape):
        reduced = d in dims
        if out and (out[-1][1] is reduced or n == 1):
            out[-1] = (out[-1][0] * n, out[-1][1])
        else:
            out.append((n, reduced))
    return out


def _sum_in_blocks(x: np.ndarray, d: int, block: int = 32) -> np.ndarray:
    """The sum along one axis, which stays with size 1: block by block, then of the blocks in double precision."""
    n = x.shape[d]
    if n <= 2 * block:
        return x.sum(d, keepdims=True)
    whole = n // block * block
    before = (slice(None),) * d
    head, tail = x[(*before, slice(None, whole))], x[(*before, slice(whole, None))]
    parts = head.reshape(*x.shape[:d], whole // block, block, *x.shape[d + 1 :]).sum(d + 1)
    total = parts.sum(d, keepdims=True, dtype=WIDE[x.dtype])
    if whole < n:
        total += tail.sum(d, keepdims=True)
    return total.astype(x.dtype)


def _sum_rule(input: Layout, dims, keepdim, d: dtype) -> Layout:
    return layout(reduced_shape(input.shape, dims, keepdim), None, d, input.device)


@primitive(
    rule=_sum_rule, name="_sum", where="", grad_name="Sum",
    gradient=lambda g, out, input, dims, keepdim, d: unreduced(g, input.shape, dims, keepdim),
)  # fmt: skip
def sum_over(input, dims, keepdim, d):
    x = as_array(input)
    if x.dtype != d.compute:
        x = x.astype(d.compute)
    return accumulate_sum(x, dims, keepdim) if dims or x.ndim == 0 else x


def sum_dtype(d: dtype) -> dtype:
    return of_number(int) if d.category < FLOAT else d


def _public_sum_rule(input: Layout, dim, keepdim, asked) -> Layout:
    check_dims("sum", dim)
    check_dtype("sum", asked)
    return _sum_rule(input, dim_list(dim, input.ndim), keepdim, asked or sum_dtype(input.dtype))


def _public_sum_kernel(spec):
    dims, keepdim, compute = dim_list(spec.static[1], spec.lays[0].ndim), spec.static[2], spec.outs[0].dtype.compute
    whole = not spec.lays[0].ndim

    def run(x):
        x = convert(x, compute)
        return accumulate_sum(x, dims, keepdim) if dims or whole else x

    return run


@primitive(
    rule=_public_sum_rule, kernel=_public_sum_kernel, where="torch Tensor", out=True, grad_name="Sum",
    gradient=lambda g, out, input, dim, keepdim, dtype: unreduced(g, input.shape, dim_list(dim, input.dim()), keepdim),
)  # fmt: skip
def sum(input, dim=None, keepdim=False, *, dtype=None):
    """Sum over all elements, or over the dims given.

    Args:
        dim: an int or a tuple; None or () for all. Default None.
        keepdim: keep the reduced dims with size 1. Default False.
        dtype: of the result, and to add in. Default: that of input; int64 for integers and bool."""


def _nansum_gradient(g, out, input, dim=None, keepdim=False, dtype=None):
    g = unreduced(g, input.shape, dim_list(dim, input.dim()), keepdim)
    return zero_where(g.to(input.dtype), input.isnan())


@operation(out=True, gradient=_nansum_gradient)
def nansum(input, dim=None, keepdim=False, *, dtype=None):
    """Sum as in `sum` that counts NaN as zero.

    Args: as in `sum`. Raises: RuntimeError for complex input."""
    if input.dtype.is_complex:
        raise RuntimeError("nansum(): complex tensors are not supported: sum the real and imaginary parts apart")
    if input.dtype.category == FLOAT:
        input = zero_where(input, input.isnan())
    return sum_over(input, dim_list(dim, input.dim()), keepdim, dtype or sum_dtype(input.dtype))


def mean_dtype(name: str, d: dtype, asked) -> dtype:
    """The dtype to take a mean in; RuntimeError for integers."""
    check_dtype(name, asked)
    got = asked or d
    if got.category < FLOAT:
        what = "Input" if asked is None else "Optional"
        raise RuntimeError(
            f"{name}(): could not infer output dtype. {what} dtype must be either a floating point or complex dtype."
            f" Got: {scalar_name(got)}. Convert with .float()"
        )
    return got


def wide_of(d: dtype) -> dtype:
    """The dtype that means and variances of it are accumulated in."""
    return float32 if d.half else d


def _mean_rule(input: Layout, dim, keepdim, asked) -> Layout:
    check_dims("mean", dim)
    return _sum_rule(input, dim_list(dim, input.ndim), keepdim, mean_dtype("mean", input.dtype, asked))


def _mean_kernel(spec):
    lay = spec.lays[0]
    dims, keepdim, compute = dim_list(spec.static[1], lay.ndim), spec.static[2], spec.outs[0].dtype.compute
    count = count_of(lay.shape, dims)

    def run(x):
        x = convert(x, compute)
        total = accumulate_sum(x, dims, keepdim) if dims or not lay.ndim else x
        return total / count if count else total * compute.type(math.nan)

    return run


def _mean_gradient(g, out, input, dim, keepdim, dtype):
    dims = dim_list(dim, input.dim())
    return unreduced(g / max(count_of(input.shape, dims), 1), input.shape, dims, keepdim)


@primitive(
    rule=_mean_rule, kernel=_mean_kernel, gradient=_mean_gradient, where="torch Tensor", out=True, grad_name="Mean"
)
def mean(input, dim=None, keepdim=False, *, dtype=None):
    """Mean over all elements, or over the dims given; RuntimeError for integers.

    Args: as in `sum`."""


@operation(out=True)
def nanmean(input, dim=None, keepdim=False, *, dtype=None):
    """Mean over the elements that are not NaN.

    Args: as in `sum`."""
    if input.dtype.category != FLOAT:
        raise RuntimeError(f"nanmean(): expected input to have floating point dtype but got {scalar_name(input.dtype)}")
    count = sum(input.isnan().logical_not(), dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / count


def count_nonzero_rule(input: Layout, dims) -> Layout:
    return layout(reduced_shape(input.shape, dims, False), None, int64, input.device)


@primitive(rule=count_nonzero_rule, differentiable=False, where="", name="_count_nonzero")
def _count(input, dims):
    return np.count_nonzero(input, axis=dims) if dims else as_array(input != 0)


@operation
def count_nonzero(input, dim=None):
    """How many elements are not zero, over all dims or those given; int64.

    Args: dim: an int or a tuple; None for all. Default None."""
    return _count(input, dim_list(dim, input.dim()))


@function(where="Tensor")
def sum_to_size(input, *size):
    """Sums over dims so that the result has the shape given, to which input must be broadcastable back.

    Raises: RuntimeError where the shape could not be broadcast to that of input."""
    wanted = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    shape = layout_of(input).shape
    if not wanted:
        return sum(input)
    lead = len(shape) - len(wanted)
    if lead < 0 or builtins.any(n not in (1, shape[lead + i]) for i, n in enumerate(wanted)):
        raise RuntimeError(f"size {{{list(wanted)}}} is not expandable to size {{{list(shape)}}}.")
    dims = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(wanted) if n == 1 and shape[lead + i] != 1)
    if not dims:
        return input
    return sum(input, dims, True).reshape(wanted)


# --- products -----------------------------------------------------------------------------------------------


def _prod_rule(input: Layout, dim, keepdim, d: dtype) -> Layout:
    return layout(reduced_shape(input.shape, (dim,) if input.ndim else (), keepdim), None, d, input.device)


def _prod_gradient(g, out, input, dim, keepdim, d):
    """Each element's derivative is the product of those before it and those after it: zeros need no division."""
    from .scan import exclusive_cumprod

    if input.dim() == 0:
        return g
    x = input.to(d)
    others = exclusive_cumprod(x, dim, False) * exclusive_cumprod(x, dim, True)
    return unreduced(g, input.shape, (dim,), keepdim) * conj(others)


@primitive(rule=_prod_rule, gradient=_prod_gradient, where="", name="_prod", grad_name="Prod")
def prod_over(input, dim, keepdim, d):
    x = as_array(input, d.compute)
    return np.prod(x, axis=dim if x.ndim else None, keepdims=keepdim, dtype=x.dtype)


@operation(name="prod", where="", grad_name="Prod")
def _prod(input, dim, keepdim, dtype):
    check_dtype("prod", dtype)
    d = dtype or sum_dtype(input.dtype)
    if dim is None:
        return prod_over(input.reshape(-1), 0, False, d)
    return prod_over(input, one_dim(dim, input.dim()), keepdim, d)


@function
def prod(input, dim=None, keepdim=False, *, dtype=None, out=None, axis=None):
    """Product of all elements, or along one dim.

    Args: dim: an int. Default None, all elements; keepdim, dtype: as in `sum`."""
    dim = axis if dim is None else dim
    if dim is not None and (isinstance(dim, bool) or not hasattr(dim, "__index__")):
        raise TypeError(f"prod(): argument 'dim' must be int, not {type(dim).__name__}")
    return stored("prod", _prod(input, dim, keepdim, dtype), out)


def stored(name: str, result, out):
    """The result, or `out` with the result in it."""
    return result if out is None else store_out(out, result, name)


# --- any and all --------------------------------------------------------------------------------------------


def _truth_dims(dim, ndim: int) -> tuple[int, ...]:
    """Unlike sums, these take () to mean no dim."""
    if isinstance(dim, (tuple, list)) and not dim:
        return ()
    return dim_list(dim, ndim)


def _truth_rule(input: Layout, dim, keepdim) -> Layout:
    d = uint8 if input.dtype is uint8 else bool_
    return layout(reduced_shape(input.shape, _truth_dims(dim, input.ndim), keepdim), None, d, input.device)


@primitive(rule=_truth_rule, differentiable=False, out=True, where="torch Tensor")
def any(input, dim=None, keepdim=False):
    """Whether any element is true (not zero), over all dims or those given.

    Args: dim: an int or a tuple. Default None, all; keepdim: as in `sum`."""
    dims = _truth_dims(dim, input.ndim)
    return np.any(input, axis=dims, keepdims=keepdim) if dims or not input.ndim else as_array(input) != 0


@primitive(rule=_truth_rule, differentiable=False, out=True, where="torch Tensor")
def all(input, dim=None, keepdim=False):
    """Whether all elements are true (not zero), over all dims or those given.

    Args: dim: an int or a tuple. Default None, all; keepdim: as in `sum`."""
    dims = _truth_dims(dim, input.ndim)
    return np.all(input, axis=dims, keepdims=keepdim) if dims or not input.ndim else as_array(input) != 0


# --- logarithms of sums of exponentials ---------------------------------------------------------------------


def _logsumexp_rule(input: Layout, dims, keepdim) -> Layout:
    return layout(reduced_shape(input.shape, dims, keepdim), None, input.dtype, input.device)


def _logsumexp_gradient(g, out, input, dims, keepdim):
    weights = (input - restored(out, dims, keepdim)).exp()
    return restored(g, dims, keepdim) * conj(weights)


@primitive(rule=_logsumexp_rule, gradient=_logsumexp_gradient, where="", name="_logsumexp", grad_name="Logsumexp")
def logsumexp_over(input, dims, keepdim):
    x = as_array(input)
    if not x.size:
        return np.full(reduced_shape(x.shape, dims, keepdim), -np.inf, x.dtype)
    if not dims and x.ndim:
        return x
    top = np.max(x.real, axis=dims, keepdims=True)
    top = np.where(np.isinf(top), 0, top).astype(top.dtype)
    out = np.log(accumulate_sum(np.exp(x - top), dims, True)) + top
    return out if keepdim else out.reshape(reduced_shape(x.shape, dims, False))


@operation(out=True, where="torch Tensor special", grad_name="Logsumexp")
def logsumexp(input, dim, keepdim=False):
    """log(sum(exp(input))) over the dims given, without overflow; integers are computed in the default dtype.

    Args: dim: an int or a tuple; keepdim: as in `sum`."""
    check_dims("logsumexp", dim)
    if input.dtype.category < FLOAT:
        input = input.to(of_number(float))
    return logsumexp_over(input, dim_list(dim, input.dim()), keepdim)


# --- bits ---------------------------------------------------------------------------------------------------


def _hash_rule(input: Layout, dim, keepdim, mode) -> Layout:
    check_dims("hash_tensor", dim)
    if mode != 0:
        raise RuntimeError(f"Unknown hash_tensor mode: {mode} (there is 0: exclusive or)")
    if input.dtype.is_complex:
        raise not_implemented("xor_sum_cpu", input.dtype)
    dims = dim_list(dim, input.ndim)
    if not input.numel and dim in ((), [], None):
        raise RuntimeError("hash_tensor: Expected reduction dim to be specified for input.numel() == 0: give dim")
    for d in dims:
        if input.ndim and not input.shape[d]:
            raise IndexError(f"hash_tensor: Expected reduction dim {d} to have non-zero size.")
    return layout(reduced_shape(input.shape, dims, keepdim), None, uint64, input.device)


@primitive(rule=_hash_rule, differentiable=False, out=True, where="torch Tensor")
def hash_tensor(input, dim=(), *, keepdim=False, mode=0):
    """The bits of all elements, as float64 or int64, put together by exclusive or: a uint64, over all dims or those given.

    Args: dim: an int or a tuple. Default (), all; keepdim: as in `sum`; mode: 0, the only one."""
    wide = input.astype(np.float64 if input.dtype.kind == "f" else np.int64).view(np.uint64)
    return np.bitwise_xor.reduce(wide, axis=dim_list(dim, input.ndim) if input.ndim else None, keepdims=keepdim)


# --- the diagonal -------------------------------------------------------------------------------------------


@operation
def trace(input):
    """Sum of the diagonal of a matrix (N, M); int64 for integers."""
    if input.dim() != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.dim()}")
    return sum_over(input.diagonal(), (0,), False, sum_dtype(input.dtype))
