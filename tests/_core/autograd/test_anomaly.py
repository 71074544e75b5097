"""Anomaly mode finds the first NaN of a backward."""

import pytest

import tenfold as torch


class ToNan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, g):
        return g * float("nan")


@pytest.mark.parametrize(
    ("loss_of", "name"),
    [
        (lambda x: (torch.sqrt(x) * 0).sum(), "SqrtBackward0"),
        (lambda x: torch.sqrt(x - 1).bfloat16().sum(), "SqrtBackward0"),
        (lambda x: ToNan.apply(x).sum(), "ToNanBackward"),
    ],
)
def test_the_first_nan_is_named(loss_of, name):
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    loss_of(x).backward()  # without the mode there is no error
    with pytest.warns(UserWarning, match="Anomaly"), torch.autograd.detect_anomaly():
        assert torch.is_anomaly_enabled()
        with pytest.raises(RuntimeError, match=f"'{name}' returned nan values in its 0th output"):
            loss_of(x).backward()
        with pytest.raises(RuntimeError, match=name):
            torch.autograd.grad(loss_of(x), x)
    assert not torch.is_anomaly_enabled()


def test_gradients_are_the_same():
    x = torch.tensor([0.5, 1.0], requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        (x * x.exp()).sum().backward()
    want = x.grad.clone()
    x.grad = None
    (x * x.exp()).sum().backward()
    assert torch.equal(x.grad, want)


def test_it_can_be_set_and_may_accept_nan():
    x = torch.zeros(1, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        assert not torch.is_anomaly_check_nan_enabled()
        (torch.sqrt(x) * 0).sum().backward()
    torch.autograd.set_detect_anomaly(True)
    assert torch.is_anomaly_enabled()
    torch.set_anomaly_enabled(False)
    assert not torch.is_anomaly_enabled()
    with torch.autograd.set_multithreading_enabled(False):
        (x * 2).sum().backward()
