"""Copies of tensors, and pickling. Tensors that share a storage go on sharing it, within one copy and one pickle."""

from __future__ import annotations

import copy
import weakref

import numpy as np

from ..ir.dtypes import BY_NAME
from ..ir.shapes import layout
from ..trace.bundle import grad_of
from ..trace.flush import realise
from ..trace.handle import Storage, Tensor, is_leaf_handle, layout_of, placed, requires_grad
from ..trace.walk import place

# --- copies ---------------------------------------------------------------------------------------


def _attributes(t: Tensor) -> dict:
    return {k: v for k, v in vars(t).items() if k not in ("_after_hooks", "_retains")}


def deepcopy(self, memo):
    """A copy with memory of its own; tensors that share a storage go on sharing."""
    if requires_grad(self) and not is_leaf_handle(self):
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment."
            " detach() the tensor first."
        )
    if id(self) in memo:
        return memo[id(self)]
    st = place(self)
    key = id(st)
    twin = memo.get(("storage", key))
    if twin is None:
        twin = Storage(None if st.meta else np.array(realise(self)), st.size)
        twin.meta = st.meta
        twin.name = self._lay.dtype.name
        memo["storage", key] = twin
        memo.setdefault(id(memo), []).append(st)
    else:
        twin.shared = True
    t = placed(twin, self._lay, self._off, type(self))
    if is_leaf_handle(self):
        t._leaf = t
    memo[id(self)] = t
    grad = grad_of(self)
    if grad is not None:
        t._grad = copy.deepcopy(grad.detach(), memo)
    for k, v in _attributes(self).items():
        setattr(t, k, copy.deepcopy(v, memo))
    return t


def shallow(self):
    """Another tensor on the same memory."""
    st = place(self)
    st.shared = True
    t = placed(st, self._lay, self._off, type(self))
    t._leaf = t if is_leaf_handle(self) else self._leaf
    t._det = self._det
    for k, v in _attributes(self).items():
        setattr(t, k, v)
    return t


# --- pickling -------------------------------------------------------------------------------------


class _Memory:
    """A storage in a pickle: tensors that share one name the same object."""

    def __init__(self, mem, name: str, size: int):
        self.mem, self.name, self.size = mem, name, size

    def __reduce__(self):
        return (_Memory, (self.mem, self.name, self.size))

    def storage(self) -> Storage:
        if not hasattr(self, "_storage"):
            self._storage = Storage(None if self.mem is None else self.mem, self.size)
            self._storage.meta = self.mem is None
            self._storage.name = self.name
        else:
            self._storage.shared = True
        return self._storage


_pickled: weakref.WeakKeyDictionary = (
    weakref.WeakKeyDictionary()
)  # storages that share a pickle share its memory object


def _memory_of(t: Tensor) -> _Memory:
    st = place(t)
    found = _pickled.get(st)
    mem = None if st.meta else np.array(realise(t))
    if found is None or found.mem is not None and not np.array_equal(found.mem, mem):
        found = _pickled[st] = _Memory(mem, t._lay.dtype.name, st.size)
    return found


def _rebuild(cls, memory: _Memory, dtype_name: str, shape, strides, offset: int, leaf: bool, attributes: dict | None):
    lay = layout(tuple(shape), tuple(strides), BY_NAME[dtype_name], "meta" if memory.mem is None else "cpu")
    t = placed(memory.storage(), lay, offset, cls or Tensor)
    if leaf:
        t._leaf = t
    for k, v in (attributes or {}).items():
        setattr(t, k, v)
    return t


def reduce(self, proto):
    """For pickle: storage, layout, and whether it requires grad; its history is left out, it comes back as a leaf."""
    lay = layout_of(self)
    memory = _memory_of(self)
    cls = None if type(self) is Tensor else type(self)
    more = _attributes(self)
    return (
        _rebuild,
        (
            cls,
            memory,
            lay.dtype.name,
            tuple(lay.shape),
            lay.strides,
            self._off,
            requires_grad(self),
            more or None,
        ),
    )


Tensor.__deepcopy__ = deepcopy
Tensor.__copy__ = shallow
Tensor.__reduce_ex__ = reduce
