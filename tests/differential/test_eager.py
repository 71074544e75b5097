"""A random program gives the same however it is run: recorded, recorded again (bit for bit), and one operation at a time.

One operation at a time, backward passes a history for each operation, so the contributions to a gradient are added up
in another order: there the last bits may differ."""

import pytest
from random_programs import compare, drawing, executor, writing

import tenfold


@pytest.mark.parametrize("seed", range(1000, 1100))
@pytest.mark.filterwarnings("ignore")
def test_eager_and_recorded_agree(seed):
    program = drawing.seeded(seed)
    with tenfold.debug.eager():
        eager = executor.run(program, tenfold, writing.STEPS)
    recorded = executor.run(program, tenfold, writing.STEPS)
    compare.require_equal(program, eager, recorded)
    for _ in range(2):
        compare.require_identical(program, recorded, executor.run(program, tenfold, writing.STEPS))
