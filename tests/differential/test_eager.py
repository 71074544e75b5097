"""A random program gives the same however it is run: recorded, recorded again, and one operation at a time.

One operation at a time, backward passes a history for each operation, so the contributions to a gradient are added up
in another order: there the last bits may differ. They may between the first runs of a path, which are interpreted, and
those of the compiled program too; with deterministic algorithms it is compiled at once, and every run has the same bits."""

import pytest
from random_programs import compare, drawing, executor, writing

import tenfold
from tenfold._core import config


@pytest.mark.parametrize("seed", range(1000, 1100))
@pytest.mark.filterwarnings("ignore")
def test_eager_and_recorded_agree(seed, monkeypatch):
    monkeypatch.setattr(config, "COMPILE_AT", 3)  # the third run of a path is compiled
    program = drawing.seeded(seed)
    with tenfold.debug.eager():
        eager = executor.run(program, tenfold, writing.STEPS)
    for _ in range(3):
        compare.require_equal(program, eager, executor.run(program, tenfold, writing.STEPS))


@pytest.mark.parametrize("seed", range(1000, 1030))
@pytest.mark.filterwarnings("ignore")
def test_deterministic_runs_have_the_same_bits(seed, deterministic):
    program = drawing.seeded(seed)
    first = executor.run(program, tenfold, writing.STEPS)
    for _ in range(3):
        compare.require_identical(program, first, executor.run(program, tenfold, writing.STEPS))
