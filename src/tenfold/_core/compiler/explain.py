"""What ran and why: a path of the trace tree, the steps that it became, their times, and the memory plan, to read.

In: the end of a path, its graph and the results that were asked for, and a run of it (inputs, scalars). Out: a `Path`.
Compiling forgets where things came from; here the recipe is made again by builders that remember (stepwise.py), and its
steps run one at a time. trace/watch.py collects the paths of a call; explain_text.py and explain_page.py show them."""

from __future__ import annotations

import linecache
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

import numpy as np

from ..backends.cpu import jit
from ..errors import Fallback
from ..ir.graph import Graph
from ..ir.loops import NAMES
from ..ir.operation import Operation as Declared
from ..ir.special import BACKWARD, BACKWARD_FROM, BACKWARD_PART, CUSTOM, ENTER_ALL, ENTRY, MODE
from ..random import engine
from .build import Buffer, CallStep, ConvolutionStep, KernelStep, ProductStep, ScanStep, ScatterStep
from .expand import Uncompilable
from .group import base_of, is_source, why_apart
from .stepwise import Stepwise, TracedBuilder, TracedPath, clocked

ITEMSIZE = {name: np.dtype(code).itemsize for code, name in NAMES.items()}
CONVOLUTIONS = {"conv": "convolution", "conv_input": "gradient by input", "conv_weight": "gradient by weight"}
SILENT = (ENTRY, ENTER_ALL, MODE)  # edges that the program does not call
GRADIENTS = (BACKWARD.name, BACKWARD_FROM.name, BACKWARD_PART.name)
WRITTEN = {"conv": 2, "conv_input": 0, "conv_weight": 1}  # which of x, w, y


@dataclass
class Line:
    """A line of the user's program."""

    file: str
    number: int
    function: str

    @property
    def text(self) -> str:
        return linecache.getline(self.file, self.number).strip()

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass
class Operation:
    """An edge of the walk: what the program called. `steps`: the numbers of the steps that compute it."""

    number: int
    name: str
    results: list[str]
    line: Line | None
    steps: list[int] = field(default_factory=list)
    note: str = ""  # why no step computes it


@dataclass
class Step:
    """A step of the program. `kind`: "kernel" (fused loops), "product" (of matrices), "convolution", "scan" (a running
    reduction), "scatter" (rows put where numbers say), "call" (of the interpreter's function)."""

    number: int
    kind: str
    does: str  # the scalar operations of a kernel; the name of a call
    over: str  # what it loops over
    operations: list[int]  # numbers of the walk's operations
    names: list[str]  # what it came from, by name: those operations, or their gradients
    shares: dict[str, float]  # how much of it belongs to each of those names
    reads: int = 0  # bytes
    writes: int = 0
    seconds: float = 0.0
    flops: int = 0
    loops: str = ""  # the kernel's text
    arrays: list[str] = field(default_factory=list)  # what its a0, a1 … are
    sizes: tuple[int, ...] = ()
    why: str = ""  # of a call: why it is one
    apart: dict[str, list[int]] = field(
        default_factory=dict
    )  # reason -> steps whose results it could not compute itself


@dataclass
class Block:
    """A buffer of the program: where it lies, and the steps between which it is needed."""

    kind: str
    what: str
    nbytes: int
    offset: int
    first: int
    last: int


@dataclass
class Path:
    """A walk from its start to the read that ended it."""

    visits: int
    compiled: bool
    why: str  # where it is not compiled
    ended: Line | None
    operations: list[Operation]
    steps: list[Step]
    blocks: list[Block] = field(default_factory=list)
    arena: int = 0
    seconds: float = 0.0  # of the whole program in one call, with what Python does; 0: not known

    def total(self, what: str, kind: str | None = None):
        return sum(getattr(s, what) for s in self.steps if kind is None or s.kind == kind)

    def memory(self, kind: str) -> int:
        return sum(b.nbytes for b in self.blocks if b.kind == kind)


# --- a path ------------------------------------------------------------------------------------------------------------


def line_at(where: tuple | None) -> Line | None:
    """A line as the trace keeps it: (code, position of the instruction in it)."""
    if where is None:
        return None
    code, position = where
    lines = [n for start, end, n in code.co_lines() if start <= position < end and n is not None]
    return Line(code.co_filename, lines[0] if lines else code.co_firstlineno, code.co_name)


def name_of_edge(n) -> str:
    if n.op is CUSTOM:
        return n.static[0].__name__
    return n.op.name.lstrip("_") if isinstance(n.op, Declared) else str(n.op)


