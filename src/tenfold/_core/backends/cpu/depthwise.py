"""Correlations of one channel with one kernel, as depthwise convolutions have them: limited by memory.

In: a `Tile`, for its dtype. Out: functions of LLVM IR that `convolution` calls for a group of one channel and one
feature whose rows are contiguous. Rows of the result are computed in vectors of `LANES` elements, a few rows at a time,
straight from the source: a vector of it is loaded for each tap, with zeros in place of what does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from .native_text import BYTES, Function, Number
from .tiles import Tile, add_up, fma, lane_mask, load_masked, load_spaced, splat, store_masked

LANES = 16  # the same on every machine: the gradient by the weights adds up lanes
ROWS = 4  # rows of the result side by side, so that an addition does not wait for the one before


def applies(f: Function, r: dict[str, str]) -> str:
    """Whether a correlation with the numbers `r` can be computed here."""
    result = f.either(f.compare("eq", r["step_col"], 1), f.compare("eq", r["step_col"], 2))
    for name in ("channels", "features", "source_col", "target_col"):
        result = f.both(result, f.compare("eq", r[name], 1))
    return result


def scratch_elements(columns: int, taps_row: int, taps_col: int) -> int:
    """At most, of four bytes or more each."""
    return (taps_col + 1) * (columns + LANES) + 2 * taps_row * taps_col * ROWS * LANES


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

    def window(self, r: dict[str, str], image: str, row: Number, v: Number) -> dict[tuple[int, int], str]:
        """What `ROWS` output rows from `row` on read with 3 × 3 taps that are one row apart: [row, kernel column]."""
        f, t = self.f, self.t
        values = {}
        for e in range(ROWS + 2):
            place = f.add(f.add(row, r["first_row"]), e)
            exists = f.compare("ult", place, r["source_rows"])
            line = f.at(image, t.kind, f.mul(place, r["source_row"]), f.add(v, r["first_col"]))
            flags = f.choose(exists, self.flags_at(0, v), self.none, "ptr")
            between = f.choose(exists, self.cols, 0)
            for j in range(3):
                inside = f.load(f"<{LANES} x i32>", f.at(flags, "i32", f.mul(j, between)), 4)
                values[e, j] = load_spaced(f, t, f.at(line, t.kind, f.mul(j, r["tap_col"])), inside, 1)
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


def _is_usual(f: Function, r: dict[str, str]) -> str:
    """Whether the kernel is 3 × 3 with a step of one, and its rows read neighbouring rows, in either order."""
    result = f.either(f.compare("eq", r["tap_row"], 1), f.compare("eq", r["tap_row"], -1))
    for name, value in (("taps_row", 3), ("taps_col", 3), ("step_row", 1), ("step_col", 1)):
        result = f.both(result, f.compare("eq", r[name], value))
    return result


def _downwards(f: Function, t: Tile, r: dict[str, str]) -> tuple[dict[str, str], str]:
    """The same correlation with taps from the upper to the lower row, and the address of its first weight."""
    upwards = f.compare("eq", r["tap_row"], -1)
    out = dict(r)
    out["first_row"] = f.sub(r["first_row"], f.choose(upwards, 2, 0))
    out["weight_row"] = f.choose(upwards, f.sub(0, r["weight_row"]), r["weight_row"])
    return out, f.at("%weight", t.kind, f.choose(upwards, f.mul(2, r["weight_row"]), 0))


def _blocks(f: Function, r: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Loops over images, blocks of `ROWS` output rows, and vectors within them."""
    with (
        f.loop(0, r["batch"]) as n,
        f.loop(0, r["target_rows"], ROWS) as row,
        f.loop(0, r["target_cols"], LANES) as v,
    ):
        yield n, row, v


def _both_steps(f: Function, r: dict[str, str]) -> Iterator[int]:
    """Code for a step of one column, then for two; each is reached where it is the step."""
    for step in (1, 2):
        with f.when(f.compare("eq", r["step_col"], step)):
            yield step


