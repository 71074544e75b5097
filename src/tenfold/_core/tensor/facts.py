"""Small facts about tensors, and what Python's own functions ask of them: format, reversed."""

from __future__ import annotations

import numpy as np

from ..ops.declare import PUBLIC, overwrite
from ..trace.handle import Tensor, layout_of, requires_grad, tls
from ..trace.walk import check_writable, view
from .methods import item, make_subclass, values


def __format__(self, format_spec: str) -> str:
    """A number of no dims is formatted as the Python number that it is; other tensors take no format."""
    lay = layout_of(self)
    if lay.ndim == 0 and lay.device != "meta" and type(self) is Tensor:
        return item(self).__format__(format_spec)
    return object.__format__(self, format_spec)


def __reversed__(self):
    return self.flip(0) if layout_of(self).ndim else self


def __array_wrap__(self, array, context=None, return_scalar=False) -> Tensor:
    """What NumPy's functions make of a tensor is a tensor (uint8 where it is bool)."""
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    return PUBLIC["torch"]["from_numpy"](np.asarray(array))


def is_inference(self) -> bool:
    """Whether it was made in inference mode: tenfold's tensors are ordinary ones there too."""
    return False


def is_distributed(self) -> bool:
    """Whether it is spread over processes: never."""
    return False


def is_same_size(self, other) -> bool:
    """Whether both have one shape."""
    return layout_of(self).shape == layout_of(other).shape


def dim_order(self, *, ambiguity_check=False) -> tuple[int, ...]:
    """The dims from the outermost in memory to the innermost."""
    lay = layout_of(self)
    return tuple(sorted(range(lay.ndim), key=lambda k: -lay.strides[k]))


def const_data_ptr(self) -> int:
    """The address of the first element."""
    return self.data_ptr()


def as_subclass(self, cls):
    """The same elements as a tensor of a subclass."""
    if not issubclass(cls, Tensor):
        raise TypeError(f"as_subclass: {cls.__name__} is no subclass of Tensor")
    shown = view(self, layout_of(self), 0, "Alias")
    made = make_subclass(cls, shown)
    made._leaf, made._det, made._how = shown._leaf, shown._det, shown._how
    return made


def _mapped(name: str, self, f, others: tuple) -> Tensor:
    check_writable(self, tls.walk)
    if requires_grad(self):
        raise RuntimeError(f"{name}() cannot be called on a tensor that requires grad; use detach()")
    lay = layout_of(self)
    arrays = [values(t.expand(lay.shape)).ravel().tolist() for t in (self, *others)]
    found = [f(*numbers) for numbers in zip(*arrays)]
    return overwrite(self, PUBLIC["torch"]["tensor"](found, dtype=lay.dtype).reshape(lay.shape))


def apply_(self, callable):
    """Replaces each element x by callable(x), a Python function: slow."""
    return _mapped("apply_", self, callable, ())


def map_(self, tensor, callable):
    """Replaces each element x by callable(x, y), y from another tensor: slow."""
    return _mapped("map_", self, callable, (tensor,))


def map2_(self, x, y, callable):
    """Replaces each element by callable(element, x, y), x and y from two other tensors: slow."""
    return _mapped("map2_", self, callable, (x, y))


def sparse_dim(self) -> int:
    """0: tensors are dense."""
    return 0


def dense_dim(self) -> int:
    """All dims: tensors are dense."""
    return layout_of(self).ndim


def to_dense(self, dtype=None, *, masked_grad=True):
    """The tensor itself (converted to dtype): tensors are dense."""
    return self if dtype is None else self.to(dtype)


def _is_view(self) -> bool:
    """Whether it was made as a view of another tensor."""
    return self._st is not None and self._how is not None


def name(self) -> None:
    """None: tensors have no name."""
    return


for _f in (
    __format__,
    __array_wrap__,
    __reversed__,
    is_inference,
    is_distributed,
    is_same_size,
    dim_order,
    const_data_ptr,
    as_subclass,
    apply_,
    map_,
    map2_,
    sparse_dim,
    dense_dim,
    to_dense,
    _is_view,
):
    setattr(Tensor, _f.__name__, _f)
Tensor.__array_priority__ = 1000  # NumPy leaves `array + tensor` to the tensor
Tensor.name = property(name)
Tensor.is_xla = Tensor.volatile = property(lambda self: False)


def _is_inference(input) -> bool:
    """Whether it was made in inference mode: tenfold's tensors are ordinary ones there too."""
    return input.is_inference()


_is_inference.__name__ = _is_inference.__qualname__ = "is_inference"
PUBLIC["torch"]["is_inference"] = _is_inference
PUBLIC["torch"]["is_same_size"] = is_same_size
