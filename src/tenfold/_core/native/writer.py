"""Lines of IR, labels, temporaries: what the translation of a function is written with."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Got:
    """A value while an expression is worked out. kind: "object", "bit" (i1) or "int" (i64)."""

    kind: str
    reg: str
    temps: list[int] = field(default_factory=list)
    owner: int | None = None
    stable: bool = False  # borrowed from a local or a constant


@dataclass
class Vector:
    """*args or **kwargs that have not become a tuple or a dict."""

    name: str


class Writer:
    """Lines of one function, labels, temporaries and locals."""

    def __init__(self):
        self.lines: list[str] = []
        self.count = 0
        self.free_temps: list[int] = []
        self.temps = 0
        self.live: set[int] = set()
        self.caught_at: tuple[str, frozenset[int]] = ("fail", frozenset())  # where errors go, and what is live there
        self.cleanups: dict[tuple[str, tuple[int, ...]], str] = {}
        self.finals = 0  # how many `try` with `finally` are around
        self.open = True  # whether the block at hand has no terminator yet

    def new(self, word: str = "v") -> str:
        self.count += 1
        return f"{word}{self.count}"

    def do(self, text: str) -> None:
        if self.open:
            self.lines.append(f"  {text}")

    def op(self, text: str) -> str:
        name = f"%{self.new()}"
        self.do(f"{name} = {text}")
        return name

    def label(self, name: str) -> None:
        if self.open:
            self.go(name)
        self.lines.append(f"{name}:")
        self.open = True

    def go(self, label: str) -> None:
        self.do(f"br label %{label}")
        self.open = False

    def branch(self, bit: str, yes: str, no: str) -> None:
        self.do(f"br i1 {bit}, label %{yes}, label %{no}")
        self.open = False

    # --- what may fail

    def failure(self) -> str:
        """Where an error goes from here: to what releases the temporaries of this moment."""
        label, kept = self.caught_at
        return self.cleanup(label, tuple(sorted(self.live - kept)))

    def cleanup(self, label: str, live: tuple[int, ...]) -> str:
        if not live:
            return label
        found = self.cleanups.get((label, live))
        if found is None:
            found = self.cleanups[label, live] = self.new("clean")
            self.cleanup(label, live[:-1])
        return found

    def cleanup_lines(self) -> list[str]:
        lines = []
        for (label, live), name in self.cleanups.items():
            lines += [
                f"{name}:",
                f"  %{name}.o = load ptr, ptr %t{live[-1]}",
                f"  call void @release(ptr %{name}.o)",
                f"  br label %{self.cleanup(label, live[:-1])}",
            ]
        return lines

    def sound(self, reg: str) -> str:
        """Goes on if an object came back."""
        ok = self.new("ok")
        self.branch(self.op(f"icmp eq ptr {reg}, null"), self.failure(), ok)
        self.label(ok)
        return reg

    def well(self, reg: str, kind: str = "i32") -> str:
        """Goes on if no -1 came back."""
        ok = self.new("ok")
        self.branch(self.op(f"icmp slt {kind} {reg}, 0"), self.failure(), ok)
        self.label(ok)
        return reg

    # --- temporaries

    def temp(self) -> int:
        if self.free_temps:
            t = self.free_temps.pop()
        else:
            t = self.temps
            self.temps += 1
        self.live.add(t)
        self.do(f"store ptr null, ptr %t{t}")
        return t

    def drop_temp(self, t: int, sure: bool = False) -> None:
        reg = self.op(f"load ptr, ptr %t{t}")
        self.forget_temp(t)
        self.do(f"call void @{'drop' if sure else 'drop_if'}(ptr {reg})")

    def forget_temp(self, t: int) -> None:
        if t in self.live:
            self.live.discard(t)
            self.free_temps.append(t)

    def owned(self, reg: str) -> Got:
        """A reference of our own, as functions return."""
        t = self.temp()
        self.do(f"store ptr {reg}, ptr %t{t}")
        return Got("object", reg, [t], t)

    def own(self, g: Got) -> Got:
        if g.owner is not None:
            return g
        self.do(f"call void @hold(ptr {g.reg})")
        mine = self.owned(g.reg)
        self.done(g)
        return mine

    def take(self, g: Got) -> str:
        """The reference is given away: to a local, or as a result."""
        g = self.own(g)
        for t in g.temps:
            if t == g.owner:
                self.forget_temp(t)
            else:
                self.drop_temp(t)
        return g.reg

    def done(self, *values: Got) -> None:
        for g in values:
            for t in g.temps:
                self.drop_temp(t, t == g.owner)
            g.temps = []
