"""Random numbers: operations on the walk, in program order, on a generator's stream.

The numbers are PyTorch's for the same seed (see tenfold._core.random). The generator is a static argument; what reads or
sets its state ends the walk first, so that draws that come before are made before."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from .. import random as streams
from ..ir import dtypes
from ..ir.arrays import required
from ..ir.dtypes import dtype as dtype_class
from ..ir.dtypes import get_default_dtype
from ..ir.shapes import Layout, Size, broadcast_shapes, contiguous_strides, layout, result_strides, size
from ..trace.handle import Tensor, layout_of, tls
from ..trace.walk import check_writable
from .calling import meta_tensor
from .creation import check_options, chosen, mark, shape_from, zeros_like
from .declare import function, not_implemented, overwrite, primitive, scalar_name, store_out
from .devices import device_name
from .generators import engine_of
from .random_gradients import dirichlet_grad, standard_gamma_grad

# --- draws ----------------------------------------------------------------------------------------

DRAWS: dict[str, Any] = {
    "uniform": streams.uniform,
    "normal": streams.normal,
    "exponential": lambda e, s, d, a, b: streams.exponential(e, s, d, a),
    "cauchy": streams.cauchy,
    "geometric": lambda e, s, d, a, b: streams.geometric(e, s, d, a),
    "log_normal": streams.log_normal,
    "bernoulli": lambda e, s, d, a, b: streams.bernoulli(e, s, d, a),
    "random_from_to": lambda e, s, d, a, b: streams.random_from_to(e, s, a, b, d),
    "random_up": lambda e, s, d, a, b: streams.random_from_to(e, s, a, None, d),
    "random_full": lambda e, s, d, a, b: streams.random_full(e, s, d),
    "randperm": lambda e, s, d, a, b: streams.randperm(e, s[0], d),
}


def _draw_rule(kind, shape, strides, d, generator, a, b) -> Layout:
    return layout(shape, strides, d)


@primitive(rule=_draw_rule, data=("a", "b"), effect=True, name="_draw", where="", differentiable=False)
def draw(kind, shape, strides, d, generator, a, b):
    """`kind` of random numbers, in the order of memory that the strides say."""
    engine = engine_of(generator)
    if strides is None:
        return DRAWS[kind](engine, shape, d.name, a, b)
    order = memory_order(strides)
    sizes = tuple([shape[k] for k in order])
    if kind == "normal":
        values = streams.normal(engine, sizes, d.name, a, b, in_blocks=False)
    else:
        values = DRAWS[kind](engine, sizes, d.name, a, b)
    return values.transpose(np.argsort(order))


def _draw_native(spec):
    """Machine code draws many numbers; where an argument is wrong, what says so does."""
    kind, shape, strides, d, generator, *_ = spec.static
    count = math.prod(shape)
    if count < NATIVE_FROM or strides is not None and kind == "normal":
        return None
    from ..backends.cpu import draws

    drawn = draws.of(kind, d.name)
    if drawn is None:
        return None
    order = range(len(shape)) if strides is None else memory_order(strides)
    sizes, back = tuple([shape[k] for k in order]), np.argsort(order)

    def run(a, b):
        values = drawn(engine_of(generator), count, a, b)
        return spec.exe(a, b) if values is None else values.reshape(sizes).transpose(back)

    return run


draw.operation.native = _draw_native
NATIVE_FROM = 256  # elements from which that pays


def memory_order(strides) -> list[int]:
    """The dims from the outermost in memory to the innermost."""
    return sorted(range(len(strides)), key=lambda k: -strides[k])


def drawn(kind: str, shape: Size, d: dtype_class, where: str, generator, a=0.0, b=0.0, needs_grad=False) -> Tensor:
    if where == "meta":
        return mark(meta_tensor(layout(shape, None, d, "meta")), needs_grad)
    return mark(draw(kind, shape, None, d, generator, a, b), needs_grad)


def fill(t: Tensor, kind: str, generator, a=0.0, b=0.0) -> Tensor:
    """Fills a tensor in place, in the order of its memory."""
    w = tls.walk
    check_writable(t, w)
    lay = layout_of(t)
    if lay.device == "meta":
        return t
    engine_of(generator)
    return overwrite(t, draw(kind, lay.shape, dense_strides(lay), lay.dtype, generator, a, b))


def dense_strides(lay: Layout) -> tuple[int, ...] | None:
    """Strides without gaps that keep the order of the dims in memory; None where the layout is contiguous."""
    if lay.contig:
        return None
    if lay.dense:
        return lay.strides
    return result_strides(lay.shape, [lay]) or contiguous_strides(lay.shape)


def check_floating(name: str, d: dtype_class) -> None:
    if not (d.is_floating_point or d.is_complex):
        raise NotImplementedError(
            f"\"{name}\" not implemented for '{scalar_name(d)}': random numbers of this kind are floating-point"
        )


def _factory(name: str, kind: str, a: float, b: float, doc: str):
    def f(
        *size,
        generator=None,
        out=None,
        dtype=None,
        layout=None,
        device=None,
        requires_grad=False,
        pin_memory=False,
        **more,
    ):
        if "size" in more:
            size = (more.pop("size"),)
        elif not size:
            raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
        if more:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(more))}'")
        if layout is not None or pin_memory:
            check_options(name, layout, pin_memory)
        d = chosen(name, dtype) or (layout_of(out).dtype if out is not None else get_default_dtype())
        check_floating(name, d)
        r = drawn(kind, shape_from(size, name), d, device_name(device), generator, a, b, requires_grad)
        return r if out is None else store_out(out, r, name)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    return function(f, where="torch")


rand = _factory("rand", "uniform", 0.0, 1.0, "Uniform random numbers from [0, 1), of that shape.")
randn = _factory("randn", "normal", 0.0, 1.0, "Normal random numbers with mean 0 and variance 1, of that shape.")


@function(where="torch")
def randint(
    low=0,
    high=None,
    size=None,
    *,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """Random integers from low (included) to high (excluded), of that size: `randint(high, size)` or `randint(low, high, size)`.

    Args: dtype: default int64."""
    if size is None and isinstance(high, (tuple, list)):
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("randint(): missing argument 'size': a tuple of ints")
    check_options("randint", layout, pin_memory)
    low, high = whole_number("randint", "low", low), whole_number("randint", "high", high)
    check_range(low, high)
    d = chosen("randint", dtype) or (layout_of(out).dtype if out is not None else dtypes.int64)
    r = drawn(
        "random_from_to", shape_from((size,), "randint"), d, device_name(device), generator, low, high, requires_grad
    )
    return r if out is None else store_out(out, r, "randint")


def whole_number(name: str, argument: str, x) -> int:
    """An int, also from a 0-d tensor; TypeError for other numbers."""
    try:
        return operator.index(x.item() if isinstance(x, Tensor) else x)
    except TypeError:
        raise TypeError(f"{name}(): argument '{argument}' must be int, not {type(x).__name__}") from None


def check_range(low, high) -> None:
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")


@function(where="torch")
def randperm(
    n, *, generator=None, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
):
    """A random permutation of 0 to n - 1. Args: dtype: default int64."""
    check_options("randperm", layout, pin_memory)
    n = whole_number("randperm", "n", n)
    if n < 0:
        raise RuntimeError(f"n must be non-negative, randperm got {n}")
    d = chosen("randperm", dtype) or (layout_of(out).dtype if out is not None else dtypes.int64)
    r = drawn("randperm", size((n,)), d, device_name(device), generator, 0.0, 0.0, requires_grad)
    return r if out is None else store_out(out, r, "randperm")


def drawn_like(input: Tensor, kind: str, d: dtype_class, device, generator, a, b, memory_format) -> Tensor:
    """Random numbers of the shape of input, in the order of its dims in memory (or of the memory format given)."""
    lay = layout_of(input)
    where = lay.device if device is None else device_name(device)
    strides = None
    if memory_format is None or memory_format.kind == "preserve":
        strides = dense_strides(lay)
    elif memory_format.kind == "channels_last":
        strides = layout_of(zeros_like(input, memory_format=memory_format)).strides
    if where == "meta":
        return meta_tensor(layout(lay.shape, strides, d, "meta"))
    return draw(kind, lay.shape, strides, d, generator, a, b)


def _like(name: str, kind: str, a: float, b: float, doc: str):
    def f(
        input,
        *,
        generator=None,
        dtype=None,
        layout=None,
        device=None,
        requires_grad=False,
        memory_format=None,
        pin_memory=False,
    ):
        check_options(name, layout, pin_memory)
        d = chosen(name, dtype) or layout_of(input).dtype
        check_floating(name, d)
        return mark(drawn_like(input, kind, d, device, generator, a, b, memory_format), requires_grad)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    return function(f, where="torch")


rand_like = _like(
    "rand_like", "uniform", 0.0, 1.0, "Uniform random numbers from [0, 1), of the shape and dtype of input."
)
randn_like = _like(
    "randn_like",
    "normal",
    0.0,
    1.0,
    "Normal random numbers with mean 0 and variance 1, of the shape and dtype of input.",
)


@function(where="torch")
def randint_like(
    input,
    low=0,
    high=None,
    *,
    generator=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
    pin_memory=False,
):
    """Random integers from low (included) to high (excluded), of the shape and dtype of input."""
    if high is None:
        low, high = 0, low
    check_options("randint_like", layout, pin_memory)
    low, high = whole_number("randint_like", "low", low), whole_number("randint_like", "high", high)
    check_range(low, high)
    d = chosen("randint_like", dtype) or layout_of(input).dtype
    return mark(drawn_like(input, "random_from_to", d, device, generator, low, high, memory_format), requires_grad)


# --- filling in place -----------------------------------------------------------------------------


@function(where="Tensor")
def uniform_(self, from_=0, to=1, *, generator=None, **more):
    """Fills with uniform random numbers from [from, to)."""
    low = more.pop("from", from_)
    check_floating("check_uniform_bounds", layout_of(self).dtype)
    if low > to:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={to}")
    return fill(self, "uniform", generator, float(low), float(to))


@function(where="Tensor")
def normal_(self, mean=0, std=1, *, generator=None):
    """Fills with normal random numbers of that mean and standard deviation."""
    check_floating("normal_kernel_cpu", layout_of(self).dtype)
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    return fill(self, "normal", generator, float(mean), float(std))


_ABSENT = object()


@function(where="Tensor")
def random_(self, from_=_ABSENT, to=_ABSENT, *, generator=None, **more):
    """Fills with random integers: from [from, to), from [0, to), or of the dtype's whole range (to=None: from `from` on)."""
    low = more.pop("from", from_)
    if to is _ABSENT and low is _ABSENT:
        return fill(self, "random_full", generator)
    if to is None:
        return fill(self, "random_up", generator, int(low))
    if to is _ABSENT:
        low, to = 0, low
    elif low is _ABSENT:
        low = 0
    check_range(low or 0, to)
    return fill(self, "random_from_to", generator, int(low or 0), int(to))


