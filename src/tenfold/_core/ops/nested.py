"""Nested tensors: batches of tensors that differ in the size of one dim, such as sentences of unequal length.

All rows lie one after the other in one ordinary tensor, without padding; `offsets` says where each begins. Functions of
single elements or rows are computed on that tensor as it is; only sums over the uneven dim and attention look at it."""

from __future__ import annotations

import functools
import itertools

import numpy as np

from ..errors import NotStrided
from ..ir.dtypes import FLOAT, INT, bool_
from ..ir.operation import Operation, Primitive, gather
from ..ir.shapes import Layout, Size, dim_index
from ..trace.flush import array_of
from ..trace.handle import Tensor, layout_of
from . import return_types
from .creation import tensor as make_tensor
from .declare import OPERATIONS, PUBLIC
from .joining import cat
from .packed import Packed, PackedLayout
from .sparse_tensor import summed_rows

T, F = PUBLIC["torch"], PUBLIC["nn.functional"]
UNSUPPORTED = (
    "there is no such operation for nested tensors (_core/ops/nested.py has those that there are): compute it on"
    " .values(), on the tensors of .unbind(), or on .to_padded_tensor(0.0)"
)


# --- what a nested tensor is --------------------------------------------------------------------------------------


class UnevenSize:
    """The size of a dim that differs from tensor to tensor: equal to itself alone."""

    _numbers = itertools.count(1)

    def __init__(self):
        self._name = f"j{next(self._numbers)}"

    def __repr__(self) -> str:
        return self._name

    def __int__(self) -> int:
        raise RuntimeError(f"the size {self} of a nested tensor differs from row to row; see .offsets()")

    __index__ = __int__


class Rows:
    """Where the rows of a batch begin and end: shared by all nested tensors that are made from each other."""

    def __init__(self, offsets: Tensor, known: np.ndarray | None = None):
        self.offsets = offsets
        self.starts = array_of(offsets).astype(np.int64) if known is None else known
        self.counts = np.diff(self.starts)
        self.size = UnevenSize()
        self._made: dict[str, Tensor] = {}

    @classmethod
    def of_counts(cls, counts, like: Tensor | None = None) -> Rows:
        starts = np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))]).astype(np.int64)
        return cls(make_tensor(starts), starts)

    number = property(lambda self: len(self.counts))
    longest = property(lambda self: int(self.counts.max(initial=0)))

    def _kept(self, name: str, make) -> Tensor:
        if name not in self._made:
            self._made[name] = make_tensor(make())
        return self._made[name]

    @property
    def which(self) -> Tensor:
        """The row that each place belongs to."""
        return self._kept("which", lambda: np.repeat(np.arange(self.number), self.counts))

    @property
    def padded_from(self) -> Tensor:
        """For each place of a padded batch, the place that it comes from; one past the last for padding."""

        def make():
            i = np.arange(self.longest)
            return np.where(i < self.counts[:, None], self.starts[:-1, None] + i, self.starts[-1]).reshape(-1)

        return self._kept("padded_from", make)

    @property
    def in_padded(self) -> Tensor:
        """For each place, its place in the padded batch."""

        def make():
            inside = np.arange(self.starts[-1]) - np.repeat(self.starts[:-1], self.counts)
            return np.repeat(np.arange(self.number) * self.longest, self.counts) + inside

        return self._kept("in_padded", make)

    @property
    def there(self) -> Tensor:
        """(rows, longest): whether the padded batch has an element there."""
        return self._kept("there", lambda: np.arange(self.longest) < self.counts[:, None])

    @property
    def lengths(self) -> Tensor:
        """How many places each row has."""
        return self._kept("lengths", lambda: self.counts)


def _no_shape(self):
    raise NotStrided(UNSUPPORTED)


class RaggedLayout(PackedLayout):
    """The layout of a nested tensor: a dtype and a number of dims, but no sizes that a rule could compute with."""

    __slots__ = ()
    UNSUPPORTED = UNSUPPORTED

    shape = strides = contig = dense = extent = nbytes = byte_strides = plain = property(_no_shape)
    numel = property(lambda self: -1)  # unknown, as of flat memory


_layouts: dict = {}


