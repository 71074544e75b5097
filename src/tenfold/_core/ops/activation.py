"""Activations: the non-linear functions between layers."""

from __future__ import annotations

import math

import numpy as np

from ..ir.dtypes import bool_
from ..ir.shapes import dim_index, layout
from ..random.uniform import fractions64
from ..trace.handle import layout_of, translated
from .autocast import lowered
from .comparison import logical_and, logical_not
from .declare import elementwise, function, inplace_variant, not_implemented, primitive, publish, scalar_name, store_out
from .elementwise import chosen, conj, mul, zero_where, zeroed
from .mathematics import tanh
from .power import exp
from .special_values import erf_values

F = "nn.functional"


def _floating(lays) -> None:
    """The options are data and take part in promotion: without this an integer tensor would be computed as floats."""
    if not lays[0].dtype.is_floating_point:
        raise not_implemented("activation", lays[0].dtype)


def _not_bool(lays) -> None:
    if lays[0].dtype is bool_:
        raise RuntimeError("Bool inputs not supported for hardtanh; convert with .float() first")


def _no_bool(lays) -> None:
    if lays[0].dtype is bool_:
        raise RuntimeError("Boolean inputs not supported for relu; convert with .float() first")


@elementwise(gradient=lambda g, out, input: zero_where(g, out <= 0), dtypes="int float", check=_no_bool, out=False)
def relu(input):
    """max(0, input)."""
    return np.maximum(input, 0)


def _logistic(x):
    """1 / (1 + exp(-x)): the exponential may overflow, to the right result."""
    return np.reciprocal(1 + np.exp(-x))


@elementwise(kind="float", gradient=lambda g, out, input: g * conj(out * (1 - out)), where="torch Tensor")
def sigmoid(input):
    """1 / (1 + exp(-input))."""
    return _logistic(input)


publish(sigmoid, "expit", "special")


