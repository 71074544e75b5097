"""Bundles change what a step costs, and nothing else: training runs in which the user interferes are the same without them."""

import copy
import gc
import random
import threading
import weakref

import pytest

import tenfold as torch
from tenfold import nn
from tenfold._core import config
from tenfold._core.trace import bundle
from tenfold._core.trace.flush import trim
from tenfold._core.trace.handle import tls

METHODS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.05, amsgrad=True),
    "groups": lambda p: torch.optim.AdamW([{"params": list(p)[:1]}, {"params": list(p)[1:], "lr": 0.01}], lr=0.05),
}


class Run:
    """A model in training, and what may be done to it between and within steps; `log` is all that was seen."""

    def __init__(self, method):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        self.params = list(self.model.parameters())
        self.optimizer = METHODS[method](self.params)
        self.x = torch.randn(5, 3)
        self.log = []
        self.kept = []

    def step(self, before_backward=(), after_backward=(), after_step=(), forget=True):
        if forget:
            self.optimizer.zero_grad()
        loss = self.model(self.x).square().mean()
        for act in before_backward:
            act(self)
        loss.backward()
        for act in after_backward:
            act(self)
        self.optimizer.step()
        for act in after_step:
            act(self)
        self.log.append(loss.item())

    def end(self):
        self.log += [p.tolist() for p in self.params]
        self.log += [None if p.grad is None else p.grad.tolist() for p in self.params]
        for state in self.optimizer.state.values():
            self.log += [v.tolist() if isinstance(v, torch.Tensor) else v for v in state.values()]
        self.log += [k.tolist() for k in self.kept]
        return self.log


def act_read_one_gradient(run):
    run.log.append(None if run.params[0].grad is None else run.params[0].grad.sum().item())


def act_read_parameter(run):
    run.log.append(run.params[1].sum().item())


def act_keep_view(run):
    run.kept.append(run.params[0].data[1:])


def act_keep_gradient(run):
    if run.params[2].grad is not None:
        run.kept.append(run.params[2].grad)


def act_write_parameter(run):
    with torch.no_grad():
        run.params[0].mul_(0.9)
        run.params[3].data.add_(0.1)


def act_write_gradient(run):
    for p in run.params:
        if p.grad is not None:
            p.grad.mul_(0.5)


def act_clip(run):
    run.log.append(nn.utils.clip_grad_norm_(run.params, 0.1).item())


def act_forget_one(run):
    run.params[1].grad = torch.zeros_like(run.params[1])


def act_forget_all(run):
    run.model.zero_grad()


def act_forget_some(run):
    for p in run.params[1:]:
        p.grad = None
    run.log.append([None if p.grad is None else p.grad.sum().item() for p in run.params])


def act_zeros(run):
    run.optimizer.zero_grad(set_to_none=False)


def act_replace_data(run):
    run.params[0].data = run.params[0].detach().clone() * 0.5


def act_export(run):
    run.kept.append(run.params[1].detach().numpy().copy())
    run.kept.append(run.params[1].detach().numpy()[1:])


def act_read_state(run):
    for state in run.optimizer.state.values():
        for v in list(state.values())[:2]:
            run.log.append(v.sum().item() if isinstance(v, torch.Tensor) else v)


def act_write_state(run):
    for state in run.optimizer.state.values():
        for name, v in state.items():
            if name != "step" and isinstance(v, torch.Tensor):
                v.mul_(0.5)


def act_save_and_load(run):
    run.optimizer.load_state_dict(copy.deepcopy(run.optimizer.state_dict()))


def act_hook(run):
    run.kept.append(torch.ones(1))
    run.params[2].register_hook(lambda g: g * 0.5)


def act_copy(run):
    other = copy.deepcopy(run.model)
    run.log.append([None if p.grad is None else p.grad.sum().item() for p in other.parameters()])
    run.log.append(other(run.x).sum().item())


def act_forward(run):
    run.log.append(run.model(run.x).sum().item())


def act_backward_again(run):
    run.model(run.x).sum().backward()


def act_freeze(run):
    run.params[1].requires_grad_(not run.params[1].requires_grad)


def act_end_walk(run):
    torch.end_walk()


def act_other_optimizer(run):
    run.other = torch.optim.SGD(run.params[:3], lr=0.01, momentum=0.5)
    run.other.step()


def act_loaded_parameters(run):
    run.model.load_state_dict({k: v * 0.9 for k, v in run.model.state_dict().items()})


def act_pinned(run):
    run.log.append(run.params[3].data_ptr() != 0)


