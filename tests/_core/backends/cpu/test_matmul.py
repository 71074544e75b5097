"""Matrix products of every size and layout against NumPy in float64."""

import ctypes

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from tenfold._core.backends.cpu import matmul

DTYPES = {"f32": np.float32, "f64": np.float64}
GUARD = 24


@pytest.fixture(scope="session")
def gemm(native):
    return {dtype: native(matmul.module(dtype), f"gemm_{dtype}") for dtype in DTYPES}


def strides(array):
    return [s // array.itemsize for s in array.strides]


def call(kernel, a, b, c, bias=None, accumulate=False):
    """`c[...] = a @ b`: all of them views with four dims, two batch dims first; `bias` broadcasts to c."""
    dtype = {4: "f32", 8: "f64"}[c.itemsize]
    m, k = a.shape[-2:]
    n = b.shape[-1]
    size = matmul.scratch_bytes(dtype, m, n, k)
    scratch = np.full(size + GUARD, 0xA5, np.uint8)
    views = {"a": a, "b": b, "c": c, "bias": c if bias is None else np.broadcast_to(bias, c.shape)}
    row = {"bias": -1 if bias is None else 3, "scratch": 4, "m": m, "n": n, "k": k, "accumulate": int(accumulate)}
    row |= {"a": 0, "b": 1, "c": 2, "batch1": c.shape[0], "batch2": c.shape[1]}
    for name, view in views.items():
        if name != "c":
            view = np.broadcast_to(view, c.shape[:2] + view.shape[-2:])
        row[f"{name}_off"] = 0
        row |= {f"{name}_{dim}": s for dim, s in zip(("batch1", "batch2", "row", "col"), strides(view))}
    table = (ctypes.c_void_p * 5)(*(v.ctypes.data for v in views.values()), scratch.ctypes.data)
    numbers = (ctypes.c_int64 * len(matmul.ROW))(*(row[name] for name in matmul.ROW))
    kernel(ctypes.addressof(table), ctypes.addressof(numbers))
    assert (scratch[size:] == 0xA5).all(), "wrote after the scratch"


def random_view(rng, shape, dtype, layout):
    """An array of random values in one of several memory layouts, its values and its strides unlike each other."""
    batch1, batch2, rows, cols = shape
    if layout == "rows":
        return rng.standard_normal(shape).astype(dtype)
    if layout == "columns":
        return rng.standard_normal((batch1, batch2, cols, rows)).astype(dtype).swapaxes(-1, -2)
    if layout == "wide":
        return rng.standard_normal((batch1, batch2, rows, cols + 5)).astype(dtype)[..., 3 : 3 + cols]
    if layout == "strided":
        return rng.standard_normal((batch1, batch2, 2 * rows, 3 * cols)).astype(dtype)[..., ::2, ::3]
    if layout == "reversed":
        return rng.standard_normal(shape).astype(dtype)[..., ::-1, ::-1]
    if layout == "batch inside":
        return rng.standard_normal((rows, batch2, cols, batch1)).astype(dtype).transpose(3, 1, 0, 2)
    if layout == "one row":
        return np.broadcast_to(rng.standard_normal((batch1, 1, 1, cols)).astype(dtype), shape)
    assert layout == "one column"
    return np.broadcast_to(rng.standard_normal((1, batch2, rows, 1)).astype(dtype), shape)


LAYOUTS = ("rows", "columns", "wide", "strided", "reversed", "batch inside", "one row", "one column")
RESULTS = ("rows", "columns", "wide", "strided", "batch inside")


def guarded(rng, shape, dtype, layout):
    """A result's view and the memory all around it."""
    batch1, batch2, rows, cols = shape
    memory = rng.standard_normal(4 * batch1 * batch2 * (2 * rows + 1) * (3 * cols + 5) + 2 * GUARD).astype(dtype)
    sizes = {
        "rows": (cols, 1, rows * cols),
        "columns": (1, rows, rows * cols),
        "wide": (cols + 5, 1, rows * (cols + 5)),
        "strided": (6 * cols, 3, 6 * rows * cols),
        "batch inside": (batch1 * batch2 * cols, batch1 * batch2, 1),
    }
    row, col, batch = (s * memory.itemsize for s in sizes[layout])
    view = np.lib.stride_tricks.as_strided(memory[GUARD:], shape, (batch * batch2, batch, row, col))
    return view, memory


def check(gemm, rng, dtype, shape, layouts, bias=None, accumulate=False):
    """One product against float64, and that no element outside the result changed."""
    batch1, batch2, m, n, k = shape
    kind = DTYPES[dtype]
    a = random_view(rng, (batch1, batch2, m, k), kind, layouts[0])
    b = random_view(rng, (batch1, batch2, k, n), kind, layouts[1])
    c, memory = guarded(rng, (batch1, batch2, m, n), kind, layouts[2])
    exact = a.astype(np.float64) @ b.astype(np.float64)
    size = np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
    for term in ([c] if accumulate else []) + ([] if bias is None else [bias]):
        exact = exact + term
        size = size + np.abs(term)
    outside = np.ones(memory.shape, bool)
    at = np.lib.stride_tricks.as_strided(outside[GUARD:], c.shape, [s // c.itemsize for s in c.strides])
    at[...] = False
    before = memory.copy()
    call(gemm[dtype], a, b, c, bias, accumulate)
    # a sum of s terms errs by less than (s + 1) half units of the sum of magnitudes, and mostly by its root
    allowed = (np.sqrt(k) + 3) * np.finfo(kind).eps * size
    wrong = ~(np.abs(c - exact) <= allowed)
    assert not wrong.any(), (dtype, shape, layouts, np.argwhere(wrong)[:3])
    assert np.array_equal(memory[outside], before[outside]), (dtype, shape, layouts, "wrote outside")


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_sizes_and_layouts(gemm, dtype):
    rng = np.random.default_rng(7)
    for _ in range(250):
        sizes = [
            int(rng.choice([0, 1, 2, rng.integers(1, 20), rng.integers(1, 70), rng.integers(1, 200)])) for _ in "mnk"
        ]
        shape = (int(rng.integers(1, 3)), int(rng.integers(1, 4)), *sizes)
        layouts = (rng.choice(LAYOUTS), rng.choice(LAYOUTS), rng.choice(RESULTS))
        form = rng.choice(["none", "row", "column", "full", "one", "batch"])
        kind = {"row": (n := sizes[1],), "column": (sizes[0], 1), "full": (*sizes[:1], n), "one": (1,)}
        kind["batch"] = (shape[0], 1, sizes[0], n)
        bias = None if form == "none" else rng.standard_normal(kind[str(form)]).astype(DTYPES[dtype])
        check(gemm, rng, dtype, shape, layouts, bias, bool(rng.integers(0, 2)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "layouts", [("rows", "rows"), ("rows", "columns"), ("columns", "rows"), ("strided", "strided")]
)
def test_sizes_beside_the_edges_of_tiles_and_blocks(gemm, dtype, layouts):
    rng = np.random.default_rng(8)
    for m, n, k in [
        (1, 1, 300),
        (1, 50, 700),
        (50, 1, 700),
        (2, 97, 257),
        (13, 47, 256),
        (49, 33, 511),
        (65, 129, 600),
    ]:
        check(gemm, rng, dtype, (1, 1, m, n, k), (*layouts, "rows"))
        check(gemm, rng, dtype, (1, 1, m, n, k), (*layouts, "columns"), np.ones(n, DTYPES[dtype]), True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large(gemm, dtype):
    rng = np.random.default_rng(9)
    check(gemm, rng, dtype, (1, 1, 300, 1100, 530), ("rows", "columns", "rows"), np.ones(1100, DTYPES[dtype]))
    check(gemm, rng, dtype, (1, 1, 700, 131, 300), ("columns", "rows", "wide"))
    check(gemm, rng, dtype, (1, 1, 129, 2100, 260), ("columns", "rows", "columns"))


def test_empty_sums_are_the_bias_or_zero(gemm):
    a, b = np.ones((1, 1, 3, 0), np.float32), np.ones((1, 1, 0, 4), np.float32)
    c = np.full((1, 1, 3, 4), 7, np.float32)
    call(gemm["f32"], a, b, c, accumulate=True)
    assert (c == 7).all()
    call(gemm["f32"], a, b, c, np.arange(4, dtype=np.float32))
    assert np.array_equal(c, np.broadcast_to(np.arange(4), c.shape))
    call(gemm["f32"], a, b, c)
    assert (c == 0).all()
    call(
        gemm["f32"],
        np.ones((0, 5, 3, 2), np.float32),
        np.ones((0, 5, 2, 4), np.float32),
        np.ones((0, 5, 3, 4), np.float32),
    )


@pytest.mark.parametrize(
    "sizes", [(1, 1, 70), (5, 5, 5), (40, 70, 30), (300, 300, 300), (1, 90, 40), (90, 1, 40), (1, 200, 70)]
)
def test_nan_and_inf_stay_in_their_row_and_column(gemm, sizes):
    m, n, k = sizes
    rng = np.random.default_rng(m)
    for layout in ("rows", "columns"):
        a = random_view(rng, (1, 1, m, k), np.float32, layout)
        b = random_view(rng, (1, 1, k, n), np.float32, layout)
        c = np.zeros((1, 1, m, n), np.float32)
        for value in (np.inf, np.nan):
            a[0, 0, m // 2, k // 3] = value
            b[0, 0, k // 4, n // 4] = np.inf
            with np.errstate(invalid="ignore"):
                expected = a.astype(np.float64) @ b.astype(np.float64)
            call(gemm["f32"], a, b, c)
            assert np.array_equal(np.isnan(c), np.isnan(expected))
            assert np.array_equal(np.isinf(c), np.isinf(expected))


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_element_does_not_depend_on_what_is_computed_with_it(gemm, dtype):
    """Any part of the rows or columns, any layout and any alignment gives the same bits."""
    rng = np.random.default_rng(11)
    m, n, k = 70, 130, 600
    kind = DTYPES[dtype]
    a, b = (rng.standard_normal(s).astype(kind) for s in ((1, 1, m, k), (1, 1, k, n)))
    whole = np.empty((1, 1, m, n), kind)
    call(gemm[dtype], a, b, whole)
    for _ in range(25):
        i, j = int(rng.integers(0, m)), int(rng.integers(0, n))
        p, q = int(rng.integers(i + 1, m + 1)), int(rng.integers(j + 1, n + 1))
        if (p - i) * (q - j) == 1:
            continue
        left, right = a[..., i:p, :], b[..., j:q]
        if rng.integers(0, 2):
            left = np.asfortranarray(left[0, 0])[None, None]
        if rng.integers(0, 2):
            right = np.asfortranarray(right[0, 0])[None, None]
        if rng.integers(0, 2):
            part = np.empty((1, 1, q - j, p - i), kind).swapaxes(-1, -2)
        else:
            part = np.empty((1, 1, p - i, q - j), kind)
        call(gemm[dtype], left, right, part)
        assert np.array_equal(part, whole[..., i:p, j:q])


@pytest.mark.parametrize("dtype", DTYPES)
def test_registers_do_not_change_bits(native, gemm, dtype):
    """Tiles for 16, 32 and 64 bytes, whatever this machine has, compute the same."""
    rng = np.random.default_rng(12)
    others = [native(matmul.module(dtype, registers), f"gemm_{dtype}") for registers in (16, 32, 64)]
    for m, n, k in [(37, 61, 130), (7, 5, 900), (1, 300, 900), (300, 1, 900), (1, 1, 900), (100, 150, 600)]:
        for layouts in [("rows", "rows"), ("rows", "columns"), ("columns", "strided")]:
            a = random_view(rng, (1, 1, m, k), DTYPES[dtype], layouts[0])
            b = random_view(rng, (1, 1, k, n), DTYPES[dtype], layouts[1])
            bias = rng.standard_normal(n).astype(DTYPES[dtype])
            expected = np.empty((1, 1, m, n), DTYPES[dtype])
            call(gemm[dtype], a, b, expected, bias)
            for other in others:
                c = np.empty_like(expected)
                call(other, a, b, c, bias)
                assert np.array_equal(c, expected), (m, n, k, layouts)
