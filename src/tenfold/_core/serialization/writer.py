"""Saving: objects to a pickle in PyTorch's names, storages beside it, and the file put in place at once."""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import os
import pickle
import secrets
import stat
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import records
from .archive import write_archive
from .legacy import write_legacy
from .names import Global
from .records import STORAGE_CLASSES

Describe = Callable[[Any], Any]
GlobalName = Callable[[Any], tuple[str, str] | None]

_PLAIN_TYPES = frozenset({bool, int, float, complex, str, bytes, list, tuple, dict, set, type(None)})


@functools.cache
def _global(module: str, name: str) -> Global:
    """One object for a name, so that the pickle's memo knows it again."""
    return Global(module, name)


_STORAGE = "storage"
_UNTYPED = _global("torch.storage", "UntypedStorage")


def _tenfold_name(obj: Any) -> tuple[str, str] | None:
    """`tenfold.x.y` as `torch.x.y`."""
    module = getattr(obj, "__module__", None) or ""
    package, dot, rest = module.partition(".")
    if package != "tenfold":
        return None
    return "torch" + dot + rest, getattr(obj, "__qualname__", obj.__name__)


class CheckpointPickler(pickle._Pickler):  # the C pickler cannot write a name that does not exist in this process
    """Pickles framework objects by their records and everything else as usual.

    `storages` holds, after `dump`, one StorageRecord for each storage that the pickle refers to, in order.
    """

    def __init__(self, file: Any, protocol: int, describe: Describe, global_name: GlobalName | None, legacy: bool):
        super().__init__(file, protocol)
        self._describe = describe
        self._global_name = global_name
        self._legacy = legacy
        self._last: tuple[Any, Any] = (None, None)
        self._keys: dict[int, str] = {}
        self._kept: list[Any] = []
        self._dtypes: dict[str, str] = {}
        self.storages: list[records.StorageRecord] = []

    def _record(self, obj: Any) -> Any:
        """The record of an object or None; asked twice for each object, described once."""
        if type(obj) in _PLAIN_TYPES:
            return None
        if self._last[0] is not obj:
            record = obj if isinstance(obj, records.Record) else self._describe(obj)
            self._last = (obj, record)
        return self._last[1]

    # ---- storages ----

    def persistent_id(self, obj: Any) -> Any:
        record = self._record(obj)
        if not isinstance(record, records.StorageRecord):
            return None
        untyped = record.untyped or record.dtype_name not in STORAGE_CLASSES
        dtype = "uint8" if untyped else record.dtype_name
        kind = _UNTYPED if untyped else _global("torch", STORAGE_CLASSES[dtype])
        size = record.nbytes if untyped else record.size
        reference = (_STORAGE, kind, self._storage_key(record, dtype), record.device, size)
        return (*reference, None) if self._legacy else reference

    def _storage_key(self, record: records.StorageRecord, dtype: str) -> str:
        identity = record.data if record.key is None else record.key
        key = self._keys.get(id(identity))
        if key is None:
            key = str(len(self.storages))
            self._keys[id(identity)] = key
            self._kept.append(identity)  # an identity that died could be given to another object
            self.storages.append(record)
            self._dtypes[key] = dtype
        if dtype != self._dtypes[key]:
            raise RuntimeError(
                f"save: Cannot save multiple tensors or storages that view the same data as different types "
                f"({self._dtypes[key]} and {dtype}). Clone one of them before saving."
            )
        return key

    # ---- framework objects ----

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Global):
            return obj.name
        record = self._record(obj)
        if record is None:
            return NotImplemented
        return self._reduce(record)

    def _reduce(self, record: Any) -> Any:
        match record:
            case records.TensorRecord():
                return self._reduce_tensor(record)
            case records.MetaTensorRecord():
                arguments = (_global("torch", record.dtype_name), record.shape, record.strides, record.requires_grad)
                return _global("torch._utils", "_rebuild_meta_tensor_no_storage"), arguments
            case records.ParameterRecord():
                return self._reduce_parameter(record)
            case records.DtypeRecord():
                return record.name  # a bare name; save_global adds the module
            case records.DeviceRecord():
                index = () if record.index is None else (record.index,)
                return _global("torch", "device"), (record.type, *index)
            case records.SizeRecord():
                return _global("torch", "Size"), (tuple(record.shape),)
            case records.LayoutRecord():
                return _global("torch.serialization", "_get_layout"), (f"torch.{record.name}",)
            case records.SparseRecord():
                data: tuple = (*record.parts, records.SizeRecord(record.shape))
                data = (*data, bool(record.coalesced)) if record.layout == "sparse_coo" else data
                return _global("torch._utils", "_rebuild_sparse_tensor"), (records.LayoutRecord(record.layout), data)
            case records.GeneratorRecord():
                state = (record.seed, record.offset, record.state)
                return _global("torch._C", "Generator"), (records.DeviceRecord(record.device),), state
        raise TypeError(
            f"save: describe gave a {type(record).__name__}, which is not a record of tenfold's serialization"
        )

    def _reduce_tensor(self, record: records.TensorRecord) -> Any:
        placed = (record.storage, int(record.offset), tuple(record.shape), tuple(record.strides))
        arguments = (*placed, bool(record.requires_grad), collections.OrderedDict())
        if record.dtype_name not in STORAGE_CLASSES:
            rebuild = _global("torch._utils", "_rebuild_tensor_v3")
            arguments = (*arguments, _global("torch", record.dtype_name))
        else:
            rebuild = _global("torch._utils", "_rebuild_tensor_v2")
        flags = {name: True for name in ("conj", "neg") if getattr(record, name)}
        if flags:
            arguments = (*arguments, flags)
        if record.tensor_type is None and not record.state:
            return rebuild, arguments
        kind = _global("torch", "Tensor") if record.tensor_type is None else record.tensor_type
        return _global("torch._tensor", "_rebuild_from_type_v2"), (rebuild, kind, arguments, record.state or {})

    def _reduce_parameter(self, record: records.ParameterRecord) -> Any:
        arguments = (record.data, bool(record.requires_grad), collections.OrderedDict())
        if not record.state:
            return _global("torch._utils", "_rebuild_parameter"), arguments
        return _global("torch._utils", "_rebuild_parameter_with_state"), (*arguments, record.state)

    # ---- names ----

    def save_global(self, obj: Any, name: str | None = None) -> None:
        found = (obj.module, obj.name) if isinstance(obj, Global) else self._name_in_file(obj)
        if found is None:
            super().save_global(obj, name)
            return
        module, qualname = found
        if self.proto >= 4:
            self.save(module)
            self.save(qualname)
            self.write(pickle.STACK_GLOBAL)
        elif "." in qualname:
            raise pickle.PicklingError(
                f"save: {module}.{qualname} is defined inside another class or function, which pickle protocol "
                f"{self.proto} cannot name. Define it at the top of its module, or save with pickle_protocol=4."
            )
        else:
            self.write(pickle.GLOBAL + f"{module}\n{qualname}\n".encode())
        self.memoize(obj)

    def _name_in_file(self, obj: Any) -> tuple[str, str] | None:
        record = self._record(obj)
        if isinstance(record, records.DtypeRecord):
            return "torch", record.name
        found = self._global_name(obj) if self._global_name is not None else None
        return found if found is not None else _tenfold_name(obj)

    dispatch = dict(pickle._Pickler.dispatch)

    def save_type(self, obj: type) -> None:
        if self._name_in_file(obj) is None:
            super().save_type(obj)
        else:
            self.save_global(obj)

    dispatch[type] = save_type
    dispatch[types.FunctionType] = save_global


