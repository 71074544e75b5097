"""Fourier transforms against their definition, as linear maps with their adjoints; shapes, strides and errors as PyTorch's."""

import itertools
import math

import numpy as np
import pytest

import tenfold as torch

NAMES = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
NORMS = (None, "backward", "ortho", "forward")


def random(*shape, is_complex=False, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if is_complex else x


def takes_complex(name):
    return name.rstrip("n2") in ("fft", "ifft", "irfft", "hfft")


def sums(x, forward=True):
    """The definition, along the last dim."""
    n = x.shape[-1]
    turns = np.outer(np.arange(n), np.arange(n)) / n
    return x @ np.exp((-2j if forward else 2j) * math.pi * turns)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_transforms_are_the_sums_that_define_them(n, norm):
    x = random(3, n, is_complex=True)
    size = {None: 1, "backward": 1, "ortho": math.sqrt(n), "forward": n}[norm]
    back = n / size
    there = torch.fft.fft(torch.tensor(x), norm=norm).numpy()
    assert np.allclose(there, sums(x) / size)
    assert np.allclose(torch.fft.ifft(torch.tensor(x), norm=norm).numpy(), sums(x, False) / back)
    assert np.allclose(torch.fft.rfft(torch.tensor(x.real), norm=norm).numpy(), sums(x.real)[:, : n // 2 + 1] / size)
    half = torch.fft.ihfft(torch.tensor(x.real), norm=norm)
    assert np.allclose(half.numpy(), sums(x.real, False)[:, : n // 2 + 1] / back)
    assert np.allclose(torch.fft.hfft(half, n, norm=norm).numpy(), x.real)
    assert np.allclose(torch.fft.irfft(torch.fft.rfft(torch.tensor(x.real), norm=norm), n, norm=norm).numpy(), x.real)


def test_more_points_are_zeros_and_fewer_are_cut_off():
    x = random(3, 5)
    for n in (2, 5, 9):
        wide = np.zeros((3, n))
        wide[:, : min(n, 5)] = x[:, :n]
        assert np.allclose(torch.fft.fft(torch.tensor(x), n).numpy(), sums(wide))
        assert np.allclose(torch.fft.fft(torch.tensor(x.T.copy()), n, 0).numpy(), sums(wide).T)


@pytest.mark.parametrize("kind", ["fftn", "ifftn", "rfftn", "irfftn", "hfftn", "ihfftn"])
def test_several_dims_are_transformed_one_after_the_other(kind):
    one = {"rfftn": "fft", "irfftn": "ifft", "hfftn": "fft", "ihfftn": "ifft"}.get(kind, kind[:-1])
    x = torch.tensor(random(3, 4, 5, is_complex=takes_complex(kind)))
    for norm, dims in itertools.product(NORMS, [(0, 2), (2, 0), (1,), (0, 1, 2)]):
        found = getattr(torch.fft, kind)(x, dim=dims, norm=norm)
        last = getattr(torch.fft, kind[:-1])
        first = getattr(torch.fft, one)
        if kind in ("irfftn", "hfftn"):
            expected = x
            for d in dims[:-1]:
                expected = first(expected, dim=d, norm=norm)
            expected = last(expected, dim=dims[-1], norm=norm)
        else:
            expected = last(x, dim=dims[-1], norm=norm)
            for d in dims[:-1]:
                expected = first(expected, dim=d, norm=norm)
        assert np.allclose(found.numpy(), expected.numpy())
    two = getattr(torch.fft, kind[:-1] + "2")
    assert torch.equal(two(x), getattr(torch.fft, kind)(x, dim=(-2, -1)))


@pytest.mark.parametrize("name", [*NAMES, *[f"{n}{k}" for n in NAMES for k in ("n", "2")]])
def test_gradients_are_those_of_a_linear_map(name):
    x = torch.tensor(random(2, 3, 4, is_complex=takes_complex(name))).requires_grad_()
    for norm in ("forward", "ortho"):
        for how in ({}, {"s": (2, 5)} if name[-1] in "n2" else {"n": 5}):
            f = getattr(torch.fft, name)
            torch.autograd.gradcheck(lambda x: f(x, norm=norm, **how), (x,))  # noqa: B023
            torch.autograd.gradgradcheck(lambda x: f(x, norm=norm, **how) ** 2, (x,))  # noqa: B023


def test_dtypes():
    for given, found in (
        ("int64", "complex64"), ("bool", "complex64"), ("float32", "complex64"), ("float64", "complex128"),
        ("complex64", "complex64"), ("complex128", "complex128"),
    ):  # fmt: skip
        x = torch.ones(2, 4, dtype=getattr(torch, given))
        assert torch.fft.fft(x).dtype is getattr(torch, found)
        assert torch.fft.irfft(x).dtype is getattr(torch, found).to_real()
        assert torch.fft.fftn(x, dim=()).dtype is getattr(torch, found)


@pytest.mark.parametrize(
    "name, dim, strides",
    [
        ("fft", 0, (1, 8, 2)), ("rfft", 1, (8, 1, 2)), ("irfft", 1, (16, 1, 4)), ("ihfft", 2, (9, 3, 1)),
        ("fftn", (1, 0), (3, 1, 6)), ("fftn", (2, 0), (4, 8, 1)), ("rfftn", (1, 0), (1, 2, 6)),
        ("rfftn", (2, 1, 0), (1, 8, 2)), ("irfftn", (0, 2), (6, 12, 1)), ("hfftn", (0, 1), (4, 1, 8)),
        ("ihfftn", (0, 1), (1, 2, 4)), ("ihfftn", (2, 0), (4, 8, 1)),
    ],
)  # fmt: skip
def test_strides_are_pytorchs(name, dim, strides):
    """What is transformed lies innermost; recorded from PyTorch 2.13."""
    x = torch.tensor(random(2, 3, 4, is_complex=takes_complex(name)))
    assert getattr(torch.fft, name)(x, dim=dim).stride() == strides


def test_shifts_and_frequencies():
    assert torch.fft.fftfreq(5, 0.5).tolist() == pytest.approx([0, 0.4, 0.8, -0.8, -0.4])
    assert torch.fft.fftfreq(4).tolist() == [0, 0.25, -0.5, -0.25]
    assert torch.fft.rfftfreq(5, 2, dtype=torch.float64).tolist() == pytest.approx([0, 0.1, 0.2])
    assert torch.fft.fftfreq(0).shape == (0,)
    x = torch.arange(5)
    assert torch.fft.fftshift(x).tolist() == [3, 4, 0, 1, 2]
    assert torch.fft.ifftshift(torch.fft.fftshift(x)).tolist() == x.tolist()
    image = torch.arange(12).reshape(3, 4)
    assert torch.equal(torch.fft.ifftshift(torch.fft.fftshift(image)), image)
    assert torch.fft.fftshift(image, dim=1)[0].tolist() == [2, 3, 0, 1]
    assert torch.fft.fftshift(image, dim=(0,))[0].tolist() == [8, 9, 10, 11]


def test_out():
    x = torch.tensor(random(2, 4))
    out = torch.empty(2, 4, dtype=torch.complex128)
    assert torch.fft.fft(x, out=out) is out
    assert torch.equal(out, torch.fft.fft(x))
    with pytest.raises(RuntimeError):
        torch.fft.fft(x, out=torch.empty(2, 4))
    assert torch.fft.fftfreq(3, out=torch.empty(0, dtype=torch.float64)).dtype is torch.float64


X = torch.ones(2, 3)
ERRORS = [
    (lambda: torch.fft.fft(X, 0), RuntimeError, "data points"),
    (lambda: torch.fft.fft(X, 2.0), TypeError, "'n' must be int"),
    (lambda: torch.fft.fft(X, dim=2), IndexError, "Dimension"),
    (lambda: torch.fft.fft(X, dim=None), TypeError, "'dim'"),
    (lambda: torch.fft.fft(X, norm="bad"), RuntimeError, "Invalid normalization mode"),
    (lambda: torch.fft.fft(X, norm=3), TypeError, "'norm'"),
    (lambda: torch.fft.fft([1.0, 2.0]), TypeError, "must be Tensor"),
    (lambda: torch.fft.fft(torch.tensor(1.0)), IndexError, "no dimensions"),
    (lambda: torch.fft.fft(X.half()), RuntimeError, "Unsupported dtype Half"),
    (lambda: torch.fft.rfft(X + 0j), RuntimeError, "real input"),
    (lambda: torch.fft.irfft(torch.ones(1)), RuntimeError, "data points"),
    (lambda: torch.fft.fftn(X, s=(2, 2, 2)), RuntimeError, "3 values"),
    (lambda: torch.fft.fftn(X, s=(2,), dim=(0, 1)), RuntimeError, "same length"),
    (lambda: torch.fft.fftn(X, dim=(0, -2)), RuntimeError, "unique"),
    (lambda: torch.fft.rfftn(X, dim=()), RuntimeError, "at least one axis"),
    (lambda: torch.fft.fftshift(X, dim=()), RuntimeError, "shifts"),
    (lambda: torch.fft.fftfreq(-1), RuntimeError, "negative"),
    (lambda: torch.fft.fftfreq(4, dtype=torch.int64), RuntimeError, "floating point"),
]


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors(number):
    call, kind, text = ERRORS[number]
    with pytest.raises(kind, match=text):
        call()
