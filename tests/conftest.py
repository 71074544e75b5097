"""What holds for every test: hypothesis draws the same examples each time, and no test changes the next one's modes."""

import sys

import hypothesis
import pytest

hypothesis.settings.register_profile("tenfold", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("tenfold")


@pytest.fixture(autouse=True)
def same_modes():
    """Fails the test that leaves the default dtype or the gradient mode changed, and puts them back."""
    yield
    tenfold = sys.modules.get("tenfold")
    if tenfold is None or not hasattr(tenfold, "get_default_dtype"):
        return
    left = tenfold.get_default_dtype(), tenfold.is_grad_enabled()
    if left != (tenfold.float32, True):
        tenfold.set_default_dtype(tenfold.float32)
        tenfold.set_grad_enabled(True)
        pytest.fail(f"the test leaves default dtype {left[0]} and gradient mode {left[1]}")


@pytest.fixture
def deterministic():
    """Every run of the same operations has the same bits: nothing is interpreted first and compiled later."""
    import tenfold

    tenfold.use_deterministic_algorithms(True)
    yield
    tenfold.use_deterministic_algorithms(False)


@pytest.fixture
def interpreted(monkeypatch):
    """Nothing is compiled: the interpreter's own roundings."""
    from tenfold._core import config

    monkeypatch.setattr(config, "COMPILE", False)
