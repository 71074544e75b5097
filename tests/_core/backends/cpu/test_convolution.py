"""Convolutions and their gradients, of every geometry, against sums over the kernel's taps in float64."""

import ctypes

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from tenfold._core.backends.cpu import convolution

DTYPES = {"f32": np.float32, "f64": np.float64}
NAMES = ("conv", "conv_input", "conv_weight")
GUARD = 64


@pytest.fixture(scope="session")
def kernels(native):
    return {
        (name, dtype): native(convolution.module(dtype, [name]), f"{name}_{dtype}")
        for dtype in DTYPES
        for name in NAMES
    }


class Geometry:
    """Sizes and parameters of a convolution, in pairs of rows and cols."""

    def __init__(self, batch, groups, channels, features, size, kernel, stride=(1, 1), pad=(0, 0), dilation=(1, 1)):
        self.batch, self.groups, self.channels, self.features = batch, groups, channels, features
        self.size, self.kernel, self.stride, self.pad, self.dilation = size, kernel, stride, pad, dilation
        spans = [s + 2 * p - d * (k - 1) - 1 for s, p, d, k in zip(size, pad, dilation, kernel)]
        self.out = tuple(max(span // s + 1, 0) for span, s in zip(spans, stride))

    def shapes(self):
        return {
            "x": (self.batch, self.groups * self.channels, *self.size),
            "w": (self.groups * self.features, self.channels, *self.kernel),
            "y": (self.batch, self.groups * self.features, *self.out),
        }

    def windows(self, x):
        """For each tap, its place in the kernel and the part of x that it meets, a view of a padded copy of x."""
        (h, w), (sh, sw), (ph, pw), (dh, dw) = self.size, self.stride, self.pad, self.dilation
        padded = np.zeros((*x.shape[:2], h + 2 * ph + sh * 2, w + 2 * pw + sw * 2))
        padded[..., ph : ph + h, pw : pw + w] = x
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                rows = slice(i * dh, i * dh + sh * self.out[0], sh)
                cols = slice(j * dw, j * dw + sw * self.out[1], sw)
                yield (i, j), padded[..., rows, cols], padded

    def split(self, x):
        """The channels of each group."""
        return x.reshape(x.shape[0], self.groups, x.shape[1] // self.groups, *x.shape[2:])

    def forward(self, x, w):
        w = w.reshape(self.groups, self.features, *w.shape[1:])
        y = np.zeros((self.batch, self.groups, self.features, *self.out))
        for (i, j), window, _ in self.windows(x):
            y += np.einsum("ngchw,gfc->ngfhw", self.split(window), w[..., i, j])
        return y.reshape(self.shapes()["y"])

    def by_weight(self, x, y):
        w = np.zeros((self.groups, self.features, self.channels, *self.kernel))
        for (i, j), window, _ in self.windows(x):
            w[..., i, j] = np.einsum("ngchw,ngfhw->gfc", self.split(window), self.split(y))
        return w.reshape(self.shapes()["w"])

    def by_input(self, w, y):
        w = w.reshape(self.groups, self.features, *w.shape[1:])
        memory = np.zeros(0)
        for (i, j), window, padded in self.windows(np.zeros(self.shapes()["x"])):
            window += np.einsum("ngfhw,gfc->ngchw", self.split(y), w[..., i, j]).reshape(window.shape)
            memory = padded
        (h, w_), (ph, pw) = self.size, self.pad
        return memory[..., ph : ph + h, pw : pw + w_]


def layout(rng, shape, dtype, kind):
    """Random values in memory that is contiguous, channels last, or a part of larger memory."""
    if kind == "contiguous":
        return rng.standard_normal(shape).astype(dtype)
    if kind == "channels last":
        order = (shape[0], shape[2], shape[3], shape[1])
        return rng.standard_normal(order).astype(dtype).transpose(0, 3, 1, 2)
    assert kind == "part"
    larger = (shape[0], shape[1] + 1, shape[2] + 2, 2 * shape[3] + 1)
    return rng.standard_normal(larger).astype(dtype)[:, : shape[1], 1 : shape[2] + 1, 1 : 2 * shape[3] + 1 : 2]


LAYOUTS = ("contiguous", "channels last", "part")


def call(kernel, geometry, arrays, bias=None):
    """Runs a kernel on x, w and y, one of them its result."""
    g = geometry
    dtype = {4: "f32", 8: "f64"}[arrays["x"].itemsize]
    row = {"x": 0, "w": 1, "y": 2, "bias": -1 if bias is None else 3, "scratch": 4, "bias_off": 0}
    row |= {"batch": g.batch, "groups": g.groups, "channels": g.channels, "features": g.features}
    for i, dim in enumerate(("row", "col")):
        row |= {f"in_{dim}s": g.size[i], f"out_{dim}s": g.out[i], f"kernel_{dim}s": g.kernel[i]}
        row |= {f"stride_{dim}": g.stride[i], f"pad_{dim}": g.pad[i], f"dilation_{dim}": g.dilation[i]}
    row["bias_step"] = 0 if bias is None else bias.strides[0] // bias.itemsize
    for name, array in arrays.items():
        row[f"{name}_off"] = 0
        first = "feature" if name == "w" else "batch"
        steps = [s // array.itemsize for s in array.strides]
        row |= {f"{name}_{dim}": step for dim, step in zip((first, "channel", "row", "col"), steps)}
    size = convolution.scratch_bytes(dtype, row)
    scratch = np.full(size + GUARD, 0xA5, np.uint8)
    operands = [*(arrays[x] for x in "xwy"), arrays["x"] if bias is None else bias, scratch]
    table = (ctypes.c_void_p * 5)(*(operand.ctypes.data for operand in operands))
    numbers = (ctypes.c_int64 * len(convolution.ROW))(*(row[name] for name in convolution.ROW))
    kernel(ctypes.addressof(table), ctypes.addressof(numbers))
    assert (scratch[size:] == 0xA5).all(), "wrote after the scratch"


def check(kernels, rng, dtype, geometry, layouts=("contiguous",) * 3, bias=None):
    """All three kernels against float64, and that nothing outside of the result changed."""
    kind = DTYPES[dtype]
    shapes = geometry.shapes()
    given = {name: layout(rng, shapes[name], kind, each) for name, each in zip("xwy", layouts)}
    wide = {name: array.astype(np.float64) for name, array in given.items()}
    size = {name: np.abs(array) for name, array in wide.items()}
    y = geometry.forward(wide["x"], wide["w"])
    y_size = geometry.forward(size["x"], size["w"])
    if bias is not None:
        y, y_size = y + bias[:, None, None], y_size + np.abs(bias)[:, None, None]
    taps = geometry.kernel[0] * geometry.kernel[1]
    expected = {
        "y": ("conv", y, y_size, geometry.channels * taps),
        "x": (
            "conv_input",
            geometry.by_input(wide["w"], wide["y"]),
            geometry.by_input(size["w"], size["y"]),
            geometry.features * taps,
        ),
        "w": (
            "conv_weight",
            geometry.by_weight(wide["x"], wide["y"]),
            geometry.by_weight(size["x"], size["y"]),
            geometry.batch * geometry.out[0] * geometry.out[1],
        ),
    }
    for name, (kernel, exact, magnitude, terms) in expected.items():
        arrays = dict(given)
        strides = layout(rng, shapes[name], kind, layouts["xwy".index(name)]).strides
        reach = sum(s * (n - 1) for s, n in zip(strides, shapes[name]) if n) // np.dtype(kind).itemsize
        memory = np.full(max(reach, 0) + 1 + 2 * GUARD, 7, kind)
        result = np.lib.stride_tricks.as_strided(memory[GUARD:], shapes[name], strides)
        arrays[name] = result
        call(kernels[kernel, dtype], geometry, arrays, bias if name == "y" else None)
        allowed = (np.sqrt(terms) + 3) * np.finfo(kind).eps * magnitude
        wrong = ~(np.abs(result - exact) <= allowed)
        assert not wrong.any(), (kernel, vars(geometry), layouts, np.argwhere(wrong)[:3])
        result[...] = 7
        assert (memory == 7).all(), (kernel, vars(geometry), "wrote outside")


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_geometries(kernels, dtype):
    rng = np.random.default_rng(3)
    pair = lambda low, high: (int(rng.integers(low, high)), int(rng.integers(low, high)))
    for _ in range(120):
        sizes = [int(rng.choice([1, rng.integers(1, 5), rng.integers(1, 20)])) for _ in range(2)]
        size = (int(rng.integers(1, 24)), int(rng.integers(1, 40)))
        geometry = Geometry(
            int(rng.integers(1, 4)),
            int(rng.choice([1, 1, 2, 3])),
            *sizes,
            size,
            pair(1, 5),
            pair(1, 4),
            pair(0, 4),
            pair(1, 4),
        )
        bias = rng.standard_normal(geometry.groups * geometry.features).astype(DTYPES[dtype])
        check(kernels, rng, dtype, geometry, rng.choice(LAYOUTS, 3), bias if rng.integers(0, 2) else None)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(2, 1, 16, 32, (28, 28), (3, 3), pad=(1, 1)),
        Geometry(2, 1, 3, 64, (32, 32), (3, 3), pad=(1, 1)),
        Geometry(3, 1, 1, 10, (28, 28), (5, 5)),
        Geometry(2, 1, 40, 24, (20, 20), (1, 1)),
        Geometry(2, 1, 40, 24, (20, 20), (1, 1), stride=(2, 2)),
        Geometry(2, 1, 90, 10, (9, 9), (3, 3), pad=(1, 1)),
        Geometry(2, 20, 1, 1, (17, 19), (3, 3), pad=(1, 1)),
        Geometry(2, 20, 1, 1, (18, 39), (3, 3), stride=(2, 2), pad=(1, 1)),
        Geometry(2, 20, 1, 1, (18, 39), (3, 3), stride=(1, 2), pad=(0, 1), dilation=(1, 2)),
        Geometry(2, 20, 1, 1, (18, 21), (5, 4), pad=(2, 2), dilation=(2, 1)),
        Geometry(2, 1, 6, 5, (1, 900), (1, 7), stride=(1, 3), pad=(0, 3)),
        Geometry(1, 1, 4, 9, (60, 70), (7, 7), stride=(2, 2), pad=(3, 3)),
        Geometry(2, 1, 5, 3, (30, 8), (3, 1)),
        Geometry(16, 1, 16, 17, (8, 8), (4, 4), stride=(2, 2), pad=(1, 1)),
        Geometry(33, 1, 18, 5, (12, 12), (5, 5)),
        Geometry(11, 2, 3, 33, (7, 5), (3, 3), pad=(1, 1)),
        Geometry(12, 1, 4, 3, (9, 14), (3, 2), stride=(2, 3), pad=(2, 0), dilation=(1, 2)),
        Geometry(40, 1, 2, 20, (1, 15), (1, 3), pad=(0, 1)),
        Geometry(16, 1, 2, 3, (2, 2), (2, 2), stride=(4, 4), pad=(3, 3)),
    ],
    ids=lambda g: f"{g.batch}x{g.groups}x{g.channels}x{g.size[0]}x{g.size[1]} {g.kernel[0]}x{g.kernel[1]}",
)
def test_usual_geometries(kernels, dtype, geometry):
    rng = np.random.default_rng(4)
    bias = rng.standard_normal(geometry.groups * geometry.features).astype(DTYPES[dtype])
    check(kernels, rng, dtype, geometry, bias=bias)


def test_nothing_to_sum_gives_the_bias_or_zero(kernels):
    rng = np.random.default_rng(5)
    bias = np.array([2.0, -3.0], np.float32)
    check(kernels, rng, "f32", Geometry(2, 1, 0, 2, (5, 6), (3, 3)), bias=bias)
    check(kernels, rng, "f32", Geometry(0, 1, 3, 2, (5, 6), (3, 3)), bias=bias)
    check(kernels, rng, "f32", Geometry(2, 1, 3, 0, (5, 6), (3, 3)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_batches_of_small_images(kernels, dtype):
    rng = np.random.default_rng(7)
    pair = lambda low, high: (int(rng.integers(low, high)), int(rng.integers(low, high)))
    for _ in range(25):
        batch, groups = int(rng.integers(11, 40)), int(rng.choice([1, 1, 2]))
        channels, features = pair(1, 20)
        geometry = Geometry(
            batch, groups, channels, features, pair(1, 16), pair(1, 5), pair(1, 4), pair(0, 3), pair(1, 3)
        )
        check(kernels, rng, dtype, geometry, rng.choice(LAYOUTS, 3))


@pytest.mark.parametrize(
    "geometry, alone",
    [
        (Geometry(n, 1, 70, 20, (13, 15), (3, 3), stride=(1, 2), pad=(1, 1)),
         Geometry(1, 1, 70, 20, (13, 15), (3, 3), stride=(1, 2), pad=(1, 1)))
        for n in (3, 12)
    ],
    ids=("few", "many"),
)  # fmt: skip
def test_the_same_bits_for_an_image_alone_and_for_any_registers(kernels, native, geometry, alone):
    rng = np.random.default_rng(6)
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in geometry.shapes().items()}
    for kernel, name in zip(NAMES, "yxw"):
        results = []
        for registers in (None, 16, 32, 64):
            run = native(convolution.module("f32", [kernel], registers), f"{kernel}_f32")
            arrays[name] = np.empty_like(arrays[name])
            call(run, geometry, arrays)
            results.append(arrays[name])
            assert np.array_equal(results[0], results[-1])
        if name != "w":
            part = {each: array[1:2] if each != "w" else array for each, array in arrays.items()}
            part[name] = np.empty_like(part[name])
            call(kernels[kernel, "f32"], alone, part)
            assert np.array_equal(part[name], arrays[name][1:2])
