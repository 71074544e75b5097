"""Initial values of parameters. Each function fills a tensor in place, without gradient, and returns it.

A function draws from the default generator, or from the one given, in PyTorch's order: the same seed gives the same
values. The names without a trailing underscore are old ones, which warn.
"""

import functools
import math
import warnings

import tenfold

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

_GAIN_ONE = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights before `nonlinearity` are scaled so that signals keep their size.

    Args:
        nonlinearity: a convolution, "linear", "sigmoid" (1), "tanh" (5/3), "relu" (sqrt(2)),
            "leaky_relu" (sqrt(2 / (1 + slope^2))), or "selu" (3/4).
        param: the slope of "leaky_relu". Default None: 0.01.
    """
    if nonlinearity in _GAIN_ONE:
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise ValueError(f"negative_slope {slope} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


@tenfold.no_grad()
def uniform_(tensor, a: float = 0.0, b: float = 1.0, generator=None):
    """Fill with numbers from the uniform distribution on [a, b)."""
    return tensor.uniform_(a, b, generator=generator)


@tenfold.no_grad()
def normal_(tensor, mean: float = 0.0, std: float = 1.0, generator=None):
    """Fill with numbers from the normal distribution."""
    return tensor.normal_(mean, std, generator=generator)


@tenfold.no_grad()
def trunc_normal_(tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator=None):
    """Fill with numbers from the normal distribution, cut off outside [a, b]; a and b are values, not multiples of std.

    Values outside are drawn again; where few would be inside, candidates come from the uniform distribution on [a, b)
    and are kept in proportion to the normal density.
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_: the values are not distributed as asked.",
            stacklevel=3,
        )
    inside = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    if inside > 0.3:
        return _redraw_outside(tensor, mean, std, a, b, generator)
    return _draw_by_density(tensor, mean, std, a, b, generator)


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def _redraw_outside(tensor, mean, std, a, b, generator):
    low = tenfold.tensor(a, dtype=tensor.dtype).item()  # the bounds as this dtype holds them
    high = tenfold.tensor(b, dtype=tensor.dtype).item()
    values = tensor.normal_(mean, std, generator=generator)
    outside = (values < low) | (values > high)
    while bool(outside.any()):
        fresh = tenfold.empty_like(tensor).normal_(mean, std, generator=generator)
        values = tenfold.where(outside, fresh, values)
        outside = (values < low) | (values > high)
    return tensor.copy_(values)


def _draw_by_density(tensor, mean, std, a, b, generator):
    nearest = min(max(mean, a), b)
    largest = -0.5 * ((nearest - mean) / std) ** 2  # log-density of the likeliest value in [a, b]

    def refused(values):
        log_ratio = ((values - mean) / std).square() * -0.5 - largest
        return tenfold.empty_like(values).uniform_(generator=generator).log() > log_ratio

    values = tensor.uniform_(a, b, generator=generator)
    again = refused(values)
    while bool(again.any()):
        fresh = tenfold.empty_like(tensor).uniform_(a, b, generator=generator)
        values = tenfold.where(again, fresh, values)
        again = again & refused(values)
    return tensor.copy_(values)


@tenfold.no_grad()
def constant_(tensor, val: float):
    """Fill with the value `val`."""
    return tensor.fill_(val)


@tenfold.no_grad()
def ones_(tensor):
    """Fill with ones."""
    return tensor.fill_(1.0)


@tenfold.no_grad()
def zeros_(tensor):
    """Fill with zeros."""
    return tensor.zero_()


