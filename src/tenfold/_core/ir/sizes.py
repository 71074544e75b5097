"""Sizes that are not known yet: a path is planned once, with sizes as expressions, and sizes are put in afterwards.

A Dim stands where an int would. Sums and products of Dims are polynomials, in one form each, so that equal sizes are
the same; what cannot be one (`//`, `%`) is a new unknown. Every Dim has the value that it had on the path from which the
plan is made: a comparison is answered with it, and becomes a guard. A Dim is no subclass of int on purpose: where Python
or NumPy need a true int (`range(n)`, `int(n)`, an index) they call `__index__`, which gives the value and guards that
it stays. So whatever a rule does with a size, the plan is right for all sizes that keep the guards; at worst for that
one alone."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

Poly = tuple[tuple[tuple[int, ...], int], ...]  # (unknowns of a product, its factor), sorted; () is 0
LEAST = 2  # no unknown size of a path is below this: 0 and 1 are part of the path


class Sizes:
    """The unknowns of a plan, what has been asked of them, and the layouts that were made of them."""

    def __init__(self, values: Sequence[int]):
        self.sources = len(values)
        self.values: list[int] = list(values)  # of the unknowns, on the path from which the plan is made
        self.made: list[tuple[Callable, tuple[Poly, ...]]] = []  # unknowns after the sources: a function of polynomials
        self.known: dict = {}
        self.equal: dict[Poly, bool] = {}  # guards: whether a polynomial is 0
        self.below: dict[Poly, bool] = {}  # and whether it is below 0
        self.reals: list[tuple[Callable, Any, Any, bool]] = []  # comparisons of floats: function, both, the answer
        self.layouts: dict = {}
        self.counting: Callable[
            [Dim, Any], Any
        ]  # 0, 1, 2 …, an array that is not there yet: set while a graph is expanded

    def source(self, k: int) -> Dim:
        return Dim(self, (((k,), 1),), self.values[k])

    def of(self, poly: Poly, value: int) -> Any:
        """A Dim, or an int where nothing is unknown."""
        if not poly:
            return 0
        if len(poly) == 1 and not poly[0][0]:
            return poly[0][1]
        return Dim(self, poly, value)

    def late(self, function: Callable[..., int], *sizes) -> Any:
        """A size that a function of ints gives: it is called when sizes are put in."""
        polys = tuple([poly_of(n) for n in sizes])
        if not any(type(n) is Dim for n in sizes):
            return function(*sizes)
        key = (function, polys)
        k = self.known.get(key)
        if k is None:
            value = function(*[value_of(n) for n in sizes])
            k = self.known[key] = len(self.values)
            self.made.append(key)
            self.values.append(value)
        return Dim(self, (((k,), 1),), self.values[k])

    def is_zero(self, poly: Poly, value: int) -> bool:
        if all([not unknowns for unknowns, _ in poly]):
            return not poly
        if not self._above(poly) and not self._above(negative(poly)):
            self.equal[poly] = value == 0
        return value == 0

    def is_below(self, poly: Poly, value: int) -> bool:
        if not self._above(poly, True) and not self._above(negative(poly)):
            self.below[poly] = value < 0
        return value < 0

    def _above(self, poly: Poly, or_zero: bool = False) -> bool:
        """Whether a polynomial is above 0 for all sizes that there may be."""
        least = 0
        for unknowns, factor in poly:
            if factor < 0 and unknowns or any([k >= self.sources for k in unknowns]):
                return False
            least += factor * LEAST ** len(unknowns)
        return least > 0 or or_zero and least == 0


def poly_of(n) -> Poly:
    if type(n) is Dim:
        return n.poly
    return (((), n),) if n else ()


def value_of(n) -> int:
    return n.value if type(n) is Dim else n


def negative(p: Poly) -> Poly:
    return tuple([(u, -f) for u, f in p])


def plus(p: Poly, q: Poly) -> Poly:
    if not p or not q:
        return p or q
    terms = dict(p)
    for u, f in q:
        terms[u] = terms.get(u, 0) + f
    return tuple(sorted([(u, f) for u, f in terms.items() if f]))


def times(p: Poly, q: Poly) -> Poly:
    terms: dict = {}
    for u, f in p:
        for v, g in q:
            w = tuple(sorted(u + v)) if u and v else u or v
            terms[w] = terms.get(w, 0) + f * g
    return tuple(sorted([(u, f) for u, f in terms.items() if f]))


def divided(p: Poly, q: Poly, sources: int) -> Poly | None:
    """p / q where q is one product of sizes that are never 0 and divides p; else None."""
    if len(q) != 1 or any([k >= sources for k in q[0][0]]):
        return None
    by, factor = q[0]
    out = []
    for u, f in p:
        if f % factor:
            return None
        rest = list(u)
        for k in by:
            if k not in rest:
                return None
            rest.remove(k)
        out.append((tuple(rest), f // factor))
    return tuple(sorted(out))


def _arithmetic(combine: Callable, compute: Callable):
    def forward(a, b):
        if type(b) is not Dim and type(b) is not int:
            return _real(compute, a, b) if type(b) in (float, Real) else NotImplemented
        return a.sizes.of(combine(a.poly, poly_of(b)), compute(a.value, value_of(b)))

    def backward(b, a):
        if type(a) is not int:
            return _real(compute, a, b) if type(a) is float else NotImplemented
        return b.sizes.of(combine(poly_of(a), b.poly), compute(a, b.value))

    return forward, backward


def _made(function: Callable, exact: Callable):
    """A function of two sizes that is a polynomial only where `exact` finds it."""

    def apply(sizes: Sizes, a, b):
        p, q = poly_of(a), poly_of(b)
        found = divided(p, q, sizes.sources) if q else None
        return (
            sizes.late(function, a, b) if found is None else sizes.of(exact(found), function(value_of(a), value_of(b)))
        )

    def forward(a, b):
        return apply(a.sizes, a, b) if type(b) in (Dim, int) else NotImplemented

    def backward(b, a):
        return apply(b.sizes, a, b) if type(a) is int else NotImplemented

    return forward, backward


def _compared(ask: Callable):
    def compare(a, b):
        if type(b) is not Dim and type(b) is not int:
            return NotImplemented
        return ask(a.sizes, plus(a.poly, negative(poly_of(b))), a.value - value_of(b))

    return compare


class Dim:
    """An int that is an expression of a path's sizes."""

    __slots__ = ("sizes", "poly", "value", "_hash")

    def __init__(self, sizes: Sizes, poly: Poly, value: int):
        self.sizes = sizes
        self.poly = poly
        self.value = value
        self._hash = hash((id(sizes), poly))

    __class__ = property(lambda self: int)  # type: ignore[assignment]  # for isinstance

    __add__, __radd__ = _arithmetic(plus, operator.add)
    __sub__, __rsub__ = _arithmetic(lambda p, q: plus(p, negative(q)), operator.sub)
    __mul__, __rmul__ = _arithmetic(times, operator.mul)
    __floordiv__, __rfloordiv__ = _made(operator.floordiv, lambda found: found)
    __mod__, __rmod__ = _made(operator.mod, lambda found: ())

    def __eq__(self, n) -> bool:
        if type(n) is Dim:
            if n.poly == self.poly or n.sizes is not self.sizes:
                return n.sizes is self.sizes
        elif type(n) is not int:
            return NotImplemented
        return self.sizes.is_zero(plus(self.poly, negative(poly_of(n))), self.value - value_of(n))

    def __ne__(self, n) -> bool:
        return not self == n

    __lt__ = _compared(Sizes.is_below)
    __gt__ = _compared(lambda s, p, v: s.is_below(negative(p), -v))
    __ge__ = _compared(lambda s, p, v: not s.is_below(p, v))
    __le__ = _compared(lambda s, p, v: not s.is_below(negative(p), -v))

    def __hash__(self) -> int:
        return self._hash

    def __neg__(self):
        return self.sizes.of(negative(self.poly), -self.value)

    def __pos__(self):
        return self

    def __abs__(self):
        return -self if self < 0 else self

    def __divmod__(self, n):
        return self // n, self % n

    def __rdivmod__(self, n):
        return n // self, n % self

    def __pow__(self, n):
        if type(n) is int and 0 <= n < 4:
            out = 1
            for _ in range(n):
                out = out * self
            return out
        return _real(operator.pow, self, n)

    def __truediv__(self, n):
        return _real(operator.truediv, self, n)

    def __rtruediv__(self, n):
        return _real(operator.truediv, n, self)

    def __bool__(self) -> bool:
        return self != 0

    def __index__(self) -> int:
        self.sizes.equal[plus(self.poly, poly_of(-self.value))] = True
        return self.value

    __int__ = __trunc__ = __index__

    def __float__(self) -> float:
        return float(self.__index__())

    def __repr__(self) -> str:
        return " + ".join(["*".join([str(f), *[f"s{k}" for k in u]]) for u, f in self.poly])


