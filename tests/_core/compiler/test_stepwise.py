"""A program that runs a step at a time gives what it gives in one call."""

import numpy as np

import tenfold as torch
from tenfold._core.compiler.machine import Machine
from tenfold._core.compiler.stepwise import Stepwise, clocked
from tenfold._core.trace.watch import as_usual, running


def runs_of(f):
    """(graph, results, program, inputs, scalars, path's end) of each program that f runs."""
    found = []

    def runner(plan, w):
        n, k = w.at.nin, w.at.nscal
        found.append((plan.graph, plan.program.results, plan.program, w.inputs[:n], w.scalars[:k]))
        return as_usual(plan, w)

    torch.debug.end_walk()
    with running(runner):
        f()
    return found


torch.manual_seed(0)
x, w = torch.randn(6, 5, requires_grad=True), torch.randn(5, 4)


def program():
    x.grad = None
    y = torch.softmax((x @ w).sort().values * 0.5, 1)
    y.pow(2).sum().backward()
    return x.grad.tolist(), y.tolist()


def test_the_same_bits_as_in_one_call():
    for graph, results, _, inputs, scalars in runs_of(program):
        whole, steps = Machine(graph, results), Stepwise(graph, results)
        a, b = whole.run(inputs, scalars), steps.run(inputs, scalars)
        assert list(a) == list(b) == list(results)
        for i in results:
            np.testing.assert_array_equal(a[i], b[i])
        assert all(t > 0 for t in steps.times)
        assert len(steps.measure(inputs, scalars, 0.01)) == len(steps.recipe.steps) == len(steps.builder.group_of)


def test_measuring_leaves_the_inputs_alone():
    for graph, results, _, inputs, scalars in runs_of(program):
        before = [v.copy() if isinstance(v, np.ndarray) else v for v in inputs]
        steps = Stepwise(graph, results)
        steps.run(inputs, scalars)
        steps.measure(inputs, scalars, 0.01)
        for a, b in zip(before, inputs):
            np.testing.assert_array_equal(a, b)


def test_every_step_knows_where_it_came_from():
    (run, *_) = runs_of(program)
    builder = Stepwise(run[0], run[1]).builder
    assert all(builder.sources(g) for g in builder.group_of)


def test_the_interpreter_with_a_clock():
    _, results, plain, inputs, scalars = runs_of(lambda: (torch.arange(4.0) * 2).exp().tolist())[0]
    copy, times = clocked(plain)
    a, b = plain.run(inputs, scalars), copy.run(inputs, scalars)
    for i in results:
        np.testing.assert_array_equal(a[i], b[i])
    assert len(times) == len(plain.steps)
