"""Packing: parts of an operand laid out as a product's inner loop reads them.

A packed row is `vectors` whole vectors long; `_any` and `_rows` fill what is over with zeros, `_columns` with copies of
the last column. What the products compute from it is never stored.
"""

from __future__ import annotations

from collections.abc import Callable

from .native_text import BYTES, Function, Number
from .tiles import Tile, lane_mask, load_masked, next_width


def _pack_rows(t: Tile) -> str:
    """k rows of `count` contiguous elements, `step` apart, to rows of whole vectors, `vectors` each."""
    f = Function(f"internal void @pack_rows_{t.dtype}(ptr %from, i64 %step, i64 %k, i64 %count, i64 %vectors, ptr %to)")
    full = f.sub("%vectors", 1)
    mask = lane_mask(f, t.lanes, f.sub("%count", f.mul(full, t.lanes)))
    ends = f.mul(full, t.lanes)
    width = f.mul("%vectors", t.lanes)
    align = BYTES[t.dtype]
    with f.loop(0, "%k") as i:
        source = f.at("%from", t.kind, f.mul(i, "%step"))
        target = f.at("%to", t.kind, f.mul(i, width))
        with f.loop(0, ends, t.lanes) as j:
            f.store(t.vector, f.load(t.vector, f.at(source, t.kind, j), align), f.at(target, t.kind, j), align)
        rest = load_masked(f, t.dtype, t.lanes, f.at(source, t.kind, ends), mask)
        f.store(t.vector, rest, f.at(target, t.kind, ends), align)
    return f.text()


def _pack_columns(t: Tile) -> str:
    """As `_pack_rows`, from columns of contiguous elements, `step` apart; rows past k, up to whole vectors, hold
    anything."""
    f = Function(
        f"internal void @pack_columns_{t.dtype}(ptr %from, i64 %step, i64 %k, i64 %count, i64 %vectors, ptr %to)"
    )
    width = f.mul("%vectors", t.lanes)
    whole = f.op(f"and i64 %k, {-t.lanes}")
    rest = lane_mask(f, t.lanes, f.sub("%k", whole))
    multiples = step_multiples(f, t, "%step")
    complete = f.op(f"and i64 %count, {-t.lanes}")

    def move(columns: Callable[[Number], list[str]], j: Number) -> None:
        target = f.at("%to", t.kind, j)

        def block(i: Number, mask: str) -> None:
            for r, row in enumerate(transposed(f, t, columns(i), mask)):
                f.store(t.vector, row, f.at(target, t.kind, f.mul(f.add(i, r), width)), BYTES[t.dtype])

        with f.loop(0, whole, t.lanes) as i:
            block(i, "")
        with f.when(f.compare("ne", whole, "%k")):
            block(whole, rest)

    with f.loop(0, complete, t.lanes) as j:
        first = f.at("%from", t.kind, f.mul(j, "%step"))
        move(lambda i: column_addresses(f, t, f.at(first, t.kind, i), multiples), j)
    with f.when(f.compare("ne", complete, "%count")):
        offsets = clamped_offsets(f, t, complete, "%count", "%step")
        move(lambda i: [f.at("%from", t.kind, f.add(each, i)) for each in offsets], complete)
    return f.text()


def step_multiples(f: Function, t: Tile, step: str) -> dict[int, Number]:
    """The products that `column_addresses` adds, to be computed before a loop."""
    return {i: f.mul(i, step) for i in (*range(4), *range(4, t.lanes, 4))}