class Real:
    """A float that is computed from sizes, when they are put in."""

    __slots__ = ("function", "args", "value")
    __class__ = property(lambda self: float)  # type: ignore[assignment]

    def __init__(self, function: Callable, args: tuple, value: float):
        self.function = function
        self.args = args
        self.value = value

    def __float__(self) -> float:
        for a in self.args:
            if type(a) in (Dim, Real):
                float(a)  # guarded
        return self.value

    def __repr__(self) -> str:
        return f"{self.function.__name__}({', '.join(map(repr, self.args))})"

    def __bool__(self) -> bool:
        return bool(float(self))

    def __hash__(self) -> int:
        return hash(repr(self))

    def __neg__(self):
        return _real(operator.neg, self)


def _real(function: Callable, *args):
    if any([type(a) not in (Dim, Real, int, float) for a in args]):
        return NotImplemented
    return Real(function, args, function(*[a.value if type(a) in (Dim, Real) else a for a in args]))


def _answered(compare: Callable, a: Real, b) -> bool:
    if type(b) not in (Real, Dim, int, float):
        return NotImplemented
    answer = compare(a.value, b.value if type(b) in (Dim, Real) else b)
    unknown: Any = a
    while type(unknown) is Real:
        unknown = next(x for x in unknown.args if type(x) in (Dim, Real))
    unknown.sizes.reals.append((compare, a, b, answer))
    return answer


