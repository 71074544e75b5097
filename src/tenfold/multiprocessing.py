"""Processes: Python's own multiprocessing, and `spawn`. Tensors go to other processes as copies, by pickle."""

from __future__ import annotations

import multiprocessing as _stdlib
import sys
import traceback
from collections.abc import Callable
from multiprocessing import *  # noqa: F403  the same names as Python's
from multiprocessing import connection as _connection

__all__ = [
    *_stdlib.__all__,
    "ProcessContext",
    "ProcessRaisedException",
    "ProcessExitedException",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]

COPY = "copy"  # the one way in which tensors go to other processes


def get_all_sharing_strategies() -> set[str]:
    """How tensors may go to other processes: as copies."""
    return {COPY}


def get_sharing_strategy() -> str:
    """How tensors go to other processes: as copies."""
    return COPY


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepts PyTorch's strategies too, which share memory; here tensors go as copies whatever is set."""
    if new_strategy not in (COPY, "file_system", "file_descriptor"):
        raise AssertionError(f"set_sharing_strategy: {new_strategy!r} is none of {COPY}, file_system, file_descriptor")


class ProcessRaisedException(Exception):
    """A process of spawn raised an exception."""

    def __init__(self, msg: str, error_index: int, error_pid: int):
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, error_pid


class ProcessExitedException(Exception):
    """A process of spawn ended with an exit code that is not 0."""

    def __init__(self, msg: str, error_index: int, error_pid: int, exit_code: int | None):
        super().__init__(msg)
        self.msg, self.error_index, self.pid, self.exit_code = msg, error_index, error_pid, exit_code


def _run(fn: Callable, index: int, args: tuple, errors) -> None:
    """What each process does: fn(index, *args); the text of an exception goes to the parent."""
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        pass
    except Exception:
        errors.put(traceback.format_exc())
        sys.exit(1)


class ProcessContext:
    """The processes that spawn started with join=False."""

    def __init__(self, processes: list, errors: list):
        self.processes = processes
        self.error_queues = errors

    def pids(self) -> list[int]:
        """Their process ids."""
        return [p.pid for p in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Waits until one has failed, then ends the others and raises; True where all have ended well."""
        running = {p.sentinel: i for i, p in enumerate(self.processes) if p.exitcode is None}
        for sentinel in _connection.wait(list(running), timeout) if running else ():
            self.processes[running[sentinel]].join()
        failed = next((i for i, p in enumerate(self.processes) if p.exitcode not in (0, None)), None)
        if failed is None:
            return all(p.exitcode == 0 for p in self.processes)
        for p in self.processes:
            if p.is_alive():
                p.terminate()
            p.join(grace_period)
        raise self._failure(failed)

    def _failure(self, index: int) -> Exception:
        process = self.processes[index]
        if not self.error_queues[index].empty():
            text = f"\n\n-- Process {index} terminated with the following error:\n{self.error_queues[index].get()}"
            return ProcessRaisedException(text, index, process.pid)
        code = process.exitcode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return ProcessExitedException(f"process {index} terminated with {how}", index, process.pid, code)


def start_processes(
    fn: Callable, args=(), nprocs: int = 1, join: bool = True, daemon: bool = False, start_method="spawn"
):
    """Runs fn(i, *args) in nprocs processes, i from 0 on.

    Args: join: wait for all, and raise what one raises. Default True. start_method: "spawn", "fork" or "forkserver".
    Returns: None, or with join=False a ProcessContext."""
    context = _stdlib.get_context(start_method)
    processes, errors = [], []
    for i in range(nprocs):
        queue = context.SimpleQueue()
        process = context.Process(target=_run, args=(fn, i, args, queue), daemon=daemon)
        process.start()
        processes.append(process)
        errors.append(queue)
    found = ProcessContext(processes, errors)
    if not join:
        return found
    while not found.join():
        pass
    return None


def spawn(fn: Callable, args=(), nprocs: int = 1, join: bool = True, daemon: bool = False, start_method="spawn"):
    """Runs fn(i, *args) in nprocs new processes, i from 0 on; see `start_processes`."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)
