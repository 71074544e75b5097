"""Recurrent layers and cells against PyTorch's recorded outputs, gradients, text and errors."""

import importlib
import sys
from pathlib import Path

import pytest

import tenfold

sys.path.insert(0, str(Path(__file__).resolve().parent))
cases = importlib.import_module("sequence_cases")
recorded = importlib.import_module("recorded_cases")


@pytest.mark.parametrize("name", recorded.names("recurrent/"))
def test_as_recorded(name):
    assert not recorded.check(tenfold, cases.ANSWERS, name)
