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
element, which would wait for each addition: `_dot` adds it up in `LANES` interleaved chains.

**How.** `_tile` computes a small tile of C in registers, from B's rows in vectors and A's elements one by one, with any
strides but B's row contiguous. Larger products are cut into blocks that stay in the caches; parts of B (if its rows
are not contiguous, or to walk through memory in order) and of A (if its columns are contiguous) are packed first.
"""

from __future__ import annotations

from dataclasses import dataclass

from .native_text import BYTES, ELEMENTS, Function, Number

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
BLOCK = 384  # values of k in a chain; part of the meaning of a product, so never to be tuned to a machine
ROWS_BLOCK = 256  # rows of A that are used again and again from the second-level cache
COLS_BLOCK = 1920  # columns of B that are packed at a time: 2.8 MB of float32, for the third-level cache
LANES = 64


@dataclass(frozen=True)
class Tile:
    """A tile of C: `rows` times `vectors` vectors of `lanes` elements, all of them in registers."""

    dtype: str
    lanes: int
    rows: int
    vectors: int
    masks: bool  # the machine has masked loads and stores that cost no more than plain ones

    @property
    def kind(self) -> str:
        return ELEMENTS[self.dtype]

    @property
    def vector(self) -> str:
        return f"<{self.lanes} x {self.kind}>"

    @property
    def suffix(self) -> str:
        return f"v{self.lanes}{self.dtype}"

    @property
    def width(self) -> int:
        return self.lanes * self.vectors


def tile_for(dtype: str, registers: int) -> Tile:
    """The tile for vector registers of so many bytes: 32 of them at 64 bytes (AVX-512), else 16 (AVX2, NEON)."""
    lanes = registers // BYTES[dtype]
    return Tile(dtype, lanes, 8, 3, True) if registers == 64 else Tile(dtype, lanes, 6, 2, False)


def host_registers() -> int:
    """Bytes of a vector register of this machine."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    if features.get("avx512f") and features.get("avx512vl"):
        return 64
    return 32 if features.get("avx2") else 16


def scratch_bytes(dtype: str, m: int, n: int, k: int) -> int:
    """How much scratch a product of these sizes needs: at most 3.6 MB in float32, 7.2 MB in float64."""
    m, n = max(m, n), max(m, n)  # the kernel may compute the transposed product
    depth = min(k, BLOCK)
    elements = 2 * BLOCK + (min(n, COLS_BLOCK) + 64) * (depth + 4) + min(m, ROWS_BLOCK) * depth + LANES
    return elements * BYTES[dtype]


# --- vectors


def _splat(f: Function, vector: str, scalar: str, kind: str) -> str:
    lanes = vector[1:].split()[0]
    one = f.op(f"insertelement {vector} poison, {kind} {scalar}, i64 0")
    return f.op(f"shufflevector {vector} {one}, {vector} poison, <{lanes} x i32> zeroinitializer")


def _mask(f: Function, lanes: int, count: Number) -> str:
    """True in the first `count` lanes."""
    numbers = ", ".join(f"i32 {i}" for i in range(lanes))
    limit = _splat(f, f"<{lanes} x i32>", f.op(f"trunc i64 {count} to i32"), "i32")
    return f.op(f"icmp ult <{lanes} x i32> <{numbers}>, {limit}")


def _load_masked(f: Function, dtype: str, lanes: int, pointer: str, mask: str) -> str:
    vector = f"<{lanes} x {ELEMENTS[dtype]}>"
    name = f"@llvm.masked.load.v{lanes}{dtype}.p0"
    align = BYTES[dtype]
    return f.op(f"call {vector} {name}(ptr {pointer}, i32 {align}, <{lanes} x i1> {mask}, {vector} zeroinitializer)")


def _store_masked(f: Function, dtype: str, lanes: int, value: str, pointer: str, mask: str) -> None:
    vector = f"<{lanes} x {ELEMENTS[dtype]}>"
    name = f"@llvm.masked.store.v{lanes}{dtype}.p0"
    f.do(f"call void {name}({vector} {value}, ptr {pointer}, i32 {BYTES[dtype]}, <{lanes} x i1> {mask})")


def _fma(f: Function, vector: str, suffix: str, a: str, b: str, c: str) -> str:
    return f.op(f"call {vector} @llvm.fma.{suffix}({vector} {a}, {vector} {b}, {vector} {c})")


