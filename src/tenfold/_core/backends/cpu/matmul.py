"""Matrix products: C = A @ B, with a bias, accumulation, two batch dims and any strides.

In: a dtype. Out: the text of an LLVM IR module that defines `void @gemm_<dtype>(ptr %table, ptr %row)`. `row` holds
the numbers that `ROW` names, in its order, as i64:

    a, b, c, bias, scratch   which entries of the table; bias is -1 where there is none
    *_off                    offset of an operand's first element; this and all strides count elements
    m, n, k                  C is m × n, A is m × k, B is k × n; any of them may be 0
    *_row, *_col             strides; any value (0 and negative too) for A, B and the bias
    batch1, batch2           sizes of the two batch dims, 1 where there are none
    *_batch1, *_batch2       strides of the batch dims
    accumulate               0: C = A @ B + bias.  1: C = C + A @ B + bias.

C must not overlap itself, A, B or the bias. `scratch` is memory of `scratch_bytes` bytes that a call may overwrite.

**Order of additions.** An element is `start + s0 + s1 + …`: start is C, the bias, their sum or nothing; each s is a
chain of fused multiply-adds over the next `BLOCK` values of k, from zero. So its bits do not depend on where it stands,
on what is computed with it, on layouts or on the machine's registers. The only exception is a product with a single
element, which would wait for each addition: `dot` adds it up in `LANES` interleaved chains.

**How.** `tiles` computes a small tile of C in registers, from B's rows in vectors and A's elements one by one, with
any strides but B's rows contiguous. Products are cut into blocks that stay in the caches; blocks of a B that is large,
or has no contiguous rows, are packed first, by `packing`. To pack A as well gained nothing for any strides (Zen 5). A
product with a vector is limited by memory and has kernels of its own, in `vector_products`.
"""

from __future__ import annotations

from . import packing, vector_products
from .native_text import BYTES, Function, Number
from .tiles import (
    BLOCK,
    COLS_BLOCK,
    Tile,
    declarations,
    host_registers,
    next_height,
    next_width,
    run_tile,
    tile_for,
    tiles,
)

OPERANDS = ("a", "b", "c", "bias")
ROW = (
    *OPERANDS,
    "scratch",
    *(f"{x}_off" for x in OPERANDS),
    *("m", "n", "k"),
    *(f"{x}_{dim}" for x in OPERANDS for dim in ("row", "col")),
    *("batch1", "batch2"),
    *(f"{x}_{dim}" for x in OPERANDS for dim in ("batch1", "batch2")),
    "accumulate",
)
PACK_ROWS, PACK_BYTES = 64, 1 << 20  # from so many rows of A and such a B on, a B of contiguous rows is packed too
VECTOR_ROWS = 96  # a longer row of C is computed from B's rows by a kernel of its own
MARGIN = (64, 16)  # columns and values of k that a packed block may be larger than what it holds

Place = tuple[Number, Number]
Size = tuple[Number, Number, Number]  # rows, vectors, columns


