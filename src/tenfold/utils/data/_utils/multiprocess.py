"""The loader's side of its workers: starts them, deals the sampler's indices out, takes the batches in, ends them.

Each worker has one connection of its own, so that one that dies in the middle of a message takes nobody with it, and
its death is seen at once. Batches are numbered in the sampler's order; a worker answers in the order it was asked.
"""

import contextlib
import itertools
import os
import signal
import socket
import time
import weakref
from collections import deque
from multiprocessing.connection import wait

from . import transport
from .fetch import IterableFetcher, MapFetcher
from .worker import DATA, ENDED, FAILED, RESUMED, Job, run_worker

END_SECONDS = 5.0


class Worker:
    """One worker process as its loader sees it.

    Args:
        context: the multiprocessing context that starts it.
        job: what it is started with.
    """

    def __init__(self, context, job: Job) -> None:
        self.active = True
        self.tasks = 0
        self.connection, other_end = context.Pipe()
        self.process = context.Process(target=run_worker, args=(job, other_end), daemon=True)
        try:
            self.process.start()
        except BaseException:
            self.connection.close()
            raise
        finally:
            other_end.close()

    def ask(self, number, index=None) -> None:
        """Send a task; number None asks for a new epoch."""
        # A worker that has died is found out when its answer is waited for.
        with contextlib.suppress(OSError):
            self.connection.send((number, index))
        self.tasks += 1

    def take(self) -> tuple:
        """The next answer, which must have begun to arrive."""
        answer = transport.receive(self.connection)
        self.tasks -= 1
        return answer

    def death(self) -> RuntimeError:
        """The error that says how this worker has ended."""
        self.process.join(END_SECONDS)
        code = self.process.exitcode
        if code is None:
            how = "it closed its connection"
        elif code < 0:
            how = f"killed by signal {signal.Signals(-code).name}"
        else:
            how = f"exit code {code}"
        return RuntimeError(
            f"DataLoader worker (pid(s) {self.process.pid}) exited unexpectedly: {how}. A killed worker has often run "
            "out of memory; with num_workers=0 an error shows where it happens."
        )


