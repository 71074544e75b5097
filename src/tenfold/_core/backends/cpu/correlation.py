"""A correlation, which convolutions and their gradients are made of: for each output position and the taps (i, j) of each
channel,

    target[row, col] += weight[i, j] * source[row * step_row + first_row + i * tap_row, …] where that exists

Its numbers by name (`CORRELATION`), what follows from them, and the product of the weights with what a strip of positions
reads."""

from __future__ import annotations

from collections.abc import Callable

from .native_text import BYTES, Function, Number
from .packing import column_addresses, step_multiples, transposed
from .tiles import BLOCK, COLS_BLOCK, Lines, Offsets, Tile, next_height, next_width, run_tile

DIMS = ("row", "col")
CORRELATION = (
    *("batch", "channels", "features"),
    *(f"source_{dim}" for dim in ("batch", "channel", *DIMS)),
    *("source_rows", "source_cols", "step_row", "step_col", "first_row", "first_col"),
    *("taps_row", "taps_col", "tap_row", "tap_col"),
    "period",  # of the kernel rows: so many are at places that differ by less than a step
    *(f"weight_{dim}" for dim in ("feature", "channel", *DIMS)),
    *("target_rows", "target_cols"),
    *(f"target_{dim}" for dim in ("batch", "channel", *DIMS)),
    *("bias_step", "groups", "source_group", "weight_group", "target_group"),
)


