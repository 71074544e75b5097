"""torch.fft: discrete Fourier transforms."""

from ._core.ops.declare import PUBLIC as _PUBLIC

globals().update(_PUBLIC["fft"])
