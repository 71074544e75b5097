"""Fits the tables of src/tenfold/_core/ops/special_tables.py with mpmath, at 40 digits: Chebyshev coefficients of
smooth functions on intervals. Run it by hand, its output is that file."""

import math

import mpmath as mp
import numpy as np

mp.mp.dps = 40


def chebyshev(f, n, drop=1e-18):
    """Coefficients of f on [-1, 1], cut where they no longer matter to a double."""
    m = 2 * n
    nodes = [mp.cos(mp.pi * (k + mp.mpf(1) / 2) / m) for k in range(m)]
    values = [f(t) for t in nodes]
    out = []
    for j in range(n):
        c = 2 * mp.fsum(v * mp.cos(mp.pi * j * (k + mp.mpf(1) / 2) / m) for k, v in enumerate(values)) / m
        out.append(c / 2 if j == 0 else c)
    largest = max(abs(c) for c in out)
    while len(out) > 1 and abs(out[-1]) < drop * largest:
        out.pop()
    return out


def on(f, a, b):
    """f of a variable in [a, b] as a function of t in [-1, 1]."""
    a, b = mp.mpf(a), mp.mpf(b)
    return lambda t: f(a + (b - a) * (t + 1) / 2)


def erfcx(x):
    return mp.exp(x * x) * mp.erfc(x) if x < 30 else 1 / (x * mp.sqrt(mp.pi)) * mp.hyper([1, 0.5], [], -1 / (x * x))


def erfcx_by_t(t):
    """(1 + 2 x) erfcx(x) with t = (x - 3.75) / (x + 3.75), Shepherd and Laframboise."""
    x = mp.mpf("3.75") * (1 + t) / (1 - t)
    return (1 + 2 * x) * erfcx(x)


def phase(order, sign):
    """P (sign 1) and Q (sign -1) of Hankel's forms of J and Y for arguments from 8, in z = (8 / x) ** 2."""

    def f(z):
        z = mp.mpf(z)
        if z < mp.mpf("1e-12"):
            z = mp.mpf("1e-12")
        x = 8 / mp.sqrt(z)
        chi = x - (2 * order + 1) * mp.pi / 4
        size = mp.sqrt(mp.pi * x / 2)
        j, y = mp.besselj(order, x), mp.bessely(order, x)
        if sign > 0:
            return size * (j * mp.cos(chi) + y * mp.sin(chi))
        return size * (y * mp.cos(chi) - j * mp.sin(chi)) * x

    return f


def root(z):
    return mp.sqrt(mp.mpf(z)) if z > mp.mpf("1e-30") else mp.mpf("1e-15")


def y_rest(order):
    """What is left of Y when its logarithm is taken out, for x ** 2 = z."""

    def f(z):
        x = root(z)
        rest = mp.bessely(order, x) - 2 / mp.pi * mp.log(x) * mp.besselj(order, x)
        return rest if order == 0 else (rest + 2 / (mp.pi * x)) / x

    return f


def k_rest(order):
    def f(z):
        x = root(z)
        if order == 0:
            return mp.besselk(0, x) + mp.log(x / 2) * mp.besseli(0, x)
        return (mp.besselk(1, x) - mp.log(x / 2) * mp.besseli(1, x) - 1 / x) / x

    return f


def tail(f, u, least):
    """f(1 / u), with u kept from 0."""
    return f(1 / max(mp.mpf(u), least * mp.mpf("1e-6")))


def airy_pair(which):
    """Modulus functions of Ai(-x), Bi(-x): with zeta = 2/3 x ** 1.5, in u = 1 / zeta ** 2."""

    def f(u):
        zeta = 1 / mp.sqrt(max(mp.mpf(u), mp.mpf("1e-10")))
        x = (mp.mpf(3) / 2 * zeta) ** (mp.mpf(2) / 3)
        size = mp.sqrt(mp.pi) * mp.sqrt(mp.sqrt(x))
        a, b = mp.airyai(-x), mp.airybi(-x)
        c, s = mp.cos(zeta - mp.pi / 4), mp.sin(zeta - mp.pi / 4)
        return size * (a * c - b * s) if which == 0 else size * (a * s + b * c) * zeta

    return f


def airy_tail(u):
    zeta = 1 / max(mp.mpf(u), mp.mpf("1e-8"))
    x = (mp.mpf(3) / 2 * zeta) ** (mp.mpf(2) / 3)
    return 2 * mp.sqrt(mp.pi) * mp.sqrt(mp.sqrt(x)) * mp.exp(zeta) * mp.airyai(x)


def j_near(order):
    return lambda z: mp.besselj(order, root(z)) / (root(z) if order else 1)


def i_near(order):
    def f(x):
        x = max(mp.mpf(x), mp.mpf("1e-20"))
        return mp.exp(-x) * mp.besseli(order, x) / (x if order else 1)

    return f


def scaled(kind, order):
    """sqrt(x) exp(-+x) I or K, for 1 / x = u."""

    def f(x):
        bessel = mp.besseli if kind == "i" else mp.besselk
        return mp.sqrt(x) * mp.exp(-x if kind == "i" else x) * bessel(order, x)

    return lambda u: tail(f, u, mp.mpf(1))


SINGLE_TOP, SINGLE_BOTTOM, SINGLE_END = 5, 5, 3.95  # degrees of the quotient for float32, and where erf is 1 to it


