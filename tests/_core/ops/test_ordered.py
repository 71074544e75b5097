"""Sums and products of few numbers in PyTorch's order, against that order spelled out."""

import numpy as np
import pytest

import tenfold as torch
from tenfold._core.ops import ordered

pytestmark = pytest.mark.usefixtures("interpreted")

BIG = {"float32": 2.0**40, "float64": 2.0**60}


def outside(add, n, first, second, dtype):
    """How many of n ones a sum adds after a large number at `first` and its opposite at `second` have met."""
    x = np.ones(n, dtype)
    x[first], x[second] = BIG[dtype], -BIG[dtype]
    return float(add(x))


def one_after_another(x):
    total = x[0]
    for value in x[1:]:
        total = total + value
    return total


def random(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# --- products -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 7, 5), (1, 2, 3), (2, 9, 11), (8, 3, 4)])
def test_a_small_product_adds_rounded_products_in_order(shape, dtype):
    m, k, n = shape
    a, b = random(m, k, dtype=dtype), random(k, n, dtype=dtype, seed=1)
    expected = [[one_after_another(a[i] * b[:, j]) for j in range(n)] for i in range(m)]
    for left in (a, np.asfortranarray(a)):
        assert np.array_equal(ordered.product(left, b), np.array(expected))
    assert np.array_equal((torch.tensor(a) @ torch.tensor(b)).numpy(), np.array(expected))


@pytest.mark.parametrize(
    "dtype, first, second, left",
    [("float32", 0, 4, 6), ("float32", 0, 2, 4), ("float32", 0, 1, 0), ("float64", 0, 6, 4), ("float64", 0, 1, 0)],
)
def test_rows_times_rows_are_added_by_the_lanes_of_a_register(dtype, first, second, left):
    assert (
        outside(lambda x: ordered.product(np.tile(x, (3, 1)), np.ones((4, 8), dtype).T)[2, 1], 8, first, second, dtype)
        == left
    )


def test_products_of_other_sizes_are_as_near_as_blas():
    for m, k, n in [(1, 1, 1), (0, 3, 2), (3, 0, 2), (5, 4, 20), (40, 40, 40), (3, 17, 6)]:
        a, b = random(m, k), random(n, k, seed=1).T
        assert np.allclose(ordered.product(a, b), a.astype(float) @ b.astype(float), atol=1e-4)
    a, b = random(2, 1, 3, 4), random(5, 4, 2, seed=1)
    assert np.allclose(ordered.product(a, b), np.matmul(a, b), atol=1e-5)


# --- sums ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "n, first, second, left",
    [(4, 0, 1, 2), (6, 0, 4, 4), (6, 0, 1, 2), (17, 0, 8, 15), (17, 0, 16, 14), (17, 0, 1, 12), (11, 8, 9, 9)],
)
def test_a_sum_adds_interleaved_parts(n, first, second, left):
    assert outside(lambda x: torch.tensor(x).sum().item(), n, first, second, "float32") == left


@pytest.mark.parametrize("columns, left", [(32, 4), (8, 4), (4, 4), (33, 4)])
def test_rows_are_added_in_blocks_of_columns(columns, left):
    """Rows 0 and 4 meet at once where one register's columns are summed in four parts, after 1 to 3 where four are."""

    def add(x):
        return torch.tensor(np.tile(x[:, None], (1, columns))).sum(0)[0].item()

    assert outside(add, 6, 0, 4, "float32") == (4 if columns == 8 else 1)


@pytest.mark.parametrize("shape", [(5,), (40,), (1000,), (7, 5), (7, 40), (100, 3), (2, 3, 30), (600, 1), (1, 9)])
def test_sums_are_sums(shape):
    x = random(*shape)
    for dims in [None, 0, -1, *([(0, 1)] if len(shape) > 1 else [])]:
        for keepdim in (False, True):
            got = torch.tensor(x).sum(dims, keepdim).numpy()
            expected = x.astype(float).sum(dims, keepdims=keepdim)
            assert got.shape == expected.shape
            assert np.allclose(got, expected, atol=1e-4)
