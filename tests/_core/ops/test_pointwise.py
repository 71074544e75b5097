"""Element-wise operations against PyTorch's recorded answers, and mathematical facts."""

from __future__ import annotations

import json
import math
import pathlib

import numpy as np
import pointwise_cases
import pytest

import tenfold as torch

TABLE = json.loads(pathlib.Path(__file__).with_name("pointwise.json").read_text())
CASES = dict(pointwise_cases.cases(torch))


def numbers(x) -> np.ndarray:
    return np.array(x, dtype=float)


# PyTorch's own constants in these are of float32
ROUGH = ("nn.functional.hardsigmoid", "nn.functional.celu")


def close(got, want, label: str, dtype: str = "torch.float64") -> None:
    rtol, atol = (2e-6, 1e-7) if dtype == "torch.float32" else (1e-9, 1e-12)
    if label.startswith(ROUGH):
        rtol = 1e-7
    np.testing.assert_allclose(numbers(got), numbers(want), rtol=rtol, atol=atol, err_msg=label)


@pytest.mark.parametrize("label", TABLE["rows"])
def test_values_and_gradients_are_those_of_pytorch(label):
    want = TABLE["rows"][label]
    if "error" in want:
        with pytest.raises(Exception) as caught:
            CASES[label]()
        assert type(caught.value).__name__ == want["error"]
        return
    got = CASES[label]()
    assert got["dtype"] == want["dtype"]
    close(got["values"], want["values"], label, want["dtype"])
    for g, w in zip(got.get("gradients", []), want.get("gradients", []), strict=True):
        if g is None or w is None:  # no gradient and zeros mean the same
            assert not np.any(numbers(g if w is None else w) if (g or w) else 0)
        else:
            close(g, w, label)


def test_promotion_is_that_of_pytorch():
    got = pointwise_cases.promotions(torch)
    assert {k: got.get(k) for k in TABLE["promotions"]} == TABLE["promotions"]


X = torch.tensor(np.linspace(0.05, 40, 400))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        # Wronskians, DLMF 10.5.2 and 10.28.2
        (lambda s: s.bessel_j1(X) * s.bessel_y0(X) - s.bessel_j0(X) * s.bessel_y1(X), lambda: 2 / (math.pi * X)),
        (
            lambda s: s.i0e(X) * s.scaled_modified_bessel_k1(X) + s.i1e(X) * s.scaled_modified_bessel_k0(X),
            lambda: 1 / X,
        ),
        (lambda s: torch.erf(X) + torch.erfc(X), lambda: torch.ones_like(X)),
        (
            lambda s: s.erfcx(X),
            lambda: torch.where(X < 20, torch.exp((X * X).clamp(max=400)) * torch.erfc(X), s_erfcx_far()),
        ),
        (lambda s: torch.lgamma(X + 1), lambda: torch.lgamma(X) + torch.log(X)),
        (lambda s: torch.digamma(X + 1), lambda: torch.digamma(X) + 1 / X),
        (lambda s: torch.polygamma(1, X), lambda: torch.polygamma(1, X + 1) + 1 / X**2),
        (
            lambda s: s.zeta(torch.full_like(X, 3.5), X),
            lambda: torch.special.zeta(torch.full_like(X, 3.5), X + 1) + X**-3.5,
        ),
        (lambda s: torch.igamma(X, X.flip(0)) + torch.igammac(X, X.flip(0)), lambda: torch.ones_like(X)),
        (lambda s: torch.igamma(torch.ones_like(X), X), lambda: 1 - torch.exp(-X)),
    ],
)
def test_special_functions_fulfil_their_identities(left, right):
    np.testing.assert_allclose(left(torch.special).numpy(), right().numpy(), rtol=2e-11, atol=1e-13)


def s_erfcx_far():
    z = 1 / (2 * X * X)
    return (1 - z + 3 * z**2 - 15 * z**3 + 105 * z**4) / (X * math.sqrt(math.pi))


def test_inverses_go_back():
    p = torch.tensor(np.concatenate([10.0 ** -np.arange(1, 300, 13), np.linspace(0.01, 0.99, 99)]))
    back = torch.special.log_ndtr(torch.special.ndtri(p))
    np.testing.assert_allclose(back.numpy(), np.log(p.numpy()), rtol=1e-12)
    y = torch.tensor(np.linspace(-0.999, 0.999, 101))
    np.testing.assert_allclose(torch.erf(torch.erfinv(y)).numpy(), y.numpy(), rtol=1e-13, atol=1e-16)


