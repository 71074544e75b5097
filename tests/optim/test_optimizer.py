"""The base class: groups, state, counters, hooks, saving and loading."""

import copy
import pickle

import pytest

import tenfold as torch
from tenfold.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
    required,
)


def parameter(*values):
    return torch.tensor(list(values) or [1.0, 2.0], requires_grad=True)


def stepped(method="Adam", times=1, **options):
    p = parameter()
    optimizer = getattr(torch.optim, method)([p], **options)
    for _ in range(times):
        p.grad = torch.tensor([0.5, -0.25])
        optimizer.step()
    return optimizer, p


# --- groups ---------------------------------------------------------------------------------------------------


def test_groups_take_the_defaults_that_they_do_not_give():
    p, q = parameter(), parameter()
    optimizer = torch.optim.SGD([{"params": p, "lr": 0.5}, {"params": [q], "note": 3}], lr=0.1, momentum=0.9)
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 0.1]
    assert [g["momentum"] for g in optimizer.param_groups] == [0.9, 0.9]
    assert optimizer.param_groups[1]["note"] == 3
    p.grad = q.grad = torch.ones(2)
    optimizer.step()
    assert p.tolist() == [0.5, 1.5]
    assert q.tolist() == pytest.approx([0.9, 1.9])


def test_a_group_that_is_added_later_is_stepped():
    optimizer, p = stepped()
    q = parameter()
    optimizer.add_param_group({"params": q, "lr": 0.5})
    p.grad = q.grad = torch.ones(2)
    optimizer.step()
    assert q.tolist() == pytest.approx([0.5, 1.5])
    assert [s["step"].item() for s in optimizer.state.values()] == [2.0, 1.0]


def test_names_of_parameters_are_kept():
    optimizer = torch.optim.SGD([("first", parameter()), ("second", parameter())], lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["first", "second"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["first", "second"]
    assert "    param_names: ['first', 'second']\n" in repr(optimizer)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (lambda: parameter(), TypeError, "should be an iterable of Tensors or dicts"),
        (list, ValueError, "empty parameter list"),
        (lambda: [1], TypeError, "can only optimize Tensors, but one of the params is int"),
        (lambda: [{"params": {1, 2}}], TypeError, "ordered collections"),
        (lambda: [parameter() * 2], ValueError, "can't optimize a non-leaf Tensor"),
        (lambda: [("a", parameter()), parameter()], ValueError, "Some param names are missing"),
        (
            lambda: [{"params": [("a", parameter())]}, {"params": parameter()}],
            ValueError,
            "cannot add param group without names",
        ),
    ],
)
def test_parameters_that_cannot_be_optimized(params, error, message):
    with pytest.raises(error, match=message):
        torch.optim.SGD(params(), lr=0.1)


def test_a_parameter_belongs_to_one_group():
    p = parameter()
    with pytest.raises(ValueError, match="more than one parameter group"):
        torch.optim.SGD([{"params": p}, {"params": p}], lr=0.1)
    with pytest.raises(TypeError, match="param_group must be a dict"):
        torch.optim.SGD([p], lr=0.1).add_param_group([p])


def test_an_option_can_be_required():
    with pytest.raises(ValueError, match="required optimization parameter lr"):
        Optimizer([parameter()], {"lr": required})
    assert repr(required) == "<required parameter>"


# --- steps ----------------------------------------------------------------------------------------------------


def test_a_closure_is_called_with_gradients_enabled():
    p = parameter()
    optimizer = torch.optim.SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 5.0
    assert p.tolist() == [0.5, 1.0]


def test_a_parameter_without_gradient_stays():
    p, q = parameter(), parameter()
    optimizer = torch.optim.Adam([p, q], lr=0.1)
    p.grad = torch.ones(2)
    optimizer.step()
    assert q.tolist() == [1.0, 2.0]
    assert q not in optimizer.state
    q.grad = torch.ones(2)
    optimizer.step()
    assert [optimizer.state[x]["step"].item() for x in (p, q)] == [2.0, 1.0]
    p.grad = None
    optimizer.step()
    assert [optimizer.state[x]["step"].item() for x in (p, q)] == [2.0, 2.0]


