"""Each method's steps against recorded ones of PyTorch: parameters, state and printed options."""

import json
import math
from pathlib import Path

import optim_problems as problems
import pytest

import tenfold as torch

REFERENCES = json.loads((Path(__file__).parent / "references.json").read_text())


def close(tensor, reference, tolerance):
    assert str(tensor.dtype) == f"torch.{reference['dtype']}"
    assert list(tensor.shape) == reference["shape"]
    for got, want in zip(tensor.reshape(-1).tolist(), reference["values"], strict=True):
        assert math.isclose(got, want, rel_tol=tolerance, abs_tol=tolerance)


@pytest.mark.parametrize("row", REFERENCES["runs"], ids=lambda r: f"{r['method']}-{r['options']}-{r['gaps']}")
def test_steps_are_those_of_pytorch(row):
    optimizer, params = problems.train(torch, row["method"], row["options"], row["gaps"])
    # Muon computes in bfloat16; the searches of L-BFGS enlarge each rounding
    tolerance = {"Muon": 1e-4, "LBFGS": 1e-6}.get(row["method"], 1e-9)
    for p, reference in zip(params, row["params"], strict=True):
        close(p.detach(), reference, tolerance)
    assert repr(optimizer) == row["repr"]
    if "state" not in row:
        return
    state = optimizer.state_dict()["state"]
    assert [str(i) for i in state] == list(row["state"])
    for i, entries in state.items():
        assert list(entries) == list(row["state"][str(i)])
        for name, value in entries.items():
            close(value, row["state"][str(i)][name], tolerance)


@pytest.mark.parametrize("method", [m for m in problems.RUNS if m != "LBFGS"])
def test_a_run_that_is_saved_and_loaded_goes_on_as_before(method, deterministic):
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in problems.RUNS[method][-1].items()}
    _, params = problems.train(torch, method, problems.RUNS[method][-1])
    first, again = problems.parameters(torch, method), None
    optimizer = getattr(torch.optim, method)(first, **options)
    for step in range(problems.STEPS):
        if step == 3:
            again = getattr(torch.optim, method)(first, **options)
            again.load_state_dict(optimizer.state_dict())
            optimizer = again
        problems.give_gradients(torch, first, step)
        optimizer.step()
    for p, q in zip(params, first, strict=True):
        # what NAdam keeps in float32 is loaded in its parameter's dtype; of the second run other steps may be compiled
        assert (p - q).abs().max().item() <= (1e-7 if method == "NAdam" else 1e-13)


@pytest.mark.parametrize("method", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "RAdam"])
def test_a_minimum_is_found(method):
    p = torch.tensor([3.0, -2.0], requires_grad=True)
    rate = {"Adagrad": 0.5, "Adadelta": 100.0, "RAdam": 0.1}.get(method, 0.05)
    optimizer = getattr(torch.optim, method)([p], lr=rate)
    for _ in range(200):
        optimizer.zero_grad()
        ((p - 1.0) ** 2).sum().backward()
        optimizer.step()
    assert (p - 1.0).abs().max().item() < 0.2


@pytest.mark.parametrize(
    "method", ["Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adadelta", "RMSprop", "Rprop", "ASGD"]
)
def test_float32_parameters_stay_float32(method):
    p = torch.ones(3, requires_grad=True)
    p.grad = torch.ones(3)
    optimizer = getattr(torch.optim, method)([p])
    optimizer.step()
    assert p.dtype is torch.float32
    assert {v.dtype for v in optimizer.state[p].values()} == {torch.float32}


@pytest.mark.parametrize("method", ["SGD", "Adam", "Adamax", "RMSprop", "Rprop", "Adagrad"])
def test_a_complex_parameter_is_stepped_as_two_real_ones(method):
    optimizers = []
    for make in (lambda x: torch.view_as_complex(x), lambda x: x):
        p = make(torch.tensor([[1.0, 2.0], [-3.0, 0.5]], dtype=torch.float64)).clone().requires_grad_()
        optimizer = getattr(torch.optim, method)([p], lr=0.1)
        for step in range(3):
            p.grad = make(torch.tensor([[0.5, -1.0], [0.25, 2.0 - step]], dtype=torch.float64)).clone()
            optimizer.step()
        optimizers.append(p.detach())
    assert torch.view_as_real(optimizers[0]).tolist() == optimizers[1].tolist()


