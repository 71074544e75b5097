"""Two-dimensional convolution and its gradients, for any strides, with stride, padding, dilation and groups.

In: a dtype. Out: the text of an LLVM IR module that defines kernels, `void @name(ptr %table, ptr %row)`, all with a row of the
entries that `ROW` names:

    conv_<dtype>         y = convolution of x with w, + bias
    conv_input_<dtype>   x = gradient by x, from y (the gradient by y) and w
    conv_weight_<dtype>  w = gradient by w, from x and y (the gradient by y)

    x, w, y, bias, scratch     which entries of the table; bias is -1 where there is none (as in the gradients)
    *_off                      offset of an operand's first element; this and all strides count elements
    batch, groups              images, groups
    channels, features         channels of x and of y, *in a group*
    in_*, out_*, kernel_*      sizes of x, y and w, in rows and cols
    stride_*, pad_*, dilation_*   the convolution's parameters; the padding is before the first row or col; what lies
                               past the last one is zeros too, as far as out_* reaches
    x_batch … x_col, y_…       strides of x and y: batch, channel, row, col
    w_feature … w_col          strides of w: feature, channel, row, col
    bias_step                  stride of the bias

One dim is two with one row. The result overlaps no operand. `scratch` is memory of `scratch_bytes` bytes.

**How.** For a strip of output rows, the input is copied to scratch once for each column of the kernel, shifted, with
zeros where padding is, in lines as long as the output's. In these copies a tap of the kernel is contiguous over all
positions of the strip: a row of the matrix B of the product `y = w @ B`, whose tiles take the places of rows from a
table (`tiles.Offsets`). A kernel of one column without padding reads x in place. The gradient by x is the same
computation for each remainder of the position by the stride, on those taps that meet it. The gradient by w is the
product of these copies with the transposed y, summed over strips and images.

**Order of additions.** As in `matmul`: chains over channels, kernel rows and kernel columns (in this order) of at most
`BLOCK`, added in order to the bias; for w, a chain for each strip of an image. It depends on sizes alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import depthwise, packing, side_by_side
from .correlation import CORRELATION, DIMS, Correlation, strip_product
from .native_text import BYTES, Function, Number
from .tiles import (
    COLS_BLOCK,
    Lines,
    Offsets,
    Tile,
    declarations,
    host_registers,
    lane_mask,
    load_masked,
    load_spaced,
    store_masked,
    tile_for,
    tiles,
)

OPERANDS = ("x", "w", "y", "bias")
ROW = (
    *OPERANDS,
    "scratch",
    *(f"{x}_off" for x in OPERANDS),
    *("batch", "groups", "channels", "features"),
    *("in_rows", "in_cols", "out_rows", "out_cols", "kernel_rows", "kernel_cols"),
    *(f"{x}_{dim}" for x in ("stride", "pad", "dilation") for dim in DIMS),
    *(f"x_{dim}" for dim in ("batch", "channel", *DIMS)),
    *(f"w_{dim}" for dim in ("feature", "channel", *DIMS)),
    *(f"y_{dim}" for dim in ("batch", "channel", *DIMS)),
    "bias_step",
)


def scratch_bytes(dtype: str, row: Mapping[str, int]) -> int:
    """How much scratch each of the three kernels needs for a row with these entries."""
    size = BYTES[dtype]
    strip = COLS_BLOCK // size
    taps = row["kernel_rows"] * row["kernel_cols"]
    spread = (row["kernel_rows"] - 1) * row["dilation_row"]
    period = min(row["stride_row"], row["kernel_rows"])
    elements = 0
    for source, target, cols in (("channels", "features", row["out_cols"]), ("features", "channels", row["in_cols"])):
        count, others = row[source], row[target]
        positions = max(strip, cols)
        copies = row["kernel_cols"] * count * period * (positions + spread * cols)
        tables = 4 * count * taps * (8 // size) + row["kernel_cols"] * (cols + 64)
        results = others * positions + others * 64 + count * taps * others
        packed = (positions + 64) * (others + 64) + others * positions
        elements = max(elements, copies + tables + results + packed)
        elements = max(
            elements, depthwise.scratch_elements(row["groups"], cols, row["kernel_rows"], row["kernel_cols"])
        )
    return (max(elements, side_by_side.scratch_elements(dtype, row)) + 1024) * size


def _strip(t: Tile) -> str:
    """Copies what a strip of `rows` output rows from `start` reads, of one image: for each kernel column, channel and
    kernel row of a period, lines as long as the output's, with zeros outside of the source."""
    f = Function(
        f"internal void @strip_{t.dtype}(ptr %source, ptr %masks, ptr %to, ptr %parameters, i64 %start, i64 %rows)"
    )
    g = Correlation(f, t, "%parameters")
    r = g.r
    contiguous = f.compare("eq", r["source_col"], 1)
    single, double = (f.both(contiguous, f.compare("eq", r["step_col"], step)) for step in (1, 2))
    count = f.add("%rows", g.spread)
    block = f.mul(g.lines, g.cols)
    down = f.mul(r["step_row"], r["source_row"])
    line, source = f.variable("ptr", "%to"), f.variable("ptr", "%source")

    def existing(first: Number, dim: str, count: Number) -> tuple[Number, Number]:
        """The range of positions whose place in the source, `first` and a step for each, is within it."""
        step = r[f"step_{dim}"]

        def bound(limit: Number) -> Number:
            distance = f.add(f.max(f.sub(limit, first), 0), f.sub(step, 1))
            return f.min(f.op(f"sdiv i64 {distance}, {step}"), count)

        return bound(0), bound(r[f"source_{dim}s"])

    def clear(lines: Number) -> None:
        with f.loop(0, f.mul(lines, g.cols), t.lanes) as v:
            f.store(t.vector, "zeroinitializer", f.at(f.load("ptr", line), t.kind, v), BYTES[t.dtype])
        f.store("ptr", f.at(f.load("ptr", line), t.kind, f.mul(lines, g.cols)), line)

    with f.loop(0, r["taps_col"]) as j:
        first = f.add(r["first_col"], f.mul(j, r["tap_col"]))
        low, high = existing(first, "col", g.cols)
        left = f.mul(first, r["source_col"])
        with f.loop(0, g.cols, t.lanes) as v:
            inside = [lane_mask(f, t.lanes, f.max(f.min(f.sub(x, v), t.lanes), 0)) for x in (low, high)]
            inside = f.op(f"xor <{t.lanes} x i1> {inside[0]}, {inside[1]}")
            f.store(g.flags, f.op(f"sext <{t.lanes} x i1> {inside} to {g.flags}"), f.at("%masks", "i32", v), 4)
        with f.loop(0, r["channels"]) as c, f.loop(0, g.copies) as i:
            number = f.add(f.mul(f.add(f.mul(j, r["channels"]), c), g.copies), i)
            f.store("ptr", f.at("%to", t.kind, f.mul(number, block)), line)
            top = f.add(f.add(f.mul("%start", r["step_row"]), g.top), f.mul(i, r["tap_row"]))
            above, below = existing(top, "row", count)
            clear(above)
            row = f.add(top, f.mul(above, r["step_row"]))
            corner = f.at("%source", t.kind, f.mul(c, r["source_channel"]), f.mul(row, r["source_row"]), left)
            f.store("ptr", corner, source)
            for step, case in ((1, single), (2, double)):
                with f.when(case), f.loop(above, below):
                    to, of = f.load("ptr", line), f.load("ptr", source)
                    with f.loop(0, g.cols, t.lanes) as v:
                        # what is too much of a vector is written over by the next line
                        inside = f.load(g.flags, f.at("%masks", "i32", v), 4)
                        values = load_spaced(f, t, f.at(of, t.kind, f.mul(v, step)), inside, step)
                        f.store(t.vector, values, f.at(to, t.kind, v), BYTES[t.dtype])
                    f.store("ptr", f.at(to, t.kind, g.cols), line)
                    f.store("ptr", f.at(of, t.kind, down), source)
            with f.unless(f.either(single, double)), f.loop(above, below):
                to, of = f.load("ptr", line), f.load("ptr", source)
                step = f.mul(r["step_col"], r["source_col"])
                with f.loop(0, low) as v:
                    f.store(t.kind, "0.0", f.at(to, t.kind, v))
                with f.loop(low, high) as v:
                    f.store(t.kind, f.load(t.kind, f.at(of, t.kind, f.mul(v, step))), f.at(to, t.kind, v))
                with f.loop(high, g.cols) as v:
                    f.store(t.kind, "0.0", f.at(to, t.kind, v))
                f.store("ptr", f.at(to, t.kind, g.cols), line)
                f.store("ptr", f.at(of, t.kind, down), source)
            clear(f.sub(count, below))
    return f.text()