def test_a_changed_learning_rate_is_used():
    p = parameter(1.0)
    optimizer = torch.optim.SGD([p], lr=0.5)
    p.grad = torch.ones(1)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    assert p.item() == 0.25


def test_a_tensor_as_learning_rate_can_be_filled():
    rate = torch.tensor(0.5)
    p = parameter(1.0)
    optimizer = torch.optim.SGD([p], lr=rate)
    p.grad = torch.ones(1)
    optimizer.step()
    rate.fill_(0.25)
    optimizer.step()
    assert p.item() == 0.25
    with pytest.raises(ValueError, match="Tensor lr must be 1-element"):
        torch.optim.SGD([p], lr=torch.tensor([0.1, 0.2]))


def test_views_of_a_parameter_see_its_steps():
    p = parameter()
    view = p.detach()[1:]
    optimizer = torch.optim.SGD([p], lr=0.5)
    p.grad = torch.ones(2)
    optimizer.step()
    assert view.tolist() == [1.5]


def test_a_parameter_that_is_replaced_in_its_group():
    optimizer, _ = stepped("SGD", lr=1.0)
    q = parameter(5.0)
    q.grad = torch.ones(1)
    optimizer.param_groups[0]["params"][0] = q
    optimizer.step()
    assert q.item() == 4.0


def test_zero_grad():
    optimizer, p = stepped()
    grad = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is grad
    assert grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None


def test_differentiable_lets_gradients_through():
    w = torch.ones(2, dtype=torch.float64, requires_grad=True)
    p = w * 3.0
    optimizer = torch.optim.SGD([p], lr=0.1, differentiable=True)
    p.grad = w * 2.0
    optimizer.step()
    p.sum().backward()
    assert w.grad.tolist() == pytest.approx([2.8, 2.8])


# --- state ----------------------------------------------------------------------------------------------------


def test_the_step_count_is_shown_as_a_tensor():
    optimizer, p = stepped(times=3)
    state = optimizer.state[p]
    assert isinstance(state["step"], torch.Tensor)
    assert state["step"].dtype is torch.float32
    assert state["step"].item() == 3.0
    assert list(state) == ["step", "exp_avg", "exp_avg_sq"]
    assert dict(state)["step"].item() == 3.0
    assert {**state}["step"].item() == 3.0
    assert state.get("step").item() == next(iter(state.values())).item() == 3.0


@pytest.mark.parametrize("change", [lambda s: s["step"].fill_(0.0), lambda s: s.update(step=torch.tensor(0.0))])
def test_a_step_count_that_is_changed_counts(change):
    optimizer, p = stepped(times=3)
    change(optimizer.state[p])
    p.grad = torch.tensor([0.5, -0.25])
    optimizer.step()
    assert optimizer.state[p]["step"].item() == 1.0


def test_state_that_is_replaced_is_used():
    optimizer, p = stepped("SGD", lr=1.0, momentum=0.5)
    optimizer.state[p]["momentum_buffer"] = torch.tensor([10.0, 10.0])
    p.grad = torch.zeros(2)
    before = p.tolist()
    optimizer.step()
    assert p.tolist() == [x - 5.0 for x in before]


def test_state_that_is_cleared_begins_anew():
    optimizer, p = stepped(times=3)
    optimizer.state.clear()
    p.grad = torch.ones(2)
    optimizer.step()
    assert optimizer.state[p]["step"].item() == 1.0


def test_an_optimizer_from_outside_keeps_any_state():
    class Counting(Optimizer):
        def __init__(self, params):
            super().__init__(params, {"by": 1})

        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    state["step"] = state.get("step", 0) + group["by"]

    p = parameter()
    optimizer = Counting([p])
    optimizer.step()
    optimizer.step()
    assert optimizer.state[p] == {"step": 2}
    assert optimizer.state_dict()["state"] == {0: {"step": 2}}
    with pytest.raises(NotImplementedError):
        Optimizer([p], {}).step()


