"""Rendered kernels against the loop language's interpreter: every operation and dtype, and random loops and accesses.

What is computed exactly has the same bits, reductions too; whole buffers are compared, with what lies around and
between the elements that a kernel writes."""

import ctypes
import itertools
import random

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from tenfold._core.backends.cpu.render import Render
from tenfold._core.backends.numpy import loops
from tenfold._core.ir.loops import FOLDS, OPERATIONS, TESTS, Access, Kernel, Malformed, Statement, verify

DTYPES = tuple(loops.DTYPES)
FLOATS, INTEGERS = ("f32", "f64"), ("u8", "i8", "i16", "i32", "i64")
SIZES = (0, 1, 15, 16, 17, 33, 5000)
GUARD = 24  # elements before and after each buffer
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, 3.4e38, 0.5, 2.5)
ROUNDED = frozenset(loops.FUNCTIONS)
DIVISIONS = ("floordiv", "mod", "fmod")  # by 0 there is no integer


def kind(d):
    return "b" if d == "bool" else "f" if d in FLOATS else "i"


def some_values(rng, d, count):
    """Values of a dtype: the odd ones among them."""
    dtype = loops.DTYPES[d]
    if d == "bool":
        return rng.integers(0, 2, count).astype(bool)
    if d in FLOATS:
        return np.where(rng.random(count) < 0.1, rng.choice(SPECIAL, count), rng.standard_normal(count) * 8).astype(
            dtype
        )
    info = np.iinfo(dtype)
    wide = rng.integers(info.min, info.max, count, dtype=dtype, endpoint=True)
    return np.where(rng.random(count) < 0.5, wide, (wide % 7).astype(dtype))


def agree(native, kernel, cases, ulps=0):
    """Both run the kernel on each of (row, buffers)."""
    verify(kernel)
    run = native(Render(kernel, "kernel").text(), "kernel")
    for row, buffers in cases:
        wanted, found = [[b.copy() for b in buffers] for _ in range(2)]
        status = loops.run(kernel, row, wanted)
        told = np.zeros(1, np.int64)
        table = np.array([(told if n == 0 else b).ctypes.data for n, b in enumerate(found)], np.uint64)
        numbers = np.array(row, np.int64)
        run(ctypes.c_void_p(table.ctypes.data), ctypes.c_void_p(numbers.ctypes.data))
        assert told[0] == status, kernel.text()
        for n, (w, f) in enumerate(zip(wanted, found)):
            same = w == f if w.dtype.kind != "f" else (w == f) | (np.isnan(w) & np.isnan(f))
            if ulps:
                with np.errstate(all="ignore"):
                    same |= np.abs(w - f) <= ulps * np.spacing(np.abs(w))
            at = np.flatnonzero(~same)
            assert not at.size, f"buffer {n} at {at[:5]}: {f[at[:5]]} instead of {w[at[:5]]}\n{kernel.text()}\n{row}"


class Maker:
    """A kernel in the making; values by dtype."""

    def __init__(self, rng, loops_):
        self.rng, self.loops = rng, loops_
        self.accesses, self.body, self.of = [], [], {d: [] for d in DTYPES}
        self.loaded, self.stores, self.folds = set(), [], []

    def let(self, op, args, d, extra=None):
        self.body.append(Statement(op, tuple(args), d, extra))
        self.of[d].append(len(self.body) - 1)
        return len(self.body) - 1

    def access(self, d, inner=None, taken=False):
        kinds = ("splat", "unit", "strided") + ("turned",) * (
            set(self.loops[1:]) == {"k"} == set(self.loops[:1]) and not taken
        )
        self.accesses.append(Access(d, inner or self.rng.choice(kinds), taken))
        return len(self.accesses) - 1

    def load(self, d, inner=None):
        v = self.let("load", (), d, self.access(d, inner))
        self.loaded.add(v)
        return v

    def take(self, d):
        index = self.let("load", (), "i64", self.access("i64"))
        self.of["i64"].remove(index)  # what is computed with it might be out of range
        return self.let("take", (index,), d, self.access(d, None, True))

    def cast(self, v, d):
        """v in another dtype; floats are first brought into the range of the integers."""
        own = self.body[v].dtype
        if kind(own) == "f" and kind(d) == "i":
            low, high = ("const", (), own, 0 if d == "u8" else -100), ("const", (), own, 100)
            v = self.let("fmin", (self.let("fmax", (v, self.let(*low)), own), self.let(*high)), own)
        return self.let("cast", (v,), d)

    def store(self, v, inner=None):
        d = self.body[v].dtype
        self.stores.append((v, self.access(d, inner or self.rng.choice(("unit", "strided")))))

    def fold(self, op, v):
        inner = self.rng.choice(("unit", "strided")) if self.loops[-1] == "k" else self.rng.choice(("splat", "unit"))
        self.folds.append((op, v, self.access(self.body[v].dtype, inner)))

    def kernel(self):
        return Kernel(self.loops, tuple(self.accesses), tuple(self.body), tuple(self.stores), tuple(self.folds))