def _correlate(t: Tile) -> str:
    """The correlation of all images, with a bias where that is not null."""
    f = Function(
        f"internal void @correlate_{t.dtype}"
        "(ptr %source, ptr %weight, ptr %target, ptr %bias, ptr %scratch, ptr %parameters)"
    )
    g = Correlation(f, t, "%parameters")
    r = g.r
    features, positions = r["features"], f.mul(g.rows, g.cols)
    table = "%scratch"
    masks = f.at(table, "i64", f.mul(2, g.depth))
    biases = f.at(masks, "i32", f.add(g.cols, t.lanes))
    copies = f.at(biases, t.kind, f.mul(features, t.width))
    result = f.at(copies, t.kind, g.copies_size())

    def offsets(c: Number, i: Number, j: Number, number: Number) -> None:
        pair = f.at(table, "i64", f.mul(2, number))
        f.store("i64", g.weight_place(c, i, j), pair)
        f.store("i64", g.place(c, i, j), f.at(pair, "i64", 1))

    g.each_tap(offsets)
    has_bias = g.spread_bias("%bias", biases)
    flat = f.either(f.compare("eq", r["target_row"], g.cols), f.compare("sle", r["target_rows"], 1))
    flat = f.both(flat, f.compare("eq", r["target_col"], 1))
    c_row = f.choose(flat, r["target_channel"], positions)
    with f.loop(0, r["batch"]) as n, f.loop(0, r["target_rows"], g.rows) as start:
        rows = f.min(f.sub(r["target_rows"], start), g.rows)
        image = f.at("%source", t.kind, f.mul(n, r["source_batch"]))
        with f.unless(g.direct):
            f.do(
                f"call void @strip_{t.dtype}(ptr {image}, ptr {masks}, ptr {copies}, ptr %parameters, "
                f"i64 {start}, i64 {rows})"
            )
        in_place = f.at(image, t.kind, f.mul(f.add(start, g.top), r["source_row"]))
        corner = f.at("%target", t.kind, f.mul(n, r["target_batch"]), f.mul(start, r["target_row"]))
        to = {"b": f.choose(g.direct, in_place, copies, "ptr"), "c": f.choose(flat, corner, result, "ptr")}
        strip_product(f, t, g, to | {"c_row": c_row, "table": table, "biases": biases}, f.mul(rows, g.cols), has_bias)
        with f.unless(flat), f.loop(0, features) as m, f.loop(0, rows) as i:
            source = f.at(result, t.kind, f.mul(m, positions), f.mul(i, g.cols))
            target = f.at(corner, t.kind, f.mul(m, r["target_channel"]), f.mul(i, r["target_row"]))
            _spread(f, t, source, target, r["target_col"], g.cols)
    return f.text()