def correlate(tile: Tile, numbers: Callable[[Function], dict[str, str]]) -> str:
    """As `convolution`'s correlation of a group; `numbers` loads its parameters."""
    t = replace(tile, lanes=LANES)
    f = Function(
        f"internal void @correlate_one_{t.dtype}"
        "(ptr %source, ptr %weight, ptr %target, ptr %bias, ptr %scratch, ptr %parameters)"
    )
    r = numbers(f)
    lines = Lines(f, t, r, "%scratch")
    start = f.variable(t.kind, "0.0")
    with f.when(f.op("icmp ne ptr %bias, null")):
        f.store(t.kind, f.load(t.kind, "%bias"), start)

    def write(sums: list[str], n: str, row: str, v: str) -> None:
        mask = lane_mask(f, LANES, f.min(f.sub(r["target_cols"], v), LANES))
        corner = f.at("%target", t.kind, f.mul(n, r["target_batch"]), v)
        for q, value in enumerate(sums):
            with f.when(f.compare("slt", f.add(row, q), r["target_rows"])):
                place = f.at(corner, t.kind, f.mul(f.add(row, q), r["target_row"]))
                store_masked(f, t.dtype, LANES, value, place, mask)

    with f.when(_is_usual(f, r)):
        down, first = _downwards(f, t, r)
        weights = {}
        for i in range(3):
            for j in range(3):
                place = f.at(first, t.kind, f.mul(i, down["weight_row"]), f.mul(j, r["weight_col"]))
                weights[i, j] = splat(f, t.vector, f.load(t.kind, place), t.kind)
        begin = splat(f, t.vector, f.load(t.kind, start), t.kind)
        for n, row, v in _blocks(f, r):
            values = lines.window(down, f.at("%source", t.kind, f.mul(n, r["source_batch"])), row, v)
            sums = [begin] * ROWS
            for i in range(3):
                for j in range(3):
                    for q in range(ROWS):
                        sums[q] = fma(f, t.vector, t.suffix, weights[i, j], values[q + i, j], sums[q])
            write(sums, n, row, v)
        f.leave()
    for step in _both_steps(f, r):
        for n, row, v in _blocks(f, r):
            image = f.at("%source", t.kind, f.mul(n, r["source_batch"]))
            sums = [f.variable(t.vector, splat(f, t.vector, f.load(t.kind, start), t.kind)) for _ in range(ROWS)]
            with f.loop(0, r["taps_row"]) as i:
                taps = [lines.at(image, f.add(row, q), i, v) for q in range(ROWS)]
                with f.loop(0, r["taps_col"]) as j:
                    place = f.at("%weight", t.kind, f.mul(i, r["weight_row"]), f.mul(j, r["weight_col"]))
                    weight = splat(f, t.vector, f.load(t.kind, place), t.kind)
                    for sum_, tap in zip(sums, taps):
                        values = load_spaced(f, t, *tap(j), step)
                        f.store(t.vector, fma(f, t.vector, t.suffix, weight, values, f.load(t.vector, sum_)), sum_)
            write([f.load(t.vector, sum_) for sum_ in sums], n, row, v)
    return f.text()


