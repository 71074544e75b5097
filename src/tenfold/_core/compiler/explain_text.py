"""An explanation as text: short lines, aligned columns, the summary first."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path as File

from .explain import Block, Line, Operation, Path, Step

WIDTH = 120
BAR = 30  # characters of a life line
KINDS = ("kernel", "product", "convolution", "scan", "scatter", "call")


@dataclass
class Explanation:
    """What `tenfold.explain` found out: `print` it, or `.save(file)` it as a page.

    name     of the function
    calls    how often it was called
    paths    of the last call, in order
    others   how often other paths were visited, which the last call did not take
    compiled what became of functions under `torch.compile` in the last call: (name, calls replayed, called, why)"""

    name: str
    calls: int
    paths: list[Path]
    others: list[int] = field(default_factory=list)
    compiled: list[tuple[str, int, int, str | None]] = field(default_factory=list)

    def text(self, loops: bool = True) -> str:
        """The explanation as text; `loops`: with the text of each kernel."""
        return "\n".join(_explanation(self, loops))

    def html(self) -> str:
        """One page that needs nothing else."""
        from .explain_page import page

        return page(self)

    def save(self, path) -> None:
        """Writes the page into a file."""
        File(path).write_text(self.html(), encoding="utf-8")

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        """In a notebook: the page in a frame, so that its style stays its own."""
        from html import escape

        return f'<iframe srcdoc="{escape(self.html())}" style="width:100%;height:720px;border:0"></iframe>'


# --- units -------------------------------------------------------------------------------------------------------------


def seconds(t: float) -> str:
    """1.23 µs, 45.6 ms …, to three digits; from nanoseconds on."""
    if t <= 0:
        return "–"
    if t < 2e-8:
        return "<20 ns"  # less than the clock tells
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if t >= size * 0.9995:
            return f"{_digits(t / size)} {unit}"
    return f"{t * 1e9:.0f} ns"


def nbytes(n: int) -> str:
    if n < 1024:
        return f"{n} B"
    x = float(n)
    for unit in ("KiB", "MiB", "GiB"):
        x /= 1024
        if x < 1023.5 or unit == "GiB":
            break
    return f"{_digits(x)} {unit}"


def _digits(x: float) -> str:
    return f"{x:.2f}" if x < 9.995 else f"{x:.1f}" if x < 99.95 else f"{x:.0f}"


def share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f}%" if whole else ""


def rate(s: Step) -> str:
    """How fast a step was: floating-point operations, or bytes, a second."""
    if not s.seconds:
        return ""
    if s.flops:
        return f"{_digits(s.flops / s.seconds / 1e9)} GF/s"
    return f"{_digits((s.reads + s.writes) / s.seconds / 1e9)} GB/s"


def plural(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s" if not word.endswith("x") else f"{n} {word}es"


def numbers(values) -> str:
    """1-3, 5, 8-9"""
    out: list[list[int]] = []
    for n in sorted(values):
        if out and out[-1][1] == n - 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return ", ".join(str(a) if a == b else f"{a}-{b}" if b > a + 1 else f"{a}, {b}" for a, b in out)


def short_file(file: str) -> str:
    """A file's path as it is shortest to read: relative where it lies below here."""
    try:
        here = os.getcwd()
    except FileNotFoundError:  # the folder has been removed meanwhile
        return file
    return os.path.relpath(file, here) if file.startswith(here + os.sep) else file


def place(line: Line | None) -> str:
    return f"{short_file(line.file)}:{line.number}" if line is not None else "an unknown place"


def table(rows: list[list[str]], right: str) -> list[str]:
    """Rows as aligned columns; `right`: "r" for columns that end at the same place, "l" for those that begin there."""
    if not rows:
        return []
    widths = [max(len(r[c]) for r in rows) for c in range(len(right))]
    out = []
    for r in rows:
        cells = [x.rjust(w) if a == "r" else x.ljust(w) for x, w, a in zip(r, widths, right)]
        out.append("  ".join(cells).rstrip())
    return out


def cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


# --- the parts ---------------------------------------------------------------------------------------------------------


def heading(e: Explanation) -> list[str]:
    out = [f"{plural(len(e.paths), 'path')} a call, called {e.calls} times"]
    if e.others:
        visits = "once" if set(e.others) == {1} else f"{', '.join(map(str, e.others))} times"
        out.append(f"{plural(len(e.others), 'other path')} in earlier calls, visited {visits}")
    for name, replayed, called, why in e.compiled:
        done = [f"{n} {word}" for n, word in ((replayed, "replayed"), (called, "run in Python")) if n]
        out.append(f"torch.compile({name}): {', '.join(done)}" + (f", because {why}" if called and why else ""))
    return out


def _explanation(e: Explanation, loops: bool) -> list[str]:
    first, *more = heading(e)
    out = [f"{e.name}: {first}", *[f"  {line}" for line in more]]
    if not e.paths:
        return [*out, "  nothing was computed: no tensor was read or kept"]
    for k, p in enumerate(e.paths):
        out += ["", *_path(p, f"PATH {k + 1}" if len(e.paths) > 1 else "PATH", e.name, loops)]
    return out