# --- saving and loading ---------------------------------------------------------------------------------------


def test_a_state_dict_is_plain():
    optimizer, _ = stepped()
    state = optimizer.state_dict()
    assert list(state) == ["state", "param_groups"]
    assert type(state["state"][0]) is dict
    assert state["param_groups"][0]["params"] == [0]


def test_loading_casts_to_the_parameter():
    optimizer, _ = stepped()
    p = torch.ones(2, dtype=torch.float64, requires_grad=True)
    other = torch.optim.Adam([p], lr=0.5)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["lr"] == 0.001
    assert other.param_groups[0]["params"][0] is p
    assert other.state[p]["exp_avg"].dtype is torch.float64
    assert other.state[p]["step"].dtype is torch.float32


def test_a_state_dict_of_other_groups_is_refused():
    optimizer, _ = stepped()
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optimizer.load_state_dict({"state": {}, "param_groups": []})
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        optimizer.load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]})


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_go_on_alone(clone):
    optimizer, p = stepped(times=2)
    other = clone(optimizer)
    q = other.param_groups[0]["params"][0]
    assert q is not p
    assert repr(other) == repr(optimizer)
    for o, x in ((optimizer, p), (other, q)):
        x.grad = torch.tensor([1.0, 1.0])
        o.step()
    assert p.tolist() == q.tolist()
    assert other.state[q]["step"].item() == 3.0


def test_other_parameters_and_state_for_a_while():
    optimizer, p = stepped(times=2)
    q = parameter(7.0, 8.0)
    q.grad = torch.ones(2)
    state = copy.deepcopy(optimizer.state_dict())
    before = p.tolist()
    with torch.optim.swap_in_optimizer_params_and_state(optimizer, {"q": q}, state):
        optimizer.step()
    assert p.tolist() == before
    assert q.tolist() != [7.0, 8.0]
    assert state["state"][0]["step"].item() == 3.0
    assert optimizer.state[p]["step"].item() == 2.0


# --- hooks ----------------------------------------------------------------------------------------------------


def test_step_hooks_are_called_in_order():
    optimizer, _ = stepped()
    seen = []
    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("pre")),
        optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("post")),
        register_optimizer_step_pre_hook(lambda o, args, kwargs: seen.append("all pre")),
        register_optimizer_step_post_hook(lambda o, args, kwargs: seen.append("all post")),
    ]
    optimizer.step()
    assert seen == ["all pre", "pre", "post", "all post"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(seen) == 4


def test_a_pre_hook_may_change_the_arguments():
    optimizer, _ = stepped()
    handle = optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 99), {}))
    assert optimizer.step() == 99
    handle.remove()
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        optimizer.step()


def test_state_dict_hooks():
    optimizer, _ = stepped()
    calls = []
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("before"))
    optimizer.register_state_dict_post_hook(lambda o, d: {**d, "more": 1})
    state = optimizer.state_dict()
    assert state["more"] == 1
    optimizer.register_load_state_dict_pre_hook(lambda o, d: calls.append("loading"))
    optimizer.register_load_state_dict_post_hook(lambda o: calls.append("loaded"))
    optimizer.register_load_state_dict_pre_hook(lambda o, d: calls.append("first"), prepend=True)
    optimizer.load_state_dict(state)
    assert calls == ["before", "first", "loading", "loaded"]


def test_a_group_whose_state_numpy_shares_does_not_keep_the_next_from_its_gradients():
    def run(shared):
        p, q = parameter(1.0, 2.0), parameter(3.0, 4.0)
        optimizer = torch.optim.Adam([{"params": [p]}, {"params": [q], "lr": 0.1}], lr=0.01)
        kept = None
        for step in range(6):
            optimizer.zero_grad()
            (p * q).pow(2).sum().backward()
            optimizer.step()
            if shared and step == 2:
                kept = optimizer.state[p]["exp_avg"].numpy()  # a write to it ends the walk
        return p.tolist(), q.tolist(), kept is not None and kept.tolist() == optimizer.state[p]["exp_avg"].tolist()

    assert run(True) == (*run(False)[:2], True)
