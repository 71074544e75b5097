"""Layers where there is little or nothing to compute on: facts that hold without a reference."""

import math

import pytest

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


def test_an_empty_batch_leaves_running_statistics_alone():
    layer = nn.BatchNorm1d(3)
    layer.running_mean.fill_(5.0)
    out = layer(torch.ones(0, 3, 2, requires_grad=True))
    out.sum().backward()
    assert out.shape == (0, 3, 2)
    assert layer.running_mean.tolist() == [5.0, 5.0, 5.0]
    assert layer.weight.grad.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("eps", "training"), [(0.0, True), (-1.0, True), (-1.0, False)])
def test_batch_norm_refuses_eps(eps, training):
    with pytest.raises(ValueError, match="eps must be"):
        F.batch_norm(torch.ones(2, 3), torch.zeros(3), torch.ones(3), training=training, eps=eps)


def test_targets_that_are_all_ignored_give_no_gradient():
    scores = torch.ones(2, 3, requires_grad=True)
    loss = F.cross_entropy(scores, torch.tensor([1, 1]), ignore_index=1)
    loss.backward()
    assert math.isnan(loss.item())
    assert scores.grad.tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("shape", [(1, 3), (4, 1), (4,), (4, 3)])
def test_variances_are_broadcast_along_one_dim(shape):
    x = torch.arange(12.0).reshape(4, 3)
    given = F.gaussian_nll_loss(x, x + 1, torch.full(shape, 2.0))
    assert given.item() == pytest.approx(0.5 * (math.log(2.0) + 0.5))


def test_variances_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="incorrect size"):
        F.gaussian_nll_loss(torch.ones(4, 3), torch.ones(4, 3), torch.ones(1, 1))


def test_fractional_pooling_uses_the_samples_of_its_batch():
    x = torch.arange(75.0).reshape(3, 5, 5)
    samples = torch.full((2, 3, 2), 0.4)
    given = F.fractional_max_pool2d(x, 2, output_size=2, _random_samples=samples)
    assert given.tolist() == F.fractional_max_pool2d(x, 2, output_size=2, _random_samples=samples[:1]).tolist()


def test_uninitialised_parameters_refuse_operations():
    layer = nn.LazyLinear(2).double()
    assert isinstance(layer.weight, nn.UninitializedParameter)
    assert layer.weight.dtype is torch.float64
    with pytest.raises(ValueError, match="uninitialized"):
        layer.weight.sum()
    assert isinstance(nn.LazyBatchNorm1d().double().running_mean, nn.UninitializedBuffer)
