"""Programs run in three ways on the same inputs: by the interpreter of operations; by the recipe, its kernels run by the
interpreter of the loop language; and by machine code. Their results have to agree.

In: `compared()`, a context in which every flush is run so. Out: what differs raises `Differs`, with the graph."""

import contextlib
from collections import Counter

import numpy as np

from tenfold._core import config
from tenfold._core.backends.numpy import loops
from tenfold._core.backends.numpy.interpreter import Program
from tenfold._core.compiler import later, machine
from tenfold._core.compiler.build import CallStep, ConvolutionStep, KernelStep, ProductStep, ScanStep, ScatterStep
from tenfold._core.compiler.expand import Uncompilable
from tenfold._core.compiler.machine import Machine
from tenfold._core.errors import Fallback
from tenfold._core.ir.dtypes import decode
from tenfold._core.trace import flush

# Relative to the largest magnitude among the values of the program: sums of another order, functions of 2 ulp.
TOLERANCE = {"float16": 4e-3, "bfloat16": 4e-2, "float32": 3e-5, "float64": 1e-12}


class Differs(AssertionError):
    """Two ways to run a program give different results."""


class Counts(Counter):
    """What was compared: `results`, `programs`, `machines` (run natively), `donated` (results over what they replace), `calls`, `uncompiled`, `fallback`."""


class PlainMachine(Machine):
    """A machine whose native steps are run by the interpreter of the loop language, and NumPy: no machine code."""

    def _parts(self):
        return [s if isinstance(s, CallStep) else _Plain(s) for s in self.recipe.steps]

    def run(self, inputs, scalars):
        for b in self.inputs:
            lay, size = self.entering[b.source], np.asarray(inputs[b.source]).size
            if lay.flat and (size != b.shape[0] if b.source in self.recipe.exact else size < b.shape[0]):
                raise Fallback
        for source, position, greatest, reach, _ in self.windows:
            if greatest is None:
                greatest = inputs[source.source].size - reach
            if not 0 <= machine._number(position, inputs, scalars) <= greatest:
                raise Fallback
        r = self.recipe
        base = machine.here.arena.at_least(r.arena)
        self.base = base
        start = base - machine.address(machine.here.arena.memory)
        arena = machine.here.arena.memory[start : start + r.arena]
        arena[:] = 0xA5  # what nobody has written is odd
        made = [np.empty(shape, dtype) for shape, dtype in self.made]
        called = {}
        inputs = self._side_by_side(inputs)
        for k, b in enumerate(self.outputs):
            if b.entry in self.given:  # it is written over what it replaces
                inputs[self.given[b.entry]] = made[k] = np.array(inputs[self.given[b.entry]]).reshape(b.shape)
        table = [None] * len(r.buffers)
        slots = [slot for slot, value in r.constants if value is None]
        for slot, (position, kind) in zip(slots, r.numbers):
            value = machine._number(position, inputs, scalars)
            self.scalars[slot : slot + 1].view(np.float64 if kind is float else np.int64)[0] = value
        for b in r.buffers[1:]:
            if b.kind == "scalars":
                table[b.entry] = self.scalars.view(np.uint8)
            elif b.kind == "input":
                memory = np.asarray(inputs[b.source])
                lay = self.entering[b.source]
                table[b.entry] = np.ascontiguousarray(memory).reshape(-1)
                if memory.flags.c_contiguous and not lay.flat:
                    table[b.entry] = table[b.entry][: max(lay.extent, 0)]
            elif b.kind == "const":
                table[b.entry] = np.ascontiguousarray(b.source).reshape(-1)
            elif b.kind == "arena":
                table[b.entry] = arena[b.offset : b.offset + b.nbytes]
            elif b.kind == "result":
                table[b.entry] = made[self.output_of[b.entry]].reshape(-1)
        for source, position, _, _, b in self.windows:  # of other memory, from a place on
            place = machine._number(position, inputs, scalars) * b.dtype.itemsize
            table[b.entry] = table[source.entry].view(np.uint8)[place:]
        for part in self.parts:
            if isinstance(part, CallStep):
                self._call(part, inputs, scalars, made, called)
                for _, b in part.results:
                    table[b.entry] = called[b.entry].reshape(-1)
            elif part.run(table):
                raise Fallback
        return dict(zip(self.results, self._leaving(inputs, scalars, made, called)))


