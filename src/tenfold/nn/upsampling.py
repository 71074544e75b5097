"""Making images and other grids larger or smaller."""

from tenfold import Tensor
from tenfold.nn import functional as F

from .module import Module

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]


class Upsample(Module):
    """Resample a grid of 1, 2 or 3 dims; give either `size` or `scale_factor`.

    Args:
        size: the result's size, a number for all dims or one for each. Default None.
        scale_factor: result's size over input's. Default None.
        mode: "nearest", "linear" (1-d), "bilinear" and "bicubic" (2-d), or "trilinear" (3-d). Default "nearest".
        align_corners: the corner points of both grids coincide; not for "nearest". Default None: False.
        recompute_scale_factor: use the factor that the rounded size gives. Default None.
    """

    def __init__(
        self,
        size=None,
        scale_factor=None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        if isinstance(scale_factor, tuple):
            self.scale_factor = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *) to (N, C, *)."""
        return F.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            recompute_scale_factor=self.recompute_scale_factor,
        )

    def __setstate__(self, state) -> None:
        state.setdefault("recompute_scale_factor", True)  # a file from before there was a choice
        super().__setstate__(state)

    def extra_repr(self) -> str:
        size = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{size}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Upsample of images by the nearest pixel.

    Args:
        size, scale_factor: as for Upsample. Default None.
    """

    def __init__(self, size=None, scale_factor=None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Bilinear Upsample of images whose corner pixels coincide with the input's.

    Args:
        size, scale_factor: as for Upsample. Default None.
    """

    def __init__(self, size=None, scale_factor=None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
