"""What a Recipe must be: steps that read what has been written, places inside buffers, buffers of the arena that do not
meet while they are needed. For tests, and for TENFOLD_VERIFY=1, where every program is checked when it is compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.cpu import convolution
from ..backends.cpu.matmul import scratch_bytes
from ..ir import loops
from ..ir.arrays import reach
from ..ir.loops import require_that
from .build import Buffer, CallStep, ConvolutionStep, KernelStep, Place, ProductStep, Recipe, ScanStep, ScatterStep

BYTES = {name: np.dtype(code).itemsize for code, name in loops.NAMES.items()}
GIVEN = ("input", "scalars", "const")  # what is there before the first step, and stays as it is
MADE = ("arena", "result", "call")


def verify(r: Recipe) -> Recipe:
    """The recipe, if it is well formed; else raises ir.loops.Malformed."""
    _buffers(r)
    written: set[int] = set()
    for number, step in enumerate(r.steps):
        where = f"step {number} ({type(step).__name__})"
        for b in step.buffers():
            require_that(0 <= b.entry < len(r.buffers) and r.buffers[b.entry] is b, f"{where}: unknown {b}")
            b = _whole(b)
            require_that(b.kind not in ("arena", "result") or b.first <= number <= b.last, f"{where} is not in {b}")
        reads, writes = STEPS[type(step)](step, r)
        reads, writes = [_whole(b) for b in reads], [_whole(b) for b in writes]
        for b in reads:
            require_that(
                b.kind in GIVEN or b.entry in written or not _size(b, r), f"{where} reads {b} before it is written"
            )
        for b in writes:
            require_that(b.kind in MADE, f"{where} writes {b}")
            require_that(all(b is not x for x in reads), f"{where} reads and writes {b}")
        written.update(b.entry for b in writes)
    for p in r.results:
        _number_or_inside(p, r)
        if p.buffer is not None:
            b = _whole(p.buffer)
            require_that(b.kind in GIVEN or b.entry in written or not _size(b, r), f"a result that is not made: {p}")
            require_that(b.kind != "arena", f"a result in memory that is used again: {p}")
    return r


def _whole(b: Buffer) -> Buffer:
    """The buffer in which a window lies."""
    source: Any = b.source
    return source[0] if b.kind == "window" else b


def _buffers(r: Recipe) -> None:
    for i, b in enumerate(r.buffers):
        require_that(b.entry == i, f"{b} is entry {i}")
    require_that([b.kind for b in r.buffers[:2]] == ["status", "scalars"], "entries 0 and 1 are status and scalars")
    last: dict[int, list[int]] = {}
    for number, step in enumerate(r.steps):
        for b in step.buffers():
            last.setdefault(_whole(b).entry, []).append(number)
    arena = [b for b in r.buffers if b.kind == "arena" and b.entry in last]
    for i, a in enumerate(arena):
        uses = last[a.entry]
        require_that(a.first <= uses[0] and uses[-1] <= a.last, f"{a} is needed in steps {uses[0]} to {uses[-1]}")
        require_that(a.offset >= 0 and a.offset + a.nbytes <= r.arena, f"{a} leaves the arena")
        for b in arena[:i]:
            together = a.first <= b.last and b.first <= a.last
            apart = a.offset + a.nbytes <= b.offset or b.offset + b.nbytes <= a.offset
            require_that(not together or apart or not (a.nbytes and b.nbytes), f"{a} and {b} meet")


def _size(b: Buffer, r: Recipe) -> int | None:
    """Its bytes; None where they are not known before it runs."""
    if b.kind == "scalars":
        return 8 * r.slots
    return None if b.kind in ("input", "call") and b.shape == (0,) else b.nbytes


def _inside(b: Buffer, size: int, shape, strides, offset: int, r: Recipe) -> None:
    if 0 in shape:
        return
    low, high = reach(shape, strides, offset)
    whole, shift = _size(_whole(b), r), 0
    if b.kind == "window":
        source: Any = b.source
        _, _, greatest, reaches = source
        if greatest is None:
            whole = reaches * size
        else:
            shift = greatest
    fits = whole is None or (high + shift + 1) * size <= whole
    require_that(low >= 0 and fits, f"elements {low} to {high + shift} of {size} bytes in {b}")


def _number_or_inside(p: Place, r: Recipe) -> None:
    if p.buffer is None:
        require_that((p.number is None) != (p.position is None), f"a number that is not known: {p}")
        return
    require_that(len(p.strides) == len(p.shape), f"as many strides as dims: {p}")
    _inside(p.buffer, p.dtype.itemsize, p.shape, p.strides, p.offset, r)


def _kernel(s: KernelStep, r: Recipe) -> tuple[list[Buffer], list[Buffer]]:
    k = loops.verify(s.kernel)
    require_that(len(s.sizes) == len(k.loops) and len(s.placed) == len(k.accesses), "a kernel's sizes and places")
    folded = {a for _, _, a in k.folds}
    written = folded | {a for _, a in k.stores}
    used = written | {x.extra for x in k.body if x.op in ("load", "take")}
    require_that(used == set(range(len(k.accesses))), "an access that is not used")
    for i, (access, (b, offset, strides, stride, rows)) in enumerate(zip(k.accesses, s.placed)):
        require_that(len(strides) == len(s.sizes), f"strides {strides} for loops {s.sizes}")
        turned = strides[-2:-1] == (1,)
        right = {"splat": strides[-1] == 0, "unit": strides[-1] == 1, "strided": True, "turned": turned}[access.inner]
        require_that(right, f"{access} with strides {strides}")
        shape, by = list(s.sizes), list(strides)
        if i in folded:
            shape = [n if kind == "k" else 1 for n, kind in zip(shape, k.loops)]
        if access.taken:
            shape, by = [*shape, rows], [*by, stride]
        _inside(b, BYTES[access.dtype], shape, by, offset, r)
        if i in written:
            end = 0
            for step, n in sorted((abs(t), n) for t, n in zip(by, shape) if n > 1):
                require_that(
                    step > end, f"elements that overlap are written: {access} with strides {strides} in {shape}"
                )
                end += step * (n - 1)
    reads = [p[0] for i, p in enumerate(s.placed) if i not in written]
    writes = [p[0] for i, p in enumerate(s.placed) if i in written]
    require_that(len({b.entry for b in writes}) == len(writes), "two writes to one buffer")
    return reads, writes


def _call(s: CallStep, r: Recipe) -> tuple[list[Buffer], list[Buffer]]:
    for p in s.operands:
        _number_or_inside(p, r)
    require_that(len(s.operands) == len(s.call.spec.lays), "a call's operands")
    return [p.buffer for p in s.operands if p.buffer is not None], [b for _, b in s.results]


def _product(s: ProductStep, r: Recipe) -> tuple[list[Buffer], list[Buffer]]:
    a, b, c, *start = s.places
    for p in s.places:
        _number_or_inside(p, r)
        require_that(loops.name_of(p.dtype) == s.dtype, f"a product in {s.dtype} of {p}")
    require_that(c.shape == s.shape and a.shape[-1] == b.shape[-2] == s.inner, "a product's sizes")
    enough = scratch_bytes(s.dtype, *s.shape[-2:], s.inner)
    require_that(all(b.nbytes >= enough for b in s.scratch), "a product's scratch is too small")
    require_that(all(p.shape == c.shape for p in start), "what a product begins with")
    return [p.buffer for p in (a, b, *start)], [c.buffer, *s.scratch]


def _convolution(s: ConvolutionStep, r: Recipe) -> tuple[list[Buffer], list[Buffer]]:
    for p in (s.x, s.w, s.y):
        _number_or_inside(p, r)
        require_that(loops.name_of(p.dtype) == s.dtype and len(p.shape) == 4, f"a convolution in {s.dtype} of {p}")
    require_that(
        all(b.nbytes >= convolution.scratch_bytes(s.dtype, s.row()) for b in s.scratch),
        "a convolution's scratch is too small",
    )
    made = {"conv": s.y, "conv_input": s.x, "conv_weight": s.w}[s.kernel]
    return [p.buffer for p in (s.x, s.w, s.y) if p is not made], [made.buffer, *s.scratch]


def _scatter(s: ScatterStep, r: Recipe) -> tuple[list[Buffer], list[Buffer]]:
    for p in (s.target, s.rows, s.index):
        _number_or_inside(p, r)
    require_that(s.index.dtype == np.int64, "numbers of rows")
    return [s.rows.buffer, s.index.buffer], [s.target.buffer]


def _scan(s: ScanStep, r: Recipe) -> tuple[list[Buffer], list[Buffer]]:
    for p, strides in ((s.source, s.strides), (s.target, s.target_strides)):
        require_that(len(strides) == len(s.sizes), f"a running reduction of {p}")
        _inside(p.buffer, p.dtype.itemsize, s.sizes, strides, p.offset, r)
    return [s.source.buffer], [s.target.buffer]


STEPS = {
    KernelStep: _kernel, CallStep: _call, ProductStep: _product, ScatterStep: _scatter, ConvolutionStep: _convolution,
    ScanStep: _scan,
}  # fmt: skip
