"""Padding: larger grids, with a border of one kind or another. A negative amount crops."""

from tenfold import Tensor
from tenfold.nn import functional as F

from .module import Module
from .tuples import _ntuple, _pair, _quadruple

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]

_sextuple = _ntuple(6, "_sextuple")


class _PadNd(Module):
    """Padding whose text is the amounts alone."""

    padding: tuple

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPadNd(Module):
    """Padding with one value."""

    padding: tuple
    value: float

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*), larger by the padding in the last dims."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """A border of one value.

    Args:
        padding: (left, right), or one number for all.
        value: the value.
    """

    def __init__(self, padding, value: float) -> None:
        super().__init__(value)
        self.padding = _pair(padding)


class ConstantPad2d(_ConstantPadNd):
    """A border of one value.

    Args:
        padding: (left, right, top, bottom), or one number for all.
        value: the value.
    """

    def __init__(self, padding, value: float) -> None:
        super().__init__(value)
        self.padding = _quadruple(padding)


class ConstantPad3d(_ConstantPadNd):
    """A border of one value.

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all.
        value: the value.
    """

    def __init__(self, padding, value: float) -> None:
        super().__init__(value)
        self.padding = _sextuple(padding)


class ZeroPad1d(ConstantPad1d):
    """A border of zeros.

    Args:
        padding: (left, right), or one number for all.
    """

    def __init__(self, padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """A border of zeros.

    Args:
        padding: (left, right, top, bottom), or one number for all.
    """

    def __init__(self, padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """A border of zeros.

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all.
    """

    def __init__(self, padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    """Padding with values from the other side."""

    def _check_input_dim(self, input) -> None:
        """Raises: ValueError if `input` is neither a batch nor one sample."""
        raise NotImplementedError(f"{type(self).__name__} must say which inputs it takes.")

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*), larger by the padding in the last dims."""
        self._check_input_dim(input)
        return F.pad(input, self.padding, "circular")


class CircularPad1d(_CircularPadNd):
    """A border of values from the other side: (N, C, W) or (C, W).

    Args:
        padding: (left, right), or one number for all.
    """

    def __init__(self, padding) -> None:
        super().__init__()
        self.padding = _pair(padding)

    def _check_input_dim(self, input) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {input.dim()}D input)")


class CircularPad2d(_CircularPadNd):
    """A border of values from the other side: (N, C, H, W) or (C, H, W).

    Args:
        padding: (left, right, top, bottom), or one number for all.
    """

    def __init__(self, padding) -> None:
        super().__init__()
        self.padding = _quadruple(padding)

    def _check_input_dim(self, input) -> None:
        if input.dim() not in (3, 4):
            raise ValueError(f"expected 3D or 4D input (got {input.dim()}D input)")


class CircularPad3d(_CircularPadNd):
    """A border of values from the other side: (N, C, D, H, W) or (C, D, H, W).

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all.
    """

    def __init__(self, padding) -> None:
        super().__init__()
        self.padding = _sextuple(padding)

    def _check_input_dim(self, input) -> None:
        if input.dim() not in (4, 5):
            raise ValueError(f"expected 4D or 5D input (got {input.dim()}D input)")


class _ReflectionPadNd(_PadNd):
    """Padding with a mirror image, without the edge itself."""

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*), larger by the padding in the last dims."""
        return F.pad(input, self.padding, "reflect")


class ReflectionPad1d(_ReflectionPadNd):
    """A border of a mirror image, without the edge itself: (N, C, W) or (C, W).

    Args:
        padding: (left, right), or one number for all.
    """

    def __init__(self, padding) -> None:
        super().__init__()
        self.padding = _pair(padding)


class ReflectionPad2d(_ReflectionPadNd):
    """A border of a mirror image, without the edge itself: (N, C, H, W) or (C, H, W).

    Args:
        padding: (left, right, top, bottom), or one number for all.
    """

    def __init__(self, padding) -> None:
        super().__init__()
        self.padding = _quadruple(padding)


class ReflectionPad3d(_ReflectionPadNd):
    """A border of a mirror image, without the edge itself: (N, C, D, H, W) or (C, D, H, W).

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all.
    """

    def __init__(self, padding) -> None:
        super().__init__()
        self.padding = _sextuple(padding)


class _ReplicationPadNd(_PadNd):
    """Padding with copies of the edge."""

    def forward(self, input: Tensor) -> Tensor:
        """(*) to (*), larger by the padding in the last dims."""
        return F.pad(input, self.padding, "replicate")


class ReplicationPad1d(_ReplicationPadNd):
    """A border of copies of the edge: (N, C, W) or (C, W).

    Args:
        padding: (left, right), or one number for all.
    """

    def __init__(self, padding) -> None:
        super().__init__()
        self.padding = _pair(padding)


class ReplicationPad2d(_ReplicationPadNd):
    """A border of copies of the edge: (N, C, H, W) or (C, H, W).

    Args:
        padding: (left, right, top, bottom), or one number for all.
    """

    def __init__(self, padding) -> None:
        super().__init__()
        self.padding = _quadruple(padding)


class ReplicationPad3d(_ReplicationPadNd):
    """A border of copies of the edge: (N, C, D, H, W) or (C, D, H, W).

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all.
    """

    def __init__(self, padding) -> None:
        super().__init__()
        self.padding = _sextuple(padding)
