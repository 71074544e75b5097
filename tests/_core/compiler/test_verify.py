"""The verifiers of graphs and recipes tell what is wrong, and nothing else."""

import numpy as np
import pytest

import tenfold as torch
from tenfold._core import config
from tenfold._core.compiler import build
from tenfold._core.compiler.build import KernelStep, recipe
from tenfold._core.compiler.verify import verify as verify_recipe
from tenfold._core.ir.arrays import Arrays, verify
from tenfold._core.ir.loops import Malformed
from tenfold._core.trace import flush

F4, I8, B = np.dtype("f4"), np.dtype("i8"), np.dtype("?")


def arrays():
    """A graph, an array of (2, 3) and one of (3, 4), both of memory from outside."""
    g = Arrays()
    x = g.view(g.make("input", None, (), (6,), F4, (0, False)), (2, 3), (3, 1))
    y = g.view(g.make("input", None, (), (12,), F4, (1, False)), (3, 4), (4, 1))
    return g, x, y


RIGHT = {
    "a map": lambda g, x, y: g.map("add", (x, g.number(1, F4)), F4),
    "a comparison": lambda g, x, y: g.map("lt", (x, x), B),
    "a reduction": lambda g, x, y: g.make("reduce", "sum", (x,), (2,), F4, (1,)),
    "a view": lambda g, x, y: g.view(x.args[0], (2, 2), (3, 1), 1),
    "a turned view": lambda g, x, y: g.view(x.args[0], (6,), (-1,), 5),
    "a view of nothing": lambda g, x, y: g.view(x.args[0], (0, 9), (100, 100), 50),
    "a product": lambda g, x, y: g.make("matmul", None, (x, y), (2, 4), F4),
    "a part": lambda g, x, y: g.make("put", None, (x, g.number(1, F4)), x.shape, F4, ((), 5, None, 0)),
}
WRONG = {
    "a map of another shape": lambda g, x, y: g.make("map", "add", (x, x), (3, 2), F4),
    "a map of two dtypes": lambda g, x, y: g.map("add", (x, g.number(1, I8)), F4),
    "a map that is none": lambda g, x, y: g.map("sort", (x,), F4),
    "a map of too many": lambda g, x, y: g.map("neg", (x, x), F4),
    "a comparison that gives floats": lambda g, x, y: g.map("lt", (x, x), F4),
    "a choice by a float": lambda g, x, y: g.map("select", (x, x, x), F4),
    "a dtype that there is not": lambda g, x, y: g.map("cast", (x,), "f2"),
    "a reduction that keeps its dim": lambda g, x, y: g.make("reduce", "sum", (x,), (2, 1), F4, (1,)),
    "a reduction of a dim that there is not": lambda g, x, y: g.make("reduce", "sum", (x,), (2,), F4, (2,)),
    "a view beyond the end": lambda g, x, y: g.view(x.args[0], (2, 3), (3, 1), 1),
    "a view before the beginning": lambda g, x, y: g.view(x.args[0], (6,), (-1,), 4),
    "a view of a view": lambda g, x, y: g.make("view", None, (x,), (6,), F4, ((1,), 0)),
    "a product of sizes that do not fit": lambda g, x, y: g.make("matmul", None, (y, x), (3, 3), F4),
    "rows by floats": lambda g, x, y: g.make("take", None, (x, x), (2, 3, 3), F4),
    "a part that overlaps": lambda g, x, y: g.make("put", None, (y, x), y.shape, F4, ((2, 1), 0, None, 0)),
    "a part beyond the end": lambda g, x, y: g.make("put", None, (x, g.number(1, F4)), x.shape, F4, ((), 6, None, 0)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_graphs_that_are_right(name):
    g, x, y = arrays()
    RIGHT[name](g, x, y)
    assert verify(g) is g and len(g.text().splitlines()) == len(g.nodes)


@pytest.mark.parametrize("name", WRONG)
def test_graphs_that_are_wrong(name):
    g, x, y = arrays()
    WRONG[name](g, x, y)
    with pytest.raises(Malformed):
        verify(g)


def test_operands_come_first():
    g, x, y = arrays()
    RIGHT["a product"](g, x, y)
    g.nodes.reverse()
    with pytest.raises(Malformed):
        verify(g)


@pytest.fixture
def made(monkeypatch):
    """The recipe of a program with kernels, a product and several buffers in its arena."""
    found = []

    def run(plan, w):
        found.append(recipe(plan.graph, plan.program.results, {}))
        env = plan.program.run(w.inputs, w.scalars)
        return [env[i] for i in plan.program.results], None

    monkeypatch.setattr(flush.Plan, "run", run)
    monkeypatch.setattr(config, "COMPILE_AT", 1)
    x = torch.arange(12.0).reshape(3, 4).requires_grad_()
    h = torch.softmax((x @ x.t()) / 3, 1)
    (h @ x).tanh().sum().backward()
    assert x.grad.tolist()
    (r,) = found
    return verify_recipe(r)


def the_arena(r):
    return [b for b in r.buffers if b.kind == "arena"]


def overlapping(r):
    a, b = next((a, b) for a in the_arena(r) for b in the_arena(r) if a is not b and a.first < b.first <= a.last)
    b.offset = a.offset


def too_small(r):
    r.arena -= 64


def out_of_order(r):
    r.steps.reverse()
    for b in the_arena(r):
        b.first, b.last = 0, len(r.steps)
    for i, b in enumerate(the_arena(r)):
        b.offset = i * 1024
    r.arena = 1 << 20


def left_out(r):
    r.steps.pop(0)


def too_short(r):
    next(b for b in the_arena(r) if b.first < b.last).last -= 1


def beyond_its_buffer(r):
    step = next(s for s in r.steps if isinstance(s, KernelStep) and s.placed[0][0].kind == "arena")
    b, offset, *rest = step.placed[0]
    step.placed[0] = (b, offset + b.nbytes // 4, *rest)


def a_larger_loop(r):
    next(s for s in r.steps if isinstance(s, KernelStep)).sizes[-1] += 1


def a_result_in_the_arena(r):
    r.results[0].buffer = the_arena(r)[0]


MISTAKES = (
    overlapping, too_small, out_of_order, left_out, too_short, beyond_its_buffer, a_larger_loop, a_result_in_the_arena,
)  # fmt: skip


@pytest.mark.parametrize("spoil", MISTAKES, ids=lambda f: f.__name__)
def test_recipes_that_are_wrong(made, spoil):
    spoil(made)
    with pytest.raises(Malformed):
        verify_recipe(made)


def test_a_write_of_two_elements_in_one_place_is_told(made):
    step = next(s for s in made.steps if isinstance(s, KernelStep) and s.kernel.stores and len(s.sizes) == 2)
    _, a = step.kernel.stores[0]
    b, offset, strides, *rest = step.placed[a]
    step.placed[a] = (b, offset, (0, strides[1]), *rest)
    with pytest.raises(Malformed):
        verify_recipe(made)


def test_under_the_flag_every_program_is_checked(monkeypatch):
    assert config.VERIFY, "the tests set it"
    monkeypatch.setattr(build, "verify_arrays", lambda g: (_ for _ in ()).throw(Malformed("told")))
    x = torch.ones(3)
    with pytest.raises(Malformed, match="told"):
        for _ in range(config.COMPILE_AT + 1):
            (x * 3.5 + 1).cos().tolist()