def scratch_bytes(dtype: str, m: int, n: int, k: int) -> int:
    """How much scratch a product of these sizes needs: at most 1.3 MB."""
    size = BYTES[dtype]
    long = max(m, n)  # the kernel may compute the transposed product
    depth = min(k, BLOCK)
    packed = (min(long, COLS_BLOCK // size) + MARGIN[0]) * (depth + MARGIN[1])
    gathered = 2 * depth
    return max(packed, gathered) * size


# --- what a product starts from


def _set(t: Tile) -> str:
    """C = bias, C = C + bias or C = 0, with any strides."""
    f = Function(
        f"internal void @set_{t.dtype}(ptr %c, i64 %c_row, i64 %c_col, ptr %bias, i64 %bias_row, i64 %bias_col, "
        "i64 %m, i64 %n, i1 %has_bias, i1 %accumulate)"
    )
    with f.loop(0, "%m") as i, f.loop(0, "%n") as j:
        place = f.at("%c", t.kind, f.mul(i, "%c_row"), f.mul(j, "%c_col"))
        value = f.variable(t.kind, "0.0")
        with f.when("%has_bias"):
            bias = f.load(t.kind, f.at("%bias", t.kind, f.mul(i, "%bias_row"), f.mul(j, "%bias_col")))
            f.store(t.kind, bias, value)
        with f.when("%accumulate"):
            f.store(t.kind, f.op(f"fadd {t.kind} {f.load(t.kind, place)}, {f.load(t.kind, value)}"), value)
        f.store(t.kind, f.load(t.kind, value), place)
    return f.text()


# --- the whole


def _transposed(f: Function, r: dict[str, str], turn: str) -> dict[str, str]:
    """The entries of Cᵀ = Bᵀ @ Aᵀ where `turn`, else `r` as it is."""
    out = dict(r)
    pairs = [("m", "n"), ("a", "b"), ("a_off", "b_off"), ("a_batch1", "b_batch1"), ("a_batch2", "b_batch2")]
    pairs += [("a_row", "b_col"), ("a_col", "b_row"), ("c_row", "c_col"), ("bias_row", "bias_col")]
    for x, y in pairs:
        out[x], out[y] = f.choose(turn, r[y], r[x]), f.choose(turn, r[x], r[y])
    return out


def _gemm(t: Tile) -> str:
    f = Function(f"void @gemm_{t.dtype}(ptr %table, ptr %row)")
    r = f.entries("%row", ROW)
    # Vectors run along the rows of C: transpose all where its columns are contiguous, or it is one column.
    upright = f.both(f.compare("eq", r["c_row"], 1), f.compare("ne", r["c_col"], 1))
    upright = f.both(upright, f.compare("ne", r["m"], 1))
    r = _transposed(f, r, f.either(upright, f.compare("eq", r["n"], 1)))
    starts = {x: f.buffer("%table", f.max(r[x], 0), t.kind, r[f"{x}_off"]) for x in OPERANDS}
    r["scratch"] = f.load("ptr", f.at("%table", "ptr", r["scratch"]))
    m, n, k = r["m"], r["n"], r["k"]

    single = f.both(f.compare("eq", m, 1), f.compare("eq", n, 1))
    many = f.both(f.negate(single), f.compare("ne", k, 0))
    has_bias = f.compare("sge", r["bias"], 0)
    accumulate = f.compare("ne", r["accumulate"], 0)
    # The products begin with the bias where it lies along the rows of C and no sum has to be made; else with C.
    from_bias = f.both(has_bias, f.compare("eq", r["bias_col"], 1))
    from_bias = f.both(from_bias, f.both(many, f.negate(accumulate)))
    from_c = f.either(accumulate, f.both(has_bias, f.negate(from_bias)))
    set_c = f.either(f.both(has_bias, f.negate(from_bias)), f.negate(f.either(many, accumulate)))

    contiguous = f.either(f.compare("eq", r["c_col"], 1), f.compare("eq", n, 1))
    by_rows, by_columns = f.compare("eq", r["b_col"], 1), f.compare("eq", r["b_row"], 1)
    vector = f.both(f.both(f.compare("eq", m, 1), contiguous), many)
    along_rows = f.both(vector, f.both(by_rows, f.compare("sgt", n, VECTOR_ROWS)))
    along_columns = f.both(vector, f.both(by_columns, f.negate(by_rows)))
    blocks = f.both(many, f.negate(f.either(along_rows, along_columns)))
    large = f.both(f.compare("sgt", m, PACK_ROWS), f.compare("sgt", f.mul(n, k), PACK_BYTES // BYTES[t.dtype]))
    pack = f.either(f.negate(by_rows), large)
    r["buffer"] = f.slot(f"[{t.rows * t.width} x {t.kind}]", 64)

    with f.loop(0, r["batch1"]) as b1, f.loop(0, r["batch2"]) as b2:
        at = {x: f.at(starts[x], t.kind, f.mul(b1, r[f"{x}_batch1"]), f.mul(b2, r[f"{x}_batch2"])) for x in OPERANDS}
        with f.when(set_c):
            f.do(
                f"call void @set_{t.dtype}(ptr {at['c']}, i64 {r['c_row']}, i64 {r['c_col']}, ptr {at['bias']}, "
                f"i64 {r['bias_row']}, i64 {r['bias_col']}, i64 {m}, i64 {n}, i1 {has_bias}, i1 {accumulate})"
            )
        at["start"] = f.choose(from_c, at["c"], f.choose(from_bias, at["bias"], "null", "ptr"), "ptr")
        x = f"ptr {at['a']}, i64 {r['a_col']}, ptr {at['b']}"
        with f.when(single):
            f.do(f"call void @dot_{t.dtype}({x}, i64 {r['b_row']}, i64 {k}, ptr {at['c']}, ptr {r['scratch']})")
        to = f"i64 {k}, i64 {n}, ptr {at['c']}, ptr {at['start']}"
        with f.when(along_rows):
            f.do(f"call void @vector_rows_{t.dtype}({x}, i64 {r['b_row']}, {to})")
        with f.when(along_columns):
            f.do(f"call void @vector_columns_{t.dtype}({x}, i64 {r['b_col']}, {to})")
        with f.when(blocks):
            _blocks(f, t, r, at, from_bias, contiguous, pack)
    return f.text()


def _blocks(
    f: Function,
    t: Tile,
    r: dict[str, str],
    at: dict[str, str],
    from_bias: str,
    contiguous: str,
    pack: str,
) -> None:
    """Loops over blocks that stay in the caches (columns of C, k, rows of C), and in them over the tiles."""
    m, n, k = r["m"], r["n"], r["k"]
    with f.loop(0, n, t.cols_block) as jc, f.loop(0, k, BLOCK) as pc:
        cols, depth = f.min(f.sub(n, jc), t.cols_block), f.min(f.sub(k, pc), BLOCK)
        first = f.compare("eq", pc, 0)
        bias_here = f.both(first, from_bias)
        start = f.choose(first, at["start"], at["c"], "ptr")
        b = f.at(at["b"], t.kind, f.mul(pc, r["b_row"]), f.mul(jc, r["b_col"]))
        with f.when(pack):
            packing.pack_b(f, t, b, (r["b_row"], r["b_col"]), (depth, cols), r["scratch"])
        with f.loop(0, m, t.rows_block) as ic:
            rows = f.min(f.sub(m, ic), t.rows_block)
            a = f.at(at["a"], t.kind, f.mul(ic, r["a_row"]), f.mul(pc, r["a_col"]))
            with f.walk(0, cols) as j:
                vectors = next_width(f, t, f.sub(cols, j.index))
                width = f.mul(vectors, t.lanes)
                j.step = f.min(width, f.sub(cols, j.index))
                tile: dict[str, Number] = {"k": depth, "a_row": r["a_row"], "a_col": r["a_col"]}
                in_b, in_panel = f.at(b, t.kind, j.index), f.at(r["scratch"], t.kind, f.mul(j.index, depth))
                tile["b"] = f.choose(pack, in_panel, in_b, "ptr")
                tile["b_row"] = f.choose(pack, width, r["b_row"])
                with f.walk(0, rows) as i:
                    i.step = next_height(f, t, f.sub(rows, i.index))
                    tile["a"] = f.at(a, t.kind, f.mul(i.index, r["a_row"]))
                    place = (f.add(ic, i.index), f.add(jc, j.index))
                    with f.when(contiguous):
                        _tile_in_place(f, t, r, at["c"], start, bias_here, place, (i.step, vectors, j.step), tile)
                    with f.unless(contiguous):
                        _tile_by_buffer(f, t, r, at["c"], start, bias_here, place, (i.step, vectors, j.step), tile)


def _start_of_tile(f: Function, t: Tile, r: dict[str, str], start: str, bias_here: str, place: Place) -> str:
    """The address of what a tile begins with, where that is the bias or a C of contiguous rows; null stays null."""
    row = f.choose(bias_here, r["bias_row"], r["c_row"])
    return f.choose(
        f.op(f"icmp eq ptr {start}, null"), "null", f.at(start, t.kind, f.mul(place[0], row), place[1]), "ptr"
    )


def _tile_in_place(
    f: Function,
    t: Tile,
    r: dict[str, str],
    c: str,
    start: str,
    bias_here: str,
    place: Place,
    size: Size,
    tile: dict[str, Number],
) -> None:
    """A tile of a C with contiguous rows."""
    to = {"c": f.at(c, t.kind, f.mul(place[0], r["c_row"]), place[1]), "c_row": r["c_row"]}
    to["start"] = _start_of_tile(f, t, r, start, bias_here, place)
    to["start_row"] = f.choose(bias_here, r["bias_row"], r["c_row"])
    run_tile(f, t, *size, tile | to)


def _tile_by_buffer(
    f: Function,
    t: Tile,
    r: dict[str, str],
    c: str,
    start: str,
    bias_here: str,
    place: Place,
    size: Size,
    tile: dict[str, Number],
) -> None:
    """A tile of a C with any strides: it is computed elsewhere, and moved element by element."""
    corner = f.at(c, t.kind, f.mul(place[0], r["c_row"]), f.mul(place[1], r["c_col"]))
    buffer = r["buffer"]
    rows, _, cols = size

    def move(fetch: bool) -> None:
        with f.loop(0, rows) as p, f.loop(0, cols) as q:
            there = f.at(corner, t.kind, f.mul(p, r["c_row"]), f.mul(q, r["c_col"]))
            here = f.at(buffer, t.kind, f.mul(p, t.width), q)
            source, target = (there, here) if fetch else (here, there)
            f.store(t.kind, f.load(t.kind, source), target)

    from_c = f.both(f.op(f"icmp ne ptr {start}, null"), f.negate(bias_here))
    with f.when(from_c):
        move(fetch=True)
    to: dict[str, Number] = {"c": buffer, "c_row": t.width}
    to["start"] = f.choose(from_c, buffer, _start_of_tile(f, t, r, start, bias_here, place), "ptr")
    to["start_row"] = f.choose(from_c, t.width, r["bias_row"])
    run_tile(f, t, *size, tile | to)
    move(fetch=False)


def module(dtype: str, registers: int | None = None) -> str:
    """The kernel's module, for vector registers of so many bytes (this machine's, if not given)."""
    t = tile_for(dtype, registers or host_registers())
    texts = [*declarations(t), *tiles(t), *packing.functions(t), *vector_products.functions(t), _set(t), _gemm(t)]
    return "\n".join(texts)
