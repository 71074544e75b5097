"""Looking at programs while they run: who runs them instead of `Plan.run`, and what `tenfold.explain` collects.

A runner is a function (plan, walk) that gives what `Plan.run` does. While there is one, the first visit of a
path is planned too, so that the runner sees every walk."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from .. import config
from ..compiler.explain import SILENT, Path, explain_run, line_at, why_not
from ..compiler.explain_text import Explanation, Total, short
from .control import end_walk
from .flush import trim
from .handle import Walk, tls
from .replay import COMPILED
from .walk import user_line

MOST_PATHS = 2000  # that are counted for the end of a process
MOST_CALLS = 12  # of a function whose paths keep changing


@contextmanager
def running(runner: Callable[[Any, Walk], tuple] | None) -> Iterator[None]:
    """This thread's programs are run by that function."""
    w = tls.walk
    before = w.runner
    w.runner = runner
    try:
        yield
    finally:
        w.runner = before


def as_usual(plan, w: Walk) -> tuple:
    """What happens without a runner."""
    with running(None):
        return plan.run(w)


@contextmanager
def own_tree() -> Iterator[None]:
    """This thread records on a tree of its own for a while: every edge is new, so its line is where it was called now (an
    edge keeps the line that walked it first)."""
    end_walk()
    w = tls.walk
    before, nodes = w.roots, w.nodes
    trim(w)
    try:
        yield
    finally:
        try:
            end_walk()
        finally:
            at = w.at
            w.roots, w.nodes = before, nodes
            w.at = w.root(at.mode, at.cast)


def is_settled(plan) -> bool:
    """Whether a path has reached the visit from which on it always runs in the same way."""
    return plan.visits >= config.COMPILE_AT or not config.COMPILE


class _Seen:
    """The paths of the calls of a function, and how often each was visited."""

    def __init__(self):
        self.visits: dict[Any, int] = {}
        self.call: list = []  # the plans of one call
        self.paths: dict[Any, Path] = {}
        self.after = False  # the function has returned

    def count(self, plan, w: Walk) -> None:
        self.visits[plan] = self.visits.get(plan, 0) + 1
        self.call.append(plan)

    def run(self, plan, w: Walk) -> tuple:
        self.count(plan, w)
        return as_usual(plan, w)

    def measure(self, plan, w: Walk) -> tuple:
        if plan in self.paths:  # measured before in this call
            return self.run(plan, w)
        self.count(plan, w)
        if not is_settled(plan):
            plan.visit(w)
        end = w.at
        n, k = end.nin, end.nscal
        env, path = explain_run(end, plan.graph, plan.program, plan.machine, w.inputs[:n], w.scalars[:k])
        path.ended = None if self.after else line_at(user_line())
        if not is_settled(plan):
            path.why = f"compiled from visit {config.COMPILE_AT} on, and this was visit {self.visits[plan]}"
        self.paths[plan] = path
        return plan.told(env)


def explain(f: Callable, *args, **kwargs) -> Explanation:
    """Shows what running `f(*args, **kwargs)` really does: the operations in order, the kernels that they became and why
    they were cut where they were, the time of each, and the memory plan.

    `f` is called several times, as a loop would: until all its paths are compiled (they are compiled anew, to know where
    everything comes from), and once more to measure. Give it the step of a training loop, for example; what that does to
    parameters and random numbers, it does that often.

    Args:
        f: a function. What it returns is computed, as if it were used afterwards.
        args, kwargs: its arguments.
    Returns: an `Explanation`. `print` it, or `.save("page.html")` it as a page.
    Raises: what `f` raises.
    Example: print(torch.explain(step))
    """
    with own_tree():
        return _explain(f, args, kwargs)


def _explain(f: Callable, args: tuple, kwargs: dict) -> Explanation:
    seen = _Seen()
    calls = 0
    for _ in range(MOST_CALLS):
        seen.call = []
        calls += 1
        with running(seen.run):
            f_result = f(*args, **kwargs)
            end_walk()
        del f_result
        if all([is_settled(p) for p in seen.call]):
            break
    before = {c: (c.replays, c.calls) for c in list(COMPILED)}
    with running(seen.measure):
        f_result = f(*args, **kwargs)  # noqa: F841  what is still referenced belongs to the path
        seen.after = True
        end_walk()
    calls += 1
    for plan, path in seen.paths.items():
        path.visits = seen.visits[plan]
    others = {p: n for p, n in seen.visits.items() if p not in seen.paths}
    compiled = []
    for c, (replays, plain) in before.items():
        replays, plain = c.replays - replays, c.calls - plain
        if replays or plain:
            compiled.append((c.name, replays, plain, c.reason))
    name = getattr(f, "__name__", type(f).__name__)
    return Explanation(name, calls, list(seen.paths.values()), sorted(others.values()), sorted(compiled))


class _Totals:
    """All runs of this thread's paths."""

    def __init__(self):
        self.paths: dict[Any, list] = {}  # plan -> [runs, seconds, the best of them, where it ended, operations]
        self.others: set[int] = set()

    def run(self, plan, w: Walk) -> dict:
        total = self.paths.get(plan)
        if total is None:
            if len(self.paths) >= MOST_PATHS:
                self.others.add(id(plan))
                return as_usual(plan, w)
            operations = sum(1 for _ in _operations(w.at))
            total = self.paths[plan] = [0, 0.0, float("inf"), line_at(user_line()), operations]
        begin = perf_counter()
        try:
            return as_usual(plan, w)
        finally:
            total[0] += 1
            taken = perf_counter() - begin
            total[1] += taken
            total[2] = min(total[2], taken)

    def text(self) -> str:
        rows = []
        for plan, (runs, seconds, best, ended, operations) in self.paths.items():
            machine = plan.machine
            if machine is not None:
                steps, arena, why = len(machine.recipe.steps), machine.recipe.arena, ""
            else:
                steps, arena = len(plan.program.order), 0
                why = (
                    f"before visit {config.COMPILE_AT}"
                    if not is_settled(plan)
                    else why_not(plan.graph, plan.program.results)
                )
            rows.append(Total(runs, seconds, best, ended, operations, steps, arena, why))
        return short(rows, len(self.others))


def _operations(n) -> Iterator:
    while n.parent is not None:
        if n.op not in SILENT:
            yield n
        n = n.parent


def explain_at_exit() -> None:
    """Counts and times the programs of this thread from now on, and prints what there was when the process ends
    (TENFOLD_EXPLAIN=1)."""
    totals = _Totals()
    tls.walk.runner = totals.run

    def show() -> None:
        tls.walk.runner = None
        print(totals.text(), file=sys.stderr)

    atexit.register(show)
