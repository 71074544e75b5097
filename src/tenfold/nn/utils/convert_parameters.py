"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

import tenfold
from tenfold import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def _check_devices(parameters: list[Tensor]) -> None:
    devices = {str(p.device) for p in parameters}
    if len(devices) > 1:
        raise TypeError(f"Found parameters on different devices ({', '.join(sorted(devices))}); this is not supported.")


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters, one after the other, as one vector."""
    parameters = list(parameters)
    _check_devices(parameters)
    return tenfold.cat([p.view(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Makes the parameters views of the vector, piece after piece: undoes `parameters_to_vector`.

    Raises: TypeError if `vec` is no tensor; RuntimeError if it has too few elements.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: expected torch.Tensor, but got: {type(vec).__name__}")
    parameters = list(parameters)
    _check_devices(parameters)
    start = 0
    for p in parameters:
        piece = vec[start : start + p.numel()]
        if piece.numel() != p.numel():
            raise RuntimeError(
                f"vector_to_parameters: vec has {vec.numel()} elements, which is too few: a parameter of shape "
                f"{list(p.shape)} begins at element {start}."
            )
        p.data = piece.view_as(p).data
        start += p.numel()
