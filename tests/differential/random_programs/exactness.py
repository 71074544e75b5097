"""What is known of a tensor's values before it is computed: how large, how fine, and whether they are exact.

A program's inputs are small multiples of 1/4. While sums and products of them fit the mantissa, every correct
implementation gets the same bits, so it is safe to compare them, sort them or take their maximum. Where they no
longer fit, or after a function like `sin`, results may differ in the last bits: `high` then bounds the error."""

from dataclasses import dataclass

MANTISSA = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}
WIDTH = {"int64": 63, "int32": 31, "int16": 15, "int8": 7, "uint8": 8, "bool": 1}
TOO_LARGE = 40  # programs do not multiply beyond this many bits


@dataclass(frozen=True)
class Grid:
    """|value| <= 2**high and value is a multiple of 2**-low, if exact."""

    high: int
    low: int
    exact: bool = True

    def __or__(self, other):
        """The grid that holds what either holds."""
        return Grid(max(self.high, other.high), max(self.low, other.low), self.exact and other.exact)

    def rounded_to(self, dtype):
        """The grid after the values are stored in this dtype."""
        if dtype == "uint8":  # -1 is 255 there
            return Grid(8, 0, self.exact)
        if dtype in WIDTH:
            return Grid(min(self.high, WIDTH[dtype]), 0, self.exact)
        return Grid(self.high, self.low, self.exact and self.high + self.low <= MANTISSA[dtype])


INPUT = Grid(2, 2)
INEXACT = Grid(1, 20, exact=False)


def scalar(x):
    """The grid of a Python number."""
    x = float(x)
    low = next((k for k in range(30) if (x * 2**k).is_integer()), 60)
    return Grid(max(0, int(abs(x)).bit_length()), low, low < 60)


def total(a, b):
    """Of a sum or a difference."""
    return Grid(max(a.high, b.high) + 1, max(a.low, b.low), a.exact and b.exact)


def product(a, b):
    return Grid(a.high + b.high, a.low + b.low, a.exact and b.exact)


def summed(a, count):
    """Of a sum of `count` values."""
    return Grid(a.high + max(count - 1, 0).bit_length(), a.low, a.exact)


def blurred(a, high=None):
    """Of a result that is rounded: as large as a, or as 2**high."""
    return Grid(a.high if high is None else high, a.low, exact=False)
