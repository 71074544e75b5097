"""Modules, and what is done to them between calls."""

import pytest
from replaying import Net, check, counts, registering

import tenfold as torch
from tenfold import nn

PROGRAMS = []
program = registering(PROGRAMS)


@program
def train_and_eval(compile):
    net = Net()
    f = compile(net)
    x = torch.randn(4, 3)
    for _ in range(3):
        for _ in range(3):
            yield f(x)
        net.eval()
        for _ in range(3):
            yield f(x)
        net.train()
        net.drop.eval()
        yield f(x)
        net.train()
    yield net.norm.running_mean, net.norm.running_var, net.norm.num_batches_tracked


@program
def changes_to_a_module(compile):
    net = Net().eval()
    f = compile(net)
    x = torch.randn(4, 3)

    def thrice():
        for _ in range(3):
            yield f(x)

    yield from thrice()
    net.skip = False
    yield from thrice()
    net.gain = 3.0
    yield from thrice()
    Net.gain = 5.0
    yield from thrice()
    del net.gain
    yield from thrice()
    Net.gain = 1.0
    yield from thrice()
    net.layers.append(nn.Linear(3, 3))
    yield from thrice()
    net.layers[0] = nn.Identity()
    yield from thrice()
    del net.layers[1]
    yield from thrice()
    net.fc.weight = nn.Parameter(torch.randn(3, 3))
    yield from thrice()
    net.fc.bias = None
    yield from thrice()
    net.fc.weight.data = torch.randn(3, 3)
    yield from thrice()
    with torch.no_grad():
        net.fc.weight.mul_(2)
    yield from thrice()
    net.fc.weight.requires_grad_(False)
    yield from thrice()
    net.shift = torch.zeros(3)
    yield from thrice()
    net.shift.fill_(2.0)
    yield from thrice()
    net.norm.eps = 1.0
    yield from thrice()
    net.drop.p = 0.0
    net.drop.train()
    yield from thrice()
    net.norm.momentum = None
    net.norm.train()
    yield from thrice()
    net.load_state_dict({k: v * 2 for k, v in net.state_dict().items()})
    yield from thrice()
    net.__dict__["skip"] = True
    yield from thrice()
    net.fc.forward = lambda x: x * 10
    yield from thrice()
    net.forward = net.other
    yield from thrice()
    del net.forward, net.fc.forward
    yield from thrice()
    net.fc.register_forward_hook(lambda m, args, out: out + 100)
    yield from thrice()
    net.double()
    yield f(x.double())
    yield f(x.double())


@program
def hooks_of_modules(compile):
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    f = compile(net)
    x = torch.randn(2, 3)
    seen_by = []

    def thrice():
        for _ in range(3):
            net.zero_grad()
            out = f(x)
            out.sum().backward()
            yield out, net[0].weight.grad, len(seen_by)

    yield from thrice()
    factor = 2.0
    handles = [net[0].register_forward_hook(lambda m, args, out: out * factor)]
    yield from thrice()
    factor = 3.0
    yield from thrice()
    handles.append(net.register_forward_pre_hook(lambda m, args: (args[0] + 1,)))
    handles.append(net[1].register_forward_hook(lambda m, args, kwargs, out: out - 1, with_kwargs=True))
    yield from thrice()
    handles.append(net[1].register_forward_hook(lambda m, args, out: seen_by.append(out.shape)))
    yield from thrice()
    handles.pop().remove()
    handles.append(net[1].register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,)))
    yield from thrice()
    while handles:
        handles.pop().remove()
        yield from thrice()
    g = compile(lambda x: net(x))  # an OptimizedModule calls hooks for all modules once more, as in PyTorch
    for _ in range(3):
        yield g(x)
    handle = nn.modules.module.register_module_forward_hook(lambda m, args, out: out + 5)
    for _ in range(3):
        yield g(x)
    handle.remove()
    for _ in range(3):
        yield g(x)


def test_forward_hooks_are_no_reason():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    net[0].register_forward_hook(lambda m, args, out: out * 2)
    f = torch.compile(net)
    for _ in range(4):
        f(torch.ones(2, 3))
    assert counts(f) == (3, 1)


@program
def a_method(compile):
    net = Net()
    f = compile(net.other)
    x = torch.randn(2, 3)
    for _ in range(3):
        yield f(x)
    net.fc = nn.Linear(3, 2)
    yield f(x)
    yield f(x)


@program
def a_module_that_counts(compile):
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0
            self.seen = []
            self.steps = torch.zeros(())

        def forward(self, x):
            self.calls += 1
            self.seen.append(x.shape)
            self.steps += 1
            return x * self.calls

    net = Counts()
    f = compile(net)
    for _ in range(12):
        yield f(torch.ones(2)), net.calls, len(net.seen), net.steps.clone()


@program
def a_module_that_sets_up_at_first(compile):
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = None

        def forward(self, x):
            if self.table is None or self.table.shape[0] != x.shape[0]:
                self.table = torch.arange(float(x.shape[0]))
            return x + self.table

    net = Lazy()
    f = compile(net)
    for n in (2, 2, 2, 2, 3, 3, 3, 2, 2):
        yield f(torch.ones(n)), net.table


@program
def properties_and_getattr(compile):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self._scale = 2.0

        @property
        def scale(self):
            return self._scale

        def __getattr__(self, name):
            if name == "shift":
                return self.__dict__.get("_shift", 0.5)
            return super().__getattr__(name)

        def forward(self, x):
            return x * self.scale + self.shift

    net = Odd()
    f = compile(net)
    x = torch.ones(2)
    for _ in range(3):
        yield f(x)
    net._scale = 3.0
    yield f(x)
    yield f(x)
    net._shift = 4.0
    yield f(x)
    yield f(x)


@program
def names_made_up(compile):
    class Layers(nn.Module):
        def __init__(self):
            super().__init__()
            self.s0, self.s1 = 1.0, 2.0

        def forward(self, x):
            for k in range(2):
                x = x * getattr(self, f"s{k}")
            return x + 1 if hasattr(self, "extra") else x

    net = Layers()
    f = compile(net)
    x = torch.ones(2)
    for _ in range(3):
        yield f(x)
    net.s1 = 5.0
    yield f(x)
    yield f(x)
    net.extra = None
    yield f(x)
    yield f(x)
    yield f(x)


@program
def training_of_a_net(compile):
    net = Net()
    f = compile(net)
    opt = torch.optim.Adam(net.parameters(), lr=0.05)
    x = torch.randn(6, 3)
    for _ in range(12):
        opt.zero_grad()
        loss = (f(x) - 1).square().mean()
        loss.backward()
        opt.step()
        yield loss
    yield [p.grad for p in net.parameters()]
    net.eval()
    for _ in range(3):
        yield f(x)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_it_sees_the_same(program, deterministic):
    check(program)
