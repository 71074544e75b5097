"""Products whose result is a vector or one element: limited by memory, not by arithmetic."""

from __future__ import annotations

from collections.abc import Callable

from .native_text import BYTES, Function, Number
from .packing import transposed
from .tiles import BLOCK, LANES, Tile, add_up, fma, lane_mask, load_masked, splat, store_masked


def dot(t: Tile) -> str:
    """*c += the sum of a[i] * b[i]: `LANES` chains, added up as a tree; strided operands are gathered in scratch."""
    f = Function(
        f"internal void @dot_{t.dtype}(ptr %a, i64 %a_step, ptr %b, i64 %b_step, i64 %k, ptr %c, ptr %scratch)"
    )
    vector = f"<16 x {t.kind}>"
    suffix = f"v16{t.dtype}"
    count = LANES // 16
    sums = [f.variable(vector, "zeroinitializer") for _ in range(count)]
    contiguous = {x: f.compare("eq", f"%{x}_step", 1) for x in "ab"}
    gathered = {"a": "%scratch", "b": f.at("%scratch", t.kind, f.min("%k", BLOCK))}
    chunk = BLOCK // LANES * LANES
    with f.loop(0, "%k", chunk) as first:
        length = f.min(f.sub("%k", first), chunk)
        at = {}
        for x in "ab":
            source = f.at(f"%{x}", t.kind, f.mul(first, f"%{x}_step"))
            with f.unless(contiguous[x]):
                with f.loop(0, length) as i:
                    value = f.load(t.kind, f.at(source, t.kind, f.mul(i, f"%{x}_step")))
                    f.store(t.kind, value, f.at(gathered[x], t.kind, i))
            at[x] = f.choose(contiguous[x], source, gathered[x], "ptr")

        def add(i: Number, part: int, mask: str, at: dict[str, str] = at) -> None:
            places = [f.at(at[x], t.kind, f.add(i, 16 * part)) for x in "ab"]
            if mask:
                values = [load_masked(f, t.dtype, 16, place, mask) for place in places]
            else:
                values = [f.load(vector, place, BYTES[t.dtype]) for place in places]
            f.store(vector, fma(f, vector, suffix, *values, f.load(vector, sums[part])), sums[part])

        whole = f.op(f"and i64 {length}, {-LANES}")
        with f.loop(0, whole, LANES) as i:
            for part in range(count):
                add(i, part, "")
        rest = f.sub(length, whole)
        for part in range(count):
            with f.when(f.compare("sgt", rest, 16 * part)):
                add(whole, part, lane_mask(f, 16, f.min(f.sub(rest, 16 * part), 16)))
    totals = [f.load(vector, each) for each in sums]
    total = add_up(f, t.kind, 16, totals)
    f.store(t.kind, f.op(f"fadd {t.kind} {f.load(t.kind, '%c')}, {total}"), "%c")
    return f.text()