def ragged(elements: Layout, ndim: int) -> RaggedLayout:
    """The layout of a nested tensor of so many dims, made of elements of that layout."""
    key = elements.dtype, elements.device, ndim
    if key not in _layouts:
        made = RaggedLayout()
        made.dtype, made.device, made.ndim = key
        made.number, made.flat, made.repeats = None, False, False
        made.differentiable = elements.differentiable
        _layouts[key] = made
    return _layouts[key]


class NestedTensor(Packed):
    """A batch of tensors that differ in the size of dim `_uneven` (counted with the batch dim 0)."""

    MEANINGS = {}
    UNSUPPORTED = UNSUPPORTED

    def __new__(cls, elements: Tensor, rows: Rows, uneven: int = 1, jagged: bool = True):
        have = layout_of(elements)
        self = Packed.__new__(cls, elements, ragged(have, have.ndim + 1))
        self._rows, self._uneven, self._jagged = rows, uneven, jagged
        return self

    def _with(self, elements: Tensor, uneven: int | None = None) -> NestedTensor:
        return NestedTensor(elements, self._rows, self._uneven if uneven is None else uneven, self._jagged)

    def meaning(self, op: Operation):
        """What the operation is for it: functions of single elements are computed on the elements."""
        found = self.MEANINGS.get(op)
        if found is None and (isinstance(op, Primitive) and op.compute is not None or op.name in ELEMENTWISE):
            return _on_elements(op)
        return found or super().meaning(op)

    is_nested = property(lambda self: True, None, None, "Whether it is nested: yes.")

    # --- sizes

    @property
    def shape(self) -> Size:
        """The size of each dim; the uneven one is a size that equals itself alone."""
        if not self._jagged:
            raise RuntimeError("a nested tensor with torch.strided has no shape: ask .size(dim) for a dim that is even")
        return self._sizes()

    def _sizes(self) -> Size:
        sizes = [self._rows.number, *layout_of(self._elements).shape]
        sizes[self._uneven] = self._rows.size
        return tuple.__new__(Size, sizes)

    def size(self, dim: int | None = None):
        """The shape, or the size of one dim."""
        if dim is None:
            return self.shape
        d = dim_index(dim, self.dim())
        if d == self._uneven and not self._jagged and len(set(self._rows.counts)) > 1:
            raise RuntimeError(f"Given dimension {d} is irregular and does not have a size.")
        if d == self._uneven and not self._jagged:
            return self._rows.longest
        return self._sizes()[d]

    def numel(self) -> int:
        """The number of elements of all rows."""
        return layout_of(self._elements).numel

    def __len__(self) -> int:
        return self._rows.number

    def is_contiguous(self, memory_format=None) -> bool:
        """Whether the elements lie in order, the uneven dim outermost."""
        return self._uneven == 1 and layout_of(self._elements).contig

    def contiguous(self, *, memory_format=None) -> NestedTensor:
        """The tensor with its elements in order."""
        return self._with(self._elements.contiguous())

    _max_seqlen = property(lambda self: self._rows.longest, None, None, "The greatest size of the uneven dim.")
    _min_seqlen = property(lambda self: int(self._rows.counts.min(initial=0)), None, None, "The least size of it.")

    # --- its parts

    def values(self) -> Tensor:
        """All rows, one after the other along the uneven dim."""
        return self._elements

    def offsets(self) -> Tensor:
        """Where each row begins, and where the last ends: (rows + 1)."""
        return self._rows.offsets

    def lengths(self) -> None:
        """None: each row ends where the next begins."""
        return

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """The tensors of the batch, as views."""
        if dim_index(dim, self.dim()) != 0:
            raise RuntimeError("unbind(): only supported for NestedTensor on dim=0")
        along, starts = self._uneven - 1, self._rows.starts
        return tuple([self._elements.narrow(along, int(s), int(n)) for s, n in zip(starts, self._rows.counts)])

    def __iter__(self):
        return iter(self.unbind())

    def select(self, dim: int, index: int) -> Tensor:
        """One tensor of the batch, or one slice of all along an even dim."""
        d = dim_index(dim, self.dim())
        if d == 0:
            n = self._rows.number
            if not -n <= index < n:
                raise IndexError(f"index {index} is out of range for a nested tensor of {n} tensors")
            return self.unbind()[index]
        self._even("select", d)
        return self._with(self._elements.select(d - 1, index), self._uneven - (d < self._uneven))

    def __getitem__(self, item):
        items = list(item) if isinstance(item, tuple) else [item]
        if any(i is Ellipsis for i in items):
            at = next(k for k, i in enumerate(items) if i is Ellipsis)
            items[at : at + 1] = [slice(None)] * (self.dim() - len(items) + 1)
        if items and hasattr(items[0], "__index__") and not isinstance(items[0], (bool, Tensor)):
            one = self.select(0, items[0].__index__())
            return PUBLIC["Tensor"]["__getitem__"](one, tuple(items[1:])) if items[1:] else one
        if self._uneven != 1 or items[:2] != [slice(None), slice(None)]:
            raise RuntimeError(f"slice(): not supported for NestedTensor on dims 0 and {self._uneven}: take .unbind()")
        return self._with(self._elements[(slice(None), *items[2:])])

    def to_padded_tensor(self, padding=0.0, output_size=None) -> Tensor:
        """The batch as one ordinary tensor, rows filled up with `padding` to the longest.

        Args: output_size: a larger size of the result. Default None."""
        first = self._elements.movedim(self._uneven - 1, 0)
        shape, rows = tuple(first.shape[1:]), self._rows
        wide = cat([first, first.new_full((1, *shape), padding)], 0)
        out = wide.index_select(0, rows.padded_from).reshape(rows.number, rows.longest, *shape).movedim(1, self._uneven)
        if output_size is None:
            return out
        if len(output_size) != out.dim() or any(n < have for n, have in zip(output_size, out.shape)):
            raise RuntimeError(
                f"Value in output_size is less than NestedTensor padded size. Truncation is not supported: {list(output_size)}, {list(out.shape)}"
            )
        more = [m for n, have in zip(reversed(output_size), reversed(out.shape)) for m in (0, n - have)]
        return F["pad"](out, more, value=padding)

    def _from_padded(self, dense: Tensor, uneven: int | None = None) -> NestedTensor:
        """A tensor with the same rows as this one from a padded batch."""
        d = self._uneven if uneven is None else uneven
        first = dense.movedim(d, 1)
        flat = first.reshape(-1, *first.shape[2:]).index_select(0, self._rows.in_padded)
        return self._with(flat.movedim(0, d - 1), d)

    # --- its dims

    def _even(self, name: str, d: int) -> int:
        if d == 0:
            raise RuntimeError(f"{name}(): not supported for NestedTensor on dim=0")
        if d == self._uneven:
            raise RuntimeError(f"{name}(): not supported for NestedTensor on ragged dim")
        return d

    def transpose(self, dim0: int, dim1: int) -> NestedTensor:
        """The tensor with two dims exchanged, of which none is the batch's."""
        a, b = dim_index(dim0, self.dim()), dim_index(dim1, self.dim())
        if a == b:
            return self
        if 0 in (a, b):
            raise RuntimeError("transpose(): not supported for NestedTensor on dim=0")
        uneven = b if self._uneven == a else a if self._uneven == b else self._uneven
        return self._with(self._elements.transpose(a - 1, b - 1), uneven)

    def permute(self, *dims) -> NestedTensor:
        """The tensor with its dims in another order, the batch first."""
        dims = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
        order = [dim_index(d, self.dim()) for d in dims]
        if sorted(order) != list(range(self.dim())) or order[0] != 0:
            raise RuntimeError(f"permute(): a NestedTensor keeps its batch dim first, but got {list(dims)}")
        return self._with(self._elements.permute(*[d - 1 for d in order[1:]]), order.index(self._uneven))

    def unsqueeze(self, dim: int) -> NestedTensor:
        """The tensor with a new dim of size 1."""
        d = dim_index(dim, self.dim() + 1)
        if d == 0:
            raise RuntimeError("unsqueeze(): not supported for NestedTensor on dim=0")
        return self._with(self._elements.unsqueeze(d - 1), self._uneven + (d <= self._uneven))

    def squeeze(self, dim: int) -> NestedTensor:
        """The tensor without a dim of size 1."""
        d = self._even("squeeze", dim_index(dim, self.dim()))
        if layout_of(self._elements).shape[d - 1] != 1:
            return self
        return self._with(self._elements.squeeze(d - 1), self._uneven - (d < self._uneven))

    def view(self, *shape) -> NestedTensor:
        """The tensor with other even dims after the uneven one, which is dim 1, given as -1 or by its own size."""
        shape = list(shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)
        fits = len(shape) > 1 and self._uneven == 1 and shape[0] in (self._rows.number, -1)
        if not fits or shape[1] is not self._rows.size and shape[1] != -1:
            raise RuntimeError(f"view(): cannot view shape {tuple(self._sizes())} as {tuple(shape)}")
        return self._with(self._elements.reshape(int(self._rows.starts[-1]), *shape[2:]))

    reshape = view

    def unflatten(self, dim: int, sizes) -> NestedTensor:
        """The tensor with an even dim split into several."""
        d = self._even("unflatten", dim_index(dim, self.dim()))
        return self._with(
            self._elements.unflatten(d - 1, sizes), self._uneven + (len(sizes) - 1 if d < self._uneven else 0)
        )

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> NestedTensor:
        """The tensor with neighbouring even dims joined."""
        a, b = dim_index(start_dim, self.dim()), dim_index(end_dim, self.dim())
        if a <= self._uneven <= b and a != b:
            raise RuntimeError("flatten(): not supported for NestedTensor on ragged dim")
        if a == 0:
            raise RuntimeError("flatten(): not supported for NestedTensor on dim=0")
        return self._with(self._elements.flatten(a - 1, b - 1), self._uneven - (b - a if b < self._uneven else 0))

    def chunk(self, chunks: int, dim: int = 0) -> tuple[NestedTensor, ...]:
        """Parts of equal size along an even dim."""
        d = self._even("chunk", dim_index(dim, self.dim()))
        return tuple([self._with(part) for part in self._elements.chunk(chunks, d - 1)])

    def split(self, split_size, dim: int = 0) -> tuple[NestedTensor, ...]:
        """Parts of the given sizes along an even dim."""
        d = self._even("split", dim_index(dim, self.dim()))
        return tuple([self._with(part) for part in self._elements.split(split_size, d - 1)])

    def numpy(self, *, force: bool = False):
        """RuntimeError: NumPy has no uneven arrays."""
        raise RuntimeError(".numpy() is not supported for tensor subclasses: a nested tensor has uneven rows.")

    # --- extremes over a dim, with their places

    def max(self, dim: int | None = None, keepdim: bool = False):
        """The greatest element, or those along a dim with their places."""
        return self._extreme("max", -np.inf, dim, keepdim)

    def min(self, dim: int | None = None, keepdim: bool = False):
        """The least element, or those along a dim with their places."""
        return self._extreme("min", np.inf, dim, keepdim)

    def _extreme(self, name: str, padding: float, dim: int | None, keepdim: bool):
        if dim is None:
            return getattr(self._elements, name)()
        d = dim_index(dim, self.dim())
        if d == self._uneven:
            return getattr(self.to_padded_tensor(_limit(self, padding)), name)(d, keepdim)
        values, indices = getattr(self._elements, name)(self._even(name, d) - 1, keepdim)
        uneven = self._uneven - (d < self._uneven and not keepdim)
        return getattr(return_types, name)(self._with(values, uneven), self._with(indices, uneven))


