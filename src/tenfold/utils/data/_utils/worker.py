"""A worker process: reads the indices that it is sent, and answers each with a batch, an exception or the end.

The worker's main thread takes messages in and fetches; a second thread sends what is done, so that the worker goes on
while the loader is busy. It ends when its connection is closed or its parent is gone.
"""

import os
import queue
import threading
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import tenfold

from . import transport
from .exceptions import ExceptionWrapper
from .fetch import IterableFetcher, MapFetcher
from .seeding import seed_worker
from .worker_info import WorkerInfo, set_worker_info

PARENT_CHECK_SECONDS = 5.0

# The kinds of answers.
DATA = 0
FAILED = 1
ENDED = 2
RESUMED = 3


@dataclass
class Job:
    """All that a worker is started with."""

    dataset: Any
    make_fetcher: type[MapFetcher] | type[IterableFetcher]
    auto_collation: bool
    collate_fn: Any
    drop_last: bool
    base_seed: int
    worker_init_fn: Any
    worker_id: int
    num_workers: int


def run_worker(job: Job, connection: Connection) -> None:
    """The worker's main function."""
    answers = _Answers(connection)
    try:
        tenfold.set_num_threads(1)
        seed = seed_worker(job.base_seed, job.worker_id)
        set_worker_info(
            WorkerInfo(
                id=job.worker_id,
                num_workers=job.num_workers,
                seed=seed,
                dataset=job.dataset,
                rng=None,
                worker_method="multiprocessing",
            )
        )
        _Worker(job, connection, answers).serve()
    except KeyboardInterrupt:
        # Ctrl-C reaches every process of the terminal; the main one reports it.
        return
    finally:
        answers.finish()


class _Worker:
    def __init__(self, job: Job, connection: Connection, answers: "_Answers") -> None:
        self.job = job
        self.connection = connection
        self.answers = answers
        self.where = f"in DataLoader worker process {job.worker_id}"
        self.tasks: deque = deque()
        self.fetcher = None
        self.failure: ExceptionWrapper | None = None
        self.ended = False
        self.parent = os.getppid()
        self._run_init_fn()

    def _run_init_fn(self) -> None:
        if self.job.worker_init_fn is None:
            return
        try:
            self.job.worker_init_fn(self.job.worker_id)
        except Exception:
            self.failure = ExceptionWrapper(where=self.where)

    def serve(self) -> None:
        """Answer tasks until the other end hangs up."""
        while self._take_tasks():
            number, index = self.tasks.popleft()
            if number is None:
                self._restart()
            elif not self.ended:
                self._answer(number, index)

    def _take_tasks(self) -> bool:
        """Take in all that has been sent, waiting for one; False when the other end has hung up.

        Looking ahead also notices, before the next task is begun, that nobody wants its result.
        """
        try:
            while self.connection.poll(0 if self.tasks else PARENT_CHECK_SECONDS) or not self.tasks:
                if self.connection.poll(0):
                    self.tasks.append(self.connection.recv())
                elif os.getppid() != self.parent:
                    return False
        except (EOFError, OSError):
            return False
        return True

    def _restart(self) -> None:
        """Begin a new epoch."""
        self.fetcher = None
        self.ended = False
        self.answers.put((RESUMED, None, None))

    def _answer(self, number: int, index) -> None:
        kind, result = self._fetch(index)
        self.ended = kind == ENDED
        try:
            self.answers.put((kind, number, result))
        except Exception:
            # The batch cannot be pickled.
            self.answers.put((FAILED, number, ExceptionWrapper(where=self.where)))

    def _fetch(self, index) -> tuple:
        if self.failure is not None:
            return FAILED, self.failure
        try:
            if self.fetcher is None:
                job = self.job
                self.fetcher = job.make_fetcher(job.dataset, job.auto_collation, job.collate_fn, job.drop_last)
            return DATA, self.fetcher.fetch(index)
        except StopIteration as stop:
            if not self.job.make_fetcher.can_end:
                return FAILED, ExceptionWrapper((type(stop), stop, stop.__traceback__), where=self.where)
            return ENDED, None
        except Exception:
            return FAILED, ExceptionWrapper(where=self.where)


class _Answers:
    """Sends answers from a thread of its own."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.waiting: queue.SimpleQueue = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._send_all, name="tenfold-answers", daemon=True)
        self.thread.start()

    def put(self, answer: tuple) -> None:
        # Pickled here, where an exception still can be answered with.
        self.waiting.put(transport.pack(answer))

    def _send_all(self) -> None:
        try:
            while (packed := self.waiting.get()) is not None:
                transport.send(self.connection, packed)
        except OSError:
            # Nobody listens any more; the main thread finds out for itself.
            return

    def finish(self) -> None:
        # The thread is a daemon: a process that nobody listens to ends without sending what is left.
        self.waiting.put(None)
