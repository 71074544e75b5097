"""2,000 random programs on tenfold and on PyTorch, live: values, strides, offsets, errors' types and gradients agree.

The steps that PyTorch refuses for reasons of its own implementation are left out (`executor.RELAXED`): a write to a leaf,
to memory that overlaps itself, to one of several views, or to a value that its gradient needs; for the last, PyTorch
keeps copies of what it saves, which gives the gradient that tenfold gives by itself."""

import sys
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "differential"))
from random_programs import compare, drawing, executor, writing

import tenfold

PARTS, EACH = 8, 250
NOT_ASKED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def check(drawn):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program, expected = executor.settled(drawn, torch, writing.STEPS)
        compare.require_equal(program, expected, executor.run(program, tenfold, writing.STEPS))


@pytest.mark.parametrize("part", range(PARTS))
def test_random_programs(part):
    @seed(part)
    @settings(
        max_examples=EACH,
        deadline=None,
        database=None,
        suppress_health_check=NOT_ASKED,
        phases=[Phase.generate, Phase.shrink],
    )
    @given(drawing.strategy())
    def agree(program):
        check(program)

    agree()