def _limit(x: Packed, value: float):
    """The least or greatest value of the dtype, to pad with."""
    d = layout_of(x).dtype
    if d.category >= FLOAT:
        return value
    if d is bool_:
        return value > 0
    info = np.iinfo(d.np)
    return info.min if value < 0 else info.max


# --- element by element -------------------------------------------------------------------------------------------

ELEMENTWISE = frozenset("masked_fill where".split())


def _same_rows(name: str, nested: list) -> NestedTensor:
    first = nested[0]
    for x in nested[1:]:
        same = x._rows is first._rows or not x._jagged and np.array_equal(x._rows.counts, first._rows.counts)
        if not same or x._uneven != first._uneven:
            raise RuntimeError(
                f"cannot call function {name} with inputs of shapes {tuple(first._sizes())} and {tuple(x._sizes())}: nested"
                " tensors need the same offsets (give both the same offsets tensor, with nested_tensor_from_jagged)"
            )
    return first


def _aligned(name: str, x: NestedTensor, dense: Tensor) -> Tensor:
    """A dense operand so that it broadcasts against the elements."""
    shape, n = tuple(dense.shape), x.dim()
    wide = (1,) * (n - len(shape)) + shape
    if len(shape) <= n and wide[0] == 1 and wide[x._uneven] == 1:
        return dense.reshape(wide[1:]) if len(shape) >= n - x._uneven else dense
    if len(shape) == n and x._uneven == 1 and wide[0] in (1, x._rows.number):
        if wide[1] == 1:
            return dense.reshape(shape[0], *shape[2:]).index_select(0, x._rows.which)
        if wide[1] == x._rows.longest and wide[0] == x._rows.number:
            return x._from_padded(dense)._elements
    raise RuntimeError(f"{name}: a tensor of shape {list(shape)} does not broadcast to {tuple(x._sizes())}")


