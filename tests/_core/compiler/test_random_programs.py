"""Random programs give the same compiled as interpreted. `--programs 20000` for more of them."""

import itertools

import oracle
import pytest
from random_programs import drawing, executor, more, writing

import tenfold

PARTS = 8
FIRST = 10_000  # the seed
NATIVE_EACH = 4  # one of so many is run by machine code too
NEWER = [name for name in more.STEPS if name not in writing.STEPS]
DRAWN = [*drawing.NAMES, *NEWER * 4]  # the newer operations are as frequent as all others


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.filterwarnings("ignore")
def test_random_programs(part, pytestconfig):
    compared = 0
    for seed in range(part, pytestconfig.getoption("--programs"), PARTS):
        program = drawing.seeded(FIRST + seed, drawn=DRAWN if seed % 2 else drawing.NAMES)
        with oracle.compared(native=seed // PARTS % NATIVE_EACH == 0) as counts:
            executor.run(program, tenfold, more.STEPS)
        compared += counts["results"]
    assert compared > 0


def test_the_newer_operations_are_computed():
    """Few of their steps fail: a program of errors would compare nothing."""
    did = []
    for seed in range(60):
        program = drawing.seeded(FIRST + seed, drawn=DRAWN)
        steps = executor.run(program, tenfold, more.STEPS).steps
        did += [(name, what) for (name, _), what in zip(program, steps) if name in NEWER]
    done = [name for name, what in did if what == "ok"]
    assert len(done) > 0.6 * len(did)
    assert set(done) == set(NEWER)


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