def operations_of(traced: TracedPath) -> tuple[list[Operation], dict[int, int]]:
    """What the program called, and for each edge of the path its number among them."""
    out: list[Operation] = []
    number: dict[int, int] = {}
    for k, n in enumerate(traced.edges):
        if n.op in SILENT:
            continue
        number[k] = len(out) + 1
        results = [repr(v.lay) for v in n.outs]
        out.append(Operation(len(out) + 1, name_of_edge(n), results, line_at(n.line)))
    return out, number


class Parts:
    """The operations of a path, and which of them each step of its graph belongs to."""

    def __init__(self, end, graph: Graph):
        self.traced = TracedPath(end)
        self.operations, self.number = operations_of(self.traced)
        self.graph = graph

    def operation(self, step: int) -> int:
        """The number of the operation that a step of the graph came from; 0: a read at the end."""
        edges = self.traced.edge_of
        return self.number.get(edges[step], 0) if step < len(edges) else 0

    def numbers(self, steps) -> list[int]:
        return sorted({n for s in steps if (n := self.operation(s))})

    def name(self, step: int) -> str:
        """What a step of the graph is called: the operation it came from, or the gradient of one."""
        of = self.operation(step)
        if not of:
            return "read"
        found = self.operations[of - 1].name
        return self.graph.specs[step].op.name.lstrip("_") if found in GRADIENTS else found

    def names(self, steps) -> list[str]:
        """Names with the numbers of operations: "relu (2)"."""
        return list(dict.fromkeys([f"{self.name(s)} ({self.operation(s)})" for s in steps if self.operation(s)]))

    def facts(self, order) -> dict[str, tuple[list, Line | None]]:
        """For each of those names: the shapes of the operands, and the user's line."""
        found: dict[str, tuple[list, Line | None]] = {}
        for s in order:
            of = self.operation(s)
            if of:
                shapes = [[] if l.number else list(l.shape) for l in self.graph.specs[s].lays]
                found.setdefault(f"{self.name(s)} ({of})", (shapes, self.operations[of - 1].line))
        return found


def interpreted(end, graph: Graph, program, inputs, scalars, why: str) -> Path:
    """A path that the interpreter runs, and its times of one more run; effects make that run impossible: no times then."""
    parts = Parts(end, graph)
    order = program.order
    seconds = [0.0] * len(order)
    if not any(graph.specs[s].effect for s in order):
        copy, times = clocked(program)
        copy.run([v.copy() if isinstance(v, np.ndarray) else v for v in inputs], scalars)
        seconds = [t * 1e-9 for _, t in times]
    steps = []
    for k, s in enumerate(order):
        spec = graph.specs[s]
        of = parts.numbers([s])
        step = Step(
            k + 1,
            "call",
            spec.op.name.lstrip("_"),
            "",
            of,
            parts.names([s]),
            dict.fromkeys(of, 1.0),
            seconds=seconds[k],
        )
        step.reads = sum(graph.lays[a].nbytes for a in graph.args[s] if graph.lays[a] and not graph.lays[a].number)
        step.writes = sum(l.nbytes for l in spec.outs if not l.number)
        steps.append(step)
        for n in of:
            parts.operations[n - 1].steps.append(k + 1)
    for o in parts.operations:
        if not o.steps:
            o.note = "not needed, or a view"
    return Path(0, False, why, None, parts.operations, steps, seconds=sum(seconds))


def compiled(end, graph: Graph, machine: Stepwise, seconds: Sequence[float]) -> Path:
    """A path that is one native program, with the measured time of each of its steps."""
    parts = Parts(end, graph)
    builder = machine.builder
    recipe = machine.recipe
    home = {n.id: g for g in recipe.groups for n in g.members}
    steps_of: dict[int, list[int]] = {}
    for k, g in enumerate(builder.group_of):
        steps_of.setdefault(id(g), []).append(k + 1)
    holds = _contents(recipe, builder, parts)
    steps = []
    for k, (step, g) in enumerate(zip(recipe.steps, builder.group_of)):
        made = _step(k + 1, step, g, parts, builder, holds)
        made.seconds = seconds[k]
        if steps_of[id(g)][0] == k + 1:
            made.apart = _cuts(g, home, steps_of)
        steps.append(made)
    for s in steps:
        for n in s.operations:
            parts.operations[n - 1].steps.append(s.number)
    _note_others(parts, builder, home, steps_of)
    return Path(0, True, "", None, parts.operations, steps, _blocks(recipe, holds), recipe.arena)


