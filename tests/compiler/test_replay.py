"""A zoo of functions whose calls may not be replayed blindly: each program is run with compiled functions and without, and
has to see the same things. A program yields what it sees, several times, so that calls are first, recorded and replayed."""

import builtins
import cProfile
import dataclasses
import enum
import functools
import gc
import math
import random
import re
import threading
import weakref

import pytest

import tenfold as torch
from tenfold import nn
from tenfold.compiler.errors import Unsupported

F = nn.functional
FLAG = True
COMES = ()
SCALE = 2.0
TABLE = {"a": 1.0, "b": [1, 2]}
LIST = [1.0, 2.0]


def seen(x):
    """What can be seen of a result."""
    if isinstance(x, torch.Tensor):
        return (
            x.detach().tolist(), x.dtype, tuple(x.shape), x.stride(), x.storage_offset(), x.requires_grad, x.grad_fn is None, type(x),
        )  # fmt: skip
    if isinstance(x, (list, tuple)):
        return type(x), [seen(y) for y in x]
    if isinstance(x, dict):
        return {k: seen(v) for k, v in x.items()}
    return type(x), x


def run(program, compile):
    torch.manual_seed(0)
    random.seed(0)
    return [seen(x) for x in program(compile)]


PROGRAMS = []


def program(f):
    PROGRAMS.append(f)
    return f


# --- what is outside of the function -----------------------------------------------------------------------------------


@program
def a_changed_global(compile):
    global SCALE, FLAG

    @compile
    def f(x):
        return x * SCALE if FLAG else -x

    x = torch.arange(3.0)
    try:
        for SCALE in (2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 2.0, -0.0, 0.0):  # noqa: B007
            yield f(x)
        for FLAG in (True, False, False, False, True):  # noqa: B007
            yield f(x)
    finally:
        SCALE, FLAG = 2.0, True


@program
def the_kind_of_a_global_number(compile):
    global SCALE

    @compile
    def f(x):
        return x * SCALE, isinstance(SCALE, int)

    x = torch.arange(3)
    try:
        for SCALE in (1, 1, 1, 1.0, 1.0, 1.0, True, True, True, 1):  # noqa: B007
            yield f(x)
    finally:
        SCALE = 2.0


@program
def a_global_that_comes_and_goes(compile):
    @compile
    def f(x):
        return x + len(COMES) if x.ndim == 1 else x

    x = torch.arange(3.0)
    for value in ((1,), (1,), (1,), (1, 2), (1, 2)):
        globals()["COMES"] = value
        yield f(x)
    del globals()["COMES"]
    with pytest.raises(NameError):
        f(x)
    globals()["len"] = lambda x: 7  # hides the built-in one
    globals()["COMES"] = (1,)
    yield f(x)
    yield f(x)
    del globals()["len"], globals()["COMES"]
    yield f(torch.zeros(2, 2))


@program
def containers_outside(compile):
    @compile
    def f(x):
        y = x
        for v in LIST:
            y = y * v
        for v in TABLE["b"]:
            y = y + v
        return y + TABLE["a"]

    x = torch.arange(3.0)
    for change in (None, None, None, lambda: LIST.append(5.0), None, None, LIST.pop, None, lambda: LIST.reverse(), None, None,
                   lambda: TABLE.update(a=3.0), None, None, lambda: TABLE["b"].append(4), None, None,
                   lambda: TABLE["b"].__setitem__(0, 1.5), None):  # fmt: skip
        if change is not None:
            change()
        yield f(x)
    LIST[:] = [1.0, 2.0]
    TABLE.update(a=1.0, b=[1, 2])


@program
def closures(compile):
    k, parts = 1.0, [1.0]

    @compile
    def f(x):
        return x * k + sum(parts)

    x = torch.arange(3.0)
    for k in (1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0):  # noqa: B007
        yield f(x)
    parts.append(2.0)
    yield f(x)
    yield f(x)
    yield f(x)


@program
def other_closures_of_the_same_code(compile):
    def make(k):
        return compile(lambda x: x + k)

    fs = [make(k) for k in range(3)]
    for _ in range(3):
        for f in fs:
            yield f(torch.zeros(2))


@program
def replaced_functions(compile):
    def g(x):
        return x + 1

    class Box:
        h = staticmethod(g)

    @compile
    def f(x):
        return Box.h(g(x))

    x = torch.zeros(2)
    for _ in range(3):
        yield f(x)
    Box.h = staticmethod(lambda x: x * 10 + 1)
    for _ in range(3):
        yield f(x)

    def g(x):
        return x + 2

    for _ in range(3):
        yield f(x)
    g.__defaults__ = None
    g.__code__ = (lambda x: x + 5).__code__
    for _ in range(3):
        yield f(x)


@program
def defaults_and_keywords(compile):
    def f(x, k=2.0, *rest, sign=1, **more):
        return (x * k + len(rest)) * sign + sum(more.values())

    g = compile(f)
    x = torch.arange(2.0)
    for _ in range(3):
        yield g(x)
        yield g(x, 3.0)
        yield g(x, 3.0, 1, 2)
        yield g(x, sign=-1)
        yield g(x, sign=-1, a=4)
        yield g(x, sign=-1, b=4.5)
        yield g(k=1, x=x)
    f.__defaults__ = (5.0,)
    yield g(x)
    f.__kwdefaults__["sign"] = 3
    yield g(x)
    yield g(x)


