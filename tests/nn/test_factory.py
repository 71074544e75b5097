"""The keyword arguments of tensors, and the wrapper that would spread a batch over GPUs."""

import pytest

import tenfold as torch
from tenfold import nn


def test_factory_kwargs():
    assert nn.factory_kwargs(None) == {}
    both = nn.factory_kwargs({"device": "cpu", "factory_kwargs": {"dtype": torch.float64}})
    assert both == {"device": "cpu", "dtype": torch.float64}
    with pytest.raises(TypeError, match="unexpected kwargs"):
        nn.factory_kwargs({"x": 1})
    with pytest.raises(TypeError, match="device specified twice"):
        nn.factory_kwargs({"device": "cpu", "factory_kwargs": {"device": "cpu"}})


def test_data_parallel_without_gpus_is_the_module():
    layer = nn.Linear(2, 3)
    x = torch.ones(1, 2)
    assert torch.equal(nn.DataParallel(layer)(x), layer(x))
    assert list(nn.DataParallel(layer).state_dict()) == ["module.weight", "module.bias"]
    assert torch.equal(nn.parallel.data_parallel(layer, x), layer(x))