def test_airy_fulfils_its_equation():
    """Ai'' = x Ai, by central differences."""
    x = torch.tensor(np.linspace(-12, 6, 181))
    h = 1e-3
    ai = torch.special.airy_ai
    second = (ai(x + h) - 2 * ai(x) + ai(x - h)) / h**2
    np.testing.assert_allclose(second.numpy(), (x * ai(x)).numpy(), atol=2e-5)


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("chebyshev_polynomial_t", lambda n, t: np.cos(n * t)),
        ("chebyshev_polynomial_u", lambda n, t: np.sin((n + 1) * t) / np.sin(t)),
        ("chebyshev_polynomial_v", lambda n, t: np.cos((n + 0.5) * t) / np.cos(t / 2)),
        ("chebyshev_polynomial_w", lambda n, t: np.sin((n + 0.5) * t) / np.sin(t / 2)),
    ],
)
def test_chebyshev_polynomials_are_sines_and_cosines(name, at):
    t = np.linspace(0.1, 3, 30)
    for n in range(8):
        got = getattr(torch.special, name)(torch.tensor(np.cos(t)), torch.tensor(n))
        np.testing.assert_allclose(got.numpy(), at(n, t), rtol=1e-10, atol=1e-11)


def test_polynomials_of_low_degree():
    x = torch.tensor([-1.5, 0.25, 2.0], dtype=torch.float64)
    s = torch.special
    np.testing.assert_allclose(s.hermite_polynomial_h(x, 3).numpy(), (8 * x**3 - 12 * x).numpy())
    np.testing.assert_allclose(s.hermite_polynomial_he(x, 3).numpy(), (x**3 - 3 * x).numpy())
    np.testing.assert_allclose(s.laguerre_polynomial_l(x, 2).numpy(), (0.5 * (x**2 - 4 * x + 2)).numpy())
    np.testing.assert_allclose(s.legendre_polynomial_p(x, 3).numpy(), (0.5 * (5 * x**3 - 3 * x)).numpy())
    assert s.legendre_polynomial_p(x, -1).tolist() == [0, 0, 0]


# --- operators -----------------------------------------------------------------------------------------------