def _spread(f: Function, t: Tile, source: str, target: str, step: Number, count: Number) -> None:
    """Copies contiguous elements to places that are a step apart, as input gradients of strided convolutions have them."""
    single, double = (f.compare("eq", step, each) for each in (1, 2))
    half = t.lanes // 2
    every = ", ".join(f"i1 {int(i % 2 == 0)}" for i in range(t.lanes))
    apart = ", ".join(f"i32 {i // 2}" for i in range(t.lanes))
    with f.when(single), f.loop(0, count, t.lanes) as j:
        mask = lane_mask(f, t.lanes, f.sub(count, j))
        values = load_masked(f, t.dtype, t.lanes, f.at(source, t.kind, j), mask)
        store_masked(f, t.dtype, t.lanes, values, f.at(target, t.kind, j), mask)
    with f.when(double), f.loop(0, count, half) as j:
        left = f.mul(2, f.sub(count, j))
        mask = f.op(f"and <{t.lanes} x i1> {lane_mask(f, t.lanes, left)}, <{every}>")
        values = load_masked(f, t.dtype, t.lanes, f.at(source, t.kind, j), lane_mask(f, t.lanes, f.sub(count, j)))
        values = f.op(f"shufflevector {t.vector} {values}, {t.vector} poison, <{t.lanes} x i32> <{apart}>")
        store_masked(f, t.dtype, t.lanes, values, f.at(target, t.kind, f.mul(2, j)), mask)
    with f.unless(f.either(single, double)), f.loop(0, count) as j:
        f.store(t.kind, f.load(t.kind, f.at(source, t.kind, j)), f.at(target, t.kind, f.mul(j, step)))


