"""How gamma and beta numbers move with their parameters: values of mpmath at 30 digits, closed forms, and second gradients."""

import numpy as np
import pytest

import tenfold as torch

# (shape of the distribution, number, dx / dshape)
GAMMA = [
    (0.001, 1e-05, 0.109374727780818),
    (0.01, 0.3, 37.0347600477608),
    (1.0, 0.5, 0.806979116825318),
    (3.0, 10.0, 1.8151881913114),
    (10000.0, 9900.0, 0.994999832659952),
    (0.5, 20.0, 4.88917177294408),
    (50.0, 30.0, 0.768774152525244),
    (0.3, 1e-20, 1.52941703236714e-18),
]
# (alpha, beta, number, dx / dalpha / (1 - x))
BETA = [
    (0.1, 0.1, 0.3, 18.5884994257607),
    (0.01, 2.0, 0.001, 0.593043290986124),
    (1.0, 1.0, 0.5, 0.693147180559945),
    (3.0, 10.0, 0.5, 0.120404644816881),
    (100.0, 50.0, 0.6, 0.00634590032981434),
    (0.5, 20.0, 0.9, 0.242323954427382),
    (0.02, 0.03, 0.999, 1000.61087134795),
]


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def test_gamma_numbers():
    alpha, x, expected = (double(column) for column in zip(*GAMMA))
    np.testing.assert_allclose(torch._standard_gamma_grad(alpha, x).numpy(), expected.numpy(), rtol=1e-8)
    single = torch._standard_gamma_grad(alpha.float(), x.float())
    assert single.dtype is torch.float32
    np.testing.assert_allclose(single.numpy(), expected.numpy(), rtol=1e-6)


def test_beta_numbers():
    alpha, beta, x, expected = (double(column) for column in zip(*BETA))
    np.testing.assert_allclose(torch._dirichlet_grad(x, alpha, alpha + beta).numpy(), expected.numpy(), rtol=1e-8)


def test_beta_numbers_in_closed_form():
    # with beta = 1, x ** alpha is uniform: dx / dalpha = -x log(x) / alpha
    alpha, x = double([[0.2], [1.0], [40.0]]), double([1e-6, 0.2, 0.5, 0.97])
    found = torch._dirichlet_grad(x, alpha, alpha + 1)
    np.testing.assert_allclose(found.numpy(), (-x * x.log() / alpha / (1 - x)).numpy(), rtol=1e-8)


def test_a_draw_stays_at_its_place_in_the_distribution():
    alpha = double([0.2, 1.5, 30.0]).requires_grad_()
    torch.manual_seed(0)
    x = torch._standard_gamma(alpha)
    (moved,) = torch.autograd.grad(torch.igamma(alpha, x).sum(), alpha)  # through both arguments
    np.testing.assert_allclose(moved.numpy(), 0, atol=1e-8)


def test_igamma_has_a_gradient_for_its_first_argument():
    a, x = double([0.5, 3.0, 20.0]).requires_grad_(), double([1.0, 2.0, 25.0])
    step = 1e-6
    for f in (torch.igamma, torch.igammac):
        (found,) = torch.autograd.grad(f(a, x).sum(), a)
        with torch.no_grad():
            expected = (f(a + step, x) - f(a - step, x)) / (2 * step)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-7)
    (at_zero,) = torch.autograd.grad(torch.igamma(a, double(0.0)).sum(), a)
    assert at_zero.tolist() == [0, 0, 0]


def test_a_dirichlet_draw_stays_on_the_simplex():
    alpha = double([0.5, 2.0, 4.0]).requires_grad_()
    torch.manual_seed(0)
    (found,) = torch.autograd.grad(torch._sample_dirichlet(alpha).sum(), alpha)
    np.testing.assert_allclose(found.numpy(), 0, atol=1e-14)


@pytest.mark.parametrize("draw", [torch._standard_gamma, torch._sample_dirichlet])
def test_there_is_no_second_gradient(draw):
    alpha = double([0.5, 2.0]).requires_grad_()
    (g,) = torch.autograd.grad((draw(alpha) * double([1.0, 2.0])).sum(), alpha, create_graph=True)
    with pytest.raises(NotImplementedError, match=r"the derivative for '_\w+_grad' is not implemented"):
        g.sum().backward()
        alpha.grad.tolist()
