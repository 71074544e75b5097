"""Integers: the full range of a dtype, a range, and permutations."""

from __future__ import annotations

import warnings

import numpy as np

from tenfold._core.random.arguments import DType, Shape, as_shape, find_dtype, number_of_elements, round_to, unsupported
from tenfold._core.random.engine import Engine

# A range of this size or more takes two words an element.
_WIDE_RANGE = 2**28
# A permutation of this size or more takes two words an element.
_WIDE_PERMUTATION = 0xFFFFFFFF // 20
# From this size the swaps are resolved all at once rather than one by one.
_VECTOR_PERMUTATION = 600


def random_full(engine: Engine, shape: Shape, dtype: str = "int64") -> np.ndarray:
    """`tensor.random_()`: every non-negative integer of the dtype, or 0 to 2**digits of a floating one."""
    kind = find_dtype(dtype, "random_kernel_cpu")
    sizes = as_shape(shape)
    count = number_of_elements(sizes)
    largest = 2**kind.digits if kind.is_floating else int(kind.highest)
    wide = kind.name in ("int64", "float64")
    words = engine.random64(count) if wide else engine.random32(count)
    words %= words.dtype.type(largest + 1)
    return _in_dtype(words.astype(np.int64), kind).reshape(sizes)


def random_from_to(engine: Engine, shape: Shape, low: int, high: int | None, dtype: str = "int64") -> np.ndarray:
    """Integers from `low` (included) to `high` (excluded), in any real dtype.

    Args:
        high: None stands for one more than the largest integer that the dtype holds exactly.
    Raises:
        RuntimeError: the range is empty or reaches out of the dtype.
    """
    kind = find_dtype(dtype, "random_kernel_cpu")
    sizes = as_shape(shape)
    span, base = _range_to(kind, low, high) if high is not None else _range_up(kind, low)
    count = number_of_elements(sizes)
    return _in_dtype(_remainders(engine, count, span, base), kind).reshape(sizes)


def _remainders(engine: Engine, count: int, span: int, base: int) -> np.ndarray:
    if span >= _WIDE_RANGE:
        words = engine.random64(count)
        if span < 2**64:
            words %= np.uint64(span)
    else:
        narrow = engine.random32(count)
        narrow %= np.uint32(span)
        words = narrow.astype(np.uint64)
    words += np.uint64(base % 2**64)
    return words.view(np.int64)


def _range_to(kind: DType, low: int, high: int) -> tuple[int, int]:
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    if kind.is_floating:
        low = _exact_from(kind, low)
        high = _exact_to(kind, high)
        if low >= high:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, "
                f"but got from={low} >= to={high}"
            )
    _check_inside(kind, low, high - 1, "to - 1")
    return high - low, low


def _range_up(kind: DType, low: int) -> tuple[int, int]:
    if low == -(2**63):
        return _all_bits(kind), 0
    _check_inside(kind, low, low, "from")
    largest = 2**kind.digits if kind.is_floating else int(kind.highest)
    if kind.is_floating:
        low = _exact_from(kind, low)
    if low > largest:
        raise RuntimeError(
            "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' casted to dtype, "
            f"but got from={low} > to_inc={largest}"
        )
    return largest - low + 1, low


def _all_bits(kind: DType) -> int:
    """The span of all 64-bit integers, for the dtypes that take them."""
    operation = "random_full_64_bits_range_kernel_cpu"
    if kind.name in ("float16", "bool"):
        raise unsupported(operation, kind.label)
    if kind.name not in ("int64", "float64", "float32", "bfloat16"):
        raise RuntimeError(f"{operation} handles only int64, double, float and bfloat16, but got {kind.name}")
    return 2**64


def _check_inside(kind: DType, first: int, last: int, last_name: str) -> None:
    for name, bound in (("from", first), (last_name, last)):
        if not kind.lowest <= bound <= kind.highest:
            raise RuntimeError(f"{name} is out of bounds for {kind.c_name}: random_ got {name}={bound}")
        if kind.is_floating and abs(bound) > 2**kind.digits:
            warnings.warn(
                f"{name} is out of bounds [-(2^{kind.digits}), 2^{kind.digits}]: {kind.name} does not hold every "
                "integer of this range, so that some results are rounded",
                UserWarning,
                stacklevel=4,
            )


def _exact_from(kind: DType, low: int) -> int:
    """The least integer not below `low` that the floating dtype can tell from those below the range."""
    rounded = _round_integer(kind, low + 1)
    if rounded >= low:
        return low
    return rounded + (1 << (abs(low + 1).bit_length() - kind.digits))


