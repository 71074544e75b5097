"""Spectra of short stretches of a signal, and the signal from its spectra.

Source: D. Griffin and J. Lim, "Signal estimation from modified short-time Fourier transform" (1984)."""

from __future__ import annotations

import warnings

import numpy as np

from ..ir.arrays import required, zeros
from ..ir.dtypes import FLOAT
from ..ir.shapes import layout, size
from ..trace.handle import Tensor
from .checks import tensor_function
from .declare import primitive, scalar_name
from .fft import _from_half, _half_dft, dft
from .padding import _pad, pad
from .windows import add_windows

# a window's overlapping squares have to be at least this large for a division by them
SMALLEST = 1e-11


def _lengths(name: str, n_fft, hop_length, win_length) -> tuple[int, int, int]:
    """The points of a transform, the step between two, and the points of the window; TypeError, RuntimeError."""
    n_fft = _int(name, "n_fft", n_fft)
    hop = n_fft // 4 if hop_length is None else _int(name, "hop_length", hop_length)
    win = n_fft if win_length is None else _int(name, "win_length", win_length)
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop} (n_fft // 4 where not given)")
    if not 0 < win <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={win} and n_fft={n_fft}")
    return n_fft, hop, win


def _int(name: str, argument: str, value) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}(): argument '{argument}' must be int, not {type(value).__name__}")
    return value.__index__()


def _check_window(name: str, window, win: int) -> None:
    if window is None:
        warnings.warn(
            f"{name}: no window was given, so all of it counts alike, which spreads each frequency over others. Give"
            f" torch.hann_window({win}), or torch.ones({win}) to keep it so without this warning.",
            stacklevel=3,
        )
    elif not isinstance(window, Tensor):
        raise TypeError(f"{name}(): argument 'window' must be Tensor, not {type(window).__name__}")
    elif tuple(window.shape) != (win,):
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={win}, but got one of shape"
            f" {list(window.shape)}"
        )


def _widened(window, n: int):
    """The window with zeros on both sides, n points in all."""
    before = (n - window.shape[0]) // 2
    after = n - window.shape[0] - before
    return _pad(window, ((before, after),), 0) if before or after else window


@tensor_function("torch Tensor")
def stft(
    input, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode="reflect", normalized=False,
    onesided=None, return_complex=None, align_to_window=None,
):  # fmt: skip
    """The discrete Fourier transforms of stretches of a signal, one each hop_length points, weighed by a window.

    Args:
        input: (T) or (N, T), real or complex; n_fft: points of each transform.
        hop_length: default n_fft // 4; win_length: default n_fft; window: (win_length). Default: ones.
        center: pad by n_fft // 2 at both ends (in pad_mode, as in nn.functional.pad), so that stretch t is centred on
        point t * hop_length; normalized: divide by sqrt(n_fft).
        onesided: only frequencies 0 to n_fft / 2. Default: for a real input and window.
        return_complex: has to be given for a real input; False gives a last dim of (real, imaginary).
        align_to_window: without center, count stretches by the window's length instead of n_fft. Default False.
    Returns: (*, frequencies, stretches), complex.
    Raises: RuntimeError where lengths do not fit."""
    n_fft = _int("stft", "n_fft", n_fft)
    if center:
        if align_to_window is not None:
            raise RuntimeError("stft: align_to_window should only be set when center=False")
        batch = input.reshape((*[1] * (3 - input.dim()), *input.shape))
        half = n_fft // 2
        input = pad(batch, (half, half), pad_mode).reshape((*input.shape[:-1], -1))
    is_complex = input.dtype.is_complex or (isinstance(window, Tensor) and window.dtype.is_complex)
    if return_complex is None and not is_complex:
        raise RuntimeError("stft requires the return_complex parameter be given for real inputs: give True")
    if input.dtype.category < FLOAT:
        raise RuntimeError(
            f"stft: expected a tensor of floating point or complex values, but got {scalar_name(input.dtype)}"
        )
    if input.dtype.half:
        raise RuntimeError(f"stft: FFT doesn't support tensors of type: {scalar_name(input.dtype)}; use .float()")
    if input.dim() not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, but got one of shape {list(input.shape)}")
    length = input.shape[-1]
    if not 0 < n_fft <= length:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {length}, the points of the signal, but got n_fft={n_fft}")
    n_fft, hop, win = _lengths("stft", n_fft, hop_length, win_length)
    _check_window("stft", window, win)
    if onesided and is_complex:
        raise RuntimeError("stft: cannot have onesided output if window or input is complex")
    x = input if input.dim() == 2 else input.unsqueeze(0)
    if align_to_window:
        before = (n_fft - win) // 2
        x = _pad(x, ((0, 0), (before, n_fft - win - before)), 0)
    frames = x.unfold(1, n_fft, hop)
    if window is not None:
        frames = frames * _widened(window, n_fft)
    elif win < n_fft:
        frames = frames * _widened(input.new_ones(win), n_fft)
    power = 0.5 if normalized else 0.0
    half = not is_complex if onesided is None else onesided
    spectra = _half_dft(frames, (2,), power) if half else dft(frames, (2,), True, power)
    spectra = spectra.transpose(1, 2)
    spectra = spectra if input.dim() == 2 else spectra.squeeze(0)
    return spectra if return_complex or return_complex is None else spectra.view_as_real()


