"""60 random training loops on tenfold and on PyTorch, live, in float64: losses, gradients, parameters and states agree.

What is compared is what `training_programs.py` notes. A run that grows beyond all bounds is compared up to there."""

import warnings

import pytest
import torch
import training_programs

import tenfold

TOLERANCE = 1e-6  # of the largest magnitude; roundings of gradients that are 0 but for them go through Adam's division


@pytest.mark.parametrize("seed", range(60))
def test_training(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = training_programs.run(torch, seed).met
        except (RuntimeError, ValueError) as error:
            if "not implemented" in str(error):  # a derivative that tenfold has, and PyTorch does not
                return
            with pytest.raises(type(error)):
                training_programs.run(tenfold, seed)
            return
        got = training_programs.run(tenfold, seed).met
    found = training_programs.difference(expected, got, TOLERANCE)
    assert found is None, f"seed {seed}: {found}"