def quotient():
    """Coefficients (lowest first) of P and Q with erf(x) near x P(x ** 2) / Q(x ** 2): least squares of the relative
    error, weighted again and again where it is large."""
    k = np.arange(2000)
    z = SINGLE_END**2 * (1 + np.cos(np.pi * (k + 0.5) / 2000)) / 2
    x = np.sqrt(z)
    f = np.array([math.erf(v) for v in x]) / x
    t = z / SINGLE_END**2
    bottom, weight = np.ones_like(z), np.ones_like(z)
    for _ in range(60):
        columns = [t**j for j in range(SINGLE_TOP + 1)] + [-f * t**j for j in range(1, SINGLE_BOTTOM + 1)]
        scale = weight / np.abs(bottom * f)
        found = np.linalg.lstsq(np.stack(columns, 1) * scale[:, None], f * scale, rcond=None)[0]
        top = np.polynomial.polynomial.polyval(t, found[: SINGLE_TOP + 1])
        bottom = np.polynomial.polynomial.polyval(t, [1.0, *found[SINGLE_TOP + 1 :]])
        error = np.abs(top / bottom / f - 1)
        weight = weight * (0.3 + error / error.max())
        weight /= weight.max()
    powers = [SINGLE_END ** (-2 * j) for j in range(max(SINGLE_TOP, SINGLE_BOTTOM) + 1)]
    top = [c * p for c, p in zip(found[: SINGLE_TOP + 1], powers)]
    return top, [1.0, *[c * p for c, p in zip(found[SINGLE_TOP + 1 :], powers[1:])]]


def lgamma_part(x):
    x = x + mp.mpf("1e-25")  # neither 1 nor 2, where it is 0 / 0
    return mp.loggamma(x) / ((x - 1) * (x - 2))


def tables():
    yield "ERF", "erf(x) / x for x ** 2 in [0, 1]", on(lambda z: mp.erf(root(z)) / root(z), 0, 1), 24
    yield "ERFCX", "(1 + 2 x) erfcx(x), t = (x - 3.75) / (x + 3.75)", lambda t: erfcx_by_t(t), 40
    yield "LGAMMA", "lgamma(x) / ((x - 1) (x - 2)) on [1, 3]", on(lgamma_part, 1, 3), 32
    for n in (0, 1):
        yield f"I{n}_NEAR", f"exp(-x) I{n}(x){' / x' if n else ''} for x in [0, 8]", on(i_near(n), 0, 8), 44
        yield f"I{n}_FAR", f"sqrt(x) exp(-x) I{n}(x) for 1 / x in [0, 1/8]", on(scaled("i", n), 0, mp.mpf(1) / 8), 44
        yield f"K{n}_NEAR", f"K{n} without its logarithm and pole, for x ** 2 in [0, 4]", on(k_rest(n), 0, 4), 24
        yield f"K{n}_FAR", f"sqrt(x) exp(x) K{n}(x) for 1 / x in [0, 1/2]", on(scaled("k", n), 0, mp.mpf(1) / 2), 60
        yield (
            f"J{n}_NEAR",
            f"J{n}(x){' / x' if n else ''} for x ** 2 in [0, 64]",
            on(j_near(n), 0, 64),
            34,
        )
        yield f"Y{n}_NEAR", f"Y{n} without its logarithm and pole, for x ** 2 in [0, 64]", on(y_rest(n), 0, 64), 36
        yield f"P{n}_FAR", f"P of order {n} for (8 / x) ** 2 in [0, 1]", on(phase(n, 1), 0, 1), 40
        yield f"Q{n}_FAR", f"x Q of order {n} for (8 / x) ** 2 in [0, 1]", on(phase(n, -1), 0, 1), 40
    for low, high in ((-8, -4), (-4, 0), (0, 3)):
        yield f"AI_{low}_{high}".replace("-", "M"), f"Ai on [{low}, {high}]", on(mp.airyai, low, high), 36
    yield "AI_FAR", "2 sqrt(pi) x ** 0.25 exp(zeta) Ai(x) for 1 / zeta in [0, 0.29]", on(airy_tail, 0, "0.29"), 50
    yield "AI_COS", "cosine part of Ai(-x) for 1 / zeta ** 2 in [0, 0.0045]", on(airy_pair(0), 0, "0.0045"), 30
    yield "AI_SIN", "zeta times sine part of Ai(-x) for 1 / zeta ** 2 in [0, 0.0045]", on(airy_pair(1), 0, "0.0045"), 30


def main():
    print('"""Chebyshev coefficients, lowest first, of the functions in special_values.py.\n')
    print(
        'Made by tests/_core/ops/fit_special.py; each comment says what is expanded, its variable scaled to [-1, 1]."""'
    )
    for name, what, f, n in tables():
        coefficients = chebyshev(f, n)
        print(f"\n# {what}\n{name} = (")
        for c in coefficients:
            print(f"    {mp.nstr(c, 19)},")
        print(")")
    top, bottom = quotient()
    for name, what, coefficients in (("SINGLE_TOP", "P", top), ("SINGLE_BOTTOM", "Q", bottom)):
        print(f"\n# {what} of erf(x) = x P(x ** 2) / Q(x ** 2) for |x| <= {SINGLE_END}, to the precision of float32")
        print(f"ERF_{name} = (")
        for c in coefficients:
            print(f"    {float(c)!r},")
        print(")")


if __name__ == "__main__":
    main()