def summary(p: Path, name: str) -> list[tuple[str, str]]:
    """What a path is, in a few lines: (title, text)."""
    ended = f"read at {place(p.ended)}" if p.ended is not None else f"to the end of {name}"
    state = "compiled" if p.compiled else "interpreted: " + p.why
    out = [("state", f"{state}; {plural(p.visits, 'visit')}; {ended}")]
    if not p.compiled:
        out.append(
            ("steps", f"{plural(len(p.operations), 'operation')} -> {plural(len(p.steps), 'step')} of the interpreter")
        )
    else:
        kinds = [(k, sum(s.kind == k for s in p.steps)) for k in KINDS]
        parts = ", ".join(plural(n, k) for k, n in kinds if n)
        out.append(("steps", f"{plural(len(p.operations), 'operation')} -> {plural(len(p.steps), 'step')}: {parts}"))
    total = p.total("seconds")
    times = [(k, p.total("seconds", k)) for k in KINDS]
    parts = ", ".join(f"{k}s {seconds(t)} ({share(t, total)})" for k, t in times if t)
    whole = f"{seconds(p.seconds)} in one call; " if p.seconds and p.compiled else ""
    if total:
        out.append(("time", f"{whole}steps {seconds(total)}: {parts}" if p.compiled else f"{seconds(total)}"))
        slow = sorted(p.steps, key=lambda s: -s.seconds)[:3]
        shown = [f"{s.number} ({came_from(s, 1)}) {share(s.seconds, total)}" for s in slow if s.seconds >= 0.05 * total]
        if shown:
            out.append(("slowest", "steps " + ", ".join(shown) if len(shown) > 1 else "step " + shown[0]))
    if p.compiled:
        held = p.memory("arena")
        out.append(("traffic", f"read {nbytes(p.total('reads'))}, written {nbytes(p.total('writes'))}"))
        out.append((
            "memory",
            f"inputs {nbytes(p.memory('input'))}, results {nbytes(p.memory('result'))}, "
            f"arena {nbytes(p.arena)} for {nbytes(held)} of buffers",
        ))  # fmt: skip
    return out


def _path(p: Path, title: str, name: str, loops: bool) -> list[str]:
    lines = summary(p, name)
    out = [f"{title}"]
    out += [f"  {a:<8} {b}" for a, b in lines]
    out += ["", "OPERATIONS, as your program called them, and the steps that compute them", *_operations(p)]
    if p.compiled:
        out += ["", "STEPS", *_steps(p)]
        if loops and any(s.loops for s in p.steps):
            out += ["", "LOOPS of the kernels (a0, a1 … are arrays; %0, %1 … values of 16 neighbours)", *_loops(p)]
        out += ["", "MEMORY: the arena, a buffer a line, and the steps between which it is needed", *_memory(p)]
    else:
        out += ["", "STEPS", *_calls(p)]
    return out


def by_line(operations: list[Operation]) -> list[tuple[Line | None, list[Operation]]]:
    """Operations in order, those of one line of the program together."""
    out: list[tuple[Line | None, list[Operation]]] = []
    for o in operations:
        if not out or str(out[-1][0]) != str(o.line):
            out.append((o.line, []))
        out[-1][1].append(o)
    return out


def results_text(o: Operation) -> str:
    if not o.results:
        return ""
    more = len(o.results) - 1
    return o.results[0] + (f" and {more} more" if more else "")


def _operations(p: Path) -> list[str]:
    names = max((len(o.name) for o in p.operations), default=0)
    results = max((len(results_text(o)) for o in p.operations), default=0)
    out = []
    for line, operations in by_line(p.operations):
        out.append(cut(f"  {place(line)}  {line.text if line else ''}".rstrip(), WIDTH))
        for o in operations:
            where = (
                f"step {numbers(o.steps)}" if len(o.steps) == 1 else f"steps {numbers(o.steps)}" if o.steps else o.note
            )
            out.append(f"  {o.number:4}  {o.name:<{names}}  {results_text(o):<{results}}  {where}".rstrip())
            out[-1] = cut(out[-1], WIDTH)
    return out


def came_from(s: Step, most: int = 2) -> str:
    """The operations that a step came from, by name and number."""
    more = len(s.names) - most
    return ", ".join(s.names[:most]) + (f" and {more} more" if more > 0 else "")


def apart_text(why: str, steps: list[int]) -> str:
    return f"apart from {numbers(steps)}: {why}"


def _steps(p: Path) -> list[str]:
    total = p.total("seconds")
    rows = [["", "kind", "time", "", "rate", "read", "written", "over", "of"]]
    for s in p.steps:
        rows.append([
            str(s.number), s.kind, seconds(s.seconds), share(s.seconds, total), rate(s), nbytes(s.reads),
            nbytes(s.writes), s.over, came_from(s),
        ])  # fmt: skip
    read, written = nbytes(p.total("reads")), nbytes(p.total("writes"))
    rows.append(["", "all", seconds(total), "", "", read, written, "", ""])
    lines = table(rows, "rlrrrrrll")
    out = ["  " + lines[0]]
    for s, line in zip(p.steps, lines[1:-1]):
        out.append(cut("  " + line, WIDTH))
        if s.does != "matmul":
            out.append(cut(f"          {s.does}", WIDTH))
        if s.why:
            out.append(cut(f"          stays a call: {s.why}", WIDTH))
        out += [cut(f"          {apart_text(why, steps)}", WIDTH) for why, steps in s.apart.items()]
    return [*out, "  " + lines[-1]]


