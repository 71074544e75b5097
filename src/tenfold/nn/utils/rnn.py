"""Sequences of different lengths: padded, packed (the rows of all sequences that a step still has, step after step),
and back. All of it is reading by an index, so gradients follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import tenfold
from tenfold import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence_(NamedTuple):
    """The four fields of a `PackedSequence`."""

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(PackedSequence_):
    """Rows of several sequences, step after step: what `pack_padded_sequence` makes and recurrent layers take.

    Args:
        data: shape (R, *), R the sum of all lengths.
        batch_sizes: shape (T,), int64, how many sequences each step has, never growing.
        sorted_indices: the order that sorts the sequences by length, longest first. None: they came sorted.
        unsorted_indices: the inverse of that order; computed if left out.
    """

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if batch_sizes is None:  # PyTorch's old form: a pair
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError(
                    f"Expected data to be a list or tuple of length 2 when batch_sizes is not given, "
                    f"got {type(data).__name__}. Give PackedSequence(data, batch_sizes)."
                )
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                f"PackedSequence: batch_sizes must be on the CPU, it is on {batch_sizes.device}. "
                f"Make packed sequences with pack_padded_sequence."
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args, **kwargs) -> PackedSequence:
        """With `data` converted as `Tensor.to` does; itself if nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = [None if i is None else i.to(data.device) for i in (self.sorted_indices, self.unsorted_indices)]
        return type(self)(data, self.batch_sizes, *indices)

    def pin_memory(self) -> PackedSequence:
        """With every tensor in pinned memory."""
        indices = [None if i is None else i.pin_memory() for i in (self.sorted_indices, self.unsorted_indices)]
        return type(self)(self.data.pin_memory(), self.batch_sizes, *indices)

    def cuda(self, *args, **kwargs) -> PackedSequence:
        """On the GPU."""
        if args or "device" in kwargs:
            return self.to(*args, **kwargs)
        return self.to(device="cuda", **kwargs)

    def cpu(self, *args, **kwargs) -> PackedSequence:
        """On the CPU."""
        return self.to(*args, **{"device": "cpu", **kwargs})

    def double(self) -> PackedSequence:
        """In float64."""
        return self.to(dtype=tenfold.double)

    def float(self) -> PackedSequence:
        """In float32."""
        return self.to(dtype=tenfold.float)

    def half(self) -> PackedSequence:
        """In float16."""
        return self.to(dtype=tenfold.half)

    def long(self) -> PackedSequence:
        """In int64."""
        return self.to(dtype=tenfold.long)

    def int(self) -> PackedSequence:
        """In int32."""
        return self.to(dtype=tenfold.int)

    def short(self) -> PackedSequence:
        """In int16."""
        return self.to(dtype=tenfold.short)

    def char(self) -> PackedSequence:
        """In int8."""
        return self.to(dtype=tenfold.int8)

    def byte(self) -> PackedSequence:
        """In uint8."""
        return self.to(dtype=tenfold.uint8)

    @property
    def is_cuda(self) -> bool:
        """Is `data` on a GPU?"""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Is `data` in pinned memory?"""
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes this one; None for None."""
    if permutation is None:
        return None
    order = tenfold.arange(permutation.numel(), device=permutation.device)
    return tenfold.empty_like(permutation).scatter_(0, permutation, order.to(permutation.dtype))


# --- packed ----------------------------------------------------------------------------------------------


def _as_lengths(lengths) -> list[int]:
    """The lengths as Python ints; they decide sizes, so they are read."""
    if isinstance(lengths, Tensor):
        if lengths.dim() != 1:
            raise RuntimeError(
                f"pack_padded_sequence: 'lengths' argument should be a 1D CPU int64 tensor, "
                f"but got {lengths.dim()}D with shape {list(lengths.shape)}."
            )
        lengths = lengths.tolist()
    return [int(n) for n in lengths]