def weight_gradient(tile: Tile, numbers: Callable[[Function], dict[str, str]]) -> str:
    """As `convolution`'s gradient by the weights, of a group. An element is the sum of chains over the images
    and the columns that are `LANES` apart; for other kernels than 3 × 3, and over rows that are `ROWS` apart."""
    t = replace(tile, lanes=LANES)
    f = Function(
        f"internal void @weight_gradient_one_{t.dtype}"
        "(ptr %source, ptr %weight, ptr %target, ptr %scratch, ptr %parameters)"
    )
    r = numbers(f)
    taps = f.mul(r["taps_row"], r["taps_col"])
    lines = Lines(f, t, r, f.at("%scratch", t.kind, f.mul(taps, ROWS * LANES)))
    with f.loop(0, f.mul(taps, ROWS * LANES), LANES) as i:
        f.store(t.vector, "zeroinitializer", f.at("%scratch", t.kind, i), BYTES[t.dtype])
    with f.when(_is_usual(f, r)):
        down, first = _downwards(f, t, r)
        taps = [(i, j) for i in range(3) for j in range(3)]
        chains = {tap: f.variable(t.vector, "zeroinitializer") for tap in taps}
        for n, row, v in _blocks(f, r):
            values = lines.window(down, f.at("%source", t.kind, f.mul(n, r["source_batch"])), row, v)
            corner = f.at("%target", t.kind, f.mul(n, r["target_batch"]), v)
            sums = {tap: f.load(t.vector, chains[tap]) for tap in taps}
            for q in range(ROWS):
                exists = f.compare("slt", f.add(row, q), r["target_rows"])
                count = f.choose(exists, f.min(f.sub(r["target_cols"], v), LANES), 0)
                place = f.at(corner, t.kind, f.mul(f.add(row, q), r["target_row"]))
                other = load_masked(f, t.dtype, LANES, place, lane_mask(f, LANES, count))
                for i, j in taps:
                    sums[i, j] = fma(f, t.vector, t.suffix, other, values[q + i, j], sums[i, j])
            for tap in taps:
                f.store(t.vector, sums[tap], chains[tap])
        for i, j in taps:
            place = f.at(first, t.kind, f.mul(i, down["weight_row"]), f.mul(j, r["weight_col"]))
            f.store(t.kind, add_up(f, t.kind, LANES, [f.load(t.vector, chains[i, j])]), place)
        f.leave()
    for step in _both_steps(f, r):
        with f.loop(0, r["batch"]) as n, f.loop(0, r["taps_row"]) as i, f.loop(0, r["taps_col"]) as j:
            image = f.at("%source", t.kind, f.mul(n, r["source_batch"]))
            result = f.at("%target", t.kind, f.mul(n, r["target_batch"]))
            places = [_chain(f, t, r, i, j, q) for q in range(ROWS)]
            sums = [f.variable(t.vector, f.load(t.vector, place, BYTES[t.dtype])) for place in places]
            with f.loop(0, r["target_rows"], ROWS) as row, f.loop(0, r["target_cols"], LANES) as v:
                for q, sum_ in enumerate(sums):
                    here, flags = lines.at(image, f.add(row, q), i, v)(j)
                    values = load_spaced(f, t, here, flags, step)
                    mask = f.op(f"icmp ne <{LANES} x i32> {flags}, zeroinitializer")
                    place = f.at(result, t.kind, f.mul(f.add(row, q), r["target_row"]), v)
                    other = load_masked(f, t.dtype, LANES, place, mask)
                    f.store(t.vector, fma(f, t.vector, t.suffix, values, other, f.load(t.vector, sum_)), sum_)
            for place, sum_ in zip(places, sums):
                f.store(t.vector, f.load(t.vector, sum_), place, BYTES[t.dtype])
    with f.loop(0, r["taps_row"]) as i, f.loop(0, r["taps_col"]) as j:
        chains = [f.load(t.vector, _chain(f, t, r, i, j, q), BYTES[t.dtype]) for q in range(ROWS)]
        place = f.at("%weight", t.kind, f.mul(i, r["weight_row"]), f.mul(j, r["weight_col"]))
        f.store(t.kind, add_up(f, t.kind, LANES, chains), place)
    return f.text()


def _chain(f: Function, t: Tile, r: dict[str, str], i: Number, j: Number, q: int) -> str:
    """Where the chains of a tap are, of every `ROWS`th row from q on."""
    number = f.add(f.mul(i, r["taps_col"]), j)
    return f.at("%scratch", t.kind, f.mul(f.add(f.mul(number, ROWS), q), LANES))
