"""Modules that find out the shapes of their parameters."""

import copy

import pytest

import tenfold as torch
from tenfold import nn


def test_the_first_call_makes_an_ordinary_layer():
    layer = nn.LazyLinear(3)
    assert repr(layer) == "LazyLinear(in_features=0, out_features=3, bias=True)"
    assert nn.parameter.is_lazy(layer.weight)
    assert layer.has_uninitialized_params()
    assert layer(torch.ones(2, 4)).shape == (2, 3)
    assert type(layer) is nn.Linear
    assert type(layer.weight) is nn.Parameter
    assert layer.weight.shape == (3, 4)
    assert not layer._looks_for_hooks


def test_a_tensor_without_a_shape():
    weight = nn.UninitializedParameter()
    assert repr(weight) == "<UninitializedParameter>"
    with pytest.raises(RuntimeError, match="uninitialized parameter"):
        _ = weight.shape
    weight.materialize((2, 3))
    assert weight.shape == (2, 3)


def test_a_copy_finds_out_its_own_shapes():
    layer = nn.LazyLinear(3)
    twin = copy.deepcopy(layer)
    twin(torch.ones(1, 2))
    assert type(twin) is nn.Linear
    assert not twin._forward_pre_hooks
    layer(torch.ones(1, 5))
    assert (twin.in_features, layer.in_features) == (2, 5)


def test_loading_gives_shapes():
    layer = nn.LazyLinear(3)
    layer.load_state_dict(nn.Linear(4, 3).state_dict())
    assert layer.weight.shape == (3, 4)
    layer(torch.ones(1, 4))
    assert layer.in_features == 4


def test_the_state_holds_what_has_no_shape():
    state = nn.LazyBatchNorm1d().state_dict()
    assert repr(state["weight"]) == "<UninitializedParameter>"
    other = nn.LazyBatchNorm1d()
    other.load_state_dict(state)
    assert other.has_uninitialized_params()


def test_conversion_before_the_first_call():
    layer = nn.LazyLinear(3).double()
    assert layer(torch.ones(1, 2, dtype=torch.float64)).dtype == torch.float64


def test_errors():
    with pytest.raises(RuntimeError, match=r"Expected 3D .* or 4D .* input to LazyConv2d"):
        nn.LazyConv2d(2, 3)(torch.ones(2, 2))
    with pytest.raises(ValueError, match="in_channels must be divisible by groups"):
        nn.LazyConv2d(4, 3, groups=2)(torch.ones(1, 3, 4, 4))
