"""The inside of a vmap: a walk whose programs are run for all slices at once, by recording them on the walk outside.

The function under vmap is run once, on handles of one slice, so that views, writes in place and gradients mean in it what
they mean anywhere. Where this walk is flushed (a gradient is taken in the function, or it returns) its graph is followed
on tensors that have the slices in their first dim (ops/batching.py), and a storage then holds such a tensor (Memory).
Tensors from outside enter when they are used first (`capture`); they are the same for all slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..ir.graph import Graph
from ..ir.shapes import Layout, contiguous_strides, layout
from ..ir.special import ENTRY, WRITE, ZEROS
from . import flush as flushing
from .flush import flush
from .handle import Memory, Storage, Tensor, Value, Walk, fresh, is_leaf_handle, layout_of, placed, requires_grad, tls
from .walk import _entry_value, place, relayout, special, view

READS = (
    "vmap: the value of a tensor was asked for (by .item(), bool(), `if`, a shape that depends on data, or printing), but there"
    " is one for each slice. Use operations instead: torch.where in place of `if`, for example."
)


def _unset(*args):
    raise RuntimeError("tenfold._core is not set up: import tenfold, not a part of it")


follow: Callable[..., dict] = _unset  # set by ops.batching: the values of a graph for all slices


class Outside:
    """For a while this thread records on another walk."""

    def __init__(self, walk: Walk):
        self.walk = walk

    def __enter__(self):
        self.before = tls.walk
        tls.walk = self.walk

    def __exit__(self, *error):
        tls.walk = self.before


class Origin:
    """The history of an argument inside of a vmap: it begins there, and goes on outside, at `tensor`. It stands for a History
    without steps."""

    __slots__ = ("dead", "graph", "hooks", "leaves", "objects", "order", "saved", "special", "tensor")

    def __init__(self, tensor: Tensor, lay: Layout):
        self.tensor = tensor
        self.graph = Graph()
        self.graph.value(lay, True)
        self.hooks: dict = {}
        self.objects: dict = {}
        self.saved: dict = {}
        self.leaves: list = []
        self.dead: set = set()
        self.order = 0
        self.special = False


class Level:
    """One vmap that is under way.

    size        how many slices there are
    randomness  "error", "same" or "different": what random operations do
    exact       a function in here does what it would do outside, and not the same in another way"""

    exact = False

    def __init__(self, size: int, randomness: str):
        self.size = size
        self.randomness = randomness
        self.outer = tls.walk
        self.walk = w = Walk(body=True)
        w.level = self
        w.runner = self.run
        w.at = w.root(self.outer.at.mode, self.outer.at.cast)
        w.inference = self.outer.inference
        w.flushes = self.outer.flushes
        self.captured: dict[int, tuple[Tensor, Value]] = {}
        self.arguments: list[tuple[Storage, Memory]] = []

    def outside(self) -> Outside:
        return Outside(self.outer)

    @contextmanager
    def again(self) -> Iterator[None]:
        """For a while this thread records in here once more, and what is run is recorded on the walk that it comes from."""
        before, self.outer = self.outer, tls.walk
        self.walk.ending = False
        self.walk.at = self.walk.root(self.outer.at.mode, self.outer.at.cast)
        try:
            with Outside(self.walk):
                yield
        finally:
            self.outer = before
            self.captured.clear()

    def owns(self, st: Storage) -> bool:
        """Whether a storage was born in here."""
        if st.val is not None:
            return st.val.node.walk is self.walk
        return type(st.mem) is Memory and st.mem.level is self or st.mem is None and st.error is not None

    def made(self, t: Tensor) -> None:
        """A tensor has been made from data in here: it enters like one from outside."""

    # --- what enters --------------------------------------------------------------------------------------------------

    def argument(self, t: Tensor, batched: bool) -> Tensor:
        """A handle in here for a tensor from outside, which has the slices in its first dim if `batched`."""
        lay = layout_of(t)
        own = layout(lay.shape[1:] if batched else lay.shape, None, lay.dtype, lay.device)
        st = Storage(None, own.numel)
        st.mem = Memory(self, t, batched)
        st.name = own.dtype.name
        r = placed(st, own)
        if requires_grad(t) or is_leaf_handle(t):
            st.hist = (Origin(t, own), 0, None)
        self.arguments.append((st, st.mem))
        return r

    def capture(self, t: Tensor) -> Value:
        """The value of a tensor from outside, the same for all slices."""
        found = self.captured.get(id(t))
        if found is not None:
            return found[1]
        w = self.walk
        lay = layout_of(t)
        own = lay if lay.dense else layout(lay.shape, None, lay.dtype, lay.device)
        live = requires_grad(t) or is_leaf_handle(t)
        nx = special(w, ENTRY, (), (own, live), _entry_value, nin=1, nleaf=int(live))
        w.inputs[nx.nin - 1] = Memory(self, t, False)
        v = nx.out
        v.leaf = live
        if live:
            w.leaves[nx.nleaf - 1] = t
        if own is not lay:
            v = relayout(v, lay, w)
        self.captured[id(t)] = (t, v)
        return v

    # --- what is run, and what comes out ------------------------------------------------------------------------------

    def run(self, plan, w: Walk) -> tuple:
        """The values that a plan asks for (the runner of the walk in here)."""
        w.flushes = max(w.flushes, self.outer.flushes + 1)  # histories in here are younger than those outside
        with self.outside():
            env = follow(plan.graph, plan.program.results, w.inputs, w.scalars, self)
        self.captured.clear()
        return plan.told(env)

    def flush(self) -> None:
        """Ends the walk in here; what was written in place into an argument is written into the tensor outside."""
        flush(self.walk)
        for k, (st, mem) in enumerate(self.arguments):
            if st.mem is not mem and st.mem is not None:
                with self.outside():
                    mem.tensor.copy_(self.shaped(st.mem, mem.shape))
                self.arguments[k] = (st, st.mem)

    def flatten(self, mem: Memory, lay: Layout) -> Memory:
        """A value as flat memory."""
        with self.outside():
            return Memory(self, as_memory(mem.tensor, lay, mem.batched), mem.batched)

    def shaped(self, mem: Memory, shape) -> Tensor:
        """Flat memory as a tensor outside, of that shape, with the slices before it."""
        shape = (self.size, *shape) if mem.batched else tuple(shape)
        return mem.tensor if layout_of(mem.tensor).shape == shape else mem.tensor.reshape(shape)

    def release(self, t: Tensor) -> tuple[Tensor, bool]:
        """The tensor outside that a tensor stands for, and whether it has the slices in its first dim."""
        if t._st is not None and not self.owns(t._st) or t._st is None and t._val.node.walk is not self.walk:
            return t, False
        place(t)
        self.flush()
        st, lay = t._st, t._lay
        if st.mem is None:
            raise type(st.error)(*st.error.args) from st.error
        with self.outside():
            mem = st.mem
            if lay.contig and lay.numel == st.size and t._off == 0 and layout_of(mem.tensor).dtype is lay.dtype:
                return self.shaped(mem, lay.shape), mem.batched
            flat = self.shaped(mem, (st.size,))
            return slice_of_memory(flat, lay, t._off, mem.batched), mem.batched

    def widened(self, t: Tensor, batched: bool) -> Tensor:
        """What was released, with the slices in its first dim in any case."""
        return t if batched else repeated(t, self.size)

    def read(self, t: Tensor):
        """The flat memory of a tensor's storage, if it is the same for all slices. RuntimeError if not."""
        if t._st is not None and not self.owns(t._st) or t._st is None and t._val.node.walk is not self.walk:
            with self.outside():
                return flushing.realise(t)
        place(t)
        self.flush()
        mem = t._st.mem
        if mem is not None and mem.batched:
            raise RuntimeError(READS)
        with self.outside():
            return flushing.realise(self.shaped(mem, (t._st.size,)).contiguous().clone())

    def write_outside(self, t: Tensor, v: Value) -> None:
        """Writes in place into a tensor from outside: only what is the same for all slices."""
        value, batched = self.release(fresh(v, self.walk))
        if batched:
            raise RuntimeError(
                "vmap: in-place write of values that differ between slices into a tensor that is the same for all of them, of"
                f" shape {list(layout_of(t).shape)}. Write out of place (`a + b` for `a += b`), or give the tensor to"
                " the function as an argument with an in_dim."
            )
        with self.outside():
            t.copy_(value)