def test_operators_with_numbers_on_either_side():
    t = torch.tensor([1, 2, 3])
    assert (2**t).tolist() == [2, 4, 8]
    assert (7 // t).tolist() == [7, 3, 2]
    assert (7 % t).tolist() == [0, 1, 1]
    assert (7 << t).tolist() == [14, 28, 56]
    assert (7 & t).tolist() == [1, 2, 3]
    assert (1 - t).tolist() == [0, -1, -2]
    assert (6 / t).tolist() == pytest.approx([6.0, 3.0, 2.0])
    assert (torch.tensor([-7]) // 2).tolist() == [-4]
    assert torch.div(torch.tensor([-7]), 2, rounding_mode="trunc").tolist() == [-3]


def test_operators_in_place_write_and_keep_the_dtype():
    t = torch.tensor([1.0, 2.0])
    view = t[:1]
    t **= 2
    t //= 2
    t += torch.tensor(1)
    assert t.tolist() == [1.0, 3.0] and view.tolist() == [1.0]
    whole = torch.tensor([1, 2])
    with pytest.raises(RuntimeError, match="can't be cast"):
        whole /= 2
    with pytest.raises(RuntimeError, match="broadcast"):
        torch.ones(1).add_(torch.ones(3))


def test_a_number_wraps_in_a_small_integer_dtype():
    u = torch.tensor([1, 200], dtype=torch.uint8)
    assert (u + 300).tolist() == [45, 244]
    assert (u < 300).tolist() == [True, False]
    assert (u > -1).tolist() == [False, False]
    assert abs(torch.tensor([-128], dtype=torch.int8)).tolist() == [-128]


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (RuntimeError, lambda: torch.ones(2, dtype=torch.bool) - torch.ones(2, dtype=torch.bool)),
        (RuntimeError, lambda: -torch.ones(2, dtype=torch.bool)),
        (RuntimeError, lambda: torch.tensor([1, 2]) ** -1),
        (RuntimeError, lambda: torch.tensor([1, 2]) // 0),
        (RuntimeError, lambda: torch.add(torch.tensor([1]), 1, alpha=2.5)),
        (RuntimeError, lambda: torch.ones(2) + torch.ones(3)),
        (RuntimeError, lambda: torch.clamp(torch.ones(2))),
        (RuntimeError, lambda: torch.div(torch.ones(2), 2, rounding_mode="up")),
        (NotImplementedError, lambda: torch.ones(2) & torch.ones(2)),
        (NotImplementedError, lambda: torch.tensor([1j]) < torch.tensor([1j])),
        (TypeError, lambda: torch.eq(2, torch.ones(2))),
        (TypeError, lambda: torch.maximum(torch.ones(2), 2)),
        (TypeError, lambda: torch.ones(2) + "a"),
        (TypeError, lambda: torch.ones(2) < "a"),
        (TypeError, lambda: ~torch.ones(2)),
    ],
)
def test_misuse_is_refused(error, call):
    with pytest.raises(error) as caught:
        call().tolist()
    assert type(caught.value) is error
    assert len(str(caught.value)) > 20


def test_comparison_with_what_is_no_tensor_is_false():
    t = torch.ones(2)
    assert (t == "a") is False
    nothing = None
    assert (t == nothing) is False
    assert (t != "a") is True


# --- casts and single elements -------------------------------------------------------------------------------


def test_to_returns_itself_where_nothing_changes():
    t = torch.ones(2, 3)
    assert t.to(torch.float32) is t and t.float() is t and t.to("cpu") is t and t.type_as(torch.ones(1)) is t
    assert t.to(torch.float32, copy=True) is not t
    assert t.to(torch.ones(1, dtype=torch.int64)).dtype is torch.int64
    assert t.t().to(torch.float64).stride() == (1, 3)
    with pytest.raises(AssertionError, match="CUDA"):
        t.cuda()
    with pytest.raises(TypeError):
        t.to(torch.float32, torch.float32)


def test_gradients_pass_casts():
    x = torch.ones(3, requires_grad=True)
    (x.double() * 2).sum().backward()
    assert x.grad.dtype is torch.float32 and x.grad.tolist() == [2, 2, 2]


def test_casts_cut_and_wrap():
    assert torch.tensor([1.9, -1.9]).to(torch.int64).tolist() == [1, -1]
    assert torch.tensor([300, -1]).to(torch.uint8).tolist() == [44, 255]
    assert torch.tensor([0.0, 0.1]).bool().tolist() == [False, True]
    assert torch.tensor([1.00390625, 3.4e38]).bfloat16().tolist() == [1.0, math.inf]


def test_single_elements_are_numbers():
    assert int(torch.tensor(3.7)) == 3 and float(torch.tensor([2])) == 2.0 and complex(torch.tensor(1.5)) == 1.5
    assert [10, 20, 30][torch.tensor(1)] == 20 and list(range(torch.tensor(2))) == [0, 1]
    with pytest.raises(ValueError, match="only one element"):
        float(torch.ones(2))
    with pytest.raises(TypeError, match="index"):
        [1, 2][torch.tensor(1.0)]
    with pytest.raises(ValueError):
        int(torch.tensor(math.nan))


def test_filling_checks_the_number():
    u = torch.zeros(2, dtype=torch.uint8)
    assert u.fill_(-1).tolist() == [255, 255]
    with pytest.raises(RuntimeError, match="overflow"):
        u.fill_(300)
    with pytest.raises(RuntimeError):
        torch.ones(2).fill_(1j)
    with pytest.raises(RuntimeError):
        torch.ones(2).copy_(torch.ones(3))
    assert torch.zeros(2, 2).copy_(torch.tensor([1, 2])).tolist() == [[1, 2], [1, 2]]


# --- gradients -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    "sin exp tanh sigmoid lgamma erf special.i1 nn.functional.gelu nn.functional.silu nn.functional.mish".split(),
)
def test_first_and_second_gradients_agree_with_differences(name):
    f = pointwise_cases.find(torch, name)
    x = torch.tensor([0.3, 0.9, 1.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(f, (x,))
    assert torch.autograd.gradgradcheck(f, (x,))


def test_an_operation_without_derivative_can_be_read():
    x = torch.ones(3, requires_grad=True)
    y = x // 2
    assert y.tolist() == [0, 0, 0] and y.requires_grad
    with pytest.raises(RuntimeError, match="derivative"):
        y.sum().backward()
        x.grad.tolist()
    assert (torch.ones(2) + 1).tolist() == [2, 2]  # and what comes after it is not disturbed
