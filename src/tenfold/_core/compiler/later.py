"""When a path is compiled: in the background from one visit on, in use from a later one, whatever the timing.

A run's numbers must not depend on how fast the compiler was: the visit at which the compiled program takes over is
fixed, and waits for it."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from .. import config
from ..backends.cpu import jit
from ..ir.graph import Graph
from .expand import Uncompilable
from .machine import Machine

_workers: ThreadPoolExecutor | None = None
_lock = threading.Lock()


def _machine(graph: Graph, results) -> Machine | None:
    try:
        return Machine(graph, results)
    except (Uncompilable, NotImplementedError):
        return None
    except Exception:  # a mistake of the compiler's is no reason to stop a program that can be interpreted
        if config.VERIFY:
            raise
        return None


def _pool() -> ThreadPoolExecutor:
    global _workers
    with _lock:
        if _workers is None:
            _workers = ThreadPoolExecutor(1, "tenfold-compiler")
        return _workers


def start(graph: Graph, results) -> Future | None:
    """Begins to compile; None where there is no compiler."""
    if not config.COMPILE or not jit.available():
        return None
    return _pool().submit(_machine, graph, results)


def now(graph: Graph, results) -> Machine | None:
    """Compiles at once."""
    return _machine(graph, results) if config.COMPILE and jit.available() else None


def _before_fork() -> None:
    jit.LOCK.acquire()


def _after_fork_here() -> None:
    jit.LOCK.release()


def _after_fork_in_child() -> None:
    """The child has no compiler thread; what it waited for is compiled anew."""
    global _workers, _lock
    _workers, _lock = None, threading.Lock()
    jit.LOCK.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_here, after_in_child=_after_fork_in_child)