def placed(rng, kernel, sizes, wrong=False):
    """A row for those sizes, and the buffers: one for each access, entry 0 aside. `wrong`: some numbers of rows are."""
    folded = {a for _, _, a in kernel.folds}
    written = folded | {a for _, a in kernel.stores}
    indices = {kernel.body[s.args[0]].extra: s.extra for s in kernel.body if s.op == "take"}
    rows = {a: int(rng.integers(1, 9)) for a in indices.values()}
    row, buffers = list(sizes), [np.zeros(8, np.uint8)]
    for a, access in enumerate(kernel.accesses):
        strides = [0] * len(sizes)
        if a in written:
            dims = [d for d, k in enumerate(kernel.loops) if k == "k" or a not in folded]
            order = sorted(dims, key=lambda d: (d != len(sizes) - 1, rng.random()))  # the vector loop is the innermost
            step = 1 if access.inner == "unit" else int(rng.integers(2, 4))
            for d in order:
                strides[d] = step if rng.random() < 0.8 or access.inner == "unit" else -step
                step = step * max(sizes[d], 1) + int(rng.integers(0, 3))
        else:
            for d in range(len(sizes) - 1):
                strides[d] = int(rng.choice((-7, -1, 0, 1, 3, 20)))
        if a not in folded or kernel.loops[-1] == "k":
            if access.inner in ("splat", "unit"):
                strides[-1] = int(access.inner == "unit")
            elif a not in written:
                strides[-1] = int(rng.choice((-3, -1, 2, 5)))
                if access.inner == "turned":
                    strides[-2] = 1
        elif access.inner == "unit":
            strides[-1] = 1
        else:
            strides[-1] = 0
        stride = int(rng.choice((-11, 1, 6))) if access.taken else 0
        reach = [s * max(n - 1, 0) for s, n in zip(strides, sizes)] + [stride * (rows.get(a, 1) - 1)]
        low, high = sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach)
        values = some_values(rng, access.dtype, GUARD + high - low + 1 + GUARD)
        if a in indices:
            count = rows[indices[a]]
            values = rng.integers(-2 if wrong else 0, count + 2 * wrong, values.size)
        row += [len(buffers), GUARD - low, *strides]
        if access.taken:
            row += [stride, rows[a]]
        buffers.append(values)
    return row, buffers


def cases(rng, kernel, each):
    """Rows and buffers for sizes of all kinds."""
    for n in each:
        sizes = [int(rng.choice((1, 2, 3))) for _ in kernel.loops[:-1]] + [n]
        if n < 50 and len(sizes) > 1:  # a long loop somewhere else
            sizes[int(rng.integers(0, len(sizes) - 1))] = int(rng.choice((0, 1, 5, 128, 129, 300)))
        yield placed(rng, kernel, sizes, wrong=rng.random() < 0.2)


# --- every operation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", DTYPES)
def test_every_operation_of_a_dtype(native, d):
    rng = np.random.default_rng(DTYPES.index(d))
    m = Maker(random.Random(d), "kk")
    x, y = m.load(d, "unit"), m.load(d, "strided")
    mask = m.load("bool", "unit")
    for op, (count, kinds) in OPERATIONS.items():
        if kind(d) not in kinds or op in ROUNDED or op in ("cast", "require"):
            continue
        operands = (mask, x, y) if op == "select" else (x, y)[:count]
        if op in DIVISIONS and kind(d) == "i":
            operands = (x, m.let("or", (y, m.let("const", (), d, 1)), d))
        m.store(m.let(op, operands, "bool" if op in TESTS else d))
    for target in DTYPES:
        m.store(m.cast(x, target))
    m.let("require", (mask,), "bool")
    kernel = m.kernel()
    agree(native, kernel, [placed(rng, kernel, [2, n]) for n in SIZES[:-1]])