@program
def attributes_of_functions_and_classes(compile):
    class Counter:
        n = 0

    def plain(x):
        plain.n += 1
        Counter.n += 2
        return x + plain.n * Counter.n

    @compile
    def f(x):
        return plain(x)

    @compile
    def g(x):
        return x * g.k

    @compile
    def h(x):
        return x * type(box).n + box.__class__.n

    plain.n, g.k, box = 0, 1.0, Counter()
    x = torch.ones(2)
    for _ in range(3):
        yield f(x), plain.n, Counter.n
    for _ in range(3):
        yield g(x)
    g.k = 2.0
    for _ in range(3):
        yield g(x)
    for _ in range(3):
        yield h(x)
    Counter.n = 100
    yield h(x)
    yield h(x)


@program
def changed_builtins(compile):
    @compile
    def f(x):
        return x * divmod(5, 3)[1]

    x = torch.ones(2)
    for _ in range(3):
        yield f(x)
    real = builtins.divmod
    builtins.divmod = lambda a, b: (7, 7)
    try:
        for _ in range(3):
            yield f(x)
    finally:
        builtins.divmod = real


@program
def seeds_of_generators(compile):
    g = torch.Generator().manual_seed(3)

    @compile
    def f(x):
        return x + torch.rand(2, generator=g) * g.initial_seed()

    @compile
    def again(x):
        g.manual_seed(1)
        return x + torch.rand(2, generator=g)

    for k in range(4):
        yield f(torch.zeros(2))
        yield again(torch.zeros(2))
        g.manual_seed(k)


@program
def keys_of_dicts(compile):
    @compile
    def f(batch):
        return sum(v * (1 if k is True else 2 if type(k) is int else 3) for k, v in batch.items())

    x = torch.ones(2)
    for _ in range(3):
        yield f({1: x})
        yield f({True: x})
        yield f({1.0: x})
        yield f({x: x})


@program
def borrowed_attributes(compile):
    class Box:
        def __init__(self):
            self.k = 1.0

    box = Box()

    @compile
    def f(x):
        return x * box.k

    x = torch.ones(2)
    for _ in range(3):
        yield f(x)
    box.__dict__ = {"k": 5.0}
    yield f(x)
    yield f(x)
    yield f(x)
    box.k = 7.0
    yield f(x)


@program
def slots_and_descriptors(compile):
    class Slots:
        __slots__ = ("k",)

    class Field:
        def __get__(self, obj, kind):
            return obj.table[0]

    class Holder:
        k = Field()

        def __init__(self):
            self.table = [1.0]

    slots, holder = Slots(), Holder()
    slots.k = 1.0

    @compile
    def f(x):
        return x * slots.k

    @compile
    def g(x):
        return x * holder.k

    x = torch.ones(2)
    for k in (1.0, 1.0, 1.0, 2.0, 2.0, 2.0):
        slots.k = holder.table[0] = k
        yield f(x)
        yield g(x)


@program
def a_lazy_module(compile):
    net = nn.Sequential(nn.LazyLinear(3), nn.ReLU())
    f = compile(net)
    for _ in range(4):
        yield f(torch.ones(2, 5))


@program
def a_patched_module_of_functions(compile):
    @compile
    def f(x):
        return F.relu(x) + torch.sin(x)

    x = torch.tensor([-1.0, 2.0])
    for _ in range(3):
        yield f(x)
    relu, F.relu = F.relu, lambda x: x * 100
    try:
        for _ in range(3):
            yield f(x)
    finally:
        F.relu = relu
    yield f(x)


# --- arguments ------------------------------------------------------------------------------------------------------------


@program
def other_shapes_dtypes_strides(compile):
    @compile
    def f(x):
        if x.dtype == torch.int64:
            return x + x.shape[0]
        if x.is_contiguous() and x.ndim > 1:
            return x.sum(0)
        return x * 2 + x.stride(0)

    base = torch.arange(24.0)
    tensors = [base, base[:5], base[::2], base.view(4, 6), base.view(4, 6).t(), base.view(6, 4), base.double(), base.long(),
               base.view(2, 3, 4), base[3:], torch.tensor(3.0).expand(4), base[:0], base.bfloat16()]  # fmt: skip
    for _ in range(3):
        for x in tensors:
            yield f(x)


@program
def requires_grad_and_leaves(compile):
    @compile
    def f(x):
        return x * 3 if x.requires_grad else x * 5

    a = torch.ones(2)
    b = torch.ones(2, requires_grad=True)
    c = b * 1
    for _ in range(3):
        yield f(a)
        yield f(b)
        yield f(c)
        yield f(b.detach())
        with torch.no_grad():
            yield f(b)
            yield f(a)
    f(b).sum().backward()
    f(c).sum().backward()
    yield b.grad


@program
def the_same_tensor_twice(compile):
    @compile
    def f(x, y):
        return x + 1 if x is y else x * y

    a, b = torch.full((2,), 3.0), torch.full((2,), 4.0)
    for _ in range(3):
        yield f(a, b)
        yield f(a, a)
        yield f(b, a)
        yield f(b, b)


