"""Random draws, factories, shared memory, storages, copies: PyTorch's recorded answers (making.json)."""

from __future__ import annotations

import json
import pathlib

import copying_cases
import making_cases
import pytest
import sharing_cases
from making_answers import answers, differences

CASES = {
    "draws": making_cases.draws,
    "factories": making_cases.factories,
    "windows": making_cases.windows,
    "exchange": sharing_cases.exchange,
    "sharing": sharing_cases.sharing,
    "copies": copying_cases.copies,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_answers_are_those_of_pytorch(name):
    import tenfold as torch
    import tenfold.utils.dlpack

    want = json.loads(pathlib.Path(__file__).with_name("making.json").read_text())["answers"][name]
    got = answers(CASES[name], torch)
    assert len(got) == len(want)
    wrong = [d for i, (g, w) in enumerate(zip(got, want)) for d in differences(g, w, f"{name}[{i}]")]
    assert not wrong, "\n".join(wrong[:10])


def test_a_difference_is_seen():
    assert differences({"values": [1.0, 2.0]}, {"values": [1.0, 2.1]})
    assert differences([1], [1.0])
    assert not differences([float("nan"), 1.0], [float("nan"), 1.0 + 1e-9])
