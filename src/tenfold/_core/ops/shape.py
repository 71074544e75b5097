"""Views: the same storage read with another shape, other strides, another offset. They walk no edge.

A layout remembers its views: `viewed(t, key, make)` computes a view's layout once for each layout and arguments."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable

from ..errors import NotStrided, shape_text
from ..ir import shapes
from ..ir.operation import freeze
from ..ir.shapes import Layout, contiguous_strides, dim_index, layout, size
from ..ir.sizes import index, known
from ..trace.flush import realise
from ..trace.handle import Tensor, layout_of, translated
from ..trace.walk import detach as _detach
from ..trace.walk import place
from ..trace.walk import view as new_view
from .declare import function, primitive


@translated
def viewed(t: Tensor, how: str, args: tuple, make: Callable[[Layout], tuple]) -> Tensor:
    """The view of t that make(layout) -> (shape, strides, offset) describes; remembered by (how, args)."""
    lay = layout_of(t)
    key = (how, args)
    try:
        found = lay.views.get(key)
    except TypeError:
        key = (how, freeze(args))
        found = lay.views.get(key)
    except NotStrided as e:
        return _packed_view(t, how, args, e)
    if found is None:
        shape, strides, delta = make(lay)
        found = (layout(size(shape), tuple(strides), lay.dtype, lay.device), delta)
        if len(lay.views) > 4096:
            lay.views.clear()
        if known(found[0].shape):
            lay.views[key] = found
    return new_view(t, found[0], found[1], how)


PACKED_VIEWS = {
    "T": "t",
    "Transpose": "transpose",
    "Permute": "permute",
    "Unsqueeze": "unsqueeze",
    "Squeeze": "squeeze",
}


def _packed_view(t: Tensor, how: str, args: tuple, e: NotStrided):
    """The view of a tensor without strides (see packed.py): its own method, if it has that."""
    name = PACKED_VIEWS.get(how, "")
    own = getattr(type(t), name, None)
    if own is None or own is getattr(Tensor, name, None):
        raise e
    return own(t, *args)


@translated
def ints(args: tuple, name: str, what: str = "size") -> tuple[int, ...]:
    """Ints given one by one or as one sequence."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = args[0]
    for n in args:
        if type(n) is not int:
            return _indices(args, name, what)
    return tuple(args)


def _indices(args, name: str, what: str) -> tuple[int, ...]:
    try:
        return tuple([index(n) for n in args])
    except TypeError:
        bad = next(n for n in args if not hasattr(n, "__index__"))
        raise TypeError(
            f"{name}(): argument '{what}' must be tuple of ints, but found element of type {type(bad).__name__}"
        ) from None


def dim_or_axis(fn: Callable) -> Callable:
    """The function, whose argument `dim` may also be named `axis`, as NumPy calls it."""

    @functools.wraps(fn)
    def call(*args, **kwargs):
        if "axis" in kwargs:
            kwargs["dim"] = kwargs.pop("axis")
        return fn(*args, **kwargs)

    return call


# --- one shape for another --------------------------------------------------------------------------------------------


