"""Correlations of one channel with one kernel, as depthwise convolutions have them: limited by memory.

In: a `Tile`, for its dtype. Out: functions of LLVM IR that `convolution` calls for groups of one channel and one feature
whose rows are contiguous. Rows of the result are computed in vectors of `LANES` elements, a few rows at a time,
straight from the source: a vector of it is loaded for each tap, with zeros in place of what does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from .native_text import BYTES, Function, Number
from .tiles import Tile, add_up, fma, lane_mask, load_masked, load_spaced, splat, store_masked

LANES = 16  # the same on every machine: the gradient by the weights adds up lanes
ROWS = 4  # rows of the result side by side, so that an addition does not wait for the one before
TAPS = [(i, j) for i in range(3) for j in range(3)]


def applies(f: Function, r: dict[str, str]) -> str:
    """Whether a correlation with the numbers `r` can be computed here."""
    result = f.either(f.compare("eq", r["step_col"], 1), f.compare("eq", r["step_col"], 2))
    for name in ("channels", "features", "source_col", "target_col"):
        result = f.both(result, f.compare("eq", r[name], 1))
    return result


def scratch_elements(groups: int, columns: int, taps_row: int, taps_col: int) -> int:
    """How many elements of scratch are needed, at most."""
    return (taps_col + 1) * (columns + LANES) + groups * taps_row * taps_col * ROWS * LANES


class Lines:
    """Where the vectors of a source's rows are, and which of their lanes exist."""

    def __init__(self, f: Function, t: Tile, r: dict[str, str], flags: str) -> None:
        self.f, self.t, self.r = f, t, r
        self.flags = flags
        self.cols = f.round_up(r["target_cols"], LANES)
        self.none = f.at(flags, "i32", f.mul(r["taps_col"], self.cols))
        kind = f"<{LANES} x i32>"
        with f.loop(0, r["taps_col"]) as j, f.loop(0, self.cols, LANES) as v:
            first = f.add(r["first_col"], f.mul(j, r["tap_col"]))
            mask = ""
            for limit in (0, r["source_cols"]):
                distance = f.add(f.max(f.sub(limit, first), 0), f.sub(r["step_col"], 1))
                bound = f.min(f.op(f"sdiv i64 {distance}, {r['step_col']}"), r["target_cols"])
                part = lane_mask(f, LANES, f.max(f.min(f.sub(bound, v), LANES), 0))
                mask = f.op(f"xor <{LANES} x i1> {mask}, {part}") if mask else part
            f.store(kind, f.op(f"sext <{LANES} x i1> {mask} to {kind}"), self.flags_at(j, v), 4)
        f.store(kind, "zeroinitializer", self.none, 4)

    def flags_at(self, j: Number, v: Number) -> str:
        return self.f.at(self.flags, "i32", self.f.mul(j, self.cols), v)

    def window(self, r: dict[str, str], image: str, row: Number, v: Number, step: int) -> dict[tuple[int, int], str]:
        """What `ROWS` output rows from `row` on read with 3 × 3 taps that are one row apart: [row, kernel column]."""
        f, t = self.f, self.t
        values = {}
        for e in range(ROWS * step + 3 - step):
            place = f.add(f.add(f.mul(row, step), r["first_row"]), e)
            exists = f.compare("ult", place, r["source_rows"])
            line = f.at(image, t.kind, f.mul(place, r["source_row"]), f.add(f.mul(v, step), r["first_col"]))
            flags = f.choose(exists, self.flags_at(0, v), self.none, "ptr")
            between = f.choose(exists, self.cols, 0)
            for j in range(3):
                inside = f.load(f"<{LANES} x i32>", f.at(flags, "i32", f.mul(j, between)), 4)
                values[e, j] = load_spaced(f, t, f.at(line, t.kind, f.mul(j, r["tap_col"])), inside, step)
        return values

    def at(self, image: str, row: Number, i: Number, v: Number) -> Callable[[Number], tuple[str, str]]:
        """For kernel column j: the address that output row `row` reads with kernel row i from output column v on,
        and the flags of the lanes that exist."""
        f, r = self.f, self.r
        place = f.add(f.add(f.mul(row, r["step_row"]), r["first_row"]), f.mul(i, r["tap_row"]))
        exists = f.both(f.compare("ult", place, r["source_rows"]), f.compare("slt", row, r["target_rows"]))
        line = f.at(image, self.t.kind, f.mul(place, r["source_row"]), f.add(f.mul(v, r["step_col"]), r["first_col"]))
        flags = f.choose(exists, self.flags_at(0, v), self.none, "ptr")
        between = f.choose(exists, self.cols, 0)

        def tap(j: Number) -> tuple[str, str]:
            here = f.at(line, self.t.kind, f.mul(j, r["tap_col"]))
            return here, f.load(f"<{LANES} x i32>", f.at(flags, "i32", f.mul(j, between)), 4)

        return tap


