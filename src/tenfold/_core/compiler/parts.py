"""Long reductions in parts: a kernel that gives few results from many elements leaves threads no loop to share.

Its reduced loop becomes two: over parts, and over the elements of a part. Three steps take its place: partial results of
all parts but the last, which may be smaller; those of the last; and the partial results, reduced in order. The
parts depend on sizes alone, and are the same on one thread: so are the bits."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..ir.arrays import contiguous
from ..ir.loops import CHUNK, NAMES, Access, Kernel, Statement

if TYPE_CHECKING:
    from .build import Builder, KernelStep

LONG = 1 << 18  # elements from which on
MOST = 64  # parts
FEW, LINE = 4, 64  # a kept loop of so many turns, or of so many lines of neighbours, can be shared as it is
BYTES = {name: np.dtype(code).itemsize for code, name in NAMES.items()}


def in_parts(s: KernelStep, builder: Builder) -> list[KernelStep]:
    """The steps in place of a kernel's."""
    d = _divided(s)
    if d is None:
        return [s]
    k = s.kernel
    size = builder.computed(partial(_size, CHUNK if d == len(s.sizes) - 1 else 1), s.sizes[d])
    full = builder.computed(_full, s.sizes[d], size)
    kept = [i for i, kind in enumerate(k.loops) if kind == "k"]
    results = tuple([s.sizes[i] for i in kept])
    count = math.prod(results)
    own = dict(zip(kept, contiguous(results)))
    along = tuple([own.get(i, 0) for i in range(len(s.sizes))])  # the strides of partial results
    middle = {}  # the memory of partial results, by access
    accesses = list(k.accesses)
    for _, _, a in k.folds:
        dtype = accesses[a].dtype
        middle[a] = builder._buffer("arena", nbytes=(full + 1) * count * BYTES[dtype])
        accesses[a] = Access(dtype, "unit" if along[-1] else "splat")
    kernel = replace(k, loops=f"{k.loops[:d]}k{k.loops[d:]}", accesses=tuple(accesses))

    def parts(first: int, number: int, turns: int) -> KernelStep:
        placed = []
        for a, (buffer, offset, strides, *rows) in enumerate(s.placed):
            by = size * strides[d]
            if a in middle:
                buffer, offset, strides, by = middle[a], 0, along, count
            placed.append((buffer, offset + first * by, (*strides[:d], by, *strides[d:]), *rows))
        return replace(s, kernel=kernel, sizes=[*s.sizes[:d], number, turns, *s.sizes[d + 1 :]], placed=placed)

    return [
        parts(0, full, size),
        parts(full, 1, s.sizes[d] - full * size),
        _together(s, kept, full + 1, count, along, middle),
    ]


def _divided(s: KernelStep) -> int | None:
    """The loop that is divided; None where there is no need."""
    k, last = s.kernel, len(s.sizes) - 1
    if not k.folds or math.prod(s.sizes) < LONG:
        return None
    for d, (kind, n) in enumerate(zip(k.loops, s.sizes)):
        if kind == "k" and n >= FEW * (LINE if d == last else 1):
            return None
    for d, (kind, n) in enumerate(zip(k.loops, s.sizes)):
        if kind == "r" and n >= FEW * (CHUNK if d == last else 1):
            return d
    return None


def _size(unit: int, n: int) -> int:
    """Turns of the loop in a part, whole units of them."""
    return -(-n // (MOST * unit)) * unit


def _full(n: int, size: int) -> int:
    """How many parts there are before the last one."""
    return (n - 1) // size


def _together(s: KernelStep, kept: list[int], number: int, count: int, along: tuple, middle: dict) -> KernelStep:
    """The step that reduces partial results, in the order of the parts."""
    loops = [*kept[:-1], None, *kept[-1:]]  # None: over the parts
    accesses, placed, body, folds = [], [], [], []
    for n, (op, _, a) in enumerate(s.kernel.folds):
        dtype = s.kernel.accesses[a].dtype
        buffer, offset, strides, *_ = s.placed[a]
        read = tuple([count if d is None else along[d] for d in loops])
        write = tuple([0 if d is None else strides[d] for d in loops])
        for b, at, by in ((middle[a], 0, read), (buffer, offset, write)):
            accesses.append(Access(dtype, "splat" if by[-1] == 0 else "unit" if by[-1] == 1 else "strided"))
            placed.append((b, at, by, 0, 0))
        body.append(Statement("load", (), dtype, 2 * n))
        folds.append((op, n, 2 * n + 1))
    kinds = "".join(["r" if d is None else "k" for d in loops])
    kernel = Kernel(kinds, tuple(accesses), tuple(body), (), tuple(folds))
    return replace(s, kernel=kernel, sizes=[number if d is None else s.sizes[d] for d in loops], placed=placed)