WEIGHT = torch.full((2,), 3.0)


@program
def an_argument_that_is_also_a_global(compile):
    @compile
    def f(x):
        return x + 1 if x is WEIGHT else x * WEIGHT

    other = torch.full((2,), 4.0)
    for _ in range(3):
        yield f(other)
        yield f(WEIGHT)


@program
def aliases(compile):
    @compile
    def f(x, y):
        x.add_(1)
        return x * y

    for _ in range(3):
        base = torch.arange(4.0)
        a, b = torch.ones(2), torch.ones(2)
        yield f(a, b), a, b
        yield f(a, b), a, b
        yield f(base[:2], base[2:]), base
        yield f(base[:2], base[1:3]), base
        yield f(a, a), a
        yield f(a, a.view(2)), a


@program
def tensors_outside_that_change(compile):
    """What is known of them by name, besides their elements."""
    w = torch.arange(4.0).view(2, 2)
    TABLE["w"] = w

    @compile
    def f(x):
        w = TABLE["w"]
        return x * (w if w.requires_grad else w.sum(0)), w.shape, w.stride(), w.requires_grad

    x = torch.ones(2, 2)

    def thrice():
        for _ in range(3):
            yield f(x)

    yield from thrice()
    w.requires_grad_()
    yield from thrice()
    f(x)[0].sum().backward()
    yield w.grad
    w.requires_grad_(False)
    yield from thrice()
    w.t_()
    yield from thrice()
    w.data = torch.ones(3, 2)
    yield from thrice()
    w.unsqueeze_(2).squeeze_(2)
    yield from thrice()
    w.fill_(7.0)
    yield from thrice()
    del TABLE["w"]


@program
def tensors_outside_that_are_replaced(compile):
    class Box(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(2))
            self.register_buffer("b", torch.ones(2))

    box = Box()
    x = y = torch.ones(2)
    parts = [torch.ones(2)]

    @compile
    def f(k):
        same = x is y, x is TABLE["x"], x is k, x is parts[0]
        return (x * box.w + box.b + TABLE["x"] * 2 + parts[0]) * k + y.sum(), same

    @compile
    def g():
        x.add_(1)
        return x * y

    k = torch.full((2,), 2.0)
    TABLE["x"] = x
    for n in range(20):
        box.zero_grad()
        out, same = f(k)
        out.sum().backward()
        yield out, same, box.w.grad
        yield g(), x, y
        new = torch.full((2,), float(n))
        if n in (2, 3, 4, 12):
            x = new
        if n in (4, 5, 6, 13):
            y = torch.full((2,), n + 0.5)
        if n in (7, 12):
            y = x
        if n in (8, 9):
            TABLE["x"] = x
        if n in (10, 11):
            x = y = TABLE["x"] = new
        if n in (14, 15):
            box.w = nn.Parameter(new.clone())
        if n in (16, 17):
            box.b = new.clone()
        if n == 17:
            parts[0] = new.clone()
        if n == 18:
            k = x
    del TABLE["x"]


def test_a_batch_that_is_a_global_is_no_reason():
    net = nn.Linear(3, 2)
    batch = None
    f = torch.compile(lambda: net(batch) * 2)
    for _ in range(12):
        batch = torch.randn(4, 3)
        assert torch.equal(f(), net(batch) * 2)
    assert counts(f) == (11, 1)


@program
def attributes_of_tensors(compile):
    @compile
    def f(x):
        return x * getattr(x, "factor", 1.0)

    x, y = torch.ones(2), torch.ones(2)
    y.factor = 3.0
    for _ in range(4):
        yield f(x)
        yield f(y)
        y.factor += 1


@program
def nested_arguments(compile):
    @compile
    def f(batch, scale=1):
        y = batch["x"] * scale
        for t in batch["more"]:
            y = y + t
        return {"y": y, "n": len(batch["more"])}

    x = torch.arange(3.0)
    for _ in range(3):
        yield f({"x": x, "more": [x, x + 1]})
        yield f({"x": x, "more": [x]})
        yield f({"x": x, "more": (x,)})
        yield f({"x": x, "more": []}, scale=3)
        yield f({"more": [], "x": x}, 2.5)


@program
def numbers_and_strings(compile):
    @compile
    def f(x, how, k):
        return x.pow(k) if how == "pow" else x / k if how == "div" else x

    x = torch.arange(1.0, 4.0)
    for _ in range(3):
        for how in ("pow", "div", "none"):
            for k in (1, 2, 1.0, 2.5, True, float("inf")):
                yield f(x, how, k)


class Config:
    def __init__(self, depth):
        self.depth = depth
        self.scales = [2.0]


@program
def objects_as_arguments(compile):
    @compile
    def f(x, config):
        for _ in range(config.depth):
            x = x * config.scales[0]
        return x

    a, b = Config(2), Config(3)
    x = torch.ones(2)
    for _ in range(3):
        yield f(x, a)
        yield f(x, b)
    a.depth = 1
    yield f(x, a)
    yield f(x, a)
    a.scales[0] = 5.0
    yield f(x, a)
    a.scales = [7.0]
    yield f(x, a)
    yield f(x, a)
    del a.depth
    Config.depth = 3
    yield f(x, a)
    yield f(x, a)
    yield f(x, a)
    del Config.depth


