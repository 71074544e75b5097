"""Every layer and loss against recorded answers of PyTorch: texts, first values, results, gradients, buffers."""

import json
import math
from pathlib import Path

import layer_cases
import pytest

import tenfold as torch

RECORDED = json.loads((Path(__file__).parent / "layers.json").read_text())


def assert_close(got, want, where):
    if isinstance(want, dict):
        assert list(got) == list(want), where
        for key in want:
            assert_close(got[key], want[key], f"{where} {key}")
    elif isinstance(want, list):
        assert isinstance(got, list), where
        assert len(got) == len(want), where
        for i, (g, w) in enumerate(zip(got, want, strict=True)):
            assert_close(g, w, f"{where} [{i}]")
    elif isinstance(want, float):
        # float32 sums of some dozens of terms, recorded with seven digits
        assert math.isclose(got, want, rel_tol=2e-5, abs_tol=2e-6), f"{where}: {got} is not {want}"
    else:
        assert got == want, where


@pytest.mark.parametrize("case", layer_cases.CASES, ids=layer_cases.name_of)
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_answers_are_those_of_pytorch(case):
    want = RECORDED[layer_cases.name_of(case)]
    got = layer_cases.answer(torch, case)
    assert list(got) == list(want)
    for part in want:
        assert_close(got[part], want[part], part)
