"""The steps that write in place, through whatever alias they find."""

import numpy as np

from . import exactness
from .executor import Dtype, Root, Skip, index_text, show
from .steps import SCALARS, STEPS, array_for, drawn_index, grid_of, may_broadcast, may_hold, small, step

__all__ = ["STEPS"]


def writable(ex, without_grad):
    """A condition on values: PyTorch lets this one be written in place, with gradients on or off."""

    def accept(v):
        if v.overlaps_itself() or v.numel == 0:
            return False
        return without_grad or not (v.root.is_leaf and (v.needs_grad or v.is_detached))

    return accept


def target(ex, accept=lambda v: True):
    """A value to write to, and whether to do it without gradients."""
    without_grad = ex.pick(4) == 3
    may_be_written = writable(ex, without_grad)
    return ex.value(lambda v: may_be_written(v) and accept(v)), without_grad


def source(ex, v, shape, without_grad=False, accept=lambda w: True):
    """What is written: a number, or a value that broadcasts to the shape and shares no memory with v."""
    if ex.pick(3) == 2:
        return SCALARS[ex.pick(len(SCALARS))]

    def fits(w):
        if w.root is v.root or len(w.shape) > len(shape) or not accept(w):
            return False
        if any(m not in (1, n) for m, n in zip(reversed(w.shape), reversed(shape))):
            return False
        # an integer tensor that takes a history requires grad in PyTorch, and hands that on to casts of it
        if w.needs_grad and not v.is_float and not without_grad:
            return False
        # a detached alias that takes a history would give it to the original, or not: PyTorch's users avoid it
        return not w.needs_grad or not v.is_detached or without_grad

    return ex.value(fits)


def written(v, grid):
    """Notes what may stand in v's storage now."""
    v.root.grid = (v.root.grid | grid).rounded_to(v.dtype)


@step
def add_in_place(ex):
    v, quiet = target(ex)
    name = ("add_", "sub_")[ex.pick(2)]
    w = v if ex.pick(6) == 5 else source(ex, v, v.shape, quiet)
    with ex.without_grad(quiet):
        ex.method(v, name, w)
    written(v, exactness.total(v.grid, grid_of(w)))
    ex.note(v)


@step
def multiply_in_place(ex):
    v, quiet = target(ex, small)
    w = v if ex.pick(6) == 5 else source(ex, v, v.shape, quiet, small)
    with ex.without_grad(quiet):
        ex.method(v, "mul_", w)
    written(v, exactness.product(v.grid, grid_of(w)))
    ex.note(v)


@step
def augmented(ex):
    """t += w, which also gives the name a new object where PyTorch does."""
    v, quiet = target(ex, small)
    w = source(ex, v, v.shape, quiet, small)

    def plus(t, other):
        t += other
        return t

    def times(t, other):
        t *= other
        return t

    sign, f = (("+=", plus), ("*=", times))[ex.pick(2)]
    with ex.without_grad(quiet):
        same = ex.act(f"{v.name} {sign} {show(w)}", f, (v, w), assigns=False)
    if same is not v.tensor:
        raise AssertionError(f"{v.name} {sign} gave another object")
    grids = v.grid, grid_of(w)
    written(v, exactness.total(*grids) if sign == "+=" else exactness.product(*grids))
    ex.note(v)


def storable(v):
    """A condition on sources: their values have one defined result in v's dtype."""
    return lambda w: may_hold(w, v.dtype) and not (w.is_float and v.dtype in exactness.WIDTH and v.dtype != "int64")


@step
def copy_in_place(ex):
    v, quiet = target(ex)
    w = source(ex, v, v.shape, quiet, storable(v))
    if isinstance(w, (bool, int, float)):
        raise Skip
    with ex.without_grad(quiet):
        ex.method(v, "copy_", w)
    written(v, w.grid)
    ex.note(v)