@program
def pending_arguments(compile):
    @compile
    def f(x, y):
        return x @ y

    for k in range(4):
        x = torch.full((2, 2), float(k)) + 1  # not computed yet
        yield f(x, x.t())
        yield f(x + 1, x * 2)
        yield f(x[0], x[:, 1])


@program
def memory_shared_with_numpy(compile):
    import numpy as np

    @compile
    def f(x):
        return x * 2

    a = np.zeros(3, np.float32)
    x = torch.from_numpy(a)
    for k in range(5):
        a[:] = k
        y = f(x)
        a[:] = -1
        yield y


# --- modules ------------------------------------------------------------------------------------------------------------


class Net(nn.Module):
    gain = 1.0

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)
        self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(2)])
        self.skip = True
        self.register_buffer("shift", torch.ones(3))

    def forward(self, x):
        y = self.drop(torch.relu(self.norm(self.fc(x)))) * self.gain + self.shift
        for layer in self.layers:
            y = layer(y)
        return y + x if self.skip else y

    def other(self, x):
        return self.fc(x)


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


# --- what the function does ------------------------------------------------------------------------------------------------


@program
def random_draws(compile):
    @compile
    def f(x):
        return x + torch.rand(3) + torch.randn(3) + torch.randperm(3)

    for k in range(6):
        yield f(torch.zeros(3))
        if k == 3:
            torch.manual_seed(5)
    yield torch.rand(2)


@program
def pythons_random(compile):
    @compile
    def f(x):
        return x + random.random()

    for _ in range(4):
        yield f(torch.zeros(2))


def noise():
    """Cannot be followed."""
    try:
        return random.random()
    finally:
        LOG.append(1.0)


@program
def effects_that_are_seldom(compile):
    global FLAG

    @compile
    def f(x):
        return x + (random.random() if FLAG else 1)

    @compile
    def g(x):
        return x + (noise() if FLAG else 1)

    @compile
    def h(x):
        return x + (sum(map(lambda _: noise(), range(2))) if FLAG else 1)

    @compile
    def value(x):
        draw = random.random
        return x + (sum(map(lambda draw: draw(), [draw])) if FLAG else 1)

    class Net(nn.Module):
        def tell(self, x):
            print(x)
            self.told = random.random()

        def forward(self, x):
            if FLAG:
                self.tell(0)
                return x + self.told
            return x

    net = compile(Net())
    LOG.clear()
    try:
        for FLAG in (False, False, False, True, True, False, True):  # noqa: B007
            for function in (f, g, h, value, net):
                yield function(torch.zeros(1)), len(LOG)
    finally:
        FLAG = True
        LOG.clear()


@program
def a_generator_of_its_own(compile):
    g = torch.Generator().manual_seed(3)

    @compile
    def f(x):
        return x + torch.rand(2, generator=g)

    for _ in range(5):
        yield f(torch.zeros(2))


@program
def branches_on_data(compile):
    @compile
    def f(x):
        if x.sum() > 0:
            return x * 2
        return x.abs() + x.max().item()

    for k in (1.0, 1.0, 1.0, -1.0, -1.0, 1.0):
        yield f(torch.full((2,), k))


@program
def shapes_that_depend_on_data(compile):
    @compile
    def f(x):
        return x[x > 0], torch.nonzero(x)

    for k in range(5):
        yield f(torch.arange(4.0) - k)


@program
def writes_in_place(compile):
    @compile
    def f(x, y):
        x.mul_(2)
        x[0] = 5
        x[1:].add_(y[1:])
        y.copy_(x)
        return x.sum()

    for _ in range(4):
        x, y = torch.arange(3.0), torch.ones(3)
        z = x[:2]
        yield f(x, y), x, y, z
    x = torch.arange(6.0)
    for _ in range(3):
        yield f(x[:3], x[3:]), x
        yield f(x.view(2, 3)[0], torch.ones(3)), x
        yield f(x[::2], torch.ones(3)), x


@program
def writes_to_what_it_made(compile):
    @compile
    def f(x):
        y = torch.zeros(3)
        y[1] = x[0]
        y += x
        z = torch.tensor([1.0, 2.0, 3.0])
        z[0] = 4
        z.mul_(x)
        out = torch.empty(3)
        torch.add(y, z, out=out)
        return y, out

    w = torch.arange(3.0, requires_grad=True)
    for _ in range(4):
        yield f(torch.arange(3.0))
        yield f(w.detach())


@program
def writes_with_gradients(compile):
    @compile
    def f(x, w):
        x.mul_(w)
        return x.sum()

    for _ in range(4):
        x = torch.ones(2)
        w = torch.full((2,), 3.0, requires_grad=True)
        f(x, w).backward()
        yield w.grad, x


@program
def results_that_share_memory(compile):
    @compile
    def f(x):
        y = x * 2
        return y, y.t(), y[0], y.detach(), x[0], x, (y, y)

    for _ in range(4):
        x = torch.arange(4.0).view(2, 2)
        y, t, row, d, first, same, pair = f(x)
        yield y, t, row, d, first
        yield same is x, pair[0] is pair[1], pair[0] is y
        y[0, 1] = 100
        first[0] = 50
        yield y, t, row, d, first, x


