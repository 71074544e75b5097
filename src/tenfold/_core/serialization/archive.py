"""The zip container of a checkpoint: records by name, stored uncompressed, each beginning at a multiple of 64 bytes.

The reader trusts nothing: sizes are held against the file before memory is taken, checksums after it is read.
"""

from __future__ import annotations

import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

ALIGNMENT = 64
_LOCAL_HEADER = 30
_ZIP64_EXTRA = 20
_PADDING_ID = b"FB"
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 24
_MAPPED_ALIGNMENT = 16
_MAX_EXPANSION = 1 << 26
_FORMAT_VERSION = b"3\n"
_OLDEST_VERSION, _NEWEST_VERSION = 1, 10


class ArchiveWriter:
    """Writes records one after the other to a binary stream; `close` finishes the archive."""

    def __init__(self, stream: Any, folder: str):
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._folder = folder
        self._checksum = 0

    def write(self, name: str, data: Any) -> None:
        """Write one record: bytes, or a contiguous array of uint8."""
        view = memoryview(data)
        info = zipfile.ZipInfo(f"{self._folder}/{name}", _FIRST_DATE)
        info.file_size = len(view)
        large = len(view) >= zipfile.ZIP64_LIMIT // 2
        info.extra = self._padding(len(info.filename.encode()), large)
        with self._zip.open(info, "w", force_zip64=large) as record:
            for start in range(0, len(view), _CHUNK):
                record.write(view[start : start + _CHUNK])
        info.extra = b""  # only the header beside the data needs the padding, not the directory
        self._checksum = zlib.crc32(struct.pack("<I", info.CRC) + name.encode(), self._checksum)

    def _padding(self, name_length: int, large: bool) -> bytes:
        header = _LOCAL_HEADER + name_length + 4 + (_ZIP64_EXTRA if large else 0)
        count = -(self._zip.start_dir + header) % ALIGNMENT
        return _PADDING_ID + struct.pack("<H", count) + b"Z" * count

    def close(self) -> None:
        """Write the closing records and the zip directory."""
        self.write("version", _FORMAT_VERSION)
        self.write(".data/serialization_id", f"{len(self._zip.filelist):020d}{self._checksum:020d}".encode())
        self._zip.close()


def write_archive(stream: Any, folder: str, pickled: bytes, storages: list[np.ndarray]) -> None:
    """Write a whole checkpoint: the pickle, the storages in order and the records that say how to read them."""
    writer = ArchiveWriter(stream, folder)
    writer.write("data.pkl", pickled)
    writer.write(".format_version", b"1")
    writer.write(".storage_alignment", str(ALIGNMENT).encode())
    writer.write("byteorder", sys.byteorder.encode())
    for number, data in enumerate(storages):
        writer.write(f"data/{number}", np.ascontiguousarray(data).view(np.uint8))
    writer.close()


