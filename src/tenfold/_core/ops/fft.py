"""torch.fft: discrete Fourier transforms, computed by NumPy's pocketfft.

Three primitives: all frequencies (`_dft`), half of those of real numbers (`_half_dft`), and real numbers from half of
their frequencies (`_from_half`). Each divides by n ** power, n being the number of points transformed."""

from __future__ import annotations

import math

import numpy as np

from ..ir.dtypes import FLOAT, get_default_dtype
from ..ir.shapes import Layout, dim_index, layout, size
from ..trace.handle import Tensor, layout_of
from .arranging import roll
from .creation import check_options, chosen, mark
from .declare import function, operation, primitive, scalar_name, store_out
from .elementwise import _real_part, conj
from .joining import cat
from .matmul import takes_tensors
from .padding import _pad
from .sequences import arange
from .shape import clone

# --- the transforms -------------------------------------------------------------------------------------------

# what NumPy calls a division by n ** power: of e^(-iwt), and of e^(+iwt)
_NAMES = {0.0: ("backward", "forward"), 0.5: ("ortho", "ortho"), 1.0: ("forward", "backward")}


def _resized(x: Layout, dims, n: int, d, last: int | None = None) -> Layout:
    """A layout with n points along the last of dims, where the dims transformed lie innermost, `last` after the others."""
    shape = list(x.shape)
    shape[dims[-1]] = n
    innermost = [
        *sorted([i for i in dims if i != last], key=lambda i: -x.strides[i]),
        *([] if last is None else [last]),
    ]
    order = [*sorted([i for i in range(x.ndim) if i not in dims], key=lambda i: -x.strides[i]), *innermost]
    strides, step = [0] * x.ndim, 1
    for i in reversed(order):
        strides[i] = step
        step *= max(shape[i], 1)
    return layout(size(shape), tuple(strides), d, x.device)


def _dft_gradient(g, out, x, dims, forward, power):
    back = dft(g, dims, not forward, power)
    return back if x.dtype.is_complex else _real_part(back)


@primitive(
    rule=lambda x, dims, forward, power: _resized(x, dims, x.shape[dims[-1]], x.dtype.to_complex()),
    gradient=_dft_gradient, where="", name="_dft", grad_name="FftC2C",
)  # fmt: skip
def dft(x, dims, forward, power):
    """The sums over the points along dims of x e^(-iwt), or e^(+iwt) where not forward."""
    if not x.size:
        return x
    transform = np.fft.fftn if forward else np.fft.ifftn
    return transform(x, axes=dims, norm=_NAMES[power][0 if forward else 1])


