"""Events of a profile: the tree of what lay in what, sums by name, PyTorch's table, and traces for a browser."""

from __future__ import annotations

import gzip
import json
import math
import os
import socket
from collections.abc import Iterable
from typing import Any

WIDTH = 12  # of a column of numbers
GAP = 2  # between columns
CATEGORIES = {"range": "user_annotation", "program": "program", "kernel": "kernel", "operation": "cpu_op"}


def time_text(us: float, unit: str | None = None) -> str:
    """A time in microseconds, as PyTorch writes it."""
    if unit == "s" or unit is None and us >= 1e6:
        return f"{us / 1e6:.3f}s"
    if unit == "ms" or unit is None and us >= 1e3:
        return f"{us / 1e3:.3f}ms"
    return f"{us:.3f}us"


def memory_text(nbytes: int) -> str:
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(nbytes) >= size:
            return f"{nbytes / size:.2f} {unit}"
    return f"{nbytes} B"


def share_text(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}%" if whole else "0.00%" if part == 0 else "NaN"


class Interval:
    """From start to end, in microseconds."""

    def __init__(self, start: float, end: float):
        self.start = start
        self.end = end

    def elapsed_us(self) -> float:
        return self.end - self.start


class _Times:
    """What events and their sums have in common. Times are in microseconds; there is no device but the CPU."""

    name: str
    count: int
    cpu_time_total: float
    self_cpu_time_total: float
    cpu_memory_usage: int
    self_cpu_memory_usage: int
    device_time_total = self_device_time_total = device_time = 0.0
    device_memory_usage = self_device_memory_usage = 0
    cuda_time_total = self_cuda_time_total = cuda_time = 0.0
    use_device = None
    is_async = is_remote = False
    overload_name = ""

    @property
    def key(self) -> str:
        return self.name

    @property
    def cpu_time(self) -> float:
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def cpu_time_str(self) -> str:
        return time_text(self.cpu_time)

    @property
    def cpu_time_total_str(self) -> str:
        return time_text(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self) -> str:
        return time_text(self.self_cpu_time_total)

    @property
    def device_type(self):
        from . import DeviceType

        return DeviceType.CPU


class FunctionEvent(_Times):
    """One event: an operation, a step of a program, a program, or a range that was named."""

    def __init__(self, id: int, span, origin: int, shapes: bool, stack: bool, flops: bool, memory: bool):
        self.id = id
        self.name = span.name
        self.kind = span.kind
        self.thread = span.thread
        self.count = span.count
        self.time_range = Interval((span.begin - origin) / 1e3, (span.end - origin) / 1e3)
        self.input_shapes = span.shapes if shapes else []
        self.stack = [f"{span.line.file}({span.line.number}): {span.line.function}"] if stack and span.line else []
        self.flops = span.flops if flops else 0
        self.self_cpu_memory_usage = span.nbytes if memory else 0
        self.cpu_children: list[FunctionEvent] = []
        self.cpu_parent: FunctionEvent | None = None
        self.is_user_annotation = span.kind == "range"
        self.kernels: list = []

    @property
    def cpu_time_total(self) -> float:  # type: ignore[override]
        return self.time_range.elapsed_us()

    @property
    def cpu_memory_usage(self) -> int:  # type: ignore[override]
        return self.self_cpu_memory_usage + sum(c.cpu_memory_usage for c in self.cpu_children)

    @property
    def self_cpu_time_total(self) -> float:  # type: ignore[override]
        return self.cpu_time_total - sum(c.cpu_time_total for c in self.cpu_children)

    def __repr__(self) -> str:
        return (
            f"<FunctionEvent id={self.id} name={self.name} cpu_time={self.cpu_time_str} start_us={self.time_range.start:.3f} "
            f"end_us={self.time_range.end:.3f} cpu_children={[c.id for c in self.cpu_children]} thread={self.thread} "
            f"input_shapes={self.input_shapes}>"
        )


class FunctionEventAvg(_Times):
    """The sum of events of one name."""

    def __init__(self, name: str = "Total"):
        self.name = name
        self.count = 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = self.self_cpu_memory_usage = self.flops = 0
        self.input_shapes: Any = ""
        self.stack: list[str] = []
        self.is_user_annotation = False

    def add(self, event: FunctionEvent) -> FunctionEventAvg:
        self.count += event.count
        if event.cpu_parent is None or event.cpu_parent.name != event.name:
            self.cpu_time_total += event.cpu_time_total
        self.self_cpu_time_total += event.self_cpu_time_total
        self.cpu_memory_usage += event.cpu_memory_usage
        self.self_cpu_memory_usage += event.self_cpu_memory_usage
        self.flops += event.flops
        self.is_user_annotation = event.is_user_annotation
        return self

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} cpu_time={self.cpu_time_str} "
            f" input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage}>"
        )


