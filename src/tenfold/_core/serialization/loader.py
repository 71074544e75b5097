"""Loading: which format a file is in, where its storages go, and which unpickler runs."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import pickletools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .archive import ArchiveReader
from .constructors import UNKNOWN, Constructors, StorageKind, shown, typed_view, wrong
from .legacy import MAGIC, PROTOCOL, fill_storages
from .names import find_safe_global, modern_module
from .opcodes import RestrictedUnpickler
from .records import MEMORY_DTYPES, StorageRecord

Build = Callable[[Any], Any]
Resolve = Callable[[str, str], Any]
_ZIP_MAGIC = b"PK\x03\x04"


def load(
    f: str | os.PathLike[str] | Any,
    *,
    build: Build,
    resolve: Resolve,
    map_location: Any = None,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    pickle_module: Any = None,
    **pickle_load_args: Any,
) -> Any:
    """Read a checkpoint that PyTorch or tenfold wrote, in the zip format or the one before it.

    Args:
        f: a path, or an object with `read` and `seek`.
        build: gives the framework object for a record.
        resolve: gives the framework's class or function for PyTorch's (module, name), or None.
        map_location: a device, a function of (storage, location) or a dict of locations. None keeps the locations.
        weights_only: True (the default unless `pickle_module` is given) takes nothing but tensors, plain containers
            and what `add_safe_globals` allows; False runs whatever the file says, so only for files that you trust.
        mmap: leave the storages on the file's pages; needs a path and the zip format.
        pickle_module: stands in for `pickle` where `weights_only` is False.
        **pickle_load_args: for the unpickler, as `encoding`.
    Raises: pickle.UnpicklingError for refused names and corrupt pickles; RuntimeError for a damaged archive;
        EOFError for an empty or cut file; FileNotFoundError.
    """
    if weights_only is None:
        weights_only = pickle_module is None
    if weights_only and pickle_module is not None:
        raise RuntimeError(
            "load: Can not safely load weights when explicit pickle_module is specified; give weights_only=False too, "
            "for a file that you trust"
        )
    if mmap and not isinstance(f, (str, os.PathLike)):
        raise ValueError(f"load: f must be a file path in order to use the mmap argument, got {type(f).__name__}")
    encoding = pickle_load_args.get("encoding", "utf-8")
    if weights_only and (
        set(pickle_load_args) - {"encoding", "errors", "fix_imports"} or not isinstance(encoding, str)
    ):
        raise TypeError(f"load: unexpected arguments {sorted(pickle_load_args)}; weights_only=True takes encoding only")
    with _opened(f) as (stream, label, path):
        run = _Run(
            build, resolve, _Placement(map_location), weights_only, pickle_module or pickle, pickle_load_args, label
        )
        if _is_zip(stream):
            return run.load_zip(ArchiveReader(stream, label, path if mmap else None))
        if mmap:
            raise RuntimeError(
                f"load: mmap can only be used with files in the zip format, and {label} is not. "
                "Load it with mmap=False, or save it again."
            )
        return run.load_legacy(stream)


@contextlib.contextmanager
def _opened(f: Any) -> Iterator[tuple[Any, str, str | None]]:
    """The stream, what messages call it, and its path if it has one."""
    if isinstance(f, (str, os.PathLike)):
        path = os.fspath(f)
        with open(path, "rb") as stream:
            yield stream, str(path), path
        return
    for name in ("read", "seek", "tell"):
        if not hasattr(f, name):
            raise AttributeError(
                f"load: expected 'f' to be a path or a file that can be read and seeked; "
                f"{type(f).__name__} has no {name!r}. "
                "Read it into io.BytesIO first."
            )
    yield f, "the file", None


def _is_zip(stream: Any) -> bool:
    start = stream.tell()
    first = stream.read(len(_ZIP_MAGIC))
    if isinstance(first, str):
        raise TypeError("load: the file is open in text mode; open it with mode 'rb'")
    stream.seek(start)
    if not first:
        raise EOFError("load: the file is empty (or is read from its end), so there is nothing to load")
    return first == _ZIP_MAGIC


class _Placement:
    """Where storages go: `map_location` in each of its forms."""

    def __init__(self, map_location: Any):
        self._map = map_location
        # A device may be callable too (as a decorator), so it is told by what it has.
        is_device = isinstance(map_location, str) or (hasattr(map_location, "type") and hasattr(map_location, "index"))
        self._device = str(map_location) if is_device else None
        self._function = None if is_device or isinstance(map_location, dict) else map_location
        if self._function is not None and not callable(self._function):
            raise TypeError(
                f"load: map_location is a {type(map_location).__name__}, and that is not callable; "
                "give a device, a dict of locations or a function of (storage, location)"
            )

    def device(self, location: str) -> str:
        """The device for a storage that was saved on `location`."""
        wanted = location
        if self._device is not None:
            wanted = self._device
        elif isinstance(self._map, dict):
            wanted = str(self._map.get(location, location))
        elif self._function is not None:
            wanted = "cpu"  # the function is asked once the storage is there
        if wanted.startswith("cuda"):
            raise RuntimeError(
                f"load: the checkpoint holds a storage for {wanted!r} and torch.cuda.is_available() is False. "
                "Use map_location='cpu' to load it on the CPU."
            )
        if wanted not in ("cpu", "cpu:0", "meta"):
            raise RuntimeError(
                f"load: don't know how to restore a storage to the location {wanted!r}; "
                "give map_location='cpu', 'meta', or a function or dict that leads there"
            )
        return "meta" if wanted == "meta" else "cpu"

    def finish(self, handle: Any, location: str, again: Callable[[str], Any]) -> Any:
        """The storage that a `map_location` function gives for one; None leaves it to the location."""
        if self._function is None:
            return handle
        chosen = self._function(handle, location)
        if chosen is None:
            return again(location)
        if type(chosen) is not type(handle):
            raise TypeError(
                f"load: the map_location function returned a {type(chosen).__name__} for the storage on {location!r}; "
                f"it must return a {type(handle).__name__} or None"
            )
        return chosen


class _Run:
    """One load: the storages read so far and the unpickler with its callbacks."""

    def __init__(
        self,
        build: Build,
        resolve: Resolve,
        placement: _Placement,
        weights_only: bool,
        pickle_module: Any,
        pickle_load_args: dict[str, Any],
        label: str,
    ):
        self._constructors = Constructors(build, resolve)
        self._resolve = resolve
        self._placement = placement
        self._weights_only = weights_only
        self._pickle_module = pickle_module
        self._pickle_load_args = pickle_load_args
        self._label = label
        self._handles: dict[str, Any] = {}
        self._shapes: dict[str, tuple[str, int]] = {}

    # ---- the two formats ----

    def load_zip(self, archive: ArchiveReader) -> Any:
        def content(key: str, record: StorageRecord) -> np.ndarray:
            name = f"data/{key}"
            expected = record.nbytes
            if archive.size(name) != expected:
                raise archive.fail(
                    f"is corrupt: record {name!r} has {archive.size(name):,} bytes where "
                    f"{record.size:,} elements of {record.dtype_name} take {expected:,}."
                )
            mapped = archive.path is not None
            data = typed_view(archive.map_array(name) if mapped else archive.read_array(name), record.dtype_name)
            return data if archive.byteorder == sys.byteorder else _swapped(data, mapped)

        pickled = archive.read("data.pkl")
        return self._unpickle(pickled, 0, self._persistent_load(content))[0]

    def load_legacy(self, stream: Any) -> Any:
        data = stream.read()
        position = self._legacy_header(data)
        arrays: dict[str, np.ndarray] = {}

        def content(key: str, record: StorageRecord) -> np.ndarray:
            claimed = record.nbytes + sum(array.nbytes for array in arrays.values())
            if claimed > len(data):
                raise RuntimeError(
                    f"load: {self._label} has {len(data):,} bytes and claims storages of {claimed:,}, "
                    "so it was not written whole. Nothing was loaded; copy or save the file again."
                )
            arrays[key] = np.zeros(record.size, MEMORY_DTYPES[record.dtype_name])
            return arrays[key]

        result, position = self._unpickle(data, position, self._persistent_load(content))
        keys, position = self._restricted(data, position, _no_storages)
        fill_storages(data, position, keys, arrays, self._label)
        return result

    def _legacy_header(self, data: bytes) -> int:
        """Read the three pickles before the object; the position behind them."""
        try:
            magic, position = self._restricted(data, 0, _no_storages)
        except (pickle.UnpicklingError, EOFError) as error:
            raise pickle.UnpicklingError(self._not_a_checkpoint()) from error
        if type(magic) is not int or magic != MAGIC:
            raise pickle.UnpicklingError(self._not_a_checkpoint())
        protocol, position = self._restricted(data, position, _no_storages)
        if protocol != PROTOCOL:
            raise RuntimeError(f"load: {self._label} has protocol version {shown(protocol)}; {PROTOCOL} is expected")
        facts, position = self._restricted(data, position, _no_storages)
        if not isinstance(facts, dict) or facts.get("little_endian") is not True:
            raise NotImplementedError(f"load: {self._label} was written on a big-endian machine in the old format")
        return position

    def _not_a_checkpoint(self) -> str:
        return (
            f"load: {self._label} is not a checkpoint: it begins neither as a zip archive (torch.save since 1.6) "
            "nor with the older format's magic number. Check that this is the right file and that it is whole."
        )

    # ---- storages ----

    def _persistent_load(self, content: Callable[[str, StorageRecord], np.ndarray]) -> Callable[[Any], Any]:
        """The function that turns a reference in the pickle into a built storage, reading each once."""

        def persistent_load(reference: Any) -> Any:
            kind, key, location, size = _check_reference(reference)
            if key in self._handles:
                if self._shapes[key] != (kind.dtype_name, size):
                    raise wrong(f"storage {key!r} is referred to with two different sizes or types")
                return self._handles[key]

            def place(device: str) -> Any:
                record = StorageRecord(None, kind.dtype_name, device, untyped=kind.untyped, size=size)
                if device != "meta":
                    record.data = content(key, record)
                return self._constructors.add_storage(record)

            handle = place(self._placement.device(location))
            chosen = self._placement.finish(handle, location, lambda location: place(_Placement(None).device(location)))
            handle = self._constructors.adopt_storage(chosen, handle)
            self._handles[key] = handle
            self._shapes[key] = (kind.dtype_name, size)
            return handle

        return persistent_load

    # ---- unpicklers ----

    def _unpickle(self, data: bytes, position: int, persistent_load: Callable[[Any], Any]) -> tuple[Any, int]:
        if self._weights_only:
            return self._restricted(data, position, persistent_load)
        stream = io.BytesIO(data)
        stream.seek(position)
        result = self._full_unpickler(stream, persistent_load).load()
        return result, stream.tell()

    def _restricted(self, data: bytes, position: int, persistent_load: Callable[[Any], Any]) -> tuple[Any, int]:
        machine = RestrictedUnpickler(
            data,
            self._constructors.find,
            self._resolve,
            persistent_load,
            self._label,
            position,
            self._pickle_load_args.get("encoding", "utf-8"),
        )
        return machine.load(), machine.position

    def _full_unpickler(self, stream: io.BytesIO, persistent_load: Callable[[Any], Any]) -> Any:
        constructors, resolve, label = self._constructors, self._resolve, self._label
        arguments = {"encoding": "utf-8", **self._pickle_load_args}

        class CheckpointUnpickler(self._pickle_module.Unpickler):
            """Python's own unpickler, with PyTorch's names led to ours."""

            def find_class(self, module: str, name: str) -> Any:
                found = constructors.find(module, name)
                if found is not UNKNOWN:
                    return found
                if modern_module(module).partition(".")[0] != "torch":
                    return super().find_class(module, name)
                found = resolve(module, name)
                if found is None:
                    raise AttributeError(f"load: {label} needs {module}.{name}, which tenfold does not have")
                return found

            def persistent_load(self, pid: Any) -> Any:
                return persistent_load(pid)

        return CheckpointUnpickler(stream, **arguments)


def _no_storages(reference: Any) -> Any:
    raise wrong("a storage is referred to outside the object")


def _check_reference(reference: Any) -> tuple[StorageKind, str, str, int]:
    """("storage", kind, key, location, elements) and, in the old format, a view that no writer has made for years."""
    if not isinstance(reference, tuple) or len(reference) not in (5, 6) or not isinstance(reference[0], (str, bytes)):
        raise wrong(f"{shown(reference)} is not a reference to a storage")
    tag, kind, key, location, size = reference[:5]
    if tag not in ("storage", b"storage"):
        raise wrong(f"{shown(tag)} is not a reference to a storage")
    if len(reference) == 6 and reference[5] is not None:
        raise NotImplementedError("load: the checkpoint holds storages that are views of others (PyTorch 0.3)")
    if not isinstance(kind, StorageKind):
        raise wrong(f"a storage is of the type {shown(kind)}")
    if not isinstance(key, str) or not isinstance(location, str) or type(size) is not int or not 0 <= size < 2**60:
        raise wrong(f"storage {shown(key)} on {shown(location)} has {shown(size)} elements")
    return kind, key, location, size


def _swapped(data: np.ndarray, mapped: bool) -> np.ndarray:
    """The other byte order; in place unless the array lies on the file's pages."""
    return data.byteswap(inplace=not mapped)


