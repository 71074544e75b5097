"""Storages as objects: the memory of a tensor as bytes, or as elements of its dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.dtypes import BY_NAME, decode, get_default_dtype, uint8
from ..ir.dtypes import dtype as dtype_class
from ..ir.shapes import layout, size
from ..ops.creation import filled, tensor
from ..ops.declare import PUBLIC
from ..trace.flush import realise
from ..trace.handle import Storage, Tensor, layout_of, placed
from ..trace.walk import place

NAMES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ShortStorage": "int16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}


def whole(t: Tensor) -> Tensor:
    """All of a tensor's storage, as a vector."""
    st = place(t)
    st.shared = True
    lay = layout_of(t)
    if st.meta:
        return placed(st, layout(size((st.size,)), None, lay.dtype, "meta"))
    mem = realise(t)
    r = placed(st, layout(size((mem.size,)), None, lay.dtype))
    r._det = True
    return r


def _from_data(data, d: dtype_class) -> Tensor:
    """A vector of so many zeros, or of that data."""
    if isinstance(data, int):
        return filled(size((data,)), 0, d, "cpu")
    return tensor(data, dtype=d)


class UntypedStorage:
    """The memory of a tensor, as bytes: UntypedStorage(n) is new memory, UntypedStorage([1, 2]) holds those bytes."""

    def __init__(self, data=0, *, device=None):
        self._tensor = whole(_from_data(data, uint8))

    @classmethod
    def of(cls, t: Tensor):
        """The storage that a tensor reads."""
        self = cls.__new__(cls)
        self._tensor = whole(t)
        return self

    @property
    def _storage(self) -> Storage:
        return self._tensor._st

    @property
    def _cdata(self) -> int:
        return id(self._storage)

    @property
    def _dtype(self) -> dtype_class:
        return layout_of(self._tensor).dtype

    def _memory(self) -> np.ndarray:
        return realise(self._tensor)

    def _bytes(self) -> np.ndarray:
        return self._memory().view(np.uint8)

    def data_ptr(self) -> int:
        """The address of its first byte; 0 on the meta device."""
        if self._storage.meta:
            return 0
        self._storage.pinned = True
        return self._memory().ctypes.data

    def nbytes(self) -> int:
        """Its length in bytes."""
        return layout_of(self._tensor).nbytes if self._storage.meta else self._memory().nbytes

    def size(self) -> int:
        """Its length in elements."""
        return self.nbytes() // self.element_size()

    def element_size(self) -> int:
        """Bytes of one element."""
        return 1

    def __len__(self) -> int:
        return self.size()

    def __eq__(self, other) -> bool:
        return isinstance(other, UntypedStorage) and other._storage is self._storage

    def __hash__(self) -> int:
        return id(self._storage)

    def tolist(self) -> list:
        """Its elements as Python numbers."""
        return self._bytes().tolist()

    def __iter__(self):
        return iter(self.tolist())

    def __getitem__(self, i):
        got = self._bytes()[i]
        return type(self)(got.tolist()) if isinstance(i, slice) else got.item()

    def __setitem__(self, i, value) -> None:
        self._bytes()[i] = value

    def fill_(self, value):
        """Sets all elements to a value."""
        self._bytes()[:] = value
        return self

    def copy_(self, source, non_blocking=None):
        """Sets its elements to those of another storage of the same length."""
        if source.size() != self.size():
            raise RuntimeError(f"copy_: a storage of {source.size()} elements does not fit one of {self.size()}")
        self[:] = source.tolist()
        return self

    def clone(self):
        """A storage of its own with the same elements."""
        return type(self).of(self._tensor.clone())

    def resize_(self, nbytes: int):
        """Makes it longer, by bytes that are not specified (here they are zeros); it cannot be made shorter."""
        return self._grow(nbytes)

    def _grow(self, nbytes: int):
        memory = self._memory()
        if nbytes < memory.nbytes:
            raise NotImplementedError(
                f"resize_: a storage of {memory.nbytes} bytes cannot shrink to {nbytes}: tensors may read all of it"
            )
        longer = np.zeros(nbytes // memory.itemsize, memory.dtype)
        longer[: memory.size] = memory
        self._storage.mem = longer
        self._storage.size = longer.size
        self._tensor = whole(self._tensor)
        return self

    def cpu(self):
        """Itself: it is on the CPU."""
        return self

    def cuda(self, device=None, non_blocking=False):
        """There is no GPU backend: raises as PyTorch without CUDA."""
        self._tensor.cuda()

    def type(self) -> str:
        """The name of its class."""
        return f"torch.storage.{type(self).__name__}"

    @property
    def device(self):
        """The device that it is on."""
        return self._tensor.device

    @property
    def is_cuda(self) -> bool:
        """False: there is no GPU backend."""
        return False

    def is_pinned(self, device=None) -> bool:
        """Whether it lies in page-locked memory: never, without a GPU."""
        return False

    def is_shared(self) -> bool:
        """Whether it is in memory shared between processes: never."""
        return False

    def share_memory_(self):
        """Does nothing: tensors go to other processes as copies."""
        return self

    def __repr__(self) -> str:
        shown = "\n".join(f" {x}" for x in self.tolist())
        return f"{shown}\n[{self._described()} of size {self.size()}]"

    def _described(self) -> str:
        return f"torch.storage.{type(self).__name__}(device={self.device})"

    def __copy__(self):
        return self.clone()

    def __deepcopy__(self, memo):
        found = memo.get(id(self))
        if found is None:
            found = memo[id(self)] = self.clone()
        return found

    def __reduce__(self):
        return (_restored, (type(self), self._tensor.clone()))


def _restored(cls, t: Tensor):
    return cls.of(t)


class TypedStorage(UntypedStorage):
    """The memory of a tensor, as elements of its dtype."""

    def __init__(self, data=0, *, dtype=None, wrap_storage=None, device=None):
        if wrap_storage is not None:
            self._tensor = wrap_storage._tensor
            if dtype is not None and dtype is not wrap_storage._dtype:
                raise NotImplementedError(
                    f"TypedStorage: bytes made for {wrap_storage._dtype} cannot be read as {dtype}"
                )
        else:
            self._tensor = whole(_from_data(data, dtype or get_default_dtype()))

    @property
    def dtype(self):
        """The dtype of its elements."""
        return self._dtype

    def element_size(self) -> int:
        return self.dtype.itemsize

    def tolist(self) -> list:
        return self._tensor.tolist()

    def _position(self, i) -> int:
        if not -self.size() <= i < self.size():
            raise IndexError(f"index {i} out of range for storage of size {self.size()}")
        return i

    def __getitem__(self, i):
        if isinstance(i, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        memory = self._memory()[self._position(i) :][:1]
        return (decode(memory, self.dtype) if self.dtype.half else memory)[0].item()

    def __setitem__(self, i, value) -> None:
        elements: Any = self._tensor
        elements[i if isinstance(i, slice) else self._position(i)] = tensor(value, dtype=self.dtype)

    def fill_(self, value):
        self._tensor.fill_(value)
        return self

    def resize_(self, size: int):
        """Makes it longer, by elements that are not specified."""
        return self._grow(size * self.element_size())

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage.of(self._tensor)

    def type(self, dtype=None, non_blocking=False):
        """The name of its class; with a dtype, a storage with its elements converted."""
        if dtype is None:
            return f"torch.{self.pickle_storage_type()}"
        return self._converted(dtype)

    def pickle_storage_type(self) -> str:
        """The name of the class for its dtype, as `FloatStorage`."""
        return NAME_OF[self.dtype.name]

    def _converted(self, d: dtype_class) -> TypedStorage:
        return TypedStorage.of(self._tensor.to(d, copy=True))

    def _described(self) -> str:
        return f"torch.storage.TypedStorage(dtype={self.dtype}, device={self.device})"


NAME_OF = {d: n for n, d in NAMES.items()}
for _name, _d in (
    ("float", "float32"),
    ("double", "float64"),
    ("half", "float16"),
    ("bfloat16", "bfloat16"),
    ("byte", "uint8"),
    ("char", "int8"),
    ("short", "int16"),
    ("int", "int32"),
    ("long", "int64"),
    ("bool", "bool"),
):
    setattr(TypedStorage, _name, lambda self, _d=_d: self._converted(BY_NAME[_d]))


class _NamedMeta(type):
    """isinstance(s, torch.FloatStorage) asks for the dtype."""

    def __instancecheck__(cls, s) -> bool:
        return isinstance(s, TypedStorage) and s.dtype is cls.dtype

    def __call__(cls, data=0):
        return TypedStorage(data, dtype=cls.dtype)

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


for _name, _d in NAMES.items():
    _described = {"dtype": BY_NAME[_d], "__module__": "torch", "__doc__": f"Memory of {_d} elements."}
    PUBLIC["torch"][_name] = _NamedMeta(_name, (), _described)
PUBLIC["torch"]["UntypedStorage"] = UntypedStorage
PUBLIC["torch"]["TypedStorage"] = TypedStorage


# --- of tensors -------------------------------------------------------------------------------------


def untyped_storage(self) -> UntypedStorage:
    """The storage that it reads, as bytes."""
    return UntypedStorage.of(self)


def storage(self) -> TypedStorage:
    """The storage that it reads."""
    return TypedStorage.of(self)


def storage_type(self):
    """The class of its storage."""
    return PUBLIC["torch"][NAME_OF[layout_of(self).dtype.name]]


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


for _f in (untyped_storage, storage, storage_type, is_shared, share_memory_, is_set_to, is_pinned, pin_memory):
    setattr(Tensor, _f.__name__, _f)
