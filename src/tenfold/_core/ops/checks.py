"""Checks of arguments: values that are at hand at the call, and tensors that are none."""

from __future__ import annotations

import functools
import inspect

import numpy as np

from ..ir.special import strided
from ..trace.handle import Tensor, translated
from .declare import function


def known_values(t) -> np.ndarray | None:
    """The elements of a tensor whose memory holds its present value; None where they have yet to be computed."""
    if not isinstance(t, Tensor):
        return None
    st = t._st
    if st is None or not isinstance(st.mem, np.ndarray) or st.val is not st.was:
        return None
    return strided(st.mem, t._lay, t._off)


TENSORS = frozenset(
    "anchor indices input input1 input2 key linear_weight log_probs logits negative positive query running_mean"
    " running_var target targets value weight x1 x2".split()
)


def tensor_function(where: str, name: str | None = None):
    """Makes a function public that says which of its arguments is no tensor, where that made it fail."""

    def make(fn):
        parameters = list(inspect.signature(fn).parameters)
        places = [(i, p) for i, p in enumerate(parameters) if p in TENSORS]
        called = name or fn.__name__

        def explained(error: AttributeError, args: tuple, kwargs: dict) -> Exception:
            for i, p in places:
                x = args[i] if i < len(args) else kwargs.get(p)
                if x is not None and not isinstance(x, Tensor):
                    kind = type(x).__name__
                    return TypeError(f"{called}(): argument '{p}' (position {i + 1}) must be Tensor, not {kind}")
            return error

        @translated
        @functools.wraps(fn)
        def call(*args, **kwargs):
            try:
                return fn(*args, **kwargs)
            except AttributeError as e:
                raise explained(e, args, kwargs) from None

        call.__name__ = call.__qualname__ = called
        return function(call, where=where, name=called)

    return make