def test_a_parameter_twice_in_a_group_is_stepped_twice():
    p, q = (torch.tensor([1.0], requires_grad=True) for _ in range(2))
    with pytest.warns(UserWarning, match="duplicate parameters"):
        twice = torch.optim.Adam([p, p], lr=0.1)
    once = torch.optim.Adam([q], lr=0.1)
    p.grad, q.grad = torch.tensor([0.5]), torch.tensor([0.5])
    twice.step()
    once.step()
    once.step()
    assert p.item() == q.item()
    assert twice.state[p]["step"].item() == 2.0


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("SGD", {"lr": -1.0}, "Invalid learning rate: -1.0"),
        ("SGD", {"momentum": -0.5}, "Invalid momentum value: -0.5"),
        ("SGD", {"nesterov": True}, "Nesterov momentum requires"),
        ("Adam", {"betas": (1.0, 0.0)}, "Invalid beta parameter at index 0: 1.0"),
        ("Adam", {"betas": (0.0, 1.0)}, "Invalid beta parameter at index 1: 1.0"),
        ("Adam", {"eps": -1.0}, "Invalid epsilon value: -1.0"),
        ("AdamW", {"weight_decay": -1}, "Invalid weight_decay value: -1"),
        ("Adadelta", {"rho": 1.1}, "Invalid rho value: 1.1"),
        ("Adagrad", {"lr_decay": -0.5}, "Invalid lr_decay value: -0.5"),
        ("NAdam", {"momentum_decay": -0.2}, "Invalid momentum_decay value: -0.2"),
        ("RMSprop", {"alpha": -1.0}, "Invalid alpha value: -1.0"),
        ("Rprop", {"etas": (1.0, 0.5)}, "Invalid eta values: 1.0, 0.5"),
        ("Adafactor", {"d": 0.0}, "Clipping threshold d should be >= 1"),
        ("Adafactor", {"beta2_decay": 0.8}, "beta2_decay should be <= 0"),
        ("Muon", {"adjust_lr_fn": "other"}, "Adjust learning rate function other is not supported"),
        ("SparseAdam", {"lr": 0.0}, "Invalid learning rate: 0.0"),
    ],
)
def test_options_out_of_range_are_refused(method, options, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        getattr(torch.optim, method)([torch.ones(2, 2, requires_grad=True)], **options)


def test_kinds_of_parameters_that_a_method_cannot_step():
    with pytest.raises(ValueError, match="Muon only supports 2D parameters"):
        torch.optim.Muon([torch.ones(3, requires_grad=True)])
    with pytest.raises(ValueError, match="parameter groups"):
        torch.optim.LBFGS([{"params": [torch.ones(1, requires_grad=True)]}, {"params": []}])
    p = torch.ones(2, dtype=torch.complex64, requires_grad=True)
    p.grad = torch.ones(2, dtype=torch.complex64)
    with pytest.raises(RuntimeError, match="Adafactor does not support complex parameters"):
        torch.optim.Adafactor([p]).step()
    dense = torch.ones(2, requires_grad=True)
    dense.grad = torch.ones(2)
    with pytest.raises(RuntimeError, match="SparseAdam does not support dense gradients"):
        torch.optim.SparseAdam([dense]).step()


def test_implementations_that_exclude_each_other():
    p = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="`fused` and `foreach`"):
        torch.optim.SGD([p], fused=True, foreach=True)
    with pytest.raises(RuntimeError, match="`differentiable`"):
        torch.optim.Adam([p], fused=True, differentiable=True)
    with pytest.raises(ValueError, match="lr as a Tensor"):
        torch.optim.Adam([p], lr=torch.tensor(0.1), foreach=True)
    p.grad = torch.ones(2)
    with pytest.raises(AssertionError, match="capturable=True"):
        torch.optim.Adam([p], capturable=True).step()


def test_an_unknown_line_search_is_refused():
    p = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.LBFGS([p], line_search_fn="golden")
    with pytest.raises(RuntimeError, match="strong_wolfe"):
        optimizer.step(lambda: problems.closure(torch, optimizer, [p]))


@pytest.mark.parametrize("most, made", [(2, 3), (3, 4), (4, 5), (6, 6)])
def test_a_line_search_ends_with_the_evaluations_of_the_step(most, made):
    x = torch.tensor([2.0, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([x], lr=1e-4, max_eval=most, line_search_fn="strong_wolfe")
    calls = []

    def closure():
        optimizer.zero_grad()
        loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        loss.backward()
        calls.append(loss)
        return loss

    optimizer.step(closure)
    assert len(calls) == made
