"""Rows sorted by machine code against NumPy's stable order, and equal elements against the algorithm in Python."""

import numpy as np
import pytest

from tenfold._core.backends.cpu import introsort, sort_rows
from tenfold._core.ops import tie_order
from tenfold._core.ops.sorting import order_of

pytest.importorskip("llvmlite")


def rows(dtype: str, shape: tuple) -> np.ndarray:
    """Numbers with ties; floats with NaN, infinities and both zeros where there is room."""
    x = (np.random.default_rng(0).standard_normal(shape) * 30).astype(dtype)
    if dtype in ("f4", "f8"):
        special = [np.nan, -np.nan, np.inf, -np.inf, -0.0, 0.0, -0.0, 1e-45, -1e-45]
        for r in range(shape[0]):
            x[r, : len(special)] = special[: shape[1]]
            x[r] = np.roll(x[r], 3 * r)
    return x


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "i4", "i2", "i1", "u1", "?"])
@pytest.mark.parametrize("descending", [False, True])
def test_rows_are_sorted_as_by_numpy(dtype, descending):
    f = sort_rows.of(np.dtype(dtype))
    for shape in ((1, 1), (3, 2), (2, 16), (5, 17), (3, 100), (2, 3000)):
        x = rows(dtype, shape)
        values, places, tied = f.sort(x, descending)
        order = order_of(x, 1, descending)
        assert np.array_equal(places, order)
        assert values.tobytes() == np.take_along_axis(x, order, 1).tobytes()
        ranks = tie_order._ranked(x, order)
        assert np.array_equal(tied, ranks.max(1) < shape[1] - 1)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
@pytest.mark.parametrize("descending", [False, True])
def test_the_first_k_are_those_of_a_sort(dtype, descending):
    f = sort_rows.of(np.dtype(dtype))
    x = rows(dtype, (4, 200))
    values, places, _ = f.sort(x, descending)
    for k in (1, 2, 15, 16, 17, 60, 199):
        first, where, unclear = f.top(x, k, descending)
        a, b = values[:, k - 1], values[:, k]
        assert unclear == bool(((a == b) | (a != a) & (b != b)).any())
        if not unclear:
            assert np.array_equal(where, places[:, :k])
            assert first.tobytes() == np.ascontiguousarray(values[:, :k]).tobytes()


@pytest.mark.parametrize("n", [2, 16, 17, 33, 200, 1500])
def test_equal_elements_go_where_the_algorithm_in_python_puts_them(n):
    rng = np.random.default_rng(n)
    for most in (1, 3, n // 2 + 1, 4 * n):
        for ranks in (rng.integers(0, most, n), np.sort(rng.integers(0, most, n))):
            expected = list(range(n))
            tie_order._introsort(expected, ranks.tolist(), 0, n)
            found = introsort.order(ranks)
            assert found is not None
            assert found.tolist() == expected


def killer(n: int) -> np.ndarray:
    """Ranks on which the median of three is always next to the least (after D. Musser), so that parts stay long."""
    k = n // 2
    out = np.empty(n, np.int64)
    for i in range(1, k + 1):
        out[i - 1] = i if i % 2 else k + i - 1
        out[k + i - 1] = 2 * i
    return out


def test_a_row_whose_parts_stay_long_is_left_to_the_heap():
    ranks = killer(4096)
    assert introsort.order(ranks) is None
    x = np.repeat(ranks, 2)[None]  # with ties
    x[0, 1::2] = np.where(np.arange(4096) % 7 == 0, x[0, ::2], x[0, 1::2] + 10**6)
    order = tie_order.sort_order(x, order_of(x, 1, False), 1)
    assert np.array_equal(np.take_along_axis(x, order, 1)[0], np.sort(x[0]))


def test_many_rows_with_ties_are_arranged_where_machine_code_does_it():
    x = np.random.default_rng(0).integers(0, 50, (40, 1000)).astype("f4")
    assert x.size > tie_order.BUDGET
    order = tie_order.sort_order(x, order_of(x, 1, False), 1)
    for r in (0, 17, 39):
        expected = list(range(1000))
        ranks = tie_order._ranked(x[r : r + 1], order_of(x[r : r + 1], 1, False))
        tie_order._introsort(expected, ranks[0].tolist(), 0, 1000)
        assert order[r].tolist() == expected