def get_unsafe_globals_in_checkpoint(f: str | os.PathLike[str] | Any) -> list[str]:
    """Return the names in a checkpoint that `weights_only=True` would refuse, as "module.name"; runs nothing of it.

    Args:
        f: a path or file of a checkpoint in the zip format.
    """
    with _opened(f) as (stream, label, _):
        if not _is_zip(stream):
            raise ValueError(f"get_unsafe_globals_in_checkpoint: {label} is not a checkpoint in the zip format")
        pickled = ArchiveReader(stream, label).read("data.pkl")
    table = Constructors(lambda record: record, lambda module, name: Constructors)
    names = dict.fromkeys(_names_in(pickled))
    return [
        f"{module}.{name}"
        for module, name in names
        if _is_unknown(table, module, name) and find_safe_global(module, name, lambda *_: None) is None
    ]


def _is_unknown(table: Constructors, module: str, name: str) -> bool:
    try:
        return table.find(module, name) is UNKNOWN
    except NotImplementedError:
        return False


def _names_in(pickled: bytes) -> Iterator[tuple[str, str]]:
    texts: list[str] = []
    try:
        for operation, argument, _ in pickletools.genops(pickled):
            if operation.name == "GLOBAL" and isinstance(argument, str):
                module, _, name = argument.partition(" ")
                yield modern_module(module), name
            elif operation.name == "STACK_GLOBAL" and len(texts) >= 2:
                yield modern_module(texts[-2]), texts[-1]
            elif isinstance(argument, str):
                texts.append(argument)
    except ValueError as error:
        raise pickle.UnpicklingError(f"get_unsafe_globals_in_checkpoint: the pickle is corrupt ({error})") from error
