"""The comparison itself: it passes an outcome against itself and names each kind of fault."""

import copy
from pathlib import Path

import numpy as np
import pytest
from random_programs import archive, compare, drawing, exactness

RECORDED = archive.load(Path(__file__).resolve().parent / "recorded.npz")


def test_recorded_programs_agree_with_themselves():
    for program, outcome in RECORDED:
        compare.require_equal(program, outcome, copy.deepcopy(outcome))


def test_recorded_programs_do_what_they_should():
    steps = [step for _, outcome in RECORDED for step in outcome.steps]
    gradients = [g for _, outcome in RECORDED for g in outcome.gradients if g is not None and g.any()]
    assert steps.count("ok") > 0.75 * len(steps)
    assert len(gradients) > len(RECORDED)
    assert sum(outcome.steps[-2] == "relaxed" for _, outcome in RECORDED) < 0.05 * len(RECORDED)


def first_with(accept):
    return next(copy.deepcopy((p, o)) for p, o in RECORDED if accept(o))


def test_a_value_that_is_off_is_named():
    program, outcome = first_with(lambda o: any(v.size and exact for v, (_, exact) in zip(o.values, o.bounds)))
    wrong = copy.deepcopy(outcome)
    at = next(i for i, v in enumerate(outcome.values) if v.size and outcome.bounds[i][1])
    wrong.values[at] = ~wrong.values[at] if wrong.values[at].dtype == bool else wrong.values[at] + 1
    with pytest.raises(compare.Different, match=f"^{outcome.names[at]}"):
        compare.require_equal(program, outcome, wrong)


def test_a_gradient_that_is_off_is_named():
    program, outcome = first_with(lambda o: o.steps[-2] == "ok" and any(g is not None and g.size for g in o.gradients))
    wrong = copy.deepcopy(outcome)
    at = next(i for i, g in enumerate(outcome.gradients) if g is not None and g.size)
    wrong.gradients[at] = wrong.gradients[at] * 2 + 1
    with pytest.raises(compare.Different, match=f"gradient of leaf {at}"):
        compare.require_equal(program, outcome, wrong)
    wrong.gradients[at] = None
    with pytest.raises(compare.Different, match=f"gradient of leaf {at}: None instead of a tensor"):
        compare.require_equal(program, outcome, wrong)


@pytest.mark.parametrize(
    ("column", "value", "word"),
    [(1, "float8", "dtype"), (2, [99], "shape"), (3, [99], "strides"), (4, 99, "storage offset")],
)
def test_metadata_that_is_off_is_named(column, value, word):
    program, outcome = RECORDED[0]
    wrong = copy.deepcopy(outcome)
    wrong.metadata[2][column] = value
    with pytest.raises(compare.Different, match=f"{wrong.metadata[2][0]}: {word}"):
        compare.require_equal(program, outcome, wrong)


@pytest.mark.parametrize("instead", ["ok", "NotImplementedError", "relaxed"])
def test_another_error_is_named(instead):
    program, outcome = first_with(lambda o: "RuntimeError" in o.steps)
    wrong = copy.deepcopy(outcome)
    at = outcome.steps.index("RuntimeError")
    wrong.steps[at] = instead
    with pytest.raises(compare.Different, match=f"step {at} .* {instead} instead of RuntimeError"):
        compare.require_equal(program, outcome, wrong)


def test_a_seed_gives_one_program():
    assert drawing.seeded(3) == drawing.seeded(3) != drawing.seeded(4)


def test_exact_values_fit_their_format():
    quarter = exactness.Grid(2, 2)
    assert exactness.product(quarter, quarter) == exactness.Grid(4, 4)
    assert exactness.summed(quarter, 5).high == 5
    assert exactness.Grid(8, 4).rounded_to("float16").exact is False
    assert exactness.Grid(8, 4).rounded_to("float32").exact is True
    assert exactness.scalar(np.float64(0.1)).exact is False
