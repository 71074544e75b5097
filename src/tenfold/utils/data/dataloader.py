"""The DataLoader: a sampler's indices, a dataset's samples, batches; in this process or in workers.

`_utils/` holds the parts; this file checks the arguments, draws the seed that every iterator draws, and counts.
"""

import itertools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import tenfold

from ._utils.collate import default_collate, default_convert
from ._utils.fetch import IterableFetcher, MapFetcher
from ._utils.worker_info import get_worker_info
from .dataset import Dataset, IterableDataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class _DatasetKind:
    """The two ways to read a dataset."""

    Map = 0
    Iterable = 1


class _InfiniteConstantSampler(Sampler):
    """None without end: an iterable dataset is asked for its next sample, not for one at an index."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader(Generic[T_co]):
    """Iterates over a dataset in batches.

    Args:
        dataset: a `Dataset` (anything with `__getitem__` and `__len__`) or an `IterableDataset`.
        batch_size: samples to a batch. Default 1. None: single samples, converted by `default_convert`.
        shuffle: a new random order at each iteration. Default None: as False.
        sampler: the order of indices, instead of `shuffle`.
        batch_sampler: lists of indices, instead of `batch_size`, `shuffle`, `sampler` and `drop_last`.
        num_workers: processes that fetch batches ahead. Default 0: this process fetches.
        collate_fn: list of samples -> batch. Default: `default_collate`.
        pin_memory: accepted; without an accelerator there is no memory to pin, and a warning says so.
        drop_last: leave out a last batch that would be smaller. Default False.
        timeout: seconds to wait for a worker's batch. Default 0: for ever.
        worker_init_fn: called with the worker's number in each worker, after seeding.
        multiprocessing_context: start method ("fork", "spawn", ...) or a context. Default: Python's own.
        generator: source of the order and of the workers' seeds. Default: the default generator.
        prefetch_factor: batches asked of each worker ahead. Default 2 with workers.
        persistent_workers: keep the workers from one epoch to the next. Default False.
        pin_memory_device: deprecated and ignored.
        in_order: batches in the sampler's order. Default True; False: as workers finish them.
    Raises: ValueError for arguments that exclude each other or are out of range; an exception in a worker is raised
        here with its type and the worker's traceback; RuntimeError when a worker dies or the timeout passes.
    """

    dataset: Dataset[T_co]
    batch_size: int | None
    num_workers: int
    pin_memory: bool
    drop_last: bool
    timeout: float
    sampler: Sampler | Iterable
    prefetch_factor: int | None
    _iterator: "_Iterator | None"
    _initialized = False
    _place: "_Place | None" = None  # how far the latest pass is
    _resume: dict | None = None  # where the next pass goes on

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler | Iterable | None = None,
        batch_sampler: Sampler[list] | Iterable[list] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context=None,
        generator=None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        prefetch_factor = _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        if isinstance(dataset, IterableDataset):
            self._dataset_kind = _DatasetKind.Iterable
            _refuse_order(shuffle, sampler, batch_sampler)
        else:
            self._dataset_kind = _DatasetKind.Map
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler option is mutually exclusive with shuffle.")
        if batch_sampler is not None:
            _refuse_batching(batch_size, shuffle, sampler, drop_last)
            batch_size = None
            drop_last = False
        elif batch_size is None and drop_last:
            raise ValueError(
                "DataLoader: batch_size=None option disables auto-batching and is mutually exclusive with drop_last."
            )
        if sampler is None:
            sampler = self._default_sampler(bool(shuffle), generator)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers
        self._initialized = True
        self._IterableDataset_len_called = None
        self._iterator = None
        self.check_worker_number_rationality()

    def _default_sampler(self, shuffle: bool, generator) -> Sampler:
        if self._is_iterable:
            return _InfiniteConstantSampler()
        if shuffle:
            return RandomSampler(self.dataset, generator=generator)  # pyright: ignore[reportArgumentType]
        return SequentialSampler(self.dataset)  # pyright: ignore[reportArgumentType]

    def __setattr__(self, name: str, value: Any) -> None:
        if self._initialized and name in _FIXED:
            raise ValueError(
                f"DataLoader: {name} attribute should not be set after DataLoader is initialized. Make a new one."
            )
        super().__setattr__(name, value)

    @property
    def _is_iterable(self) -> bool:
        return self._dataset_kind == _DatasetKind.Iterable

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self):
        return self.batch_sampler if self._auto_collation else self.sampler

    @property
    def multiprocessing_context(self):
        """The context that starts workers; None for Python's default."""
        return self._multiprocessing_context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context) -> None:
        self._multiprocessing_context = None if context is None else _context_of(context, self.num_workers)

    def _worker_context(self):
        import multiprocessing

        return self.multiprocessing_context or multiprocessing.get_context()

    def __iter__(self) -> "_Iterator":
        place, self._resume = self._resume, None
        if place is None:
            self._place = _Place(self._generator_states(), 0)
            return self._begin()
        self._place = _Place(place["generators"], place["batches"])
        now = tenfold.get_rng_state()
        self._set_generator_states(place["generators"])
        iterator = self._begin(place["batches"])
        tenfold.set_rng_state(now)  # the program has drawn other numbers since the pass began
        return iterator

    def _begin(self, skip: int = 0) -> "_Iterator":
        if not (self.persistent_workers and self.num_workers > 0):
            return self._get_iterator(skip)
        if self._iterator is None or self._iterator._is_broken:
            self._iterator = self._get_iterator(skip)
        else:
            self._iterator._reset(self, skip)
        return self._iterator

    def _get_iterator(self, skip: int = 0) -> "_Iterator":
        if self.num_workers == 0:
            return _SingleProcessDataLoaderIter(self, skip)
        self.check_worker_number_rationality()
        return _MultiProcessingDataLoaderIter(self, skip)

    # --- going on in the middle of an epoch, which PyTorch's own DataLoader cannot ---------------------------------

    def _generators(self) -> list:
        """The generators, besides the default one, that decide the order."""
        inner = getattr(self.batch_sampler, "sampler", None)
        holders = (self, self.sampler, self.batch_sampler, inner)
        found = [getattr(holder, "generator", None) for holder in holders]
        return list({id(g): g for g in found if isinstance(g, tenfold.Generator)}.values())

    def _generator_states(self) -> list:
        return [tenfold.get_rng_state(), *[g.get_state() for g in self._generators()]]

    def _set_generator_states(self, states: list) -> None:
        tenfold.set_rng_state(states[0])
        for generator, state in zip(self._generators(), states[1:], strict=True):
            generator.set_state(state)

    def state_dict(self) -> dict:
        """Where the latest pass is: how many batches it has given, and the generators' states when it began.

        `torch.save` writes it. An order that comes from other generators (NumPy's, a sampler's own) is not in it."""
        if self._place is None or self._place.ended:
            return {"batches": None, "generators": None}
        return {"batches": self._place.batches, "generators": self._place.states}

    def load_state_dict(self, state_dict: dict) -> None:
        """The next pass goes on where `state_dict` was made: the same order, without the batches given before then.

        Their samples are not fetched, unless the dataset is an `IterableDataset`. The default generator is left as it
        is. Random numbers that workers draw begin anew.
        Raises: ValueError for what is no such state, or one of a loader with other generators."""
        if not isinstance(state_dict, dict) or state_dict.keys() != {"batches", "generators"}:
            raise ValueError(
                f"DataLoader: load_state_dict takes what state_dict of a DataLoader returned, not {state_dict!r:.80}"
            )
        states = state_dict["generators"]
        if state_dict["batches"] is not None and len(states) != 1 + len(self._generators()):
            raise ValueError(
                f"DataLoader: the state is of a loader with {len(states) - 1} generators, this one has"
                f" {len(self._generators())}. Make it with the same sampler and generator arguments."
            )
        self._resume = state_dict if state_dict["batches"] is not None else None

    def __len__(self) -> int:
        if not self._is_iterable:
            return len(self._index_sampler)  # pyright: ignore[reportArgumentType]
        # A dataset may be wrong about its length; the iterator warns when more samples come than it said here.
        length = len(self.dataset)  # pyright: ignore[reportArgumentType]
        self._IterableDataset_len_called = length
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warn when there are more workers than processors."""
        available = _processor_count()
        if available is None or self.num_workers <= available:
            return
        warnings.warn(
            f"This DataLoader will create {self.num_workers} worker processes in total, and this process may use "
            f"{available} processors. More workers than processors run slower, not faster: "
            f"give at most num_workers={available}.",
            stacklevel=2,
        )


def _processor_count() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _check_workers(num_workers, timeout, prefetch_factor, persistent_workers) -> int | None:
    """The prefetch factor, filled in, if the arguments about workers make sense."""
    if num_workers < 0:
        raise ValueError(
            f"DataLoader: num_workers option should be non-negative, got {num_workers}; "
            "use num_workers=0 to disable multiprocessing."
        )
    if timeout < 0:
        raise ValueError(f"DataLoader: timeout option should be non-negative, got {timeout}.")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "DataLoader: prefetch_factor option could only be specified in multiprocessing. Give num_workers > 0, "
            "or leave prefetch_factor out."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError(f"DataLoader: prefetch_factor option should be non-negative, got {prefetch_factor}.")
    if persistent_workers and num_workers == 0:
        raise ValueError("DataLoader: persistent_workers option needs num_workers > 0.")
    if num_workers > 0 and prefetch_factor is None:
        return 2
    return prefetch_factor


def _refuse_order(shuffle, sampler, batch_sampler) -> None:
    """An iterable dataset decides its own order."""
    given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}. "
                "The order is what the dataset's __iter__ gives."
            )


def _refuse_batching(batch_size, shuffle, sampler, drop_last) -> None:
    if batch_size != 1 or shuffle or sampler is not None or drop_last:
        raise ValueError(
            "DataLoader: batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last: "
            "it decides all of them."
        )


def _context_of(context, num_workers: int):
    import multiprocessing
    from multiprocessing.context import BaseContext

    if num_workers == 0:
        raise ValueError(
            "DataLoader: multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
            f"but got num_workers={num_workers}."
        )
    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(
                "DataLoader: multiprocessing_context option should specify a valid start method in "
                f"{methods}, but got multiprocessing_context={context!r}."
            )
        return multiprocessing.get_context(context)
    if not isinstance(context, BaseContext):
        raise TypeError(
            "DataLoader: multiprocessing_context option should be a valid context object or a string specifying the "
            f"start method, but got multiprocessing_context={context!r}."
        )
    return context


class _Place:
    """How far a pass is: the generators' states before it began, the batches that it has given, and whether it is over."""

    def __init__(self, states: list, batches: int) -> None:
        self.states = states
        self.batches = batches
        self.ended = False


