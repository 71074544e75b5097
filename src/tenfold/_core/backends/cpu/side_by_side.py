"""Correlations of many small images: the same element of `IMAGES` images lies side by side.

In: a `Tile`. Out: functions of LLVM IR that `convolution` calls where batches are large enough and images small. Lines of a
small image are too short for vectors, and their shifted copies (`convolution`'s way) cost more than the product. Here each
group of images is copied once, with the padding around it, the elements of a line that are a step apart as neighbours; then
what a tap reads for a whole output row is one contiguous piece. The chains of the correlation are those of `convolution`,
so its bits are the same; a gradient by the weights has a chain for each output row of a group of images."""

from __future__ import annotations

from collections.abc import Mapping

from . import packing
from .correlation import DIMS, Correlation, strip_product
from .native_text import BYTES, Function, Number
from .packing import column_addresses, step_multiples, transposed
from .tiles import Tile

IMAGES = 16
COLS = 15  # the longest rows and columns of the result
ELEMENTS = 400  # the largest images


def applies(f: Function, r: Mapping[str, Number]) -> str:
    """Whether a correlation with the numbers `r` is computed here: by sizes that are the same for each part of its channels,
    features and groups. At most a third of the last group of images is missing."""
    whole = f.mul(f.div(f.add(r["batch"], IMAGES - 1), IMAGES), 2 * IMAGES)
    result = f.compare("sge", f.mul(3, r["batch"]), whole)
    result = f.both(result, f.compare("sgt", f.mul(r["taps_row"], r["taps_col"]), 1))
    for size in (r["target_cols"], r["target_rows"]):
        result = f.both(result, f.compare("ult", f.sub(size, 1), COLS))
    return f.both(result, f.compare("sle", f.mul(r["source_rows"], r["source_cols"]), ELEMENTS))


