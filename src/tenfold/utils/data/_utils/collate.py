"""From a list of samples to a batch (`default_collate`), and from one sample's arrays to tensors (`default_convert`).

`default_collate_fn_map` says by type how a list of equal things becomes one; a program may add its own types to it.
"""

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

import tenfold

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

_NOT_COLLATABLE = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {found}. "
    "Return one of these from the dataset, or give the DataLoader a collate_fn."
)
# Kinds of NumPy dtypes that no tensor can hold: bytes, text, objects, and records.
_NO_TENSOR_KINDS = "SUOV"


def default_convert(data):
    """Turn the NumPy arrays and NumPy scalars in `data`, at any depth, into tensors; leave the rest as it is.

    Args:
        data: one sample: a tensor, array, number, string, or a mapping or sequence of these.
    Returns: the same structure; a tuple comes back as a list.
    """
    if isinstance(data, tenfold.Tensor):
        return data
    if isinstance(data, np.ndarray):
        return data if data.dtype.kind in _NO_TENSOR_KINDS else tenfold.as_tensor(data)
    if isinstance(data, np.generic) and not isinstance(data, str | bytes):
        return tenfold.as_tensor(data)
    if isinstance(data, Mapping):
        return _fill_mapping(data, {key: default_convert(data[key]) for key in data})
    if _is_namedtuple(data):
        return type(data)(*[default_convert(value) for value in data])
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _fill_sequence(data, [default_convert(value) for value in data])
    return data


def default_collate(batch):
    """Turn a list of samples of one structure into that structure of batches, with a first dim of N = len(batch).

    Tensors and arrays are stacked, numbers become a tensor of shape (N), strings stay a list, and mappings and
    sequences are collated entry by entry.

    Args:
        batch: non-empty list of samples.
    Returns: the structure of one sample; a tuple comes back as a list.
    Raises: TypeError for a sample of another type, RuntimeError for sequences or tensors of unequal sizes.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch, *, collate_fn_map: dict[type | tuple[type, ...], Callable] | None = None):
    """`default_collate` with a choice of what is done with each type.

    Args:
        batch: non-empty list of samples.
        collate_fn_map: type, or tuple of types -> `f(samples, *, collate_fn_map)`. Other types are mappings,
            sequences, or an error.
    """
    first = batch[0]
    if collate_fn_map is not None:
        collate_fn = _function_for(first, collate_fn_map)
        if collate_fn is not None:
            return collate_fn(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        collated = {key: collate([row[key] for row in batch], collate_fn_map=collate_fn_map) for key in first}
        return _fill_mapping(first, collated)
    if _is_namedtuple(first):
        return type(first)(*[collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)])
    if isinstance(first, Sequence):
        return _fill_sequence(first, _collate_columns(batch, collate_fn_map))
    raise TypeError(_NOT_COLLATABLE.format(found=type(first)))


def _function_for(sample, collate_fn_map) -> Callable | None:
    """The function under the sample's own type, and else the first under a type it is an instance of."""
    found = collate_fn_map.get(type(sample))
    if found is not None:
        return found
    for key, collate_fn in collate_fn_map.items():
        if isinstance(sample, key):
            return collate_fn
    return None


def _collate_columns(batch, collate_fn_map) -> list:
    sizes = {len(row) for row in batch}
    if len(sizes) > 1:
        raise RuntimeError(
            "default_collate: each element in list of batch should be of equal size, found sequences of lengths "
            f"{sorted(sizes)}. Pad them, or give the DataLoader a collate_fn."
        )
    return [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch, strict=True)]


def _is_namedtuple(data) -> bool:
    return isinstance(data, tuple) and hasattr(data, "_fields")


def _fill_mapping(model: Mapping, entries: dict):
    """A mapping like `model` (its type, and what else it carries) with other entries; a dict if that fails."""
    if type(model) is dict:
        return entries
    try:
        if isinstance(model, MutableMapping):
            filled = copy.copy(model)
            filled.update(entries)
            return filled
        return type(model)(entries)  # pyright: ignore[reportCallIssue]
    except TypeError:
        return entries


def _fill_sequence(model: Sequence, entries: list):
    """A sequence like `model` with other entries; a list for a tuple, or where the type cannot be made."""
    if type(model) is list or isinstance(model, tuple):
        return entries
    try:
        if isinstance(model, MutableSequence):
            filled = copy.copy(model)
            for i, entry in enumerate(entries):
                filled[i] = entry
            return filled
        return type(model)(entries)  # pyright: ignore[reportCallIssue]
    except TypeError:
        return entries


def collate_tensor_fn(batch, *, collate_fn_map=None):
    """Stack tensors along a new first dim."""
    return tenfold.stack(batch, 0)


def collate_numpy_array_fn(batch, *, collate_fn_map=None):
    """Stack arrays along a new first dim, into a tensor."""
    first = batch[0]
    if first.dtype.kind in _NO_TENSOR_KINDS:
        raise TypeError(_NOT_COLLATABLE.format(found=first.dtype))
    if _can_stack_as_arrays(batch):
        # One copy into one new array, in place of a tensor for each sample.
        stacked = np.empty((len(batch), *first.shape), dtype=first.dtype)
        np.stack(batch, out=stacked)
        return tenfold.from_numpy(stacked)
    return collate([tenfold.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def _can_stack_as_arrays(batch) -> bool:
    first = batch[0]
    if first.size == 0:
        return False  # the strides of an empty tensor differ
    return all(
        type(array) is np.ndarray and array.dtype == first.dtype and array.shape == first.shape for array in batch
    )


def collate_numpy_scalar_fn(batch, *, collate_fn_map=None):
    """NumPy scalars to a tensor of shape (N)."""
    return tenfold.as_tensor(batch)


def collate_float_fn(batch, *, collate_fn_map=None):
    """Python floats to a float64 tensor of shape (N)."""
    return tenfold.tensor(batch, dtype=tenfold.float64)


def collate_int_fn(batch, *, collate_fn_map=None):
    """Python ints (or bools) to a tensor of shape (N)."""
    return tenfold.tensor(batch)


def collate_str_fn(batch, *, collate_fn_map=None):
    """Strings stay as they are."""
    return batch


default_collate_fn_map: dict[Any, Callable] = {
    tenfold.Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}
