"""float32 exponentials and logarithms where glibc's answer is not the nearest number, and at the ends."""

import numpy as np
import pytest

from tenfold._core.random.libm import exp32, log32

EXP = {-0.289: "0x1.7f7e88p-1", -0.732: "0x1.ec7d26p-2", -1.392: "0x1.fd164ap-3"}
LOG = {1.013: "0x1.a73d40p-7", 1.014: "0x1.c79282p-7", 1.022: "0x1.648a22p-6", 1.031: "0x1.f430d6p-6"}


@pytest.mark.parametrize(("function", "answers"), [(exp32, EXP), (log32, LOG)])
def test_rounded_as_glibc(function, answers):
    found = function(np.array(list(answers), np.float32))
    assert found.dtype == np.float32
    assert found.tolist() == [float.fromhex(a) for a in answers.values()]


def test_close_to_numpy():
    x = np.linspace(-87, 88, 10001, dtype=np.float32)
    np.testing.assert_allclose(exp32(x), np.exp(x), 2e-7)
    y = np.exp(x)
    np.testing.assert_allclose(log32(y), np.log(y), 2e-7)


def test_ends():
    with np.errstate(all="ignore"):
        ends = exp32(np.array([-np.inf, -104, 0, 100, np.nan], np.float32))
        np.testing.assert_array_equal(ends, np.array([0, 0, 1, np.inf, np.nan], np.float32))
        np.testing.assert_array_equal(
            log32(np.array([0, 1, np.nan], np.float32)), np.array([-np.inf, 0, np.nan], np.float32)
        )
