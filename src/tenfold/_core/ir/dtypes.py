"""Element types: what they are called, how they lie in memory, how they promote.

bfloat16, which NumPy lacks, lies in memory as uint16; `decode` and `encode` turn the two half types into
float32 and back (round to nearest, ties to even), since arithmetic on them is done in float32."""

from __future__ import annotations

import numpy as np

BOOL, INT, FLOAT, COMPLEX = range(4)


class dtype:
    """An element type, `torch.float32` for example. There is one object for each; compare with `is` or `==`."""

    __slots__ = (
        "name",
        "np",
        "category",
        "itemsize",
        "is_floating_point",
        "is_complex",
        "is_signed",
        "half",
        "order",
        "_real",
    )

    def __init__(self, name: str, memory: str, category: int, order: int, half: bool = False):
        self.name = name
        self.np = np.dtype(memory)
        self.category = category
        self.itemsize = self.np.itemsize
        self.is_floating_point = category == FLOAT
        self.is_complex = category == COMPLEX
        self.is_signed = name not in ("bool", "uint8", "uint16", "uint32", "uint64")
        self.half = half
        self.order = order
        self._real = None

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self):
        return (by_name, (self.name,))

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo) -> dtype:
        return self

    def to_real(self) -> dtype:
        return {complex64: float32, complex128: float64}.get(self, self)

    def to_complex(self) -> dtype:
        return {float32: complex64, float64: complex128}.get(self, self if self.is_complex else complex64)

    @property
    def compute(self) -> np.dtype:
        """The NumPy dtype in which arithmetic on it is done."""
        return F4 if self.half else self.np


F4 = np.dtype("f4")
bool_ = dtype("bool", "?", BOOL, 0)
uint8 = dtype("uint8", "u1", INT, 1)
int8 = dtype("int8", "i1", INT, 1)
int16 = dtype("int16", "i2", INT, 2)
int32 = dtype("int32", "i4", INT, 3)
int64 = dtype("int64", "i8", INT, 4)
uint16 = dtype("uint16", "u2", INT, 2)
uint32 = dtype("uint32", "u4", INT, 3)
uint64 = dtype("uint64", "u8", INT, 4)
float16 = dtype("float16", "f2", FLOAT, 5, half=True)
bfloat16 = dtype("bfloat16", "u2", FLOAT, 5, half=True)
float32 = dtype("float32", "f4", FLOAT, 6)
float64 = dtype("float64", "f8", FLOAT, 7)
complex64 = dtype("complex64", "c8", COMPLEX, 8)
complex128 = dtype("complex128", "c16", COMPLEX, 9)

ALL = (
    bool_, uint8, int8, int16, int32, int64, uint16, uint32, uint64,
    float16, bfloat16, float32, float64, complex64, complex128,
)  # fmt: skip
BY_NAME = {d.name: d for d in ALL} | {
    "half": float16, "float": float32, "double": float64, "long": int64, "int": int32, "short": int16,
    "cfloat": complex64, "cdouble": complex128,
}  # fmt: skip
FROM_NUMPY = {d.np: d for d in ALL if d is not bfloat16}
REAL_FLOATS = (float16, bfloat16, float32, float64)
FLOATS = (*REAL_FLOATS, complex64, complex128)
INTEGERS = (uint8, int8, int16, int32, int64)

_default = float32


def by_name(name: str) -> dtype:
    return BY_NAME[name]


def get_default_dtype() -> dtype:
    """The dtype of floats where none is given. Default float32."""
    return _default


def set_default_dtype(d: dtype, /) -> None:
    """Sets the dtype of floats where none is given: a floating-point dtype (also a tensor type such as torch.DoubleTensor)."""
    global _default
    d = getattr(d, "dtype", d)
    if not isinstance(d, dtype):
        raise TypeError(f"invalid dtype object: set_default_dtype takes a dtype such as torch.float64, not {d!r}")
    if not d.is_floating_point:
        raise TypeError(
            f"only floating-point types are supported as the default type, not {d}; give torch.float32, say"
        )
    _default = d


def from_numpy(d: np.dtype) -> dtype:
    found = FROM_NUMPY.get(np.dtype(d).newbyteorder("="))
    if found is None:
        names = ", ".join(x.name for x in ALL if x is not bfloat16)
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{np.dtype(d)}. The only supported types are: {names}. Convert with .astype first."
        )
    return found


def promote(a: dtype, b: dtype) -> dtype:
    """The smallest dtype that both fit, by PyTorch's table."""
    if a is b:
        return a
    if a.category > b.category:
        a, b = b, a
    if b.category == COMPLEX:
        if a is float64 or a is complex128 or b is complex128:
            return complex128
        return complex64
    if b.category == FLOAT:
        if a.category < FLOAT:
            return b
        if a.half and b.half:
            return float32
        return a if a.order > b.order else b
    if a.category == BOOL:
        return b
    if a.order != b.order:
        hi, lo = (a, b) if a.order > b.order else (b, a)
        if not hi.is_signed and lo.is_signed:
            raise RuntimeError(
                f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote {a.name} and {b.name}"
            )
        return hi
    return int16 if {a, b} == {uint8, int8} else a  # the one pair of equal size and other sign


def of_number(kind: type) -> dtype:
    """The dtype that a Python number has where it stands alone."""
    if kind is bool:
        return bool_
    if kind is int:
        return int64
    if kind is float:
        return _default
    return _default.to_complex()


def decode(array: np.ndarray, d: dtype) -> np.ndarray:
    """float32 values of an array of one of the half types."""
    if d is bfloat16:
        return (np.asarray(array).astype(np.uint32) << 16).view(np.float32)
    return np.asarray(array).astype(np.float32)


def encode(array: np.ndarray, d: dtype) -> np.ndarray:
    """The nearest values of a half type, in its memory format."""
    if d is float16:
        return np.asarray(array).astype(np.float16)
    x = np.asarray(array, dtype=np.float32)
    bits = x.view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(x), np.uint32(0x7FC0), rounded).astype(np.uint16)


class finfo:
    """Limits of a floating-point dtype: bits, eps, max, min, tiny, smallest_normal, resolution."""

    def __init__(self, type: dtype | None = None):
        d = _default if type is None else type
        if not isinstance(d, dtype) or not (d.is_floating_point or d.is_complex):
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'"
            )
        d = d.to_real()
        self.dtype = d.name
        self.bits = d.itemsize * 8
        if d is bfloat16:
            self.eps = 2.0**-7
            self.max = float(np.array(0x7F7F0000, np.uint32).view(np.float32))
            self.tiny = 2.0**-126
            self.resolution = 0.01
        else:
            info = np.finfo(d.np)
            self.eps = float(info.eps)
            self.max = float(info.max)
            self.tiny = float(info.tiny)
            self.resolution = float(info.resolution)
        self.min = -self.max
        self.smallest_normal = self.tiny

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer dtype: bits, max, min."""

    def __init__(self, type: dtype):
        if not isinstance(type, dtype) or type.category > INT:
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'")
        if type is bool_:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        info = np.iinfo(type.np)
        self.dtype = type.name
        self.bits = info.bits
        self.max = int(info.max)
        self.min = int(info.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
