"""Averaged models, their batch norm statistics, and the schedule to a constant rate."""

import pytest

import tenfold as torch
from tenfold.optim import swa_utils


def trained(averaged):
    """Update an average with the weights 0, 1, 2, 3 of a layer."""
    for value in range(4):
        layer = torch.nn.Linear(1, 1)
        with torch.no_grad():
            layer.weight.fill_(float(value))
        averaged.update_parameters(layer)
    return averaged.module.weight.item()


def test_the_plain_average():
    model = torch.nn.Linear(1, 1)
    assert trained(swa_utils.AveragedModel(model)) == pytest.approx(1.5)
    assert trained(swa_utils.AveragedModel(model, avg_fn=swa_utils.get_swa_avg_fn())) == pytest.approx(1.5)
    averaged = swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_swa_multi_avg_fn())
    assert trained(averaged) == pytest.approx(1.5)
    assert averaged.n_averaged.item() == 4


def test_the_exponential_average():
    model = torch.nn.Linear(1, 1)
    # ((0 * 0.5 + 1 * 0.5) * 0.5 + 2 * 0.5) * 0.5 + 3 * 0.5
    assert trained(swa_utils.AveragedModel(model, avg_fn=swa_utils.get_ema_avg_fn(0.5))) == pytest.approx(2.125)
    averaged = swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.5))
    assert trained(averaged) == pytest.approx(2.125)


def test_one_kind_of_average_at_a_time():
    with pytest.raises(AssertionError, match="Only one of"):
        swa_utils.AveragedModel(
            torch.nn.Linear(1, 1),
            avg_fn=swa_utils.get_ema_avg_fn(),
            multi_avg_fn=swa_utils.get_ema_multi_avg_fn(),
        )
    with pytest.raises(ValueError, match=r"decay value 2\.0"):
        swa_utils.get_ema_avg_fn(2.0)


def test_the_copy_is_a_module():
    model = torch.nn.Linear(2, 1)
    averaged = swa_utils.AveragedModel(model)
    assert list(averaged.state_dict()) == ["n_averaged", "module.weight", "module.bias"]
    x = torch.ones(3, 2)
    assert averaged(x).tolist() == model(x).tolist()


def test_batch_norm_statistics_are_plain_averages():
    layer = torch.nn.BatchNorm1d(1)
    layer.eval()
    swa_utils.update_bn([torch.tensor([[1.0], [3.0]]), [torch.tensor([[5.0], [7.0]]), 0]], layer)
    assert layer.running_mean.tolist() == [4.0]
    assert layer.running_var.tolist() == [2.0]
    assert layer.momentum == 0.1
    assert not layer.training


@pytest.mark.parametrize(("strategy", "middle"), [("linear", 0.075), ("cos", 0.075)])
def test_the_rate_goes_to_its_constant(strategy, middle):
    p = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=0.1)
    scheduler = swa_utils.SWALR(optimizer, 0.05, anneal_epochs=4, anneal_strategy=strategy)
    rates = []
    for _ in range(6):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert rates[0] == 0.1
    assert rates[2] == pytest.approx(middle)
    assert rates[4:] == pytest.approx([0.05, 0.05])
    with pytest.raises(ValueError, match="anneal_strategy"):
        swa_utils.SWALR(optimizer, 0.05, anneal_strategy="sine")
