"""What a checkpoint may name: each of PyTorch's constructors, written here on records, with every argument checked.

`Constructors.find(module, name)` gives the value of a name in a file: a `Constructor` (the only thing that the
restricted unpickler calls), a storage kind, a dtype, a class, or `UNKNOWN`.
"""

from __future__ import annotations

import collections
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from . import records
from .names import modern_module
from .records import MEMORY_DTYPES, STORAGE_CLASSES

UNKNOWN = object()
_MAX_KEY_PARTS = 1_000
_MAX_DIMS = 64

_DTYPE_OF_STORAGE = {name: dtype for dtype, name in STORAGE_CLASSES.items()}
_OTHER_DTYPES = frozenset(
    [f"{kind}{bits}" for kind in ("int", "uint") for bits in range(1, 8)]
    + ["complex32", "float4_e2m1fn_x2", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]
    + ["float8_e8m0fnu", "qint8", "quint8", "qint32", "quint4x2", "quint2x4"]
    + ["bits8", "bits16", "bits1x8", "bits2x4", "bits4x2"]
)
_LAYOUTS = frozenset("strided sparse_coo sparse_csr sparse_csc sparse_bsr sparse_bsc _mkldnn jagged".split())
_ABSENT = {
    "_rebuild_nested_tensor": "nested tensors",
    "_rebuild_qtensor": "quantized tensors",
    "_rebuild_wrapper_subclass": "wrapper subclasses",
    "_rebuild_device_tensor_from_numpy": "tensors of devices other than the CPU",
    "_rebuild_device_tensor_from_cpu_tensor": "tensors of devices other than the CPU",
}


class StorageKind:
    """The class of a storage as a file names it: a dtype, or untyped bytes."""

    def __init__(self, dtype_name: str, untyped: bool = False):
        self.dtype_name = dtype_name
        self.untyped = untyped


class Constructor:
    """A function that a file may call."""

    def __init__(self, name: str, function: Callable[..., Any]):
        self.name = name
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


def wrong(problem: str) -> pickle.UnpicklingError:
    """The error for a pickle that is well formed and asks for something that makes no sense."""
    return pickle.UnpicklingError(
        f"load: the checkpoint is corrupt or was tampered with: {problem}. Nothing was loaded; get the file again."
    )


def shown(value: Any) -> str:
    """A value from a file in a message; containers by their type only, as their text may have no end."""
    if isinstance(value, (str, bytes)):
        return repr(value[:40])
    if isinstance(value, int) and abs(value) < 2**64:
        return repr(value)
    return f"a {type(value).__name__}"


def check_key(key: Any) -> Any:
    """A dict key or set element that is safe to hash.

    Hashing nested tuples recurses in C, and takes exponential time when parts are shared, so they are counted first.
    """
    pending = [key]
    for _ in range(_MAX_KEY_PARTS):
        if not pending:
            break
        part = pending.pop()
        if isinstance(part, tuple):
            pending.extend(part)
    if pending:
        raise wrong(f"a dict key or set element is a tuple of more than {_MAX_KEY_PARTS:,} parts")
    try:
        hash(key)
    except TypeError as error:
        raise wrong(f"a dict key or set element is a {type(key).__name__}, which cannot be one") from error
    return key


def _integers(values: Any, what: str, lowest: int | None = None) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list)) or len(values) > _MAX_DIMS:
        raise wrong(f"{what} of a tensor is {type(values).__name__}, not a short tuple of integers")
    return tuple(_integer(value, what, lowest) for value in values)


def _integer(value: Any, what: str, lowest: int | None = None) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63 or (lowest is not None and value < lowest):
        raise wrong(f"{what} of a tensor is {shown(value)}")
    return value


