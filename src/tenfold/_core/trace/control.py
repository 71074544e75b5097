"""Steering the recorder from outside: ending a walk, computing at once, counters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..ir import operation
from . import skeleton
from .flush import flush
from .handle import tls


def end_walk() -> None:
    """Ends this thread's walk: what is still referenced of it is computed."""
    w = tls.walk
    while w.level is not None:
        flush(w)
        w = w.level.outer
    if not w.body and w.at.parent is not None:
        flush(w)


def stats() -> dict[str, int]:
    """Counters of this thread's recorder, from its start: edges walked, of them hits and misses; flushes; programs
    made, and paths that run with one made for other sizes; nodes on the tree; remembered specs (for the whole process)."""
    w = tls.walk
    edges = w.edges + w.at.depth
    return {
        "edges": edges,
        "hits": max(edges - w.misses, 0),
        "misses": w.misses,
        "flushes": w.flushes,
        "programs": w.planned,
        "rebound": skeleton.count(),
        "nodes": w.nodes,
        "specs": len(operation._specs),
    }


@contextmanager
def eager(enabled: bool = True) -> Iterator[None]:
    """Every operation is computed when it is called (as with TENFOLD_EAGER=1)."""
    end_walk()
    w = tls.walk
    before = w.eager
    w.eager = enabled
    try:
        yield
    finally:
        end_walk()
        w.eager = before


@contextmanager
def record_only(enabled: bool = True) -> Iterator[None]:
    """A backend that computes nothing, for measuring what recording costs: a program that has run once gives the same
    results again. The numbers are then wrong; use it in benchmarks alone."""
    end_walk()
    w = tls.walk
    before = w.runner
    w.runner = _again if enabled else None
    try:
        yield
    finally:
        end_walk()
        w.runner = before


def _again(plan, w) -> tuple:
    if plan.cache is None:
        values, _ = plan.told(plan.program.run(w.inputs, w.scalars))
        plan.cache = tuple([np.array(x, order="C") for x in values])
    return list(plan.cache), []  # each as if it were memory of its own
