"""Parameters and buffers: tensors that a Module registers when they become its attributes."""

from collections import OrderedDict
from functools import wraps
from typing import Any

import tenfold
from tenfold import Tensor

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


class _ParameterMeta(type(Tensor)):
    """Lets an instance of another Tensor subclass count as a Parameter once it is marked as one."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type(instance) is Tensor:
            return False
        if super().__instancecheck__(instance):
            return True
        return cls is Parameter and isinstance(instance, Tensor) and getattr(instance, "_is_param", False)


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A tensor that is learned: a Module lists it among its parameters when it is assigned as an attribute.

    Args:
        data: the values; storage is shared with it. Default None: an empty tensor.
        requires_grad: whether gradients are accumulated. Default True.
    """

    def __new__(cls, data=None, requires_grad=True):
        if data is None:
            data = tenfold.empty(0)
        if type(data) is Tensor or type(data) is cls:
            return Tensor._make_subclass(cls, data, requires_grad)
        marked = data.detach().requires_grad_(requires_grad)
        if type(marked) is not type(data):
            raise RuntimeError(
                f"Parameter: detach() of a {type(data).__name__} gave a {type(marked).__name__}. A Tensor subclass "
                "that is to become a parameter must keep its type when it is detached."
            )
        marked._is_param = True
        return marked

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        values = self.detach().clone(memory_format=tenfold.preserve_format)
        result = type(self)(values, self.requires_grad)
        memo[id(self)] = result
        return result

    def __repr__(self) -> str:
        text = super().__repr__()
        return text if text.startswith("Parameter") else "Parameter containing:\n" + text

    def __reduce_ex__(self, proto):
        # Hooks are functions and stay behind; attributes that the user set go along.
        state = dict(getattr(self, "__dict__", None) or {})
        if not state:
            return _rebuild_parameter, (self.data, self.requires_grad, OrderedDict())
        return _rebuild_parameter_with_state, (self.data, self.requires_grad, OrderedDict(), state)


def _rebuild_parameter(data, requires_grad, backward_hooks):
    """The parameter that a file describes; the name is the one that PyTorch's files use."""
    return Parameter(data, requires_grad)


def _rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    """As `_rebuild_parameter`, with the attributes that a user had set on it."""
    parameter = Parameter(data, requires_grad)
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    for name, value in {**(attributes or {}), **(slots or {})}.items():
        setattr(parameter, name, value)
    return parameter


class _BufferMeta(type(Tensor)):
    """A buffer is any tensor that carries the mark."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type(instance) is not Tensor and super().__instancecheck__(instance):
            return True
        return cls is Buffer and isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that is state but not learned: assigned as an attribute, it becomes a buffer of the Module.

    The result is a plain tensor that carries a mark, not an instance of a subclass.

    Args:
        data: the values; storage is shared with it. Default None: an empty tensor.
        persistent: whether it is part of the state_dict. Default True.
    """

    def __new__(cls, data=None, *, persistent=True):
        if data is None:
            data = tenfold.empty(0)
        marked = data.detach().requires_grad_(data.requires_grad)
        marked.persistent = persistent
        marked._is_buffer = True
        return marked


_CONVERSIONS = ("to", "type", "cpu", "cuda", "float", "double", "half", "bfloat16", "cfloat", "cdouble")
_ALLOWED = (
    *("backward", "copy_", "data_ptr", "element_size", "requires_grad_", "size", "stride"),
    *("is_floating_point", "is_complex"),
)
_OPERATORS = (
    "abs add and bool contains float floordiv getitem iadd iand imul index int invert ior isub iter itruediv ixor "
    "len matmul mod mul neg or pow radd rmatmul rmul rpow rsub rtruediv setitem sub truediv xor"
).split()


class UninitializedTensorMixin:
    """A parameter or buffer without a shape, until `materialize` gives it one."""

    @property
    def shape(self):
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer: it is given one by the first call of "
            "the module that owns it, or by load_state_dict."
        )

    def materialize(self, shape, device=None, dtype=None) -> None:
        """Give it memory, not initialised, and turn it into an ordinary parameter or buffer.

        Args:
            shape: the shape from now on.
            device, dtype: default None, those that it was made with.
        """
        placeholder = self.data
        device = placeholder.device if device is None else device
        dtype = placeholder.dtype if dtype is None else dtype
        self.data = tenfold.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    def share_memory_(self):
        raise RuntimeError(
            "Can't share memory of an uninitialized parameter or buffer. Call the module once, then share it."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, proto):
        return type(self), (self.requires_grad,)


def _converting(name: str):
    """The conversion of that name, whose result waits for a shape as its argument does."""
    convert = getattr(Tensor, name)

    @wraps(convert)
    def method(self, *args, **kwargs):
        result = convert(self, *args, **kwargs)
        if not isinstance(result, Tensor) or isinstance(result, UninitializedTensorMixin):
            return result
        if isinstance(self, Parameter):
            return result
        return type(self)(device=result.device, dtype=result.dtype, persistent=getattr(self, "persistent", True))

    return method


def _refusing(name: str):
    """Stands for an operation that needs a shape."""

    def method(self, *args, **kwargs):
        raise ValueError(
            f"Attempted to use an uninitialized parameter or buffer in Tensor.{name}: a {type(self).__name__} has no "
            "shape yet. Call the lazy module that owns it once, with an example of its input."
        )

    return method


def _is_operation(name: str) -> bool:
    if name.startswith("__"):
        return name.strip("_") in _OPERATORS
    return not name.startswith("_") and name not in _ALLOWED and callable(getattr(Tensor, name))


def _fill_in_operations() -> None:
    for name in dir(Tensor):
        if name in UninitializedTensorMixin.__dict__:
            continue
        if name in _CONVERSIONS:
            setattr(UninitializedTensorMixin, name, _converting(name))
        elif _is_operation(name):
            setattr(UninitializedTensorMixin, name, _refusing(name))


_fill_in_operations()


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape the first call of its module finds out.

    Args:
        requires_grad: whether gradients are accumulated. Default True.
        device, dtype: of the memory that it will get. Default None: the defaults.
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad=True, device=None, dtype=None):
        return Tensor._make_subclass(cls, tenfold.empty(0, device=device, dtype=dtype), requires_grad)

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        result = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        memo[id(self)] = result
        return result


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape the first call of its module finds out.

    Args:
        requires_grad: default False.
        device, dtype: of the memory that it will get. Default None: the defaults.
        persistent: whether it is part of the state_dict. Default True.
    """

    cls_to_become = Tensor

    def __new__(cls, requires_grad=False, device=None, dtype=None, persistent=True):
        buffer = Tensor._make_subclass(cls, tenfold.empty(0, device=device, dtype=dtype), requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer


def is_lazy(param: Any) -> bool:
    """Whether `param` is a parameter or buffer that has no shape yet."""
    return isinstance(param, UninitializedTensorMixin)