def _check_extent(size: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
    if len(shape) != len(strides):
        raise wrong(f"a tensor has shape {shape} and strides {strides}")
    if 0 in shape:
        return
    end = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if end >= size:
        raise wrong(
            f"a tensor of shape {shape}, strides {strides} and offset {offset} "
            f"needs element {end:,} of a storage that has {size:,}"
        )


class Constructors:
    """The table of names for one load.

    Args:
        build: turns records into framework objects.
        resolve: gives the framework's class for PyTorch's (module, name), or None.
    """

    def __init__(self, build: Callable[[Any], Any], resolve: Callable[[str, str], Any]):
        self._build = build
        self._resolve = resolve
        self._storages: dict[int, records.StorageRecord] = {}
        self._layouts: dict[int, tuple[Any, str]] = {}
        self._dtypes: dict[int, tuple[Any, str]] = {}  # with the object, so that its identity stays its own
        self._table = self._make_table()

    def add_storage(self, record: records.StorageRecord) -> Any:
        """Build a storage and remember which record stands behind the object."""
        record.handle = self._build(record)
        self._storages[id(record.handle)] = record
        return record.handle

    def adopt_storage(self, chosen: Any, original: Any) -> Any:
        """Let `chosen`, which a map_location function made of `original`, stand behind the tensors to come."""
        if id(chosen) not in self._storages:
            record = dataclasses.replace(self._storages[id(original)], handle=chosen)
            self._storages[id(chosen)] = record
        return chosen

    def find(self, module: str, name: str) -> Any:
        """The value of a name in a file, or UNKNOWN."""
        module = modern_module(module)
        entry = self._table.get((module, name), UNKNOWN)
        if entry is not UNKNOWN:
            return entry
        if module == "torch" and (name in MEMORY_DTYPES or name in _OTHER_DTYPES):
            dtype = self._build(records.DtypeRecord(name))
            self._dtypes[id(dtype)] = (dtype, name)
            return dtype
        if module in ("torch", "torch.cuda") and name in _DTYPE_OF_STORAGE:
            return StorageKind(_DTYPE_OF_STORAGE[name])
        if (module, name) in (("torch", "Tensor"), ("torch.nn.parameter", "Parameter")):
            found = self._resolve(module, name)
            return UNKNOWN if found is None else found
        if module == "torch._utils" and name in _ABSENT:
            raise NotImplementedError(f"load: the checkpoint holds {_ABSENT[name]}, which tenfold does not have")
        return UNKNOWN

    def _make_table(self) -> dict[tuple[str, str], Any]:
        functions = {
            ("builtins", "set"): _new_set,
            ("builtins", "bytearray"): _new_bytearray,
            ("builtins", "complex"): _new_complex,
            ("collections", "Counter"): _new_counter,
            ("collections", "OrderedDict"): _new_ordered_dict,
            ("_codecs", "encode"): _encode,
            ("torch", "Size"): self._size,
            ("torch", "device"): self._device,
            ("torch._utils", "_rebuild_tensor"): self._tensor_v1,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor_v2,
            ("torch._utils", "_rebuild_tensor_v3"): self._tensor_v3,
            ("torch._utils", "_rebuild_meta_tensor_no_storage"): self._meta_tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
            ("torch._utils", "_rebuild_parameter_with_state"): self._parameter,
            ("torch._tensor", "_rebuild_from_type_v2"): self._from_type,
            ("torch._utils", "_rebuild_sparse_tensor"): self._sparse_tensor,
            ("torch.serialization", "_get_layout"): self._layout,
        }
        table: dict[tuple[str, str], Any] = {
            key: Constructor(".".join(key), function) for key, function in functions.items()
        }
        table["torch.storage", "UntypedStorage"] = StorageKind("uint8", untyped=True)
        table["torch", "UntypedStorage"] = table["torch.storage", "UntypedStorage"]
        return table

    # ---- small framework objects ----

    def _size(self, dims: Any = ()) -> Any:
        return self._build(records.SizeRecord(_integers(dims, "the size")))

    def _device(self, kind: Any, index: Any = None) -> Any:
        if not isinstance(kind, str) or not (index is None or type(index) is int):
            raise wrong(f"a device is {shown(kind)}, {shown(index)}")
        return self._build(records.DeviceRecord(kind, index))

    # ---- tensors ----

    def _tensor_v1(self, storage: Any, offset: Any, shape: Any, strides: Any) -> Any:
        return self._tensor(storage, None, offset, shape, strides, False, None)

    def _tensor_v2(
        self, storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, flags: Any = None
    ) -> Any:
        return self._tensor(storage, None, offset, shape, strides, grad, flags)

    def _tensor_v3(
        self, storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any, flags: Any = None
    ) -> Any:
        return self._tensor(storage, self._dtype_name(dtype), offset, shape, strides, grad, flags)

    def _tensor(
        self, storage: Any, dtype_name: str | None, offset: Any, shape: Any, strides: Any, grad: Any, flags: Any
    ) -> Any:
        source = self._storages.get(id(storage))
        if source is None:
            raise wrong(f"a tensor is to be built on a {type(storage).__name__}, not on a storage")
        if dtype_name is None:
            dtype_name = source.dtype_name
        offset = _integer(offset, "the offset", 0)
        shape = _integers(shape, "the size", 0)
        strides = _integers(strides, "the stride", 0)
        _check_extent(source.nbytes // MEMORY_DTYPES[dtype_name].itemsize, offset, shape, strides)
        flags = flags if isinstance(flags, dict) else {}
        if source.device == "meta":
            return self._build(records.MetaTensorRecord(dtype_name, shape, strides, bool(grad)))
        marks = {name: flags.get(name) is True for name in ("conj", "neg")}
        return self._build(records.TensorRecord(source, dtype_name, offset, shape, strides, grad is True, **marks))

    def _meta_tensor(self, dtype: Any, shape: Any, strides: Any, grad: Any) -> Any:
        dims = _integers(shape, "the size", 0)
        steps = _integers(strides, "the stride", 0)
        if len(dims) != len(steps):
            raise wrong(f"a tensor has shape {dims} and strides {steps}")
        return self._build(records.MetaTensorRecord(self._dtype_name(dtype), dims, steps, grad is True))

    def _dtype_name(self, dtype: Any) -> str:
        name = self._dtypes.get(id(dtype), (None, ""))[1]
        if name in _OTHER_DTYPES:
            raise NotImplementedError(f"load: the checkpoint holds a tensor of dtype {name}, which is not in tenfold")
        if name not in MEMORY_DTYPES:
            raise wrong(f"a tensor has the dtype {shown(dtype)}")
        return name

    def _parameter(self, data: Any, grad: Any, hooks: Any, state: Any = None) -> Any:
        self._check_tensor(data)
        return self._build(records.ParameterRecord(data, grad is True, state))

    def _layout(self, name: Any) -> Any:
        if not isinstance(name, str) or name.removeprefix("torch.") not in _LAYOUTS:
            raise wrong(f"a layout is {shown(name)}")
        layout = self._build(records.LayoutRecord(name.removeprefix("torch.")))
        self._layouts[id(layout)] = (layout, name.removeprefix("torch."))
        return layout

    def _sparse_tensor(self, layout: Any, data: Any) -> Any:
        name = self._layouts.get(id(layout), (None, ""))[1]
        count = 2 if name == "sparse_coo" else 3
        if not name.startswith("sparse_") or not isinstance(data, tuple) or len(data) not in (count + 1, count + 2):
            raise wrong(f"a sparse tensor is described by {shown(layout)} and {shown(data)}")
        for part in data[:count]:
            self._check_tensor(part)
        shape, coalesced = _integers(data[count], "the size", 0), data[count + 1 :] == (True,)
        try:
            return self._build(records.SparseRecord(name, data[:count], shape, coalesced))
        except (RuntimeError, IndexError, ValueError) as error:
            raise wrong(f"the parts of a sparse tensor do not fit together: {error}") from error

    def _check_tensor(self, value: Any) -> None:
        tensor_class = self._resolve("torch", "Tensor")
        if not isinstance(tensor_class, type) or not isinstance(value, tensor_class):
            raise wrong(f"a tensor is expected where the file has a {type(value).__name__}")

    def _from_type(self, function: Any, kind: Any, arguments: Any, state: Any) -> Any:
        if not isinstance(function, Constructor) or not isinstance(arguments, tuple) or not isinstance(kind, type):
            raise wrong("a tensor subclass is not described by a constructor, a class and a tuple")
        tensor = function(*arguments)
        self._check_tensor(tensor)
        if not isinstance(tensor, kind):
            tensor = self._build(records.RetypedRecord(tensor, kind))
        set_attributes(tensor, state)
        return tensor


def set_attributes(obj: Any, state: Any) -> None:
    """Set the attributes that a file gives to an object: a dict, or a pair of dicts where the class has slots."""
    parts = state if isinstance(state, tuple) else (state,)
    for part in parts:
        if part is None:
            continue
        if not isinstance(part, dict):
            raise wrong(f"the state of a {type(obj).__name__} is a {type(part).__name__}, not a dict of attributes")
        for name, value in part.items():
            if not isinstance(name, str) or name.startswith("__"):
                raise wrong(f"a {type(obj).__name__} is to get the attribute {shown(name)}")
            setattr(obj, name, value)


# ---- ordinary containers ----


def _new_set(items: Any = ()) -> set:
    if not isinstance(items, (list, tuple)):
        raise wrong(f"a set is to be made of a {type(items).__name__}")
    return {check_key(item) for item in items}


def _new_ordered_dict(items: Any = ()) -> collections.OrderedDict:
    result: collections.OrderedDict = collections.OrderedDict()
    if not isinstance(items, (list, tuple)):
        raise wrong(f"an OrderedDict is to be made of a {type(items).__name__}")
    for pair in items:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise wrong("an OrderedDict is to be made of something other than pairs")
        result[check_key(pair[0])] = pair[1]
    return result


def _new_counter(counts: Any = None) -> collections.Counter:
    result: collections.Counter = collections.Counter()
    if counts is not None and not isinstance(counts, dict):
        raise wrong(f"a Counter is to be made of a {type(counts).__name__}")
    dict.update(result, counts or {})
    return result


def _new_bytearray(content: Any = b"", encoding: Any = None) -> bytearray:
    if isinstance(content, str) and encoding is not None:
        content = _encode(content, encoding)
    if not isinstance(content, (bytes, bytearray)):
        raise wrong(f"a bytearray is to be made of a {type(content).__name__}")
    return bytearray(content)


def _new_complex(real: Any = 0.0, imag: Any = 0.0) -> complex:
    if not all(isinstance(part, (int, float)) for part in (real, imag)):
        raise wrong("a complex number is to be made of something other than two numbers")
    return complex(real, imag)


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    """How protocol 2 writes bytes; other codecs than these two have no business in a checkpoint."""
    if not isinstance(text, str) or encoding not in ("latin1", "utf-8"):
        raise wrong(f"bytes are to be made of a {type(text).__name__} by the codec {shown(encoding)}")
    return text.encode(encoding)


def typed_view(data: np.ndarray, dtype_name: str) -> np.ndarray:
    """Bytes as a flat array in the memory form of a dtype; a bool is made 0 or 1, whatever the file says."""
    if dtype_name == "bool" and data.size > 0 and data.max() > 1:
        data = (data != 0).view(np.uint8)
    return data.view(MEMORY_DTYPES[dtype_name])
