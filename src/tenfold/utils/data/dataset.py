"""Datasets: by index (`Dataset` and what combines them) or by iteration (`IterableDataset`), and splits at random."""

import bisect
import itertools
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import tenfold

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Dataset(Generic[T_co]):
    """Samples by index: a subclass writes `__getitem__(index)`, and `__len__` for the samplers.

    It may also write `__getitems__(indices)`, which fetches the samples of a whole batch in one call.
    `a + b` is `ConcatDataset([a, b])`.
    """

    def __getitem__(self, index) -> T_co:
        raise NotImplementedError(
            f"{type(self).__name__}: Subclasses of Dataset should implement __getitem__, which returns the sample "
            "at an index."
        )

    # No `__len__` here: a length that raises would change what `list(dataset)` and `bool(dataset)` do.

    def __add__(self, other: "Dataset[T_co]") -> "ConcatDataset[T_co]":
        return ConcatDataset([self, other])


class _Iterable(ABC):
    """Gives `IterableDataset` its abstract `__iter__`."""

    @abstractmethod
    def __iter__(self):
        raise NotImplementedError


class IterableDataset(Dataset[T_co], _Iterable):
    """Samples by iteration: a subclass writes `__iter__`. For streams, where an index means nothing.

    With workers, every worker iterates over its own copy: share the stream out by `get_worker_info()`.
    `a + b` is `ChainDataset([a, b])`.
    """

    def __add__(self, other: Dataset[T_co]):
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple]):
    """Sample i is the tuple of the i-th entries of some tensors.

    Args:
        tensors: of equal size in their first dim.
    """

    def __init__(self, *tensors: "tenfold.Tensor") -> None:
        sizes = [tensor.size(0) for tensor in tensors]
        if len(set(sizes)) > 1:
            raise AssertionError(
                f"TensorDataset: Size mismatch between tensors: their first dims are {sizes}. "
                "Give tensors with one entry for each sample."
            )
        self.tensors = tensors

    def __getitem__(self, index) -> tuple:
        return tuple([tensor[index] for tensor in self.tensors])

    def __len__(self) -> int:
        return self.tensors[0].size(0)


class StackDataset(Dataset):
    """Sample i collects the i-th samples of several datasets: in a tuple, or in a dict for named datasets.

    Args:
        args: datasets of equal length; samples are tuples.
        kwargs: named datasets of equal length (instead of `args`); samples are dicts.
    """

    def __init__(self, *args: Dataset, **kwargs: Dataset) -> None:
        if args and kwargs:
            raise ValueError(
                f"StackDataset: got {len(args)} datasets by position and {len(kwargs)} by name. Pass all of them "
                "by position (samples are tuples) or all by name (samples are dicts)."
            )
        if not args and not kwargs:
            raise ValueError("StackDataset: At least one dataset should be passed.")
        self.datasets = args if args else kwargs
        members = _members(self.datasets)
        lengths = [len(dataset) for dataset in members]
        self._length = lengths[0]
        if len(set(lengths)) > 1:
            raise ValueError(f"StackDataset: Size mismatch between datasets: their lengths are {lengths}.")

    def __getitem__(self, index):
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple([dataset[index] for dataset in self.datasets])

    def __getitems__(self, indices: list) -> list:
        columns = [_fetch_exactly(dataset, indices) for dataset in _members(self.datasets)]
        rows = list(zip(*columns, strict=True))
        if isinstance(self.datasets, dict):
            return [dict(zip(self.datasets, row, strict=True)) for row in rows]
        return rows

    def __len__(self) -> int:
        return self._length


def _members(datasets) -> list:
    return list(datasets.values()) if isinstance(datasets, dict) else list(datasets)


def _fetch_exactly(dataset, indices: list):
    """The samples at `indices`, in one call where the dataset offers one."""
    fetch: Any = getattr(dataset, "__getitems__", None)
    if fetch is None:
        return [dataset[index] for index in indices]
    samples = fetch(indices)
    if len(samples) != len(indices):
        raise ValueError(
            f"StackDataset: Nested dataset's output size mismatch. Expected {len(indices)}, got {len(samples)} from "
            f"{type(dataset).__name__}.__getitems__."
        )
    return samples


