"""Activations: functions applied element by element, and the softmax family."""

import warnings

import tenfold
from tenfold import Tensor
from tenfold.nn import functional as F

from .module import Module
from .parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "MultiheadAttention",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


def __getattr__(name):
    # Where PyTorch has it; here it stands in a file of its own, which imports this package.
    if name == "MultiheadAttention":
        from .attention import MultiheadAttention

        return MultiheadAttention
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


class Threshold(Module):
    """``x if x > threshold else value``.

    Args:
        threshold: values up to here are replaced.
        value: by this.
        inplace: write into the input. Default False.
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + _inplace_text(self, ", ")


def _inplace_text(module, separator="") -> str:
    return separator + "inplace=True" if module.inplace else ""


class _Inplace(Module):
    """An activation whose only option is `inplace`: whether it writes into the input. Default False."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return _inplace_text(self)


class ReLU(_Inplace):
    """``max(0, x)``.

    Args:
        inplace: write into the input. Default False.
    """

    @tenfold.translated
    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.relu(input, self.inplace)


class SELU(_Inplace):
    """``scale * x`` for x > 0, ``scale * alpha * (exp(x) - 1)`` else; alpha = 1.6733, scale = 1.0507.

    Args:
        inplace: write into the input. Default False.
    Source: Klambauer et al. 2017, Self-normalizing neural networks.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.selu(input, self.inplace)


class SiLU(_Inplace):
    """``x * sigmoid(x)``, also called swish.

    Args:
        inplace: write into the input. Default False.
    Source: Elfwing et al. 2017, Sigmoid-weighted linear units.
    """

    @tenfold.translated
    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.silu(input, self.inplace)


class Mish(_Inplace):
    """``x * tanh(softplus(x))``.

    Args:
        inplace: write into the input. Default False.
    Source: Misra 2019, Mish: a self regularized non-monotonic activation function.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.mish(input, self.inplace)


class Hardswish(Module):
    """``x * relu6(x + 3) / 6``.

    Args:
        inplace: write into the input. Default False.
    Source: Howard et al. 2019, Searching for MobileNetV3.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.hardswish(input, self.inplace)


class Hardsigmoid(Module):
    """``relu6(x + 3) / 6``.

    Args:
        inplace: write into the input. Default False.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.hardsigmoid(input, self.inplace)


class ELU(Module):
    """``x`` for x > 0, ``alpha * (exp(x) - 1)`` else.

    Args:
        alpha: minus the value far to the left. Default 1.0.
        inplace: write into the input. Default False.
    Source: Clevert et al. 2015, Exponential linear units.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + _inplace_text(self, ", ")


class CELU(Module):
    """``max(0, x) + min(0, alpha * (exp(x / alpha) - 1))``.

    Args:
        alpha: minus the value far to the left, not 0. Default 1.0.
        inplace: write into the input. Default False.
    Source: Barron 2017, Continuously differentiable exponential linear units.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + _inplace_text(self, ", ")


class LeakyReLU(Module):
    """``x`` for x > 0, ``negative_slope * x`` else.

    Args:
        negative_slope: default 0.01.
        inplace: write into the input. Default False.
    """

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + _inplace_text(self, ", ")


class RReLU(Module):
    """``x`` for x > 0, ``a * x`` else: a is uniform on [lower, upper) in training, and its mean in evaluation.

    Args:
        lower, upper: bounds of the slope. Defaults 1/8 and 1/3.
        inplace: write into the input. Default False.
    Source: Xu et al. 2015, Empirical evaluation of rectified activations in convolution network.
    """

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + _inplace_text(self, ", ")


class Hardtanh(Module):
    """``x`` cut off at `min_val` and `max_val`.

    Args:
        min_val, max_val: the bounds. Defaults -1.0 and 1.0.
        inplace: write into the input. Default False.
        min_value, max_value: old names of the bounds.
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        if min_value is not None:
            _warn_renamed("min_value", "min_val")
            min_val = min_value
        if max_value is not None:
            _warn_renamed("max_value", "max_val")
            max_val = max_value
        if not max_val > min_val:
            raise AssertionError(f"max_val ({max_val}) must be greater than min_val ({min_val})")
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + _inplace_text(self, ", ")


def _warn_renamed(old, new) -> None:
    warnings.warn(f"keyword argument `{old}` is deprecated and renamed to `{new}`", FutureWarning, stacklevel=3)


class ReLU6(Hardtanh):
    """``min(max(0, x), 6)``.

    Args:
        inplace: write into the input. Default False.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return _inplace_text(self)


class Sigmoid(Module):
    """``1 / (1 + exp(-x))``."""

    @tenfold.translated
    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return tenfold.sigmoid(input)


class Tanh(Module):
    """``tanh(x)``."""

    @tenfold.translated
    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return tenfold.tanh(input)


class LogSigmoid(Module):
    """``log(sigmoid(x))``."""

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.logsigmoid(input)


class Softsign(Module):
    """``x / (1 + |x|)``."""

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.softsign(input)


class Tanhshrink(Module):
    """``x - tanh(x)``."""

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.tanhshrink(input)


class Softplus(Module):
    """``log(1 + exp(beta * x)) / beta``; x itself where ``beta * x > threshold``.

    Args:
        beta: how sharp the bend is. Default 1.0.
        threshold: where the function counts as linear. Default 20.0.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softshrink(Module):
    """``x`` moved towards 0 by `lambd`; 0 where ``|x| <= lambd``.

    Args:
        lambd: at least 0. Default 0.5.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(Module):
    """``x``; 0 where ``|x| <= lambd``.

    Args:
        lambd: default 0.5.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class GELU(Module):
    """``x * Phi(x)``, where Phi is the distribution function of the normal distribution.

    Args:
        approximate: "none", or "tanh" for ``0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3)))``.
    Source: Hendrycks and Gimpel 2016, Gaussian error linear units.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    @tenfold.translated
    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class GLU(Module):
    """``a * sigmoid(b)``, where a and b are the halves of the input.

    Args:
        dim: the dim that is halved. Default -1.
    Source: Dauphin et al. 2016, Language modeling with gated convolutional networks.
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """(*, 2 N, *) to (*, N, *)."""
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class PReLU(Module):
    """``x`` for x > 0, ``weight * x`` else; the weight is learned.

    Args:
        num_parameters: 1, or the number of channels (dim 1), each of which then has its own. Default 1.
        init: the first value. Default 0.25.
        device, dtype: of the weight. Default None: the defaults.
    Source: He et al. 2015, Delving deep into rectifiers.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device=None, dtype=None) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(tenfold.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to its first value."""
        with tenfold.no_grad():
            self.weight.fill_(self.init)

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class _AlongDim(Module):
    """A function along one dim of its input."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """``exp(x) / sum(exp(x))`` along a dim.

    Args:
        dim: the dim that adds up to 1. Default None: guessed from the number of dims, with a warning.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.softmax(input, self.dim)


class LogSoftmax(_AlongDim):
    """``log(softmax(x))`` along a dim.

    Args:
        dim: the dim whose exponentials add up to 1. Default None: guessed from the number of dims, with a warning.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.log_softmax(input, self.dim)


class Softmin(_AlongDim):
    """``softmax(-x)`` along a dim.

    Args:
        dim: the dim that adds up to 1. Default None: guessed from the number of dims, with a warning.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*)."""
        return F.softmin(input, self.dim)


class Softmax2d(Module):
    """Softmax over the channels at each place of an image: (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) or (C, H, W), to the same."""
        if input.dim() not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead")
        return F.softmax(input, -3)