class Workers:
    """The worker processes of one iterator, and the order of their batches.

    Args:
        loader: the DataLoader.
        base_seed: worker i is seeded with `base_seed + i`.
    """

    def __init__(self, loader, base_seed: int) -> None:
        self.timeout = loader.timeout if loader.timeout > 0 else None
        self.in_order = loader.in_order
        self.limit = loader.prefetch_factor
        if self.limit <= 0:
            raise AssertionError(
                f"DataLoader: prefetch_factor must be greater than 0 with workers, got {self.limit}: "
                "they would never be asked for a batch."
            )
        self.workers: list[Worker] = []
        self.error: RuntimeError | None = None
        # Not `__del__`: this also runs at the interpreter's exit, while everything it needs is still there.
        self.finalizer = weakref.finalize(self, _end, self.workers, os.getpid())
        context = loader._worker_context()
        for worker_id in range(loader.num_workers):
            self._start(context, _job(loader, base_seed, worker_id))

    def _start(self, context, job: Job) -> None:
        try:
            self.workers.append(Worker(context, job))
        except BaseException:
            self.end()
            raise

    def begin(self, indices) -> None:
        """Start an epoch: deal out the first tasks.

        Args:
            indices: iterator over what the sampler gives.
        """
        self.indices = indices
        self.next_number = 0
        self.turns = itertools.cycle(range(len(self.workers)))
        # The workers that owe a batch, in the order of the batches.
        self.owing: deque[Worker] = deque()
        for _ in range(self.limit * len(self.workers)):
            self._deal()

    def restart(self) -> None:
        """Have the workers, which stay, drop what is left of an epoch."""
        for worker in self.workers:
            worker.ask(None)
        for worker in self.workers:
            self._drain(worker)
            worker.active = True
            worker.tasks = 0

    def _drain(self, worker: Worker) -> None:
        kind = None
        while kind != RESUMED:
            self._wait_for([worker])
            kind = self._take(worker)[0]

    def _deal(self) -> None:
        """Give the sampler's next indices to the next worker that takes any."""
        index = next(self.indices, _NOTHING)
        if index is _NOTHING:
            return
        worker = self._next_worker()
        if worker is None:
            return
        worker.ask(self.next_number, index)
        self.owing.append(worker)
        self.next_number += 1

    def _next_worker(self) -> Worker | None:
        for turn in itertools.islice(self.turns, len(self.workers)):
            worker = self.workers[turn]
            if worker.active and (self.in_order or worker.tasks < self.limit):
                return worker
        return None

    def next_batch(self):
        """The next batch. Raises: StopIteration at the end; what the worker raised; RuntimeError for a dead worker."""
        if self.error is not None:
            raise self.error
        while self.owing:
            worker = self._ready_worker()
            kind, _, result = self._take(worker)
            if kind == ENDED:
                self._retire(worker)
            else:
                self.owing.remove(worker)
            self._deal()
            if kind == FAILED:
                result.reraise()
            if kind == DATA:
                return result
        raise StopIteration

    def _take(self, worker: Worker) -> tuple:
        try:
            return worker.take()
        except (EOFError, OSError) as broken:
            raise self._give_up(worker) from broken

    def _give_up(self, worker: Worker) -> RuntimeError:
        """End all of them, since one has died: what it owed is lost, and no later batch may pass for it."""
        self.error = worker.death()
        self.end()
        return self.error

    def _retire(self, worker: Worker) -> None:
        """A worker whose data has ended answers none of the tasks that it still has."""
        worker.active = False
        worker.tasks = 0
        self.owing = deque(other for other in self.owing if other is not worker)

    def _ready_worker(self) -> Worker:
        if self.in_order:
            return self._wait_for([self.owing[0]])
        return self._wait_for(list(dict.fromkeys(self.owing)))

    def _wait_for(self, workers: list[Worker]) -> Worker:
        """The first of `workers` with an answer that can be read."""
        by_handle = {worker.connection: worker for worker in workers}
        by_sentinel = {worker.process.sentinel: worker for worker in workers}
        ready = wait([*by_handle, *by_sentinel], self.timeout)
        # What a worker sent before it died still counts.
        for handle in ready:
            if handle in by_handle:
                return by_handle[handle]
        for handle in ready:
            raise self._give_up(by_sentinel[handle])
        raise RuntimeError(
            f"DataLoader timed out after {self.timeout} seconds: worker pid(s) "
            f"{[worker.process.pid for worker in workers]} sent no batch. Give a longer timeout, or 0 to wait."
        )

    def end(self) -> None:
        """End the processes. Doing so twice is harmless."""
        self.finalizer()


_NOTHING = object()


def _job(loader, base_seed: int, worker_id: int) -> Job:
    return Job(
        dataset=loader.dataset,
        make_fetcher=IterableFetcher if loader._is_iterable else MapFetcher,
        auto_collation=loader._auto_collation,
        collate_fn=loader.collate_fn,
        drop_last=loader.drop_last,
        base_seed=base_seed,
        worker_init_fn=loader.worker_init_fn,
        worker_id=worker_id,
        num_workers=loader.num_workers,
    )


def _end(workers: list[Worker], owner: int) -> None:
    """Hang up on the workers, wait a little for them to end, and then make them."""
    if os.getpid() != owner:
        # A forked child holds a copy of the iterator; the workers are not its own to end.
        return
    for worker in workers:
        _hang_up(worker.connection)
    deadline = time.monotonic() + END_SECONDS
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.terminate()
            worker.process.join(END_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
    workers.clear()


def _hang_up(connection) -> None:
    """Close a connection for good: on Unix, also for the copies of this end that other forked processes hold."""
    if hasattr(socket, "AF_UNIX") and not connection.closed:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as copy:
            copy.shutdown(socket.SHUT_RDWR)
    connection.close()
