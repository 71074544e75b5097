"""What distributions share: numbers become tensors of one shape, probabilities and logits, triangles as vectors."""

from __future__ import annotations

import functools
import math
from numbers import Number

import tenfold as torch

__all__ = [
    "broadcast_all",
    "logits_to_probs",
    "clamp_probs",
    "probs_to_logits",
    "lazy_property",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]

euler_constant = 0.57721566490153286060
Size = torch.Size
ONE = Size()  # the sample shape of one sample


def broadcast_all(*values) -> tuple[torch.Tensor, ...]:
    """The values as tensors of one shape; numbers take dtype and device of the first tensor.

    Raises: ValueError if a value is neither a number nor a tensor."""
    first = None
    for v in values:
        if isinstance(v, torch.Tensor):
            first = v if first is None else first
        elif not isinstance(v, Number):
            raise ValueError(
                f"Input arguments must all be instances of Number or torch.Tensor, one is a {type(v).__name__}: "
                "make a tensor of it with torch.tensor"
            )
    options = {"dtype": torch.get_default_dtype()} if first is None else {"dtype": first.dtype, "device": first.device}
    tensors = [v if isinstance(v, torch.Tensor) else torch.tensor(v, **options) for v in values]
    return tuple(torch.broadcast_tensors(*tensors))


def standard_normal(shape, like: torch.Tensor) -> torch.Tensor:
    """Normal numbers of that shape with dtype and device of `like`."""
    return torch.randn(shape, dtype=like.dtype, device=like.device)


def uniform_numbers(shape, like: torch.Tensor) -> torch.Tensor:
    """Numbers from [0, 1) of that shape with dtype and device of `like`."""
    return torch.rand(shape, dtype=like.dtype, device=like.device)


def sum_rightmost(value, ndims: int):
    """The sum over the last `ndims` dims."""
    return value if ndims == 0 else value.sum(dim=tuple(range(-ndims, 0)))


def clamp_probs(probs: torch.Tensor) -> torch.Tensor:
    """probs cut to [eps, 1 - eps] of their dtype, so that logarithms are finite."""
    eps = torch.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def logits_to_probs(logits: torch.Tensor, is_binary: bool = False) -> torch.Tensor:
    """Probabilities from log odds (is_binary) or from unnormalised log probabilities along the last dim."""
    return torch.sigmoid(logits) if is_binary else torch.softmax(logits, dim=-1)


def probs_to_logits(probs: torch.Tensor, is_binary: bool = False) -> torch.Tensor:
    """Log odds (is_binary) or log probabilities of probs, which are cut to be inside (0, 1) first."""
    probs = clamp_probs(probs)
    return torch.log(probs) - torch.log1p(-probs) if is_binary else torch.log(probs)


class lazy_property:
    """A method whose result is computed when it is first asked for, and then kept as an attribute of the object."""

    def __init__(self, wrapped):
        self.wrapped = wrapped
        functools.update_wrapper(self, wrapped)

    def __get__(self, instance, obj_type=None):
        if instance is None:
            return self
        with torch.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class ProbsOrLogits:
    """A distribution with one parameter, given as `probs` or as `logits`; the other is computed when asked for."""

    _is_binary = True

    def _take(self, probs, logits) -> str:
        """The name of the one that was given; ValueError if both or none were."""
        if (probs is None) == (logits is None):
            raise ValueError(
                f"Either `probs` or `logits` must be specified, but not both: {type(self).__name__} got "
                f"{'neither' if probs is None else 'both'}"
            )
        return "logits" if probs is None else "probs"

    @lazy_property
    def probs(self) -> torch.Tensor:
        """The probabilities."""
        return logits_to_probs(self.logits, self._is_binary)

    @lazy_property
    def logits(self) -> torch.Tensor:
        """The log odds, or the log probabilities of categories."""
        return probs_to_logits(self.probs, self._is_binary)

    @property
    def _param(self) -> torch.Tensor:
        given = vars(self)
        return given["probs"] if "probs" in given else given["logits"]

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter."""
        return self._param.shape


def tril_matrix_to_vec(mat: torch.Tensor, diag: int = 0) -> torch.Tensor:
    """The elements on and below diagonal `diag` of (..., n, n) as a vector, row by row.

    Raises: ValueError if `diag` is outside [-n, n)."""
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}]: the matrices have {n} rows")
    rows, columns = torch.tril_indices(n, n, diag).unbind()
    return mat[..., rows, columns]


def vec_to_tril_matrix(vec: torch.Tensor, diag: int = 0) -> torch.Tensor:
    """(..., n, n) with the elements of vec on and below diagonal `diag`, row by row, and 0 above.

    Raises: ValueError if no n has so many elements there."""
    length = vec.shape[-1]
    odd = 1 + 2 * diag
    n = (-odd + math.sqrt(odd * odd + 8 * length + 4 * abs(diag) * (diag + 1))) / 2
    if round(n) - n > torch.finfo(vec.dtype).eps:
        raise ValueError(
            f"The size of last dimension is {length} which cannot be expressed as the lower triangular part of a "
            f"square matrix from diagonal {diag} on"
        )
    n = round(n)
    mat = vec.new_zeros((*vec.shape[:-1], n, n))
    rows, columns = torch.tril_indices(n, n, diag).unbind()
    mat[..., rows, columns] = vec
    return mat