@primitive(
    rule=lambda x, dim, n, factor: x, gradient=lambda g, out, x, dim, n, factor: _weighed(g, dim, n, factor), where="",
    name="_weighed",
)  # fmt: skip
def _weighed(x, dim, n, factor):
    """The frequencies that have a conjugate twin among all n times factor: all but the first, and n / 2."""
    weights = np.full(x.shape[dim], factor, x.real.dtype)
    weights[0] = 1
    if n % 2 == 0:
        weights[n // 2] = 1
    return x * weights.reshape(-1, *[1] * (x.ndim - dim - 1))


@primitive(
    rule=lambda x, dims, power: _resized(x, dims, x.shape[dims[-1]] // 2 + 1, x.dtype.to_complex(), dims[-1]),
    gradient=lambda g, out, x, dims, power: _from_half(
        _weighed(g, dims[-1], x.shape[dims[-1]], 0.5), dims, x.shape[dims[-1]], power
    ),
    where="", name="_half_dft", grad_name="FftR2C",
)  # fmt: skip
def _half_dft(x, dims, power):
    """The frequencies 0 to n / 2 of the last of dims, and all of the others."""
    if not x.size:
        return np.zeros((*x.shape[: dims[-1]], x.shape[dims[-1]] // 2 + 1, *x.shape[dims[-1] + 1 :]), np.complex64)
    return np.fft.rfftn(x, axes=dims, norm=_NAMES[power][0])


@primitive(
    rule=lambda x, dims, n, power: _resized(x, dims, n, x.dtype.to_real(), dims[-1]),
    gradient=lambda g, out, x, dims, n, power: _weighed(_half_dft(g, dims, power), dims[-1], n, 2),
    where="", name="_from_half", grad_name="FftC2R",
)  # fmt: skip
def _from_half(x, dims, n, power):
    """n real numbers along the last of dims from their frequencies 0 to n / 2, with e^(+iwt)."""
    if not x.size:
        return np.zeros((*x.shape[: dims[-1]], n, *x.shape[dims[-1] + 1 :]), np.float32)
    lengths = [*[x.shape[i] for i in dims[:-1]], n]
    return np.fft.irfftn(x, s=lengths, axes=dims, norm=_NAMES[power][1])


# --- arguments ------------------------------------------------------------------------------------------------


def _integer(name: str, argument: str, value) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"fft_{name}(): argument '{argument}' must be int, not {type(value).__name__}")
    return value.__index__()


def _integers(name: str, argument: str, value) -> tuple[int, ...]:
    if not isinstance(value, (tuple, list)) and not hasattr(value, "__index__"):
        raise TypeError(f"fft_{name}(): argument '{argument}' must be tuple of ints, not {type(value).__name__}")
    return tuple([_integer(name, argument, v) for v in (value if isinstance(value, (tuple, list)) else (value,))])


def _power(name: str, norm, forward: bool) -> float:
    if norm is not None and not isinstance(norm, str):
        raise TypeError(f"fft_{name}(): argument 'norm' must be str, not {type(norm).__name__}")
    if norm == "ortho":
        return 0.5
    if norm not in (None, "backward", "forward"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}" (fft.{name} has "forward", "backward" and "ortho")')
    return 1.0 if forward is (norm == "forward") else 0.0


def _need_points(name: str, n: int) -> int:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified: fft.{name} needs one or more")
    return n


def _floating(name: str, x, real: bool = False):
    """x in a dtype that can be transformed; complex numbers are refused where it has to be real."""
    d = x.dtype
    if d.half:
        raise RuntimeError(f"Unsupported dtype {scalar_name(d)}: fft.{name} takes float32, float64 and complex numbers")
    if real and d.is_complex:
        raise RuntimeError(f"{name} expects a real input tensor, but got {scalar_name(d)}")
    return x if d.category >= FLOAT else x.to(get_default_dtype())


def _one_dim(name: str, x, dim) -> tuple[int]:
    dim = _integer(name, "dim", dim)
    if not x.dim():
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions (fft.{name})")
    return (dim_index(dim, x.dim()),)


def _dims_and_lengths(name: str, x, s, dim) -> tuple[tuple[int, ...], list[int]]:
    """The dims to transform, and how many points each is to have; -1 for as many as it has."""
    lengths = None if s is None else list(_integers(name, "s", s))
    if dim is not None:
        dims = tuple([dim_index(d, x.dim()) for d in _integers(name, "dim", dim)])
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"FFT dims must be unique: fft.{name} got {dim}")
        if lengths is not None and len(lengths) != len(dims):
            raise RuntimeError(
                f"When given, dim and shape arguments must have the same length: fft.{name} got {dim} and {s}"
            )
    else:
        count = x.dim() if lengths is None else len(lengths)
        if count > x.dim():
            raise RuntimeError(f"Got shape with {count} values but input tensor only has {x.dim()} dimensions.")
        dims = tuple(range(x.dim() - count, x.dim()))
    return dims, [-1] * len(dims) if lengths is None else lengths


def _fitted(name: str, x, dims, lengths):
    """x with so many points along dims: the rest is cut off, or zeros follow."""
    more = [0] * x.dim()
    for d, n in zip(dims, lengths):
        have = x.shape[d]
        if _need_points(name, have if n == -1 else n) < have and n != -1:
            x = x.narrow(d, 0, n)
        elif n != -1:
            more[d] = n - have
    return _pad(x, tuple([(0, n) for n in more]), 0) if any(more) else x


def _half_lengths(name: str, x, dims, lengths) -> tuple[list[int], int]:
    """The lengths of half the frequencies, and how many real numbers they stand for."""
    n = 2 * (x.shape[dims[-1]] - 1) if lengths[-1] == -1 else lengths[-1]
    return [*lengths[:-1], _need_points(name, n) // 2 + 1], n


def _some_dims(name: str, x, s, dim):
    dims, lengths = _dims_and_lengths(name, x, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    return dims, lengths


# --- all, of any kind -----------------------------------------------------------------------------------------


def _all(name: str, x, dims, lengths, norm, forward):
    x = _floating(name, x)
    power = _power(name, norm, forward)
    if not dims:
        return clone(x.to(x.dtype.to_complex()))
    return dft(_fitted(name, x, dims, lengths), dims, forward, power)


def _real_to_half(name: str, x, dims, lengths, norm, forward):
    x = _floating(name, x, True)
    return _half_dft(_fitted(name, x, dims, lengths), dims, _power(name, norm, forward))


def _conjugate_half(name: str, x, dims, lengths, norm):
    x = _fitted(name, _floating(name, x, True), dims, lengths)
    power = _power(name, norm, False)
    half = conj(_half_dft(x, dims[-1:], power))
    return dft(half, dims[:-1], False, power) if dims[1:] else half


def _half_to_real(name: str, x, dims, lengths, norm, forward):
    x = _floating(name, x)
    x = x.to(x.dtype.to_complex())
    half, n = _half_lengths(name, x, dims, lengths)
    x = _fitted(name, x, dims, half)
    return _from_half(conj(x) if forward else x, dims, n, _power(name, norm, forward))


def _length(name: str, n) -> list[int]:
    return [-1 if n is None else _need_points(name, _integer(name, "n", n))]


# --- public: one dim ------------------------------------------------------------------------------------------


@operation(where="fft", out=True, grad_name="FftC2C")
def fft(input, n=None, dim=-1, norm=None):
    """The discrete Fourier transform along dim; complex.

    Args: input: (*), real or complex; n: points to transform: more are zeros, fewer cut off. Default: as many as there
    are; norm: "backward" (default) leaves the sum as it is, "ortho" divides by sqrt(n), "forward" by n."""
    return _all("fft", input, _one_dim("fft", input, dim), _length("fft", n), norm, True)


@operation(where="fft", out=True, grad_name="FftC2C")
def ifft(input, n=None, dim=-1, norm=None):
    """The inverse of `fft` with the same arguments; complex."""
    return _all("ifft", input, _one_dim("ifft", input, dim), _length("ifft", n), norm, False)


@operation(where="fft", out=True, grad_name="FftR2C")
def rfft(input, n=None, dim=-1, norm=None):
    """The frequencies 0 to n / 2 of real numbers along dim: n // 2 + 1 of them. Args: as in `fft`."""
    return _real_to_half("rfft", input, _one_dim("rfft", input, dim), _length("rfft", n), norm, True)


@operation(where="fft", out=True, grad_name="FftC2R")
def irfft(input, n=None, dim=-1, norm=None):
    """n real numbers from their frequencies 0 to n / 2 along dim: the inverse of `rfft`.

    Args: n: how many. Default: the even number that fits, 2 (size - 1); norm: as in `fft`."""
    return _half_to_real("irfft", input, _one_dim("irfft", input, dim), _length("irfft", n), norm, False)


@operation(where="fft", out=True, grad_name="FftC2R")
def hfft(input, n=None, dim=-1, norm=None):
    """The n real frequencies of a Hermitian signal, of which the first half is given. Args: as in `irfft`."""
    return _half_to_real("hfft", input, _one_dim("hfft", input, dim), _length("hfft", n), norm, True)


@operation(where="fft", out=True, grad_name="Conj")
def ihfft(input, n=None, dim=-1, norm=None):
    """The first half of the Hermitian signal with these real frequencies: the inverse of `hfft`."""
    return _conjugate_half("ihfft", input, _one_dim("ihfft", input, dim), _length("ihfft", n), norm)


# --- public: several dims -------------------------------------------------------------------------------------


@operation(where="fft", out=True, grad_name="FftC2C")
def fftn(input, s=None, dim=None, norm=None):
    """The discrete Fourier transform over several dims; complex.

    Args: s: points along each dim; -1 for as many as there are. Default: all; dim: default the last len(s), or all of
    them; norm: as in `fft`, n being the product of s."""
    return _all("fftn", input, *_dims_and_lengths("fftn", input, s, dim), norm, True)


@operation(where="fft", out=True, grad_name="FftC2C")
def ifftn(input, s=None, dim=None, norm=None):
    """The inverse of `fftn` with the same arguments; complex."""
    return _all("ifftn", input, *_dims_and_lengths("ifftn", input, s, dim), norm, False)


@operation(where="fft", out=True, grad_name="FftR2C")
def rfftn(input, s=None, dim=None, norm=None):
    """The discrete Fourier transform of real numbers: half of the frequencies of the last dim. Args: as in `fftn`."""
    return _real_to_half("rfftn", input, *_some_dims("rfftn", input, s, dim), norm, True)


@operation(where="fft", out=True, grad_name="FftC2R")
def irfftn(input, s=None, dim=None, norm=None):
    """The inverse of `rfftn`. Args: s: of the result; its last item is 2 (size - 1) by default."""
    return _half_to_real("irfftn", input, *_some_dims("irfftn", input, s, dim), norm, False)


@operation(where="fft", out=True, grad_name="FftC2R")
def hfftn(input, s=None, dim=None, norm=None):
    """The real frequencies of a Hermitian signal, of whose last dim the first half is given. Args: as in `irfftn`."""
    return _half_to_real("hfftn", input, *_some_dims("hfftn", input, s, dim), norm, True)


@operation(where="fft", out=True, grad_name="FftC2C")
def ihfftn(input, s=None, dim=None, norm=None):
    """Half of the Hermitian signal with these real frequencies: the inverse of `hfftn`. Args: as in `fftn`."""
    return _conjugate_half("ihfftn", input, *_some_dims("ihfftn", input, s, dim), norm)


@operation(where="fft", out=True, grad_name="FftC2C")
def fft2(input, s=None, dim=(-2, -1), norm=None):
    """`fftn` over two dims, the last two by default."""
    return _all("fft2", input, *_dims_and_lengths("fft2", input, s, dim), norm, True)


@operation(where="fft", out=True, grad_name="FftC2C")
def ifft2(input, s=None, dim=(-2, -1), norm=None):
    """`ifftn` over two dims, the last two by default."""
    return _all("ifft2", input, *_dims_and_lengths("ifft2", input, s, dim), norm, False)


@operation(where="fft", out=True, grad_name="FftR2C")
def rfft2(input, s=None, dim=(-2, -1), norm=None):
    """`rfftn` over two dims, the last two by default."""
    return _real_to_half("rfft2", input, *_some_dims("rfft2", input, s, dim), norm, True)


@operation(where="fft", out=True, grad_name="FftC2R")
def irfft2(input, s=None, dim=(-2, -1), norm=None):
    """`irfftn` over two dims, the last two by default."""
    return _half_to_real("irfft2", input, *_some_dims("irfft2", input, s, dim), norm, False)


@operation(where="fft", out=True, grad_name="FftC2R")
def hfft2(input, s=None, dim=(-2, -1), norm=None):
    """`hfftn` over two dims, the last two by default."""
    return _half_to_real("hfft2", input, *_some_dims("hfft2", input, s, dim), norm, True)


@operation(where="fft", out=True, grad_name="FftC2C")
def ihfft2(input, s=None, dim=(-2, -1), norm=None):
    """`ihfftn` over two dims, the last two by default."""
    return _conjugate_half("ihfft2", input, *_some_dims("ihfft2", input, s, dim), norm)


for _f in (
    fft, ifft, rfft, irfft, hfft, ihfft, fftn, ifftn, rfftn, irfftn, hfftn, ihfftn, fft2, ifft2, rfft2, irfft2, hfft2,
    ihfft2,
):  # fmt: skip
    takes_tensors(_f, "input")


# --- the order of frequencies ---------------------------------------------------------------------------------


def _shifted(name: str, input, dim, half):
    lay = layout_of(input)
    dims = range(lay.ndim) if dim is None else [dim_index(d, lay.ndim) for d in _integers(name, "dim", dim)]
    return roll(input, tuple([half(lay.shape[d]) for d in dims]), tuple(dims))


@function(where="fft")
def fftshift(input, dim=None):
    """A copy with frequency 0 moved from the first place to the middle, along dim (an int, ints, or None for all)."""
    return _shifted("fftshift", input, dim, lambda n: n // 2)


@function(where="fft")
def ifftshift(input, dim=None):
    """A copy with frequency 0 moved from the middle to the first place: the inverse of `fftshift`."""
    return _shifted("ifftshift", input, dim, lambda n: (n + 1) // 2)


def _frequencies(name: str, half: bool, n, d, out, dtype, layout, device, pin_memory, requires_grad) -> Tensor:
    check_options(f"fft_{name}", layout, pin_memory)
    n = _integer(name, "n", n)
    if isinstance(d, complex) or not hasattr(d, "__float__"):
        raise TypeError(f"fft_{name}(): argument 'd' must be float, not {type(d).__name__}")
    kind = chosen(f"fft_{name}", dtype) or (get_default_dtype() if out is None else layout_of(out).dtype)
    if kind.category < FLOAT:
        raise RuntimeError(f"{name} requires a floating point or complex dtype, not {kind}")
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}] (fft.{name})")
    step = 1 / (n * d) if n * d else math.inf
    if half:
        r = arange(n // 2 + 1, dtype=kind, device=device)
    else:
        r = cat([arange(*ends, dtype=kind, device=device) for ends in ((0, (n + 1) // 2), (-(n // 2), 0))])
    r = r * step
    return mark(r, requires_grad) if out is None else store_out(out, r, f"fft_{name}")


@function(where="fft")
def fftfreq(
    n, d=1.0, *, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False
):  # fmt: skip
    """The frequencies of `fft` in its order, in cycles per unit of d: 0, 1, ... then the negative ones, over n d.

    Args: n: how many points; d: the distance between two of them. Default 1.0; dtype: floating point. Default: the
    default dtype."""
    return _frequencies("fftfreq", False, n, d, out, dtype, layout, device, pin_memory, requires_grad)


@function(where="fft")
def rfftfreq(
    n, d=1.0, *, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False
):  # fmt: skip
    """The n // 2 + 1 frequencies of `rfft`, in cycles per unit of d. Args: as in `fftfreq`."""
    return _frequencies("rfftfreq", True, n, d, out, dtype, layout, device, pin_memory, requires_grad)
