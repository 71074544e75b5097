"""Random functions with state that is changed at random between their calls: compiled or not, they see the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tenfold as torch
from tenfold import nn

FACTOR = 1.0


class World(nn.Module):
    """A module that does what its program says; everything that it may read is changed by `ACTIONS`."""

    gain = 1.0

    def __init__(self, program, closed):
        super().__init__()
        self.program = program
        self.closed = closed
        self.layer = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.3)
        self.parts = nn.ModuleList([nn.Linear(3, 3), nn.Tanh()])
        self.numbers = [1.0, 2]
        self.table = {"a": 0.5, "deep": [1, {"b": 2.0}]}
        self.flag = True
        self.count = 0
        self.register_buffer("total", torch.zeros(3))
        self.log = []

    def other(self, x):
        return x - self.numbers[0]

    def forward(self, x, k=2, extra=()):
        found = []
        for what in self.program:
            if what == "layer":
                x = self.layer(x)
            elif what == "norm":
                x = self.norm(x)
            elif what == "drop":
                x = self.drop(x)
            elif what == "parts":
                for part in self.parts:
                    x = part(x)
            elif what == "numbers":
                for n in self.numbers:
                    x = x * n
            elif what == "table":
                x = x + self.table["a"] + self.table["deep"][1]["b"]
            elif what == "flag":
                x = -x if self.flag else x + k
            elif what == "gain":
                x = x * self.gain * FACTOR
            elif what == "closed":
                x = self.closed(x)
            elif what == "extra":
                x = x + sum(extra) if extra else x
            elif what == "other":
                x = self.other(x)
            elif what == "made":
                y = torch.zeros_like(x)
                y[0] = x[-1].detach()
                y += 1
                x = x + y
            elif what == "view":
                found.append(x[0])
            elif what == "random":
                x = x + torch.rand(3)
            elif what == "total":
                with torch.no_grad():
                    self.total += x.detach().sum(0)
            elif what == "count":
                self.count += 1
            elif what == "log":
                self.log.append(k)
            elif what == "read":
                x = x * 2 if x.sum().item() > 0 else x
            elif what == "shape":
                x = x + x.shape[0] * (1 if x.requires_grad else 2)
        return (x, found) if found else x


WHATS = (
    "layer norm drop parts numbers table flag gain closed extra other made view random total shape layer gain flag numbers"
).split()
RARE = "count log read".split()


def change_global(w, k):
    global FACTOR
    FACTOR = float(k)


def replace_parameter(w, k):
    w.layer.weight = nn.Parameter(torch.full((3, 3), k / 4))


def write_parameter(w, k):
    with torch.no_grad():
        w.layer.weight.mul_(k / 2)


def hook(w, k):
    handle = w.layer.register_forward_hook(lambda m, args, out: out + k)
    if k % 2:
        handle.remove()


ACTIONS = [
    lambda w, k: w.train(k % 2 == 0),
    lambda w, k: w.drop.train(k % 2 == 0),
    lambda w, k: setattr(w, "flag", k % 2 == 0),
    lambda w, k: setattr(w, "gain", [1, 1.0, True, 2.0, -0.0][k % 5]),
    lambda w, k: setattr(World, "gain", float(k)) if k % 2 else w.__dict__.pop("gain", None),
    lambda w, k: w.numbers.append(k) if k % 2 or not w.numbers else w.numbers.pop(),
    lambda w, k: w.numbers.__setitem__(slice(0, 1), [float(k)]),
    lambda w, k: setattr(w, "numbers", [k / 2]),
    lambda w, k: w.table["deep"][1].update(b=k),
    lambda w, k: w.table.update(a=k, new=1),
    lambda w, k: w.parts.append(nn.ReLU()) if k % 2 else w.parts.__setitem__(0, nn.Identity()),
    lambda w, k: setattr(w, "closed", make(k)),
    lambda w, k: setattr(w, "other", lambda x: x + k) if k % 2 else w.__dict__.pop("other", None),
    lambda w, k: setattr(w.norm, "momentum", [None, 0.1, 0.5][k % 3]),
    lambda w, k: setattr(w.drop, "p", k / 10),
    lambda w, k: w.layer.weight.requires_grad_(k % 2 == 0),
    lambda w, k: w.program.append(WHATS[k]),
    lambda w, k: w.__dict__.update(flag=k % 2 == 1),
    lambda w, k: w.total.zero_() if k % 2 else setattr(w, "total", torch.ones(3)),
    lambda w, k: setattr(w.layer, "bias", None) if k % 2 else None,
    lambda w, k: torch.manual_seed(k),
    change_global,
    replace_parameter,
    write_parameter,
    hook,
]


def make(k):
    """A function with a variable of its own."""
    parts = [k]

    def closed(x):
        return x * (k + 1) / len(parts) + sum(parts)

    closed.parts = parts
    return closed


@pytest.fixture(autouse=True, scope="module")
def same_bits():
    """At every visit of a path."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def arguments(kind):
    x = torch.arange(12.0).view(4, 3) / 6 - 1
    return [
        lambda: (x,),
        lambda: (x[:2],),
        lambda: (x.t().contiguous().t(),),
        lambda: (x.clone().requires_grad_(),),
        lambda: (x, 3),
        lambda: (x, 3.0, (x, x)),
        lambda: (x, 2, [1, x]),
        lambda: (x * 2 + 1,),
    ][kind]()


def run(program, acts, compile):
    """What is seen of calls with changes in between."""
    global FACTOR
    FACTOR, World.gain = 1.0, 1.0
    torch.manual_seed(1)
    w = World(list(program), make(1))
    f = compile(w)
    out = []
    for action, k, kind in acts:
        if action is not None:
            ACTIONS[action](w, k)
        for _ in range(3 if k % 3 else 1):
            args = arguments(kind)
            got = f(*args)
            rows = [got] if isinstance(got, torch.Tensor) else [got[0], *got[1]]
            out.append([(y.tolist(), y.stride(), y.requires_grad) for y in rows])
            if rows[0].requires_grad and k % 2:
                w.zero_grad()
                rows[0].sum().backward()
                out.append([p.grad.tolist() if p.grad is not None else None for p in w.parameters()])
        out.append((w.total.tolist(), w.norm.running_mean.tolist(), w.count, list(w.log)))
    return out, f


def check(program, acts):
    """Asserts that both see the same; returns how many calls were replayed."""
    plain, _ = run(program, acts, lambda f: f)
    compiled, f = run(program, acts, torch.compile)
    assert compiled == plain
    return f.forward._compiled.replays


ACTS = st.lists(
    st.tuples(st.none() | st.integers(0, len(ACTIONS) - 1), st.integers(0, 9), st.sampled_from([0, 0, 0, *range(8)])), min_size=2, max_size=8
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(st.sampled_from(WHATS), min_size=1, max_size=6), ACTS)
def test_random_functions(program, acts):
    check(program, acts)


@settings(max_examples=20)
@given(st.lists(st.sampled_from([*WHATS, *RARE]), min_size=1, max_size=5), ACTS)
def test_random_functions_with_side_effects(program, acts):
    check(program, acts)


def test_they_are_replayed():
    acts = [(None, 1, 0), (2, 1, 0), (None, 2, 1), (21, 3, 0)]
    assert check(["layer", "gain", "flag", "numbers", "view", "total"], acts) >= 5
