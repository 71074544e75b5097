"""nn.utils.parametrize against what PyTorch answered to the same cases."""

import importlib
import sys
from pathlib import Path

import pytest

import tenfold

sys.path.insert(0, str(Path(__file__).resolve().parent))
cases = importlib.import_module("utils_cases")
recorded = importlib.import_module("recorded_cases")


@pytest.mark.parametrize("name", recorded.names("utils/parametrize"))
def test_as_recorded(name):
    assert not recorded.check(tenfold, cases.ANSWERS, name)