@program
def views_of_parameters(compile):
    class Views(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.arange(6.0).view(2, 3))

        def forward(self, x):
            return x @ self.w.t() + self.w[:, 0], self.w, self.w[0]

    net = Views()
    f = compile(net)
    for _ in range(4):
        net.zero_grad()
        a, w, row = f(torch.ones(2, 3))
        yield a, w, row, w is net.w
        (a.sum() + row.sum()).backward()
        yield net.w.grad


@program
def other_results(compile):
    Point = torch.return_types.sort

    @compile
    def f(x, k):
        return (
            {"a": [x + k, None, k, "text"], 3: (x.shape, x.dtype, x.ndim)},
            x.sort(),
            x.max(0),
            isinstance(x.sort(), Point),
            (),
        )

    for _ in range(3):
        yield f(torch.tensor([2.0, 1.0]), 3)
        a, *_ = f(torch.tensor([2.0, 1.0]), 3)
        a["a"].append(1)  # the caller's own
        a["b"] = 1


@dataclasses.dataclass
class Point:
    x: torch.Tensor
    y: float


Pair = __import__("collections").namedtuple("Pair", "a b")


@program
def objects_as_results(compile):
    @compile
    def f(x):
        return Point(x + 1, 2.0)

    @compile
    def g(x):
        p = Point(x, 3.0)
        return p.x * p.y, Pair(x + 1, 2)

    for _ in range(4):
        p = f(torch.ones(2))
        yield p.x, p.y
        p.y = 7
        yield g(torch.ones(2))


@program
def it_returns_what_it_was_given(compile):
    kept = [1.0]

    @compile
    def f(x, items):
        return items, kept

    for _ in range(4):
        items = [torch.ones(2)]
        a, b = f(torch.ones(1), items)
        yield a is items, b is kept


@program
def changes_to_what_it_was_given(compile):
    @compile
    def f(x, items):
        items.append(x)
        return len(items)

    items = []
    for _ in range(4):
        yield f(torch.ones(2), items), len(items)
        new = []
        yield f(torch.ones(2), new), len(new)


LOG = []


@program
def side_effects(compile):
    count = 0

    @compile
    def f(x):
        LOG.append(x.shape)
        return x + 1

    @compile
    def g(x):
        nonlocal count
        count += 1
        return x + 1

    @compile
    def h(x):
        global LOGGED
        LOGGED = x.ndim
        return x + 1

    del LOG[:]
    for _ in range(4):
        yield f(torch.ones(2)), len(LOG)
        yield g(torch.ones(2)), count
        globals()["LOGGED"] = 7
        yield h(torch.ones(2)), LOGGED
    for _ in range(4):
        LOG.clear()
        yield f(torch.ones(2)), len(LOG)
        globals()["LOGGED"] = 7
        yield h(torch.ones(2)), LOGGED


@program
def exceptions(compile):
    @compile
    def f(x, k):
        if k < 0:
            raise ValueError(f"negative: {k}")
        assert x.ndim == 1, "one dim"
        return x + torch.ones(3)

    @compile
    def g(x):
        try:
            return x + torch.ones(3)
        except RuntimeError:
            return x - 1

    for _ in range(4):
        yield f(torch.ones(3), 1)
        for bad in ((torch.ones(3), -1), (torch.ones(2, 3), 1), (torch.ones(2), 1)):
            with pytest.raises((ValueError, AssertionError, RuntimeError)) as e:
                f(*bad)
            yield type(e.value).__name__, str(e.value).split("Recorded")[0]
        yield g(torch.ones(3))
        yield g(torch.ones(2))


@program
def an_index_out_of_range(compile):
    @compile
    def f(table, i):
        return F.embedding(i, table) * 2

    table = torch.arange(6.0).view(3, 2)
    for i in (0, 1, 2, 5, 1):
        try:
            yield f(table, torch.tensor([i])).tolist()
        except IndexError as e:
            yield "IndexError", "out of range" in str(e)


@program
def indices(compile):
    @compile
    def f(x, i):
        y = x.clone()
        y[i] = 7.0
        y[:, i] += 1
        return x[i], x[torch.arange(2), i], x[[0, 2]], y

    @compile
    def picks(x, i):
        row = x[i[0]]  # a view
        row[0] = 100.0
        return row, x[i.max()]

    x = torch.arange(9.0).view(3, 3)
    for k in (0, 1, 1, 0, 1, 5, 1):
        try:
            found = f(x, torch.tensor([k, 2]))
            yield [seen(t) for t in found]
        except IndexError:
            yield "IndexError"
        if k < 3:
            y = x.clone()
            yield picks(y, torch.tensor([k, 2])), y


def test_indices_are_no_reason():
    f = torch.compile(lambda x, i: (x[i], x[:, i], x[[0, 1]]))
    for _ in range(4):
        f(torch.ones(3, 3), torch.tensor([0, 2]))
    assert counts(f) == (3, 1)