def _weight_gradient(t: Tile) -> str:
    """The gradient by the weights of the correlation; `target` is the gradient by its result."""
    f = Function(
        f"internal void @weight_gradient_{t.dtype}"
        "(ptr %source, ptr %weight, ptr %target, ptr %scratch, ptr %parameters)"
    )
    g = Correlation(f, t, "%parameters")
    r = g.r
    features, most = r["features"], f.mul(g.rows, g.cols)
    table = "%scratch"
    masks = f.at(table, "i64", g.depth)
    sums = f.at(masks, "i32", f.add(g.cols, t.lanes))
    packed = f.at(sums, t.kind, f.mul(g.depth, features))
    lying = f.at(packed, t.kind, f.mul(f.add(most, t.lanes), f.add(features, 64)))
    copies = f.at(lying, t.kind, f.mul(features, most))
    g.each_tap(lambda c, i, j, number: f.store("i64", g.place(c, i, j), f.at(table, "i64", number)))
    with f.loop(0, f.mul(g.depth, features)) as i:
        f.store(t.kind, "0.0", f.at(sums, t.kind, i))
    flat = f.either(f.compare("eq", r["target_row"], g.cols), f.compare("sle", r["target_rows"], 1))
    flat = f.both(flat, f.compare("eq", r["target_col"], 1))
    with f.loop(0, r["batch"]) as n, f.loop(0, r["target_rows"], g.rows) as start:
        rows = f.min(f.sub(r["target_rows"], start), g.rows)
        positions = f.mul(rows, g.cols)
        image = f.at("%source", t.kind, f.mul(n, r["source_batch"]))
        with f.unless(g.direct):
            f.do(
                f"call void @strip_{t.dtype}(ptr {image}, ptr {masks}, ptr {copies}, ptr %parameters, "
                f"i64 {start}, i64 {rows})"
            )
        corner = f.at("%target", t.kind, f.mul(n, r["target_batch"]), f.mul(start, r["target_row"]))
        with f.unless(flat), f.loop(0, features) as m, f.loop(0, rows) as i, f.loop(0, g.cols) as j:
            source = f.at(corner, t.kind, f.mul(m, r["target_channel"]), f.mul(i, r["target_row"]))
            value = f.load(t.kind, f.at(source, t.kind, f.mul(j, r["target_col"])))
            f.store(t.kind, value, f.at(lying, t.kind, f.add(f.mul(m, most), f.mul(i, g.cols)), j))
        y, y_step = f.choose(flat, corner, lying, "ptr"), f.choose(flat, r["target_channel"], most)
        packing.pack_b(f, t, y, (1, y_step), (positions, features), packed)
        in_place = f.at(image, t.kind, f.mul(f.add(start, g.top), r["source_row"]))
        g.add_lines(sums, table, f.choose(g.direct, in_place, copies, "ptr"), packed, positions)
    g.write_sums(sums, "%weight")
    return f.text()


# --- the kernels


def _begin(t: Tile, name: str) -> tuple[Function, dict[str, str], str]:
    """A kernel's function, its row, and room for a correlation's parameters."""
    f = Function(f"void @{name}_{t.dtype}(ptr %table, ptr %row)")
    r = f.entries("%row", ROW)
    for x in OPERANDS:
        r[f"at_{x}"] = f.buffer("%table", f.max(r[x], 0), t.kind, r[f"{x}_off"])
    r["at_scratch"] = f.load("ptr", f.at("%table", "ptr", r["scratch"]))
    return f, r, f.slot(f"[{len(CORRELATION)} x i64]", 8)


def _fill(f: Function, parameters: str, values: dict[str, Number]) -> None:
    for i, name in enumerate(CORRELATION):
        f.store("i64", values[name], f.at(parameters, "i64", i))


