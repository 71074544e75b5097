"""Results that take the place of what they replace: the new value of a parameter is written over its old one.

A storage that is written on a walk gives its memory to the result, where nobody else holds it (`entry.results` looks at
each call). Whether a program may write there is told once: no step may read the old value after the first one that
writes the new, but for the same element of it; and no step from there on may fail, because the interpreter would then
begin again with what entered."""

from __future__ import annotations

from collections import Counter

from .build import Buffer, CallStep, KernelStep, Recipe


def donated(recipe: Recipe, pairs: list[tuple[Buffer, int]], layouts: dict) -> dict[int, int]:
    """Entry of a result's buffer -> the position of the input whose memory it may take.

    Args:
        pairs: results that are all of a buffer, and the positions of the inputs that they replace.
        layouts: of the inputs that the program reads, by position."""
    uses = Counter([p.buffer.entry for p in recipe.results if p.buffer is not None])
    leaving = {_memory(p.buffer).entry for p in recipe.results if p.buffer is not None}
    inputs = {b.source: b for b in recipe.buffers if b.kind == "input"}
    firm = max([n for n, step in enumerate(recipe.steps) if _may_fail(step)], default=-1)
    taken = Counter([position for _, position in pairs])
    found: dict[int, int] = {}
    for b, position in pairs:
        old, lay = inputs.get(position), layouts.get(position)
        if uses[b.entry] > 1 or taken[position] > 1 or b.first <= firm:
            continue
        if lay is not None and (lay.flat or lay.number or not lay.contig):
            continue
        if old is not None and (old.nbytes != b.nbytes or old.entry in leaving or not _read_before(recipe, old, b)):
            continue
        found[b.entry] = position
    return found


def _memory(b: Buffer) -> Buffer:
    """The buffer whose memory that is: a window is a part of another."""
    return b.source[0] if b.kind == "window" else b  # type: ignore[index]


def _may_fail(step) -> bool:
    """Whether a step may stop the program: a call, a look-up of places that are data, or a value that may be refused."""
    if isinstance(step, KernelStep):
        return any(a.taken for a in step.kernel.accesses) or any(s.op == "require" for s in step.kernel.body)
    return isinstance(step, CallStep)


def _read_before(recipe: Recipe, old: Buffer, new: Buffer) -> bool:
    """Whether the old value is read before the step that writes the new one, or there, element by element."""
    last = max([n for n, step in enumerate(recipe.steps) if old in map(_memory, step.buffers())], default=-1)
    return last < new.first or last == new.first and _side_by_side(recipe.steps[last], old, new)


def _side_by_side(step, old: Buffer, new: Buffer) -> bool:
    """Whether a kernel reads each element of the old value just where, and not after, it writes the new one."""
    if not isinstance(step, KernelStep) or "r" in step.kernel.loops:
        return False
    written = {a for _, a in step.kernel.stores}
    where = {tuple(rest) for a, (b, *rest) in enumerate(step.placed) if b is new and a in written}
    reads = [(a, b, tuple(rest)) for a, (b, *rest) in enumerate(step.placed) if _memory(b) is old]
    return (
        len(where) == 1
        and all(b is old and rest in where and step.kernel.accesses[a].inner != "turned" for a, b, rest in reads)
        and not any(b is new and a not in written for a, (b, *_) in enumerate(step.placed))
    )
