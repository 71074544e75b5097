"""Sizes that are not known yet: put in, they are what Python computes with them, as long as the guards are kept."""

import math
import operator
import random

import pytest

from tenfold._core.ir.dtypes import float32
from tenfold._core.ir.shapes import Size, layout
from tenfold._core.ir.sizes import Dim, Formulas, Real, Sizes, index

BINARY = [operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, max, min]
COMPARED = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


def expression(rng, depth=4):
    """A function of a list of sizes, which branches on them, and may divide by 0."""
    if depth == 0 or rng.random() < 0.2:
        k, n = rng.randrange(3), rng.randrange(-2, 5)
        return (lambda s: s[k]) if rng.random() < 0.7 else (lambda s: n)
    a, b = expression(rng, depth - 1), expression(rng, depth - 1)
    if rng.random() < 0.2:
        c, compare = expression(rng, depth - 1), rng.choice(COMPARED)
        return lambda s: a(s) if compare(b(s), c(s)) else c(s) * 2
    f = rng.choice(BINARY)
    return lambda s: f(a(s), b(s))


def test_random_expressions():
    rng = random.Random(0)
    held = broken = 0
    for _ in range(400):
        f = expression(rng)
        values = [rng.randrange(2, 40) for _ in range(3)]
        unknown = Sizes(values)
        try:
            made = f([unknown.source(k) for k in range(3)])
        except ZeroDivisionError:
            continue
        assert index(made) is made if type(made) is Dim else True
        known = f(values)
        formulas = Formulas(unknown)
        place = formulas.of(made) if type(made) is Dim else None
        formulas.close()
        assert place is None or formulas(values)[place] == known == made.value
        for _ in range(10):
            others = [rng.randrange(2, 40) for _ in range(3)]
            found = formulas(others)
            if found is None:
                broken += 1
                continue
            held += 1
            assert (made if place is None else found[place]) == f(others)
    assert held > 500 and broken > 100


def test_equal_sizes_are_one():
    s = Sizes([6, 35])
    n, t = s.source(0), s.source(1)
    assert {n * t: 1}[t * n] == 1 and (n + t) * 2 - t == 2 * n + t and (8 * n * t) // (4 * t) == 2 * n
    assert 8 * n % (2 * n) == 0 and n - n == 0 and type(n - n) is int
    assert math.prod([2, n, t]) == 2 * n * t and sum([n, t, n]) == 2 * n + t
    assert layout(Size((n, t)), None, float32) is layout((n, t), (t, 1), float32) is not layout((t, n), None, float32)
    assert not s.equal and not s.below


def test_sizes_of_two_plans_are_never_one():
    n, m = [Sizes([7]).source(0) for _ in range(2)]
    assert n != m and {n: 1}.get(m) is None


def test_no_guard_is_needed_for_what_always_holds():
    s = Sizes([6, 35])
    n, t = s.source(0), s.source(1)
    assert n != 1 and n > 1 and n * t + 1 > 0 and max(n, 1) is n and bool(n)
    assert not s.equal and not s.below
    assert n < t and n != t
    assert len(s.equal) == len(s.below) == 1


@pytest.mark.parametrize("use", [lambda n: list(range(n)), int, float, lambda n: "abcdefgh"[n], lambda n: [0] * n])
def test_what_needs_an_int_guards_it(use):
    s = Sizes([6, 35])
    n = s.source(0)
    assert use(n) == use(6)
    formulas = Formulas(s)
    formulas.close()
    assert formulas([6, 40]) is not None and formulas([7, 35]) is None


def test_floats_of_sizes():
    n = Sizes([6]).source(0)
    assert isinstance(n, int) and not isinstance(n, bool)
    for f in (lambda n: 1 / n, lambda n: n**-0.5 * 2.0, lambda n: 3.0 - n, lambda n: -(n / 4)):
        made = f(n)
        assert type(made) is Real and isinstance(made, float) and made.value == f(6)
        assert made.function(*[a.value if type(a) in (Dim, Real) else a for a in made.args]) == f(6)
    assert (1 / n < 0.5) and n.sizes.reals[0][3] is True
