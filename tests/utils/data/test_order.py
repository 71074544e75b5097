"""Orders, batches and later random numbers against PyTorch's, recorded by `order_cases.py`."""

import importlib.util
import json
from pathlib import Path

import pytest

import tenfold

SPEC = importlib.util.spec_from_file_location("order_cases", Path(__file__).with_name("order_cases.py"))
order_cases = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(order_cases)
RECORDED = json.loads(order_cases.RECORDED.read_text())


def test_every_case_is_recorded():
    assert set(RECORDED) - {"torch"} == set(order_cases.CASES)


@pytest.mark.parametrize("name", order_cases.CASES)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning", "ignore:This DataLoader will create")
def test_order_and_later_random_numbers(name):
    assert order_cases.answer(tenfold, name) == RECORDED[name]