class ArchiveReader:
    """Reads the records of a checkpoint from a seekable binary stream.

    Args:
        stream: the file.
        label: what messages call the file.
        path: where the file is, if it may be mapped into memory instead of read.
    """

    def __init__(self, stream: BinaryIO, label: str, path: str | None = None):
        self._stream = stream
        self.label = label
        self.path = path
        stream.seek(0, os.SEEK_END)
        self.total = stream.tell()
        self._records = self._read_directory()
        self.check_version()
        self.byteorder = self._read_byteorder()

    def fail(self, problem: str) -> RuntimeError:
        return RuntimeError(f"load: {self.label} {problem} Nothing was loaded; copy or save the file again.")

    def _guarded(self, action: Callable[[], Any], what: str) -> Any:
        try:
            return action()
        except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, NotImplementedError, EOFError) as error:
            raise self.fail(f"is corrupt: {what} cannot be read ({error}).") from error

    def _read_directory(self) -> dict[str, zipfile.ZipInfo]:
        try:
            self._zip = zipfile.ZipFile(self._stream)
        except zipfile.BadZipFile as error:
            raise self.fail(
                f"has {self.total:,} bytes and no zip directory at its end, so it was not written or copied whole."
            ) from error
        except (struct.error, ValueError, NotImplementedError, OverflowError, EOFError) as error:
            raise self.fail(f"is corrupt: its zip directory cannot be read ({error}).") from error
        records = {}
        stored = 0
        expanded = 0
        for info in self._zip.infolist():
            name = info.filename.partition("/")[2]
            if name in records:
                raise self.fail(f"is corrupt: it holds two records called {name!r}.")
            stored += info.compress_size
            expanded += info.file_size if info.compress_type != zipfile.ZIP_STORED else 0
            records[name] = info
        if stored > self.total:
            raise self.fail(f"is corrupt: its records claim {stored:,} bytes and the file has {self.total:,}.")
        if expanded > max(_MAX_EXPANSION, 20 * self.total):
            raise self.fail(f"looks like a zip bomb: its {self.total:,} bytes claim to expand to {expanded:,}.")
        # PyTorch can be told not to compute checksums, and then writes 0 for each.
        self._has_checksums = any(info.CRC for info in records.values())
        return records

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def size(self, name: str) -> int:
        """Bytes in a record; RuntimeError if there is none of this name."""
        if name not in self._records:
            raise self.fail(f"is not a whole checkpoint: the record {name!r} is missing.")
        return self._records[name].file_size

    def read(self, name: str) -> bytes:
        """The content of a record."""
        return self.read_array(name).tobytes()

    def read_array(self, name: str) -> np.ndarray:
        """The content of a record as a new, writable array of uint8."""
        self.size(name)
        info = self._records[name]
        if info.flag_bits & 1:
            raise self.fail(f"is encrypted (record {name!r}), which checkpoints never are.")
        if info.compress_type == zipfile.ZIP_STORED:
            return self._read_stored(name, info)
        if info.compress_type != zipfile.ZIP_DEFLATED:
            raise self.fail(f"holds record {name!r} in compression method {info.compress_type}; 0 or 8 is expected.")
        return self._guarded(lambda: np.frombuffer(bytearray(self._inflate(info)), np.uint8), f"record {name!r}")

    def _inflate(self, info: zipfile.ZipInfo) -> bytes:
        """A compressed record; zipfile stops at the claimed size and compares the checksum at the end."""
        with self._zip.open(info) as record:
            data = record.read()
        if len(data) != info.file_size:
            raise zipfile.BadZipFile(f"{len(data)} bytes instead of {info.file_size}")
        return data

    def data_start(self, name: str) -> int:
        """Where the content of a stored record begins in the file."""
        info = self._records[name]
        self._stream.seek(info.header_offset)
        header = self._stream.read(_LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
            raise self.fail(f"is corrupt: record {name!r} does not begin at byte {info.header_offset:,}.")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        start = info.header_offset + _LOCAL_HEADER + name_length + extra_length
        if info.compress_size != info.file_size or start + info.file_size > self.total:
            raise self.fail(
                f"is corrupt: record {name!r} claims {info.file_size:,} bytes from byte {start:,} "
                f"and the file has {self.total:,}."
            )
        return start

    def _read_stored(self, name: str, info: zipfile.ZipInfo) -> np.ndarray:
        self._stream.seek(self._guarded(lambda: self.data_start(name), f"record {name!r}"))
        data = np.empty(info.file_size, np.uint8)
        read_exactly(self._stream, data, lambda got: self.fail(f"ends inside record {name!r}, after {got:,} bytes."))
        if self._has_checksums and zlib.crc32(data) != info.CRC:
            raise self.fail(f"is corrupt: the checksum of record {name!r} does not match its {info.file_size:,} bytes.")
        return data

    def map_array(self, name: str) -> np.ndarray:
        """A record as an array on the file's pages, copied when written to; its checksum is not verified."""
        size = self.size(name)
        if self._records[name].compress_type != zipfile.ZIP_STORED:
            raise self.fail(f"holds record {name!r} compressed, so it cannot be mapped; load with mmap=False.")
        if size == 0:
            return np.empty(0, np.uint8)
        start = self.data_start(name)
        if start % _MAPPED_ALIGNMENT:
            return self.read_array(name)
        return np.memmap(self.path, np.uint8, "c", offset=start, shape=(size,)).view(np.ndarray)

    def check_version(self) -> None:
        """Refuse TorchScript archives and versions of the format that are not known."""
        if "constants.pkl" in self._records:
            raise RuntimeError(
                f"load: {self.label} is a TorchScript archive (made by torch.jit.save), which tenfold does not run. "
                "Save the state_dict with torch.save instead."
            )
        for name in ("data.pkl", "version"):
            self.size(name)
        text = self.read("version")[:20]
        version = int(text) if text.strip().isdigit() else -1
        if not _OLDEST_VERSION <= version <= _NEWEST_VERSION:
            raise self.fail(
                f"has format version {text!r}; versions {_OLDEST_VERSION} to {_NEWEST_VERSION} can be read."
            )

    def _read_byteorder(self) -> str:
        if "byteorder" not in self._records:
            return "little"
        text = self.read("byteorder")
        if text not in (b"little", b"big"):
            raise ValueError(f"load: {self.label} has byteorder {text[:20]!r}; 'little' or 'big' is expected.")
        return text.decode()


def read_exactly(stream: BinaryIO, data: np.ndarray, too_short: Callable[[int], Exception]) -> None:
    """Fill `data` from a stream that has `readinto` or only `read`; raise `too_short(bytes read)` if it ends."""
    view = memoryview(data)
    done = 0
    while done < len(view):
        if hasattr(stream, "readinto"):
            count = stream.readinto(view[done:])
        else:
            piece = stream.read(min(_CHUNK, len(view) - done))
            count = len(piece)
            view[done : done + count] = piece
        if not count:
            raise too_short(done)
        done += count