def slice_of_memory(flat: Tensor, lay: Layout, offset: int, batched: bool) -> Tensor:
    """What a layout at an offset reads of flat memory, or, for each slice, of (slices, flat memory)."""
    have = layout_of(flat)
    if not have.contig:
        flat = flat.contiguous()
    if not batched:
        return reinterpreted(flat, layout(lay.shape, lay.strides, lay.dtype, lay.device), offset)
    step = have.shape[1] * have.dtype.itemsize // lay.dtype.itemsize
    shape = (have.shape[0], *lay.shape)
    strides = (step if have.shape[0] > 1 else contiguous_strides(shape)[0], *lay.strides)
    return reinterpreted(flat, layout(shape, strides, lay.dtype, lay.device), offset)


def repeated(t: Tensor, size: int) -> Tensor:
    """A view with a new first dim, of that size, along which all is the same."""
    lay = layout_of(t)
    return view(t, layout((size, *lay.shape), (0, *lay.strides), lay.dtype, lay.device), 0, "Expand")


def as_memory(t: Tensor, lay: Layout, batched: bool) -> Tensor:
    """(slices, memory), or (memory), of a value whose elements lie as the layout says."""
    if lay.flat:
        return t
    lead = layout_of(t).shape[:1] if batched else ()
    n = len(lead)
    if not lay.contig and lay.dense:
        order = sorted(range(lay.ndim), key=lambda d: -lay.strides[d] if lay.shape[d] != 1 else -(1 << 62))
        t = t.permute((*range(n), *[d + n for d in order]))
    elif not lay.dense:  # with gaps
        memory = ZEROS.call(layout((*lead, lay.extent), None, lay.dtype, lay.device))
        inside = layout((*lead, *lay.shape), (*[lay.extent] * n, *lay.strides), lay.dtype, lay.device)
        return WRITE.call(memory, t, 0, inside)
    shape = (*lead, lay.numel)
    return t if layout_of(t).shape == shape else t.reshape(shape)


def reinterpreted(t: Tensor, lay: Layout, offset: int) -> Tensor:
    """A view of that layout, `offset` elements (of the layout's dtype) after where t begins."""
    place(t)
    return view(t, lay, t._off * t._lay.dtype.itemsize // lay.dtype.itemsize - t._off + offset, None)