class _Plain:
    """A native step, by NumPy."""

    def __init__(self, step):
        self.step = step

    def run(self, table) -> int:
        s = self.step
        if isinstance(s, KernelStep):
            return loops.run(s.kernel, s.row(), table)
        if isinstance(s, ProductStep):
            a, b, c, *start = [_placed(p, table) for p in s.places]
            with np.errstate(all="ignore"):
                c[...] = sum(start, a @ b)
        elif isinstance(s, ConvolutionStep):
            convolve(s.kernel, *[_placed(p, table) for p in (s.x, s.w, s.y)], *s.geometry)
        elif isinstance(s, ScatterStep):
            target, rows, index = [_placed(p, table) for p in (s.target, s.rows, s.index)]
            good = (index >= 0) & (index < len(target))
            combine = loops.COMBINE.get(s.op)
            for i in np.flatnonzero(good):  # one after the other: its rows may overlap
                target[index[i]] = rows[i] if combine is None else combine(target[index[i]], rows[i])
        elif isinstance(s, ScanStep):
            x, y = [
                np.ndarray(s.sizes, p.dtype, flat, p.offset * p.dtype.itemsize, [t * p.dtype.itemsize for t in strides])
                for p, strides, flat in (
                    (s.source, s.strides, table[s.source.buffer.entry].view(np.uint8)),
                    (s.target, s.target_strides, table[s.target.buffer.entry].view(np.uint8)),
                )
            ]
            with np.errstate(all="ignore"):
                y[...] = loops.COMBINE[s.op].accumulate(x, -1)
        return 0


def convolve(kernel, x, w, y, stride, padding, dilation, groups):
    """A convolution into y, or its gradient into x or w, one place of the kernel after the other."""
    features = len(w) // groups
    reach = [(w.shape[d] - 1) * dilation[d - 2] + (y.shape[d] - 1) * stride[d - 2] + 1 for d in (2, 3)]
    wide = [max(reach[d], padding[d][0] + x.shape[2 + d]) for d in (0, 1)]
    padded = np.zeros((*x.shape[:2], *wide), x.dtype)
    inner = padded[:, :, padding[0][0] :, padding[1][0] :][:, :, : x.shape[2], : x.shape[3]]
    made = {"conv": y, "conv_input": padded, "conv_weight": w}[kernel]
    made[...] = 0
    if kernel != "conv_input":
        inner[...] = x
    for g, k, l in np.ndindex(groups, *w.shape[2:]):
        rows = slice(k * dilation[0], k * dilation[0] + (y.shape[2] - 1) * stride[0] + 1, stride[0])
        cols = slice(l * dilation[1], l * dilation[1] + (y.shape[3] - 1) * stride[1] + 1, stride[1])
        part = padded[:, g * w.shape[1] : (g + 1) * w.shape[1], rows, cols]
        at = slice(g * features, (g + 1) * features)
        if kernel == "conv":
            y[:, at] += np.einsum("bchw,fc->bfhw", part, w[at, :, k, l])
        elif kernel == "conv_input":
            part += np.einsum("bfhw,fc->bchw", y[:, at], w[at, :, k, l])
        else:
            w[at, :, k, l] += np.einsum("bchw,bfhw->fc", part, y[:, at])
    if kernel == "conv_input":
        x[...] = inner


