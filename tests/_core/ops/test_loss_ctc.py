"""CTC loss: PyTorch 2.13's numbers to the last bit, and where alignments are impossible."""

import numpy as np
import pytest

import tenfold
from tenfold.nn.functional import ctc_loss

# Losses of the case below, and gradients at frames 0, 30 and 49
LOSSES = [95.74981689453125, 79.41313171386719]
GRADIENTS = [
    [
        [-0.4176405668258667, -0.09871083498001099, 0.03642499819397926, 0.2691463530063629],
        [-0.8209354877471924, 0.026649096980690956, 0.19691167771816254, -0.03240874782204628],
    ],
    [
        [-0.012881198897957802, -0.26108044385910034, 0.0464671291410923, -0.21138814091682434],
        [-0.6430198550224304, 0.028416862711310387, 0.21253740787506104, -0.12257929891347885],
    ],
    [
        [-0.4575955271720886, -0.16368898749351501, 0.0031136423349380493, -0.14280453324317932],
        [-0.5974498987197876, 0.09301448613405228, 0.029268307611346245, 0.10931310057640076],
    ],
]


def rows(frames, n, classes):
    """Log-probabilities, not normalised, that are sums of few powers of two."""
    numbers = np.arange(frames * n * classes) * 37 % 101
    return tenfold.tensor((-numbers / 32 - 1).astype(np.float32).reshape(frames, n, classes), requires_grad=True)


@pytest.mark.parametrize("one_after_the_other", [False, True])
def test_bits(one_after_the_other):
    x = rows(60, 2, 4)
    targets = tenfold.tensor([[1, 2, 2, 3, 1, 1, 3, 2], [3, 1, 2, 1, 3, 3, 0, 0]])
    if one_after_the_other:
        targets = targets.reshape(-1)[:14]
    losses = ctc_loss(x, targets, (60, 50), (8, 6), reduction="none")
    losses.sum().backward()
    assert losses.tolist() == LOSSES
    assert x.grad[[0, 30, 49]].tolist() == GRADIENTS
    assert not x.grad[50:, 1].any()


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_impossible_and_empty(zero_infinity):
    x = rows(6, 4, 4)
    targets = tenfold.tensor([[1, 1, 1], [1, 2, 3], [2, 3, 1], [3, 3, 3]])
    losses = ctc_loss(x, targets, (4, 0, 0, 3), (3, 0, 2, 0), reduction="none", zero_infinity=zero_infinity)
    losses.sum().backward()
    impossible = 0 if zero_infinity else np.inf
    assert losses[:3].tolist() == [impossible, 0, impossible]
    np.testing.assert_array_equal(losses[3].item(), -x[:3, 3, 0].sum().item())
    gradient = x.grad.numpy()
    np.testing.assert_array_equal(gradient[:4, 0], 0 if zero_infinity else np.nan)
    np.testing.assert_array_equal(gradient[4:, 0], 0)
    np.testing.assert_array_equal(gradient[:, 1:3], 0)
    assert gradient[:3, 3].any()
    assert not gradient[3:, 3].any()


def test_gradient_against_differences():
    x = rows(5, 2, 3).detach().double().requires_grad_()

    def loss(x):
        return ctc_loss(x.log_softmax(2), tenfold.tensor([[1, 2], [2, 2]]), (5, 4), (2, 2))

    assert tenfold.autograd.gradcheck(loss, (x,))
