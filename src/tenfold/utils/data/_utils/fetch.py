"""Fetchers: from the indices that a sampler gave to one batch, collated. One for each kind of dataset."""

import tenfold

from ..dataset import Subset, TensorDataset
from .collate import default_collate


class MapFetcher:
    """Reads a dataset that has an index.

    Args:
        dataset: what is read.
        auto_collation: whether an index is a list of indices (a batch) or the index of one sample.
        collate_fn: makes the batch of the samples (or converts the one sample).
        drop_last: not used here; the sampler has seen to it.
    """

    can_end = False

    def __init__(self, dataset, auto_collation: bool, collate_fn, drop_last: bool) -> None:
        self.dataset = dataset
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn

    def fetch(self, index):
        """The batch at `index`."""
        if not self.auto_collation:
            return self.collate_fn(self.dataset[index])
        if self.collate_fn is default_collate:
            batch = gather_batch(self.dataset, index)
            if batch is not None:
                return batch
        fetch_many = getattr(self.dataset, "__getitems__", None)
        if fetch_many:
            samples = fetch_many(index)
        else:
            samples = [self.dataset[i] for i in index]
        return self.collate_fn(samples)


class IterableFetcher:
    """Reads a dataset that is iterated over; the arguments are those of `MapFetcher`."""

    can_end = True

    def __init__(self, dataset, auto_collation: bool, collate_fn, drop_last: bool) -> None:
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.samples = iter(dataset)
        self.ended = False

    def fetch(self, index):
        """The next batch, with as many samples as `index` has entries, or fewer at the end.

        Raises: StopIteration when nothing is left.
        """
        if self.ended:
            raise StopIteration
        if not self.auto_collation:
            return self.collate_fn(next(self.samples))
        batch = []
        for _ in index:
            try:
                batch.append(next(self.samples))
            except StopIteration:
                self.ended = True
                break
        if not batch or (self.drop_last and len(batch) < len(index)):
            raise StopIteration
        return self.collate_fn(batch)


@tenfold.translated
def gather_batch(dataset, indices):
    """What `default_collate` makes of a TensorDataset's samples (or of a Subset of one), by one gather a tensor.

    Returns: the list of batches; None where the gather might differ from stacking sample by sample in anything that
    a program can see (a subclass with its own `__getitem__`, indices that are not plain ints, a gradient's name).
    """
    if type(indices) is not list or not indices:
        return None
    while type(dataset) is Subset:
        chosen = dataset.indices
        try:
            indices = [chosen[i] for i in indices]
        except (IndexError, TypeError):
            return None
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset or set(map(type, indices)) != {int}:
        return None
    tensors = dataset.tensors
    if not all([_can_gather(tensor) for tensor in tensors]):
        return None
    size = len(dataset)
    least = min(indices)
    if least < -size or max(indices) >= size:
        return None  # sample by sample then says which index is outside
    rows = tenfold.tensor(indices if least >= 0 else [i % size for i in indices])
    return [tensor.index_select(0, rows) for tensor in tensors]


@tenfold.translated
def _can_gather(tensor) -> bool:
    return type(tensor) is tenfold.Tensor and not tensor.requires_grad and tensor.is_contiguous()
