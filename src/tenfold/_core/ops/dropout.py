"""Dropout."""

from __future__ import annotations

from ..trace.handle import layout_of
from .declare import function, operation
from .random import draw


@operation(where="", name="_dropout", grad_name="Mul")
def _dropout(input, p, generator):
    """Zeros with probability p, the rest scaled by 1 / (1 - p); p is between 0 and 1, both excluded."""
    noise = draw("bernoulli", input.shape, None, input.dtype, generator, 1.0 - p, 0.0)
    return input * (noise / (1.0 - p))


def check(p) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


@function(where="nn.functional", name="dropout")
def functional_dropout(input, p=0.5, training=True, inplace=False):
    """Sets elements to zero with probability p and scales the others by 1 / (1 - p); the input itself where not training.

    Source: Srivastava et al. 2014, Dropout."""
    check(p)
    if not training or p == 0 or layout_of(input).numel == 0:
        return input
    r = input * 0 if p == 1 else _dropout(input, p, None)
    return input.copy_(r) if inplace else r


@function(where="torch", name="dropout")
def dropout(input, p, train):
    """As nn.functional.dropout."""
    return functional_dropout(input, p, train)
