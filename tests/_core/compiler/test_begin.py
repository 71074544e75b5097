"""Products that begin with what would be added to them: which sums become that, and that they stay what they are."""

import numpy as np
import pytest

import tenfold as torch
from tenfold._core.compiler.begin import begin_products
from tenfold._core.ir.arrays import Arrays, contiguous, verify

F4 = np.dtype("f4")


class Made:
    """A graph in the making."""

    def __init__(self):
        self.graph = Arrays()

    def given(self, position: int, *shape):
        memory = self.graph.make("input", None, (), (int(np.prod(shape)),), F4, (position, False))
        return self.graph.view(memory, shape, contiguous(shape))

    def product(self, a, b):
        return self.graph.make("matmul", None, (a, b), (*a.shape[:-1], b.shape[-1]), F4)

    def add(self, x, y):
        return self.graph.map("add", (x, y), F4)

    def begun(self, *wanted) -> list[str]:
        """The kinds of the wanted nodes after that, with the number of operands of products."""
        begin_products(self.graph, list(self.graph.nodes), list(wanted))
        verify(self.graph)
        return [f"{n.kind} {len(n.args)}" for n in wanted]


def test_a_bias_and_a_sum_of_products():
    m = Made()
    x, w, b = m.given(0, 4, 5), m.given(1, 5, 3), m.given(2, 3)
    biased = m.add(m.product(x, w), b)
    total = m.add(
        m.add(m.product(x, w), m.product(m.given(3, 4, 2), m.given(4, 2, 3))),
        m.product(m.given(5, 4, 2), m.given(6, 2, 3)),
    )
    assert m.begun(biased, total) == ["map 2", "matmul 3"]  # x w is one array, which both need

    m = Made()
    x, w = m.given(0, 4, 5), m.given(1, 5, 3)
    total = m.add(
        m.add(m.product(x, w), m.product(m.given(3, 4, 2), m.given(4, 2, 3))),
        m.product(m.given(5, 4, 2), m.given(6, 2, 3)),
    )
    assert m.begun(total) == ["matmul 3"]
    inner = total.args[2]
    assert inner.kind == "matmul" and len(inner.args) == 3 and len(inner.args[2].args) == 2


def test_a_product_that_is_seen_turned_or_in_another_shape():
    m = Made()
    p = m.product(m.given(0, 4, 5), m.given(1, 5, 3))
    turned = m.add(m.graph.view(p, (3, 4), (1, 3)), m.given(2, 3, 4))
    q = m.product(m.given(3, 6, 5), m.given(4, 5, 3))
    shaped = m.add(m.graph.reshape(q, (2, 3, 3)), m.given(5, 3))
    back = m.graph.view(shaped, (3, 6), (1, 3))
    assert m.begun(turned, shaped, back) == ["matmul 3", "view 1", "view 1"]
    assert back.args[0] is shaped.args[0] and shaped.args[0].shape == (6, 3)


@pytest.mark.parametrize("what", ["needed", "twice", "a number", "computed", "repeated"])
def test_what_stays_a_sum(what):
    m = Made()
    p = m.product(m.given(0, 4, 5), m.given(1, 5, 3))
    start = m.given(2, 4, 3)
    if what == "a number":
        start = m.graph.number(2.5, F4)
    elif what == "computed":
        start = m.graph.map("exp", (start,), F4)
    elif what == "twice":
        start = p
    elif what == "repeated":
        start = m.given(2, 2, 4, 3)
    total = m.add(p, start)
    found = m.begun(total, *[p] * (what == "needed"))
    assert found[0] == "map 2"


def test_compiled_sums_of_products(compiled_at_once):
    rng = np.random.default_rng(0)
    t = lambda *shape: torch.tensor(rng.standard_normal(shape).astype(np.float32))
    x, y, w, b, r = t(6, 200), t(2, 3, 200), t(7, 200), t(7), t(6, 7)

    def run():
        a, c = w.clone().requires_grad_(), b.clone().requires_grad_()
        first = torch.nn.functional.linear(x, a, c)
        second = torch.nn.functional.linear(y, a, c)
        (first.tanh().sum() + second.tanh().sum() + (x @ a.t() + r).sin().sum()).backward()
        return [v.detach().numpy() for v in (first, second, a.grad, c.grad, x @ w.t() + r + x @ w.t())]

    found = run()
    X, Y, W, B, R = [v.numpy().astype(np.float64) for v in (x, y, w, b, r)]
    first, second, third = X @ W.T + B, Y @ W.T + B, X @ W.T + R
    gradients = [1 - np.tanh(first) ** 2, 1 - np.tanh(second).reshape(6, 7) ** 2, np.cos(third)]
    expected = [first, second, sum(g.T @ v for g, v in zip(gradients, (X, Y.reshape(6, 200), X))),
                (gradients[0] + gradients[1]).sum(0), 2 * X @ W.T + R]  # fmt: skip
    for got, want in zip(found, expected):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
