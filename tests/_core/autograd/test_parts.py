"""Reverse mode on the walk at hand, with the user's code in it: the same as on what a flush has kept, and no flush."""

import pytest

import tenfold as torch
from tenfold import debug
from tenfold.autograd import grad


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        gate = torch.sigmoid(x)
        ctx.save_for_backward(x, gate)
        return x * gate

    @staticmethod
    def backward(ctx, g):
        x, gate = ctx.saved_tensors
        return g * (gate + x * gate * (1 - gate))


class Reading(torch.autograd.Function):
    """Its backward asks for a value, which ends the walk."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y, x + y

    @staticmethod
    def backward(ctx, g, h):
        x, y = ctx.saved_tensors
        scale = 1.0 if g.sum().item() > -1e9 else 0.0
        return scale * g * y + h, g * x + h


SEEN = []


def model():
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))


def function_in_a_model():
    net = model()
    loss = Swish.apply(net(Swish.apply(net[0].weight @ torch.ones(4, 4)))).pow(2).sum()
    yield loss
    loss.backward()
    return [p.grad for p in net.parameters()]


def value_read_in_backward():
    net = model()
    a, b = Reading.apply(net(torch.ones(2, 4)), net(torch.full((2, 4), 0.5)))
    loss = (Swish.apply(a) * b.exp()).sum() + net[0].bias.sum()
    yield loss
    loss.backward()
    return [p.grad for p in net.parameters()]


def hooks_of_values():
    net = model()
    h = net[0](torch.ones(2, 4))
    h.register_hook(lambda g: SEEN.append(g.clone()))
    h.register_hook(lambda g: 2 * g)
    k = torch.tanh(h)
    k.retain_grad()
    loss = net[2](k).sin().sum()
    loss.register_hook(lambda g: g * 3)
    yield loss
    loss.backward()
    return [k.grad, SEEN.pop(), *[p.grad for p in net.parameters()]]


def hook_that_reads():
    net = model()
    h = net[0](torch.ones(2, 4))
    h.register_hook(lambda g: g * float(g.abs().sum()))
    net[2].weight.register_hook(lambda g: g + 1)
    loss = net[2](torch.tanh(h)).sin().sum()
    yield loss
    loss.backward()
    return [p.grad for p in net.parameters()]


def second_order():
    net = model()
    x = torch.linspace(-1, 1, 8).reshape(2, 4).requires_grad_()
    u = net(x).pow(2)
    yield u
    (first,) = grad(u.sum(), x, create_graph=True)
    (second,) = grad((first * first).sum(), x, create_graph=True)
    loss = (u.mean() + second.pow(2).mean()) * 10
    loss.backward()
    return [first, second, x.grad, *[p.grad for p in net.parameters()]]


def of_values_on_the_way():
    x = torch.linspace(0.5, 1, 4).requires_grad_()
    h = x.exp()
    k = h * h
    y = (k.sin() + Swish.apply(h)).sum()
    yield y
    return [*grad(y, [h, k, x], retain_graph=True), *grad([y, k], [h, x], [torch.tensor(2.0), torch.ones(4)])]


def twice_through_a_function():
    x = torch.linspace(-1, 1, 4, dtype=torch.float64).requires_grad_()
    y = Swish.apply(x.cos())
    yield y
    (first,) = grad(y.sum(), x, create_graph=True)
    first.pow(2).sum().backward()
    return [first, x.grad]


def added_to_what_is_there():
    net = model()
    for scale in (1.0, 2.0):
        loss = Swish.apply(net(torch.full((2, 4), scale))).sum()
        yield loss
        loss.backward()
    return [p.grad for p in net.parameters()]


PROGRAMS = [
    function_in_a_model, value_read_in_backward, hooks_of_values, hook_that_reads, second_order, of_values_on_the_way,
    twice_through_a_function, added_to_what_is_there,
]  # fmt: skip
READ = {value_read_in_backward, hook_that_reads}


def run(program, read):
    """The results of a program, with its walk ended before backward or not; and how many flushes the last backward took."""
    steps = program()
    before = 0
    while True:
        try:
            t = next(steps)
        except StopIteration as end:
            return debug.stats()["flushes"] - before, [g.tolist() for g in end.value]
        if read:
            t.tolist()
        before = debug.stats()["flushes"]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_is_the_same_as_from_a_history(program):
    for _ in range(10):  # interpreted, then compiled
        flushes, here = run(program, False)
        _, there = run(program, True)
        assert all(
            [torch.allclose(torch.tensor(a), torch.tensor(b), 1e-5, 1e-6) for a, b in zip(here, there, strict=True)]
        )
        assert flushes == 0 or program in READ


def test_gradients_by_hand():
    x = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
    (first,) = grad((x**3).sum(), x, create_graph=True)
    (second,) = grad(first.sum(), x, create_graph=True)
    (third,) = grad(second.sum(), x)
    assert [first.tolist(), second.tolist(), third.tolist()] == [[0.75, 3.0], [3.0, -6.0], [6.0, 6.0]]
    assert first.requires_grad and not third.requires_grad


def test_history_is_used_up():
    x = torch.ones(3, requires_grad=True)
    y = Swish.apply(x).exp().sum()
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    y = Swish.apply(x).exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    assert torch.allclose(x.grad, 3 * torch.autograd.grad(Swish.apply(x).exp().sum(), x)[0])
    h = x.exp()
    grad(h.sum(), x)
    with pytest.raises(RuntimeError, match="second time"):
        (h * 2).sum().backward()


def test_what_a_function_has_saved_is_let_go():
    kept = []

    class Keeping(Swish):
        @staticmethod
        def backward(ctx, g):
            kept.append(ctx)
            return Swish.backward(ctx, g)

    x = torch.ones(3, requires_grad=True)
    Keeping.apply(x).sum().backward(retain_graph=True)
    assert len(kept[0].saved_tensors) == 2
    Keeping.apply(x).sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        kept[1].saved_tensors


def test_grad_is_there_when_later_code_looks():
    net = model()
    seen = []

    class Looking(Swish):
        @staticmethod
        def backward(ctx, g):
            seen.append([p.grad is not None for p in net.parameters()])
            return Swish.backward(ctx, g)

    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        net[2](Looking.apply(net[0](torch.ones(2, 4)))).sum().backward()
        optimizer.step()
    assert seen == [[False, False, True, True]] * 3


def test_an_error_in_backward_leaves_what_has_arrived():
    class Failing(Swish):
        @staticmethod
        def backward(ctx, g):
            raise ValueError("no")

    net = model()
    with pytest.raises(ValueError, match="no"):
        net[2](Failing.apply(net[0](torch.ones(2, 4)))).sum().backward()
    assert [p.grad is not None for p in net.parameters()] == [False, False, True, True]
    assert torch.is_grad_enabled()