def _check_lengths(lengths: list[int], steps: int, sequences: int) -> None:
    if len(lengths) != sequences:
        raise RuntimeError(
            f"pack_padded_sequence: Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} "
            f"(batch_size={sequences}). If the batch is the first dim of input, pass batch_first=True."
        )
    if not lengths:
        raise RuntimeError("pack_padded_sequence: Cannot pack empty tensors; the batch has no sequence.")
    for n, length in enumerate(lengths):
        if length <= 0:
            raise RuntimeError(
                f"pack_padded_sequence: Length of all samples has to be greater than 0, "
                f"but found {length} at position {n} of 'lengths'. Leave empty sequences out of the batch."
            )
        if length > steps:
            raise RuntimeError(f"pack_padded_sequence: sequence {n} has length {length}, but input has {steps} steps.")


def _batch_sizes(descending: list[int]) -> list[int]:
    """How many sequences each step has, from the lengths in descending order."""
    sizes = []
    left = len(descending)
    for step in range(descending[0]):
        while descending[left - 1] <= step:
            left -= 1
        sizes.append(left)
    return sizes


def _steps_and_ranks(batch_sizes: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """For each of the packed rows its step, and its place within the step."""
    ends = batch_sizes.cumsum(0)
    # The step of a row is the number of steps that end at or before it.
    marks = ends.new_zeros(total + 1).index_add(0, ends, tenfold.ones_like(ends))
    steps = marks.cumsum(0)[:total]
    starts = ends - batch_sizes
    return steps, tenfold.arange(total) - starts.index_select(0, steps)


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | list[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs a padded batch.

    Args:
        input: shape (T, N, *), or (N, T, *) with `batch_first`.
        lengths: N lengths, each at least 1 and at most T.
        enforce_sorted: they must descend. False: they may come in any order, and the result remembers it.
    Raises: RuntimeError if the lengths do not fit `input`, or do not descend where they must.
    """
    steps, sequences = (input.size(1), input.size(0)) if batch_first else (input.size(0), input.size(1))
    lengths = _as_lengths(lengths)
    _check_lengths(lengths, steps, sequences)
    order = sorted(range(sequences), key=lambda n: -lengths[n])
    descending = [lengths[n] for n in order]
    if enforce_sorted and descending != lengths:
        rise = next(n for n in range(1, sequences) if lengths[n] > lengths[n - 1])
        raise RuntimeError(
            "pack_padded_sequence: `lengths` array must be sorted in decreasing order when `enforce_sorted` is True, "
            f"but {lengths[rise - 1]} at position {rise - 1} is followed by {lengths[rise]}. "
            "Sort the batch, or pass enforce_sorted=False."
        )
    batch_sizes = tenfold.tensor(_batch_sizes(descending))
    step, rank = _steps_and_ranks(batch_sizes, sum(lengths))
    sorted_indices = None
    if not enforce_sorted:
        sorted_indices = tenfold.tensor(order)
        rank = sorted_indices.index_select(0, rank)
        sorted_indices = sorted_indices.to(input.device)
    place = rank * steps + step if batch_first else step * sequences + rank
    data = input.flatten(0, 1).index_select(0, place.to(input.device))
    return PackedSequence(data, batch_sizes, sorted_indices)


def _total_steps(total_length: int | None, longest: int) -> int:
    if total_length is None:
        return longest
    if total_length < longest:
        raise ValueError(
            "pad_packed_sequence: Expected total_length to be at least the length of the longest sequence in input, "
            f"but got total_length={total_length} and max sequence length being {longest}."
        )
    return total_length


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """A padded batch (T, N, *), or (N, T, *) with `batch_first`, and the N lengths: undoes `pack_padded_sequence`.

    Args:
        sequence: packed rows.
        padding_value: stands where a sequence has ended.
        total_length: T; by default the length of the longest sequence.
    Raises: ValueError if `total_length` is less than that.
    """
    data, batch_sizes, _, unsorted_indices = sequence
    sizes = batch_sizes.tolist()
    steps = _total_steps(total_length, len(sizes))
    ranks = tenfold.arange(sizes[0])
    if unsorted_indices is not None:
        ranks = unsorted_indices.to("cpu")
    padded_sizes = tenfold.tensor(sizes + [0] * (steps - len(sizes)))
    starts = padded_sizes.cumsum(0) - padded_sizes
    # Rows of the grid (T, N); where nothing is, the row of padding behind the last.
    present = ranks < padded_sizes.unsqueeze(1)
    rows = tenfold.where(present, starts.unsqueeze(1) + ranks, data.size(0))
    transposed = batch_first and unsorted_indices is None  # PyTorch gives a view then, with these strides
    if batch_first and not transposed:
        rows = rows.t()
    padding = data.new_full((1, *data.shape[1:]), padding_value)
    grid = tenfold.cat([data, padding]).index_select(0, rows.flatten().to(data.device)).unflatten(0, rows.shape)
    return (grid.transpose(0, 1) if transposed else grid), present.sum(0)


# --- padded ----------------------------------------------------------------------------------------------


def _check_sequences(sequences: Sequence[Tensor]) -> None:
    if not sequences:
        raise RuntimeError("pad_sequence: received an empty list of sequences.")
    for k, sequence in enumerate(sequences):
        if not isinstance(sequence, Tensor):
            raise TypeError(
                f"pad_sequence: expected Tensor as element {k} in argument 0 (sequences), "
                f"but got {type(sequence).__name__}."
            )
        if sequence.dim() == 0:
            raise RuntimeError(f"pad_sequence: sequence {k} has no dims, so it has no length. Give it at least one.")
        if sequence.shape[1:] != sequences[0].shape[1:]:
            raise RuntimeError(
                f"pad_sequence: sequences must agree in all dims but the first: sequence 0 is "
                f"{list(sequences[0].shape)}, sequence {k} is {list(sequence.shape)}."
            )


def pad_sequence(
    sequences: Tensor | list[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Stacks sequences of shapes (length, *), filled up to the longest one's length T.

    Args:
        sequences: the sequences; the first one's dtype is the result's.
        batch_first: the result's shape is (N, T, *) instead of (T, N, *).
        padding_value: what fills up.
        padding_side: "right" fills up at the end, "left" at the beginning.
    Raises: RuntimeError if there are no sequences, or if they differ in another dim than the first.
    """
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"pad_sequence: Expected padding_side to be one of left or right, but got {padding_side}.")
    if isinstance(sequences, Tensor):
        sequences = sequences.unbind(0)
    elif not isinstance(sequences, Iterable):
        raise RuntimeError(f"pad_sequence: Expected iterable for input sequences, but got {type(sequences).__name__}.")
    sequences = list(sequences)
    _check_sequences(sequences)
    first = sequences[0]
    lengths = tenfold.tensor([s.size(0) for s in sequences])
    longest = max(s.size(0) for s in sequences)
    step = tenfold.arange(longest)
    if padding_side == "left":
        step = step - (longest - lengths).unsqueeze(1)
    starts = (lengths.cumsum(0) - lengths).unsqueeze(1)
    present = (step >= 0) & (step < lengths.unsqueeze(1))
    total = sum(s.size(0) for s in sequences)
    rows = tenfold.where(present, starts + step, total)  # (N, T); the row of padding is the last one
    if not batch_first:
        rows = rows.t()
    padding = first.new_full((1, *first.shape[1:]), padding_value)
    data = tenfold.cat([*[s.to(first.dtype) for s in sequences], padding])
    return data.index_select(0, rows.flatten().to(first.device)).unflatten(0, rows.shape)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch (T, N, *), or (N, T, *) with `batch_first`: undoes `pad_sequence`."""
    if not isinstance(lengths, Tensor):
        raise AttributeError(f"unpad_sequence: lengths must be a tensor, got {type(lengths).__name__}.")
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [
        s[:n].clone(memory_format=tenfold.contiguous_format)
        for s, n in zip(padded_sequences, lengths.tolist(), strict=False)
    ]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences of shapes (length, *); longest first unless `enforce_sorted` is False."""
    lengths = [s.size(0) for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences, in the order in which they were packed: undoes `pack_sequence`."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
