"""Sums and products of few numbers, in the order in which PyTorch's CPU build adds them.

Where a result hangs on the last bits of what went in (layer normalisation over few features, a softmax's gradient, a
line search), two programs agree only if they round alike. The order here was read off products and sums that show it
(docs/design/2026-11-24-the-order-of-small-sums.md), and off PyTorch's source where that is open. Beyond `SMALL` numbers
NumPy and its BLAS are faster; their products are added in order with fused multiply-adds, as PyTorch's large ones are.
"""

from __future__ import annotations

import numpy as np

from ..backends.numpy.blas import matmul
from ..ir.arrays import Symbolic

SINGLE, DOUBLE = np.dtype("f4"), np.dtype("f8")
SMALL = 1024  # numbers to add
FEW = 16  # so many float32 fill a register of 64 bytes, and are added in another order
LANES = {SINGLE: 4, DOUBLE: 2}  # numbers in a register of 16 bytes
BLAS_BATCH = 400  # PyTorch multiplies batches of smaller products with plain loops


def in_order(x: np.ndarray, axis: int) -> np.ndarray:
    """The sum along an axis, one after another: NumPy adds pairwise along the axis that is innermost in memory."""
    if isinstance(x, Symbolic) or axis == -2 and x.shape[-1] > 1:
        return np.add.reduce(x, axis)
    return np.add.accumulate(x, axis)[(..., -1, slice(None)) if axis == -2 else (..., -1)]


def fma(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """x * y + z, for float32 rounded once, as the instruction does (twice in one of a billion cases)."""
    if x.dtype is not SINGLE or isinstance(x, Symbolic):
        return x * y + z
    return (np.multiply(x, y, dtype=DOUBLE) + z).astype(SINGLE)


# --- products of matrices -----------------------------------------------------------------------------------------


def product(a: np.ndarray, b: np.ndarray, batches: bool = True) -> np.ndarray:
    """a @ b. Small ones are added in order of the inner dim, each product of numbers rounded first.

    batches: whether more than two dims are a batch to PyTorch, or one call of BLAS for each matrix."""
    if isinstance(a, Symbolic) or a.ndim < 2 or b.ndim < 2:
        return np.matmul(a, b)
    if a.size * b.shape[-1] > SMALL or a.dtype not in LANES or a.dtype != b.dtype:
        return matmul(a, b)
    rows, inner = a.shape[-2:]
    columns = b.shape[-1]
    if inner < 2 or not 0 < b.size * rows <= SMALL:
        return np.matmul(a, b)
    looped = batches and a.ndim > 2 and rows * inner * columns < BLAS_BATCH
    if not looped:
        if rows >= 4 and columns >= 12:  # MKL's kernels with fused multiply-adds
            return np.matmul(a, b)
        step = a.itemsize
        if rows > 1 and a.strides[-1] == step == b.strides[-2] and b.strides[-1] != step:
            return _rows_by_rows(a, b.swapaxes(-1, -2))
    return in_order(np.multiply(a[..., None], b[..., None, :, :], order="C"), -2)


def _rows_by_rows(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The dot product of each row of a with each of b, four of b's rows at a time."""
    products = np.multiply(a[..., :, None, :], b[..., None, :, :], order="C")
    whole = b.shape[-2] // 4 * 4
    if whole == b.shape[-2]:
        return _by_lanes(products, 1)
    odd = _by_lanes(products[..., whole:, :], 8 // LANES[a.dtype])
    return np.concatenate((_by_lanes(products[..., :whole, :], 1), odd), -1) if whole else odd


def _by_lanes(x: np.ndarray, registers: int) -> np.ndarray:
    """The sum along the last axis as so many registers add: each by itself, then in pairs, then their lanes in pairs,
    then what did not fill them."""
    lanes = LANES[x.dtype]
    n = x.shape[-1]
    whole = n // (registers * lanes) * (registers * lanes)
    if not whole:
        return in_order(x, -1)
    total = x[..., :whole].reshape(*x.shape[:-1], -1, registers * lanes)
    total = in_order(total, -2) if total.shape[-2] > 1 else total[..., 0, :]
    total = total.reshape(*total.shape[:-1], registers, lanes)
    while total.shape[-2] > 1:
        total = total[..., ::2, :] + total[..., 1::2, :]
    total = total[..., 0, :]
    while total.shape[-1] > 1:
        half = total.shape[-1] // 2
        total = total[..., :half] + total[..., half:]
    if whole == n:
        return total[..., 0]
    return in_order(np.concatenate((total, x[..., whole:]), -1), -1)


# --- sums ---------------------------------------------------------------------------------------------------------


def sum_columns(x: np.ndarray) -> np.ndarray:
    """The sum of a matrix's rows, (N, M) to (M): of as many columns at once as fill four registers of 32 bytes, then of
    one register, then of one column."""
    rows, columns = x.shape
    lanes = 2 * LANES[x.dtype]
    wide = 4 * lanes if columns >= lanes else 4
    whole = columns // wide * wide
    if rows < 5 or whole == columns:
        return _cascade(x)
    if not whole:
        return _interleaved(x)
    return np.concatenate((_cascade(x[:, :whole]), _interleaved(x[:, whole:])))


def sum_rows(x: np.ndarray) -> np.ndarray:
    """The sum along the last axis: each lane of a register of 32 bytes; then what fills none, and the lanes."""
    n = x.shape[-1]
    if n < 5:
        return in_order(x, -1)
    lanes = 2 * LANES[x.dtype]
    whole = n // lanes * lanes
    if not whole:
        return _interleaved(x[..., None])[..., 0]
    parts = _interleaved(x[..., :whole].reshape(*x.shape[:-1], -1, lanes))
    return in_order(parts if whole == n else np.concatenate((x[..., whole:], parts), -1), -1)


def _interleaved(x: np.ndarray) -> np.ndarray:
    """The sum along the last axis but one in four interleaved parts, to the first of which the odd ones at the end go."""
    n = x.shape[-2]
    if n < 4:
        return in_order(x, -2) if n > 1 else x[..., 0, :]
    quarter = n // 4
    parts = x[..., : 4 * quarter, :]
    if quarter > 1:
        parts = _cascade(parts.reshape(*x.shape[:-2], quarter, -1)).reshape(*x.shape[:-2], 4, x.shape[-1])
    if n > 4 * quarter:
        parts = np.concatenate((parts[..., :1, :], x[..., 4 * quarter :, :], parts[..., 1:, :]), -2)
    return in_order(parts, -2)


def _cascade(x: np.ndarray, block: int = 16) -> np.ndarray:
    """The sum along the last axis but one: in blocks, in blocks of blocks, and so on; the smallest remainder first."""
    n = x.shape[-2]
    if n < block:
        return in_order(x, -2)
    whole = n // block * block
    total = _cascade(in_order(x[..., :whole, :].reshape(*x.shape[:-2], -1, block, x.shape[-1]), -2))
    return total if whole == n else in_order(x[..., whole:, :], -2) + total
