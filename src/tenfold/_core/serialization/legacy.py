"""The format before PyTorch 1.6: five pickles one after the other, then the raw storages.

The pickles are a magic number, a protocol version, facts of the machine, the object, and the keys of its storages.
Each storage is its number of elements (int64) and its bytes.
"""

from __future__ import annotations

import pickle
import struct
import sys
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_COUNT = struct.Struct("<q")


def write_legacy(stream: Any, pickled: bytes, storages: list[np.ndarray], protocol: int) -> None:
    """Write a whole checkpoint in the old format."""
    facts = {
        "protocol_version": PROTOCOL,
        "little_endian": sys.byteorder == "little",
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    for header in (MAGIC, PROTOCOL, facts):
        stream.write(pickle.dumps(header, protocol))
    stream.write(pickled)
    stream.write(pickle.dumps([str(number) for number in range(len(storages))], protocol))
    for data in storages:
        stream.write(_COUNT.pack(data.size))
        stream.write(memoryview(np.ascontiguousarray(data).view(np.uint8)))


def fill_storages(data: bytes, position: int, keys: Any, arrays: dict[str, np.ndarray], label: str) -> None:
    """Copy the raw storages that stand at `position` into the arrays made for their keys."""
    texts = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not texts or sorted(keys) != sorted(arrays):
        raise pickle.UnpicklingError(f"load: {label} is corrupt: its list of storages does not match the tensors in it")
    for key in keys:
        array = arrays[key]
        end = position + _COUNT.size
        if end + array.nbytes > len(data):
            raise RuntimeError(
                f"load: {label} ends after {len(data):,} bytes inside storage {key}: {array.nbytes:,} bytes are due "
                f"from byte {end:,}, so it was not written whole. Nothing was loaded; copy or save the file again."
            )
        (count,) = _COUNT.unpack_from(data, position)
        if count != array.size:
            raise pickle.UnpicklingError(
                f"load: {label} is corrupt: storage {key} has {count} elements where {array.size} are expected"
            )
        array.view(np.uint8)[...] = np.frombuffer(data, np.uint8, array.nbytes, end)
        position = end + array.nbytes
