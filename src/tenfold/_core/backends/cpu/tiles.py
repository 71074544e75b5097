"""Tiles of a matrix product: the part of C that is computed in registers.

In: a `Tile`, which says what fits the machine's registers. Out: functions of LLVM IR, one for each number of rows and
vectors up to the tile's, and the instructions that choose and call the right one.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import jit
from .native_text import BYTES, ELEMENTS, Function, Number

BLOCK = 128  # values of k in a chain; part of the meaning of a product, so never to be tuned to a machine
ROWS_BLOCK = 512  # bytes: so long is the part of a column of A that is used again and again from the second cache
COLS_BLOCK = 1920  # bytes: so long is the part of a row of B that is packed at a time
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

    @property
    def rows_block(self) -> int:
        return ROWS_BLOCK // BYTES[self.dtype]

    @property
    def cols_block(self) -> int:
        return COLS_BLOCK // BYTES[self.dtype]


def tile_for(dtype: str, registers: int) -> Tile:
    """The tile for vector registers of so many bytes: 32 of them at 64 bytes (AVX-512), else 16 (AVX2, NEON)."""
    lanes = registers // BYTES[dtype]
    return Tile(dtype, lanes, 8, 3, True) if registers == 64 else Tile(dtype, lanes, 6, 2, False)


def host_registers() -> int:
    """Bytes of a vector register of this machine."""
    features = jit.compiler().features
    if features.get("avx512f") and features.get("avx512vl"):
        return 64
    return 32 if features.get("avx2") else 16


# --- vectors


def splat(f: Function, vector: str, scalar: str, kind: str) -> str:
    lanes = vector[1:].split()[0]
    one = f.op(f"insertelement {vector} poison, {kind} {scalar}, i64 0")
    return f.op(f"shufflevector {vector} {one}, {vector} poison, <{lanes} x i32> zeroinitializer")


def lane_mask(f: Function, lanes: int, count: Number) -> str:
    """True in the first `count` lanes."""
    numbers = ", ".join(f"i32 {i}" for i in range(lanes))
    limit = splat(f, f"<{lanes} x i32>", f.op(f"trunc i64 {count} to i32"), "i32")
    return f.op(f"icmp ult <{lanes} x i32> <{numbers}>, {limit}")


def load_masked(f: Function, dtype: str, lanes: int, pointer: str, mask: str) -> str:
    vector = f"<{lanes} x {ELEMENTS[dtype]}>"
    name = f"@llvm.masked.load.v{lanes}{dtype}.p0"
    align = BYTES[dtype]
    return f.op(f"call {vector} {name}(ptr {pointer}, i32 {align}, <{lanes} x i1> {mask}, {vector} zeroinitializer)")


def store_masked(f: Function, dtype: str, lanes: int, value: str, pointer: str, mask: str) -> None:
    vector = f"<{lanes} x {ELEMENTS[dtype]}>"
    name = f"@llvm.masked.store.v{lanes}{dtype}.p0"
    f.do(f"call void {name}({vector} {value}, ptr {pointer}, i32 {BYTES[dtype]}, <{lanes} x i1> {mask})")


def fma(f: Function, vector: str, suffix: str, a: str, b: str, c: str) -> str:
    return f.op(f"call {vector} @llvm.fma.{suffix}({vector} {a}, {vector} {b}, {vector} {c})")


def add_up(f: Function, kind: str, lanes: int, vectors: list[str]) -> str:
    """The sum of all lanes of some vectors (powers of two): a tree, vectors first and then halves of the last one."""
    vector = f"<{lanes} x {kind}>"
    while len(vectors) > 1:
        vectors = [f.op(f"fadd {vector} {a}, {b}") for a, b in zip(vectors[::2], vectors[1::2])]
    total = vectors[0]
    while lanes > 1:
        whole, half = f"<{lanes} x {kind}>", lanes // 2
        parts = []
        for start in (0, half):
            order = ", ".join(f"i32 {i}" for i in range(start, start + half))
            parts.append(f.op(f"shufflevector {whole} {total}, {whole} poison, <{half} x i32> <{order}>"))
        total = f.op(f"fadd <{half} x {kind}> {parts[0]}, {parts[1]}")
        lanes = half
    return f.op(f"extractelement <1 x {kind}> {total}, i64 0")


def load_spaced(f: Function, t: Tile, pointer: str, inside: str, step: int) -> str:
    """A vector of elements that lie `step` (1 or 2) apart, zero where the i32 in `inside` are; those are not read."""
    flags = f"<{t.lanes} x i32>"

    def load(place: str, chosen: str) -> str:
        mask = f.op(f"icmp ne {flags} {chosen}, zeroinitializer")
        return load_masked(f, t.dtype, t.lanes, place, mask)

    if step == 1:
        return load(pointer, inside)
    halves = []
    for start in (0, t.lanes // 2):
        order = ", ".join(f"i32 {start + i // 2 if i % 2 == 0 else t.lanes}" for i in range(t.lanes))
        chosen = f.op(f"shufflevector {flags} {inside}, {flags} zeroinitializer, <{t.lanes} x i32> <{order}>")
        halves.append(load(f.at(pointer, t.kind, 2 * start), chosen))
    order = ", ".join(f"i32 {2 * i}" for i in range(t.lanes))
    return f.op(f"shufflevector {t.vector} {halves[0]}, {t.vector} {halves[1]}, <{t.lanes} x i32> <{order}>")


# --- how a tile finds the elements of A and the rows of B


class Strides:
    """A by strides, B by the stride of its rows."""

    name = "tile"
    operands = "ptr noalias %a, i64 %a_row, i64 %a_col, ptr noalias %b, i64 %b_row"

    def __init__(self, f: Function, t: Tile, rows: int) -> None:
        self.f, self.t, self.rows = f, t, rows
        # Rows of A are addressed from every third one, so that few pointers have to move.
        self.offsets = [0, "%a_row", f.mul(2, "%a_row")]
        self.at_a = [f.variable("ptr", f.at("%a", t.kind, f.mul(r, "%a_row"))) for r in range(0, rows, 3)]
        self.at_b = f.variable("ptr", "%b")

    def addresses(self, k: str) -> tuple[list[str], str]:
        """Of A's elements in column k, a row each, and of B's row k; k counts from 0."""
        f, kind = self.f, self.t.kind
        b = f.load("ptr", self.at_b)
        f.store("ptr", f.at(b, kind, "%b_row"), self.at_b)
        thirds = [f.load("ptr", pointer) for pointer in self.at_a]
        for pointer, third in zip(self.at_a, thirds):
            f.store("ptr", f.at(third, kind, "%a_col"), pointer)
        return [f.at(thirds[r // 3], kind, self.offsets[r % 3]) for r in range(self.rows)], b


class Offsets(Strides):
    """A's columns and B's rows by a table: for each k, the offsets of both."""

    name = "tile_by_offsets"
    operands = "ptr noalias %a, i64 %a_row, ptr noalias %b, ptr noalias %offsets"

    def addresses(self, k: str) -> tuple[list[str], str]:
        f, kind = self.f, self.t.kind
        pair = f.at("%offsets", "i64", f.mul(k, 2))
        column, row = f.load("i64", pair), f.load("i64", f.at(pair, "i64", 1))
        thirds = [f.at(f.load("ptr", pointer), kind, column) for pointer in self.at_a]
        return [f.at(thirds[r // 3], kind, self.offsets[r % 3]) for r in range(self.rows)], f.at("%b", kind, row)


class Lines(Strides):
    """A's rows by a table of offsets, contiguous; B by the stride of its rows."""

    name = "tile_by_lines"
    operands = "ptr noalias %a, ptr noalias %lines, ptr noalias %b, i64 %b_row"

    def __init__(self, f: Function, t: Tile, rows: int) -> None:
        self.f, self.t, self.rows = f, t, rows
        self.lines = [f.at("%a", t.kind, f.load("i64", f.at("%lines", "i64", r))) for r in range(rows)]
        self.at_b = f.variable("ptr", "%b")

    def addresses(self, k: str) -> tuple[list[str], str]:
        f, kind = self.f, self.t.kind
        b = f.load("ptr", self.at_b)
        f.store("ptr", f.at(b, kind, "%b_row"), self.at_b)
        return [f.at(line, kind, k) for line in self.lines], b


