"""The sampler that gives each process of a distributed run its own share of a dataset."""

import math
from collections.abc import Iterator
from typing import Any

import tenfold

from .dataset import Dataset
from .sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler):
    """Every `num_replicas`-th index from `rank` on, of an order that all processes agree on.

    Call `set_epoch(epoch)` before each epoch, or every epoch comes in the same order.

    Args:
        dataset: what is indexed; only its length is read.
        num_replicas: number of processes. Default None: asked of the process group.
        rank: which of them this is. Default None: asked of the process group.
        shuffle: permute the indices, by `seed + epoch`. Default True.
        seed: the same in all processes. Default 0.
        drop_last: leave out the last indices for equal shares. Default False: repeat the first ones.
    Raises: ValueError if `rank` is not one of 0 .. num_replicas-1.
    """

    def __init__(
        self,
        dataset: Dataset,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None:
            num_replicas = int(_process_group().get_world_size())
        if rank is None:
            rank = int(_process_group().get_rank())
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"DistributedSampler: Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]."
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        size = len(dataset)  # pyright: ignore[reportArgumentType]
        self.num_samples = size // num_replicas if drop_last else math.ceil(size / num_replicas)
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator:
        size = len(self.dataset)  # pyright: ignore[reportArgumentType]
        order = self._permutation(size) if self.shuffle else list(range(size))
        if not self.drop_last and order:
            repeats = math.ceil(self.total_size / len(order))
            order = order * repeats
        order = order[: self.total_size]
        return iter(order[self.rank :: self.num_replicas])

    def _permutation(self, size: int) -> list[int]:
        generator = tenfold.Generator()
        generator.manual_seed(self.seed + self.epoch)
        return tenfold.randperm(size, generator=generator).tolist()

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation of the next iteration.

        Args:
            epoch: number of the epoch, the same in all processes.
        """
        self.epoch = epoch


def _process_group() -> Any:
    distributed = getattr(tenfold, "distributed", None)
    if distributed is None or not distributed.is_available():
        raise RuntimeError(
            "DistributedSampler: there is no distributed package here to ask. Pass num_replicas and rank."
        )
    return distributed