# --- back -----------------------------------------------------------------------------------------------------


@primitive(
    rule=lambda frames, hop: layout(
        size((frames.shape[0], frames.shape[2] + hop * (frames.shape[1] - 1))), None, frames.dtype, frames.device
    ),
    gradient=lambda g, out, frames, hop: g.unfold(1, frames.shape[2], hop), where="", name="_overlap_add",
    grad_name="UnfoldBackward",
)  # fmt: skip
def _overlap_add(frames, hop):
    """Stretches (N, T, points), the next one hop points after the last, added up."""
    count, points = frames.shape[1:]
    out = zeros((frames.shape[0], points + hop * (count - 1)), frames.dtype, frames)
    add_windows(out, np.swapaxes(frames, 1, 2), (points,), (hop,), (1,), (count,))
    return out


@primitive(rule=lambda x, smallest: x, gradient=lambda g, out, x, smallest: g, where="", name="_at_least")
def _at_least(x, smallest):
    """x, whose elements must not be smaller: istft divides by them."""
    low = np.abs(x) < smallest
    if not required(~low):
        raise RuntimeError(
            f"istft: window overlap add min: the windows leave no weight at point {int(np.argwhere(low)[0][-1])} of the"
            " signal; take a smaller hop_length, center=True, or a window without zeros"
        )
    return x


@tensor_function("torch Tensor")
def istft(
    input, n_fft, hop_length=None, win_length=None, window=None, center=True, normalized=False, onesided=None,
    length=None, return_complex=False,
):  # fmt: skip
    """The signal whose spectra come nearest to the given ones: the inverse of `stft` with the same arguments.

    Args: input: (frequencies, T) or (N, frequencies, T), complex; length: points of the result. Default: all that the
    stretches cover, without the padding if center; return_complex: for the spectra of a complex signal.
    Returns: (length) or (N, length).
    Raises: RuntimeError where lengths do not fit, or no window covers a point."""
    if not input.dtype.is_complex:
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    if input.dim() not in (2, 3):
        kind = IndexError if input.dim() < 2 else RuntimeError
        raise kind(f"istft: expected a tensor with 2 or 3 dimensions, but got one of shape {list(input.shape)}")
    if not input.numel():
        raise RuntimeError("istft: input tensor cannot be empty")
    n_fft, hop, win = _lengths("istft", n_fft, hop_length, win_length)
    if hop > win:
        raise RuntimeError(f"istft: expected 0 < hop_length <= win_length, but got {hop} and {win}")
    frequencies, count = input.shape[-2:]
    half = (not return_complex and frequencies != n_fft) if onesided is None else onesided
    wanted = n_fft // 2 + 1 if half else n_fft
    if frequencies != wanted:
        raise RuntimeError(
            f"istft: expected the frequency dimension (the last but one) to be {wanted} for n_fft={n_fft} and"
            f" onesided={bool(half)}, but it is {frequencies}"
        )
    _check_window("istft", window, win)
    if window is not None and window.dtype.is_complex and not return_complex:
        raise RuntimeError("Complex windows are incompatible with return_complex=False (istft)")
    if return_complex and half:
        raise RuntimeError("istft: cannot have onesided output if window or input is complex (return_complex=True)")
    window = _widened(input.new_ones(win, dtype=input.dtype.to_real()) if window is None else window, n_fft)
    spectra = input if input.dim() == 3 else input.unsqueeze(0)
    spectra = spectra.transpose(1, 2)
    power = 0.5 if normalized else 1.0
    if return_complex:
        frames = dft(spectra, (2,), False, power)
    else:
        spectra = spectra if half else spectra.narrow(2, 0, n_fft // 2 + 1)
        frames = _from_half(spectra, (2,), n_fft, power)
    signal = _overlap_add(frames * window, hop)
    weight = _overlap_add((window * window).expand((1, count, n_fft)), hop)
    start = n_fft // 2 if center else 0
    covered = signal.shape[1]
    end = start + _int("istft", "length", length) if length is not None else covered - start
    stop = min(end, covered)
    if stop <= start:
        raise RuntimeError(f"istft: no points of the signal are left: {count} stretches, length={length}")
    signal = signal.narrow(1, start, stop - start) / _at_least(weight.narrow(1, start, stop - start), SMALLEST)
    if end > stop:
        warnings.warn(
            f"istft: the stretches cover {stop - start} of the {end - start} points asked for; zeros follow them",
            stacklevel=2,
        )
        signal = _pad(signal, ((0, end - stop),), 0)
    return signal if input.dim() == 3 else signal.squeeze(0)
