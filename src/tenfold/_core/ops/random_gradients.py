"""How gamma and Dirichlet numbers move with their parameters: the gradients of their draws.

A draw x with distribution function F(x; a) is the quantile of a fixed probability, so that dx/da = -(dF/da) / (dF/dx)
(implicit reparameterisation). With the density p, dF/da is the integral over t < x of p(t) times the derivative s(t) of
its logarithm, and minus that over t > x. In w, the logarithm of t (gamma) or its log odds (beta), the logarithm of
p(t) dt/dw is concave for all parameters, so that on the side of x away from the mode the integrand falls at least
exponentially. There it is integrated by Gauss's rule, on pieces that grow in steps, down to exp(-REACH) of where it begins.

Source: Figurnov, Mohamed and Mnih 2018, Implicit reparameterization gradients; Jankowiak and Obermeyer 2018, Pathwise
derivatives beyond the reparameterization trick."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..ir.shapes import Layout, broadcast_shapes, layout
from .declare import primitive
from .special_values import digamma_values

REACH = 36.0
PIECES = (0.0, 1 / 1024, 1 / 128, 1 / 16, 1 / 4, 1.0)
NODES = 12


def _nodes() -> tuple[np.ndarray, np.ndarray]:
    """Places in [0, 1] and weights of Gauss's rule on the pieces."""
    x, weight = np.polynomial.legendre.leggauss(NODES)
    starts, sizes = np.array(PIECES[:-1]), np.diff(PIECES)
    places = starts[:, None] + sizes[:, None] * (x + 1) / 2
    return places.ravel(), (sizes[:, None] * weight / 2).ravel()


def tail_integral(log_fall: Callable, slope: Callable, end: np.ndarray, value: Callable) -> np.ndarray:
    """The integral of value(s) * exp(log_fall(s)) over s > 0, element by element, with concave, falling log_fall.

    Args: slope: that of log_fall; end: a first guess of where log_fall is -REACH."""
    for _ in range(8):  # Newton's method, which comes down from above, log_fall being concave
        end = end - (log_fall(end) + REACH) / slope(end)
    total = np.zeros_like(end)
    for place, weight in zip(*_nodes()):
        s = end * place
        total += weight * value(s) * np.exp(log_fall(s))
    return total * end


def _parabola_end(steepness, curvature):
    """Where steepness * s + curvature * s ** 2 / 2 is REACH."""
    return 2 * REACH / (steepness + np.sqrt(steepness * steepness + 2 * REACH * curvature))


def gamma_gradient_values(alpha: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dx / dalpha of gamma numbers x of shape alpha and scale 1, in float64."""
    centre = digamma_values(alpha)
    result = np.zeros_like(x)
    is_lower, is_upper = (x > 0) & (x <= alpha), x > alpha
    if is_lower.any():
        a, y, c = alpha[is_lower], x[is_lower], np.log(x[is_lower]) - centre[is_lower]
        integral = tail_integral(
            lambda s: (y - a) * s - y * (np.expm1(-s) + s),
            lambda s: y * np.exp(-s) - a,
            _parabola_end(a - y, y),
            lambda s: s - c,
        )
        result[is_lower] = y * integral
    if is_upper.any():
        a, y, c = alpha[is_upper], x[is_upper], np.log(x[is_upper]) - centre[is_upper]
        end = np.minimum(_parabola_end(y - a, y), np.maximum(2.0, np.log(2 * REACH / y)))
        integral = tail_integral(
            lambda s: (a - y) * s - y * (np.expm1(s) - s), lambda s: a - y * np.exp(s), end, lambda s: s + c
        )
        result[is_upper] = y * integral
    return result


def _softplus(x):
    return np.logaddexp(0.0, x)


def beta_gradient_values(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """dx / dalpha / (1 - x) of beta numbers x, in float64."""
    log_odds = np.log(x) - np.log1p(-x)
    centre = digamma_values(alpha + beta) - digamma_values(alpha)
    side = np.where(x <= alpha / (alpha + beta), 1.0, -1.0)  # the tail goes to 0, or to 1
    # In the tail's direction: exponents of its own end and of the other, and the log odds of x.
    own, other = np.where(side > 0, alpha, beta), np.where(side > 0, beta, alpha)
    w = side * log_odds
    log_own, log_other = -_softplus(-w), -_softplus(w)

    def log_fall(s):
        return own * (-_softplus(s - w) - log_own) + other * (-_softplus(w - s) - log_other)

    def share(s):
        return np.exp(-_softplus(s - w))

    integral = tail_integral(
        log_fall,
        lambda s: (own + other) * share(s) - own,
        _parabola_end(own - (own + other) * share(0.0), (own + other) * x * (1 - x)),
        lambda s: centre - _softplus(np.where(side > 0, s - w, w - s)),
    )
    return -side * x * integral


def _not_twice(name: str) -> Callable:
    def gradient(g, out, *arguments):
        raise NotImplementedError(f"the derivative for '{name}' is not implemented: random draws have first gradients")

    return gradient


def _gamma_grad_rule(input: Layout, output: Layout) -> Layout:
    return layout(broadcast_shapes(input.shape, output.shape), None, output.dtype, output.device)


@primitive(
    rule=_gamma_grad_rule, where="torch", name="_standard_gamma_grad", gradient=_not_twice("_standard_gamma_grad")
)
def standard_gamma_grad(input, output):
    """d output / d input, where output was drawn by _standard_gamma(input)."""
    alpha, x = (np.ascontiguousarray(v, np.float64) for v in np.broadcast_arrays(input, output))
    with np.errstate(all="ignore"):
        return gamma_gradient_values(alpha.ravel(), x.ravel()).reshape(x.shape)


def _dirichlet_grad_rule(x: Layout, alpha: Layout, total: Layout) -> Layout:
    return layout(broadcast_shapes(x.shape, alpha.shape, total.shape), None, x.dtype, x.device)


@primitive(rule=_dirichlet_grad_rule, where="torch", name="_dirichlet_grad", gradient=_not_twice("_dirichlet_grad"))
def dirichlet_grad(x, alpha, total):
    """For x of a Dirichlet draw with concentrations alpha of that total: d x / d alpha of its marginal, over 1 - x."""
    x, alpha, total = (np.ascontiguousarray(v, np.float64) for v in np.broadcast_arrays(x, alpha, total))
    with np.errstate(all="ignore"):
        return beta_gradient_values(x.ravel(), alpha.ravel(), (total - alpha).ravel()).reshape(x.shape)
