"""Random programs give the values, strides, errors and gradients that PyTorch gave (recorded.npz, by record.py)."""

from pathlib import Path

import pytest
from random_programs import archive, compare, executor, writing

import tenfold

RECORDED = archive.load(Path(__file__).resolve().parent / "recorded.npz")


@pytest.mark.parametrize("number", range(len(RECORDED)))
@pytest.mark.filterwarnings("ignore")
def test_as_recorded(number):
    program, expected = RECORDED[number]
    compare.require_equal(program, expected, executor.run(program, tenfold, writing.STEPS))