@function(where="Tensor")
def exponential_(self, lambd=1, *, generator=None):
    """Fills with exponential random numbers of rate lambd."""
    d = layout_of(self).dtype
    if not d.is_floating_point:
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution."
            f" dtype must be a floating point but you specified {scalar_name(d)} (exponential_)"
        )
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    return fill(self, "exponential", generator, float(lambd))


@function(where="Tensor")
def cauchy_(self, median=0, sigma=1, *, generator=None):
    """Fills with Cauchy random numbers."""
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    return fill(self, "cauchy", generator, float(median), float(sigma))


@function(where="Tensor")
def geometric_(self, p, *, generator=None):
    """Fills with geometric random numbers: trials until the first success of probability p."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    return fill(self, "geometric", generator, float(p))


@function(where="Tensor")
def log_normal_(self, mean=1, std=2, *, generator=None):
    """Fills with log-normal random numbers; mean and std are those of the logarithm."""
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    return fill(self, "log_normal", generator, float(mean), float(std))


# --- with probabilities given by tensors ----------------------------------------------------------


def _bernoulli_rule(input: Layout, generator, d, strides) -> Layout:
    if not input.dtype.is_floating_point:
        raise not_implemented("bernoulli_tensor_cpu_p_", input.dtype)
    return layout(input.shape, strides, d, input.device)


def _no_influence(g, out, input, *static):
    """The gradient of draws: a draw is no smooth function of its parameter, and PyTorch's convention is zero."""
    return zeros_like(g)