def _placed(p, table):
    flat = table[p.buffer.entry].view(np.uint8)
    size = p.dtype.itemsize
    flat = flat[: flat.size // size * size].view(p.dtype)
    if 0 in p.shape:
        return np.empty(p.shape, p.dtype)
    return np.ndarray(p.shape, p.dtype, flat, p.offset * size, tuple(s * size for s in p.strides))


@contextlib.contextmanager
def compared(native=True):
    """Every flush is interpreted, run by its recipe, and (if `native`) by machine code; the interpreter's results count.

    A program with an effect (random numbers) is run once, by the interpreter."""
    counts, differences = Counts(), []
    was, at = flush.Plan.run, config.COMPILE_AT

    def run(plan, w):
        want = plan.program.run(w.inputs, w.scalars)
        values = [want[i] for i in plan.program.results], None
        if any(s.effect for s in plan.graph.specs):
            return values
        wanted = {i: np.array(want[i]) for i in plan.program.results}  # what comes next must not change them
        lays = plan.graph.lays
        entered = [values_of(w.inputs[p], lays[i]) for i, p in plan.graph.inputs.items()]
        size = magnitude([*entered, *[values_of(x, lays[i]) for i, x in wanted.items()]])
        kinds = (PlainMachine, Machine) if native else (PlainMachine,)
        for kind in kinds:
            try:
                made = kind(plan.graph, plan.program.results, later._sizes(plan.graph, w.inputs), plan.donors)
            except (Uncompilable, NotImplementedError) as e:
                counts["uncompiled"] += 1
                counts[f"uncompiled: {e}"] += 1
                return values
            except Exception as e:  # raised here, it would leave the walk as it is, and come again with the next
                differences.append(f"{type(e).__name__}: {e}\n{plan.graph.text()}")
                return values
            try:
                got = made.run(w.inputs, w.scalars)
            except Fallback:
                counts["fallback"] += 1
                differences.append(f"falls back, and the interpreter does not:\n{plan.graph.text()}")
                return values
            for i in made.results:
                found = difference(plan.graph, i, size, want[i], wanted[i], got[i])
                if found and any(l is not None and not l.number and l.dtype.half for l in lays):
                    # what cancels may be larger than what is left, and a half type rounds each value on the way
                    found = difference(plan.graph, i, size_on_the_way(plan, w), want[i], wanted[i], got[i])
                if found:
                    differences.append(f"%{i} by {kind.__name__}: {found}\n{first_step(plan, w, size)}")
                    differences[-1] += f"\n{described(plan.graph, made)}"
            counts["results"] += len(made.results)
            counts["machines"] += kind is Machine
            counts["donated"] += len(made.given)
        counts["programs"] += 1
        counts["calls"] += sum(isinstance(s, CallStep) for s in made.recipe.steps)
        return values

    flush.Plan.run, config.COMPILE_AT = run, 1
    try:
        yield counts
    finally:
        flush.Plan.run, config.COMPILE_AT = was, at
    if differences:  # told at the end: a flush that raises would be done again by the next
        raise Differs(f"{len(differences)} differ; the first: {differences[0]}")


def tolerance(graph) -> float:
    """That of the coarsest dtype of the program."""
    names = {l.dtype.name for l in graph.lays if l is not None and not l.number}
    if "complex64" in names:
        names.add("float32")
    return max([TOLERANCE[n] for n in names if n in TOLERANCE], default=TOLERANCE["float64"])


def values_of(array, lay):
    """An array as the numbers that it holds: half types lie in memory as bits."""
    return decode(array, lay.dtype) if isinstance(array, np.ndarray) and not lay.number and lay.dtype.half else array


def size_on_the_way(plan, w) -> float:
    """The largest magnitude among all values of a program."""
    graph = plan.graph
    everything = [o for outs in graph.outs for o in outs]
    values = Program(graph, everything).run(w.inputs, w.scalars)
    return magnitude([values_of(np.asarray(values[i]), graph.lays[i]) for i in everything])


def magnitude(arrays) -> float:
    """The largest finite one among values that are compared, and those that they come from."""
    largest = 1e-2
    for a in arrays:
        if isinstance(a, np.ndarray) and a.dtype.kind in "fc" and a.size:
            largest = max(largest, float(np.abs(a[np.isfinite(a)]).max(initial=0)))
    return min(largest, 1e4)


def difference(graph, i, size, original, want, got):
    """In words; None where the values agree."""
    arrays = (np.ndarray, np.generic)
    if type(original) is not type(got) and not (isinstance(original, arrays) and isinstance(got, arrays)):
        return f"a {type(got).__name__} instead of a {type(original).__name__}"
    got = np.asarray(got)
    if graph.lays[i].flat:  # memory, in whatever shape
        want, got = want.reshape(-1), got.reshape(-1)
    if want.shape != got.shape or want.dtype != got.dtype:
        return f"{got.dtype}{list(got.shape)} instead of {want.dtype}{list(want.shape)}"
    want, got = values_of(want, graph.lays[i]), values_of(got, graph.lays[i])
    if want.dtype.kind not in "fc":
        same = want == got
    else:
        with np.errstate(all="ignore"):
            near = np.abs(want - got) <= tolerance(graph) * np.maximum(np.abs(want), 0.1 * size)
        same = (want == got) | near | (np.isnan(want) & np.isnan(got))
    if same.all():
        return None
    at = tuple(int(k) for k in np.argwhere(~same)[0])
    return f"{list(at)}: {got[at]!r} instead of {want[at]!r} ({(~same).sum()} of {same.size} differ)"


def first_step(plan, w, size) -> str:
    """The first value of a program that differs, where all are asked for."""
    graph = plan.graph
    everything = [o for outs in graph.outs for o in outs]
    want = Program(graph, everything).run(w.inputs, w.scalars)
    got = PlainMachine(graph, everything, later._sizes(graph, w.inputs)).run(w.inputs, w.scalars)
    for i in everything:
        found = difference(graph, i, size, want[i], np.asarray(want[i]), got[i])
        if found:
            return f"where all values are asked for, first %{i}: {found}"
    return "where all values are asked for, none differs"


def described(graph, machine):
    lines = [graph.text()]
    for s in machine.recipe.steps:
        if isinstance(s, KernelStep):
            lines += [
                s.kernel.text(),
                f"    sizes {s.sizes}; " + "; ".join(f"{b.kind} {b.entry} {r}" for b, *r in s.placed),
            ]
        else:
            lines.append(repr(s))
    return "\n".join(lines)
