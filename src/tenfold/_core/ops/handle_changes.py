"""In-place changes of what a tensor reads: its shape, strides, offset or storage; no element is written."""

from __future__ import annotations

import operator

import numpy as np

from ..ir import shapes
from ..ir.shapes import layout, numel
from ..trace import flush as flushing
from ..trace.handle import Storage, Tensor, layout_of, requires_grad, tls
from ..trace.walk import check_writable, is_exported, place
from .declare import function, publish
from .shape import as_strided, channels_last_strides, format_kind, ints, squeeze, t, transpose, unsqueeze

# --- another view of the same storage ---------------------------------------------------------------------------------


def become(tensor: Tensor, view: Tensor) -> Tensor:
    """The tensor reads what a view of it reads."""
    place(tensor)
    tensor._lay = view._lay
    tensor._off = view._off
    tensor._how = view._how
    tensor._val = None
    return tensor


def _in_place(view_of, name: str, where: str = "Tensor"):
    def f(self, *args, **kwargs):
        check_writable(self, tls.walk)
        return become(self, view_of(self, *args, **kwargs))

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"Makes the tensor itself read what {name[:-1]} would give a view of. Returns it."
    publish(f, name, where)


for _name, _view in (
    ("squeeze_", squeeze), ("unsqueeze_", unsqueeze), ("t_", t), ("transpose_", transpose), ("swapaxes_", transpose), ("swapdims_", transpose),
):  # fmt: skip
    _in_place(_view, _name)
_in_place(as_strided, "as_strided_", "torch Tensor")


# --- more memory, other memory ----------------------------------------------------------------------------------------


def _grow(tensor: Tensor, count: int) -> None:
    """Makes the storage at least `count` elements long; every tensor on it goes on reading it."""
    st = place(tensor)
    if st.meta:
        st.size = max(st.size, count)
        return
    if (st.size if st.mem is None else st.mem.size) >= count:
        return
    if st.mem is None or st.val is not None:
        flushing.flush(tls.walk)
    old = flushing.realise(tensor)
    if st.exported and is_exported(st):
        raise RuntimeError(
            "Trying to resize storage that is not resizable: NumPy shares its memory; clone() the tensor first"
        )
    mem = np.zeros(count, old.dtype)
    mem[: old.size] = old
    st.mem = mem
    st.size = count


def _read_as(tensor: Tensor, shape: tuple[int, ...], strides, offset: int) -> Tensor:
    lay = layout_of(tensor)
    new = layout(shapes.size(shape), strides, lay.dtype, lay.device)
    if new.numel:
        _grow(tensor, offset + new.extent)
    tensor._lay = new
    tensor._off = offset
    tensor._val = None
    return tensor


def _resize(tensor: Tensor, shape: tuple[int, ...], memory_format, name: str) -> Tensor:
    if requires_grad(tensor):
        raise RuntimeError(
            f"cannot resize variables that require grad: {name} takes a tensor without; detach() it first"
        )
    for i, n in enumerate(shape):
        if n < 0:
            raise RuntimeError(f"{name}: negative size {n} at dim {i} of {list(shape)}")
    kind = "contiguous" if memory_format is None else format_kind(memory_format)
    if kind == "preserve":
        raise RuntimeError(f"Unsupported memory format for {name}: preserve_format")
    place(tensor)
    if shape == tuple(tensor._lay.shape) and kind == "contiguous":
        return tensor
    return _read_as(tensor, shape, channels_last_strides(shape) if kind == "channels_last" else None, tensor._off)


@function(where="Tensor")
def resize_(self, *sizes, memory_format=None, **more):
    """Makes the tensor read its storage in another shape; a storage that is too short grows (by zeros)."""
    return _resize(self, ints((more["size"],) if "size" in more else sizes, "resize_"), memory_format, "resize_")


@function(where="torch Tensor")
def resize_as_(input, the_template, *, memory_format=None):
    """Makes the tensor read its storage in the shape of another tensor; a storage that is too short grows."""
    return _resize(input, tuple(layout_of(the_template).shape), memory_format, "resize_as_")


@function(where="Tensor")
def set_(self, source=None, storage_offset=0, size=None, stride=None):
    """Makes the tensor read another one's storage (or a storage, or nothing), as the shape, strides and offset say."""
    lay = layout_of(self)
    check_writable(self, tls.walk)
    if source is None:
        place(self)
        st = Storage(np.empty(0, lay.dtype.np))
        st.name = lay.dtype.name
        self._st, self._off = st, 0
        self._lay = layout(shapes.size((0,)), None, lay.dtype, lay.device)
        self._val = None
        return self
    whole = not isinstance(source, Tensor)
    given = source._tensor if whole else source
    have = layout_of(given)
    if have.dtype is not lay.dtype:
        raise RuntimeError(
            f"Could not set tensor of type {have.dtype} to a tensor of type {lay.dtype}: both must have one dtype"
        )
    place(self)
    st = place(given)
    st.shared = True
    self._st = st
    self._det = given._det or requires_grad(given)
    self._val = None
    if size is None and not whole:
        self._lay, self._off = given._lay, given._off
        return self
    shape = (st.mem.size if st.mem is not None else st.size,) if size is None else ints((size,), "set_")
    strides = None if stride is None else ints((stride,), "set_", "stride")
    if numel(shape) and any(n < 0 for n in shape):
        raise RuntimeError(f"set_: negative size in {list(shape)}")
    return _read_as(self, shape, strides, operator.index(storage_offset))