@primitive(
    rule=_bernoulli_rule, effect=True, name="_bernoulli", where="", gradient=_no_influence, grad_name="Bernoulli"
)
def _bernoulli(input, generator, d, strides):
    if strides is None:
        p = np.ascontiguousarray(input)
        return streams.bernoulli_tensor(engine_of(generator), p, input.dtype.name, input.shape, d.name)
    order = memory_order(strides)
    p = np.ascontiguousarray(input.transpose(order))
    flips = streams.bernoulli_tensor(engine_of(generator), p, input.dtype.name, None, d.name)
    return flips.transpose(np.argsort(order))


@function
def bernoulli(input, p=None, *, generator=None, out=None):
    """Ones and zeros: one with the probability that stands at the place in `input`, or with probability p everywhere."""
    lay = layout_of(input)
    if p is None:
        r = _bernoulli(input, generator, lay.dtype, None)
    elif isinstance(p, Tensor):
        raise TypeError("bernoulli(): argument 'p' must be float, not Tensor; give the probabilities as input instead")
    else:
        r = drawn("bernoulli", lay.shape, lay.dtype, lay.device, generator, check_p(p))
    return r if out is None else store_out(out, r, "bernoulli")


def check_p(p) -> float:
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    return float(p)


@function(where="Tensor")
def bernoulli_(self, p=0.5, *, generator=None):
    """Fills with ones, with probability p (a number, or a tensor of probabilities), and zeros."""
    if isinstance(p, Tensor):
        check_writable(self, tls.walk)
        lay = layout_of(self)
        p = p.detach().expand(lay.shape)
        strides = result_strides(lay.shape, [lay, layout_of(p)])
        return overwrite(self, _bernoulli(p, generator, lay.dtype, strides))
    return fill(self, "bernoulli", generator, check_p(p))


