"""The greatest and the least: values, positions, both."""

from __future__ import annotations

import builtins

import numpy as np

from ..ir.arrays import writable, zeros
from ..ir.dtypes import bool_, int64
from ..ir.shapes import Layout, dim_list, layout, size
from ..trace.handle import Tensor, layout_of
from . import return_types
from .comparison import maximum, minimum
from .declare import function, not_implemented, operation, primitive
from .reduction import check_dims, one_dim, reduced_shape, restored, stored

# --- shared -------------------------------------------------------------------------------------------------


def _along_rule(x: Layout, indices: Layout, dim, shape, unique) -> Layout:
    return layout(size(shape), None, x.dtype, x.device)


@primitive(
    rule=_along_rule, where="", name="_put_along",
    gradient=lambda g, out, x, indices, dim, shape, unique: (taken(g, dim, indices, unique), None),
)  # fmt: skip
def _put_along(x, indices, dim, shape, unique):
    """Zeros with x added at the indices along dim; `unique`: no place is named twice."""
    out = zeros(shape, x.dtype, x)
    if unique:
        np.put_along_axis(out, indices, x, dim)
        return out
    grid = list(np.ix_(*[np.arange(n) for n in x.shape]))
    grid[dim] = indices
    np.add.at(out, tuple(grid), x)
    return out


@primitive(
    rule=_along_rule, where="", name="_take_along",
    gradient=lambda g, out, x, indices, dim, shape, unique: (scattered(g, dim, indices, x.shape, unique), None),
)  # fmt: skip
def _take_along(x, indices, dim, shape, unique):
    return np.take_along_axis(x, indices, dim)


def scattered(g, dim: int, indices, shape, unique: bool = True):
    """Zeros of that shape with g added at the indices along dim: the cotangent of what was taken there."""
    return _put_along(g, indices, dim, tuple(shape), unique) if shape else g.reshape(())


def taken(x, dim: int, indices, unique: bool = True):
    """x at the indices along dim; the other dims agree."""
    return (
        _take_along(x, indices, dim, tuple(layout_of(indices).shape), unique)
        if layout_of(x).ndim
        else x.reshape(layout_of(indices).shape)
    )


def need_elements(name: str, shape, dims) -> None:
    """IndexError where a dim to reduce is empty: these have no identity."""
    for d in dims:
        if shape[d] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


def need_any(name: str, input: Layout, error=RuntimeError) -> None:
    if input.numel == 0:
        raise error(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0."
            " Specify the reduction dim with the 'dim' argument."
        )


def _ties(input, out):
    """Where input equals a result of amax or amin that broadcasts to it; NaN equals NaN."""
    same = input == out
    return same | (input.isnan() & out.isnan()) if input.dtype.is_floating_point else same


# --- the values alone ---------------------------------------------------------------------------------------


def _values_rule(name: str):
    def rule(input: Layout, dims, keepdim) -> Layout:
        return layout(reduced_shape(input.shape, dims, keepdim), None, input.dtype, input.device)

    return rule


def _shared_gradient(g, out, input, dims, keepdim):
    """Ties share the cotangent evenly."""
    mask = _ties(input, restored(out, dims, keepdim)).to(g.dtype)
    return mask * (restored(g, dims, keepdim) / mask.sum(dims, True))


@primitive(rule=_values_rule("amax"), gradient=_shared_gradient, where="", name="_amax", grad_name="Amax")
def amax_over(input, dims, keepdim):
    return np.max(input, axis=dims, keepdims=keepdim) if dims or not input.ndim else writable(input)


@primitive(rule=_values_rule("amin"), gradient=_shared_gradient, where="", name="_amin", grad_name="Amin")
def amin_over(input, dims, keepdim):
    return np.min(input, axis=dims, keepdims=keepdim) if dims or not input.ndim else writable(input)


def _over_dims(name: str, over, input, dim, keepdim):
    check_dims(name, dim)
    lay = layout_of(input)
    if lay.dtype.is_complex:
        raise not_implemented(name, lay.dtype)
    dims = dim_list(dim, lay.ndim)
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        need_any(name, lay)
    need_elements(name, lay.shape, dims)
    return over(input, dims, keepdim)


@operation(out=True)
def amax(input, dim=(), keepdim=False):
    """The greatest element over all dims or those given; gradients are shared evenly among ties.

    Args: dim: an int or a tuple; () for all. Default ().
    Raises: IndexError where a dim is empty; NotImplementedError for complex input."""
    return _over_dims("amax", amax_over, input, dim, keepdim)


@operation(out=True)
def amin(input, dim=(), keepdim=False):
    """The least element over all dims or those given; gradients are shared evenly among ties.

    Args: dim: an int or a tuple; () for all. Default ().
    Raises: IndexError where a dim is empty; NotImplementedError for complex input."""
    return _over_dims("amin", amin_over, input, dim, keepdim)


# --- values with their positions ----------------------------------------------------------------------------


def _pair_rule(input: Layout, dim, keepdim, greatest) -> tuple[Layout, Layout]:
    shape = reduced_shape(input.shape, (dim,) if input.ndim else (), keepdim)
    return layout(shape, None, input.dtype, input.device), layout(shape, None, int64, input.device)


def picked_gradient(g, indices, input, dim: int, keepdim: bool):
    """The cotangent of values that were picked at `indices` along dim."""
    if input.dim() == 0:
        return g
    return scattered(restored(g, (dim,), keepdim), dim, restored(indices, (dim,), keepdim), input.shape)


def _pair_gradient(g, out, input, dim, keepdim, greatest):
    return None if g[0] is None else picked_gradient(g[0], out[1], input, dim, keepdim)