class _Iterator:
    """One pass over a DataLoader."""

    _is_broken = False
    _IterableDataset_len_called: int | None
    _place: _Place

    def __init__(self, loader: DataLoader, skip: int = 0) -> None:
        self._dataset = loader.dataset
        self._dataset_kind = loader._dataset_kind
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._sampler_iter = iter(self._index_sampler)  # pyright: ignore[reportArgumentType,reportCallIssue]
        # Drawn with or without workers, so that random numbers later in the program do not depend on num_workers.
        self._base_seed = draw_seed(loader.generator)
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._start_at(loader, skip)
        _warn_about_pinning(loader)

    def __iter__(self) -> "_Iterator":
        return self

    def _start_at(self, loader: DataLoader, batch: int) -> None:
        """The batches before that one were given by an earlier process."""
        self._num_yielded = batch
        self._place = loader._place or _Place([], 0)
        if batch and self._dataset_kind == _DatasetKind.Map:
            next(itertools.islice(self._sampler_iter, batch, batch), None)

    def _pass_over(self, batches: int) -> None:
        """An iterable dataset has to be read to get on."""
        if self._dataset_kind == _DatasetKind.Iterable:
            for _ in range(batches):
                self._next_data()

    def __next__(self) -> Any:
        try:
            data = self._next_data()
        except StopIteration:
            self._place.ended = True
            raise
        self._num_yielded += 1
        self._place.batches = self._num_yielded
        if self._IterableDataset_len_called is not None:
            self._warn_if_longer()
        return data

    def __len__(self) -> int:
        return len(self._index_sampler)  # pyright: ignore[reportArgumentType]

    def _next_data(self) -> Any:
        raise NotImplementedError

    def _reset(self, loader: DataLoader, skip: int = 0) -> None:
        self._sampler_iter = iter(self._index_sampler)  # pyright: ignore[reportArgumentType,reportCallIssue]
        self._start_at(loader, skip)
        self._IterableDataset_len_called = loader._IterableDataset_len_called

    def _warn_if_longer(self) -> None:
        if self._dataset_kind != _DatasetKind.Iterable or self._num_yielded <= (self._IterableDataset_len_called or 0):
            return
        message = (
            f"Length of IterableDataset {self._dataset} was reported to be {self._IterableDataset_len_called} by "
            f"len(dataloader), but {self._num_yielded} samples have been fetched."
        )
        if self._num_workers > 0:
            message += " Each worker iterates over a whole copy, unless __iter__ shares out by get_worker_info()."
        warnings.warn(message, stacklevel=3)