@program
def nested_compile(compile):
    @compile
    def g(x):
        return x * SCALE

    @compile
    def f(x):
        return g(x) + g(x + 1)

    global SCALE
    try:
        for SCALE in (2.0, 2.0, 2.0, 3.0, 3.0, 2.0):  # noqa: B007
            yield f(torch.ones(2))
            yield g(torch.ones(2))
    finally:
        SCALE = 2.0
    inner = compile(nn.Linear(2, 2))
    outer = compile(nn.Sequential(inner, nn.ReLU()))
    for _ in range(4):
        yield outer(torch.ones(1, 2))
        yield inner(torch.ones(1, 2))


@program
def recursion(compile):
    @compile
    def f(x, n):
        return x if n == 0 else f(x * 2, n - 1) + 1

    for _ in range(3):
        for n in (0, 1, 3):
            yield f(torch.ones(2), n)


@program
def generators_and_comprehensions(compile):
    def steps(x, n):
        for k in range(n):
            yield x * k

    @compile
    def f(x, n):
        total = sum(steps(x, n))
        pairs = {k: v for k, v in zip("ab", [x + k for k in range(n)])}
        return total, pairs, [*map(lambda t: t * 2, steps(x, n))]

    @compile
    def g(x):
        return steps(x, 2)

    for _ in range(3):
        for n in (1, 2, 3):
            yield f(torch.ones(2), n)
        yield list(g(torch.ones(2)))


@program
def iterators_outside(compile):
    numbers = iter(range(10))

    @compile
    def f(x):
        return x + next(numbers)

    for _ in range(5):
        yield f(torch.zeros(1))


@program
def lambdas_partials_and_enums(compile):
    class Kind(enum.Enum):
        A = 1
        B = 2

    scale = functools.partial(torch.mul, other=3.0)
    acts = {Kind.A.name: lambda x: x + 1, "B": torch.relu}

    @compile
    def f(x, kind):
        return acts[kind.name](scale(x)) * (2 if kind is Kind.A else math.pi) ** math.sqrt(4)

    x = torch.tensor([-1.0, 1.0])
    for _ in range(3):
        yield f(x, Kind.A)
        yield f(x, Kind.B)
    acts["A"] = lambda x: x - 1
    yield f(x, Kind.A)
    yield f(x, Kind.A)


@program
def modes(compile):
    @compile
    def f(x, w):
        with torch.no_grad():
            k = (x * w).sum()
        return x @ w * k + torch.ones(2), torch.is_grad_enabled()

    x = torch.ones(2, 2)
    w = torch.full((2, 2), 2.0, requires_grad=True)
    for _ in range(4):
        yield f(x, w)
        with torch.no_grad():
            yield f(x, w)
        with torch.autocast("cpu"):
            yield f(x, w)
        torch.set_default_dtype(torch.float64)
        try:
            yield f(x, w)
        finally:
            torch.set_default_dtype(torch.float32)
        with torch.inference_mode():
            yield f(x, w)
    w.grad = None
    f(x, w)[0].sum().backward()
    yield w.grad


@program
def modes_that_it_sets(compile):
    @compile
    def f(x):
        with torch.enable_grad():
            return x * 2

    @compile
    def g(x):
        torch.set_grad_enabled(False)
        return x * 2

    @compile
    @torch.no_grad()
    def h(x):
        return x * 2 + SCALE

    w = torch.ones(2, requires_grad=True)
    for _ in range(3):
        yield f(w)
        with torch.no_grad():
            yield f(w)
        yield g(w), torch.is_grad_enabled()
        torch.set_grad_enabled(True)
        yield h(w)


@program
def default_device(compile):
    @compile
    def f(x):
        return torch.zeros(2).device.type, x

    for _ in range(3):
        yield f(1)
        with torch.device("meta"):
            yield f(1)
            yield f(1)
        yield f(1)


@program
def gradients(compile):
    @compile
    def f(x, w):
        h = torch.tanh(x @ w)
        return h.sum() + (w**2).sum() * 0.1, h

    for _ in range(4):
        x = torch.randn(3, 2)
        w = torch.randn(2, 2, requires_grad=True)
        loss, h = f(x, w)
        loss.backward(retain_graph=True)
        h.sum().backward()
        yield w.grad
        loss, h = f(x, w)
        (g,) = torch.autograd.grad(loss, w, create_graph=True)
        yield torch.autograd.grad(g.square().sum(), w)


@program
def gradients_through_chained_calls(compile):
    @compile
    def f(x):
        return x * x.sin()

    for _ in range(4):
        x = torch.tensor([0.5, 1.0], requires_grad=True)
        y = f(f(f(x)))
        y.sum().backward()
        yield y, x.grad


@program
def hooks_on_tensors(compile):
    @compile
    def f(x):
        return x * 3

    for _ in range(4):
        x = torch.ones(2, requires_grad=True)
        h = x * 1
        h.register_hook(lambda g: g * 10)
        f(h).sum().backward()
        yield x.grad


@program
def backward_inside(compile):
    w = torch.ones(2, requires_grad=True)

    @compile
    def f(x):
        loss = (x * w).sum()
        loss.backward()
        return loss.detach()

    for _ in range(3):
        yield f(torch.full((2,), 2.0)), w.grad


@program
def a_function_of_ones_own(compile):
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 7

    @compile
    def f(x):
        return Double.apply(x)

    for _ in range(4):
        x = torch.ones(2, requires_grad=True)
        f(x).sum().backward()
        yield x.grad


