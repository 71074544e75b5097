"""Large programs of paths that are a small part of what is run are compiled late."""

import pytest

import tenfold as torch
from tenfold._core import config
from tenfold._core.compiler import later
from tenfold._core.trace import flush


@pytest.fixture
def begun(monkeypatch):
    """The sizes of the programs whose compiling has begun."""
    sizes = []
    start = later.start

    def told(graph, *rest):
        sizes.append(len(graph.specs))
        return start(graph, *rest)

    monkeypatch.setattr(later, "start", told)
    monkeypatch.setattr(flush, "LARGE", 20)
    monkeypatch.setattr(flush, "OFTEN", 12)
    return sizes


def step(weight, n):
    """A loop of n steps, one path for each n."""
    h = torch.ones(3)
    for _ in range(n):
        h = torch.tanh(h @ weight)
    loss = h.sum()
    loss.backward()
    return loss.item()


def times(counts, lengths):
    torch.manual_seed(0)
    weight = torch.randn(3, 3, requires_grad=True)
    return [step(weight, n) for _ in range(counts) for n in lengths]


def test_one_path_is_compiled_as_ever(begun):
    times(config.COMPILE_AT, [6])
    assert len(begun) == 1


def test_many_large_paths_wait(begun):
    times(config.COMPILE_AT, range(7, 12))
    assert begun == []


def test_what_comes_back_often_is_compiled_all_the_same(begun):
    expected = times(1, range(12, 17))
    found = times(16, range(12, 17))
    assert len(begun) == 5
    assert found[-5:] == pytest.approx(expected, abs=1e-5)


def test_small_paths_do_not_wait(begun, monkeypatch):
    monkeypatch.setattr(flush, "LARGE", 10_000)
    times(config.COMPILE_AT, range(17, 22))
    assert len(begun) == 5
