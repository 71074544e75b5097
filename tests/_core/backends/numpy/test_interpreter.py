"""The list of calls that a graph becomes."""

import functools

import numpy as np
import pytest

import tenfold as torch
from tenfold._core.backends.numpy import interpreter


@pytest.fixture
def programs(monkeypatch):
    """The programs that are made."""
    made = []
    begin = interpreter.Program.__init__

    def remember(self, graph, results):
        begin(self, graph, results)
        made.append(self)

    monkeypatch.setattr(interpreter.Program, "__init__", remember)
    return made


def in_place(programs) -> int:
    return sum(isinstance(step[0], functools.partial) for program in programs for step in program.steps)


def gradient(read, x):
    x = x.clone().requires_grad_()
    read(x).backward()
    return x.grad.numpy()


def parts(x):
    """Each row of x into a product of its own, so that each has its own cotangent."""
    return sum((row * k).sum() for k, row in enumerate(x.unbind(0), 1))


def test_cotangents_of_the_parts_of_a_sequence_are_added_where_they_lie(programs):
    x = torch.randn(7, 3)
    expected = np.arange(1, 8, dtype=np.float32)[:, None] * np.ones((7, 3), np.float32)
    assert np.array_equal(gradient(parts, x), expected)
    assert in_place(programs) == 6  # the first one makes the array


def test_parts_that_overlap_are_added_up(programs):
    x = torch.randn(6)
    found = gradient(lambda x: (x[0:4] * 1).sum() + (x[1:5] * 10).sum() + (x[::2] * 100).sum(), x)
    assert found.tolist() == [101, 11, 111, 11, 110, 0]
    assert in_place(programs) == 2


def test_a_cotangent_with_another_reader_is_left_as_it_is(programs):
    x = torch.randn(4, 3, requires_grad=True)
    y = x * 1.0
    y.retain_grad()
    parts(y).backward()
    assert y.grad[:, 0].tolist() == [1, 2, 3, 4]
    assert x.grad[:, 0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes(dtype):
    x = torch.ones(5, 2, dtype=dtype, requires_grad=True)
    parts(x).backward()
    assert x.grad.dtype is dtype
    assert x.grad[:, 1].tolist() == [1, 2, 3, 4, 5]


def test_transposed_and_expanded_parts(programs):
    x = torch.randn(3, 4)
    found = gradient(lambda x: sum((x.t()[k].expand(2, 3) * (k + 1)).sum() for k in range(4)), x)
    assert found.tolist() == [[2, 4, 6, 8]] * 3
