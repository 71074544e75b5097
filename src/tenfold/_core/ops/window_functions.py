"""Windows of signal processing by their older names, as torch.hann_window. Those of torch.signal.windows are in
tenfold/signal/windows.py."""

from __future__ import annotations

import math
import operator

import numpy as np

from ..ir.dtypes import get_default_dtype
from ..ir.shapes import Layout, layout, size
from ..trace.handle import Tensor
from .creation import check_options, chosen, filled, mark
from .declare import function, not_implemented, primitive, scalar_name
from .devices import device_name


def _cosines(i: np.ndarray, last: int, first: float, second: float, third: float) -> np.ndarray:
    angle = i * i.dtype.type(2 * math.pi / last)
    out = first - second * np.cos(angle)
    return out + third * np.cos(2 * angle) if third else out


def _bartlett(i: np.ndarray, last: int, *unused: float) -> np.ndarray:
    return 1 - abs(2 * i / i.dtype.type(last) - 1)


def _kaiser(i: np.ndarray, last: int, beta: float, *unused: float) -> np.ndarray:
    place = 2 * i.astype("f8") / last - 1
    return np.i0(beta * np.sqrt(np.maximum(1 - place**2, 0))) / np.i0(beta)


_SHAPES = {"cosines": _cosines, "bartlett": _bartlett, "kaiser": _kaiser}


def _window_rule(kind, count, periodic, first, second, third, d) -> Layout:
    return layout(size((count,)), None, d)


@primitive(rule=_window_rule, data=("first", "second", "third"), name="_window", where="", differentiable=False)
def _window(kind, count, periodic, first, second, third, d):
    if count < 2:
        return np.ones(count, d.compute)
    last = count if periodic else count - 1
    numbers = [float(x) for x in (first, second, third)]
    return _SHAPES[kind](np.arange(count, dtype=d.compute), last, *numbers).astype(d.compute)


def made(name: str, kind: str, count, periodic, numbers, dtype, layout, device, pin_memory, requires_grad) -> Tensor:
    """A window of that kind and length; `numbers` are up to three that shape it."""
    check_options(name, layout, pin_memory)
    try:
        n = operator.index(count)
    except TypeError:
        raise TypeError(f"{name}(): argument 'window_length' must be int, not {type(count).__name__}") from None
    d = chosen(name, dtype) or get_default_dtype()
    if d.is_complex:
        raise not_implemented("arange_cpu", d)
    if not d.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {scalar_name(d)}")
    if n < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={n}")
    where = device_name(device)
    if where == "meta":
        return filled(size((n,)), 0, d, "meta", requires_grad)
    first, second, third = (float(x) for x in (*numbers, 0.0, 0.0, 0.0)[:3])
    return mark(_window(kind, n, bool(periodic), first, second, third, d), requires_grad)


@function(where="torch")
def hann_window(
    window_length, periodic=True, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False
):
    """Half a cosine wave, raised: ``0.5 - 0.5 cos(2 pi n / N)``.

    Args: window_length: how many elements; periodic: N is window_length (default), else window_length - 1."""
    options = (dtype, layout, device, pin_memory, requires_grad)
    return made("hann_window", "cosines", window_length, periodic, (0.5, 0.5), *options)


@function(where="torch")
def hamming_window(
    window_length,
    periodic=True,
    alpha=0.54,
    beta=0.46,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """``alpha - beta cos(2 pi n / N)``; N is window_length, or one less if not periodic."""
    options = (dtype, layout, device, pin_memory, requires_grad)
    return made("hamming_window", "cosines", window_length, periodic, (alpha, beta), *options)


@function(where="torch")
def blackman_window(
    window_length, periodic=True, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False
):
    """``0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)``; N is window_length, or one less if not periodic."""
    options = (dtype, layout, device, pin_memory, requires_grad)
    return made("blackman_window", "cosines", window_length, periodic, (0.42, 0.5, 0.08), *options)


@function(where="torch")
def bartlett_window(
    window_length, periodic=True, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False
):
    """A triangle: ``1 - |2 n / N - 1|``; N is window_length, or one less if not periodic."""
    options = (dtype, layout, device, pin_memory, requires_grad)
    return made("bartlett_window", "bartlett", window_length, periodic, (), *options)


@function(where="torch")
def kaiser_window(
    window_length,
    periodic=True,
    beta=12.0,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """``I0(beta sqrt(1 - (2 n / N - 1)^2)) / I0(beta)``; N is window_length, or one less if not periodic."""
    options = (dtype, layout, device, pin_memory, requires_grad)
    return made("kaiser_window", "kaiser", window_length, periodic, (beta,), *options)
