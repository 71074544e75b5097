"""Numbers drawn by machine code against the functions of NumPy that have PyTorch's numbers: the same bits, and an engine in
the same state after them."""

import numpy as np
import pytest

import tenfold as torch
from tenfold._core import random as streams
from tenfold._core.backends.cpu import draws
from tenfold._core.random import engine as engines
from tenfold._core.random.engine import Engine

pytest.importorskip("llvmlite")
SIZES = (16, 17, 100, 624, 1000, 1024, 1025, 1, 15, 5000)
CASES = [
    ("bernoulli", "float32", [(0.3, 0.0), (1.0, 0.0), (0.0, 0.0), (2.0**-53, 0.0)]),
    ("bernoulli", "float64", [(0.9, 0.0), (1e-12, 0.0)]),
    ("uniform", "float32", [(0.0, 1.0), (-2.0, 3.5), (1.0, 1.0), (-1e-30, 1e-30)]),
    ("normal", "float32", [(0.0, 1.0), (-2.0, 3.5), (1e30, 0.0), (0.0, 1e-38)]),
]


@pytest.mark.parametrize("kind, dtype, arguments", CASES)
def test_the_numbers_are_those_of_numpy(kind, dtype, arguments):
    drawn = draws.of(kind, dtype)
    for a, b in arguments:
        here, there = Engine(5), Engine(5)
        for count in SIZES:
            found = drawn(here, count, a, b)
            given = (a,) if kind == "bernoulli" else (a, b)
            if found is None:
                assert kind == "normal" and count < 16
                continue
            expected = getattr(streams, kind)(there, (count,), dtype, *given)
            assert found.dtype == expected.dtype
            assert found.tobytes() == expected.tobytes()
            assert np.array_equal(here.get_state(), there.get_state())


@pytest.mark.parametrize("kind, wrong", [("bernoulli", (1.5, 0.0)), ("bernoulli", (float("nan"), 0.0)),
                                         ("uniform", (2.0, 1.0)), ("uniform", (0.0, 1e39)),
                                         ("normal", (0.0, -1.0)), ("normal", (0.0, float("nan")))])  # fmt: skip
def test_what_is_wrong_is_left_to_who_says_so(kind, wrong):
    engine = Engine(1)
    before = engine.get_state()
    assert draws.of(kind, "float32")(engine, 100, *wrong) is None
    assert np.array_equal(engine.get_state(), before)


def test_a_program_that_runs_again_draws_the_same():
    engine = Engine(9)
    engine.raw(700)
    drawn = draws.of("uniform", "float32")
    engines.begin()
    first = drawn(engine, 1000, 0.0, 1.0)
    engines.put_back()
    assert np.array_equal(drawn(engine, 1000, 0.0, 1.0), first)


def test_a_state_that_is_kept_otherwise_is_put_back_too(monkeypatch):
    monkeypatch.setattr(engines, "exposed", lambda: False)
    engine = Engine(9)
    engines.begin()
    first = engine.raw(1000)
    engines.put_back()
    assert np.array_equal(engine.raw(1000), first)


def test_compiled_programs_draw_what_the_interpreter_draws(monkeypatch):
    def numbers():
        torch.manual_seed(4)
        seen = []
        for _ in range(12):
            x = torch.randn(40, 30)
            u = torch.rand(30, 40).t()
            kept = torch.nn.functional.dropout(torch.ones(20, 50).t(), 0.3)
            seen.append([x.tolist(), (u * 2).tolist(), kept.tolist(), torch.empty(300).uniform_(-1, 2).tolist()])
        return seen, torch.get_rng_state().tolist()

    from tenfold._core import config

    compiled = numbers()
    monkeypatch.setattr(config, "COMPILE", False)
    assert numbers() == compiled


def test_a_wrong_argument_is_told_from_compiled_programs():
    x = torch.empty(1000)
    for n in range(12):
        x.uniform_(0.0, 1.0 + n)
        assert 0 <= x.min().item() and x.max().item() <= 1.0 + n
    with pytest.raises(RuntimeError, match="uniform_"):
        x.uniform_(2.0, 1.0).sum().item()
