"""Tensors that are made of an ordinary one: sparse tensors of the elements that they store, nested ones of all their rows.

Such a tensor has no strides. Where an operation meets one, it asks it for its `meaning`: calling.py does, where resolving
an operand to a value fails. Everything is computed by ordinary operations on `_elements`, so gradients flow to those."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import NotStrided
from ..ir import dtypes
from ..ir.dtypes import dtype as dtype_class
from ..ir.operation import Operation
from ..ir.shapes import Layout
from ..trace.handle import Storage, Tensor, layout_of, requires_grad
from .declare import OPERATIONS, PUBLIC


class PackedLayout(Layout):
    """A layout that has no views."""

    __slots__ = ()

    @property
    def views(self):
        raise NotStrided(self.UNSUPPORTED)

    UNSUPPORTED = "a sparse tensor is no memory with strides that could be viewed in another way: use to_dense()"


class Packed(Tensor):
    """A tensor made of an ordinary one, `_elements`, and of what says where these stand."""

    MEANINGS: dict[Operation, Callable] = {}  # what operations are for it, with the same arguments
    UNSUPPORTED: str  # what is said of the others

    def __new__(cls, elements: Tensor, lay: Layout):
        self = Tensor.__new__(cls)
        memory = Storage(None, 0)
        memory.error = NotStrided(cls.UNSUPPORTED)  # what resolving the handle raises
        memory.shared = True
        self._val = self._leaf = self._how = None
        self._st, self._off, self._det = memory, 0, True
        self._lay = lay
        self._elements, self._asked = elements, False
        return self

    def _with(self, elements: Tensor):
        """A tensor with other elements at the same places."""
        raise NotImplementedError

    def meaning(self, op: Operation) -> Callable:
        """What the operation is for it; NotStrided where it is nothing."""
        found = self.MEANINGS.get(op)
        if found is None:
            raise NotStrided(f"{getattr(op, 'public', op.name)}: {self.UNSUPPORTED}")
        return found

    @classmethod
    def means(cls, *names: str):
        """Makes the function what operations of those names are where an operand is such a tensor."""

        def make(f: Callable) -> Callable:
            for name in names:
                cls.MEANINGS[OPERATIONS[name]] = f
            return f

        return make

    # --- gradients

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are recorded for the elements."""
        return requires_grad(self._elements)

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True):
        """Sets whether gradients are recorded for the elements, from here on."""
        if requires_grad and not self.requires_grad:
            self._elements = self._elements.detach().requires_grad_()
            self._asked = True
        elif not requires_grad:
            self._elements.requires_grad_(False)
        return self

    is_leaf = property(lambda self: self._asked or not self.requires_grad, None, None, "Whether no operation made it.")
    grad_fn = property(lambda self: None if self.is_leaf else self._elements.grad_fn, None, None, "What computed it.")

    @property
    def grad(self):
        """The gradient that backward left, with elements at the same places, or None."""
        g = self._elements.grad if self._asked or getattr(self, "_retains", False) else None
        return None if g is None else self._with(g)

    @grad.setter
    def grad(self, value) -> None:
        self._elements.grad = value if value is None else value._elements

    def retain_grad(self) -> None:
        """backward will leave the gradient in `.grad`, though it is no leaf."""
        self._elements.retain_grad()
        self._retains = True

    # --- copies

    def detach(self):
        """The tensor without its history, on the same memory."""
        return self._with(self._elements.detach())

    def detach_(self):
        """The tensor itself, without its history."""
        self._elements, self._asked = self._elements.detach(), False
        return self

    def clone(self, *, memory_format=None):
        """A copy; gradients pass through."""
        return self._with(self._elements.clone())

    def to(self, *args, **kwargs):
        """The tensor with its elements on another device or with another dtype; itself where nothing changes."""
        elements = self._elements.to(*args, **kwargs)
        return self if elements is self._elements else self._with(elements)

    def cpu(self, memory_format=None):
        """The tensor itself: it is on the CPU."""
        return self

    def type_as(self, other):
        """The tensor with the dtype of another."""
        return self.to(layout_of(other).dtype)

    def __deepcopy__(self, memo):
        return memo.setdefault(id(self), self.detach().clone().requires_grad_(self.requires_grad))

    def alike(self, name: str, make: Callable, *args, **kwargs):
        """What make(ordinary tensor, ...) makes, for this one: torch.zeros_like and its kin."""
        return self._with(make(self._elements, *args, **kwargs))

    # --- what there is none of

    def data_ptr(self) -> int:
        """RuntimeError: there is no one place where the elements lie."""
        raise RuntimeError(f"Cannot access data pointer of Tensor that doesn't have storage: {self.UNSUPPORTED}")

    def tolist(self):
        """RuntimeError: it has no elements in order."""
        raise RuntimeError(f"tolist: {self.UNSUPPORTED}")


def _casting(name: str, d: dtype_class):
    def method(self, memory_format=None):
        return self.to(d)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"The tensor with elements of {d}."
    return method


for _name, _d in dtypes.BY_NAME.items():
    if _name in ("bool", "float", "double", "half", "bfloat16", "int", "long", "short", "cfloat", "cdouble"):
        setattr(Packed, _name, _casting(_name, _d))


def by_method(name: str) -> None:
    """The function of torch of that name is the method where the tensor is packed."""
    plain = PUBLIC["torch"][name]

    def f(input, *args, **kwargs):
        if isinstance(input, Packed):
            return getattr(input, name)(*args, **kwargs)
        return plain(input, *args, **kwargs)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = plain.__doc__
    f.__wrapped__ = plain
    PUBLIC["torch"][name] = f


for _name in (
    "select", "clone", "detach", "index_select", "norm", "chunk", "split", "unbind", "flatten", "unflatten", "reshape",
):  # fmt: skip
    by_method(_name)


def _like(name: str) -> None:
    """The function of torch of that name makes a packed tensor like a packed one."""
    plain = PUBLIC["torch"][name]

    def f(input, *args, **kwargs):
        if isinstance(input, Packed):
            return input.alike(name, plain, *args, **kwargs)
        return plain(input, *args, **kwargs)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = plain.__doc__
    f.__wrapped__ = plain
    PUBLIC["torch"][name] = f


for _name in ("zeros_like", "ones_like", "rand_like", "randn_like", "empty_like", "full_like"):
    _like(_name)