def _with_inplace(name: str, fn, options: dict, doc: str, own_inplace: bool = False):
    """Publishes nn.functional.name(input, **options, inplace=False), and `name_` of nn.functional."""
    import inspect

    write = inplace_variant(fn, name)
    parameters = [inspect.Parameter("input", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    parameters += [inspect.Parameter(k, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=v) for k, v in options.items()]
    parameters.append(inspect.Parameter("inplace", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=False))
    signature = inspect.Signature(parameters)
    names = list(options)

    def call(input, *args, inplace=False, **kwargs):
        if len(args) > len(names):
            *args, inplace = args
        return write(input, *args, **kwargs) if inplace else fn(input, *args, **kwargs)

    def of_one(input, inplace=False):
        return write(input) if inplace else fn(input)

    if not options:
        call = translated(of_one)
    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc + "\n\n    Args: inplace: write the result into input. Default False."
    call.__signature__ = signature
    publish(call, name, F)
    publish(write, name + "_", F)
    write.__name__ = write.__qualname__ = name + "_"
    write.__doc__ = f"{name}, in place."
    return call


functional_relu = _with_inplace("relu", relu, {}, "max(0, input).")


# --- functions of one operand with fixed options -------------------------------------------------------------


def _activation(name: str, gradient, doc: str, options: dict, **more):
    """The declarator of an internal elementwise function whose options are numbers that are data."""

    def make(fn):
        op = elementwise(
            gradient=gradient,
            name=name,
            where="",
            data=tuple(options),
            check=_floating,
            inplace=False,
            out=False,
            **more,
        )(fn)
        return _with_inplace(name, op, options, doc)

    return make


def _leaky_gradient(g, out, input, negative_slope):
    return g * _pick(input, 1.0, negative_slope), None


def _pick_gradient(g, out, input, above, below):
    positive = input > 0
    return None, zero_where(g, logical_not(positive)), zero_where(g, positive)


@elementwise(name="pick", where="", numbers="above below", gradient=_pick_gradient)
def _pick(input, above, below):
    """`above` where input > 0, `below` elsewhere."""
    shape = np.shape(input)
    return chosen(
        input > 0, np.broadcast_to(above, shape), np.broadcast_to(below, np.broadcast_shapes(shape, np.shape(below)))
    )


def _leaky_relu_values(input, negative_slope=0.01):
    return chosen(input > 0, input, input * negative_slope)


leaky_relu = _activation(
    "leaky_relu",
    _leaky_gradient,
    "input where positive, negative_slope * input elsewhere.",
    {"negative_slope": 0.01},
    grad_name="LeakyRelu",
)(_leaky_relu_values)


def _elu_values(input, alpha=1.0, scale=1.0, input_scale=1.0):
    return np.maximum(input, 0) * scale + np.expm1(np.minimum(input, 0) * input_scale) * (alpha * scale)


def _elu_gradient(g, out, input, alpha, scale, input_scale):
    below = exp(input * input_scale) * (alpha * scale * input_scale)
    positive = input > 0
    return zero_where(g * scale, logical_not(positive)) + zero_where(g * below, positive), None, None, None


def _elu_named(name: str):
    options = {"data": ("alpha", "scale", "input_scale"), "check": _floating, "inplace": False, "out": False}
    return elementwise(gradient=_elu_gradient, name=name, where="", **options)(_elu_values)


_elu, _celu = _elu_named("elu"), _elu_named("celu")


def _elu_of(input, alpha=1.0):
    return _elu(input, float(alpha))


elu = _with_inplace("elu", _elu_of, {"alpha": 1.0}, "input where positive, alpha * (exp(input) - 1) elsewhere.")

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def _selu_of(input):
    return _elu(input, SELU_ALPHA, SELU_SCALE)


_SELU_DOC = """scale * elu(input, alpha) with the two constants that keep mean 0 and variance 1 from layer to layer.

    Source: Klambauer et al. 2017, Self-normalizing neural networks."""
selu = _with_inplace("selu", _selu_of, {}, _SELU_DOC)
publish(_selu_of, "selu", "torch")
publish(inplace_variant(_selu_of, "selu"), "selu_", "torch")


def _celu_of(input, alpha=1.0):
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: celu: alpha cannot be 0, the result divides by it")
    return _celu(input, float(alpha), 1.0, 1.0 / alpha)


celu = _with_inplace("celu", _celu_of, {"alpha": 1.0}, "max(0, input) + min(0, alpha * (exp(input / alpha) - 1)).")
publish(_celu_of, "celu", "torch")
publish(inplace_variant(_celu_of, "celu"), "celu_", "torch")


def _clipped_gradient(g, out, input, min_val, max_val):
    return zero_where(g, (input <= min_val) | (input >= max_val)), None, None


_hardtanh = elementwise(
    gradient=_clipped_gradient,
    name="hardtanh",
    where="",
    data=("min_val", "max_val"),
    dtypes="int float",
    check=_not_bool,
    inplace=False,
    out=False,
)(lambda input, min_val=-1.0, max_val=1.0: np.minimum(np.maximum(input, min_val), max_val))


def _hardtanh_of(input, min_val=-1.0, max_val=1.0):
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val cannot be larger than max_val, they are {min_val} and {max_val}")
    if layout_of(input).dtype.category == 1:
        min_val, max_val = int(min_val), int(max_val)
    return _hardtanh(input, min_val, max_val)


hardtanh = _with_inplace(
    "hardtanh", _hardtanh_of, {"min_val": -1.0, "max_val": 1.0}, "input, cut to [min_val, max_val]."
)
relu6 = _with_inplace("relu6", lambda input: _hardtanh_of(input, 0.0, 6.0), {}, "min(max(0, input), 6).")


def _threshold_gradient(g, out, input, threshold, value):
    return zero_where(g, input <= threshold), None, None


_threshold = elementwise(
    gradient=_threshold_gradient,
    name="threshold",
    where="",
    numbers="threshold value",
    dtypes="int float",
    inplace=False,
    out=False,
)(lambda input, threshold, value: chosen(input <= threshold, np.broadcast_to(value, input.shape), input))


def _threshold_of(input, threshold, value):
    if layout_of(input).dtype.category == 1:
        threshold, value = math.floor(threshold), int(value)
    return _threshold(input, threshold, value)


@function(where="nn.functional")
def threshold(input, threshold, value, inplace=False):
    """input where it is greater than `threshold`, `value` elsewhere.

    Args: inplace: write the result into input. Default False."""
    return _threshold_(input, threshold, value) if inplace else _threshold_of(input, threshold, value)


_threshold_ = inplace_variant(_threshold_of, "threshold")
publish(_threshold_, "threshold_", "nn.functional torch")
publish(_threshold_of, "threshold", "torch")


# --- smooth ones ---------------------------------------------------------------------------------------------


def _silu_gradient(g, out, input):
    s = sigmoid(input)
    return g * conj(s * (1 + input * (1 - s)))


_silu = elementwise(gradient=_silu_gradient, name="silu", where="", dtypes="float complex", inplace=False, out=False)(
    lambda input: input * _logistic(input)
)
silu = _with_inplace("silu", _silu, {}, "input * sigmoid(input).")


def _softplus_where(x, beta, threshold):
    scaled = x * beta
    return chosen(scaled > threshold, x, np.log1p(np.exp(np.minimum(scaled, threshold))) / beta)


def _softplus_values(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _mish_gradient(g, out, input):
    t = tanh(softplus_of(input))
    return g * (t + input * sigmoid(input) * (1 - t * t))


_mish = elementwise(gradient=_mish_gradient, name="mish", where="", dtypes="float", inplace=False, out=False)(
    lambda input: input * np.tanh(_softplus_values(input))
)
mish = _with_inplace(
    "mish",
    _mish,
    {},
    "input * tanh(softplus(input)).\n\n    Source: Misra 2019, Mish: a self regularized activation function.",
)


def _softplus_gradient(g, out, input, beta, threshold):
    scaled = input * beta
    steep = scaled > threshold
    return zero_where(g, logical_not(steep)) + zero_where(g * sigmoid(scaled), steep), None, None


_softplus = elementwise(
    gradient=_softplus_gradient,
    name="softplus",
    where="",
    data=("beta", "threshold"),
    check=_floating,
    inplace=False,
    out=False,
)(lambda input, beta=1.0, threshold=20.0: _softplus_where(input, beta, threshold))


def softplus_of(input):
    return _softplus(input, 1.0, math.inf)


@function(where="nn.functional")
def softplus(input, beta=1, threshold=20, *, out=None):
    """log(1 + exp(beta * input)) / beta; input itself where beta * input > threshold."""
    r = _softplus(input, float(beta), float(threshold))
    return r if out is None else store_out(out, r, "softplus")


def _logsigmoid_gradient(g, out, input):
    return g * sigmoid(-input)


@elementwise(
    gradient=_logsigmoid_gradient, where="nn.functional", dtypes="float", inplace=False, grad_name="LogSigmoid"
)
def logsigmoid(input):
    """log(sigmoid(input)) without overflow."""
    return np.minimum(input, 0) - np.log1p(np.exp(-np.abs(input)))


def _gelu_gradient(g, out, input, approximate):
    if approximate == "tanh":
        c = math.sqrt(2 / math.pi)
        t = tanh(c * (input + 0.044715 * input * input * input))
        slope = 0.5 * (1 + t) + 0.5 * input * (1 - t * t) * c * (1 + 3 * 0.044715 * input * input)
        return g * slope
    return g * (normal_cdf(input) + input * exp(-0.5 * input * input) * (1 / math.sqrt(2 * math.pi)))


def _cdf(x):
    return 0.5 * (1 + erf_values(x * x.dtype.type(math.sqrt(0.5))))


normal_cdf = elementwise(
    gradient=lambda g, out, input: g * exp(-0.5 * input * input) * (1 / math.sqrt(2 * math.pi)),
    name="normal_cdf",
    where="",
    inplace=False,
    out=False,
)(lambda input: _cdf(input))


def _gelu_values(input, approximate="none"):
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (input + 0.044715 * input * input * input)
        return 0.5 * input * (1 + np.tanh(inner))
    return input * _cdf(input)


_gelu = elementwise(gradient=_gelu_gradient, name="gelu", where="", dtypes="float", inplace=False, out=False, data=())(
    _gelu_values
)


@function(where="nn.functional")
def gelu(input, approximate="none", *, out=None):
    """input * Phi(input), Phi the distribution function of the normal distribution.

    Args: approximate: "tanh" for the approximation with tanh. Default "none".
    Source: Hendrycks and Gimpel 2016, Gaussian error linear units."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"approximate argument must be either none or tanh, it is {approximate!r}")
    r = _gelu(input, approximate)
    return r if out is None else store_out(out, r, "gelu")


# --- hard ones -----------------------------------------------------------------------------------------------


_hardsigmoid = elementwise(
    gradient=lambda g, out, input: zero_where(g * (1 / 6), (input <= -3) | (input >= 3)),
    name="hardsigmoid",
    where="",
    dtypes="float",
    inplace=False,
    out=False,
)(lambda input: np.minimum(np.maximum(input + 3, 0), 6) / input.dtype.type(6))
hardsigmoid = _with_inplace("hardsigmoid", _hardsigmoid, {}, "min(max(0, input + 3), 6) / 6.")


def _hardswish_gradient(g, out, input):
    inside = g * (input / 3 + 0.5)
    outer = input > -3
    middle = input < 3
    return zero_where(g, middle) + zero_where(inside, logical_not(logical_and(outer, middle)))


_hardswish = elementwise(
    gradient=_hardswish_gradient, name="hardswish", where="", dtypes="float", inplace=False, out=False
)(lambda input: input * np.minimum(np.maximum(input + 3, 0), 6) / input.dtype.type(6))
hardswish = _with_inplace("hardswish", _hardswish, {}, "input * min(max(0, input + 3), 6) / 6.")


def _shrink_gradient(g, out, input, lambd):
    return zero_where(g, (input >= -lambd) & (input <= lambd)), None


_hardshrink = elementwise(
    gradient=_shrink_gradient, name="hardshrink", where="", data=("lambd",), check=_floating, inplace=False, out=False
)(lambda input, lambd=0.5: zeroed(input, (input >= -lambd) & (input <= lambd)))
_softshrink = elementwise(
    gradient=_shrink_gradient, name="softshrink", where="", data=("lambd",), check=_floating, inplace=False, out=False
)(lambda input, lambd=0.5: input - np.minimum(np.maximum(input, -lambd), lambd))


@function(where="torch Tensor nn.functional")
def hardshrink(input, lambd=0.5, *, out=None):
    """input, but 0 in [-lambd, lambd]."""
    r = _hardshrink(input, float(lambd))
    return r if out is None else store_out(out, r, "hardshrink")


@function(where="nn.functional")
def softshrink(input, lambd=0.5, *, out=None):
    """input moved by lambd towards 0, and 0 in [-lambd, lambd]. Raises RuntimeError for a negative lambd."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    r = _softshrink(input, float(lambd))
    return r if out is None else store_out(out, r, "softshrink")


# --- compositions --------------------------------------------------------------------------------------------


@function(where="nn.functional")
def tanhshrink(input):
    """input - tanh(input)."""
    return input - tanh(input)


@function(where="nn.functional")
def softsign(input):
    """input / (1 + |input|)."""
    return input / (1 + input.abs())


@function(where="nn.functional", name="tanh")
def functional_tanh(input):
    """Hyperbolic tangent."""
    return tanh(input)


@function(where="nn.functional", name="sigmoid")
def functional_sigmoid(input):
    """1 / (1 + exp(-input))."""
    return sigmoid(input)


def _halves(x, dim):
    n = x.shape[dim] // 2
    first = [slice(None)] * x.ndim
    first[dim] = slice(0, n)
    second = list(first)
    second[dim] = slice(n, None)
    return tuple(first), tuple(second)


def _glu_rule(input, dim):
    if not input.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"glu_cpu\" not implemented for '{scalar_name(input.dtype)}': convert to a floating dtype first"
        )
    shape = list(input.shape)
    shape[dim] //= 2
    return layout(tuple(shape), None, input.dtype, input.device)


def _glu_gradient(g, out, input, dim):
    first, second = _halves(input, dim)
    gate = sigmoid(input[second])
    from .joining import cat

    return cat([g * gate, g * input[first] * gate * (1 - gate)], dim)


@primitive(rule=_glu_rule, gradient=_glu_gradient, where="", name="glu")
def _glu(input, dim):
    first, second = _halves(input, dim)
    return input[first] * _logistic(input[second])


@function(where="nn.functional")
def glu(input, dim=-1):
    """first half * sigmoid(second half) along `dim`, whose size is even. Default dim: the last.

    Source: Dauphin et al. 2016, Language modeling with gated convolutional networks."""
    lay = layout_of(input)
    if lay.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    d = dim_index(dim, lay.ndim)
    if lay.shape[d] % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {d} is size {lay.shape[d]}")
    return _glu(input, d)


def _prelu_gradient(g, out, input, weight):
    return g * _pick(input, 1.0, weight), zero_where(g * input, input > 0)


_prelu = elementwise(
    gradient=_prelu_gradient, name="prelu_kernel", where="", dtypes="float", numbers="", inplace=False, out=False
)(lambda input, weight: chosen(input > 0, input, input * weight))


@function(where="torch Tensor nn.functional")
def prelu(input, weight):
    """input where positive, weight * input elsewhere; weight has one element, or one for each channel (dim 1).

    Source: He et al. 2015, Delving deep into rectifiers."""
    input, weight = lowered(input, weight)
    x, w = layout_of(input), layout_of(weight)
    if x.dtype is not w.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {x.dtype} and {w.dtype}")
    if w.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {w.ndim}")
    if w.numel != 1:
        if x.ndim == 0:
            raise RuntimeError("Not allow zero-dim input tensor: weight has more than one element")
        channels = x.shape[1] if x.ndim > 1 else 1
        if channels != w.numel:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {w.numel} and "
                f"channel size = {channels}."
            )
        weight = weight.reshape([w.numel if i == 1 else 1 for i in range(x.ndim)])
    elif x.ndim != w.ndim:
        weight = weight.reshape([1] * x.ndim)
    return _prelu(input, weight)


def _slopes_rule(input, lower, upper, generator):
    return layout(input.shape, None, input.dtype, input.device)


@primitive(rule=_slopes_rule, effect=True, name="rrelu_slopes", where="", differentiable=False)
def _random_slopes(input, lower, upper, generator):
    """1 where input is positive; elsewhere a slope from [lower, upper), drawn in double precision as PyTorch does."""
    from .random import engine_of

    below = ~np.greater(input, 0)
    slopes = np.ones(input.shape, np.float64)
    slopes[below] = fractions64(engine_of(generator), int(np.sum(below))) * (upper - lower) + lower
    return slopes


def _rrelu_of(input, lower=1.0 / 8, upper=1.0 / 3, training=False, generator=None):
    if lower > upper:
        raise RuntimeError(f"Lower bound should be less than or equal to the upper bound, they are {lower} and {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2)
    if not layout_of(input).dtype.is_floating_point:
        raise NotImplementedError(
            f"\"rrelu_with_noise_out_cpu\" not implemented for '{scalar_name(layout_of(input).dtype)}'"
        )
    return mul(input, _random_slopes(input.detach(), float(lower), float(upper), generator))


_RRELU_DOC = """input where positive, elsewhere a slope times input: random from [lower, upper), or their mean in eval.

    Source: Xu et al. 2015, Empirical evaluation of rectified activations in convolutional network."""
rrelu = _with_inplace("rrelu", _rrelu_of, {"lower": 1.0 / 8, "upper": 1.0 / 3, "training": False}, _RRELU_DOC)
publish(_rrelu_of, "rrelu", "torch")
publish(inplace_variant(_rrelu_of, "rrelu"), "rrelu_", "torch")