def _is_usual(f: Function, r: dict[str, str], step: int) -> str:
    """Whether the kernel is 3 × 3 with this step, and its rows read neighbouring rows, in either order."""
    result = f.either(f.compare("eq", r["tap_row"], 1), f.compare("eq", r["tap_row"], -1))
    for name, value in (("taps_row", 3), ("taps_col", 3), ("step_row", step), ("step_col", step)):
        result = f.both(result, f.compare("eq", r[name], value))
    return result


def _downwards(f: Function, r: dict[str, str]) -> tuple[dict[str, str], Number]:
    """The same correlation with taps from the upper to the lower row, and the offset of its first weight."""
    upwards = f.compare("eq", r["tap_row"], -1)
    out = dict(r)
    out["first_row"] = f.sub(r["first_row"], f.choose(upwards, 2, 0))
    out["weight_row"] = f.choose(upwards, f.sub(0, r["weight_row"]), r["weight_row"])
    return out, f.choose(upwards, f.mul(2, r["weight_row"]), 0)


def _planes(f: Function, t: Tile, r: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Loops over images and, in memory's order, over their channels: the channel, and where its parts are."""
    with f.loop(0, r["batch"]) as n, f.loop(0, r["groups"]) as g:
        at = {
            x: f.at(f"%{x}", t.kind, f.mul(n, r[f"{x}_batch"]), f.mul(g, r[f"{x}_group"])) for x in ("source", "target")
        }
        yield g, at | {"weight": f.at("%weight", t.kind, f.mul(g, r["weight_group"]))}


def _blocks(f: Function, r: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Loops over blocks of `ROWS` output rows, and over the vectors within them."""
    with f.loop(0, r["target_rows"], ROWS) as row, f.loop(0, r["target_cols"], LANES) as v:
        yield row, v


def _fetch(f: Function, t: Tile, at: str, strides: tuple[str, str], row: str, v: str, step: int, write: int) -> None:
    """Has the same block of the next channel fetched, which is too far away for the processor to guess."""
    group, down = strides
    for q in range(ROWS * step):
        line = f.at(at, t.kind, group, f.mul(f.add(f.mul(row, step), q), down))
        for half in range(step):
            place = f.at(line, t.kind, f.mul(v, step), half * LANES)
            f.do(f"call void @llvm.prefetch.p0(ptr {place}, i32 {write}, i32 3, i32 1)")


def _fetch_next(
    f: Function, t: Tile, r: dict[str, str], at: dict[str, str], row: str, v: str, step: int, write: int
) -> None:
    _fetch(f, t, at["source"], (r["source_group"], r["source_row"]), row, v, step, 0)
    _fetch(f, t, at["target"], (r["target_group"], r["target_row"]), row, v, 1, write)


def _both_steps(f: Function, r: dict[str, str]) -> Iterator[int]:
    """Code for a step of one column, then for two; each is reached where it is the step."""
    for step in (1, 2):
        with f.when(f.compare("eq", r["step_col"], step)):
            yield step


def correlate(tile: Tile, numbers: Callable[[Function], dict[str, str]]) -> str:
    """As `convolution`'s correlation, of all groups; `numbers` loads its parameters."""
    t = replace(tile, lanes=LANES)
    f = Function(
        f"internal void @correlate_one_{t.dtype}"
        "(ptr %source, ptr %weight, ptr %target, ptr %bias, ptr %scratch, ptr %parameters)"
    )
    r = numbers(f)
    lines = Lines(f, t, r, "%scratch")

    def start(g: str) -> str:
        value = f.variable(t.kind, "0.0")
        with f.when(f.op("icmp ne ptr %bias, null")):
            f.store(t.kind, f.load(t.kind, f.at("%bias", t.kind, f.mul(g, r["bias_step"]))), value)
        return splat(f, t.vector, f.load(t.kind, value), t.kind)

    def write(sums: list[str], target: str, row: str, v: str) -> None:
        mask = lane_mask(f, LANES, f.min(f.sub(r["target_cols"], v), LANES))
        for q, value in enumerate(sums):
            with f.when(f.compare("slt", f.add(row, q), r["target_rows"])):
                place = f.at(target, t.kind, f.mul(f.add(row, q), r["target_row"]), v)
                store_masked(f, t.dtype, LANES, value, place, mask)

    for step in (1, 2):
        with f.when(_is_usual(f, r, step)):
            down, first = _downwards(f, r)
            for g, at in _planes(f, t, r):
                weights = {}
                for i, j in TAPS:
                    place = f.at(at["weight"], t.kind, first, f.mul(i, down["weight_row"]), f.mul(j, r["weight_col"]))
                    weights[i, j] = splat(f, t.vector, f.load(t.kind, place), t.kind)
                begin = start(g)
                for row, v in _blocks(f, r):
                    _fetch_next(f, t, r, at, row, v, step, 1)
                    values = lines.window(down, at["source"], row, v, step)
                    sums = [begin] * ROWS
                    for i, j in TAPS:
                        for q in range(ROWS):
                            sums[q] = fma(f, t.vector, t.suffix, weights[i, j], values[q * step + i, j], sums[q])
                    write(sums, at["target"], row, v)
            f.leave()
    for step in _both_steps(f, r):
        for g, at in _planes(f, t, r):
            begin = start(g)
            for row, v in _blocks(f, r):
                sums = [f.variable(t.vector, begin) for _ in range(ROWS)]
                with f.loop(0, r["taps_row"]) as i:
                    taps = [lines.at(at["source"], f.add(row, q), i, v) for q in range(ROWS)]
                    with f.loop(0, r["taps_col"]) as j:
                        place = f.at(at["weight"], t.kind, f.mul(i, r["weight_row"]), f.mul(j, r["weight_col"]))
                        weight = splat(f, t.vector, f.load(t.kind, place), t.kind)
                        for sum_, tap in zip(sums, taps):
                            values = load_spaced(f, t, *tap(j), step)
                            f.store(t.vector, fma(f, t.vector, t.suffix, weight, values, f.load(t.vector, sum_)), sum_)
                write([f.load(t.vector, sum_) for sum_ in sums], at["target"], row, v)
    return f.text()


def weight_gradient(tile: Tile, numbers: Callable[[Function], dict[str, str]]) -> str:
    """As `convolution`'s gradient by the weights, of all groups. An element is the sum of chains over the images and
    the columns that are `LANES` apart; for other kernels than 3 × 3, and over rows that are `ROWS` apart."""
    t = replace(tile, lanes=LANES)
    f = Function(
        f"internal void @weight_gradient_one_{t.dtype}"
        "(ptr %source, ptr %weight, ptr %target, ptr %scratch, ptr %parameters)"
    )
    r = numbers(f)
    chains = f.mul(f.mul(r["groups"], f.mul(r["taps_row"], r["taps_col"])), ROWS * LANES)
    lines = Lines(f, t, r, f.at("%scratch", t.kind, chains))
    with f.loop(0, chains, LANES) as i:
        f.store(t.vector, "zeroinitializer", f.at("%scratch", t.kind, i), BYTES[t.dtype])

    def chain(g: str, i: Number, j: Number, q: int) -> str:
        number = f.add(f.mul(f.add(f.mul(g, r["taps_row"]), i), r["taps_col"]), j)
        return f.at("%scratch", t.kind, f.mul(f.add(f.mul(number, ROWS), q), LANES))

    usual = f.either(*(_is_usual(f, r, step) for step in (1, 2)))
    for step in (1, 2):
        with f.when(_is_usual(f, r, step)):
            down, _ = _downwards(f, r)
            for g, at in _planes(f, t, r):
                sums = {tap: f.variable(t.vector, f.load(t.vector, chain(g, *tap, 0), BYTES[t.dtype])) for tap in TAPS}
                for row, v in _blocks(f, r):
                    _fetch_next(f, t, r, at, row, v, step, 0)
                    values = lines.window(down, at["source"], row, v, step)
                    for q in range(ROWS):
                        exists = f.compare("slt", f.add(row, q), r["target_rows"])
                        count = f.choose(exists, f.min(f.sub(r["target_cols"], v), LANES), 0)
                        place = f.at(at["target"], t.kind, f.mul(f.add(row, q), r["target_row"]), v)
                        other = load_masked(f, t.dtype, LANES, place, lane_mask(f, LANES, count))
                        for (i, j), sum_ in sums.items():
                            new = fma(f, t.vector, t.suffix, other, values[q * step + i, j], f.load(t.vector, sum_))
                            f.store(t.vector, new, sum_)
                for tap, sum_ in sums.items():
                    f.store(t.vector, f.load(t.vector, sum_), chain(g, *tap, 0), BYTES[t.dtype])
    with f.unless(usual):
        for step in _both_steps(f, r):
            for g, at in _planes(f, t, r):
                with f.loop(0, r["taps_row"]) as i, f.loop(0, r["taps_col"]) as j:
                    places = [chain(g, i, j, q) for q in range(ROWS)]
                    partial = [f.variable(t.vector, f.load(t.vector, place, BYTES[t.dtype])) for place in places]
                    for row, v in _blocks(f, r):
                        for q, sum_ in enumerate(partial):
                            here, flags = lines.at(at["source"], f.add(row, q), i, v)(j)
                            values = load_spaced(f, t, here, flags, step)
                            mask = f.op(f"icmp ne <{LANES} x i32> {flags}, zeroinitializer")
                            place = f.at(at["target"], t.kind, f.mul(f.add(row, q), r["target_row"]), v)
                            other = load_masked(f, t.dtype, LANES, place, mask)
                            new = fma(f, t.vector, t.suffix, values, other, f.load(t.vector, sum_))
                            f.store(t.vector, new, sum_)
                    for place, sum_ in zip(places, partial):
                        f.store(t.vector, f.load(t.vector, sum_), place, BYTES[t.dtype])
    # The usual kernel's chains are in the order of its rows, which may be the other way round.
    upwards = f.both(usual, f.compare("eq", r["tap_row"], -1))
    with f.loop(0, r["groups"]) as g, f.loop(0, r["taps_row"]) as i, f.loop(0, r["taps_col"]) as j:
        line = f.choose(upwards, f.sub(2, i), i)
        total = add_up(f, t.kind, LANES, [f.load(t.vector, chain(g, line, j, q), BYTES[t.dtype]) for q in range(ROWS)])
        place = f.at("%weight", t.kind, f.mul(g, r["weight_group"]), f.mul(i, r["weight_row"]))
        f.store(t.kind, total, f.at(place, t.kind, f.mul(j, r["weight_col"])))
    return f.text()