@pytest.mark.parametrize("d", FLOATS)
@pytest.mark.parametrize("half", [0, 1])
def test_every_function(native, d, half):
    """Within 2 units of the last place; NumPy's float64 functions have an error of their own."""
    rng = np.random.default_rng(half)
    m = Maker(random.Random(0), "k")
    x, y = m.load(d, "unit"), m.load(d, "unit")
    for op in sorted(ROUNDED)[half::2]:
        m.store(m.let(op, (x, y)[: OPERATIONS[op][0]], d), "unit")
    kernel = m.kernel()
    agree(native, kernel, [placed(rng, kernel, [n]) for n in (1, 17, 1000)], ulps=3)


@pytest.mark.parametrize("d", DTYPES)
def test_what_is_turned(native, d):
    """Squares, and parts of them, of arrays that are read across."""
    rng = np.random.default_rng(DTYPES.index(d))
    for loops_ in ("kk", "kkk"):
        m = Maker(random.Random(d), loops_)
        x, y = m.load(d, "turned"), m.load("f32", "turned")
        m.store(x)
        m.store(m.let("neg", (y,), "f32"))
        m.store(m.load(d, "strided"), "strided")
        kernel = m.kernel()
        sizes = itertools.product((1, 15, 16, 17, 40), (0, 1, 16, 21, 50))
        agree(native, kernel, [placed(rng, kernel, [2, a, b][-len(loops_) :]) for a, b in sizes])


# --- every reduction --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loops_", ["r", "kr", "rk", "krk", "rrk", "rkr"])
def test_every_reduction(native, loops_):
    rng = np.random.default_rng(len(loops_))
    m = Maker(random.Random(loops_), loops_)
    for d in DTYPES:
        x = m.load(d, "unit")
        for op, kinds in FOLDS.items():
            if kind(d) in kinds:
                m.fold(op, x)
    kernel = m.kernel()
    agree(native, kernel, cases(rng, kernel, (0, 1, 16, 33)))


def test_a_long_reduction(native):
    rng = np.random.default_rng(0)
    for loops_, sizes in (("r", [70_001]), ("rr", [3, 4097]), ("rk", [1000, 33]), ("krrk", [2, 3, 129, 17])):
        m = Maker(random.Random(loops_), loops_)
        x = m.load("f32", "unit")
        m.fold("sum", m.let("mul", (x, x), "f32"))
        m.fold("max", x)
        kernel = m.kernel()
        agree(native, kernel, [placed(rng, kernel, sizes)])


# --- random kernels ---------------------------------------------------------------------------------------------