class ConcatDataset(Dataset[T_co]):
    """Datasets one after the other.

    Args:
        datasets: at least one, each with a length.
    """

    datasets: list
    cumulative_sizes: list

    @staticmethod
    def cumsum(sequence) -> list:
        """Running totals of the lengths."""
        return list(itertools.accumulate(len(part) for part in sequence))

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("ConcatDataset: datasets should not be an empty iterable.")
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset):
                raise AssertionError(
                    "ConcatDataset does not support IterableDataset, which has no index: use ChainDataset."
                )
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx):
        if idx < 0:
            if -idx > len(self):
                raise ValueError(
                    "ConcatDataset: absolute value of index should not exceed dataset length: got index "
                    f"{idx} for {len(self)} samples."
                )
            idx += len(self)
        which = bisect.bisect_right(self.cumulative_sizes, idx)
        if which == len(self.datasets):
            raise IndexError(f"ConcatDataset: index {idx} is outside 0..{len(self) - 1}.")
        start = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][idx - start]

    @property
    def cummulative_sizes(self) -> list:
        """Old spelling of `cumulative_sizes`."""
        warnings.warn("`cummulative_sizes` is now spelt `cumulative_sizes`.", category=FutureWarning, stacklevel=2)
        return self.cumulative_sizes


class ChainDataset(IterableDataset):
    """Iterable datasets one after the other, each opened when the one before it has ended.

    Args:
        datasets: iterable datasets.
    """

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        super().__init__()
        self.datasets = datasets

    def __iter__(self):
        for dataset in self.datasets:
            yield from _require_iterable(dataset)

    def __len__(self) -> int:
        total = 0
        for dataset in self.datasets:
            total += len(_require_iterable(dataset))
        return total


def _require_iterable(dataset) -> Any:
    if not isinstance(dataset, IterableDataset):
        raise AssertionError(
            f"ChainDataset only supports IterableDataset, got {type(dataset).__name__}: use ConcatDataset for "
            "datasets that have an index."
        )
    return dataset


class Subset(Dataset[T_co]):
    """Some samples of another dataset.

    Args:
        dataset: the whole.
        indices: sample i is `dataset[indices[i]]`.
    """

    dataset: Dataset[T_co]
    indices: Sequence[int]

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, idx):
        if isinstance(idx, list):
            return self.dataset[[self.indices[i] for i in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices: list) -> list:
        own = type(self)
        if own.__getitem__ is not Subset.__getitem__ and own.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{own.__name__} overrides __getitem__ but not __getitems__, which the DataLoader calls for a batch. "
                "Write it too: `return [self[i] for i in indices]`."
            )
        chosen = [self.indices[i] for i in indices]
        fetch: Any = getattr(self.dataset, "__getitems__", None)
        if fetch is not None:
            return fetch(chosen)
        return [self.dataset[i] for i in chosen]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Dataset[T],
    lengths: Sequence[int | float],
    generator: "tenfold.Generator | None" = tenfold.default_generator,
) -> list[Subset[T]]:
    """Split a dataset at random into parts that do not overlap.

    Args:
        dataset: what to split; it has a length.
        lengths: sizes that add up to `len(dataset)`, or fractions that add up to 1. What rounding down
            the fractions leaves over goes to the first parts, one sample each.
        generator: where the permutation is drawn from. Default: the default generator.
    Returns: a list of `Subset`, one for each length.
    Raises: ValueError if the lengths do not add up or a fraction lies outside 0..1.
    """
    total = len(dataset)  # pyright: ignore[reportArgumentType]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _sizes_of(lengths, total)
    if sum(lengths) != total:
        raise ValueError(
            "random_split: Sum of input lengths does not equal the length of the input dataset! "
            f"{list(lengths)} add up to {sum(lengths)}, the dataset has {total} samples."
        )
    order = tenfold.randperm(sum(lengths), generator=generator).tolist()
    ends = list(itertools.accumulate(lengths))
    return [Subset(dataset, order[end - length : end]) for end, length in zip(ends, lengths, strict=True)]


def _sizes_of(fractions: Sequence[float], total: int) -> list[int]:
    """Whole sizes for fractions of `total`; the remainder is dealt out from the first part on."""
    for i, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"random_split: Fraction at index {i} is not between 0 and 1: got {fraction}.")
    sizes = [math.floor(total * fraction) for fraction in fractions]
    for i in range(total - sum(sizes)):
        sizes[i % len(sizes)] += 1
    for i, size in enumerate(sizes):
        if size == 0:
            warnings.warn(
                f"random_split: Length of split at index {i} is 0. This might result in an empty dataset.",
                stacklevel=3,
            )
    return sizes