@program
def transforms(compile):
    @compile
    def f(x):
        return x.sin().sum()

    g = compile(torch.func.grad(lambda x: (x**3).sum()))
    for _ in range(3):
        yield torch.func.grad(f)(torch.ones(2))
        yield torch.vmap(f)(torch.ones(3, 2))
        yield g(torch.ones(2))


@program
def recurrent_and_attention(compile):
    class Seq(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = nn.Embedding(7, 4)
            self.lstm = nn.LSTM(4, 4, batch_first=True)
            self.att = nn.MultiheadAttention(4, 2, batch_first=True)
            self.conv = nn.Conv1d(4, 4, 3, padding=1)
            self.norm = nn.LayerNorm(4)

        def forward(self, i):
            x = self.emb(i)
            h, (a, b) = self.lstm(x)
            h = self.norm(h + self.att(h, h, h, need_weights=False)[0])
            return self.conv(h.transpose(1, 2)), a, b

    net = Seq()
    f = compile(net)
    for n in (3, 3, 3, 5, 5, 5, 3):
        i = torch.arange(2 * n).view(2, n) % 7
        out, a, b = f(i)
        yield out, a, b
        net.zero_grad()
        out.sum().backward()
        yield [p.grad for p in net.parameters()]


@program
def layers(compile):
    made = [
        (nn.GRU(3, 4, bidirectional=True), torch.randn(5, 2, 3)),
        (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), torch.randn(2, 3, 4)),
        (nn.Conv2d(1, 2, 3, padding=1), torch.randn(2, 1, 4, 4)),
        (nn.GroupNorm(2, 4), torch.randn(2, 4, 3)),
        (nn.EmbeddingBag(5, 3), torch.tensor([[1, 2], [3, 4]])),
        (nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)), torch.randn(2, 3)),
        (nn.Sequential(nn.Flatten(), nn.ModuleDict({"a": nn.Linear(4, 2)})["a"], nn.Softmax(-1)), torch.randn(3, 2, 2)),
    ]  # fmt: skip
    for net, x in made:
        f = compile(net)
        for _ in range(4):
            net.zero_grad()
            out = f(x)
            out = out[0] if isinstance(out, tuple) else out
            out.square().sum().backward()
            yield out
            yield [p.grad for p in net.parameters()]
            with torch.no_grad():
                for p in net.parameters():
                    p.sub_(p.grad * 0.1)


@program
def reads_that_a_handler_would_hide(compile):
    @compile
    def f(x):
        try:
            return x * x.sum().item()
        except Exception:
            return x * 1000

    for _ in range(4):
        yield f(torch.ones(2))


@program
def eager(compile):
    @compile
    def f(x):
        return x * 2 + 1

    for _ in range(3):
        yield f(torch.ones(2))
        with torch.debug.eager():
            yield f(torch.ones(2))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_it_sees_the_same(program, deterministic):
    plain = run(program, lambda f, **options: f)
    assert run(program, torch.compile) == plain
    assert run(program, torch.compile) == plain


# --- what is replayed, and why not ---------------------------------------------------------------------------------------


def counts(f):
    """(calls that were replayed, that were not)"""
    c = (f.forward if isinstance(f, nn.Module) else f)._compiled
    return c.replays, c.calls


def reason(f):
    return (f.forward if isinstance(f, nn.Module) else f)._compiled.reason


def test_the_second_call_of_a_kind_is_recorded_and_replayed():
    calls = []
    seen_by = []

    def f(x):
        seen_by.append(len(calls))
        return x * 2

    g = torch.compile(f)
    for _ in range(3):
        g(torch.ones(2))
    assert len(seen_by) == 3 and counts(g) == (0, 3)  # it changes what it reads

    g = torch.compile(Net().eval())
    for n in (2, 2, 2, 3, 3, 2, 3):
        g(torch.ones(n, 3))
    assert counts(g) == (5, 2)
    g.train()
    for _ in range(4):
        g(torch.ones(2, 3))
    g.eval()
    g(torch.ones(2, 3))
    assert counts(g) == (9, 3) and reason(g) is None


def test_nothing_is_recorded_anew_by_training(deterministic):
    net = torch.compile(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)))
    opt = torch.optim.AdamW(net.parameters())
    x = torch.randn(4, 3)
    for k in range(30):
        if k == 10:
            nodes = torch.debug.stats()["nodes"]
        opt.zero_grad()
        net(x).square().mean().backward()
        opt.step()
    assert torch.debug.stats()["nodes"] == nodes
    assert counts(net) == (29, 1)


def prints(x):
    print(x.shape)
    return x


def reads(x):
    return x * x.sum().item()


def tries(x):
    try:
        return x + 1
    except RuntimeError:
        return x


def imports(x):
    import math

    return x * math.pi


def draws(x):
    return x * random.random()


def differentiates(x):
    return x.detach().requires_grad_()


def uses_a_module(x):
    m = math
    return x * m.pi


def seeds(x):
    torch.manual_seed(0)
    return x + torch.rand(2)


def makes_a_class(x):
    class A:
        pass

    return x + len(A.__name__)


def counts_up(x):
    LIST.append(1.0)
    return x


