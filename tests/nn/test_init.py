"""Initial values: recorded draws of PyTorch, mathematical facts, errors and warnings."""

import json
import math
from pathlib import Path

import init_cases
import pytest

import tenfold as torch
from tenfold import nn
from tenfold.nn import init

RECORDED = json.loads((Path(__file__).parent / "init.json").read_text())


@pytest.mark.parametrize("case", init_cases.CASES, ids=str)
def test_draws_are_those_of_pytorch(case):
    got = init_cases.draw(torch, case)
    # the last bits of a logarithm, an error function or a QR decomposition may differ
    assert got == pytest.approx(RECORDED[str(case)], rel=2e-5, abs=2e-6)


def test_orthogonal_rows():
    weight = init.orthogonal_(torch.empty(3, 2, 4), gain=2)
    flat = weight.reshape(3, 8)
    assert torch.allclose(flat @ flat.t(), 4 * torch.eye(3), atol=1e-5)


def test_dirac_passes_channels_on():
    weight = init.dirac_(torch.empty(4, 2, 3), groups=2)
    assert weight.sum().item() == 4
    assert weight[3, 1, 1].item() == 1


def test_sparse_columns():
    weight = init.sparse_(torch.empty(10, 4), sparsity=0.25)
    assert (weight == 0).sum(0).tolist() == [3, 3, 3, 3]


def test_values_are_filled_in_place_without_gradient():
    weight = nn.Parameter(torch.empty(2, 2))
    assert init.ones_(weight) is weight
    assert init.constant_(weight, 3).tolist() == [[3, 3], [3, 3]]
    assert weight.grad_fn is None
    assert weight.requires_grad
    assert init.eye_(weight).tolist() == [[1, 0], [0, 1]]
    assert init.zeros_(weight).tolist() == [[0, 0], [0, 0]]


def test_gains():
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu", 2) == math.sqrt(2 / 5)
    assert init.calculate_gain("conv2d") == 1


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: init.kaiming_normal_(torch.empty(2)), "fewer than 2 dimensions"),
        (lambda: init.kaiming_normal_(torch.empty(2, 2), mode="x"), "Mode x not supported"),
        (lambda: init.calculate_gain("x"), "Unsupported nonlinearity x"),
        (lambda: init.calculate_gain("leaky_relu", True), "not a valid number"),
        (lambda: init.orthogonal_(torch.empty(2)), "2 or more dimensions"),
        (lambda: init.sparse_(torch.empty(2), 0.1), "2 dimensions"),
        (lambda: init.eye_(torch.empty(2)), "2 dimensions"),
        (lambda: init.dirac_(torch.empty(2)), "3, 4, or 5 dimensions"),
        (lambda: init.dirac_(torch.empty(3, 2, 2), 2), "divisible by groups"),
    ],
)
def test_misuse(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_warnings():
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        init.kaiming_uniform_(torch.empty(0, 2))
    with pytest.warns(FutureWarning, match="`nn.init.uniform` is now deprecated in favor of `nn.init.uniform_`"):
        init.uniform(torch.empty(1))
    with pytest.warns(UserWarning, match="mean is more than 2 std"):
        init.trunc_normal_(torch.empty(2), mean=9)
