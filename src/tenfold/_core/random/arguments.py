"""What every draw asks of its arguments: the dtype table, shapes, and rounding to the result's dtype.

A dtype goes by its name. NumPy has no bfloat16, and arithmetic on its float16 is slow, so both half types are held in
float32 arrays whose values are already rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Shape = int | Sequence[int]


@dataclass(frozen=True)
class DType:
    """What the draws need to know of a dtype; `digits` are the bits of the largest exact run of integers."""

    name: str
    label: str
    c_name: str
    array: np.dtype
    digits: int
    lowest: float
    highest: float
    is_floating: bool

    @property
    def is_half(self) -> bool:
        return self.name in ("float16", "bfloat16")


def _floating(name: str, label: str, c_name: str, array: type, digits: int, highest: float) -> DType:
    return DType(name, label, c_name, np.dtype(array), digits, -highest, highest, True)


def _integer(name: str, label: str, c_name: str) -> DType:
    info = np.iinfo(name)
    return DType(name, label, c_name, np.dtype(name), info.bits - (info.min < 0), int(info.min), int(info.max), False)


_BFLOAT16_MAX = 3.3895313892515355e38
_TABLE = {
    entry.name: entry
    for entry in (
        _floating("float16", "Half", "c10::Half", np.float32, 11, 65504.0),
        _floating("bfloat16", "BFloat16", "c10::BFloat16", np.float32, 8, _BFLOAT16_MAX),
        _floating("float32", "Float", "float", np.float32, 24, float(np.finfo(np.float32).max)),
        _floating("float64", "Double", "double", np.float64, 53, float(np.finfo(np.float64).max)),
        _integer("uint8", "Byte", "unsigned char"),
        _integer("int8", "Char", "signed char"),
        _integer("int16", "Short", "short"),
        _integer("int32", "Int", "int"),
        _integer("int64", "Long", "long"),
        DType("bool", "Bool", "bool", np.dtype(bool), 1, 0, 1, False),
    )
}
_COMPLEX_LABELS = {"complex64": "ComplexFloat", "complex128": "ComplexDouble"}


def find_dtype(name: str, operation: str) -> DType:
    """The entry for a real dtype; NotImplementedError in the operation's name for any other."""
    entry = _TABLE.get(name)
    if entry is None:
        raise unsupported(operation, _COMPLEX_LABELS.get(name, name))
    return entry


def find_floating(name: str, operation: str) -> DType:
    """The entry for a real floating dtype; NotImplementedError in the operation's name for any other."""
    entry = find_dtype(name, operation)
    if not entry.is_floating:
        raise unsupported(operation, entry.label)
    return entry


def find_full_precision(name: str, operation: str) -> DType:
    """The entry for float32 or float64; NotImplementedError in the operation's name for any other."""
    entry = find_floating(name, operation)
    if entry.is_half:
        raise unsupported(operation, entry.label)
    return entry


def unsupported(operation: str, label: str) -> NotImplementedError:
    return NotImplementedError(f"\"{operation}\" not implemented for '{label}'")


def as_shape(shape: Shape) -> tuple[int, ...]:
    """A tuple of sizes, none negative."""
    sizes = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(size) for size in shape)
    for size in sizes:
        if size < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {size}: {list(sizes)}")
    return sizes


def number_of_elements(sizes: tuple[int, ...]) -> int:
    count = 1
    for size in sizes:
        count *= size
    return count


def round_to(values: np.ndarray, dtype: DType) -> np.ndarray:
    """float32 or float64 values in the result's floating dtype; a half type is reached by way of float32."""
    with np.errstate(over="ignore"):
        if dtype.name == "float64":
            return values.astype(np.float64, copy=False)
        single = values.astype(np.float32, copy=False)
        if dtype.name == "float16":
            return single.astype(np.float16).astype(np.float32)
    if dtype.name == "bfloat16":
        return _round_to_bfloat16(single)
    return single


def _round_to_bfloat16(single: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(single).view(np.uint32)
    to_even = ((bits >> np.uint32(16)) & np.uint32(1)) + np.uint32(0x7FFF)
    rounded = ((bits + to_even) & np.uint32(0xFFFF0000)).view(np.float32)
    rounded = rounded.reshape(single.shape)
    return np.where(np.isnan(single), single, rounded)


def show(number: float) -> str:
    """A number as PyTorch's messages write it: six significant digits, no trailing zeros."""
    return f"{number:g}"
