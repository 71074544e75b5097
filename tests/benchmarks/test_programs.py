"""Every benchmark runs under tenfold, at quick sizes, and returns the losses that PyTorch 2.13 returned."""

import json
from pathlib import Path

import pytest
from programs import WORKLOADS

import tenfold
from tenfold._core import config

RECORDED = json.loads(Path(__file__).with_name("losses.json").read_text())


@pytest.mark.parametrize("at", [1, 1000], ids=["compiled", "interpreted"])
@pytest.mark.parametrize("name", WORKLOADS)
def test_two_steps(name, at, monkeypatch):
    monkeypatch.setattr(config, "COMPILE_AT", at)
    step = WORKLOADS[name].at(quick=True)(tenfold)
    assert [step(), step()] == pytest.approx(RECORDED[name], rel=10 * WORKLOADS[name].tolerance)


def test_a_burst_of_changing_sizes_is_the_same_work_each_time():
    from random import Random

    from programs.registry import shuffled

    cards = shuffled(Random(0), range(5))
    first, second = [next(cards) for _ in range(5)], [next(cards) for _ in range(5)]
    assert first != second
    assert sorted(first) == sorted(second) == [0, 1, 2, 3, 4]