# ---- where it goes ----


def save(
    obj: Any,
    f: str | os.PathLike[str] | Any,
    *,
    describe: Describe,
    global_name: GlobalName | None = None,
    pickle_protocol: int = 2,
    legacy: bool = False,
) -> None:
    """Write an object as a checkpoint that PyTorch and tenfold load.

    Args:
        obj: any picklable object with tensors in it.
        f: a path, replaced only once the new file is wholly on disk, or an object with a `write` method.
        describe: gives the record of a framework object, and None for anything else.
        global_name: gives (module, name) in PyTorch for a class or function; None leaves `tenfold.x` to be `torch.x`.
        pickle_protocol: version of the pickle inside. Default 2, the one that `weights_only` loading takes.
        legacy: write the format of before PyTorch 1.6, which is not a zip file.
    Raises: pickle.PicklingError for what cannot be pickled, RuntimeError for a directory that does not exist.
    """
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError(
            f"save: expected 'f' to be string, path, or a file-like object with a 'write' attribute, "
            f"got {type(f).__name__}"
        )
    buffer = io.BytesIO()
    pickler = CheckpointPickler(buffer, pickle_protocol, describe, global_name, legacy)
    pickler.dump(obj)
    # Bytes of every storage as they are now, before anything touches the file.
    storages = [_whole_storage(record) for record in pickler.storages]
    with _destination(f) as (stream, folder):
        if legacy:
            write_legacy(stream, buffer.getvalue(), storages, pickle_protocol)
        else:
            write_archive(stream, folder, buffer.getvalue(), storages)


def _whole_storage(record: records.StorageRecord) -> np.ndarray:
    if record.data is None:
        raise NotImplementedError(f"save: a storage on device {record.device!r} has no data to write")
    if record.untyped or record.dtype_name not in STORAGE_CLASSES:
        return record.data.view(np.uint8)
    return record.data


@contextlib.contextmanager
def _destination(f: Any) -> Iterator[tuple[Any, str]]:
    """The stream to write to and the name of the folder inside the archive, which PyTorch takes from the path."""
    if not isinstance(f, (str, os.PathLike)):
        yield f, "archive"
        return
    path = os.path.realpath(os.fspath(f))  # a link stays a link
    folder = os.path.splitext(os.path.basename(os.fspath(f)))[0] or "archive"
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        raise RuntimeError(f"save: Parent directory {parent} does not exist. Create it first.")
    if os.path.isdir(path):
        raise RuntimeError(f"save: {path} is a directory. Give the path of a file in it.")
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as stream:  # a pipe or a device cannot be replaced
            yield stream, folder
        return
    with _replacing(path) as stream:
        yield stream, folder


@contextlib.contextmanager
def _replacing(path: str) -> Iterator[Any]:
    """A new file beside `path` that takes its place at the end of the block, and vanishes if the block fails."""
    temporary = os.path.join(os.path.dirname(path), f".{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with open(descriptor, "wb") as stream:
            if os.path.exists(path):
                with contextlib.suppress(OSError):
                    os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
