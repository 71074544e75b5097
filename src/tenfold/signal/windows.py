"""Windows of signal processing. With sym=True (the default) a window is symmetric; with sym=False it is one period of a
periodic one. M is the number of elements; dtype is float32 or float64 (default: the default dtype).

Source: Harris 1978, On the use of windows for harmonic analysis with the discrete Fourier transform."""

from __future__ import annotations

import math
from collections.abc import Iterable

import tenfold as torch

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


class _Window:
    """What all windows ask of their arguments, and how their points lie."""

    def __init__(self, name: str, M: int, sym: bool, dtype, layout, device, requires_grad: bool):
        self.dtype = torch.get_default_dtype() if dtype is None else dtype
        if M < 0:
            raise ValueError(f"{name} requires non-negative window length, got M={M}")
        if layout is not torch.strided:
            raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
        if self.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"{name} expects float32 or float64 dtypes, got: {self.dtype}")
        self.M = M
        self.last = M - 1 if sym else M
        self.options = {"dtype": self.dtype, "device": device, "requires_grad": requires_grad}

    def points(self, start: float, step: float) -> torch.Tensor:
        """start, start + step ... for each element."""
        return torch.linspace(start, start + (self.M - 1) * step, self.M, **self.options)

    def short(self) -> torch.Tensor | None:
        """The window where it has no more than one element."""
        return torch.ones(self.M, **self.options) if self.M <= 1 else None


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype=None,
    layout=torch.strided,
    device=None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """``exp(-|n - center| / tau)``. Args: center: default the middle, and only with sym=False another."""
    w = _Window("exponential", M, sym, dtype, layout, device, requires_grad)
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    if M <= 1:
        return w.short()
    middle = w.last / 2.0 if center is None else center
    return torch.exp(-torch.abs(w.points(-middle / tau, 1 / tau)))


def cosine(
    M: int, *, sym: bool = True, dtype=None, layout=torch.strided, device=None, requires_grad: bool = False
) -> torch.Tensor:
    """``sin(pi (n + 0.5) / M)``: half a wave."""
    w = _Window("cosine", M, sym, dtype, layout, device, requires_grad)
    if M <= 1:
        return w.short()
    step = math.pi / (w.last + 1)
    return torch.sin(w.points(0.5 * step, step))


def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype=None,
    layout=torch.strided,
    device=None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """``exp(-(n / (sqrt(2) std))^2)``, n counted from the middle."""
    w = _Window("gaussian", M, sym, dtype, layout, device, requires_grad)
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    if M <= 1:
        return w.short()
    step = 1 / (std * math.sqrt(2))
    return torch.exp(-(w.points(-w.last / 2.0 * step, step) ** 2))


def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype=None,
    layout=torch.strided,
    device=None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """``I0(beta sqrt(1 - (2 n / N - 1)^2)) / I0(beta)``. Args: beta: not negative; more makes it narrower."""
    w = _Window("kaiser", M, sym, dtype, layout, device, requires_grad)
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    if M <= 1:
        return w.short()
    place = w.points(-1.0, 2.0 / w.last)
    scale = torch.special.i0(torch.tensor(beta, dtype=w.dtype, device=device))
    return torch.special.i0(beta * torch.sqrt(torch.clamp(1 - place**2, min=0))) / scale


def general_cosine(
    M, *, a: Iterable, sym: bool = True, dtype=None, layout=torch.strided, device=None, requires_grad: bool = False
) -> torch.Tensor:
    """``sum over k of (-1)^k a[k] cos(2 pi k n / N)``. Args: a: the coefficients, a list or tuple."""
    return _cosines("general_cosine", M, a, sym, dtype, layout, device, requires_grad)


def _cosines(name: str, M, a, sym, dtype, layout, device, requires_grad) -> torch.Tensor:
    w = _Window(name, M, sym, dtype, layout, device, requires_grad)
    if M <= 1:
        return w.short()
    if not isinstance(a, (list, tuple)):
        raise TypeError(f"Coefficients must be a list/tuple, not {type(a).__name__} ({name})")
    if not a:
        raise ValueError(f"Coefficients cannot be empty ({name})")
    angle = w.points(0.0, 2 * math.pi / w.last)
    signed = torch.tensor([(-1) ** k * c for k, c in enumerate(a)], dtype=w.dtype, device=device)
    order = torch.arange(len(a), dtype=w.dtype, device=device)
    return (signed.unsqueeze(-1) * torch.cos(order.unsqueeze(-1) * angle)).sum(0)


def general_hamming(
    M,
    *,
    alpha: float = 0.54,
    sym: bool = True,
    dtype=None,
    layout=torch.strided,
    device=None,
    requires_grad: bool = False,
) -> torch.Tensor:
    """``alpha - (1 - alpha) cos(2 pi n / N)``."""
    return _cosines("general_hamming", M, [alpha, 1.0 - alpha], sym, dtype, layout, device, requires_grad)


def hamming(
    M: int, *, sym: bool = True, dtype=None, layout=torch.strided, device=None, requires_grad: bool = False
) -> torch.Tensor:
    """``0.54 - 0.46 cos(2 pi n / N)``."""
    return general_hamming(M, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


def hann(
    M: int, *, sym: bool = True, dtype=None, layout=torch.strided, device=None, requires_grad: bool = False
) -> torch.Tensor:
    """``0.5 - 0.5 cos(2 pi n / N)``."""
    return _cosines("hann", M, [0.5, 0.5], sym, dtype, layout, device, requires_grad)


def blackman(
    M: int, *, sym: bool = True, dtype=None, layout=torch.strided, device=None, requires_grad: bool = False
) -> torch.Tensor:
    """``0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)``."""
    return _cosines("blackman", M, [0.42, 0.5, 0.08], sym, dtype, layout, device, requires_grad)


def nuttall(
    M: int, *, sym: bool = True, dtype=None, layout=torch.strided, device=None, requires_grad: bool = False
) -> torch.Tensor:
    """Nuttall's four cosines, with a continuous first derivative: the lowest side lobes of such a sum.

    Source: Nuttall 1981, Some windows with very good sidelobe behavior."""
    a = [0.3635819, 0.4891775, 0.1365995, 0.0106411]
    return _cosines("nuttall", M, a, sym, dtype, layout, device, requires_grad)


def bartlett(
    M: int, *, sym: bool = True, dtype=None, layout=torch.strided, device=None, requires_grad: bool = False
) -> torch.Tensor:
    """A triangle: ``1 - |2 n / N - 1|``."""
    w = _Window("bartlett", M, sym, dtype, layout, device, requires_grad)
    if M <= 1:
        return w.short()
    return 1 - torch.abs(w.points(-1.0, 2.0 / w.last))