class Correlation:
    """The numbers of a correlation within a function, and what follows from them."""

    def __init__(self, f: Function, t: Tile, parameters: str) -> None:
        self.f, self.t = f, t
        r = self.r = f.entries(parameters, CORRELATION)
        self.cols = r["target_cols"]
        self.depth = f.mul(r["channels"], f.mul(r["taps_row"], r["taps_col"]))
        self.rows = f.min(f.max(f.div(COLS_BLOCK // BYTES[t.dtype], f.max(self.cols, 1)), 1), r["target_rows"])
        # Kernel rows whose distance is a multiple of the step read the same copy, shifted by whole lines.
        self.apart = f.op(f"sdiv i64 {f.mul(r['period'], r['tap_row'])}, {r['step_row']}")
        reach = f.mul(f.div(f.max(f.sub(r["taps_row"], 1), 0), r["period"]), self.apart)
        self.lowest = f.min(reach, 0)
        self.spread = f.max(reach, f.sub(0, reach))
        self.lines = f.add(self.rows, self.spread)
        self.copies = f.min(r["period"], r["taps_row"])
        self.area = f.mul(f.mul(self.copies, self.lines), self.cols)
        self.top = f.add(r["first_row"], f.mul(self.lowest, r["step_row"]))
        self.direct = self._reads_in_place()
        self.flags = f"<{t.lanes} x i32>"

    def _reads_in_place(self) -> str:
        f, r = self.f, self.r
        last = f.add(f.add(self.top, self.spread), r["target_rows"])
        equal = [("step_col", 1), ("taps_col", 1), ("source_col", 1), ("first_col", 0), ("source_cols", self.cols)]
        one_line = f.both(f.compare("sle", r["target_rows"], 1), f.compare("eq", self.spread, 0))
        result = f.compare("eq", r["step_row"], 1)
        result = f.both(result, f.either(one_line, f.compare("eq", r["source_row"], self.cols)))
        for name, value in equal:
            result = f.both(result, f.compare("eq", r[name], value))
        result = f.both(result, f.compare("sge", self.top, 0))
        return f.both(result, f.compare("sle", last, r["source_rows"]))

    def each_tap(self, body: Callable[[Number, Number, Number, Number], None]) -> None:
        """Calls `body` with the channel, the kernel's row and column, and the number of a tap."""
        f, r = self.f, self.r
        with f.loop(0, r["channels"]) as c, f.loop(0, r["taps_row"]) as i, f.loop(0, r["taps_col"]) as j:
            number = f.add(f.mul(f.add(f.mul(c, r["taps_row"]), i), r["taps_col"]), j)
            body(c, i, j, number)

    def weight_place(self, c: Number, i: Number, j: Number) -> Number:
        f, r = self.f, self.r
        return f.add(f.mul(c, r["weight_channel"]), f.add(f.mul(i, r["weight_row"]), f.mul(j, r["weight_col"])))

    def spread_bias(self, bias: str, to: str) -> str:
        """Each feature's bias goes to a line as long as a tile; whether there is one."""
        f, r, t = self.f, self.r, self.t
        has_bias = f.op(f"icmp ne ptr {bias}, null")
        with f.when(has_bias), f.loop(0, r["features"]) as m:
            value = f.load(t.kind, f.at(bias, t.kind, f.mul(m, r["bias_step"])))
            with f.loop(0, t.width) as v:
                f.store(t.kind, value, f.at(to, t.kind, f.add(f.mul(m, t.width), v)))
        return has_bias

    def add_lines(self, sums: str, table: str, a: str, packed: str, k: Number) -> None:
        """sums[tap, feature] += a's lines, whose places are in the table, times k packed rows of features."""
        f, t, features = self.f, self.t, self.r["features"]
        tile: dict[str, Number] = {"a": a, "k": k}
        with f.walk(0, features) as j:
            vectors = next_width(f, t, f.sub(features, j.index))
            tile["b_row"] = f.mul(vectors, t.lanes)
            j.step = f.min(tile["b_row"], f.sub(features, j.index))
            tile["b"] = f.at(packed, t.kind, f.mul(j.index, k))
            tile["c_row"] = tile["start_row"] = features
            with f.walk(0, self.depth) as i:
                i.step = next_height(f, t, f.sub(self.depth, i.index))
                tile["lines"] = f.at(table, "i64", i.index)
                tile["c"] = tile["start"] = f.at(sums, t.kind, f.mul(i.index, features), j.index)
                run_tile(f, t, i.step, vectors, j.step, tile, Lines)

    def write_sums(self, sums: str, weight: str) -> None:
        """sums[tap, feature] as weights: turned in squares where a feature's weights lie in the order of its taps."""
        f, r, t = self.f, self.r, self.t
        features, step = r["features"], r["weight_feature"]
        in_order = f.compare("eq", r["weight_col"], 1)
        in_order = f.both(in_order, f.compare("eq", r["weight_row"], r["taps_col"]))
        in_order = f.both(in_order, f.compare("eq", r["weight_channel"], f.mul(r["taps_row"], r["taps_col"])))
        taps, most = [f.choose(in_order, f.op(f"and i64 {n}, {-t.lanes}"), 0) for n in (self.depth, features)]
        multiples = step_multiples(f, t, features)
        with f.loop(0, taps, t.lanes) as d, f.loop(0, most, t.lanes) as m:
            square = f.at(sums, t.kind, f.mul(d, features), m)
            for i, row in enumerate(transposed(f, t, column_addresses(f, t, square, multiples), "")):
                f.store(t.vector, row, f.at(weight, t.kind, f.mul(f.add(m, i), step), d), BYTES[t.dtype])

        def write(c: Number, i: Number, j: Number, number: Number) -> None:
            place = f.at(weight, t.kind, self.weight_place(c, i, j))
            with f.loop(f.choose(f.compare("slt", number, taps), most, 0), features) as m:
                value = f.load(t.kind, f.at(sums, t.kind, f.mul(number, features), m))
                f.store(t.kind, value, f.at(place, t.kind, f.mul(m, step)))

        self.each_tap(write)

    def place(self, c: Number, i: Number, j: Number) -> Number:
        """The offset of a tap's values within the copies, or in the source itself."""
        f, r = self.f, self.r
        turn = f.div(i, r["period"])
        shift = f.mul(f.sub(f.mul(turn, self.apart), self.lowest), self.cols)
        in_source = f.add(f.mul(c, r["source_channel"]), shift)
        copy = f.mul(f.add(f.mul(j, r["channels"]), c), self.area)
        first = f.mul(f.mul(f.sub(i, f.mul(turn, r["period"])), self.lines), self.cols)
        return f.choose(self.direct, in_source, f.add(copy, f.add(first, shift)))

    def copies_size(self) -> Number:
        return self.f.add(self.f.mul(self.f.mul(self.r["taps_col"], self.r["channels"]), self.area), 64)


def strip_product(
    f: Function, t: Tile, g: Correlation, at: dict[str, Number], positions: Number, has_bias: str
) -> None:
    """C = weight @ B for all features and a strip's positions; at least one turn over k, which may be empty."""
    with f.loop(0, f.max(g.depth, 1), BLOCK) as k, f.walk(0, positions) as j:
        vectors = next_width(f, t, f.sub(positions, j.index))
        j.step = f.min(f.mul(vectors, t.lanes), f.sub(positions, j.index))
        first = f.compare("eq", k, 0)
        tile: dict[str, Number] = {"a_row": g.r["weight_feature"], "b": f.at(at["b"], t.kind, j.index)}
        tile["offsets"] = f.at(at["table"], "i64", f.mul(2, k))
        tile["k"] = f.min(f.sub(g.depth, k), BLOCK)
        tile["c_row"] = at["c_row"]
        tile["start_row"] = f.choose(first, t.width, at["c_row"])
        with f.walk(0, g.r["features"]) as i:
            i.step = next_height(f, t, f.sub(g.r["features"], i.index))
            tile["a"] = f.at("%weight", t.kind, f.mul(i.index, g.r["weight_feature"]))
            tile["c"] = f.at(at["c"], t.kind, f.mul(i.index, at["c_row"]), j.index)
            bias = f.choose(has_bias, f.at(at["biases"], t.kind, f.mul(i.index, t.width)), "null", "ptr")
            tile["start"] = f.choose(first, bias, tile["c"], "ptr")
            run_tile(f, t, i.step, vectors, j.step, tile, Offsets)
