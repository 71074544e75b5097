"""The draws whose PyTorch values are recorded: a name, a dtype, and how tenfold's engine makes `size` elements."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tenfold._core import random

SIZES = (0, 1, 2, 15, 16, 17, 31, 33)
LONG = 624 * 3 + 5
FLOATING = ("float32", "float64", "bfloat16", "float16")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")


@dataclass(frozen=True)
class Case:
    name: str
    dtype: str
    draw: Callable[[random.Engine, int], np.ndarray]
    # Whether every step is exact arithmetic or single precision; else the C library's last bit may matter.
    is_exact: bool = True

    @property
    def key(self) -> str:
        return f"{self.name}-{self.dtype}"


def parameter(size: int) -> np.ndarray:
    """The means, rates and concentrations of the element-wise cases: from 0.25 to 20, exact in every dtype."""
    return (np.arange(size) * 7 % 80 + 1) / 4.0


def probability(size: int) -> np.ndarray:
    """Probabilities from 1/32 to 31/32, exact in every dtype."""
    return (np.arange(size) * 5 % 31 + 1) / 32.0


def _array(values: np.ndarray, dtype: str) -> np.ndarray:
    return values.astype("float64" if dtype == "float64" else "float32")


def _floating_cases(dtype: str) -> list[Case]:
    def a(values: np.ndarray) -> np.ndarray:
        return _array(values, dtype)

    narrow = dtype != "float64"
    return [
        Case("rand", dtype, lambda e, n: random.uniform(e, n, dtype)),
        Case("uniform", dtype, lambda e, n: random.uniform(e, n, dtype, -1.3, 2.9)),
        Case("randn", dtype, lambda e, n: random.normal(e, n, dtype), narrow),
        Case("normal", dtype, lambda e, n: random.normal(e, n, dtype, 1.3, 0.7), narrow),
        Case(
            "normal_both", dtype, lambda e, n: random.normal_like(e, a(parameter(n)), a(probability(n)), dtype), narrow
        ),
        Case("normal_mean", dtype, lambda e, n: random.normal_like(e, a(parameter(n)), 0.7, dtype), narrow),
        Case("normal_std", dtype, lambda e, n: random.normal_like(e, 1.37, a(probability(n)), dtype), narrow),
        Case("log_normal", dtype, lambda e, n: random.log_normal(e, n, dtype, 0.3, 0.7), narrow),
        Case("exponential", dtype, lambda e, n: random.exponential(e, n, dtype, 1.7), narrow),
        Case("cauchy", dtype, lambda e, n: random.cauchy(e, n, dtype, 0.3, 1.9), narrow),
        Case("bernoulli_each", dtype, lambda e, n: random.bernoulli_tensor(e, a(probability(n)), dtype)),
        Case("poisson", dtype, lambda e, n: random.poisson(e, a(parameter(n)), dtype)),
        Case("replaced", dtype, lambda e, n: random.multinomial(e, a(probability(n + 1)), 5, True, dtype)),
        Case("one_of", dtype, lambda e, n: random.multinomial(e, a(probability(n + 1)), 1, False, dtype)),
    ]


def _full_precision_cases(dtype: str) -> list[Case]:
    def a(values: np.ndarray) -> np.ndarray:
        return _array(values, dtype)

    narrow = dtype != "float64"
    return [
        Case("gamma", dtype, lambda e, n: random.standard_gamma(e, a(parameter(n)), dtype), narrow),
        Case("dirichlet", dtype, lambda e, n: random.dirichlet(e, a(parameter(4 * n)).reshape(n, 4), dtype), narrow),
        Case(
            "binomial", dtype, lambda e, n: random.binomial(e, a(np.floor(parameter(n) * 8)), a(probability(n)), dtype)
        ),
        Case("rrelu", dtype, lambda e, n: random.rrelu_noise(e, a(parameter(n) - 8), dtype, 0.1, 0.37)),
        Case("unreplaced", dtype, lambda e, n: random.multinomial(e, a(probability(n + 1)), n // 2 + 1, False, dtype)),
    ]


def _any_cases(dtype: str) -> list[Case]:
    return [
        Case("random", dtype, lambda e, n: random.random_full(e, n, dtype)),
        Case("random_up", dtype, lambda e, n: random.random_from_to(e, n, 5, None, dtype)),
        Case("randint", dtype, lambda e, n: random.random_from_to(e, n, 3, 99, dtype)),
        Case("randperm", dtype, lambda e, n: random.randperm(e, n, dtype)),
        Case("bernoulli", dtype, lambda e, n: random.bernoulli(e, n, dtype, 0.3)),
        Case("geometric", dtype, lambda e, n: random.geometric(e, n, dtype, 0.4)),
    ]


RANGES = ((0, 2**28 - 1), (0, 2**28), (-5, 2**33), (-(2**62), 2**62), (0, 2**63 - 1))


def all_cases() -> list[Case]:
    cases = [case for dtype in FLOATING for case in _floating_cases(dtype)]
    cases += [case for dtype in ("float32", "float64") for case in _full_precision_cases(dtype)]
    cases += [case for dtype in FLOATING + INTEGERS for case in _any_cases(dtype)]
    for low, high in RANGES:
        cases.append(
            Case(f"range{low}to{high}", "int64", lambda e, n, a=low, b=high: random.random_from_to(e, n, a, b))
        )
    cases.append(Case("all_bits", "int64", lambda e, n: random.random_from_to(e, n, -(2**63), None)))
    for dtype in ("complex64", "complex128"):
        cases.append(Case("rand", dtype, lambda e, n, d=dtype: random.uniform(e, n, d)))
        cases.append(Case("randn", dtype, lambda e, n, d=dtype: random.normal(e, n, d), dtype == "complex64"))
    return cases


def seed_of(case: Case) -> int:
    return sum(case.key.encode()) + 2**31


def has_long(case: Case) -> bool:
    """Whether one draw of 1877 elements is checked too, by a checksum."""
    return case.is_exact and not (
        case.name == "randperm" and case.dtype not in ("float32", "float64", "int32", "int64")
    )