# --- the tile

TILE_ARGUMENTS = (
    "ptr noalias %a, i64 %a_row, i64 %a_col, ptr noalias %b, i64 %b_row, i64 %k, "
    "ptr %c, i64 %c_row, ptr %start, i64 %start_row, i64 %last"
)


def _tile_name(t: Tile, rows: int, vectors: int, ragged: bool) -> str:
    return f"@tile_{t.dtype}_{rows}x{vectors}{'_ragged' if ragged else ''}"


def _tile(t: Tile, rows: int, vectors: int, ragged: bool) -> str:
    """C = start + A @ B for a tile of `rows` × `vectors`, a null start being zero; of the last vector of a ragged
    tile only `last` lanes are there. One chain of fused multiply-adds over k for each element."""
    f = Function(f"internal void {_tile_name(t, rows, vectors, ragged)}({TILE_ARGUMENTS})")
    mask = _mask(f, t.lanes, "%last") if ragged else ""

    def load(pointer: str, v: int) -> str:
        place = f.at(pointer, t.kind, v * t.lanes)
        if ragged and v == vectors - 1:
            return _load_masked(f, t.dtype, t.lanes, place, mask)
        return f.load(t.vector, place, BYTES[t.dtype])

    tile = [(r, v) for r in range(rows) for v in range(vectors)]
    sums = {each: f.variable(t.vector, "zeroinitializer") for each in tile}
    # Rows of A are addressed from every third one, so that few pointers have to move.
    offsets = [0, "%a_row", f.mul(2, "%a_row")]
    at_a = [f.variable("ptr", f.at("%a", t.kind, f.mul(r, "%a_row"))) for r in range(0, rows, 3)]
    at_b = f.variable("ptr", "%b")
    with f.loop(0, "%k"):
        b = f.load("ptr", at_b)
        columns = [load(b, v) for v in range(vectors)]
        f.store("ptr", f.at(b, t.kind, "%b_row"), at_b)
        for r in range(rows):
            a = f.load(t.kind, f.at(f.load("ptr", at_a[r // 3]), t.kind, offsets[r % 3]))
            a = _splat(f, t.vector, a, t.kind)
            for v in range(vectors):
                f.store(t.vector, _fma(f, t.vector, t.suffix, a, columns[v], f.load(t.vector, sums[r, v])), sums[r, v])
        for pointer in at_a:
            f.store("ptr", f.at(f.load("ptr", pointer), t.kind, "%a_col"), pointer)
    with f.when(f.op("icmp ne ptr %start, null")):
        for r, v in tile:
            start = load(f.at("%start", t.kind, f.mul(r, "%start_row")), v)
            f.store(t.vector, f.op(f"fadd {t.vector} {start}, {f.load(t.vector, sums[r, v])}"), sums[r, v])
    for r, v in tile:
        place = f.at(f.at("%c", t.kind, f.mul(r, "%c_row")), t.kind, v * t.lanes)
        if ragged and v == vectors - 1:
            _store_masked(f, t.dtype, t.lanes, f.load(t.vector, sums[r, v]), place, mask)
        else:
            f.store(t.vector, f.load(t.vector, sums[r, v]), place, BYTES[t.dtype])
    return f.text()


def _tiles(t: Tile) -> list[str]:
    """All tiles, and the table of their addresses: [rows - 1][vectors - 1][ragged]."""
    variants = (True,) if t.masks else (False, True)
    names = []
    texts = []
    for rows in range(1, t.rows + 1):
        for vectors in range(1, t.vectors + 1):
            texts += [_tile(t, rows, vectors, ragged) for ragged in variants]
            names += [f"ptr {_tile_name(t, rows, vectors, ragged or t.masks)}" for ragged in (False, True)]
    table = f"@tiles_{t.dtype} = internal constant [{len(names)} x ptr] [{', '.join(names)}]\n"
    return [*texts, table]


# --- packing


def _pack_rows(t: Tile) -> str:
    """k rows of `count` contiguous elements, `step` apart, to rows of whole vectors, `vectors` each."""
    f = Function(f"internal void @pack_rows_{t.dtype}(ptr %from, i64 %step, i64 %k, i64 %count, i64 %vectors, ptr %to)")
    full = f.sub("%vectors", 1)
    mask = _mask(f, t.lanes, f.sub("%count", f.mul(full, t.lanes)))
    ends = f.mul(full, t.lanes)
    width = f.mul("%vectors", t.lanes)
    with f.loop(0, "%k") as i:
        source = f.at("%from", t.kind, f.mul(i, "%step"))
        target = f.at("%to", t.kind, f.mul(i, width))
        with f.loop(0, ends, t.lanes) as j:
            f.store(t.vector, f.load(t.vector, f.at(source, t.kind, j), BYTES[t.dtype]), f.at(target, t.kind, j), 4)
        rest = _load_masked(f, t.dtype, t.lanes, f.at(source, t.kind, ends), mask)
        f.store(t.vector, rest, f.at(target, t.kind, ends), 4)
    return f.text()


def _pack_columns(t: Tile) -> str:
    """As `_pack_rows`, from columns of contiguous elements, `step` apart: a transpose in registers.

    Pieces of 16 bytes (L elements of a column) are put together to vectors, so that only L × L transposes within the
    pieces are left. Columns past the last one repeat it; rows past k hold anything, and may be written.
    """
    piece = 16 // BYTES[t.dtype]
    part = f"<{piece} x {t.kind}>"
    f = Function(
        f"internal void @pack_columns_{t.dtype}(ptr %from, i64 %step, i64 %k, i64 %count, i64 %vectors, ptr %to)"
    )
    width = f.mul("%vectors", t.lanes)
    whole = f.op(f"and i64 %k, {-piece}")
    rest = _mask(f, piece, f.sub("%k", whole))
    last = f.sub("%count", 1)

    def transpose(columns: list[str], at: Number, target: str, masked: bool) -> None:
        pieces = []
        for column in columns:
            place = f.at(column, t.kind, at)
            pieces.append(
                _load_masked(f, t.dtype, piece, place, rest) if masked else f.load(part, place, BYTES[t.dtype])
            )
        # vector r holds columns r, r + L, r + 2 L, …: piece after piece
        vectors = [_join(f, t.kind, pieces[r::piece], piece) for r in range(piece)]
        for i, value in enumerate(_transpose_pieces(f, t.vector, t.lanes, vectors)):
            f.store(t.vector, value, f.at(target, t.kind, f.mul(f.add(at, i), width)), 4)

    with f.loop(0, width, t.lanes) as j:
        columns = []
        for i in range(t.lanes):
            column = f.min(f.add(j, i), last)
            columns.append(f.at("%from", t.kind, f.mul(column, "%step")))
        target = f.at("%to", t.kind, j)
        with f.loop(0, whole, piece) as i:
            transpose(columns, i, target, False)
        with f.when(f.compare("ne", whole, "%k")):
            transpose(columns, whole, target, True)
    return f.text()


def _join(f: Function, kind: str, parts: list[str], length: int) -> str:
    """One vector of all parts, one after the other."""
    while len(parts) > 1:
        vector = f"<{length} x {kind}>"
        length *= 2
        order = ", ".join(f"i32 {i}" for i in range(length))
        parts = [
            f.op(f"shufflevector {vector} {a}, {vector} {b}, <{length} x i32> <{order}>")
            for a, b in zip(parts[::2], parts[1::2])
        ]
    return parts[0]


def _transpose_pieces(f: Function, vector: str, lanes: int, vectors: list[str]) -> list[str]:
    """L vectors as L × L matrices side by side (lanes 0 to L-1, L to 2L-1, …), each of them transposed."""
    size = len(vectors)

    def interleave(a: str, b: str, group: int, high: bool) -> str:
        # groups of elements, by turns from a and b, from the lower or upper half of each piece
        order = []
        for start in range(0, lanes, size):
            for first in range(start + (size // 2 if high else 0), start + (size if high else size // 2), group):
                order += [*range(first, first + group), *range(lanes + first, lanes + first + group)]
        numbers = ", ".join(f"i32 {i}" for i in order)
        return f.op(f"shufflevector {vector} {a}, {vector} {b}, <{lanes} x i32> <{numbers}>")

    if size == 2:
        return [interleave(*vectors, 1, high) for high in (False, True)]
    a, b, c, d = vectors
    low = [interleave(a, b, 1, False), interleave(c, d, 1, False)]
    high = [interleave(a, b, 1, True), interleave(c, d, 1, True)]
    return [interleave(*pair, 2, half) for pair in (low, high) for half in (False, True)]


def _pack_any(t: Tile) -> str:
    """As `_pack_rows`, with any strides: `step` from row to row, `across` within it."""
    f = Function(
        f"internal void @pack_any_{t.dtype}"
        "(ptr %from, i64 %step, i64 %across, i64 %k, i64 %count, i64 %vectors, ptr %to)"
    )
    width = f.mul("%vectors", t.lanes)
    with f.loop(0, "%k") as i:
        with f.loop(0, "%count") as j:
            value = f.load(t.kind, f.at("%from", t.kind, f.mul(i, "%step"), f.mul(j, "%across")))
            f.store(t.kind, value, f.at("%to", t.kind, f.mul(i, width), j))
        with f.loop("%count", width) as j:
            f.store(t.kind, "0.0", f.at("%to", t.kind, f.mul(i, width), j))
    return f.text()


def _copy_lines(t: Tile) -> str:
    """k lines of `count` contiguous elements, `step` apart, to lines without gaps: a block of A with contiguous
    columns."""
    f = Function(f"internal void @copy_lines_{t.dtype}(ptr %from, i64 %step, i64 %k, i64 %count, ptr %to)")
    mask = _mask(f, t.rows if t.rows in (2, 4, 8) else 8, "%count")
    lanes = 8
    with f.loop(0, "%k") as i:
        line = _load_masked(f, t.dtype, lanes, f.at("%from", t.kind, f.mul(i, "%step")), mask)
        _store_masked(f, t.dtype, lanes, line, f.at("%to", t.kind, f.mul(i, "%count")), mask)
    return f.text()


# --- what a product starts from


def _prepare(t: Tile) -> str:
    """C = bias, C = C + bias or C = 0, with any strides."""
    f = Function(
        f"internal void @prepare_{t.dtype}(ptr %c, i64 %c_row, i64 %c_col, ptr %bias, i64 %bias_row, i64 %bias_col, "
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


# --- a product of one element


def _dot(t: Tile) -> str:
    """*c += the sum of a[i] * b[i]: `LANES` chains, added up as a tree; strided operands are gathered in scratch."""
    f = Function(
        f"internal void @dot_{t.dtype}(ptr %a, i64 %a_step, ptr %b, i64 %b_step, i64 %k, ptr %c, ptr %scratch)"
    )
    vector = f"<16 x {t.kind}>"
    suffix = f"v16{t.dtype}"
    count = LANES // 16
    sums = [f.variable(vector, "zeroinitializer") for _ in range(count)]
    contiguous = {x: f.compare("eq", f"%{x}_step", 1) for x in "ab"}
    gathered = {"a": "%scratch", "b": f.at("%scratch", t.kind, BLOCK)}
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
                values = [_load_masked(f, t.dtype, 16, place, mask) for place in places]
            else:
                values = [f.load(vector, place, BYTES[t.dtype]) for place in places]
            f.store(vector, _fma(f, vector, suffix, *values, f.load(vector, sums[part])), sums[part])

        whole = f.op(f"and i64 {length}, {-LANES}")
        with f.loop(0, whole, LANES) as i:
            for part in range(count):
                add(i, part, "")
        rest = f.sub(length, whole)
        for part in range(count):
            with f.when(f.compare("sgt", rest, 16 * part)):
                add(whole, part, _mask(f, 16, f.min(f.sub(rest, 16 * part), 16)))
    totals = [f.load(vector, each) for each in sums]
    while len(totals) > 1:
        totals = [f.op(f"fadd {vector} {a}, {b}") for a, b in zip(totals[::2], totals[1::2])]
    total = totals[0]
    for half in (8, 4, 2, 1):
        lower, upper = (
            f.op(
                f"shufflevector <{2 * half} x {t.kind}> {total}, <{2 * half} x {t.kind}> poison, "
                f"<{half} x i32> <{', '.join(f'i32 {i}' for i in range(start, start + half))}>"
            )
            for start in (0, half)
        )
        total = f.op(f"fadd <{half} x {t.kind}> {lower}, {upper}")
    total = f.op(f"extractelement <1 x {t.kind}> {total}, i64 0")
    f.store(t.kind, f.op(f"fadd {t.kind} {f.load(t.kind, '%c')}, {total}"), "%c")
    return f.text()


# --- the whole


def _transposed(f: Function, r: dict[str, str], turn: str) -> dict[str, str]:
    """The row of Cᵀ = Bᵀ @ Aᵀ where `turn`, else `r` as it is."""
    out = dict(r)
    pairs = [("m", "n"), ("a_batch1", "b_batch1"), ("a_batch2", "b_batch2"), ("a_row", "b_col"), ("a_col", "b_row")]
    pairs += [("c_row", "c_col"), ("bias_row", "bias_col")]
    for x, y in pairs:
        out[x], out[y] = f.choose(turn, r[y], r[x]), f.choose(turn, r[x], r[y])
    return out


def _run_tile(f: Function, t: Tile, rows: str, vectors: str, cols: str, arguments: dict[str, str]) -> None:
    """Calls the tile of so many rows, vectors and columns."""
    last = f.sub(cols, f.mul(f.sub(vectors, 1), t.lanes))
    entry = f.mul(2, f.add(f.mul(f.sub(rows, 1), t.vectors), f.sub(vectors, 1)))
    if not t.masks:
        entry = f.add(entry, f.op(f"zext i1 {f.compare('ne', last, t.lanes)} to i64"))
    function = f.load("ptr", f.at(f"@tiles_{t.dtype}", "ptr", entry))
    names = ("ptr a", "i64 a_row", "i64 a_col", "ptr b", "i64 b_row", "i64 k", "ptr c", "i64 c_row", "ptr start")
    values = ", ".join(f"{name.split()[0]} {arguments[name.split()[1]]}" for name in (*names, "i64 start_row"))
    f.do(f"call void {function}({values}, i64 {last})")


def _height(f: Function, t: Tile, rest: str) -> str:
    """Rows of the next tile: as many as fit, but no lonely rows at the end."""
    half = f.op(f"lshr i64 {f.add(rest, 1)}, 1")
    few = f.both(f.compare("sgt", rest, t.rows), f.compare("slt", rest, t.rows + t.rows // 2))
    return f.choose(few, half, f.min(rest, t.rows))


def _width(f: Function, t: Tile, cols: str) -> str:
    """Vectors of the next tile: as many as fit, but 2 + 2 rather than 3 + 1."""
    rest = f.op(f"lshr i64 {f.add(cols, t.lanes - 1)}, {t.lanes.bit_length() - 1}")
    most = f.min(rest, t.vectors)
    return most if t.vectors == 2 else f.choose(f.compare("eq", rest, t.vectors + 1), 2, most)


def _gemm(t: Tile) -> str:
    f = Function(f"void @gemm_{t.dtype}(ptr %table, ptr %row)")
    r = f.entries("%row", ROW)
    has_bias = f.compare("sge", r["bias"], 0)
    accumulate = f.compare("ne", r["accumulate"], 0)
    starts = {x: f.buffer("%table", f.max(r[x], 0), t.kind, r[f"{x}_off"]) for x in OPERANDS}
    scratch = f.load("ptr", f.at("%table", "ptr", r["scratch"]))
    # Vectors run along the rows of C: transpose all where its columns are contiguous, or it is one column.
    lying = f.both(f.compare("ne", r["c_col"], 1), f.compare("eq", r["c_row"], 1))
    column = f.compare("eq", r["n"], 1)
    turn = f.either(column, f.both(lying, f.compare("ne", r["m"], 1)))
    r = _transposed(f, r, turn)
    starts["a"], starts["b"] = (
        f.choose(turn, starts["b"], starts["a"], "ptr"),
        f.choose(turn, starts["a"], starts["b"], "ptr"),
    )
    m, n, k = r["m"], r["n"], r["k"]
    single = f.both(f.compare("eq", m, 1), f.compare("eq", n, 1))
    empty = f.compare("eq", k, 0)
    # A bias is added by the tiles where it lies along C's rows; else it is put into C first.
    lies = f.both(f.compare("eq", r["bias_col"], 1), f.op(f"xor i1 {f.either(accumulate, single)}, true"))
    apart = f.both(has_bias, f.op(f"xor i1 {lies}, true"))
    fresh = f.both(f.either(empty, single), f.op(f"xor i1 {accumulate}, true"))
    prepare = f.either(apart, fresh)
    from_c = f.either(accumulate, apart)
    from_bias = f.both(has_bias, lies)
    contiguous = f.compare("eq", r["c_col"], 1)
    contiguous = f.either(contiguous, f.compare("eq", n, 1))
    b_rows = f.compare("eq", r["b_col"], 1)
    b_columns = f.compare("eq", r["b_row"], 1)
    pack_b = f.op(f"xor i1 {b_rows}, true")
    pack_b = f.either(pack_b, f.both(f.compare("sgt", m, PACK_B[0]), f.compare("sgt", f.mul(n, k), PACK_B[1])))
    pack_a = f.both(f.compare("eq", r["a_row"], 1), f.compare("ne", r["a_col"], 1))
    pack_a = f.both(pack_a, f.both(f.compare("sgt", n, PACK_A[0]), f.compare("sgt", f.mul(m, k), PACK_A[1])))
    depth = f.min(k, BLOCK)
    packed_a = f.at(scratch, t.kind, f.mul(f.add(f.min(n, COLS_BLOCK), 64), f.add(depth, 4)))
    buffer = f.slot(f"[{t.rows * t.width} x {t.kind}]", 64)
    with f.loop(0, r["batch1"]) as b1, f.loop(0, r["batch2"]) as b2:
        at = {x: f.at(starts[x], t.kind, f.mul(b1, r[f"{x}_batch1"]), f.mul(b2, r[f"{x}_batch2"])) for x in OPERANDS}
        with f.when(prepare):
            f.do(
                f"call void @prepare_{t.dtype}(ptr {at['c']}, i64 {r['c_row']}, i64 {r['c_col']}, ptr {at['bias']}, "
                f"i64 {r['bias_row']}, i64 {r['bias_col']}, i64 {m}, i64 {n}, i1 {has_bias}, i1 {accumulate})"
            )
        with f.when(single):
            f.do(
                f"call void @dot_{t.dtype}(ptr {at['a']}, i64 {r['a_col']}, ptr {at['b']}, i64 {r['b_row']}, "
                f"i64 {k}, ptr {at['c']}, ptr {scratch})"
            )
        cols = f.choose(single, 0, n)
        with f.loop(0, cols, COLS_BLOCK) as jc, f.loop(0, k, BLOCK) as pc:
            nc = f.min(f.sub(n, jc), COLS_BLOCK)
            kc = f.min(f.sub(k, pc), BLOCK)
            first = f.compare("eq", pc, 0)
            start = f.choose(from_c, at["c"], f.choose(from_bias, at["bias"], "null", "ptr"), "ptr")
            start = f.choose(first, start, at["c"], "ptr")
            at_bias = f.both(first, from_bias)
            start_row = f.choose(at_bias, r["bias_row"], r["c_row"])
            has_start = f.op(f"icmp ne ptr {start}, null")
            block_b = f.at(at["b"], t.kind, f.mul(pc, r["b_row"]), f.mul(jc, r["b_col"]))
            with f.when(pack_b):
                _pack_block_b(f, t, r, block_b, scratch, nc, kc, b_rows, b_columns)
            with f.loop(0, m, ROWS_BLOCK) as ic:
                mc = f.min(f.sub(m, ic), ROWS_BLOCK)
                block_a = f.at(at["a"], t.kind, f.mul(ic, r["a_row"]), f.mul(pc, r["a_col"]))
                with f.when(pack_a):
                    with f.walk(0, mc) as i:
                        i.step = _height(f, t, f.sub(mc, i.index))
                        f.do(
                            f"call void @copy_lines_{t.dtype}(ptr {f.at(block_a, t.kind, i.index)}, "
                            f"i64 {r['a_col']}, i64 {kc}, i64 {i.step}, "
                            f"ptr {f.at(packed_a, t.kind, f.mul(i.index, kc))})"
                        )
                with f.walk(0, nc) as j:
                    vectors = _width(f, t, f.sub(nc, j.index))
                    j.step = f.min(f.mul(vectors, t.lanes), f.sub(nc, j.index))
                    direct = f.at(block_b, t.kind, j.index)
                    panel = f.at(scratch, t.kind, f.mul(j.index, kc))
                    tile = {"b": f.choose(pack_b, panel, direct, "ptr"), "k": kc}
                    tile["b_row"] = f.choose(pack_b, f.mul(vectors, t.lanes), r["b_row"])
                    start_j = f.choose(has_start, f.at(start, t.kind, f.add(jc, j.index)), "null", "ptr")
                    with f.walk(0, mc) as i:
                        i.step = _height(f, t, f.sub(mc, i.index))
                        tile["a"] = f.choose(
                            pack_a,
                            f.at(packed_a, t.kind, f.mul(i.index, kc)),
                            f.at(block_a, t.kind, f.mul(i.index, r["a_row"])),
                            "ptr",
                        )
                        tile["a_row"] = r["a_row"]
                        tile["a_col"] = f.choose(pack_a, i.step, r["a_col"])
                        row = f.add(ic, i.index)
                        tile["start"] = f.choose(has_start, f.at(start_j, t.kind, f.mul(row, start_row)), "null", "ptr")
                        tile["start_row"] = start_row
                        tile["c_row"] = r["c_row"]
                        col = f.add(jc, j.index)
                        with f.when(contiguous):
                            tile["c"] = f.at(at["c"], t.kind, f.mul(row, r["c_row"]), col)
                            _run_tile(f, t, i.step, vectors, j.step, tile)
                        with f.unless(contiguous):
                            place = f.at(at["c"], t.kind, f.mul(row, r["c_row"]), f.mul(col, r["c_col"]))
                            # the start is C, and as strided as C, or the bias
                            by_c = f.both(has_start, f.op(f"xor i1 {at_bias}, true"))
                            with f.when(by_c), f.loop(0, i.step) as p, f.loop(0, j.step) as q:
                                value = f.load(t.kind, f.at(place, t.kind, f.mul(p, r["c_row"]), f.mul(q, r["c_col"])))
                                f.store(t.kind, value, f.at(buffer, t.kind, f.mul(p, t.width), q))
                            other = {"c": buffer, "c_row": t.width}
                            other["start"] = f.choose(by_c, buffer, tile["start"], "ptr")
                            other["start_row"] = f.choose(by_c, t.width, start_row)
                            _run_tile(f, t, i.step, vectors, j.step, tile | other)
                            with f.loop(0, i.step) as p, f.loop(0, j.step) as q:
                                value = f.load(t.kind, f.at(buffer, t.kind, f.mul(p, t.width), q))
                                f.store(t.kind, value, f.at(place, t.kind, f.mul(p, r["c_row"]), f.mul(q, r["c_col"])))
    return f.text()


def _pack_block_b(f, t, r, block, scratch, nc, kc, b_rows, b_columns) -> None:
    with f.walk(0, nc) as j:
        rest = f.sub(nc, j.index)
        vectors = _width(f, t, rest)
        j.step = f.min(f.mul(vectors, t.lanes), rest)
        source = f.at(block, t.kind, f.mul(j.index, r["b_col"]))
        target = f.at(scratch, t.kind, f.mul(j.index, kc))
        tail = f"i64 {kc}, i64 {j.step}, i64 {vectors}, ptr {target})"
        with f.when(b_rows):
            f.do(f"call void @pack_rows_{t.dtype}(ptr {source}, i64 {r['b_row']}, {tail}")
        with f.unless(b_rows):
            with f.when(b_columns):
                f.do(f"call void @pack_columns_{t.dtype}(ptr {source}, i64 {r['b_col']}, {tail}")
            with f.unless(b_columns):
                f.do(f"call void @pack_any_{t.dtype}(ptr {source}, i64 {r['b_row']}, i64 {r['b_col']}, {tail}")


PACK_B = (64, 1 << 16)  # from so many rows of A and elements of B on, contiguous rows of B are packed too
PACK_A = (96, 1 << 14)


def _declarations(t: Tile) -> list[str]:
    lines = [f"declare i64 @llvm.{name}.i64(i64, i64)" for name in ("smin", "smax")]
    for lanes in sorted({t.lanes, 16, 8, 16 // BYTES[t.dtype]}):
        vector, mask = f"<{lanes} x {t.kind}>", f"<{lanes} x i1>"
        suffix = f"v{lanes}{t.dtype}"
        lines.append(f"declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})")
        lines.append(f"declare {vector} @llvm.masked.load.{suffix}.p0(ptr, i32, {mask}, {vector})")
        lines.append(f"declare void @llvm.masked.store.{suffix}.p0({vector}, ptr, i32, {mask})")
    return lines


def module(dtype: str, registers: int | None = None) -> str:
    """The kernel's module, for vector registers of so many bytes (this machine's, if not given)."""
    t = tile_for(dtype, registers or host_registers())
    functions = (_pack_rows, _pack_columns, _pack_any, _copy_lines, _prepare, _dot, _gemm)
    return "\n".join([*_declarations(t), *_tiles(t), *(function(t) for function in functions)])
