"""Where gradients go: to a leaf's `.grad` (through its hooks), or to a value of an earlier walk."""

from __future__ import annotations

from ..ir.shapes import Layout, layout
from ..ir.special import ACCUMULATE, RELAYOUT, UNREAD, ZEROS
from ..trace.bundle import release
from ..trace.handle import Tensor, Walk, layout_of, requires_grad, translated
from ..trace.macro import fit
from ..trace.walk import resolve, set_mode, view, write

USED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
    "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
    "Specify retain_graph=True if you need to backward through the graph a second time."
)


def positions(mask: int) -> tuple[int, ...]:
    return tuple([k for k in range(mask.bit_length()) if mask >> k & 1])


def target_layout(target) -> Layout:
    """The layout of a leaf handle, or of the earlier value (history, number, operation; and its layout where it entered with another one)."""
    if type(target) is tuple:
        if len(target) > 3:
            return target[3]
        return target[0].graph.lays[target[1]]
    return layout_of(target)


def gradient_layout(target) -> Layout:
    lay = target_layout(target)
    if lay.flat:
        return lay
    return layout(lay.shape, lay.strides if lay.dense and not lay.contig else None, lay.dtype, lay.device)


def deliver(target, g: Tensor, pending: dict, w: Walk) -> None:
    """A gradient arrives: at a leaf, or at a value of an earlier walk."""
    if type(target) is tuple:
        history, number = target[0], target[1]
        at = pending.setdefault(history, {})
        if (
            len(target) > 3 and layout_of(g).ndim != 1
        ):  # what entered whole, with another layout, lies in memory in order
            g = g.reshape(-1)
        g = shaped(g, history.graph.lays[number])
        at[number] = ACCUMULATE.call(at[number], g) if number in at else g
        return
    if target._leaf is target:  # it may have ceased to require grad
        accumulate(target, g, w)


def shaped(g: Tensor, lay: Layout) -> Tensor:
    """A gradient of flat memory as one of the value that the memory holds."""
    if lay.flat:  # what entered whole lies in memory in order
        return g if layout_of(g).ndim == 1 else g.reshape(-1)
    if layout_of(g).shape == lay.shape:
        return g
    if not lay.repeats:
        return view(g, layout(lay.shape, lay.strides, lay.dtype, lay.device), 0, None)
    # of elements that share memory the first gets all of the gradient
    once = tuple([1 if s == 0 else n for n, s in zip(lay.shape, lay.strides)])
    first = view(g, layout(once, lay.strides, lay.dtype, lay.device), 0, None)
    dense = layout(lay.shape, None, lay.dtype, lay.device)
    return UNREAD.call(first, ZEROS.call(dense), 0, layout(once, dense.strides, lay.dtype))


@translated
def accumulate(leaf: Tensor, g: Tensor, w: Walk) -> None:
    """Runs the leaf's hooks and adds to its `.grad`."""
    lay = layout_of(leaf)
    if layout_of(g).shape != lay.shape:
        g = shaped(g, lay)
    hooks = getattr(leaf, "_hooks", None)
    if hooks is not None:
        g = run_hooks(hooks, g)
    if layout_of(g) is not lay and not g.is_sparse:
        want = gradient_layout(leaf)
        if layout_of(g) is not want and layout_of(g).dtype is want.dtype:
            g = RELAYOUT.call(g, want)  # a cotangent may share memory with itself; `.grad` lies as its tensor does
    release(leaf)
    old = getattr(leaf, "_grad", None)
    if old is not None and g.is_sparse and not old.is_sparse:
        g = g.to_dense()
    if old is None:
        leaf._grad = g
    elif old.is_sparse:
        leaf._grad = added(old, g)
    else:
        mode = w.at.mode
        if requires_grad(g) and mode:
            leaf._grad = ACCUMULATE.call(old, g)
        else:
            set_mode(False)
            try:
                write(old, resolve(ACCUMULATE.call(old, g), w), w)
            finally:
                set_mode(mode)
    after = getattr(leaf, "_after_hooks", None)
    if after is not None:
        for f in list(after.values()):
            f(leaf)


@translated
def added(a: Tensor, b: Tensor) -> Tensor:
    """The sum of two gradients of one value."""
    if a.is_sparse:
        return a.plus(b)
    if b.is_sparse:
        return b.plus(a)
    return ACCUMULATE.call(a, b)


def run_hooks(hooks: dict, g: Tensor) -> Tensor:
    for f in list(hooks.values()):
        r = f(g)
        if r is not None:
            if not isinstance(r, Tensor):
                raise TypeError(f"expected Tensor, but hook returned '{type(r).__name__}'")
            if layout_of(r).shape != layout_of(g).shape:
                raise RuntimeError(f"hook '{getattr(f, '__name__', f)}' has changed the size of value")
            g = r
    return g


@translated
def fitting(g: Tensor, lay: Layout, name: str) -> Tensor:
    """A gradient that the user's code returned, in the shape and dtype of what it belongs to."""
    have = layout_of(g).shape
    extra = len(have) - lay.ndim
    if not lay.flat and have != lay.shape:
        if extra < 0 or any(m != n and n != 1 for m, n in zip(have[extra:], lay.shape)):
            raise RuntimeError(
                f"Function {name}Backward returned an invalid gradient: got {list(have)} but expected shape compatible "
                f"with {list(lay.shape)}, that of forward's argument"
            )
    return g if g.is_sparse else fit(g, lay)