@primitive(rule=_pair_rule, gradient=_pair_gradient, where="", name="_extreme")
def _extreme(input, dim, keepdim, greatest):
    if not input.ndim:
        return writable(input), np.zeros((), np.int64)
    places = np.expand_dims(np.argmax(input, dim) if greatest else np.argmin(input, dim), dim)
    values = np.take_along_axis(input, places, dim)
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))


def _along(name: str, kind, input, dim, keepdim):
    lay = layout_of(input)
    if lay.dtype.is_complex:
        raise not_implemented(name, lay.dtype)
    d = one_dim(dim, lay.ndim)
    if lay.ndim:
        need_elements(name, lay.shape, (d,))
    return kind(*_extreme(input, d, keepdim, name == "max"))


@operation(where="", name="max_dim", grad_name="Max")
def _max_dim(input, dim, keepdim):
    return _along("max", return_types.max, input, dim, keepdim)


@operation(where="", name="min_dim", grad_name="Min")
def _min_dim(input, dim, keepdim):
    return _along("min", return_types.min, input, dim, keepdim)


def _whole(name: str, over, input):
    lay = layout_of(input)
    if lay.dtype.is_complex:
        raise not_implemented(name, lay.dtype)
    need_any(name, lay)
    return over(input, tuple(range(lay.ndim)), False)


@operation(where="", name="max_all", grad_name="Max")
def _max_all(input):
    return _whole("max", amax_over, input)


@operation(where="", name="min_all", grad_name="Min")
def _min_all(input):
    return _whole("min", amin_over, input)


def _extreme_public(name: str, whole, along, other_fn, doc: str):
    def call(input, *args, out=None, **kwargs):
        if not args and not kwargs:
            return stored(name, whole(input), out)
        if "axis" in kwargs:
            kwargs["dim"] = kwargs.pop("axis")
        if "keepdims" in kwargs:
            kwargs["keepdim"] = kwargs.pop("keepdims")
        if (args and isinstance(args[0], Tensor)) or "other" in kwargs:
            return stored(name, other_fn(input, *args, **kwargs), out)
        dim, keepdim = _dim_and_keepdim(name, *args, **kwargs)
        return stored(name, along(input, dim, keepdim), out)

    call.__doc__ = doc
    call.__name__ = call.__qualname__ = name
    return function(call, name=name)


def _dim_and_keepdim(name: str, dim=None, keepdim=False, *more):
    if more:
        raise TypeError(f"{name}() takes at most (input, dim, keepdim), but got {len(more)} arguments more")
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise TypeError(
            f"{name}() takes (input), (input, other) or (input, dim, keepdim=False); dim must be int,"
            f" not {type(dim).__name__}"
        )
    return dim, builtins.bool(keepdim)


max = _extreme_public(
    "max", _max_all, _max_dim, maximum,
    """The greatest element: max(input); along a dim with its position: max(input, dim, keepdim=False) ->
    (values, indices); or the greater of two, element by element: max(input, other).""",
)  # fmt: skip
min = _extreme_public(
    "min", _min_all, _min_dim, minimum,
    """The least element: min(input); along a dim with its position: min(input, dim, keepdim=False) ->
    (values, indices); or the lesser of two, element by element: min(input, other).""",
)  # fmt: skip


# --- positions alone ----------------------------------------------------------------------------------------


def _position_rule(name: str):
    def rule(input: Layout, dim=None, keepdim=False) -> Layout:
        if input.dtype.is_complex or input.dtype is bool_:
            raise RuntimeError(f"{name}(): does not support {'bool' if input.dtype is bool_ else 'complex'} input")
        if dim is None:
            need_any(name, input, IndexError)
            return layout(size([1] * input.ndim if keepdim else ()), None, int64, input.device)
        if isinstance(dim, bool) or not hasattr(dim, "__index__"):
            raise TypeError(f"{name}(): argument 'dim' must be int, not {type(dim).__name__}")
        d = one_dim(dim, input.ndim)
        if input.ndim:
            need_elements(name, input.shape, (d,))
        return layout(reduced_shape(input.shape, (d,) if input.ndim else (), keepdim), None, int64, input.device)

    return rule


def _position(fn, input, dim, keepdim):
    if not input.ndim:
        return np.zeros((), np.int64)
    return fn(input, axis=dim, keepdims=keepdim)


@primitive(rule=_position_rule("argmax"), differentiable=False, out=True, where="torch Tensor")
def argmax(input, dim=None, keepdim=False):
    """The position of the greatest element (the first of ties), among all elements or along a dim; int64.

    Args: dim: an int. Default None: positions in the flattened tensor."""
    return _position(np.argmax, input, dim, keepdim)


@primitive(rule=_position_rule("argmin"), differentiable=False, out=True, where="torch Tensor")
def argmin(input, dim=None, keepdim=False):
    """The position of the least element (the first of ties), among all elements or along a dim; int64.

    Args: dim: an int. Default None: positions in the flattened tensor."""
    return _position(np.argmin, input, dim, keepdim)


# --- both ends ----------------------------------------------------------------------------------------------


@operation(where="", name="aminmax")
def _aminmax(input, dim, keepdim):
    lay = layout_of(input)
    if lay.dtype.is_complex:
        raise not_implemented("aminmax", lay.dtype)
    dims = tuple(range(lay.ndim)) if dim is None else (one_dim(dim, lay.ndim),) if lay.ndim else ()
    if builtins.any(lay.shape[d] == 0 for d in dims):
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        )
    return return_types.aminmax(amin_over(input, dims, keepdim), amax_over(input, dims, keepdim))


@function
def aminmax(input, *, dim=None, keepdim=False, out=None):
    """The least and the greatest element, of all or along a dim: a named tuple (min, max)."""
    return stored("aminmax", _aminmax(input, dim, keepdim), out)
