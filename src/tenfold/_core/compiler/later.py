"""When a path is compiled: in the background from one visit on, in use from a later one, whatever the timing.

A run's numbers must not depend on how fast the compiler was: the visit at which the compiled program takes over is
fixed, and waits for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from .. import config
from ..backends.cpu import jit, threads
from ..ir.graph import Graph
from .expand import Uncompilable
from .machine import Machine

_workers: ThreadPoolExecutor | None = None
_lock = threading.Lock()
_told = False  # whether the end of the process will be told to _leave
_forks = 0  # how often this process is a child of one that had it loaded


def _made(make: Callable, *parts) -> Any:
    try:
        return make(*parts)
    except (Uncompilable, NotImplementedError, jit.Leaving):
        return None
    except Exception:  # a mistake of the compiler's is no reason to stop a program that can be interpreted
        if config.VERIFY:
            raise
        return None


def _sizes(graph: Graph, inputs: list) -> dict[int, int]:
    """The lengths of inputs that may have any."""
    return {p: inputs[p].size for i, p in graph.inputs.items() if graph.lays[i].flat}


class Pending:
    """A program that is being made in the background."""

    def __init__(self, make: Callable, *parts):
        self.make, self.parts = make, parts
        self.forks = _forks
        self.future = _pool().submit(make, *parts)

    def result(self) -> Any:
        """The program, waited for; None where there is none."""
        if self.forks != _forks:  # a fork has no compiler thread
            return self.make(*self.parts)
        return None if self.future.cancelled() else self.future.result()


def _pool() -> ThreadPoolExecutor:
    global _workers, _told
    with _lock:
        if _workers is None:
            _workers = ThreadPoolExecutor(1, "tenfold-compiler")
            at_end = getattr(threading, "_register_atexit", None)  # called before threads are waited for
            if at_end is not None and not _told:
                at_end(_leave)
                _told = True
        return _workers


def _leave() -> None:
    """The process ends: the kernel that is being compiled is finished, and nothing is begun."""
    jit.leaving = True
    if _workers is not None:
        _workers.shutdown(wait=False, cancel_futures=True)


def start(graph: Graph, results, inputs: list, donors: dict[int, int]) -> Pending | None:
    """Begins to compile, for inputs of those lengths; None where there is no compiler."""
    return begin(Machine, graph, results, _sizes(graph, inputs), donors)


def begin(make: Callable, *parts) -> Pending | None:
    """Begins to make a program, of what is told; None where there is no compiler."""
    if not config.COMPILE or not jit.available():
        return None
    try:
        return Pending(_made, make, *parts)
    except RuntimeError:  # the process ends
        return None


def in_background(work: Callable[[], Any]) -> None:
    """Does that on the compiler's thread, after what it has been given before."""
    with suppress(RuntimeError):  # the process ends
        _pool().submit(work)


def now(graph: Graph, results, inputs: list, donors: dict[int, int]) -> Machine | None:
    """Compiles at once."""
    return _made(Machine, graph, results, _sizes(graph, inputs), donors) if config.COMPILE and jit.available() else None


def _before_fork() -> None:
    jit.MAKING.acquire()
    jit.LOCK.acquire()


def _after_fork_here() -> None:
    jit.LOCK.release()
    jit.MAKING.release()


def _after_fork_in_child() -> None:
    """The child has no compiler thread; what it waited for is compiled anew (Pending)."""
    global _workers, _lock, _forks
    _workers, _lock = None, threading.Lock()
    _forks += 1
    _after_fork_here()
    threads.pool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_here, after_in_child=_after_fork_in_child)
