"""What the tests of the compiler share: `oracle`, the lists of cases beside other tests, and that there is llvmlite."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
TESTS = HERE.parents[1]
for folder in (HERE, TESTS / "_core" / "ops", TESTS / "differential", TESTS / "nn"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

pytest.importorskip("llvmlite")


@pytest.fixture
def compiled_at_once(monkeypatch):
    """Every path is compiled at its first visit."""
    from tenfold._core import config

    monkeypatch.setattr(config, "COMPILE_AT", 1)