def _on_elements(op: Operation):
    def meaning(*args, **kwargs):
        x = _same_rows(op.name, gather([args, kwargs], NestedTensor))

        def plain(a):
            if isinstance(a, NestedTensor):
                return a._elements
            return _aligned(op.name, x, a) if isinstance(a, Tensor) and a.dim() else a

        return x._with(op.call(*[plain(a) for a in args], **{k: plain(v) for k, v in kwargs.items()}))

    return meaning


def _in_place(name: str):
    def method(self, *args, **kwargs):
        made = getattr(self, name)(*args, **kwargs)
        if self._asked:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        self._elements = made._elements.to(layout_of(self).dtype)
        return self

    method.__name__ = method.__qualname__ = name + "_"
    method.__doc__ = f"{name}, in place."
    return method


for _name in "add sub mul div neg exp relu sqrt masked_fill clamp".split():
    setattr(NestedTensor, _name + "_", _in_place(_name))


# --- along a dim --------------------------------------------------------------------------------------------------


def _dims(name: str, x: NestedTensor, dim) -> tuple[int, ...]:
    dims = dim if isinstance(dim, (tuple, list)) else () if dim is None else (dim,)
    return tuple([dim_index(d, x.dim()) for d in dims]) or tuple(range(x.dim()))


def _reduction(name: str, over_rows):
    """The reduction over all elements, over even dims (nested), or over the uneven dim (dense)."""
    op = OPERATIONS[name]

    def meaning(input, dim=None, keepdim=False, **options):
        n, r = input.dim(), input._uneven
        dims = _dims(name, input, dim)
        if len(dims) == n:
            return op.call(input._elements, **options)
        if not input._jagged and not keepdim:
            raise RuntimeError("NestedTensor always requires keepdim=True for now.")
        if r not in dims and 0 not in dims:
            out = op.call(input._elements, tuple([d - 1 for d in dims]), keepdim, **options)
            return input._with(out, r if keepdim else r - sum(d < r for d in dims))
        if set(dims) == {0, r}:
            return op.call(input._elements, (r - 1,), keepdim, **options)
        if dims != (r,):
            what = "the batch dimension but not the ragged" if 0 in dims else "a ragged and non-batch"
            raise RuntimeError(f"{name}(): reducing along {what} dimension is not supported for nested tensors")
        out = over_rows(input, **options)
        return out.unsqueeze(r) if keepdim else out

    NestedTensor.MEANINGS[op] = meaning


