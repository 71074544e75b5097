"""An explanation as one HTML page that needs nothing else: no script, no font, no other file."""

from __future__ import annotations

from html import escape
from pathlib import Path as File

from .explain import Path, Step
from .explain_text import (
    Explanation,
    annotated,
    apart_text,
    by_line,
    heading,
    nbytes,
    place,
    rate,
    results_by_size,
    results_text,
    seconds,
    share,
    sizes_text,
    summary,
)

TEMPLATE = File(__file__).with_name("explain.html")
ROW = 15  # pixels that a step is wide, at most, in the picture of the memory
HEIGHT = 260


def page(e: Explanation) -> str:
    """The page of an explanation. Everything that comes from the program is escaped."""
    sections = [_section(p, k + 1, e) for k, p in enumerate(e.paths)]
    head = "; ".join(heading(e))
    body = "\n".join(sections) or "<p>Nothing was computed: no tensor was read or kept.</p>"
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in (("NAME", escape(e.name)), ("HEAD", escape(head)), ("BODY", body)):
        text = text.replace(f"<!--{name}-->", value, 1) if name == "BODY" else text.replace(f"<!--{name}-->", value)
    return text


def _section(p: Path, number: int, e: Explanation) -> str:
    title = f"<h2>Path {number}</h2>" if len(e.paths) > 1 else ""
    lines = "".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in summary(p, e.name))
    parts = [title, f"<dl>{lines}</dl>", _operations(p, number), _steps(p, number)]
    if p.compiled:
        parts.append(_memory(p))
    return "<section>" + "\n".join(parts) + "</section>"


def _operations(p: Path, number: int) -> str:
    """The program's lines, the operations of each, and links to the steps."""
    rows = []
    for line, operations in by_line(p.operations):
        code = escape(line.text) if line is not None else ""
        rows.append(
            f'<tr class="line"><td></td><td colspan="3"><code>{code}</code><span>{escape(place(line))}</span></td></tr>'
        )
        for o in operations:
            links = " ".join(f'<a href="#p{number}s{s}">{s}</a>' for s in o.steps) or f"<i>{escape(o.note)}</i>"
            rows.append(
                f'<tr id="p{number}o{o.number}"><td class="n">{o.number}</td><td><b>{escape(o.name)}</b></td>'
                f"<td>{escape(results_text(o))}</td><td>{links}</td></tr>"
            )
    head = "<tr><th></th><th>operation</th><th>result</th><th>computed in steps</th></tr>"
    return f"<h3>Operations, as the program called them</h3><table>{head}{''.join(rows)}</table>"


def _steps(p: Path, number: int) -> str:
    total = p.total("seconds")
    most = max((s.seconds for s in p.steps), default=0.0)
    rows = [_step(s, p, number, total, most) for s in p.steps]
    head = (
        '<tr><th></th><th>step</th><th>of</th><th class="r">time</th><th></th><th class="r">rate</th>'
        '<th class="r">read</th><th class="r">written</th></tr>'
    )
    last = (
        f'<tr class="all"><td></td><td>all</td><td></td><td class="r">{seconds(total)}</td><td></td><td></td>'
        f'<td class="r">{nbytes(p.total("reads"))}</td><td class="r">{nbytes(p.total("writes"))}</td></tr>'
    )
    note = "Each step was timed alone, the best of many runs. Open one to see its loops and why it stands apart."
    return f'<h3>Steps</h3><p class="note">{note}</p><table class="steps">{head}{"".join(rows)}{last}</table>'


def _step(s: Step, p: Path, number: int, total: float, most: float) -> str:
    more = "".join(f'<p class="why">{escape(apart_text(why, steps))}</p>' for why, steps in s.apart.items())
    if s.why:
        more = f'<p class="why">stays a call: {escape(s.why)}</p>' + more
    if s.loops:
        loops = escape("\n".join(annotated(s.loops, s.arrays)))
        more += f'<p class="why">{escape(sizes_text(s))}</p><pre>{loops}</pre>'
    title = f'<span class="k {s.kind}">{s.kind}</span> <code>{escape(s.does)}</code> <small>{escape(s.over)}</small>'
    what = f"<details><summary>{title}</summary>{more}</details>" if more else title
    names = " ".join(f'<a href="#p{number}o{n}">{escape(p.operations[n - 1].name)}</a>' for n in s.operations)
    bar = f'<i class="bar {s.kind}" style="width:{90 * s.seconds / most if most else 0:.1f}px"></i>'
    return (
        f'<tr id="p{number}s{s.number}"><td class="n">{s.number}</td><td>{what}</td><td title="{escape(", ".join(s.names))}">{names}</td>'
        f'<td class="r">{seconds(s.seconds)}</td><td class="b">{bar} {share(s.seconds, total)}</td><td class="r">{rate(s)}</td>'
        f'<td class="r">{nbytes(s.reads)}</td><td class="r">{nbytes(s.writes)}</td></tr>'
    )


def _memory(p: Path) -> str:
    """The arena as a picture: steps from left to right, addresses from the top down; and the results."""
    blocks = [b for b in p.blocks if b.kind == "arena"]
    rows = "".join(
        f'<tr><td class="r">{nbytes(size)}</td><td>{escape(", ".join(whats))}</td></tr>'
        for size, whats in results_by_size(p)
    )
    results = f"<h3>Results, in memory of their own</h3><table>{rows}</table>" if rows else ""
    if not blocks or not p.arena:
        return results
    steps = max(len(p.steps), 1)
    step = min(ROW, 960 / steps)
    drawn = []
    for b in blocks:
        x, width = (b.first - 1) * step, max((b.last - b.first + 1) * step - 1, 1)
        y, height = b.offset / p.arena * HEIGHT, max(b.nbytes / p.arena * HEIGHT - 0.5, 1)
        hue = sum(map(ord, b.what.split(" ")[0])) * 47 % 360
        title = f"{b.what}: {nbytes(b.nbytes)} at {b.offset}, steps {b.first} to {b.last}"
        drawn.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="hsl({hue} 55% 60%)">'
            f"<title>{escape(title)}</title></rect>"
        )
    box = f'viewBox="0 0 {steps * step:.0f} {HEIGHT}" width="{steps * step:.0f}" height="{HEIGHT}"'
    note = f"{nbytes(p.arena)}, steps from left to right, addresses from the top down; each block is a buffer (point at it)."
    return f'<h3>Arena</h3><p class="note">{note}</p><svg {box} role="img">{"".join(drawn)}</svg>{results}'