def _forward(r: dict[str, str], f: Function) -> dict[str, Number]:
    """The parameters of the convolution itself, a group."""
    values: dict[str, Number] = {name: r[name] for name in ("batch", "channels", "features", "bias_step", "groups")}
    values["source_group"] = f.mul(r["channels"], r["x_channel"])
    values["weight_group"] = f.mul(r["features"], r["w_feature"])
    values["target_group"] = f.mul(r["features"], r["y_channel"])
    for dim in ("batch", "channel", *DIMS):
        values[f"source_{dim}"], values[f"target_{dim}"] = r[f"x_{dim}"], r[f"y_{dim}"]
    for dim in ("feature", "channel", *DIMS):
        values[f"weight_{dim}"] = r[f"w_{dim}"]
    for dim in DIMS:
        values[f"source_{dim}s"], values[f"target_{dim}s"] = r[f"in_{dim}s"], r[f"out_{dim}s"]
        values[f"step_{dim}"], values[f"first_{dim}"] = r[f"stride_{dim}"], f.sub(0, r[f"pad_{dim}"])
        values[f"taps_{dim}"], values[f"tap_{dim}"] = r[f"kernel_{dim}s"], r[f"dilation_{dim}"]
    period = f.variable("i64", 0)
    with f.loop(1, f.add(r["stride_row"], 1)) as q:
        meets = f.compare("eq", f.op(f"urem i64 {f.mul(q, r['dilation_row'])}, {r['stride_row']}"), 0)
        with f.when(f.both(meets, f.compare("eq", f.load("i64", period), 0))):
            f.store("i64", q, period)
    values["period"] = f.load("i64", period)
    return values


def _each_group(f: Function, t: Tile, name: str, values: dict[str, Number], at: dict[str, Number]) -> None:
    """Calls a function on a correlation's parameters for each group, or one that does all groups of one channel."""
    with f.when(depthwise.applies(f, values)):
        operands = ", ".join(f"ptr {address}" for address in at.values())
        f.do(f"call void @{name}_one_{t.dtype}({operands})")
    with f.unless(depthwise.applies(f, values)), f.loop(0, values["groups"]) as g:
        moved = dict(at)
        for x in ("source", "weight", "target"):
            moved[x] = f.at(at[x], t.kind, f.mul(g, values[f"{x}_group"]))
        if "bias" in at:
            bias = f.at(at["bias"], t.kind, f.mul(f.mul(g, values["features"]), values["bias_step"]))
            moved["bias"] = f.choose(f.op(f"icmp eq ptr {at['bias']}, null"), "null", bias, "ptr")
        operands = ", ".join(f"ptr {address}" for address in moved.values())
        beside = side_by_side.applies(f, values)
        with f.when(beside):
            f.do(f"call void @{name}_beside_{t.dtype}({operands})")
        with f.unless(beside):
            f.do(f"call void @{name}_{t.dtype}({operands})")


def _conv(t: Tile) -> str:
    f, r, parameters = _begin(t, "conv")
    values = _forward(r, f)
    _fill(f, parameters, values)
    bias = f.choose(f.compare("sge", r["bias"], 0), r["at_bias"], "null", "ptr")
    at = {"source": r["at_x"], "weight": r["at_w"], "target": r["at_y"], "bias": bias, "scratch": r["at_scratch"]}
    _each_group(f, t, "correlate", values, at | {"parameters": parameters})
    return f.text()


def _conv_weight(t: Tile) -> str:
    f, r, parameters = _begin(t, "conv_weight")
    values = _forward(r, f)
    _fill(f, parameters, values)
    at = {"source": r["at_x"], "weight": r["at_w"], "target": r["at_y"], "scratch": r["at_scratch"]}
    _each_group(f, t, "weight_gradient", values, at | {"parameters": parameters})
    return f.text()