def _step(number: int, step, g, parts: Parts, builder: TracedBuilder, holds: dict[int, str]) -> Step:
    sources = builder.sources(g)
    operations = parts.numbers(sources)
    origin = builder.expansion.origin
    counts: dict[str, int] = {}
    for n in g.members:
        for name in parts.names([origin[n.id]] if n.id in origin else []):
            counts[name] = counts.get(name, 0) + 1
    whole = sum(counts.values()) or 1
    shares = {name: c / whole for name, c in counts.items()}
    made = Step(number, "kernel", "", "", operations, parts.names(sources), shares)
    if isinstance(step, KernelStep):
        _kernel(made, step, g)
        made.arrays = [
            _number_text(builder, offset * ITEMSIZE[access.dtype] // 8)
            if b is builder.scalars
            else holds.get(b.entry, b.kind)
            for access, (b, offset, *_) in zip(step.kernel.accesses, step.placed)
        ]
    elif isinstance(step, ProductStep):
        *batch, m, n = step.shape
        made.kind, made.does = "product", "matmul"
        made.over = "×".join(map(str, [*batch, m, n])) + f" of {step.inner}"
        made.flops = 2 * math.prod(step.shape) * step.inner
        made.reads = sum(_distinct(p.shape, p.strides) * p.dtype.itemsize for n, p in enumerate(step.places) if n != 2)
        made.writes = math.prod(step.shape) * step.places[2].dtype.itemsize
    elif isinstance(step, ConvolutionStep):
        made.kind, made.does = "convolution", CONVOLUTIONS[step.kernel]
        made.over = "×".join(map(str, step.y.shape)) + f" of {step.w.shape[1]}×{step.w.shape[2]}×{step.w.shape[3]}"
        made.flops = 2 * math.prod(step.y.shape) * math.prod(step.w.shape[1:])
        sizes = [math.prod(p.shape) * p.dtype.itemsize for p in (step.x, step.w, step.y)]
        made.writes = sizes[WRITTEN[step.kernel]]
        made.reads = sum(sizes) - made.writes
    elif isinstance(step, ScatterStep):
        made.kind, made.does, made.over = "scatter", f"{step.op} of rows by number", str(list(step.rows.shape))
        size = math.prod(step.rows.shape) * step.rows.dtype.itemsize
        made.reads, made.writes = 2 * size + math.prod(step.index.shape) * 8, size
    elif isinstance(step, ScanStep):
        made.kind, made.does, made.over = "scan", f"running {step.op}", str(step.sizes)
        made.reads = made.writes = math.prod(step.sizes) * step.source.dtype.itemsize
    elif isinstance(step, CallStep):
        spec = step.call.spec
        made.kind, made.does, made.why = "call", spec.op.name.lstrip("_"), builder.reason(spec)
        made.over = ", ".join(map(repr, spec.outs[:1]))
        made.reads = sum(math.prod(p.shape) * p.dtype.itemsize for p in step.operands)
        made.writes = sum(b.nbytes for _, b in step.results)
    return made


def _kernel(made: Step, step: KernelStep, g) -> None:
    kernel = step.kernel
    counts: dict[str, int] = {}
    for s in kernel.body:
        if s.op not in ("load", "const"):
            counts[s.op] = counts.get(s.op, 0) + 1
    for op, _, _ in kernel.folds:
        counts[f"{op}-reduce"] = counts.get(f"{op}-reduce", 0) + 1
    made.does = " ".join(op if c == 1 else f"{c}×{op}" for op, c in counts.items()) or "copy"
    made.over = str(list(g.domain))
    if g.axes:
        made.over += f" over {', '.join(map(str, g.axes))}"
    made.loops, made.sizes = kernel.text(), tuple(step.sizes)
    written = {a for _, a in kernel.stores} | {a for _, _, a in kernel.folds}
    for a, (access, (_, _, strides, _, _)) in enumerate(zip(kernel.accesses, step.placed)):
        count = math.prod(step.sizes) if access.taken else _distinct(step.sizes, strides)
        if a in written:
            made.writes += count * ITEMSIZE[access.dtype]
        else:
            made.reads += count * ITEMSIZE[access.dtype]


def _distinct(sizes, strides) -> int:
    """How many elements a strided read touches (repeated ones once)."""
    return math.prod([n for n, s in zip(sizes, strides) if s])


def _cuts(g, home: dict, steps_of: dict) -> dict[str, list[int]]:
    """Why what a group reads of other steps is not computed in it: reason -> steps."""
    cuts: dict[str, list[int]] = {}
    for n in g.members:
        for a in n.args:
            base = base_of(a)
            if is_source(base) or home[base.id] is g:
                continue
            other = home[base.id]
            found = cuts.setdefault(why_apart(a, n, other, g), [])
            if steps_of[id(other)][-1] not in found:
                found.append(steps_of[id(other)][-1])
    return {why: sorted(steps) for why, steps in sorted(cuts.items(), key=lambda c: min(c[1]))}


def _note_others(parts: Parts, builder: TracedBuilder, home: dict, steps_of: dict) -> None:
    """Operations that have no step of their own: views, what is known, what nobody needs, what equals something else."""
    needed: dict[int, list] = {}
    for step, nodes in builder.expansion.nodes_of.items():
        needed.setdefault(parts.operation(step), []).extend(nodes)
    for o in parts.operations:
        if o.steps:
            continue
        nodes = needed.get(o.number)
        if nodes is None:
            o.note = "not needed: nobody reads it"
        elif all(is_source(base_of(n)) for n in nodes):
            o.note = "nothing to compute: a view, or known"
        else:
            bases = [home[base_of(n).id] for n in nodes if base_of(n).id in home]
            if bases:
                o.note = (
                    "a view, or equal to what step "
                    + ", ".join(map(str, sorted({steps_of[id(g)][-1] for g in bases})))
                    + " computes"
                )
            else:
                o.note = "not needed: nobody reads it"


def _contents(recipe, builder: TracedBuilder, parts: Parts) -> dict[int, str]:
    """What each buffer holds, in words, by its entry."""
    out = {
        b.entry: f"working memory of step {k + 1}"
        for k, s in enumerate(recipe.steps)
        if isinstance(s, (ProductStep, ConvolutionStep))
        for b in s.scratch
    }
    for entry, node in builder.node_of().items():
        b = recipe.buffers[entry]
        step = builder.expansion.origin.get(node.id)
        name = parts.name(step) if step is not None and b.kind in ("arena", "result", "call") else _source_text(b)
        out[entry] = f"{name} {np.dtype(b.dtype).name}{list(b.shape)}"
    return out


def _number_text(builder: TracedBuilder, slot: int) -> str:
    """A number among the scalars: its value, if it is known when compiling."""
    value = dict(builder.recipe.constants).get(slot)
    return "a number, given at each run" if value is None else f"the number {value.item():g}"


def _source_text(b: Buffer) -> str:
    return {"input": f"input {b.source}", "window": "part of an input", "const": "constant"}.get(b.kind, b.kind)


def _blocks(recipe, holds: dict[int, str]) -> list[Block]:
    kept = {p.buffer.entry for p in recipe.results if p.buffer is not None}
    out = []
    for b in recipe.buffers:
        if b.kind not in ("status", "scalars"):
            last = len(recipe.steps) if b.entry in kept else b.last + 1
            out.append(Block(b.kind, holds.get(b.entry, ""), b.nbytes, b.offset, b.first + 1, last))
    return out


# --- a run ---------------------------------------------------------------------------------------------------------------


def why_not(graph: Graph, results) -> str:
    """Why a graph is not compiled."""
    if not jit.available():
        return "llvmlite is not installed"
    try:
        TracedBuilder(graph, results)
    except (Uncompilable, NotImplementedError) as e:
        return str(e) or type(e).__name__
    return "compiling is turned off (TENFOLD_COMPILE=0)"


def explain_run(end, graph: Graph, program, machine: Any, inputs, scalars) -> tuple[dict, Path]:
    """Runs a path once, one step after the other, and measures it. Returns its values and the explanation."""
    results = program.results
    if machine is None:
        env = program.run(inputs, scalars)
        return env, interpreted(end, graph, program, inputs, scalars, why_not(graph, results))
    stepwise = Stepwise(graph, results, machine.sizes)
    try:
        env = stepwise.run(inputs, scalars)
    except Fallback:  # the interpreter says what is wrong, and where
        engine.put_back()
        env = program.run(inputs, scalars)
        return env, interpreted(end, graph, program, inputs, scalars, "a check failed while it ran")
    path = compiled(end, graph, stepwise, stepwise.measure(inputs, scalars))
    path.seconds = _whole(machine, stepwise, inputs, scalars)
    return env, path


def _whole(machine, stepwise: Stepwise, inputs, scalars) -> float:
    """The time of the program as it usually runs, in one call: the best of several. 0 where an effect (a random number)
    forbids to run it again."""
    if any(isinstance(s, CallStep) and s.call.spec.effect for s in stepwise.recipe.steps):
        return 0.0
    inputs = [v.copy() if isinstance(v, np.ndarray) else v for v in inputs]
    best = math.inf
    until = perf_counter_ns() + 300_000_000
    for run in range(1_000_000):
        if run >= 5 and perf_counter_ns() > until:
            break
        begin = perf_counter_ns()
        machine.run(inputs, scalars)
        best = min(best, perf_counter_ns() - begin)
    return best * 1e-9
