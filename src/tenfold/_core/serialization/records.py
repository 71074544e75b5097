"""Plain descriptions of what a checkpoint holds besides ordinary Python objects.

`describe(obj)` gives one of these, or None, when saving; `build(record)` takes one and gives the object when loading.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

# dtype name: (name of the storage class in a file, or None where PyTorch has none; NumPy dtype in memory)
_DTYPES = {
    "bool": ("BoolStorage", "?"),
    "uint8": ("ByteStorage", "u1"),
    "int8": ("CharStorage", "i1"),
    "int16": ("ShortStorage", "i2"),
    "int32": ("IntStorage", "i4"),
    "int64": ("LongStorage", "i8"),
    "float16": ("HalfStorage", "f2"),
    "bfloat16": ("BFloat16Storage", "u2"),
    "float32": ("FloatStorage", "f4"),
    "float64": ("DoubleStorage", "f8"),
    "complex64": ("ComplexFloatStorage", "c8"),
    "complex128": ("ComplexDoubleStorage", "c16"),
    "uint16": (None, "u2"),
    "uint32": (None, "u4"),
    "uint64": (None, "u8"),
}
STORAGE_CLASSES = {dtype: entry[0] for dtype, entry in _DTYPES.items() if entry[0] is not None}
MEMORY_DTYPES = {dtype: np.dtype(entry[1]) for dtype, entry in _DTYPES.items()}


@dataclasses.dataclass(eq=False)
class StorageRecord:
    """A whole storage: `data` is flat, in the memory dtype of `dtype_name` (bfloat16 as uint16).

    When saving, storages with the same `key` (compared by identity; by default `data` itself) are written once.
    When loading, `build` is called once for each storage and must keep `data` itself, not a copy: a file in the
    format before 1.6 fills it afterwards. What `build` gave is then `handle`. `data` is None for device "meta".
    An `untyped` storage holds bytes (dtype_name "uint8").
    """

    data: np.ndarray | None
    dtype_name: str
    device: str = "cpu"
    key: Any = None
    untyped: bool = False
    handle: Any = None
    size: int = -1

    def __post_init__(self) -> None:
        if self.size < 0:
            self.size = 0 if self.data is None else self.data.size

    @property
    def nbytes(self) -> int:
        return self.size * MEMORY_DTYPES[self.dtype_name].itemsize


@dataclasses.dataclass(eq=False)
class TensorRecord:
    """A strided tensor on a storage; offset and strides count elements of `dtype_name`.

    `tensor_type` and `state` (attributes) are for subclasses and tensors with attributes, when saving. `conj` and
    `neg` mark a view that negates (the imaginary part of) what the storage holds.
    """

    storage: StorageRecord
    dtype_name: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool = False
    conj: bool = False
    neg: bool = False
    tensor_type: type | None = None
    state: Any = None


@dataclasses.dataclass(eq=False)
class MetaTensorRecord:
    """A tensor without data."""

    dtype_name: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool = False


@dataclasses.dataclass(eq=False)
class ParameterRecord:
    """A Parameter around `data`: a TensorRecord or MetaTensorRecord when saving, the built tensor when loading."""

    data: Any
    requires_grad: bool = True
    state: Any = None


@dataclasses.dataclass(eq=False)
class RetypedRecord:
    """When loading: the built `tensor` must become an instance of the subclass `tensor_type`."""

    tensor: Any
    tensor_type: type


@dataclasses.dataclass(eq=False)
class DtypeRecord:
    """An element type, as "float32"."""

    name: str


@dataclasses.dataclass(eq=False)
class DeviceRecord:
    """A device: type "cpu", "cuda", "meta" and an index or None."""

    type: str
    index: int | None = None


@dataclasses.dataclass(eq=False)
class SizeRecord:
    """A torch.Size."""

    shape: tuple[int, ...]


@dataclasses.dataclass(eq=False)
class LayoutRecord:
    """A layout, as "sparse_coo"."""

    name: str


@dataclasses.dataclass(eq=False)
class SparseRecord:
    """A sparse tensor: its indices (one tensor, or those that are compressed and the others) and its values."""

    layout: str
    parts: tuple[Any, ...]
    shape: tuple[int, ...]
    coalesced: bool = False


@dataclasses.dataclass(eq=False)
class GeneratorRecord:
    """A random generator: `state` is a uint8 TensorRecord when saving, the built tensor when loading."""

    device: str
    seed: int
    offset: int | None
    state: Any


Record = (
    StorageRecord,
    TensorRecord,
    MetaTensorRecord,
    ParameterRecord,
    DtypeRecord,
    DeviceRecord,
    SizeRecord,
    LayoutRecord,
    SparseRecord,
    GeneratorRecord,
)