def column_addresses(f: Function, t: Tile, first: str, multiples: dict[int, Number]) -> list[str]:
    """Addresses of as many columns as a vector has lanes, from few registers."""
    fourths = [f.at(first, t.kind, multiples[i]) for i in range(0, t.lanes, 4)]
    return [f.at(fourths[i // 4], t.kind, multiples[i % 4]) for i in range(t.lanes)]


def clamped_offsets(f: Function, t: Tile, first: Number, count: str, step: str) -> list[Number]:
    """Offsets of the columns from `first`, the last one again in place of those that are not there."""
    last = f.sub(count, 1)
    return [f.mul(f.min(f.add(first, i), last), step) for i in range(t.lanes)]


def transposed(f: Function, t: Tile, columns: list[str], mask: str) -> list[str]:
    """Vectors from as many addresses as they have lanes, as rows: row i has element i of each.

    Elements move in pieces of 16 bytes first, then within the pieces: the shuffles that processors have.
    """
    vectors = [
        load_masked(f, t.dtype, t.lanes, column, mask) if mask else f.load(t.vector, column, BYTES[t.dtype])
        for column in columns
    ]
    size = 16 // BYTES[t.dtype]
    # piece q of columns r, r + size, r + 2 size, … side by side, for each r and q
    parts = [_transpose_pieces(f, t, vectors[r::size], size) for r in range(size)]
    return [row for q in range(t.lanes // size) for row in _transpose_within(f, t, [part[q] for part in parts])]


def _shuffle(f: Function, t: Tile, a: str, b: str, order: list[int]) -> str:
    numbers = ", ".join(f"i32 {i}" for i in order)
    return f.op(f"shufflevector {t.vector} {a}, {t.vector} {b}, <{t.lanes} x i32> <{numbers}>")


def _transpose_pieces(f: Function, t: Tile, vectors: list[str], size: int) -> list[str]:
    """1, 2 or 4 vectors of as many pieces of `size` elements: result q has piece q of each."""

    def pick(a: str, b: str, *pieces: int) -> str:
        order = [size * piece + i for piece in pieces for i in range(size)]
        return _shuffle(f, t, a, b, [*order, *(t.lanes + i for i in order)])

    if len(vectors) == 1:
        return vectors
    if len(vectors) == 2:
        return [pick(*vectors, q) for q in range(2)]
    a, b, c, d = vectors
    halves = [(pick(a, b, *half), pick(c, d, *half)) for half in ((0, 1), (2, 3))]
    return [pick(*half, *pieces) for half in halves for pieces in ((0, 2), (1, 3))]


def _transpose_within(f: Function, t: Tile, vectors: list[str]) -> list[str]:
    """As many vectors as a piece has elements, as matrices side by side, a piece a row: each is transposed."""
    size = len(vectors)

    def interleave(a: str, b: str, group: int, high: bool) -> str:
        # groups of elements by turns from a and b, from the lower or the upper half of each piece
        half = range(size // 2, size) if high else range(size // 2)
        firsts = [start + i for start in range(0, t.lanes, size) for i in half[::group]]
        return _shuffle(f, t, a, b, [s + i + j for i in firsts for s in (0, t.lanes) for j in range(group)])

    if size == 2:
        return [interleave(*vectors, 1, high) for high in (False, True)]
    a, b, c, d = vectors
    pairs = [(interleave(a, b, 1, high), interleave(c, d, 1, high)) for high in (False, True)]
    return [interleave(*pair, 2, high) for pair in pairs for high in (False, True)]


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


def pack_b(f: Function, t: Tile, block: str, strides: tuple[str, str], sizes: tuple[str, str], to: str) -> None:
    """Packs a block of B, panel after panel, each as wide as the tiles that will read it."""
    row, col = strides
    depth, count = sizes
    by_rows = f.compare("eq", col, 1)
    by_columns = f.compare("eq", row, 1)
    with f.walk(0, count) as j:
        rest = f.sub(count, j.index)
        vectors = next_width(f, t, rest)
        j.step = f.min(f.mul(vectors, t.lanes), rest)
        source = f.at(block, t.kind, f.mul(j.index, col))
        tail = f"i64 {depth}, i64 {j.step}, i64 {vectors}, ptr {f.at(to, t.kind, f.mul(j.index, depth))})"
        with f.when(by_rows):
            f.do(f"call void @pack_rows_{t.dtype}(ptr {source}, i64 {row}, {tail}")
        with f.unless(by_rows):
            with f.when(by_columns):
                f.do(f"call void @pack_columns_{t.dtype}(ptr {source}, i64 {col}, {tail}")
            with f.unless(by_columns):
                f.do(f"call void @pack_any_{t.dtype}(ptr {source}, i64 {row}, i64 {col}, {tail}")


def functions(t: Tile) -> list[str]:
    return [function(t) for function in (_pack_rows, _pack_columns, _pack_any)]
