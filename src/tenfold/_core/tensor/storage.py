"""Storages as objects, copies, and pickling."""

from __future__ import annotations

import copy
import weakref

import numpy as np

from ..ir.dtypes import BY_NAME
from ..ir.shapes import layout
from ..trace.flush import realise
from ..trace.handle import Storage, Tensor, is_leaf_handle, layout_of, placed, requires_grad
from ..trace.walk import place


class UntypedStorage:
    """The memory of a tensor, as bytes."""

    def __init__(self, tensor: Tensor):
        self._tensor = tensor
        self._storage = place(tensor)

    def _memory(self) -> np.ndarray:
        return realise(self._tensor)

    def data_ptr(self) -> int:
        """The address of its first byte."""
        self._storage.pinned = True
        return self._memory().ctypes.data

    def nbytes(self) -> int:
        """Its length in bytes."""
        return self._memory().nbytes

    size = nbytes

    def __len__(self) -> int:
        return self.nbytes()

    def __eq__(self, other) -> bool:
        return isinstance(other, UntypedStorage) and other._storage is self._storage

    def __hash__(self) -> int:
        return id(self._storage)

    def tolist(self) -> list:
        """Its bytes as ints."""
        return self._memory().view(np.uint8).tolist()

    def __getitem__(self, i):
        return self._memory().view(np.uint8)[i].item()

    @property
    def device(self):
        """The device that it is on."""
        return self._tensor.device

    def is_shared(self) -> bool:
        """Whether it is in memory shared between processes: never."""
        return False


class TypedStorage(UntypedStorage):
    """The memory of a tensor, as elements of its dtype."""

    @property
    def dtype(self):
        """The dtype of its elements."""
        return layout_of(self._tensor).dtype

    def size(self) -> int:
        """The number of its elements."""
        return self._memory().nbytes // self.dtype.itemsize

    def __len__(self) -> int:
        return self.size()

    def element_size(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    def tolist(self) -> list:
        """Its elements as Python numbers."""
        return whole(self._tensor).tolist()

    def __getitem__(self, i):
        return self.tolist()[i]

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage(self._tensor)


def whole(t: Tensor) -> Tensor:
    """All of a tensor's storage, as a vector."""
    st = place(t)
    st.shared = True
    mem = realise(t)
    r = placed(st, layout((mem.size,), None, t._lay.dtype))
    r._det = True
    return r


def untyped_storage(self) -> UntypedStorage:
    """The storage that it reads, as bytes."""
    return UntypedStorage(self)


def storage(self) -> TypedStorage:
    """The storage that it reads."""
    return TypedStorage(self)


def is_shared(self) -> bool:
    """Whether it lies in memory shared between processes: never, here."""
    return False


def share_memory_(self):
    """Does nothing: tensors go to other processes as copies."""
    return self


def is_set_to(self, tensor) -> bool:
    """Whether both read the same elements of the same storage in the same way."""
    return place(self) is place(tensor) and self._lay is tensor._lay and self._off == tensor._off


def is_pinned(self, device=None) -> bool:
    """Whether it lies in page-locked memory: never, without a GPU."""
    return False


def pin_memory(self, device=None):
    """Without a GPU there is nothing to lock memory for."""
    raise RuntimeError("Cannot access accelerator device when none is available: pin_memory() has no use on the CPU")


for _f in (untyped_storage, storage, is_shared, share_memory_, is_set_to, is_pinned, pin_memory):
    setattr(Tensor, _f.__name__, _f)


# --- copies ---------------------------------------------------------------------------------------------------------------------------


def _attributes(t: Tensor) -> dict:
    return {k: v for k, v in vars(t).items() if k not in ("_after_hooks", "_retains")}


def deepcopy(self, memo):
    """A copy with memory of its own; tensors that share a storage go on sharing."""
    if requires_grad(self) and not is_leaf_handle(self):
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment. detach() the tensor first."
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
    grad = getattr(self, "_grad", None)
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


# --- pickling ---------------------------------------------------------------------------------------------------------------------------


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


_pickled: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # storages that share a pickle share its memory object


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


def reduce(self, protocol):
    """For pickle: storage, layout, and whether it is a leaf that requires grad."""
    if requires_grad(self) and not is_leaf_handle(self):
        raise RuntimeError("Only leaf tensors can be pickled: a tensor's history does not go into a file; detach() it first")
    lay = layout_of(self)
    memory = _memory_of(self)
    return (
        _rebuild,
        (None if type(self) is Tensor else type(self), memory, lay.dtype.name, tuple(lay.shape), lay.strides, self._off, is_leaf_handle(self), _attributes(self) or None),
    )


Tensor.__deepcopy__ = deepcopy
Tensor.__copy__ = shallow
Tensor.__reduce_ex__ = reduce
