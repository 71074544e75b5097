"""Groups: each node is in one of them, what a group needs runs before it, and what is needed whole is not in it."""

import random

import numpy as np
import pytest

from tenfold._core.compiler.group import base_of, fuses, group, is_read, is_source
from tenfold._core.ir.arrays import Arrays

F4 = np.dtype("f4")


def random_arrays(rng: random.Random, size: int) -> Arrays:
    """Element-wise nodes, sums, views and products of matrices on a few shapes."""
    graph = Arrays()
    pool = [graph.make("input", None, (), (16,), F4, (k, False)) for k in range(3)]
    pool = [graph.view(x, (4, 4), (4, 1)) for x in pool]
    while len(graph.nodes) < size:
        a, b = rng.choice(pool[-8:]), rng.choice(pool)
        what = rng.randrange(6)
        if what < 3:
            made = graph.map("add", (a, b), F4)
        elif what == 3:
            total = graph.make("reduce", "sum", (a,), (4,), F4, (1,))
            made = graph.map("sub", (b, graph.view(total, (4, 4), (1, 0))), F4)
        elif what == 4:
            made = graph.view(graph.map("mul", (a, a), F4), (4, 4), (1, 4))
        else:
            made = graph.make("matmul", None, (a, b), (4, 4), F4)
        pool.append(made)
    return graph


@pytest.mark.parametrize("seed", range(40))
def test_groups_of_random_arrays_can_run_in_their_order(seed):
    nodes = random_arrays(random.Random(seed), 150).nodes
    groups = group(nodes)
    home = {n.id: k for k, g in enumerate(groups) for n in g.members}
    computed = [n for n in nodes if not is_read(n) and not is_source(n)]
    assert sorted(home) == [n.id for n in computed]
    assert sum(len(g.members) for g in groups) == len(computed)
    for n in computed:
        for a in n.args:
            base = base_of(a)
            if is_source(base):
                continue
            if home[base.id] == home[n.id]:
                assert fuses(a, n) and a.shape == groups[home[n.id]].domain
            else:
                assert home[base.id] < home[n.id]


def test_a_chain_is_one_kernel():
    graph = Arrays()
    x = graph.make("input", None, (), (8,), F4, (0, False))
    for _ in range(20):
        x = graph.map("add", (x, x), F4)
    (only,) = group(graph.nodes)
    assert len(only.members) == 20
