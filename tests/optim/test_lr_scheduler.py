"""Schedules against recorded ones of PyTorch, and what holds for all of them."""

import copy
import json
from pathlib import Path

import optim_problems as problems
import pytest

import tenfold as torch
from tenfold.optim import lr_scheduler

RECORDED = json.loads((Path(__file__).parent / "references.json").read_text())["schedules"]


@pytest.mark.parametrize("name", list(RECORDED))
def test_rates_and_momenta_are_those_of_pytorch(name):
    path, keys = problems.follow(torch, lr_scheduler, name)
    assert path == RECORDED[name]["path"]
    assert keys == RECORDED[name]["state_dict"]


@pytest.mark.parametrize("name", list(RECORDED))
def test_a_saved_schedule_goes_on_as_before(name):
    make = problems.schedules(lr_scheduler)[name]
    optimizer = problems.two_groups(torch)
    scheduler = make(optimizer)
    path = []
    for step, metric in enumerate(problems.METRICS):
        if step == 6:
            states = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
            optimizer = problems.two_groups(torch)
            scheduler = make(optimizer)
            optimizer.load_state_dict(states[0])
            scheduler.load_state_dict(states[1])
        path.append([[float(g["lr"]), float(g["momentum"])] for g in optimizer.param_groups])
        optimizer.step()
        scheduler.step(*([metric] if name == "ReduceLROnPlateau" else []))
    assert path == RECORDED[name]["path"]


@pytest.mark.parametrize(
    "name", ["StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR", "CosineAnnealingLR"]
)
def test_the_closed_form_agrees_with_the_steps(name):
    make = problems.schedules(lr_scheduler)[name]
    by_steps, by_epoch = problems.two_groups(torch), problems.two_groups(torch)
    walking, jumping = make(by_steps), make(by_epoch)
    for epoch in range(1, 10):
        by_steps.step()
        by_epoch.step()
        walking.step()
        with pytest.warns(UserWarning, match="The epoch parameter"):
            jumping.step(epoch)
        assert jumping.get_last_lr() == pytest.approx(walking.get_last_lr(), abs=1e-12)


def test_a_tensor_rate_is_filled_in_place():
    rate = torch.tensor(0.5)
    optimizer = problems.two_groups(torch, lr=rate)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25
    assert optimizer.param_groups[0]["initial_lr"].item() == 0.5
    assert [float(r) for r in scheduler.get_last_lr()] == pytest.approx([0.25, 0.01])


def test_the_first_beta_cycles_where_there_is_no_momentum():
    optimizer = torch.optim.Adam([problems.numbers(torch, (2,), 1).requires_grad_()])
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)
    optimizer.step()
    scheduler.step()
    assert 0.85 < optimizer.param_groups[0]["betas"][0] < 0.95


def test_the_order_of_steps_is_watched():
    optimizer = problems.two_groups(torch)
    scheduler = lr_scheduler.StepLR(optimizer, 3)
    with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
        scheduler.step()
    optimizer = problems.two_groups(torch)
    scheduler = lr_scheduler.StepLR(optimizer, 3)
    optimizer.step = lambda: None
    with pytest.warns(UserWarning, match="has been overridden"):
        scheduler.step()


def test_get_lr_is_not_for_users():
    scheduler = lr_scheduler.StepLR(problems.two_groups(torch), 3)
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()


def test_a_schedule_is_resumed():
    optimizer = problems.two_groups(torch)
    with pytest.raises(KeyError, match="initial_lr"):
        lr_scheduler.StepLR(optimizer, 3, last_epoch=4)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda k: 0.5**k, last_epoch=2)
    assert scheduler.last_epoch == 3
    assert scheduler.get_last_lr() == [0.0125, 0.0025]


def test_objects_as_functions_are_saved_and_functions_are_not():
    class Decay:
        def __init__(self):
            self.share = 0.5

        def __call__(self, epoch):
            return self.share**epoch

    scheduler = lr_scheduler.LambdaLR(problems.two_groups(torch), [Decay(), lambda k: 1.0])
    state = scheduler.state_dict()
    assert state["lr_lambdas"] == [{"share": 0.5}, None]
    state["lr_lambdas"][0]["share"] = 0.25
    scheduler.load_state_dict(state)
    assert scheduler.lr_lambdas[0].share == 0.25


def test_a_plateau_respects_smallest_rates_and_new_groups():
    optimizer = problems.two_groups(torch)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.1, min_lr=[0.05, 0.001])
    for metric in (1.0, 1.0, 1.0):
        optimizer.step()
        scheduler.step(torch.tensor(metric))
    assert scheduler.get_last_lr() == [0.05, 0.001]
    optimizer.add_param_group({"params": problems.numbers(torch, (2,), 5).requires_grad_()})
    with pytest.raises(RuntimeError, match="3 param groups"):
        scheduler.step(1.0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda s, o: s.StepLR(3, 3), TypeError, "int is not an Optimizer"),
        (lambda s, o: s.LRScheduler(o), NotImplementedError, "get_lr"),
        (lambda s, o: s.LambdaLR(o, [lambda k: k]), ValueError, "Expected 2 lr_lambdas, but got 1"),
        (lambda s, o: s.ConstantLR(o, 2.0), ValueError, "between 0 and 1"),
        (lambda s, o: s.LinearLR(o, 0.0), ValueError, "greater than 0"),
        (lambda s, o: s.LinearLR(o, 0.5, 2.0), ValueError, "Ending multiplicative factor"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 0), ValueError, "positive integer T_0"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 0), ValueError, "T_mult >= 1"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 5).step(-1), ValueError, "non-negative epoch"),
        (lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="a"), ValueError, "mode is invalid"),
        (lambda s, o: s.CyclicLR(o, [0.1], 0.2), ValueError, "base_lr has 1 values, param_groups has 2"),
        (lambda s, o: s.OneCycleLR(o, 0.1), ValueError, "You must define either total_steps OR"),
        (lambda s, o: s.OneCycleLR(o, 0.1, total_steps=1.5), ValueError, "positive integer total_steps"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 10, pct_start=2.0), ValueError, "pct_start"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 10, anneal_strategy="a"), ValueError, "anneal_strategy must be one of"),
        (lambda s, o: s.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1.0"),
        (lambda s, o: s.ReduceLROnPlateau(o, min_lr=[1]), ValueError, "expected 2 min_lrs, got 1"),
        (lambda s, o: s.ReduceLROnPlateau(o, mode="a"), ValueError, "mode a is unknown"),
        (lambda s, o: s.SequentialLR(o, [], []), ValueError, "at least one scheduler"),
        (lambda s, o: s.SequentialLR(o, [s.ConstantLR(o)], [3]), ValueError, "one more than the number of milestone"),
        (lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]), ValueError, "does not support"),
    ],
)
def test_schedules_that_make_no_sense(make, error, message):
    with pytest.raises(error, match=message):
        make(lr_scheduler, problems.two_groups(torch))


def test_a_cycle_that_is_over():
    optimizer = problems.two_groups(torch)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=2)
    optimizer.step()
    scheduler.step()
    scheduler.step()
    with pytest.raises(ValueError, match="number of total steps"):
        scheduler.step()