def _calls(p: Path) -> list[str]:
    total = p.total("seconds")
    rows = [["", "time", "", "read", "written", "call", "of"]]
    for s in p.steps:
        rows.append([
            str(s.number), seconds(s.seconds), share(s.seconds, total), nbytes(s.reads), nbytes(s.writes), s.does, came_from(s),
        ])  # fmt: skip
    return [cut("  " + line, WIDTH) for line in table(rows, "rrrrrll")]


def kernels(p: Path) -> list[tuple[str, list[Step]]]:
    """The texts of kernels, each once, with the steps that run it."""
    found: dict[str, list[Step]] = {}
    for s in p.steps:
        if s.loops:
            found.setdefault(s.loops, []).append(s)
    return list(found.items())


def sizes_text(s: Step) -> str:
    return ", ".join(f"n{d}={n}" for d, n in enumerate(s.sizes))


def _loops(p: Path) -> list[str]:
    out: list[str] = []
    for text, steps in kernels(p):
        if out:
            out.append("")
        for s in steps:
            out.append(f"  step {s.number}: {sizes_text(s)}")
        out += [cut(f"    {line}", WIDTH) for line in annotated(text, steps[0].arrays)]
    return out


def annotated(text: str, arrays: list[str]) -> list[str]:
    """The lines of a kernel, with what each array is beside it."""
    lines = text.split("\n")
    width = max(len(line) for line in lines)
    out = []
    for line in lines:
        found = re.search(r"\ba(\d+)\b", line)
        out.append(f"{line:<{width}}   # {arrays[int(found[1])]}" if found and int(found[1]) < len(arrays) else line)
    return out


def life(b: Block, steps: int) -> str:
    """A buffer's life as a bar."""
    width = min(BAR, steps)
    a = (b.first - 1) * width // steps
    z = max(-(-b.last * width // steps), a + 1)
    return "·" * a + "█" * (z - a) + "·" * (width - z)


def _memory(p: Path) -> list[str]:
    n = max(len(p.steps), 1)
    rows = [["offset", "size", "steps", "", "holds"]]
    for b in sorted((b for b in p.blocks if b.kind == "arena"), key=lambda b: (b.first, b.offset)):
        rows.append([str(b.offset), nbytes(b.nbytes), f"{b.first}-{b.last}", life(b, n), b.what])
    out = ["  " + cut(line, WIDTH) for line in table(rows, "rrrll")] if len(rows) > 1 else ["  the arena is empty"]
    rows = [["results", nbytes(size), ", ".join(whats)] for size, whats in results_by_size(p)]
    return out + ["  " + cut(line, WIDTH) for line in table(rows, "lrl")]


def results_by_size(p: Path) -> list[tuple[int, list[str]]]:
    """What goes out, in memory of its own: the large ones first; (bytes of all, what they are)."""
    found: dict[int, dict[str, int]] = {}
    for b in p.blocks:
        if b.kind == "result":
            counts = found.setdefault(b.nbytes, {})
            counts[b.what] = counts.get(b.what, 0) + 1
    rows = []
    for size in sorted(found, reverse=True):
        counts = found[size]
        rows.append((size * sum(counts.values()), [w if c == 1 else f"{c}× {w}" for w, c in counts.items()]))
    return rows


# --- at the end of a process ---------------------------------------------------------------------------------------------


@dataclass
class Total:
    """A path, and all its runs in a process."""

    runs: int
    seconds: float  # of all runs, compiling in them
    best: float  # of one
    ended: Line | None
    operations: int
    steps: int
    arena: int
    why: str  # it is not compiled; "" where it is


def short(totals: list[Total], others: int, most: int = 12) -> str:
    """The paths of a process, those that took longest first."""
    totals = sorted(totals, key=lambda t: -t.seconds)
    whole = sum(t.seconds for t in totals)
    out = [f"tenfold: {plural(len(totals) + others, 'path')} ran, {seconds(whole)} in their programs"]
    rows = [["time", "", "runs", "best", "operations", "steps", "arena", "", "read at"]]
    for t in totals[:most]:
        rows.append([
            seconds(t.seconds), share(t.seconds, whole), str(t.runs), seconds(t.best), str(t.operations),
            str(t.steps), nbytes(t.arena) if t.arena else "", "interpreted" if t.why else "compiled", place(t.ended),
        ])  # fmt: skip
    out += ["  " + cut(line, WIDTH) for line in table(rows, "rrrrrrrll")]
    if len(totals) > most:
        out.append(f"  and {len(totals) - most} more")
    for why in dict.fromkeys([t.why for t in totals[:most] if t.why]):
        out.append(cut(f"  interpreted: {why}", WIDTH))
    if others:
        out.append(f"  {others} paths were too many to count one by one")
    return "\n".join(out)