@tenfold.no_grad()
def eye_(tensor):
    """Fill a matrix with ones on the diagonal and zeros elsewhere: a linear layer passes on what it can."""
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return tensor.copy_(tenfold.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


@tenfold.no_grad()
def dirac_(tensor, groups: int = 1):
    """Fill the weight of a convolution so that it passes its channels on unchanged, in each of `groups` groups."""
    dims = tensor.ndimension()
    if dims not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.size(0) % groups != 0:
        raise ValueError(f"dim 0 must be divisible by groups, but {tensor.size(0)} is not by {groups}")
    channels = tensor.size(0) // groups
    centre = tuple(size // 2 for size in tensor.shape[2:])
    tensor.zero_()
    for group in range(groups):
        for channel in range(min(channels, tensor.size(1))):
            tensor[(group * channels + channel, channel, *centre)] = 1
    return tensor


def _calculate_fan_in_and_fan_out(tensor) -> tuple[int, int]:
    """How many inputs each output of a linear or convolution weight has, and how many outputs each input."""
    if tensor.dim() < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    receptive_field = math.prod(tensor.shape[2:])
    return tensor.size(1) * receptive_field, tensor.size(0) * receptive_field


def _calculate_correct_fan(tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return fan_in if mode == "fan_in" else fan_out


def xavier_uniform_(tensor, gain: float = 1.0, generator=None):
    """Fill from the uniform distribution on (-a, a) with a = gain * sqrt(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor, gain: float = 1.0, generator=None):
    """Fill from the normal distribution with std = gain * sqrt(2 / (fan_in + fan_out)).

    Source: Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    return normal_(tensor, 0.0, std, generator)


def _kaiming_std(tensor, a, mode, nonlinearity) -> float:
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _is_empty(tensor) -> bool:
    if 0 not in tensor.shape:
        return False
    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
    return True


def kaiming_uniform_(tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator=None):
    """Fill from the uniform distribution on (-b, b) with b = gain * sqrt(3 / fan).

    Args:
        a: the slope of the leaky ReLU that follows; it is used for "leaky_relu" only. Default 0.
        mode: "fan_in" keeps the size of the signals forward, "fan_out" that of the gradients. Default "fan_in".
        nonlinearity: what follows, as for `calculate_gain`. Default "leaky_relu".
    Source: He et al. 2015, Delving deep into rectifiers.
    """
    if _is_empty(tensor):
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator=None):
    """Fill from the normal distribution with std = gain / sqrt(fan); the arguments are those of `kaiming_uniform_`.

    Source: He et al. 2015, Delving deep into rectifiers.
    """
    if _is_empty(tensor):
        return tensor
    return normal_(tensor, 0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


@tenfold.no_grad()
def orthogonal_(tensor, gain: float = 1, generator=None):
    """Fill with a random matrix that has orthonormal rows, or columns if there are fewer of them, times `gain`.

    Further dims count as columns.

    Source: Saxe et al. 2013, Exact solutions to the nonlinear dynamics of learning in deep linear neural networks.
    """
    if tensor.ndimension() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.size(0)
    columns = tensor.numel() // rows
    drawn = tensor.new_empty((rows, columns)).normal_(0, 1, generator=generator)
    if rows < columns:
        drawn = drawn.t()
    q, r = tenfold.linalg.qr(drawn)
    q = q * r.diagonal().sign()  # QR is unique, and q uniformly distributed, once r's diagonal is positive
    if rows < columns:
        q = q.t()
    return tensor.copy_(q.reshape(tensor.shape)).mul_(gain)


@tenfold.no_grad()
def sparse_(tensor, sparsity: float, std: float = 0.01, generator=None):
    """Fill a matrix from the normal distribution, with the share `sparsity` of each column set to zero.

    Source: Martens 2010, Deep learning via Hessian-free optimization.
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    tensor.normal_(0, std, generator=generator)
    for column in range(columns):
        order = tenfold.randperm(rows)
        tensor[order[:zeros], column] = 0
    return tensor


def _make_deprecate(meth):
    new_name = meth.__name__
    old_name = new_name[:-1]

    @functools.wraps(meth)
    def deprecated_init(*args, **kwargs):
        warnings.warn(
            f"`nn.init.{old_name}` is now deprecated in favor of `nn.init.{new_name}`.", FutureWarning, stacklevel=2
        )
        return meth(*args, **kwargs)

    deprecated_init.__name__ = old_name
    deprecated_init.__doc__ = f"The old name of `{new_name}`."
    return deprecated_init


uniform = _make_deprecate(uniform_)
normal = _make_deprecate(normal_)
constant = _make_deprecate(constant_)
eye = _make_deprecate(eye_)
dirac = _make_deprecate(dirac_)
xavier_uniform = _make_deprecate(xavier_uniform_)
xavier_normal = _make_deprecate(xavier_normal_)
kaiming_uniform = _make_deprecate(kaiming_uniform_)
kaiming_normal = _make_deprecate(kaiming_normal_)
orthogonal = _make_deprecate(orthogonal_)
sparse = _make_deprecate(sparse_)
