"""How large steps are cut into chunks that threads share: see backends/cpu/threads.py.

A step is cut along one loop of results, and no element's order of additions changes by that. The chunks depend on sizes
alone. Work is counted in nanoseconds that one thread takes, roughly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..backends.cpu import convolution, matmul, side_by_side, threads
from ..backends.cpu.native_text import BYTES
from ..backends.cpu.threads import Split
from ..ir.loops import Kernel
from ..ir.sizes import is_unknown

if TYPE_CHECKING:
    from .build import ConvolutionStep, KernelStep, ProductStep

LEAST = 120_000  # work from which on a step is cut
CHUNK = 20_000  # work of a chunk, at least
FEWEST, MOST = 4, 16  # chunks; a claimed one is a bit of 20 (threads.py)
LINE = 64  # elements of neighbours that are never cut apart
PLAIN = frozenset(
    ("const", "copy", "cast", "select", "add", "sub", "mul", "and", "or", "xor", "not", "neg", "abs", "max", "min", "fmax",
     "fmin", "floor", "ceil", "rint", "trunc", "lt", "le", "gt", "ge", "eq", "ne", "copysign", "require")
)  # fmt: skip
ROWS, COLUMNS = 24, 48  # of a product that are never cut apart: whole tiles
PLANES = 16  # channels or features of a convolution that are never cut apart
MULTIPLY_ADD = {"f32": 0.02, "f64": 0.04}


def is_cut(work: float) -> bool:
    """Whether a step is worth it. One whose sizes are put in afterwards is not cut, since the cut depends on them."""
    return threads.MOST > 1 and not is_unknown(work) and work >= LEAST


def _step(work: float, total: int, unit: int) -> int:
    """The turns of a loop that make a chunk, a multiple of `unit`."""
    chunks = max(FEWEST, min(MOST, int(work / CHUNK)))
    return -(-total // (chunks * unit)) * unit


# --- kernels


def kernel_work(s: KernelStep) -> float:
    each = 0.05 + sum(_access_cost(s.kernel, a) for a in range(len(s.kernel.accesses)))
    for statement in s.kernel.body:
        if statement.op in ("div", "sqrt"):
            each += 0.2
        elif statement.op not in ("load", "take"):
            each += 0.03 if statement.op in PLAIN else 1.0
    return each * math.prod(s.sizes)


def _access_cost(kernel: Kernel, a: int) -> float:
    access = kernel.accesses[a]
    return 0.6 if access.taken or access.inner == "strided" else 0.1 if access.inner == "unit" else 0.0


def kernel(s: KernelStep) -> Split | None:
    work = kernel_work(s)
    if not is_cut(work):
        return None
    k = s.kernel
    written = {a for _, a in k.stores} | {a for _, _, a in k.folds}
    strides = [p[2] for p in s.placed]
    last = len(k.loops) - 1
    best = None
    for d, kind in enumerate(k.loops):
        unit = LINE if d == last else 1
        if kind == "k" and all(strides[a][d] for a in written):
            pieces = min(s.sizes[d] // unit, FEWEST)
            if pieces > 1 and (best is None or pieces > best[0]):
                best = pieces, d, unit
    if best is None:
        return None
    _, d, unit = best
    moved = []
    place = len(k.loops)
    for access, along in zip(k.accesses, strides):
        if along[d]:
            moved.append((place + 1, along[d]))
        place += 2 + len(k.loops) + 2 * access.taken
    return Split(s.sizes[d], _step(work, s.sizes[d], unit), d, -1, tuple(moved))


# --- products


def product_work(s: ProductStep) -> float:
    m, n = s.shape[-2:]
    batch = math.prod(s.shape[:-2])
    return batch * (m * n * s.inner * MULTIPLY_ADD[s.dtype] + 0.1 * (m * s.inner + s.inner * n + m * n))


def product(s: ProductStep, row: dict[str, int]) -> Split | None:
    """By batches, else by rows or columns of C: those that the kernel packs B for once."""
    work = product_work(s)
    if not is_cut(work):
        return None
    many = max(("batch1", "batch2"), key=lambda b: row[b])
    if row[many] >= FEWEST:
        moved = {f"{x}_off": row[f"{x}_{many}"] for x in matmul.OPERANDS}
        return _of_row(matmul.ROW, row, len(s.scratch), work, many, 1, moved)
    ways = {
        "m": {"a_off": row["a_row"], "c_off": row["c_row"], "bias_off": row["bias_row"]},
        "n": {"b_off": row["b_col"], "c_off": row["c_col"], "bias_off": row["bias_col"]},
    }
    upright = row["n"] == 1 or (row["c_row"] == 1 and row["c_col"] != 1 and row["m"] != 1)
    down, across, step = ("n", "m", row["a_row"]) if upright else ("m", "n", row["b_col"])
    large = row[down] > matmul.PACK_ROWS and row[across] * s.inner * BYTES[s.dtype] > matmul.PACK_BYTES
    by, unit = (across, COLUMNS) if step != 1 or large else (down, ROWS)
    if row[by] < FEWEST * unit and (row[down] // ROWS > row[across] // COLUMNS) != (by == down):
        by, unit = (across, COLUMNS) if by == down else (down, ROWS)
    return _of_row(matmul.ROW, row, len(s.scratch), work, by, unit, ways[by], other=row["n" if by == "m" else "m"])


# --- convolutions


def convolution_work(s: ConvolutionStep) -> float:
    return math.prod(s.y.shape) * math.prod(s.w.shape[1:]) * 1.5 * MULTIPLY_ADD[s.dtype]


def convolve(s: ConvolutionStep, row: dict[str, int]) -> Split | None:
    """By images, groups, or features or channels of a result; a gradient by the weights has all images in each element."""
    work = convolution_work(s)
    if not is_cut(work):
        return None
    groups = {"x_off": row["channels"] * row["x_channel"], "y_off": row["features"] * row["y_channel"]}
    groups["w_off"] = row["features"] * row["w_feature"]
    features = {"w_off": row["w_feature"], "y_off": row["y_channel"]}
    channels = {"w_off": row["w_channel"], "x_off": row["x_channel"]}
    ways = [("groups", 1, groups)]
    if s.kernel != "conv_weight":
        together = side_by_side.IMAGES if side_by_side.scratch_elements(s.dtype, row) else 1
        ways.insert(0, ("batch", together, {"x_off": row["x_batch"], "y_off": row["y_batch"]}))
    if row["groups"] == 1 and min(row["channels"], row["features"]) > 1:
        both = [("features", PLANES, features), ("channels", PLANES, channels)]
        if s.kernel == "conv_weight":
            both = [(name, PLANES, moved) for name, _, moved in sorted(both, key=lambda way: -row[way[0]])]
        ways += both[s.kernel == "conv_input" :][:1]
    name, unit, moved = max(ways, key=lambda way: min(row[way[0]] // way[1], FEWEST))
    return _of_row(convolution.ROW, row, len(s.scratch), work, name, unit, moved)


def _of_row(
    names, row, threads: int, work: float, size: str, unit: int, moved: dict[str, int], other: int = 2
) -> Split | None:
    """The cut of a loop that `row` calls `size`."""
    total = row[size]
    step = _step(work, total, unit)
    while other == 1 and step < total and total % step == 1:
        step += 1  # a product with a single element is added up in another way
    if step >= total or threads == 1:
        return None
    places = tuple((names.index(x), by) for x, by in moved.items() if by)
    return Split(total, step, names.index(size), names.index("scratch"), places, threads)
