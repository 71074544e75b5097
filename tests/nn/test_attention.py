"""MultiheadAttention against PyTorch's recorded outputs, gradients and errors."""

import importlib
import sys
from pathlib import Path

import pytest

import tenfold

sys.path.insert(0, str(Path(__file__).resolve().parent))
cases = importlib.import_module("sequence_cases")
recorded = importlib.import_module("recorded_cases")


@pytest.mark.parametrize("name", recorded.names("attention/"))
def test_as_recorded(name):
    assert not recorded.check(tenfold, cases.ANSWERS, name)


def test_the_choice_of_an_implementation_is_remembered_for_a_block():
    flags = tenfold.backends.cuda
    with tenfold.nn.attention.sdpa_kernel(tenfold.nn.attention.SDPBackend.MATH):
        assert (flags.math_sdp_enabled(), flags.flash_sdp_enabled()) == (True, False)
    assert (flags.math_sdp_enabled(), flags.flash_sdp_enabled()) == (True, True)
    with pytest.raises(AssertionError, match="SDPBackend"), tenfold.nn.attention.sdpa_kernel(3):
        pass