def _warn_about_pinning(loader: DataLoader) -> None:
    if not loader.pin_memory:
        return
    if loader.pin_memory_device:
        warnings.warn(
            f"pin_memory_device is deprecated; pin_memory_device={loader.pin_memory_device!r} is ignored.",
            stacklevel=5,
        )
    if not tenfold.cuda.is_available():
        warnings.warn(
            "'pin_memory' argument is set as true but no accelerator is found, so no memory is pinned.",
            stacklevel=5,
        )


class _SingleProcessDataLoaderIter(_Iterator):
    """Fetches in the process that asks."""

    def __init__(self, loader: DataLoader, skip: int = 0) -> None:
        super().__init__(loader, skip)
        make_fetcher = IterableFetcher if loader._is_iterable else MapFetcher
        self._dataset_fetcher = make_fetcher(
            loader.dataset, loader._auto_collation, loader.collate_fn, loader.drop_last
        )
        self._pass_over(skip)

    def _next_data(self) -> Any:
        return self._dataset_fetcher.fetch(next(self._sampler_iter))


class _MultiProcessingDataLoaderIter(_Iterator):
    """Has workers fetch."""

    def __init__(self, loader: DataLoader, skip: int = 0) -> None:
        super().__init__(loader, skip)
        # Late, since most programs need no processes and `multiprocessing` takes time to import.
        from ._utils.multiprocess import Workers

        self._persistent_workers = loader.persistent_workers
        self._pool = Workers(loader, self._base_seed)
        self._pool.begin(self._sampler_iter)
        self._pass_over(skip)

    @property
    def _is_broken(self) -> bool:
        """Whether a worker has died, so that the others cannot go on to another epoch either."""
        return self._pool.error is not None

    def _reset(self, loader: DataLoader, skip: int = 0) -> None:
        super()._reset(loader, skip)
        self._pool.restart()
        self._pool.begin(self._sampler_iter)
        self._pass_over(skip)

    def _next_data(self) -> Any:
        try:
            return self._pool.next_batch()
        except StopIteration:
            if not self._persistent_workers:
                self._pool.end()
            raise