def _row_sums(x: NestedTensor, dtype=None) -> Tensor:
    first = x._elements.movedim(x._uneven - 1, 0)
    d = layout_of(first).dtype
    first = first.to(dtype or (d if d.category > INT else T["int64"]))
    return summed_rows(first, x._rows.which, x._rows.number)


def _row_means(x: NestedTensor, dtype=None) -> Tensor:
    total = _row_sums(x if dtype is None else x.to(dtype))
    return total / x._rows.lengths.reshape(-1, *[1] * (total.dim() - 1))


_reduction("sum", _row_sums)
_reduction("mean", _row_means)
_reduction("amax", lambda x: x.to_padded_tensor(_limit(x, -np.inf)).amax(x._uneven))
_reduction("amin", lambda x: x.to_padded_tensor(_limit(x, np.inf)).amin(x._uneven))
_reduction("any", lambda x: (x != 0).to_padded_tensor(False).any(x._uneven))
_reduction("all", lambda x: (x != 0).to_padded_tensor(True).all(x._uneven))


def _softmax(op: Operation):
    def meaning(input, dim):
        d = dim_index(dim, input.dim())
        if d == 0:
            raise RuntimeError("softmax(): not supported when reducing across the batch dimension for NestedTensor")
        if d != input._uneven:
            return input._with(op.call(input._elements, d - 1))
        return input._from_padded(op.call(input.to_padded_tensor(-np.inf), d))

    NestedTensor.MEANINGS[op] = meaning


