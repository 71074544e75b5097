"""Orthogonal polynomials of special: value of the n-th one, by their three-term recurrences (DLMF 18.9)."""

from __future__ import annotations

import numpy as np

from .declare import elementwise


def recurrence(x, n, first, step):
    """p_n(x) for whole n >= 0, where p_0 = 1, p_1 = first(x), p_(k+1) = step(k, x, p_k, p_(k-1)); 0 for negative n."""
    x, n = np.broadcast_arrays(np.asarray(x), np.asarray(n))
    degree = np.trunc(n)
    before, now = np.ones_like(x), first(x)
    out = np.where(degree == 0, before, np.where(degree == 1, now, x.dtype.type(0)))
    highest = np.where(np.isfinite(degree), degree, 0).max(initial=0)
    for k in range(1, int(highest)):
        before, now = now, step(k, x, now, before)
        out = np.where(degree == k + 1, now, out)
    return np.where(np.isnan(x) & (degree > 0), x, out)


def _polynomial(name: str, first, step, doc: str):
    def polynomial(input, n):
        return recurrence(input, n, first, step)

    polynomial.__doc__ = doc
    name_of = {"where": "special", "inplace": False, "numbers": "input n", "differentiable": False}
    return elementwise(kind="float", dtypes="bool int float", name=name, **name_of)(polynomial)


def _chebyshev(k, x, now, before):
    return 2 * x * now - before


def _hermite(k, x, now, before):
    return 2 * x * now - 2 * k * before


def _hermite_e(k, x, now, before):
    return x * now - k * before


def _laguerre(k, x, now, before):
    return ((2 * k + 1 - x) * now - k * before) / (k + 1)


def _legendre(k, x, now, before):
    return ((2 * k + 1) * x * now - k * before) / (k + 1)


for _name, _first, _step, _doc in (
    ("chebyshev_polynomial_t", lambda x: x, _chebyshev, "The Chebyshev polynomial of the first kind of degree n."),
    ("chebyshev_polynomial_u", lambda x: 2 * x, _chebyshev, "The Chebyshev polynomial of the second kind of degree n."),
    (
        "chebyshev_polynomial_v",
        lambda x: 2 * x - 1,
        _chebyshev,
        "The Chebyshev polynomial of the third kind of degree n.",
    ),
    (
        "chebyshev_polynomial_w",
        lambda x: 2 * x + 1,
        _chebyshev,
        "The Chebyshev polynomial of the fourth kind of degree n.",
    ),
    ("hermite_polynomial_h", lambda x: 2 * x, _hermite, "The physicist's Hermite polynomial of degree n."),
    ("hermite_polynomial_he", lambda x: x, _hermite_e, "The probabilist's Hermite polynomial of degree n."),
    ("laguerre_polynomial_l", lambda x: 1 - x, _laguerre, "The Laguerre polynomial of degree n."),
    ("legendre_polynomial_p", lambda x: x, _legendre, "The Legendre polynomial of degree n."),
):
    _polynomial(_name, _first, _step, _doc)

for _kind, _first in (
    ("t", lambda y: y),
    ("u", lambda y: 2 * y),
    ("v", lambda y: 2 * y - 1),
    ("w", lambda y: 2 * y + 1),
):
    _polynomial(
        f"shifted_chebyshev_polynomial_{_kind}",
        lambda x, first=_first: first(2 * x - 1),
        lambda k, x, now, before: _chebyshev(k, 2 * x - 1, now, before),
        f"chebyshev_polynomial_{_kind} at 2 * input - 1.",
    )