def _conv_input(t: Tile) -> str:
    """For each remainder of x's position by the stride a correlation of y with the taps that reach it."""
    f, r, parameters = _begin(t, "conv_input")
    with f.loop(0, r["stride_row"]) as row, f.loop(0, r["stride_col"]) as col:
        values: dict[str, Number] = {"batch": r["batch"], "channels": r["features"], "features": r["channels"]}
        values |= {"bias_step": 0, "step_row": 1, "step_col": 1, "period": 1, "groups": r["groups"]}
        values["source_group"] = f.mul(r["features"], r["y_channel"])
        values["weight_group"] = f.mul(r["features"], r["w_feature"])
        values["target_group"] = f.mul(r["channels"], r["x_channel"])
        values |= {"weight_feature": r["w_channel"], "weight_channel": r["w_feature"]}
        for dim in ("batch", "channel", *DIMS):
            values[f"source_{dim}"], values[f"target_{dim}"] = r[f"y_{dim}"], r[f"x_{dim}"]
        first_tap: list[Number] = []
        for dim, remainder in zip(DIMS, (row, col)):
            first, between, count = _taps_that_meet(f, r, dim, remainder)
            stride, dilation = r[f"stride_{dim}"], r[f"dilation_{dim}"]
            reach = f.sub(f.add(remainder, r[f"pad_{dim}"]), f.mul(first, dilation))
            rest = f.max(f.add(f.sub(r[f"in_{dim}s"], remainder), f.sub(stride, 1)), 0)
            values[f"source_{dim}s"], values[f"target_{dim}s"] = r[f"out_{dim}s"], f.div(rest, stride)
            values[f"first_{dim}"] = f.op(f"sdiv i64 {reach}, {stride}")
            values[f"taps_{dim}"] = count
            values[f"tap_{dim}"] = f.op(f"sdiv i64 {f.sub(0, f.mul(between, dilation))}, {stride}")
            values[f"weight_{dim}"] = f.mul(between, r[f"w_{dim}"])
            values[f"target_{dim}"] = f.mul(stride, r[f"x_{dim}"])
            first_tap.append(f.mul(first, r[f"w_{dim}"]))
        _fill(f, parameters, values)
        at = {"source": r["at_y"], "weight": f.at(r["at_w"], t.kind, *first_tap)}
        at["target"] = f.at(r["at_x"], t.kind, f.mul(row, r["x_row"]), f.mul(col, r["x_col"]))
        at |= {"bias": "null", "scratch": r["at_scratch"], "parameters": parameters}
        _each_group(f, t, "correlate", values, at)
    return f.text()


def _taps_that_meet(f: Function, r: dict[str, str], dim: str, remainder: Number) -> tuple[Number, Number, Number]:
    """The first tap, the distance and the number of those that lead from an output to positions of x with this
    remainder."""
    first, between, count = (f.variable("i64", 0) for _ in range(3))
    with f.loop(0, r[f"kernel_{dim}s"]) as k:
        distance = f.sub(f.add(remainder, r[f"pad_{dim}"]), f.mul(k, r[f"dilation_{dim}"]))
        with f.when(f.compare("eq", f.op(f"srem i64 {distance}, {r[f'stride_{dim}']}"), 0)):
            number = f.load("i64", count)
            with f.when(f.compare("eq", number, 0)):
                f.store("i64", k, first)
            with f.when(f.compare("eq", number, 1)):
                f.store("i64", f.sub(k, f.load("i64", first)), between)
            f.store("i64", f.add(number, 1), count)
    return f.load("i64", first), f.load("i64", between), f.load("i64", count)


KERNELS = ("conv", "conv_input", "conv_weight")


def module(dtype: str, kernels: Sequence[str] = KERNELS, registers: int | None = None) -> str:
    """A module with these kernels, for vector registers of so many bytes (this machine's, if not given)."""
    t = tile_for(dtype, registers or host_registers())

    def numbers(f: Function) -> dict[str, str]:
        return f.entries("%parameters", CORRELATION)

    texts = [*declarations(t), _strip(t), *side_by_side.moves(t)]
    if "conv" in kernels or "conv_input" in kernels:
        texts += [*tiles(t, Offsets), depthwise.correlate(t, numbers), _correlate(t), side_by_side.correlate(t)]
    if "conv_weight" in kernels:
        texts += [*tiles(t, Lines), *packing.functions(t), depthwise.weight_gradient(t, numbers), _weight_gradient(t)]
        texts.append(side_by_side.weight_gradient(t))
    writers = {"conv": _conv, "conv_input": _conv_input, "conv_weight": _conv_weight}
    return "\n".join([*texts, *(writers[kernel](t) for kernel in kernels)])
