"""What holds for every test: hypothesis draws the same examples each time, no test changes the next one's modes, the
compiler checks what it makes, and compiled kernels are kept in a folder of the session, which all its processes share."""

import os
import shutil
import sys
import tempfile

import hypothesis
import pytest

hypothesis.settings.register_profile("tenfold", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("tenfold")

os.environ.setdefault("TENFOLD_VERIFY", "1")  # before tenfold is imported, and for processes that tests start
OWN = "" if "TENFOLD_CACHE" in os.environ else tempfile.mkdtemp(prefix="tenfold-kernels-")
if OWN:
    os.environ["TENFOLD_CACHE"] = OWN


def pytest_addoption(parser):
    parser.addoption("--programs", type=int, default=200, help="random programs that the compiler is tested with")


@pytest.fixture(autouse=True, scope="session")
def native():
    """The recorder is machine code from the first test on; with TENFOLD_NATIVE=0, or without llvmlite, it is Python."""
    from tenfold._core import config
    from tenfold._core.backends.cpu import jit

    if config.NATIVE and jit.available():
        from tenfold._core.native.install import install

        if not install():
            pytest.fail("the recorder could not be translated")


def pytest_unconfigure():
    if OWN:
        shutil.rmtree(OWN, ignore_errors=True)


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