@step
def fill_in_place(ex):
    v, quiet = target(ex)
    name = ("fill_", "zero_", "clamp_", "masked_fill_")[ex.pick(4)]
    number = (1, 0, 3, 2)[ex.pick(4)]
    if name == "clamp_":
        if not v.exact or v.dtype == "bool":
            raise Skip
        args = (0, 2)
    elif name == "masked_fill_":
        mask = ex.value(lambda m: m.dtype == "bool" and m.root is not v.root and fits_in(m.shape, v.shape))
        args = (mask, number)
    else:
        args = () if name == "zero_" else (number,)
    with ex.without_grad(quiet):
        ex.method(v, name, *args)
    written(v, exactness.Grid(2, 0))
    ex.note(v)


def fits_in(a, b):
    """Whether shape a broadcasts to shape b."""
    return len(a) <= len(b) and may_broadcast(a, b) and all(m in (1, n) for m, n in zip(reversed(a), reversed(b)))


def region_shape(v, index):
    """The shape of v[index], found on zeros of NumPy, which indexes alike."""
    own = tuple(i.tensor.tolist() if hasattr(i, "tensor") else i for i in index)
    return np.zeros(v.shape)[own].shape


@step
def set_item(ex):
    v, quiet = target(ex, lambda v: v.ndim >= 1)
    index, _ = drawn_index(ex, v, distinct=True)
    w = source(ex, v, region_shape(v, index), quiet, storable(v))
    if isinstance(w, float) and v.dtype in exactness.WIDTH:
        raise Skip

    def assign(t, i, other):
        t[i] = other

    with ex.without_grad(quiet):
        ex.act(f"{v.name}[{index_text(index)}] = {show(w)}", assign, (v, index, w), assigns=False)
    written(v, grid_of(w))
    ex.note(v)


@step
def set_item_by_mask(ex):
    v, quiet = target(ex, lambda v: v.ndim >= 1)
    mask = ex.value(lambda m: m.dtype == "bool" and m.ndim and m.shape == v.shape[: m.ndim] and m.root is not v.root)
    number = SCALARS[ex.pick(len(SCALARS))]
    if isinstance(number, float) and v.dtype in exactness.WIDTH:
        raise Skip

    def assign(t, m):
        t[m] = number

    with ex.without_grad(quiet):
        ex.act(f"{v.name}[{mask.name}] = {number!r}", assign, (v, mask), assigns=False)
    written(v, grid_of(number))
    ex.note(v)


@step
def add_to_item(ex):
    """t[i] += w"""
    v, quiet = target(ex, lambda v: v.ndim >= 1)
    index, _ = drawn_index(ex, v, distinct=True)
    w = source(ex, v, region_shape(v, index), quiet)

    def increase(t, i, other):
        t[i] += other

    with ex.without_grad(quiet):
        ex.act(f"{v.name}[{index_text(index)}] += {show(w)}", increase, (v, index, w), assigns=False)
    written(v, exactness.total(v.grid, grid_of(w)))
    ex.note(v)


@step
def index_add_in_place(ex):
    """Adds rows, some of them to the same place."""
    v, quiet = target(ex, lambda v: v.ndim >= 1)
    count = 1 + ex.pick(3)
    places = [ex.pick(v.shape[0]) for _ in range(count)]
    rows = array_for(ex, (count, *v.shape[1:]), v.dtype).tolist()
    w = ex.fresh(ex.call("tensor", rows, dtype=Dtype(v.dtype)), exactness.INPUT)
    at = ex.keep(ex.call("tensor", places), Root(exactness.Grid(9, 0)))
    with ex.without_grad(quiet):
        ex.method(v, "index_add_", 0, at, w)
    written(v, exactness.summed(exactness.total(v.grid, w.grid), count))
    ex.note(v)


@step
def smooth_in_place(ex):
    v, quiet = target(ex, lambda v: v.is_float)
    with ex.without_grad(quiet):
        ex.method(v, ("sigmoid_", "tanh_", "sin_")[ex.pick(3)])
    written(v, exactness.blurred(exactness.INEXACT))
    ex.note(v)
