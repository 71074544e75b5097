"""torch.set_num_threads reaches the BLAS that the interpreter multiplies with, and its middling products run on one."""

import ctypes

import numpy as np
import pytest

import tenfold as torch
from tenfold._core.backends.numpy import blas


class Library:
    """A BLAS that writes down what it is told, and how many threads each product had."""

    def __init__(self, threads=4):
        self.threads = threads
        self.products = []

    def set(self, n: ctypes.c_int):
        self.threads = n.value

    def get(self) -> int:
        return self.threads


@pytest.fixture
def library(monkeypatch):
    found = Library()
    monkeypatch.setattr(blas, "_functions", lambda: (found.set, found.get))
    matmul = np.matmul

    def product(*args, **kwargs):
        found.products.append(found.threads)
        return matmul(*args, **kwargs)

    monkeypatch.setattr(np, "matmul", product)
    return found


def test_the_blas_is_told(library):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    assert library.threads == 3
    torch.set_num_threads(before)
    assert library.threads == before


def test_numpy_without_it_is_left_alone(monkeypatch):
    monkeypatch.setattr(blas, "_functions", lambda: None)
    assert not blas.set_threads(2)
    assert blas.matmul(np.ones((100, 100)), np.ones((100, 100)))[0, 0] == 100


def test_the_functions_of_this_numpy_can_be_called():
    if blas._functions() is None:
        pytest.skip("this build of NumPy brings no OpenBLAS")
    n = torch.get_num_threads()
    assert blas.set_threads(n)
    assert blas._functions()[1]() == n
    with blas.one_thread():
        assert blas._functions()[1]() == 1
    assert blas._functions()[1]() == n


def test_small_and_large_products_keep_the_threads(library, monkeypatch):
    monkeypatch.setattr(blas, "ALONE_UNTIL", 1 << 21)
    for n in (8, 100, 128):  # 512, a million and two million products of numbers
        blas.matmul(np.ones((n, n), np.float32), np.ones((n, n), np.float32))
    assert library.products == [4, 1, 4]
    assert library.threads == 4


def test_what_is_said_meanwhile_holds_afterwards(library):
    with blas.one_thread():
        with blas.one_thread():
            blas.set_threads(2)
            assert library.threads == 1
        assert library.threads == 1
    assert library.threads == 2


def test_convolutions_run_on_one_thread(library):
    x, weight = torch.ones(2, 16, 40, 40), torch.ones(32, 16, 3, 3, requires_grad=True)
    torch.conv2d(x, weight).sum().backward()
    assert weight.grad.unique().tolist() == [2 * 38 * 38]
    assert set(library.products) == {1}