def random_kernel(seed):
    rng = random.Random(seed)
    m = Maker(rng, "".join(rng.choice("kr") for _ in range(rng.randint(1, 4))))
    for _ in range(rng.randint(1, 3)):
        d = rng.choice(DTYPES)
        (m.take if rng.random() < 0.3 else m.load)(d)
    # the sign of a zero is not said for bounds, so nothing looks at it where there are some
    left_out = rng.choice((("div", "copysign"), ("max", "min", "fmax", "fmin")))
    for _ in range(rng.randint(2, 12)):
        op = rng.choice([o for o in OPERATIONS if o not in ROUNDED and o not in left_out])
        count, kinds = OPERATIONS[op]
        d = rng.choice([d for d in DTYPES if m.of[d]])
        if op == "cast":
            target = rng.choice(DTYPES)
            if not (kind(d) == "f" and kind(target) == "i") or "div" in left_out:
                m.cast(rng.choice(m.of[d]), target)
            continue
        if kind(d) not in kinds or op == "select" and not m.of["bool"]:
            continue
        operands = [rng.choice(m.of[d]) for _ in range(count)]
        if op == "select":
            operands[0] = rng.choice(m.of["bool"])
        if op in ("copysign", "signbit") and not m.loaded.issuperset(operands):
            continue  # the sign of a NaN that was computed is not said
        if op in DIVISIONS and kind(d) == "i":
            operands[1] = m.let("or", (operands[1], m.let("const", (), d, 1)), d)
        m.let(op, operands, "bool" if op in TESTS else d)
    for _ in range(rng.randint(1, 2)):
        m.store(rng.randrange(len(m.body) * 2 // 3, len(m.body)))
    if "r" in m.loops:
        for _ in range(rng.randint(0, 2)):
            v = rng.randrange(len(m.body))
            m.fold(rng.choice([op for op, kinds in FOLDS.items() if kind(m.body[v].dtype) in kinds]), v)
    return m.kernel()


@pytest.mark.parametrize("seed", range(100))
def test_random_kernels(native, seed):
    rng = np.random.default_rng(seed)
    kernel = random_kernel(seed)
    agree(native, kernel, cases(rng, kernel, rng.choice(SIZES, 3, replace=False).tolist()))


# --- the language -----------------------------------------------------------------------------------------------

A, B = Access("f32", "unit"), Access("f32", "splat")
LOAD = Statement("load", (), "f32", 0)
MALFORMED = {
    "no loops": Kernel("", (A, A), (LOAD,), ((0, 1),), ()),
    "an operand that comes later": Kernel("k", (A, A), (LOAD, Statement("neg", (1,), "f32")), ((1, 1),), ()),
    "an operation that there is not": Kernel("k", (A, A), (LOAD, Statement("mod", (0,), "f32")), ((1, 1),), ()),
    "operands of two dtypes": Kernel(
        "k", (A, A), (LOAD, Statement("const", (), "f64", 1.0), Statement("add", (0, 1), "f32")), ((2, 1),), ()
    ),
    "a comparison that gives a number": Kernel("k", (A, A), (LOAD, Statement("lt", (0, 0), "f32")), ((1, 1),), ()),
    "an access that there is not": Kernel("k", (A,), (LOAD,), ((0, 1),), ()),
    "a load of another dtype": Kernel("k", (Access("f64", "unit"), A), (LOAD,), ((0, 1),), ()),
    "a store to one place": Kernel("k", (A, B), (LOAD,), ((0, 1),), ()),
    "a store into what is read": Kernel("k", (A,), (LOAD,), ((0, 0),), ()),
    "a fold without a reduced loop": Kernel("k", (A, A), (LOAD,), (), (("sum", 0, 1),)),
    "a fold that there is not": Kernel("r", (A, B), (LOAD,), (), (("mean", 0, 1),)),
    "a sum of bools": Kernel("r", (Access("bool", "unit"), Access("bool", "splat")),
                             (Statement("load", (), "bool", 0),), (), (("sum", 0, 1),)),
    "a write in squares": Kernel("kk", (A, Access("f32", "turned")), (LOAD,), ((0, 1),), ()),
    "squares of one loop": Kernel("k", (Access("f32", "turned"), A), (LOAD,), ((0, 1),), ()),
    "squares of a reduced loop": Kernel("rk", (Access("f32", "turned"), A), (LOAD,), (), (("sum", 0, 1),)),
    "a row by a float": Kernel("k", (A, Access("f32", "splat", True), A),
                               (LOAD, Statement("take", (0,), "f32", 1)), ((1, 2),), ()),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_kernels_are_told(name):
    with pytest.raises(Malformed):
        verify(MALFORMED[name])


@pytest.mark.parametrize("buffers", [(8, 7), (7, 8)], ids=["writes beyond the end", "reads beyond the end"])
def test_the_interpreter_stays_in_its_buffers(buffers):
    kernel = Kernel("k", (A, A), (LOAD,), ((0, 1),), ())
    row = kernel.row([8], [(1, 0, (1,), 0, 0), (2, 0, (1,), 0, 0)])
    table = [None, *[np.zeros(n, np.float32) for n in buffers]]
    with pytest.raises(IndexError):
        loops.run(kernel, row, table)


def test_kernels_print():
    for seed in itertools.islice(range(60), 5):
        text = random_kernel(seed).text()
        assert text.startswith(("for i", "over i")) and "=" in text