class EventList(list):
    """Events, or their sums."""

    def __init__(self, events: Iterable = (), *, memory=False, flops=False, whole: float | None = None, metadata=None):
        super().__init__(events)
        self.memory = memory
        self.flops = flops
        self.whole = whole  # the time of the events that were summed
        self.metadata: dict = metadata or {}

    @property
    def self_cpu_time_total(self) -> float:
        return self.whole if self.whole is not None else sum(e.self_cpu_time_total for e in self)

    def key_averages(self, group_by_input_shapes=False, group_by_stack_n=0, group_by_overload_name=False) -> EventList:
        """Sums by name (and by the operands' shapes, and by where they were called)."""
        sums: dict[tuple, FunctionEventAvg] = {}
        for e in self:
            name = "ProfilerStep*" if e.name.startswith("ProfilerStep#") else e.name
            shapes = str(e.input_shapes) if group_by_input_shapes else ""
            stack = tuple(e.stack[:group_by_stack_n])
            found = sums.get((name, shapes, stack))
            if found is None:
                found = sums[name, shapes, stack] = FunctionEventAvg(name)
                found.input_shapes, found.stack = (e.input_shapes if group_by_input_shapes else ""), list(stack)
            found.add(e)
        return EventList(sums.values(), memory=self.memory, flops=self.flops, whole=self.self_cpu_time_total)

    def total_average(self) -> FunctionEventAvg:
        """The sum of all."""
        total = FunctionEventAvg()
        for e in self:
            total.count += e.count
            total.cpu_time_total += e.cpu_time_total
            total.self_cpu_time_total += e.self_cpu_time_total
            total.cpu_memory_usage += e.cpu_memory_usage
            total.flops += e.flops
        return total

    def table(
        self, sort_by=None, row_limit=100, max_src_column_width=75, max_name_column_width=55, max_shapes_column_width=80,
        header=None, top_level_events_only=False, time_unit=None,
    ) -> str:  # fmt: skip
        """The events as PyTorch's table.

        Args:
            sort_by: the name of a sum, largest first: "cpu_time_total", "self_cpu_time_total", "cpu_time", "count",
                "cpu_memory_usage" … Default: as they came.
            row_limit: how many rows are shown; -1 for all. Default 100.
            max_src_column_width, max_name_column_width, max_shapes_column_width: longer text is cut.
            header: a line above the table.
            top_level_events_only: without what lies in another event (for `events()`).
            time_unit: "us", "ms" or "s" for all times; by default each has the one that fits.
        """
        events = list(self)
        if sort_by is not None:
            events.sort(key=lambda e: getattr(e, sort_by), reverse=True)
        if top_level_events_only:
            events = [e for e in events if getattr(e, "cpu_parent", None) is None]
        columns = self._columns(events, max_name_column_width, max_shapes_column_width, max_src_column_width, time_unit)
        rows = events[:row_limit] if row_limit >= 0 else events
        widths = [width for _, width, _ in columns]
        rule = (" " * GAP).join("-" * w for w in widths) + " " * GAP
        out = []
        if header is not None:
            out += ["=" * len(rule), header]
        titles = [title for title, _, _ in columns]
        out += [rule, _row(titles, widths), rule]
        out += [_row([text(e) for _, _, text in columns], widths) for e in rows]
        out += [rule, f"Self CPU time total: {time_text(self.self_cpu_time_total, time_unit)}", ""]
        return "\n".join(out)

    def _columns(self, events, name_width: int, shapes_width: int, source_width: int, unit) -> list[tuple]:
        """(title, width, the text for an event) of each column."""
        whole = self.self_cpu_time_total
        longest = max([len(e.name) for e in events], default=0) + 4
        width = min(longest, name_width) if name_width is not None else longest
        columns: list[tuple] = [
            ("Name", width, lambda e: _cut(e.name, width)),
            ("Self CPU %", WIDTH, lambda e: share_text(e.self_cpu_time_total, whole)),
            ("Self CPU", WIDTH, lambda e: time_text(e.self_cpu_time_total, unit)),
            ("CPU total %", WIDTH, lambda e: share_text(e.cpu_time_total, whole)),
            ("CPU total", WIDTH, lambda e: time_text(e.cpu_time_total, unit)),
            ("CPU time avg", WIDTH, lambda e: time_text(e.cpu_time, unit)),
        ]
        if self.memory:
            columns.append(("CPU Mem", WIDTH, lambda e: memory_text(e.cpu_memory_usage)))
            columns.append(("Self CPU Mem", WIDTH, lambda e: memory_text(e.self_cpu_memory_usage)))
        columns.append(("# of Calls", WIDTH, lambda e: str(e.count)))
        if any(e.input_shapes for e in events):
            longest = min(max(len(str(e.input_shapes)) for e in events) + 4, shapes_width)
            columns.append(("Input Shapes", longest, lambda e: str(e.input_shapes)[:longest]))
        if any(e.stack for e in events):
            longest = min(max(len(s) for e in events for s in e.stack) + 4, source_width)
            columns.append(("Source Location", longest, lambda e: _tail(e.stack[0] if e.stack else "", longest)))
        if self.flops and any(e.flops for e in events):
            power = min(int(math.log10(max(e.flops for e in events))) // 3, 5)
            title = f"Total {['', 'K', 'M', 'G', 'T', 'P'][power]}FLOPs"
            scale = 1000.0**power
            columns.append((title, WIDTH, lambda e: f"{e.flops / scale:.3f}" if e.flops else "--"))
        return columns

    def __str__(self) -> str:
        return self.table()

    def export_chrome_trace(self, path) -> None:
        """Writes the events as JSON that chrome://tracing and ui.perfetto.dev show; compressed where the name ends in .gz."""
        opened = gzip.open if str(path).endswith(".gz") else open
        with opened(path, "wt", encoding="utf-8") as f:
            json.dump(self.chrome_trace(str(path)), f)

    def chrome_trace(self, name: str) -> dict:
        pid = os.getpid()
        threads = {t: pid + k for k, t in enumerate(dict.fromkeys(e.thread for e in self))}
        events: list[dict] = [
            {"ph": "M", "name": "process_name", "ts": 0, "pid": pid, "tid": 0, "args": {"name": "python"}},
            {"ph": "M", "name": "process_labels", "ts": 0, "pid": pid, "tid": 0, "args": {"labels": "CPU"}},
        ]
        for thread, tid in threads.items():
            named = {"name": f"thread {tid} ({thread})"}
            events.append({"ph": "M", "name": "thread_name", "ts": 0, "pid": pid, "tid": tid, "args": named})
        for e in self:
            args: dict[str, Any] = {"External id": e.id}
            if e.input_shapes:
                args["Input Dims"] = e.input_shapes
            if e.stack:
                args["Call stack"] = ";".join(e.stack)
            events.append({
                "ph": "X", "cat": CATEGORIES[e.kind], "name": e.name, "pid": pid, "tid": threads[e.thread],
                "ts": e.time_range.start, "dur": e.time_range.elapsed_us(), "args": args,
            })  # fmt: skip
        return {
            "schemaVersion": 1, "deviceProperties": [], "host_name": socket.gethostname(), "displayTimeUnit": "ms",
            "traceName": name, **self.metadata, "traceEvents": events,
        }  # fmt: skip

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Writes the lines that operations were called from, and their time in microseconds, for a flame graph."""
        if metric not in ("self_cpu_time_total", "self_cuda_time_total"):
            raise ValueError(f"export_stacks: metric is {metric!r}; give 'self_cpu_time_total'")
        with open(path, "w", encoding="utf-8") as f:
            for e in self:
                value = int(getattr(e, metric))
                if e.stack and value > 0:
                    f.write(";".join(s.replace(" ", "_") for s in [*reversed(e.stack), e.name]) + f" {value}\n")


def _row(cells: list[str], widths: list[int]) -> str:
    return (" " * GAP).join(c.rjust(w) for c, w in zip(cells, widths)) + " " * GAP


def _cut(text: str, width: int) -> str:
    return text if len(text) < width else text[: width - 3] + "..."


def _tail(text: str, width: int) -> str:
    return text if len(text) <= width else "..." + text[3 - width :]


def events_of(spans: list, **what: bool) -> EventList:
    """The events of spans, each below the smallest that it lies in. `what`: shapes, stack, flops, memory."""
    origin = min([s.begin for s in spans], default=0)
    ordered = sorted(spans, key=lambda s: (s.begin, -s.end, ORDER[s.kind]))
    events = [FunctionEvent(k, s, origin, **what) for k, s in enumerate(ordered)]
    inside: dict[int, list[FunctionEvent]] = {}
    for e in events:
        stack = inside.setdefault(e.thread, [])
        while stack and not (
            e.time_range.end <= stack[-1].time_range.end and e.time_range.start < stack[-1].time_range.end
        ):
            stack.pop()
        if stack:
            e.cpu_parent = stack[-1]
            stack[-1].cpu_children.append(e)
        stack.append(e)
    return EventList(events, memory=what["memory"], flops=what["flops"])


ORDER = {"range": 0, "program": 1, "kernel": 2, "operation": 3}
