"""PyTorch's checkpoint files, both ways, on plain NumPy arrays.

What comes in: an object and a callback that describes the framework's own objects as records; what goes out: a file
that PyTorch loads, and back. No tensor class is known here: `describe` turns objects into the records of `records.py`
on the way out, `build` turns records into objects on the way in.

Files, in the order of the data: records (the two callbacks' language), names (classes and their names in a file),
writer (pickles, then `save`), archive (the zip container), constructors (what a file may call), opcodes (the
restricted unpickler), legacy (the format before 1.6), loader (`load`).
"""

from .loader import get_unsafe_globals_in_checkpoint, load
from .names import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from .records import (
    DeviceRecord,
    DtypeRecord,
    GeneratorRecord,
    MetaTensorRecord,
    ParameterRecord,
    RetypedRecord,
    SizeRecord,
    StorageRecord,
    TensorRecord,
)
from .writer import save

__all__ = [
    "DeviceRecord",
    "DtypeRecord",
    "GeneratorRecord",
    "MetaTensorRecord",
    "ParameterRecord",
    "RetypedRecord",
    "SizeRecord",
    "StorageRecord",
    "TensorRecord",
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "safe_globals",
    "save",
]