def vector_columns(t: Tile) -> str:
    """c = start + x @ B for a B of contiguous columns, `step` apart, and contiguous c and start (null: zero).

    A panel of columns is read from end to end, in squares that are transposed in registers: so an element of c is the
    chains that the tiles compute, in a lane of its own. Squares begin where all columns begin a line of the cache, if
    there is such a place: columns that fall on the same lines would push one another out before the rest of a line
    is read.
    """
    f = Function(
        f"internal void @vector_columns_{t.dtype}"
        "(ptr %x, i64 %x_step, ptr %b, i64 %step, i64 %k, i64 %n, ptr %c, ptr %start)"
    )
    size = BYTES[t.dtype]
    started = f.op("icmp ne ptr %start, null")
    address = f.op("ptrtoint ptr %b to i64")
    offset = f.op(f"lshr i64 {f.op(f'and i64 {address}, {t.lanes * size - 1}')}, {size.bit_length() - 1}")
    even = f.compare("eq", f.op(f"and i64 %step, {t.lanes - 1}"), 0)
    first = f.sub(0, f.choose(even, offset, 0))
    panel = 2 * t.lanes
    columns = f.slot(f"[{panel} x ptr]", 16)
    square = f.slot(f"[{t.lanes * panel} x {t.kind}]", 64)
    with f.loop(0, "%n", panel) as j:
        count = f.min(f.sub("%n", j), panel)
        with f.loop(0, panel) as q:
            column = f.mul(f.add(j, f.min(q, f.sub(count, 1))), "%step")
            f.store("ptr", f.at("%b", t.kind, column), f.at(columns, "ptr", q))
        masks = [lane_mask(f, t.lanes, f.max(f.sub(count, v * t.lanes), 0)) for v in range(2)]
        totals = [f.variable(t.vector, "zeroinitializer") for _ in masks]
        chains = [f.variable(t.vector, "zeroinitializer") for _ in masks]
        empty = f.variable("i1", f.negate(started))  # nothing is in the totals: they are to be replaced
        for v, mask in enumerate(masks):
            with f.when(started):
                start = load_masked(f, t.dtype, t.lanes, f.at("%start", t.kind, f.add(j, v * t.lanes)), mask)
                f.store(t.vector, start, totals[v])

        def end_chains(totals=totals, chains=chains, empty=empty) -> None:
            for total, chain in zip(totals, chains):
                new = f.load(t.vector, chain)
                sum_ = f.op(f"fadd {t.vector} {f.load(t.vector, total)}, {new}")
                f.store(t.vector, f.choose(f.load("i1", empty), new, sum_, t.vector), total)
                f.store(t.vector, "zeroinitializer", chain)
            f.store("i1", "false", empty)

        def add(row: Number, values: list[str], chains=chains) -> None:
            x = splat(f, t.vector, f.load(t.kind, f.at("%x", t.kind, f.mul(row, "%x_step"))), t.kind)
            for chain, value in zip(chains, values):
                f.store(t.vector, fma(f, t.vector, t.suffix, x, value, f.load(t.vector, chain)), chain)

        with f.loop(first, "%k", t.lanes) as i:
            low, high = f.max(f.sub(0, i), 0), f.min(f.sub("%k", i), t.lanes)
            mask = f.op(f"xor <{t.lanes} x i1> {lane_mask(f, t.lanes, low)}, {lane_mask(f, t.lanes, high)}")
            groups = []
            for v in range(2):
                pointers = [f.load("ptr", f.at(columns, "ptr", v * t.lanes + q)) for q in range(t.lanes)]
                for pointer in pointers:
                    f.do(
                        f"call void @llvm.prefetch.p0(ptr {f.at(pointer, t.kind, i, AHEAD // size)}, i32 0, i32 3, i32 1)"
                    )
                groups.append(transposed(f, t, [f.at(p, t.kind, i) for p in pointers], mask))
            within = f.op(f"and i64 {i}, {BLOCK - 1}")
            whole = f.both(f.compare("eq", f.sub(high, low), t.lanes), f.compare("sle", within, BLOCK - t.lanes))
            with f.when(whole):
                with f.when(f.both(f.compare("eq", within, 0), f.compare("ne", i, 0))):
                    end_chains()
                for r in range(t.lanes):
                    add(f.add(i, r), [group[r] for group in groups])
            with f.unless(whole):
                for v, group in enumerate(groups):
                    for r, values in enumerate(group):
                        f.store(t.vector, values, f.at(square, t.kind, r * panel + v * t.lanes))
                with f.loop(low, high) as r:
                    row = f.add(i, r)
                    begins = f.compare("eq", f.op(f"and i64 {row}, {BLOCK - 1}"), 0)
                    with f.when(f.both(begins, f.compare("ne", row, 0))):
                        end_chains()
                    line = f.at(square, t.kind, f.mul(r, panel))
                    add(row, [f.load(t.vector, f.at(line, t.kind, v * t.lanes)) for v in range(2)])
        end_chains()
        for v, mask in enumerate(masks):
            place = f.at("%c", t.kind, f.add(j, v * t.lanes))
            store_masked(f, t.dtype, t.lanes, f.load(t.vector, totals[v]), place, mask)
    return f.text()


