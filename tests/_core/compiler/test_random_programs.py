"""Random programs give the same compiled as interpreted. `--programs 20000` for more of them."""

import itertools

import oracle
import pytest
from random_programs import drawing, executor, writing

import tenfold

PARTS = 8
FIRST = 10_000  # the seed
NATIVE_EACH = 4  # one of so many is run by machine code too


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.filterwarnings("ignore")
def test_random_programs(part, pytestconfig):
    compared = 0
    for seed in range(part, pytestconfig.getoption("--programs"), PARTS):
        program = drawing.seeded(FIRST + seed)
        with oracle.compared(native=seed // PARTS % NATIVE_EACH == 0) as counts:
            executor.run(program, tenfold, writing.STEPS)
        compared += counts["results"]
    assert compared > 0


@pytest.fixture
def deterministic():
    tenfold.use_deterministic_algorithms(True)
    yield
    tenfold.use_deterministic_algorithms(False)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("ignore")
def test_bits_are_the_same_from_run_to_run(seed, deterministic):
    program = drawing.seeded(FIRST + seed)
    runs = [executor.run(program, tenfold, writing.STEPS) for _ in range(4)]
    for one, other in itertools.pairwise(runs):
        pairs = zip([*one.values, *one.gradients], [*other.values, *other.gradients], strict=True)
        assert all(a is b if a is None or b is None else a.tobytes() == b.tobytes() for a, b in pairs)
