"""Steps that are cut into chunks: all of a loop, and the same bits for any number of threads."""

import numpy as np
import pytest
from random_programs import drawing, executor, writing

import tenfold as torch
from tenfold._core.compiler import machine, split

FIRST = 30_000  # the seed


def test_chunks_cover_a_loop():
    for total in (1, 7, 64, 100, 4096, 4097):
        for unit in (1, 16, 48):
            for work in (0, 60_000, 1e7):
                step = split._step(work, total, unit)
                cut = split.Split(total, step, 0, -1, ())
                assert step % unit == 0 and (cut.chunks - 1) * step < total <= cut.chunks * step
                assert cut.chunks <= split.MOST
                assert np.all(np.array(cut.words([0])) == [cut.chunks, step, total, 1, 0, -1, 0, 3, 0, 1 << 20, 0])


@pytest.fixture
def cuts(monkeypatch):
    """The cuts of the steps that are compiled meanwhile."""
    found = []

    def noted(make):
        def step(s):
            out = make(s)
            found.append(out[3])
            return out

        return step

    monkeypatch.setattr(machine, "NATIVE", {kind: noted(make) for kind, make in machine.NATIVE.items()})
    return found


def bits(run):
    return [None if a is None else a.tobytes() for a in [*run.values, *run.gradients]]


@pytest.mark.parametrize("part", range(4))
@pytest.mark.filterwarnings("ignore")
def test_random_programs_have_the_same_bits_on_any_number_of_threads(part, cut_all, deterministic, cuts, pytestconfig):
    for seed in range(part, pytestconfig.getoption("--programs") // 2, 4):
        program = drawing.seeded(FIRST + seed)
        torch.set_num_threads(1)
        expected = bits(executor.run(program, torch, writing.STEPS))
        for n in (2, 4, 1, 4, 2):
            torch.set_num_threads(n)
            assert bits(executor.run(program, torch, writing.STEPS)) == expected, (seed, n)
    assert sum(c is not None for c in cuts) > 10