AHEAD = 192  # bytes to fetch beforehand: the processor itself does not follow so many columns
SWEEP = 8  # rows of B that are read side by side
STRIP = 4096  # bytes of c that stay in the first-level cache meanwhile


def vector_rows(t: Tile) -> str:
    """As `vector_columns` for a B of contiguous rows, `step` apart: c in memory, some rows of B added at a time."""
    f = Function(
        f"internal void @vector_rows_{t.dtype}"
        "(ptr %x, i64 %x_step, ptr %b, i64 %step, i64 %k, i64 %n, ptr %c, ptr %start)"
    )
    strip = STRIP // BYTES[t.dtype]
    chains = f.slot(f"[{strip} x {t.kind}]", 64)
    started = f.op("icmp ne ptr %start, null")
    with f.loop(0, "%n", strip) as j:
        count = f.min(f.sub("%n", j), strip)
        whole = f.op(f"and i64 {count}, {-t.lanes}")
        mask = lane_mask(f, t.lanes, f.sub(count, whole))

        def each_vector(body: Callable[[Number, str], None], whole=whole, count=count, mask=mask) -> None:
            with f.loop(0, whole, t.lanes) as v:
                body(v, "")
            with f.when(f.compare("ne", whole, count)):
                body(whole, mask)

        def load(place: str, mask: str) -> str:
            return load_masked(f, t.dtype, t.lanes, place, mask) if mask else f.load(t.vector, place, BYTES[t.dtype])

        def sweep(first: Number, rows: int, j=j, each_vector=each_vector) -> None:
            factors = []
            for r in range(rows):
                x = f.load(t.kind, f.at("%x", t.kind, f.mul(f.add(first, r), "%x_step")))
                factors.append(splat(f, t.vector, x, t.kind))
            top = f.at("%b", t.kind, f.mul(first, "%step"), j)
            lines = [f.at(top, t.kind, f.mul(r, "%step")) for r in range(rows)]

            def body(v: Number, mask: str) -> None:
                place = f.at(chains, t.kind, v)
                sum_ = f.load(t.vector, place)
                for line, x in zip(lines, factors):
                    sum_ = fma(f, t.vector, t.suffix, x, load(f.at(line, t.kind, v), mask), sum_)
                f.store(t.vector, sum_, place)

            each_vector(body)

        with f.loop(0, "%k", BLOCK) as block:
            end = f.min("%k", f.add(block, BLOCK))
            eights = f.add(block, f.op(f"and i64 {f.sub(end, block)}, {-SWEEP}"))
            each_vector(lambda v, mask: f.store(t.vector, "zeroinitializer", f.at(chains, t.kind, v)))
            with f.loop(block, eights, SWEEP) as i:
                sweep(i, SWEEP)
            with f.loop(eights, end) as i:
                sweep(i, 1)
            first = f.compare("eq", block, 0)
            fresh = f.both(first, f.op(f"xor i1 {started}, true"))
            source = f.choose(f.both(first, started), "%start", "%c", "ptr")

            def finish(v: Number, mask: str, j=j, fresh=fresh, source=source) -> None:
                place = f.at("%c", t.kind, f.add(j, v))
                sum_ = f.variable(t.vector, f.load(t.vector, f.at(chains, t.kind, v)))
                with f.unless(fresh):
                    before = load(f.at(source, t.kind, f.add(j, v)), mask)
                    f.store(t.vector, f.op(f"fadd {t.vector} {before}, {f.load(t.vector, sum_)}"), sum_)
                if mask:
                    store_masked(f, t.dtype, t.lanes, f.load(t.vector, sum_), place, mask)
                else:
                    f.store(t.vector, f.load(t.vector, sum_), place, BYTES[t.dtype])

            each_vector(finish)
    return f.text()


def functions(t: Tile) -> list[str]:
    return [dot(t), vector_columns(t), vector_rows(t)]
