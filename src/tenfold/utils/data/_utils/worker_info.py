"""What code that runs in a worker process can learn about the worker."""

from typing import Any


class WorkerInfo:
    """What a dataset's copy in a worker can know of it.

    Attributes:
        id: number of this worker, from 0.
        num_workers: how many there are.
        seed: what tenfold and `random` were seeded with in this worker.
        dataset: this worker's copy of the dataset.
        rng: None; reserved for workers that are threads.
        worker_method: "multiprocessing".
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any
    _names: tuple[str, ...]

    def __init__(self, **fields) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_names", tuple(fields))

    def __setattr__(self, name, value):
        raise RuntimeError(f"WorkerInfo: cannot assign {name}: what describes a worker is fixed when it starts.")

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)}" for name in self._names)
        return f"{type(self).__name__}({fields})"


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The description of this worker process; None in the main process."""
    return _worker_info


def set_worker_info(info: WorkerInfo) -> None:
    """Say what this process is; called once, in a worker."""
    global _worker_info
    _worker_info = info