def scratch_elements(dtype: str, row: Mapping[str, int]) -> int:
    """How many elements of scratch are needed, at most, by any of the three kernels."""
    if 3 * row["batch"] < -(-row["batch"] // IMAGES) * 2 * IMAGES:
        return 0
    most = 0
    taps = row["kernel_rows"] * row["kernel_cols"]
    for forward in (True, False):
        source, target = (row["channels"], row["features"])[:: 1 if forward else -1]
        cells = elements = positions = 1
        for dim in DIMS:
            given, made = (row[f"{x}_{dim}s"] for x in (("in", "out") if forward else ("out", "in")))
            stride, reach = row[f"stride_{dim}"], (row[f"kernel_{dim}s"] - 1) * row[f"dilation_{dim}"]
            made = made if forward else -(-made // stride)
            cells *= (made - 1) * (stride if forward else 1) + reach + stride
            elements *= given
            positions *= made
            if made > COLS:
                cells = 0
        if not cells or elements > ELEMENTS:
            continue
        images = (source * (cells + 1) + target * positions) * IMAGES
        tables = 2 * (source * taps + elements + positions) * (8 // BYTES[dtype])
        sums = target * 64 + source * taps * target + (COLS * IMAGES + 64) * (target + 64)
        most = max(most, images + tables + sums)
    return most


class Grid:
    """Where elements of a group of images lie: rows and columns with padding, of each the images."""

    def __init__(self, g: Correlation) -> None:
        self.g, self.f = g, g.f
        f, r = g.f, g.r
        self.low, self.first, self.span = {}, {}, {}
        for dim in DIMS:
            reach = f.mul(f.max(f.sub(r[f"taps_{dim}"], 1), 0), r[f"tap_{dim}"])
            self.low[dim] = f.min(reach, 0)
            self.first[dim] = f.add(r[f"first_{dim}"], self.low[dim])
            far = f.add(f.max(reach, f.sub(0, reach)), 1)
            self.span[dim] = f.add(f.mul(f.sub(r[f"target_{dim}s"], 1), r[f"step_{dim}"]), far)
        self.part = f.div(f.add(self.span["col"], f.sub(r["step_col"], 1)), r["step_col"])
        self.line = f.mul(self.part, r["step_col"])
        self.size = f.mul(
            f.add(f.mul(self.span["row"], self.line), 1), IMAGES
        )  # of a channel; the last place is for all
        self.elements = f.mul(r["source_rows"], r["source_cols"])  # that lies outside
        self.positions = f.mul(r["target_rows"], r["target_cols"])
        self.down = f.mul(f.mul(r["step_row"], self.line), IMAGES)  # from an output row to the next

    def place(self, row: Number, col: Number) -> Number:
        """Of a row and a column of the grid, in a channel."""
        f, step = self.f, self.g.r["step_col"]
        part = f.div(col, step)
        rest = f.sub(col, f.mul(part, step))
        return f.mul(f.add(f.mul(row, self.line), f.add(f.mul(rest, self.part), part)), IMAGES)

    def tap(self, c: Number, i: Number, j: Number) -> Number:
        """Of what a tap reads for the first output row."""
        f, r = self.f, self.g.r
        row, col = [f.sub(f.mul(k, r[f"tap_{dim}"]), self.low[dim]) for k, dim in zip((i, j), DIMS)]
        return f.add(f.mul(c, self.size), self.place(row, col))

    def source_places(self, table: str) -> str:
        """The places of the source's elements go to the table, with their offsets; whether these are 0, 1, 2 …"""
        f, r = self.f, self.g.r
        outside = f.sub(self.size, IMAGES)
        with f.loop(0, r["source_rows"]) as row, f.loop(0, r["source_cols"]) as col:
            at = [f.sub(k, self.first[dim]) for k, dim in zip((row, col), DIMS)]
            inside = f.compare("ult", at[0], self.span["row"])
            inside = f.both(inside, f.compare("ult", at[1], self.span["col"]))
            pair = f.at(table, "i64", f.mul(2, f.add(f.mul(row, r["source_cols"]), col)))
            f.store("i64", f.choose(inside, self.place(at[0], at[1]), outside), pair)
            f.store("i64", f.add(f.mul(row, r["source_row"]), f.mul(col, r["source_col"])), f.at(pair, "i64", 1))
        return _in_order(f, r, "source")

    def target_places(self, table: str) -> str:
        f, r = self.f, self.g.r
        with f.loop(0, r["target_rows"]) as row, f.loop(0, r["target_cols"]) as col:
            number = f.add(f.mul(row, r["target_cols"]), col)
            pair = f.at(table, "i64", f.mul(2, number))
            f.store("i64", f.mul(number, IMAGES), pair)
            f.store("i64", f.add(f.mul(row, r["target_row"]), f.mul(col, r["target_col"])), f.at(pair, "i64", 1))
        return _in_order(f, r, "target")


def _in_order(f: Function, r: Mapping[str, Number], x: str) -> str:
    flat = f.either(f.compare("eq", r[f"{x}_row"], r[f"{x}_cols"]), f.compare("eq", r[f"{x}_rows"], 1))
    return f.both(flat, f.compare("eq", r[f"{x}_col"], 1))


def _clear(f: Function, t: Tile, at: str, count: Number) -> None:
    """Zeros in a multiple of IMAGES elements."""
    with f.loop(0, count, t.lanes) as i:
        f.store(t.vector, "zeroinitializer", f.at(at, t.kind, i), BYTES[t.dtype])


MOVED = (
    "ptr %images, ptr %beside, ptr %places, i64 %elements, i64 %channels, i64 %channel, i64 %batch, i64 %count, "
    "i64 %size, i1 %in_order"
)


def _moved(t: Tile, into: bool) -> str:
    """Copies `count` images, some elements of each channel, to where they lie side by side, or back. A table says where each
    element lies there (of `size` for a channel), and where in an image."""
    f = Function(f"internal void @{'put_beside' if into else 'put_apart'}_{t.dtype}({MOVED})")
    all_ = f.compare("eq", "%count", IMAGES)
    fast = f.both("%in_order", all_)
    whole = f.choose(fast, f.op(f"and i64 %elements, {-t.lanes}"), 0)
    multiples = step_multiples(f, t, "%batch" if into else str(IMAGES))
    with f.loop(0, "%channels") as c:
        image = f.at("%images", t.kind, f.mul(c, "%channel"))
        beside = f.at("%beside", t.kind, f.mul(c, "%size"))
        with f.loop(0, whole, t.lanes) as e, f.loop(0, IMAGES, t.lanes) as n:
            mine = f.at(image, t.kind, f.mul(n, "%batch"), e)
            if into:
                for i, row in enumerate(transposed(f, t, column_addresses(f, t, mine, multiples), "")):
                    place = f.load("i64", f.at("%places", "i64", f.mul(2, f.add(e, i))))
                    f.store(t.vector, row, f.at(beside, t.kind, place, n), BYTES[t.dtype])
            else:
                first = f.at(beside, t.kind, f.mul(e, IMAGES), n)
                for i, row in enumerate(transposed(f, t, column_addresses(f, t, first, multiples), "")):
                    f.store(t.vector, row, f.at(mine, t.kind, f.mul(i, "%batch")), BYTES[t.dtype])
        with f.loop(0, "%count") as n, f.loop(whole, "%elements") as e:
            pair = f.at("%places", "i64", f.mul(2, e))
            here = f.at(image, t.kind, f.mul(n, "%batch"), f.load("i64", f.at(pair, "i64", 1)))
            there = f.at(beside, t.kind, f.load("i64", pair), n)
            of, to = (here, there) if into else (there, here)
            f.store(t.kind, f.load(t.kind, of), to)
    return f.text()


def _move(f: Function, t: Tile, into: bool, *arguments: tuple[str, Number]) -> None:
    given = ", ".join(f"{kind} {value}" for kind, value in arguments)
    f.do(f"call void @{'put_beside' if into else 'put_apart'}_{t.dtype}({given})")


def _images(f: Function, g: Correlation, grid: Grid, x: str, n: Number, count: Number, beside: str, places: str, flat):
    """The arguments of a move of x's images from n on."""
    r, t = g.r, g.t
    channels = r["channels"] if x == "source" else r["features"]
    elements, size = (grid.elements, grid.size) if x == "source" else (grid.positions, f.mul(grid.positions, IMAGES))
    first = f.at(f"%{x}", t.kind, f.mul(n, r[f"{x}_batch"]))
    numbers = (elements, channels, r[f"{x}_channel"], r[f"{x}_batch"], count, size)
    return (
        *[("ptr", p) for p in (first, beside, places)],
        *[("i64", v) for v in numbers],
        ("i1", flat),
    )


def correlate(t: Tile) -> str:
    """As `convolution` has it, with a bias where that is not null."""
    f = Function(
        f"internal void @correlate_beside_{t.dtype}"
        "(ptr %source, ptr %weight, ptr %target, ptr %bias, ptr %scratch, ptr %parameters)"
    )
    g = Correlation(f, t, "%parameters")
    grid = Grid(g)
    r = g.r
    features = r["features"]
    table = "%scratch"
    places = f.at(table, "i64", f.mul(2, g.depth))
    targets = f.at(places, "i64", f.mul(2, grid.elements))
    biases = f.at(targets, "i64", f.mul(2, grid.positions))
    source = f.at(biases, t.kind, f.mul(features, t.width))
    held = f.mul(r["channels"], grid.size)
    result = f.at(source, t.kind, held)

    def offsets(c: Number, i: Number, j: Number, number: Number) -> None:
        pair = f.at(table, "i64", f.mul(2, number))
        f.store("i64", g.weight_place(c, i, j), pair)
        f.store("i64", grid.tap(c, i, j), f.at(pair, "i64", 1))

    g.each_tap(offsets)
    has_bias = g.spread_bias("%bias", biases)
    flat, flat_target = grid.source_places(places), grid.target_places(targets)
    _clear(f, t, source, held)
    with f.loop(0, r["batch"], IMAGES) as n:
        count = f.min(f.sub(r["batch"], n), IMAGES)
        _move(f, t, True, *_images(f, g, grid, "source", n, count, source, places, flat))
        width = f.mul(g.cols, IMAGES)
        with f.loop(0, r["target_rows"]) as row:
            at = {"b": f.at(source, t.kind, f.mul(row, grid.down)), "c": f.at(result, t.kind, f.mul(row, width))}
            at |= {"c_row": f.mul(grid.positions, IMAGES), "table": table, "biases": biases}
            strip_product(f, t, g, at, width, has_bias)
        _move(f, t, False, *_images(f, g, grid, "target", n, count, result, targets, flat_target))
    return f.text()


def weight_gradient(t: Tile) -> str:
    """The gradient by the weights of the correlation; `target` is the gradient by its result."""
    f = Function(
        f"internal void @weight_gradient_beside_{t.dtype}"
        "(ptr %source, ptr %weight, ptr %target, ptr %scratch, ptr %parameters)"
    )
    g = Correlation(f, t, "%parameters")
    grid = Grid(g)
    r = g.r
    features = r["features"]
    width = f.mul(g.cols, IMAGES)
    table = "%scratch"
    places = f.at(table, "i64", g.depth)
    targets = f.at(places, "i64", f.mul(2, grid.elements))
    sums = f.at(targets, "i64", f.mul(2, grid.positions))
    packed = f.at(sums, t.kind, f.mul(g.depth, features))
    source = f.at(packed, t.kind, f.mul(f.add(width, t.lanes), f.add(features, 64)))
    held = f.mul(r["channels"], grid.size)
    target = f.at(source, t.kind, held)
    size = f.mul(grid.positions, IMAGES)
    g.each_tap(lambda c, i, j, number: f.store("i64", grid.tap(c, i, j), f.at(table, "i64", number)))
    with f.loop(0, f.mul(g.depth, features)) as i:
        f.store(t.kind, "0.0", f.at(sums, t.kind, i))
    flat, flat_target = grid.source_places(places), grid.target_places(targets)
    _clear(f, t, source, held)
    with f.loop(0, r["batch"], IMAGES) as n:
        count = f.min(f.sub(r["batch"], n), IMAGES)
        with f.when(f.compare("slt", count, IMAGES)):  # what is missing is zero
            _clear(f, t, source, held)
            _clear(f, t, target, f.mul(features, size))
        _move(f, t, True, *_images(f, g, grid, "source", n, count, source, places, flat))
        _move(f, t, True, *_images(f, g, grid, "target", n, count, target, targets, flat_target))
        with f.loop(0, r["target_rows"]) as row:
            y = f.at(target, t.kind, f.mul(row, width))
            packing.pack_b(f, t, y, ("1", str(size)), (str(width), str(features)), packed)
            g.add_lines(sums, table, f.at(source, t.kind, f.mul(row, grid.down)), packed, width)
    g.write_sums(sums, "%weight")
    return f.text()


def moves(t: Tile) -> list[str]:
    """What both functions call."""
    return [_moved(t, into) for into in (True, False)]
