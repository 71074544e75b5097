"""torch.set_num_threads reaches the BLAS that the interpreter multiplies with."""

import pytest

import tenfold as torch
from tenfold._core.backends.numpy import blas


def test_the_blas_is_told(monkeypatch):
    told = []
    monkeypatch.setattr(blas, "_setter", lambda: lambda n: told.append(n.value))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    torch.set_num_threads(before)
    assert told == [3, before]


def test_numpy_without_it_is_left_alone(monkeypatch):
    monkeypatch.setattr(blas, "_setter", lambda: None)
    assert not blas.set_threads(2)


def test_the_setter_of_this_numpy_can_be_called():
    if blas._setter() is None:
        pytest.skip("this build of NumPy brings no OpenBLAS")
    assert blas.set_threads(torch.get_num_threads())