for _name in ("add", "sub", "mul", "truediv", "pow"):
    _f = getattr(operator, _name)
    setattr(Real, f"__{_name}__", lambda a, b, f=_f: _real(f, a, b))
    setattr(Real, f"__r{_name}__", lambda a, b, f=_f: _real(f, b, a))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _f = getattr(operator, _name)
    setattr(Real, f"__{_name}__", lambda a, b, f=_f: _answered(f, a, b))


def index(n) -> Any:
    """operator.index; a size that is not known yet stays so."""
    return n if type(n) is Dim else operator.index(n)


def is_unknown(n) -> bool:
    return type(n) is Dim or type(n) is Real


def known(sizes: Iterable) -> bool:
    """Whether none of the sizes is unknown."""
    return not any([type(n) is Dim for n in sizes])


class Formulas:
    """Polynomials of sizes, all computed together: three passes over arrays of numbers."""

    def __init__(self, sizes: Sizes):
        self.sizes = sizes
        self.number: dict[Poly, int] = {}
        self.ready: tuple | None = None
        self.guards: tuple | None = None

    def of(self, n: Dim) -> int:
        """The place of a size among the results."""
        return self._place(n.poly)

    def _place(self, poly: Poly) -> int:
        k = self.number.get(poly)
        if k is None:
            k = self.number[poly] = len(self.number)
        return k

    def close(self) -> None:
        """No further sizes: what was asked of them becomes the guards."""
        s = self.sizes
        self.made = [
            (
                f,
                [self._place(p) if p else -1 for p in polys],
                any([k >= s.sources for p in polys for u, _ in p for k in u]),
            )
            for f, polys in s.made
        ]
        guards = [[(self._place(p), yes) for p, yes in g.items()] for g in (s.equal, s.below)]
        self.guards = tuple([(np.array([k for k, _ in g], int), np.array([y for _, y in g], bool)) for g in guards])
        products: dict[tuple[int, ...], int] = {}
        terms, factors, starts = [], [], []
        for poly in self.number:
            starts.append(len(terms))
            for u, f in poly or (((), 0),):
                terms.append(products.setdefault(u, len(products)))
                factors.append(f)
        widest = max([len(u) for u in products], default=0)
        one = len(s.values)  # the place of a 1 behind the unknowns
        rows = [[*u, *[one] * (widest - len(u))] for u in products]
        self.products = np.array(rows, np.int64).reshape(len(products), widest)
        self.terms, self.factors, self.starts = (np.array(x, np.int64) for x in (terms, factors, starts))

    def __call__(self, values: Sequence[int]) -> np.ndarray | None:
        """All results for values of the sources; None where a guard does not hold."""
        unknowns = np.ones(len(self.sizes.values) + 1, np.int64)
        unknowns[: len(values)] = values
        results = self._results(unknowns)
        for k, (function, places, on_made) in enumerate(self.made, len(values)):
            if on_made:
                results = self._results(unknowns)
            try:
                unknowns[k] = function(*[int(results[p]) if p >= 0 else 0 for p in places])
            except ZeroDivisionError:
                return None
        if self.made:
            results = self._results(unknowns)
        zero, below = self.guards
        if ((results[zero[0]] == 0) != zero[1]).any() or ((results[below[0]] < 0) != below[1]).any():
            return None
        return results

    def _results(self, unknowns: np.ndarray) -> np.ndarray:
        products = unknowns[self.products].prod(axis=1)
        return np.add.reduceat(self.factors * products[self.terms], self.starts)