def _exact_to(kind: DType, high: int) -> int:
    rounded = _round_integer(kind, high - 1)
    if rounded < high:
        return high
    return rounded - (1 << (abs(high - 1).bit_length() - kind.digits))


def _round_integer(kind: DType, number: int) -> int:
    rounded = float(round_to(np.array(float(number)), kind))
    return int(rounded) if abs(rounded) < 2.0**63 else number


def _in_dtype(values: np.ndarray, kind: DType) -> np.ndarray:
    if not kind.is_floating:
        return values.astype(kind.array)
    if kind.name == "float64":
        return values.astype(np.float64)
    return round_to(values.astype(np.float32), kind)


def randperm(engine: Engine, n: int, dtype: str = "int64") -> np.ndarray:
    """A permutation of 0 to n - 1, in any real dtype but bool.

    Source: Fisher and Yates 1938, in Durstenfeld's form (1964).
    """
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    kind = find_dtype(dtype, "randperm")
    if kind.name == "bool":
        raise unsupported("randperm", kind.label)
    _check_holds(kind, n)
    if n < 2:
        return _in_dtype(np.arange(n), kind)
    words = engine.random64(n - 1) if n >= _WIDE_PERMUTATION else engine.raw(n - 1)
    steps = np.arange(n - 1, dtype=np.int64)
    partners = (words % np.arange(n, 1, -1, dtype=np.uint64)).view(np.int64) + steps
    order = _swap_all(partners) if n >= _VECTOR_PERMUTATION else _swap_each(partners)
    return _in_dtype(order, kind)


def _check_holds(kind: DType, n: int) -> None:
    if kind.is_floating:
        largest = 2**kind.digits + 1
        # As in PyTorch bfloat16 has no limit: large numbers are rounded, and some then stand twice.
        if n > largest and kind.name != "bfloat16":
            raise RuntimeError(f"n cannot be greater than {largest} for {kind.label} type.")
    elif n - 1 > kind.highest:
        raise RuntimeError(f"value cannot be converted to type {kind.name}_t without overflow: randperm got n={n}")


def _swap_each(partners: np.ndarray) -> np.ndarray:
    order = list(range(len(partners) + 1))
    for place, partner in enumerate(partners.tolist()):
        order[place], order[partner] = order[partner], order[place]
    return np.array(order, np.int64)


def _swap_all(partners: np.ndarray) -> np.ndarray:
    """The same swaps without a Python loop.

    Step t swaps place t, never touched again, with a place at or after it. What it brings to place t is what stood at
    its partner: the value left there by the previous step with that partner, or the partner's own index if none.
    Step s left the value that stood at place s before it, which some step before s, the last with partner s, left
    there in turn. Following these links to their ends gives every value.
    """
    n = len(partners) + 1
    index = np.int32 if n < 2**31 else np.int64
    targets = np.empty(n, index)
    targets[:-1] = partners
    targets[-1] = n - 1
    left = _ends(_last_step_on_place(targets))
    steps = _stable_order(targets)
    grouped = targets[steps]
    repeated = np.flatnonzero(grouped[1:] == grouped[:-1])
    order = targets.astype(np.int64)
    order[steps[repeated + 1]] = left[steps[repeated]]
    return order


def _last_step_on_place(targets: np.ndarray) -> np.ndarray:
    """For each place the last earlier step with this partner, or the place itself."""
    places = np.arange(len(targets), dtype=targets.dtype)
    moved = np.flatnonzero(targets != places)
    link = places.copy()
    # Of several steps with one partner the last assignment stands, and steps are in increasing order.
    link[targets[moved]] = moved
    return link


def _ends(link: np.ndarray) -> np.ndarray:
    while True:
        further = link[link]
        if np.array_equal(further, link):
            return link
        link = further


def _stable_order(keys: np.ndarray) -> np.ndarray:
    """A stable argsort: NumPy's is a fast radix sort for 16-bit keys, so one or two of these where they suffice."""
    if len(keys) <= 2**16:
        return np.argsort(keys.astype(np.uint16), kind="stable")
    if keys.dtype == np.int64:
        return np.argsort(keys, kind="stable")
    by_low = np.argsort((keys & 0xFFFF).astype(np.uint16), kind="stable")
    high = (keys >> 16).astype(np.uint16)[by_low]
    return by_low[np.argsort(high, kind="stable")]