for _name in ("_softmax", "_log_softmax"):
    _softmax(OPERATIONS[_name])


def _on_last_dims(name: str) -> None:
    """An operation that treats what lies in the last dims, such as features, each by itself."""
    op = OPERATIONS[name]

    def meaning(input, *args, **kwargs):
        if input._uneven != 1:
            raise NotStrided(f"{name}: the uneven dim has to be dim 1, but it is {input._uneven}: transpose first")
        return input._with(op.call(input._elements, *args, **kwargs))

    NestedTensor.MEANINGS[op] = meaning


for _name in ("layer_norm", "rms_norm", "linear"):
    _on_last_dims(_name)


@NestedTensor.means("_dropout")
def _dropout(input, p, features):
    if features:
        raise NotStrided(f"dropout of whole channels: {UNSUPPORTED}")
    return input._with(OPERATIONS["_dropout"].call(input._elements, p, features))


@NestedTensor.means("embedding")
def _embedding(weight, indices, *options):
    return indices._with(OPERATIONS["embedding"].call(weight, indices._elements, *options))


@NestedTensor.means("cat")
def _cat(tensors, dim=0):
    x = _same_rows("cat", gather(list(tensors), NestedTensor))
    d = x._even("cat", dim_index(dim, x.dim()))
    return x._with(cat([t._elements for t in tensors], d - 1))


@NestedTensor.means("stack")
def _stack(tensors, dim=0):
    raise RuntimeError("stack(): not supported for NestedTensor: there are no nested tensors in nested tensors")


@NestedTensor.means("matmul")
def _matmul(input, other):
    if not isinstance(input, NestedTensor) or isinstance(other, NestedTensor):
        raise RuntimeError(
            "matmul(): not supported between these inputs: a NestedTensor is multiplied by a dense matrix"
        )
    if other.dim() <= 2:
        if input._uneven == input.dim() - 1:
            raise RuntimeError("matmul(): not supported for NestedTensor on ragged dim")
        return input._with(input._elements @ other)
    return input._from_padded(input.to_padded_tensor(0.0) @ other)


# --- attention ----------------------------------------------------------------------------------------------------


_plain_attention = F["scaled_dot_product_attention"]


@functools.wraps(_plain_attention)
def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, **options):
    if not isinstance(query, NestedTensor):
        return _plain_attention(query, key, value, attn_mask, dropout_p, is_causal, **options)
    return _nested_attention(query, key, value, attn_mask, dropout_p, is_causal, **options)


F["scaled_dot_product_attention"] = scaled_dot_product_attention


def _nested_attention(query, key, value, attn_mask, dropout_p, is_causal, **options):
    """Attention in which each query sees the keys of its own row alone; computed on padded batches."""
    nested = gather([query, key, value], NestedTensor)
    if len(nested) != 3 or attn_mask is not None:
        raise RuntimeError("scaled_dot_product_attention: with a nested query all three are nested, without attn_mask")
    if {x.dim() for x in nested} != {4} or {x._uneven for x in nested} != {2}:
        raise RuntimeError(
            "scaled_dot_product_attention: nested query, key and value must be (N, H, L, E) with an uneven L: use"
            " transpose(1, 2)"
        )
    q, k, v = [x.to_padded_tensor(0.0) for x in nested]
    mask = key._rows.there[:, None, None, :]
    if is_causal:
        mask = mask & T["ones"](q.shape[2], k.shape[2], dtype=bool_).tril()
    return query._from_padded(_plain_attention(q, k, v, mask, dropout_p, False, **options))