def infer_size(shape: tuple[int, ...], count: int, name: str) -> tuple[int, ...]:
    """The shape with its -1 worked out; RuntimeError where the number of elements does not fit."""
    unknown = None
    known = 1
    for i, n in enumerate(shape):
        if n == -1:
            if unknown is not None:
                raise RuntimeError("only one dimension can be inferred")
            unknown = i
        elif n < 0:
            raise RuntimeError(f"invalid shape dimension {n} at index {i} of shape {list(shape)}")
        else:
            known *= n
    if unknown is not None:
        if known == 0 and count == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified dimension size -1 can be any value and is ambiguous"
            )
        if known and count % known == 0:
            return shape[:unknown] + (count // known,) + shape[unknown + 1 :]
    elif known == count:
        return shape
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {count}")


def view_strides(lay: Layout, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The strides with which memory laid out as `lay` reads as `shape`; None where only a copy would."""
    if lay.contig:
        return contiguous_strides(shape)
    if lay.numel == 0:
        return contiguous_strides(shape)
    out = [0] * len(shape)
    d = len(shape) - 1
    chunk = 1
    block = 1
    old, strides = lay.shape, lay.strides
    base = strides[-1] if old else 1
    for i in range(len(old) - 1, -1, -1):
        block *= old[i]
        if i == 0 or (old[i - 1] != 1 and strides[i - 1] != block * base):
            while d >= 0 and (chunk < block or shape[d] == 1):
                out[d] = chunk * base
                chunk *= shape[d]
                d -= 1
            if chunk != block:
                return None
            if i > 0:
                base = strides[i - 1]
                chunk = block = 1
    return tuple(out) if d == -1 else None


@function(where="Tensor")
def view(input, *shape, **more):
    """The same memory with another shape, or read as another dtype; RuntimeError where that would need a copy.

    Args: shape: ints, one of which may be -1; or a dtype."""
    if "size" in more:
        shape = (more["size"],)
    if (
        len(shape) == 1
        and not isinstance(shape[0], (int, tuple, list))
        and (hasattr(shape[0], "itemsize") or "dtype" in more)
    ):
        return view_as_dtype(input, shape[0])
    if "dtype" in more:
        return view_as_dtype(input, more["dtype"])
    wanted = ints(shape, "view")

    def make(lay):
        full = infer_size(wanted, lay.numel, "view")
        strides = view_strides(lay, full)
        if strides is None:
            raise RuntimeError(
                "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead. "
                f"(view: shape {shape_text(lay.shape)} with strides {list(lay.strides)} to {shape_text(full)})"
            )
        return full, strides, 0

    return viewed(input, "View", wanted, make)


def view_as_dtype(t: Tensor, d) -> Tensor:
    lay = layout_of(t)
    if d is lay.dtype:
        return new_view(t, lay, 0, "View")
    if t.requires_grad:
        raise RuntimeError(
            "view: reading a tensor that requires grad as another dtype has no gradient; detach() it first"
        )
    t = _realised(t)
    lay = layout_of(t)
    old, new = lay.dtype.itemsize, d.itemsize
    if old == new:
        return new_view(t, layout(lay.shape, lay.strides, d, lay.device), 0, "View")
    if lay.ndim == 0:
        raise RuntimeError(f"self.dim() cannot be 0 to view {lay.dtype} as {d} (different element sizes)")
    if lay.strides[-1] != 1:
        raise RuntimeError(
            f"self.stride(-1) must be 1 to view {lay.dtype} as {d} (different element sizes), but got {lay.strides[-1]}"
        )
    if old > new:
        k = old // new
        shape = (*lay.shape[:-1], lay.shape[-1] * k)
        strides = (*[s * k for s in lay.strides[:-1]], 1)
        return _as_other_size(t, layout(size(shape), strides, d, lay.device), t._off * k)
    k = new // old
    if lay.shape[-1] % k or any(s % k for s in lay.strides[:-1]) or t._off % k:
        raise RuntimeError(
            f"self.size(-1) must be divisible by {k} to view {lay.dtype} as {d} (different element sizes), but got {lay.shape[-1]}"
        )
    shape = (*lay.shape[:-1], lay.shape[-1] // k)
    strides = (*[s // k for s in lay.strides[:-1]], 1)
    return _as_other_size(t, layout(size(shape), strides, d, lay.device), t._off // k)


def _realised(t: Tensor) -> Tensor:
    place(t)
    if layout_of(t).device != "meta":
        realise(t)
    return t


def _as_other_size(t: Tensor, lay: Layout, offset: int) -> Tensor:
    return new_view(t, lay, offset - t._off, "View")


@function
def reshape(input, *shape, **more):
    """The elements in another shape: a view where memory allows, else a copy.

    Args: shape: ints, one of which may be -1."""
    wanted = ints((more["shape"],) if "shape" in more else shape, "reshape", "shape")
    lay = layout_of(input)
    found = lay.views.get(("View", wanted))
    if found is not None:
        return new_view(input, found[0], found[1], "View")
    full = infer_size(wanted, lay.numel, "reshape")
    strides = view_strides(lay, full)
    if strides is None:
        return viewed(
            clone(input, memory_format="contiguous"), "View", wanted, lambda l: (full, contiguous_strides(full), 0)
        )
    return viewed(input, "View", wanted, lambda l: (full, strides, 0))


def _copy_rule(input, memory_format):
    if memory_format == "preserve":
        if input.dense:
            return layout(input.shape, None if input.contig else input.strides, input.dtype, input.device)
        return layout(input.shape, shapes.result_strides(input.shape, [input]), input.dtype, input.device)
    return layout(
        input.shape,
        None if memory_format == "contiguous" else channels_last_strides(input.shape),
        input.dtype,
        input.device,
    )


def channels_last_strides(shape) -> tuple[int, ...]:
    if len(shape) not in (4, 5):
        raise RuntimeError(f"required rank {4} tensor to use channels_last format, this one has {len(shape)} dims")
    order = [1, *range(len(shape) - 1, 1, -1), 0]
    out = [0] * len(shape)
    step = 1
    for d in order:
        out[d] = step
        step *= max(shape[d], 1)
    return tuple(out)


@primitive(rule=_copy_rule, raw=True, gradient=lambda g, out, input, memory_format: g, name="clone", where="")
def _copy(input, memory_format):
    return input.copy()


class memory_format:
    """How a copy lies in memory: contiguous_format, preserve_format, channels_last, channels_last_3d."""

    def __init__(self, name: str, kind: str):
        self.name = name
        self.kind = kind

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self):
        return (_format_named, (self.name,))


FORMATS = {
    n: memory_format(n, k)
    for n, k in (
        ("contiguous_format", "contiguous"),
        ("preserve_format", "preserve"),
        ("channels_last", "channels_last"),
        ("channels_last_3d", "channels_last"),
    )
}


def _format_named(name: str) -> memory_format:
    return FORMATS[name]


def format_kind(f) -> str:
    return f if isinstance(f, str) else "preserve" if f is None else f.kind


@function
def clone(input, *, memory_format=None):
    """A copy in memory of its own; gradients pass through."""
    return _copy(input, format_kind(memory_format))


@function(where="Tensor")
def contiguous(self, memory_format=None):
    """The tensor itself where its elements lie in order in memory, else a copy that does."""
    kind = "contiguous" if memory_format is None else format_kind(memory_format)
    lay = layout_of(self)
    if kind == "preserve":
        raise RuntimeError("preserve memory format is unsupported by the contiguous operator")
    if kind == "contiguous":
        return self if lay.contig else _copy(self, kind)
    return self if lay.strides == channels_last_strides(lay.shape) else _copy(self, kind)


# --- dims in another order --------------------------------------------------------------------------------------------


@function(aliases=("swapdims",))
def transpose(input, dim0, dim1):
    """A view with two dims exchanged."""

    def make(lay):
        a, b = dim_index(dim0, lay.ndim), dim_index(dim1, lay.ndim)
        if lay.ndim == 0:
            return lay.shape, lay.strides, 0
        shape, strides = list(lay.shape), list(lay.strides)
        shape[a], shape[b] = shape[b], shape[a]
        strides[a], strides[b] = strides[b], strides[a]
        return shape, strides, 0

    return viewed(input, "Transpose", (dim0, dim1), make)


@function
def swapaxes(input, axis0, axis1):
    """A view with two dims exchanged."""
    return transpose(input, axis0, axis1)


@function
def t(input):
    """A view of a matrix with its dims exchanged; tensors of fewer dims are returned as a view as they are."""

    def make(lay):
        if lay.ndim > 2:
            raise RuntimeError(
                f"t() expects a tensor with <= 2 dimensions, but self is {lay.ndim}D. Use transpose or permute."
            )
        return tuple(reversed(lay.shape)), tuple(reversed(lay.strides)), 0

    return viewed(input, "T", (), make)


@function
def permute(input, *dims, **more):
    """A view with the dims in the order given."""
    wanted = ints((more["dims"],) if "dims" in more else dims, "permute", "dims")

    def make(lay):
        if len(wanted) != lay.ndim:
            raise RuntimeError(
                f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {lay.ndim} is not equal to len(dims) = {len(wanted)}"
            )
        order = [dim_index(d, lay.ndim) for d in wanted]
        if len(set(order)) != len(order):
            raise RuntimeError("permute(): duplicate dims are not allowed.")
        return [lay.shape[d] for d in order], [lay.strides[d] for d in order], 0

    return viewed(input, "Permute", wanted, make)


# --- dims more or fewer -----------------------------------------------------------------------------------------------


@function
@dim_or_axis
def unsqueeze(input, dim):
    """A view with a dim of size 1 put in at `dim`."""

    def make(lay):
        d = dim_index(dim, lay.ndim + 1)
        step = lay.strides[d] * lay.shape[d] if d < lay.ndim else 1
        return (*lay.shape[:d], 1, *lay.shape[d:]), (*lay.strides[:d], step, *lay.strides[d:]), 0

    return viewed(input, "Unsqueeze", (dim,), make)


@function
@dim_or_axis
def squeeze(input, dim=None):
    """A view without the dims of size 1: all of them, or those named."""

    def make(lay):
        if dim is None:
            out = set(range(lay.ndim))
        elif isinstance(dim, (tuple, list)):
            out = {dim_index(d, lay.ndim) for d in dim}
        else:
            out = {dim_index(dim, lay.ndim)}
        keep = [d for d in range(lay.ndim) if d not in out or lay.shape[d] != 1]
        return [lay.shape[d] for d in keep], [lay.strides[d] for d in keep], 0

    return viewed(input, "Squeeze", (tuple(dim) if isinstance(dim, list) else dim,), make)


@function(where="Tensor")
def expand(self, *sizes, **more):
    """A view in which dims of size 1 are repeated without a copy; -1 keeps a dim.

    Raises: RuntimeError where a dim that is not 1 would change."""
    wanted = ints((more["size"],) if "size" in more else sizes, "expand")

    def make(lay):
        n = len(wanted)
        pad = n - lay.ndim
        if pad < 0:
            raise RuntimeError(
                f"expand({lay!r}, size={list(wanted)}): the number of sizes provided ({n}) must be greater or equal to the number of dimensions in the tensor ({lay.ndim})"
            )
        shape, strides = [], []
        for i, want in enumerate(wanted):
            have = lay.shape[i - pad] if i >= pad else 1
            step = lay.strides[i - pad] if i >= pad else None
            if want == -1:
                if i < pad:
                    raise RuntimeError(
                        f"The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {i}"
                    )
                want = have
            if want < 0:
                raise RuntimeError(f"expand: size {want} of dimension {i} is negative")
            if want != have and have != 1:
                raise RuntimeError(
                    f"The expanded size of the tensor ({want}) must match the existing size ({have}) at non-singleton dimension {i}.  Target sizes: {list(wanted)}.  Tensor sizes: {list(lay.shape)}"
                )
            shape.append(want)
            strides.append(0 if want != have or step is None else step)
        # a leading new dim of size 1 gets the stride that it would have in order
        for i in range(n - 1, -1, -1):
            if i < pad and shape[i] == 1:
                strides[i] = strides[i + 1] * shape[i + 1] if i + 1 < n else 1
        return shape, strides, 0

    return viewed(self, "Expand", wanted, make)


@function
@dim_or_axis
def select(input, dim, index):
    """A view without dim `dim`, at `index` of it."""
    lay = layout_of(input)
    if lay.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = dim_index(dim, lay.ndim)
    n = lay.shape[d]
    i = operator.index(index)
    if not -n <= i < n:
        raise IndexError(f"select(): index {i} out of range for tensor of size {list(lay.shape)} at dimension {d}")
    found = lay.views.get(("Select", d))
    if found is None:
        rest = [k for k in range(lay.ndim) if k != d]
        found = lay.views["Select", d] = layout(
            size([lay.shape[k] for k in rest]), tuple([lay.strides[k] for k in rest]), lay.dtype, lay.device
        )
    return new_view(input, found, (i + n if i < 0 else i) * lay.strides[d], "Select")


@translated
def slice_dim(input: Tensor, d: int, start: int, count: int, step: int) -> Tensor:
    """A view of `count` places of dim d (not negative), from `start`, every `step`."""
    lay = layout_of(input)
    key = ("Slice", d, count, step)
    found = lay.views.get(key)
    if found is None:
        shape, strides = list(lay.shape), list(lay.strides)
        shape[d] = count
        strides[d] *= step
        found = lay.views[key] = layout(size(shape), tuple(strides), lay.dtype, lay.device)
    return new_view(input, found, start * lay.strides[d], "Slice")


@function
def narrow(input, dim, start, length):
    """A view of `length` places of a dim, from `start`."""
    lay = layout_of(input)
    if lay.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if isinstance(start, Tensor):
        start = int(start.item())
    d = dim_index(dim, lay.ndim)
    n = lay.shape[d]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -n <= start <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {start})")
    start = start + n if start < 0 else start
    if start + length > n:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return slice_dim(input, d, start, length, 1)


@function
def as_strided(input, size, stride, storage_offset=None):
    """A view of the storage with any shape, strides and offset; RuntimeError where it would reach outside."""
    shape, strides = ints((size,), "as_strided"), ints((stride,), "as_strided", "stride")
    lay = layout_of(input)
    if len(shape) != len(strides):
        raise RuntimeError(f"mismatch in length of strides and shape: {len(shape)} sizes and {len(strides)} strides")
    if any(s < 0 for s in strides):
        raise RuntimeError(
            f"as_strided: Negative strides are not supported at the moment, got strides: {list(strides)}"
        )
    if any(n < 0 for n in shape):
        raise RuntimeError(f"as_strided: negative size in {list(shape)}")
    st = place(input)
    offset = input._off if storage_offset is None else operator.index(storage_offset)
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    new = layout(shapes.size(shape), strides, lay.dtype, lay.device)
    if new.numel and st.size >= 0 and offset + new.extent > st.size and not st.meta:
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, and itemsize {lay.dtype.itemsize} requiring a storage size of {(offset + new.extent) * lay.dtype.itemsize} are out of bounds for storage of size {st.size * lay.dtype.itemsize}"
        )
    return new_view(input, new, offset - input._off, "AsStrided")


@function
def detach(input):
    """A view without history: it never requires grad."""
    return _detach(input)
