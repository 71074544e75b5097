"""Samplers: in which order a DataLoader asks its dataset for samples."""

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Generic, TypeVar

import tenfold

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

T_co = TypeVar("T_co", covariant=True)

# With replacement, indices are drawn from the generator in rounds of this many; it decides which numbers come out.
DRAWS_PER_ROUND = 32


class Sampler(Generic[T_co]):
    """An order of indices (or of lists of indices): a subclass writes `__iter__`, and `__len__` where it knows it."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__}: a Sampler needs an __iter__ that yields indices.")

    # No `__len__` here, for the reason given in `Dataset`.


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ... up to the end of `data_source`."""

    data_source: Sized

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Indices at random: permutations, or independent draws.

    Args:
        data_source: what is indexed; only its length is read.
        replacement: draw each index independently. Default False: a permutation, or several one after the other.
        num_samples: how many indices. Default None: `len(data_source)`.
        generator: where they are drawn from. Default None: one of its own, seeded from the default generator
            at each iteration.
    """

    data_source: Sized
    replacement: bool

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator=None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(
                f"RandomSampler: replacement should be a boolean value, but got replacement={replacement!r}."
            )
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(
                "RandomSampler: num_samples should be a positive integer value, but got "
                f"num_samples={self.num_samples!r} (the data source has {len(data_source)} samples)."
            )

    @property
    def num_samples(self) -> int:
        # Asked each time, since a dataset may grow between two epochs.
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        generator = self.generator
        size = len(self.data_source)
        if generator is None:
            seed = draw_seed()
            if not self.replacement and self.num_samples == size:  # the usual case: all is drawn at once
                yield from tenfold.randperm(size, generator=_own.seeded(seed)).tolist()
                return
            generator = tenfold.Generator().manual_seed(seed)
        if self.replacement:
            yield from _independent(size, self.num_samples, generator)
            return
        for _ in range(self.num_samples // size):
            yield from tenfold.randperm(size, generator=generator).tolist()
        left = self.num_samples % size
        # With nothing left over one more permutation is drawn as well, so that later draws from a generator agree.
        if left or generator is self.generator:
            yield from tenfold.randperm(size, generator=generator).tolist()[:left]

    def __len__(self) -> int:
        return self.num_samples


class _Own(threading.local):
    """A generator of each thread's for permutations: with a new one for each epoch each would be a path of its own."""

    generator = None

    def seeded(self, seed: int):
        """The generator, where a new one with that seed would be."""
        if self.generator is None:
            self.generator = tenfold.Generator()
        return self.generator.manual_seed(seed)


_own = _Own()


def draw_seed(generator=None) -> int:
    """A number of 63 random bits from `generator` (default: the default generator)."""
    return int(tenfold.empty((), dtype=tenfold.int64).random_(generator=generator).item())


def _independent(size: int, count: int, generator) -> Iterator[int]:
    for start in range(0, count, DRAWS_PER_ROUND):
        shape = (min(DRAWS_PER_ROUND, count - start),)
        yield from tenfold.randint(high=size, size=shape, dtype=tenfold.int64, generator=generator).tolist()


class SubsetRandomSampler(Sampler[int]):
    """The given indices in a random order, each once.

    Args:
        indices: what to permute.
        generator: where the permutation is drawn from. Default None: the default generator.
    """

    indices: Sequence[int]

    def __init__(self, indices: Sequence[int], generator=None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in tenfold.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices 0 .. len(weights)-1, each drawn in proportion to its weight.

    Args:
        weights: shape (N), not negative; they need not add up to one.
        num_samples: how many to draw.
        replacement: whether an index can come twice. Default True.
        generator: where they are drawn from. Default None: the default generator.
    """

    weights: "tenfold.Tensor"
    num_samples: int
    replacement: bool

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator=None,
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(
                "WeightedRandomSampler: num_samples should be a positive integer value, but got "
                f"num_samples={num_samples!r}."
            )
        if not isinstance(replacement, bool):
            raise ValueError(
                f"WeightedRandomSampler: replacement should be a boolean value, but got replacement={replacement!r}."
            )
        self.weights = tenfold.as_tensor(weights, dtype=tenfold.double)
        if self.weights.dim() != 1:
            raise ValueError(
                "WeightedRandomSampler: weights should be a 1d sequence but given weights have shape "
                f"{tuple(self.weights.shape)}."
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = tenfold.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        yield from drawn.tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list]):
    """Groups the indices of another sampler into lists.

    Args:
        sampler: any iterable of indices.
        batch_size: how many indices to a list.
        drop_last: leave out a last list that would be shorter.
    """

    def __init__(self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(
                f"BatchSampler: batch_size should be a positive integer value, but got batch_size={batch_size!r}."
            )
        if not isinstance(drop_last, bool):
            raise ValueError(f"BatchSampler: drop_last should be a boolean value, but got drop_last={drop_last!r}.")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # pyright: ignore[reportArgumentType]
        if self.drop_last:
            return count // self.batch_size
        return -(-count // self.batch_size)