@torch.compiler.disable
def kept_out(x):
    return x


def calls_what_is_kept_out(x):
    return kept_out(x) + 1


REASONS = {
    prints: "it calls print",
    reads: r"the value of a tensor is asked for at .*test_replay.py:\d+",
    tries: "tries: it has a try statement",
    imports: "imports: it imports math",
    draws: "it calls random of a Random",
    differentiates: "mentions .requires_grad_",
    uses_a_module: "it uses the module math as a value",
    seeds: "it calls manual_seed",
    makes_a_class: "it makes a class",
    calls_what_is_kept_out: "kept_out, which is disabled for compiling",
}


@pytest.mark.parametrize("f", REASONS, ids=lambda f: f.__name__)
def test_reasons(f, capsys):
    g = torch.compile(f)
    for _ in range(3):
        g(torch.ones(2))
    assert counts(g)[0] == 0
    assert re.search(REASONS[f], reason(g)), reason(g)
    whole = torch.compile(f, fullgraph=True)
    with pytest.raises(Unsupported, match=REASONS[f]):
        for _ in range(2):
            whole(torch.ones(2))


def test_effects_in_branches_that_are_not_taken_do_no_harm():
    def f(x, loud):
        if loud:
            print(x)
            noise()
        return x * 2

    g = torch.compile(f, fullgraph=True)
    for _ in range(3):
        g(torch.ones(1), False)
    assert counts(g) == (2, 1)
    with pytest.raises(Unsupported, match="it calls print"):
        g(torch.ones(1), True)
    profile = cProfile.Profile()
    g = torch.compile(f)
    profile.enable()  # there can be one profiler: it cannot be told what is called
    for _ in range(3):
        g(torch.ones(1), False)
    profile.disable()
    assert counts(g) == (0, 3)


def test_side_effects_are_a_reason_but_no_error():
    g = torch.compile(counts_up, fullgraph=True)
    for _ in range(4):
        g(torch.ones(2))
    assert counts(g)[0] == 0 and "it changes what it reads: a list" in reason(g)
    LIST[:] = [1.0, 2.0]


def test_there_is_a_limit():
    g = torch.compile(lambda x, k: x * k, recompile_limit=3)
    for k in range(6):
        assert g(torch.ones(1), k).item() == k
    assert "more than 3 kinds of calls" in reason(g) and counts(g) == (0, 6)
    for _ in range(3):
        g(torch.ones(1), 2)  # is known
        g(torch.ones(1), 5)
    assert counts(g) == (3, 9)
    torch.compiler.reset()
    for _ in range(3):
        g(torch.ones(1), 5)
    assert counts(g) == (5, 10)
    for k in range(500):
        g(torch.ones(1), k / 2)
    g(torch.ones(1), 5)  # it is not looked for any longer
    assert counts(g) == (5, 511)


def test_what_keeps_changing_is_called_as_it_is():
    box = Config(1)
    g = torch.compile(lambda x: x * box.depth)
    for k in range(20):
        box.depth = k
        assert g(torch.ones(1)).item() == k
    assert "what it reads keeps changing: depth changed" in reason(g) and counts(g) == (0, 20)


def test_stances():
    g = torch.compile(lambda x: x + 1)
    x = torch.ones(2)
    g(x), g(x), g(x)
    assert counts(g) == (2, 1)
    with torch.compiler.set_stance("force_eager"):
        g(x)
    assert counts(g) == (2, 2)
    g(x)
    with torch.compiler.set_stance("eager_on_recompile"):
        g(x), g(x[:1]), g(x[:1])
    assert counts(g) == (4, 4)
    with torch.compiler.set_stance("fail_on_recompile"):
        g(x)
        with pytest.raises(RuntimeError, match="fail_on_recompile"):
            g(x[:1])

    @torch.compiler.set_stance("force_eager")
    def f():
        return g(x)

    before = counts(g)
    g(x)
    f()
    assert counts(g) == (before[0] + 1, before[1] + 1)


def test_backends_that_run_python_do():
    ran = []

    def f(x):
        ran.append(1)
        return x

    g = torch.compile(f, backend="eager")
    for _ in range(3):
        g(torch.ones(1))
    assert len(ran) == 3 and counts(g) == (0, 3)


def test_arguments_are_not_kept():
    g = torch.compile(lambda x, y: {"a": x * 2, "b": y})
    died = []
    for _ in range(4):
        x, y = torch.ones(2), torch.ones(3)
        for t in (x, y):
            weakref.finalize(t, died.append, 1)
        g(x, y)
    del x, y, t
    torch.ones(1).item()
    gc.collect()
    assert len(died) == 8


def test_a_function_and_what_it_holds_can_die():
    net = Net().eval()
    gone = weakref.ref(net)
    f = torch.compile(net)
    for _ in range(3):
        f(torch.ones(2, 3))
    del f, net
    torch.ones(1).item()
    gc.collect()
    assert gone() is None


def test_threads():
    net = torch.compile(Net().eval().requires_grad_(False))
    x = torch.randn(2, 3)
    want = net(x).tolist()
    got = []

    def work():
        for _ in range(20):
            got.append(net(x).tolist())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == 60 and all(torch.allclose(torch.tensor(y), torch.tensor(want)) for y in got)