ACTS = [f for name, f in sorted(globals().items()) if name.startswith("act_")]


def trained(method, seed, bundled, monkeypatch):
    with monkeypatch.context() as m:
        if not bundled:
            m.setattr(bundle.Bundle, "enter", lambda self, w: False)
            m.setattr(bundle.Bundle, "lend", lambda self, w: False)
            m.setattr(bundle, "receive", lambda nx, w: False)
            m.setattr("tenfold._core.autograd.reverse.receive", lambda nx, w: False)
        draw = random.Random(seed)
        forget_programs()
        run = Run(method)
        for _ in range(3):
            run.step()
        for _ in range(6):
            when = [[draw.choice(ACTS) for _ in range(draw.choice((0, 0, 1, 1, 2)))] for _ in range(3)]
            run.step(*when, forget=draw.random() < 0.8)
            if draw.random() < 0.3:
                run.step()
        return run.end()


def forget_programs():
    """What was compiled for the paths of an earlier run is forgotten."""
    torch.end_walk()
    trim(tls.walk)


def close(a, b):
    """Whether two logs agree, but for the last bits."""
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(close, a, b))
    return a == b or abs(a - b) <= 1e-5 * max(1, abs(a))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(5))
def test_interference_compiled(method, seed, monkeypatch):
    """The paths are others, so the compiled programs take over at other steps."""
    monkeypatch.setattr(config, "COMPILE_AT", 3)
    plain = trained(method, seed, False, monkeypatch)
    assert close(trained(method, seed, True, monkeypatch), plain)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(25))
def test_interference(method, seed, monkeypatch):
    monkeypatch.setattr(config, "COMPILE", False)
    plain = trained(method, seed, False, monkeypatch)
    assert trained(method, seed, True, monkeypatch) == plain


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("when", range(3))
def test_each_act(act, when, monkeypatch):
    monkeypatch.setattr(config, "COMPILE", False)

    def run(bundled):
        with monkeypatch.context() as m:
            if not bundled:
                m.setattr(bundle.Bundle, "enter", lambda self, w: False)
                m.setattr(bundle.Bundle, "lend", lambda self, w: False)
                m.setattr("tenfold._core.autograd.reverse.receive", lambda nx, w: False)
            forget_programs()
            run = Run("adam")
            for k in range(6):
                acts = [(), (), ()]
                if k in (3, 4):
                    acts[when] = (act,)
                run.step(*acts)
            return run.end()

    assert run(True) == run(False)


def test_a_plain_step_enters_and_leaves_in_bundles():
    run = Run("adam")
    for _ in range(3):
        run.step()
    run.optimizer.zero_grad()
    assert all(p.grad is None for p in run.params)
    loss = run.model(run.x).square().mean()
    w = torch._core.trace.handle.tls.walk
    assert len(w.bundles) == 1
    loss.backward()
    assert {type(p._grad) for p in run.params} == {bundle.Gradients}
    run.optimizer.step()
    assert {type(p._grad) for p in run.params} == {bundle.Gradients}
    first = run.params[0].grad
    assert first is run.params[0].grad
    assert first.shape == run.params[0].shape


def test_gradients_forgotten_one_by_one_stay_together():
    run = Run("adam")
    for _ in range(3):
        run.step()
    together = run.params[0]._grad
    assert type(together) is bundle.Gradients
    run.model.zero_grad()
    assert all(p._grad is together and p.grad is None for p in run.params)
    run.step(forget=False)
    assert together.memories is not None


def test_a_bundle_keeps_nothing_alive():
    run = Run("adam")
    for _ in range(3):
        run.step()
    parameter = weakref.ref(run.params[0])
    del run
    gc.collect()
    assert parameter() is None


def test_a_failing_run_keeps_parameters_and_gradients():
    run = Run("momentum")
    for _ in range(3):
        run.step()
    before = [p.tolist() for p in run.params]
    run.optimizer.zero_grad()
    bad = torch.zeros(3)[torch.tensor([6]) + 1]
    loss = run.model(run.x).square().mean()
    loss.backward()
    with pytest.raises(IndexError):
        run.optimizer.step()
    with pytest.raises(IndexError):
        bad.tolist()
    assert [p.tolist() for p in run.params] == before
    run.step()
    assert run.log[-1] < run.log[0]


def test_another_thread_reads_parameters():
    run = Run("adam")
    for _ in range(3):
        run.step()
    seen = []
    thread = threading.Thread(target=lambda: seen.append([p.sum().item() for p in run.params]))
    thread.start()
    thread.join()
    assert seen == [[p.sum().item() for p in run.params]]
    run.step()