def _multinomial_rule(input: Layout, num_samples, replacement, d, generator) -> Layout:
    if not input.dtype.is_floating_point:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {input.dtype}")
    if input.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, this has shape {list(input.shape)}")
    if num_samples <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples, multinomial got {num_samples}")
    if not replacement and num_samples > input.shape[-1]:
        raise RuntimeError(
            f"cannot sample n_sample > prob_dist.size(-1) samples without replacement: {num_samples} samples of {input.shape[-1]} categories"
        )
    return layout(size((*input.shape[:-1], num_samples)), None, dtypes.int64, input.device)


@primitive(rule=_multinomial_rule, effect=True, name="_multinomial", where="", differentiable=False)
def _multinomial(input, num_samples, replacement, d, generator):
    weights = np.ascontiguousarray(input)
    return streams.multinomial(engine_of(generator), weights, num_samples, replacement, d.name)


@primitive(
    rule=lambda input: layout(size(input.shape), None, input.dtype, input.device),
    where="",
    name="_weights",
    differentiable=False,
)
def _weights(input):
    """The input, after checking that each row can be weights of categories."""
    most = input.max(-1)
    if not required((input >= 0) & (input < np.inf)):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if not required(most > 0):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    return input


def _is_race(lay: Layout, num_samples) -> bool:
    """Whether one category of each row is drawn, in a dtype whose arithmetic is its own."""
    return (
        num_samples == 1
        and lay.dtype.name in ("float32", "float64")
        and 0 < lay.ndim < 3
        and lay.numel > 0
        and lay.shape[-1] <= 1 << 24
        and lay.device == "cpu"
        and tls.walk.level is None
    )


@function
def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    """Indices of categories drawn with the weights in each row of input.

    Args: input: (C) or (N, C), not negative; num_samples: how many for each row; replacement: whether a category may come twice. Default False.
    Returns: int64, (num_samples) or (N, num_samples)."""
    lay = layout_of(input)
    if _is_race(lay, num_samples):  # as random/multinomial.py has it, but in kernels
        weights = _weights(input.detach())
        times = draw("exponential", lay.shape, None, lay.dtype, generator, 1.0, 0.0)
        r = (weights / times).argmax(-1, keepdim=True)
    else:
        r = _multinomial(input.detach(), num_samples, bool(replacement), lay.dtype, generator)
    return r if out is None else store_out(out, r, "multinomial")


def _normal_rule(mean, std, d, generator) -> Layout:
    shapes = [x.shape for x in (mean, std) if isinstance(x, Layout) and not x.number]
    return layout(broadcast_shapes(*shapes), None, d)


def _normal_gradient(g, out, mean, std, d, generator):
    return zeros_like(g), zeros_like(g)


@primitive(
    rule=_normal_rule,
    data=("mean", "std"),
    effect=True,
    name="_normal",
    where="",
    gradient=_normal_gradient,
    grad_name="Normal",
)
def _normal(mean, std, d, generator):
    return streams.normal_like(engine_of(generator), mean, std, d.name)