# --- the tile

RESULT = "i64 %k, ptr %c, i64 %c_row, ptr %start, i64 %start_row, i64 %last"


def _tile_name(t: Tile, way: type[Strides], rows: int, vectors: int, ragged: bool) -> str:
    return f"@{way.name}_{t.dtype}_{rows}x{vectors}{'_ragged' if ragged else ''}"


def _tile(t: Tile, way: type[Strides], rows: int, vectors: int, ragged: bool) -> str:
    """C = start + A @ B for a tile of `rows` × `vectors`, a null start being zero; of the last vector of a ragged
    tile only `last` lanes are there. One chain of fused multiply-adds over k for each element."""
    f = Function(f"internal void {_tile_name(t, way, rows, vectors, ragged)}({way.operands}, {RESULT})")
    mask = lane_mask(f, t.lanes, "%last") if ragged else ""

    def load(pointer: str, v: int) -> str:
        place = f.at(pointer, t.kind, v * t.lanes)
        if ragged and v == vectors - 1:
            return load_masked(f, t.dtype, t.lanes, place, mask)
        return f.load(t.vector, place, BYTES[t.dtype])

    tile = [(r, v) for r in range(rows) for v in range(vectors)]
    sums = {each: f.variable(t.vector, "zeroinitializer") for each in tile}
    operands = way(f, t, rows)
    with f.loop(0, "%k") as k:
        at_a, at_b = operands.addresses(k)
        columns = [load(at_b, v) for v in range(vectors)]
        for r in range(rows):
            a = splat(f, t.vector, f.load(t.kind, at_a[r]), t.kind)
            for v in range(vectors):
                f.store(t.vector, fma(f, t.vector, t.suffix, a, columns[v], f.load(t.vector, sums[r, v])), sums[r, v])
    with f.when(f.op("icmp ne ptr %start, null")):
        for r, v in tile:
            start = load(f.at("%start", t.kind, f.mul(r, "%start_row")), v)
            f.store(t.vector, f.op(f"fadd {t.vector} {start}, {f.load(t.vector, sums[r, v])}"), sums[r, v])
    for r, v in tile:
        place = f.at(f.at("%c", t.kind, f.mul(r, "%c_row")), t.kind, v * t.lanes)
        if ragged and v == vectors - 1:
            store_masked(f, t.dtype, t.lanes, f.load(t.vector, sums[r, v]), place, mask)
        else:
            f.store(t.vector, f.load(t.vector, sums[r, v]), place, BYTES[t.dtype])
    return f.text()


