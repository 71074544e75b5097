"""A random program gives the same bits however it is run: recorded, recorded again, and one operation at a time."""

import pytest
from random_programs import compare, drawing, executor, writing

import tenfold


@pytest.mark.parametrize("seed", range(1000, 1100))
@pytest.mark.filterwarnings("ignore")
def test_eager_and_recorded_agree(seed):
    program = drawing.seeded(seed)
    with tenfold.debug.eager():
        eager = executor.run(program, tenfold, writing.STEPS)
    for _ in range(3):
        compare.require_identical(program, eager, executor.run(program, tenfold, writing.STEPS))
