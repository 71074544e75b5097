"""What counts as a parameter of PyTorch where its signature cannot be read."""

import api
import pytest

torch = pytest.importorskip("torch")


def test_names_that_only_the_documentation_has_are_told_from_parameters():
    mine = api.parameters(lambda input, other, out=None: None)
    assert "value" in api.documented("mul", torch.Tensor.mul)
    assert api.refused(torch.Tensor.mul, "value", mine)
    assert api.refused(torch.Tensor.div, "value", mine)
    assert not api.refused(torch.Tensor.div, "rounding_mode", mine)
    assert not api.refused(torch.Tensor.mul, "other", api.parameters(lambda input: None))
    assert not api.refused(torch.Tensor.split, "split_size", api.parameters(lambda self, size: None))