def tiles(t: Tile, way: type[Strides] = Strides) -> list[str]:
    """All tiles, and the table of their addresses: [rows - 1][vectors - 1][ragged]."""
    variants = (True,) if t.masks else (False, True)
    names = []
    texts = []
    for rows in range(1, t.rows + 1):
        for vectors in range(1, t.vectors + 1):
            texts += [_tile(t, way, rows, vectors, ragged) for ragged in variants]
            names += [f"ptr {_tile_name(t, way, rows, vectors, ragged or t.masks)}" for ragged in (False, True)]
    table = f"@{way.name}s_{t.dtype} = internal constant [{len(names)} x ptr] [{', '.join(names)}]\n"
    return [*texts, table]


# --- use


def run_tile(
    f: Function,
    t: Tile,
    rows: Number,
    vectors: Number,
    cols: Number,
    arguments: dict[str, Number],
    way: type[Strides] = Strides,
) -> None:
    """Calls the tile of so many rows, vectors and columns."""
    last = f.sub(cols, f.mul(f.sub(vectors, 1), t.lanes))
    entry = f.mul(2, f.add(f.mul(f.sub(rows, 1), t.vectors), f.sub(vectors, 1)))
    if not t.masks:
        entry = f.add(entry, f.op(f"zext i1 {f.compare('ne', last, t.lanes)} to i64"))
    function = f.load("ptr", f.at(f"@{way.name}s_{t.dtype}", "ptr", entry))
    parameters = f"{way.operands}, {RESULT}".replace("noalias ", "").split(", ")
    given = [text.split(" %") for text in parameters[:-1]]
    values = ", ".join(f"{kind} {arguments[name]}" for kind, name in given)
    f.do(f"call void {function}({values}, i64 {last})")


def next_height(f: Function, t: Tile, rest: str) -> str:
    """Rows of the next tile: as many as fit, but no lonely rows at the end."""
    half = f.op(f"lshr i64 {f.add(rest, 1)}, 1")
    few = f.both(f.compare("sgt", rest, t.rows), f.compare("slt", rest, t.rows + t.rows // 2))
    return f.choose(few, half, f.min(rest, t.rows))


def next_width(f: Function, t: Tile, cols: str) -> str:
    """Vectors of the next tile: as many as fit, but 2 + 2 rather than 3 + 1."""
    rest = f.op(f"lshr i64 {f.add(cols, t.lanes - 1)}, {t.lanes.bit_length() - 1}")
    most = f.min(rest, t.vectors)
    return most if t.vectors == 2 else f.choose(f.compare("eq", rest, t.vectors + 1), 2, most)


def declarations(t: Tile) -> list[str]:
    lines = [f"declare i64 @llvm.{name}.i64(i64, i64)" for name in ("smin", "smax")]
    for lanes in sorted({t.lanes, 16, 8, 16 // BYTES[t.dtype]}):
        vector, mask = f"<{lanes} x {t.kind}>", f"<{lanes} x i1>"
        suffix = f"v{lanes}{t.dtype}"
        lines.append(f"declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})")
        lines.append(f"declare {vector} @llvm.masked.load.{suffix}.p0(ptr, i32, {mask}, {vector})")
        lines.append(f"declare void @llvm.masked.store.{suffix}.p0({vector}, ptr, i32, {mask})")
    lines.append("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
    return lines
