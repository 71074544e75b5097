"""Memory that a program gives to what replaces it: new values of parameters over the old ones, and only where nobody can tell."""

import numpy as np
import pytest

import tenfold as torch
from tenfold._core import config
from tenfold._core.compiler import machine

VISITS = 6


@pytest.fixture(autouse=True)
def compiled_soon(monkeypatch):
    monkeypatch.setattr(config, "COMPILE", True)
    monkeypatch.setattr(config, "COMPILE_AT", 2)


@pytest.fixture
def given(monkeypatch):
    """How many results of each run of a program lie where they replaced something."""
    runs = []
    values = machine.Machine.values

    def counted(self, inputs, scalars):
        before = {id(inputs[p]) for p in self.given.values()}
        made = values(self, inputs, scalars)
        runs.append(sum(id(m) in before for m in made))
        return made

    monkeypatch.setattr(machine.Machine, "values", counted)
    return runs


def memory(t):
    return id(t._st.mem)


def interpreted(steps, monkeypatch):
    with monkeypatch.context() as m:
        m.setattr(config, "COMPILE", False)
        return steps()


def trained(optimizer, keep=None):
    """The losses and parameters of a few steps; `keep(model)` may hold on to something meanwhile."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)).double()
    opt, x, losses, kept = optimizer(model.parameters()), torch.randn(6, 4).double(), [], []
    for _ in range(VISITS):
        opt.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        kept.append(keep(model) if keep else None)
        opt.step()
        losses.append(loss.item())
    parameters = [v for p in model.parameters() for v in p.flatten().tolist()]
    return losses, parameters, [np.array(k).tolist() for k in kept if k is not None]


def test_parameters_and_state_stay_where_they_are(given):
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    opt, x, places = torch.optim.Adam(model.parameters()), torch.randn(6, 4), []
    for _ in range(VISITS):
        opt.zero_grad()
        model(x).square().mean().backward()
        opt.step()
        state = [opt.state[p][name] for p in model.parameters() for name in ("exp_avg", "exp_avg_sq")]
        places.append([memory(t) for t in [*model.parameters(), *state]])
    assert given[-1] == 6
    assert places[-1] == places[-2] == places[-3]


KEEPERS = {
    "nothing": None,
    "a clone": lambda model: model[0].weight.detach().clone(),
    "a copy for NumPy": lambda model: model[0].weight.detach().numpy().copy(),
    "a value computed from it": lambda model: model[0].weight.detach() * 2,
    "the values of a state": lambda model: {k: v.clone() for k, v in model.state_dict().items()}["0.weight"],
}


@pytest.mark.parametrize("name", KEEPERS)
@pytest.mark.parametrize("method", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_training_gives_the_same_numbers(name, method, monkeypatch):
    def make(parameters):
        return getattr(torch.optim, method)(parameters, lr=0.05, **({"momentum": 0.9} if method == "SGD" else {}))

    def steps():
        return trained(make, KEEPERS[name])

    for got, want in zip(steps(), interpreted(steps, monkeypatch)):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_an_array_that_shares_the_memory_sees_each_step(given):
    w = torch.ones(5)
    shared = w.numpy()
    for n in range(1, VISITS + 1):
        w.mul_(2)
        assert w.sum().item() == 5 * 2**n
        assert shared.tolist() == [2.0**n] * 5


def test_a_view_from_before_reads_the_new_values(given):
    w = torch.arange(6.0)
    v = w.view(2, 3)[1]
    for _ in range(VISITS):
        w.add_(1)
        assert v.tolist() == w[3:].tolist()


def test_what_reads_the_old_value_later_has_it(given):
    w, total = torch.arange(4.0), torch.zeros(4)
    for n in range(VISITS):
        before = w.clone()
        w.mul_(-1).add_(1)
        total.add_(before.flip(0))  # reads the old value at other places than it is written
        assert before.tolist() == ([0.0, 1, 2, 3] if n % 2 == 0 else [1.0, 0, -1, -2])
        assert w.tolist() == ([1.0, 0, -1, -2] if n % 2 == 0 else [0.0, 1, 2, 3])


def test_reversed_and_transposed_writes(given, monkeypatch):
    def steps():
        w = torch.arange(20.0).reshape(4, 5)
        s = torch.arange(16.0).reshape(4, 4)
        out = []
        for _ in range(VISITS):
            w.copy_(w.flip(1) + 1)
            s.copy_(s.t() * 0.5 + s)
            out += [w.sum(0).tolist(), s.tolist()]
        return out

    assert steps() == interpreted(steps, monkeypatch)


def test_what_a_later_backward_needs_is_kept(given):
    x = torch.ones(3, requires_grad=True)
    w = torch.full((3,), 2.0)
    for n in range(VISITS):
        y = (x * w).sum()
        held = w.clone()
        w = w + 1
        assert y.item() == 3 * (2.0 + n)
        with torch.no_grad():
            w.mul_(1.0)
        assert w.tolist() == [3.0 + n] * 3
        y.backward()
        assert x.grad.tolist() == held.tolist()
        x.grad = None


def test_a_check_that_fails_changes_nothing(given):
    table, at = torch.zeros(4), torch.tensor([0, 1])
    step = torch.ones(2)

    def write():
        with torch.no_grad():
            table.add_(1.0)
            return (table[at] * step).sum().item()

    for n in range(1, VISITS + 1):
        assert write() == 2.0 * n
    at[1] = 9
    before = table.tolist()
    with pytest.raises(IndexError):
        write()
    assert table.tolist() in (before, [v + 1 for v in before])  # as far as the operations before the bad one got
    at[1] = 1
    after = table.tolist()
    assert write() == 2.0 * (after[0] + 1)


def test_two_tensors_that_change_places(given):
    a, b = torch.zeros(3), torch.ones(3)
    for n in range(VISITS):
        c = a.clone()
        a.copy_(b)
        b.copy_(c)
        assert a.tolist() == [float(n % 2 == 0)] * 3
        assert b.tolist() == [float(n % 2)] * 3


def test_a_value_that_is_refused_changes_nothing(given):
    w, p, y = torch.ones(3), torch.full((3,), 0.5), torch.zeros(3)

    def step():
        with torch.no_grad():
            w.mul_(2.0)
            return torch.nn.functional.binary_cross_entropy(p * 1.0, y)

    for n in range(1, VISITS + 1):
        assert step().item() == pytest.approx(0.6931472)
        assert w.tolist() == [2.0**n] * 3
    p.fill_(3.0)
    assert p.tolist() == [3.0] * 3  # so that the next walk is the same path
    with pytest.raises(RuntimeError):
        step().item()
    assert w.tolist() == [2.0 ** (VISITS + 1)] * 3