@function(where="torch")
def normal(
    mean=0.0,
    std=1.0,
    size=None,
    *,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """Normal random numbers; mean and std are numbers (then size is given) or tensors, one for each element."""
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        d = layout_of(mean if isinstance(mean, Tensor) else std).dtype
        args = [x if isinstance(x, Tensor) else float(x) for x in (mean, std)]
        r = _normal(*args, d, generator)
    else:
        if size is None:
            raise TypeError(
                "normal() received an invalid combination of arguments: give size where mean and std are numbers"
            )
        if not std >= 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
        check_options("normal", layout, pin_memory)
        d = chosen("normal", dtype) or (layout_of(out).dtype if out is not None else get_default_dtype())
        r = drawn(
            "normal",
            shape_from((size,), "normal"),
            d,
            device_name(device),
            generator,
            float(mean),
            float(std),
            requires_grad,
        )
    return r if out is None else store_out(out, r, "normal")


def _one_operand_rule(input: Layout, d, generator) -> Layout:
    return layout(input.shape, None, input.dtype, input.device)


@primitive(rule=_one_operand_rule, effect=True, name="_poisson", where="", gradient=_no_influence, grad_name="Poisson")
def _poisson(input, d, generator):
    return streams.poisson(engine_of(generator), np.ascontiguousarray(input), d.name)


@function(where="torch")
def poisson(input, generator=None):
    """Poisson random numbers with the rates in input."""
    return _poisson(input, layout_of(input).dtype, generator)


def _binomial_rule(count: Layout, prob: Layout, d, generator) -> Layout:
    for name, lay in (("count", count), ("prob", prob)):
        if not lay.dtype.is_floating_point:
            raise ValueError(f"binomial only supports floating-point dtypes for {name}, got: {scalar_name(lay.dtype)}")
    if count.dtype is not prob.dtype:
        raise RuntimeError(
            f"Found dtype {scalar_name(prob.dtype)} but expected {scalar_name(count.dtype)}: binomial takes count and prob of one dtype"
        )
    return layout(broadcast_shapes(count.shape, prob.shape), None, count.dtype, count.device)


def _binomial_gradient(g, out, count, prob, d, generator):
    return zeros_like(g), zeros_like(g)


@primitive(
    rule=_binomial_rule, effect=True, name="_binomial", where="", gradient=_binomial_gradient, grad_name="Binomial"
)
def _binomial(count, prob, d, generator):
    count, prob = (np.ascontiguousarray(x) for x in np.broadcast_arrays(count, prob))
    return streams.binomial(engine_of(generator), count, prob, d.name)


@function(where="torch")
def binomial(count, prob, generator=None):
    """Binomial random numbers: successes among `count` trials of probability `prob`, element by element."""
    return _binomial(count, prob, layout_of(count).dtype, generator)


def _gamma_rule(input: Layout, d, generator) -> Layout:
    if not input.dtype.is_floating_point:
        raise not_implemented("gamma_cpu", input.dtype)
    return layout(input.shape, None, input.dtype, input.device)


def _gamma_gradient(g, out, input, d, generator):
    return g * standard_gamma_grad(input, out)


@primitive(
    rule=_gamma_rule,
    effect=True,
    name="_standard_gamma",
    where="",
    gradient=_gamma_gradient,
    grad_name="StandardGamma",
)
def _gamma(input, d, generator):
    return streams.standard_gamma(engine_of(generator), np.ascontiguousarray(input), d.name)


@function(where="torch")
def _standard_gamma(input, generator=None):
    """Gamma random numbers of rate 1 with the shapes in input."""
    return _gamma(input, layout_of(input).dtype, generator)


def _dirichlet_gradient(g, out, input, d, generator):
    own = dirichlet_grad(out, input, input.sum(-1, True).expand_as(input))
    return own * (g - (out * g).sum(-1, True))  # what one number gains the others lose, in proportion


@primitive(
    rule=_gamma_rule,
    effect=True,
    name="_sample_dirichlet",
    where="",
    gradient=_dirichlet_gradient,
    grad_name="SampleDirichlet",
)
def _dirichlet(input, d, generator):
    return streams.dirichlet(engine_of(generator), np.ascontiguousarray(input), d.name)


@function(where="torch")
def _sample_dirichlet(input, generator=None):
    """Dirichlet random vectors along the last dim, with the concentrations in input."""
    return _dirichlet(input, layout_of(input).dtype, generator)
