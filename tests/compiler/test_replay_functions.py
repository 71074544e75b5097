"""What the function does: effects, branches, results, modes."""

import dataclasses
import enum
import functools
import math
import random

import pytest
from replaying import LOG, check, counts, noise, registering, seen

import tenfold as torch
from tenfold import nn

FLAG = True
SCALE = 2.0
F = nn.functional
PROGRAMS = []
program = registering(PROGRAMS)


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
    check(program)
