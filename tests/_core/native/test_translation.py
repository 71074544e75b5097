"""Translated functions do what the Python functions do: results, errors, and references."""

import copy
import ctypes
import gc
import itertools
import sys
import types

import pytest

pytest.importorskip("llvmlite")

import zoo

from tenfold._core.native.install import linked
from tenfold._core.native.translate import translated
from tenfold._core.native.unit import Hints, Unit, Untranslatable


def hints():
    return Hints(
        (zoo.Point,), {"p": zoo.Point, "q": zoo.Point}, {"next": zoo.Point}, frozenset(), frozenset(), None, None, None
    )


REFUSED = {"both"}  # a bare `raise` has no translation


@pytest.fixture(scope="module")
def native():
    unit = Unit(hints())
    functions = [f for n, f in vars(zoo).items() if type(f) is type(zoo.slot) and n not in ("closing", *REFUSED)]
    functions += zoo.closing(5)
    for f in functions:
        unit.declare(f)
    unit.declare(zoo.Point.__init__)
    unit.declare(zoo.Point.moved)
    unit.declare(zoo.Adder.__call__)
    assert unit.translate(translated) == {}
    return linked(unit)


def told(f, arguments, keywords=None):
    """What a call gives or raises, and what became of its arguments."""
    try:
        result = f(*arguments, **(keywords or {}))
    except Exception as e:
        result = type(e)
    return shown(result), shown(arguments)


def shown(x):
    """What tells two results apart: objects of the tests' own count by what they hold."""
    if isinstance(x, zoo.Point):
        return ("Point", *[shown(getattr(x, a, "unset")) for a in ("x", "y", "next")])
    if isinstance(x, (list, tuple)):
        return type(x)(shown(y) for y in x)
    if isinstance(x, (zoo.Odd, zoo.Other, Lying, zoo.Adder, zoo.Callable)):
        return type(x), {k: shown(y) for k, y in vars(x).items()}
    return repr(x) if isinstance(x, (set, dict, float)) else x


def fails(e):
    def f():
        raise e

    return f


def point(x, y=0, after=None):
    p = zoo.Point(x, y)
    p.next = after
    return p


class Lying:
    """Says that it is a sequence; its items raise."""

    def __repr__(self):
        return "Lying"

    def __getitem__(self, i):
        raise RuntimeError("no item")

    def __iter__(self):
        yield 1
        raise RuntimeError("broken in between")


VALUES = [None, True, False, 0, 1, -7, 2**40, 2**70, 1.5, float("nan"), "", "stop", (), (1, 2), [], [1, None, "stop"], [3, 4, 5], {}, {"a": 1}, zoo.Odd(), zoo.Other(), point(1), point("a", after=point(2, after=point(3))), Lying(), len, KeyError, zoo.Adder(2), zoo.Callable()]  # fmt: skip
ONE = "slot chain between whole_numbers count nested sets_and_dicts quantified items_of backwards loop_while make calls_default unpack truth length text identity_of nothing unbound deleted as_numbers emptied slices".split()
TWO = "set_slot add_slot compare order arithmetic divide together looked_up index choose early same_items called_with".split()


@pytest.mark.parametrize("name", ONE)
def test_functions_of_one(native, name):
    for x in VALUES:
        if name == "loop_while" and (isinstance(x, int) and x > 2**41 or x != x):
            continue
        f = getattr(zoo, name)
        assert told(native[f], [copy.copy(x)]) == told(f, [copy.copy(x)]), x


@pytest.mark.parametrize("name", TWO)
def test_functions_of_two(native, name):
    for x, y in itertools.product(VALUES, VALUES):
        if name == "arithmetic" and (isinstance(y, int) and y > 99 or isinstance(x, int) and x > 2**41):
            continue
        f = getattr(zoo, name)
        assert told(native[f], [copy.copy(x), y]) == told(f, [copy.copy(x), y]), (x, y)


CASES = [
    (zoo.set_index, ([1, 2, 3], 1, "a"), None), (zoo.set_index, ((1, 2), 1, "a"), None), (zoo.set_index, ([1], 5, "a"), None),
    (zoo.call, (max, 3, 4), None), (zoo.call, (sorted, [3, 1]), {"reverse": True}), (zoo.call, (), None), (zoo.call, (None,), None),
    (zoo.vector, (), None), (zoo.vector, (1, 2), None), (zoo.vector, (1, 2), {"k": 3}), (zoo.vector, ("a",), None),
    (zoo.keywords, (max, ["aa", "b"], {"key": len}), None), (zoo.keywords, (lambda *a: a, 1, {}), None),
    (zoo.default, (1,), None), (zoo.default, (1, 3), None), (zoo.default, (1,), {"c": 5}), (zoo.default, (), None),
    (zoo.default, (1, 2, 3), None), (zoo.default, (), {"a": 1, "b": 5}), (zoo.default, (1,), {"d": 5}),
    (zoo.raises, (None, "a"), None), (zoo.raises, (KeyError, "abc"), None), (zoo.raises, (3, "abc"), None), (zoo.raises, (KeyError, 5), None),
    (zoo.raises_from, (ValueError("v"),), None),
    (zoo.caught, (fails(KeyError("a")),), None), (zoo.caught, (fails(TypeError("b")),), None), (zoo.caught, (fails(OSError("c")),), None),
    (zoo.caught, (lambda: 4,), None),
    (zoo.cleans_up, (fails(KeyError("a")), []), None), (zoo.cleans_up, (lambda: 4, []), None), (zoo.cleans_up, (lambda: 4, None), None),
    (zoo.in_loop, ([lambda: 1, lambda: 1 / 0, lambda: 2, fails(KeyError("x")), lambda: 3],), None),
    (zoo.in_loop, ([lambda: 1, fails(OSError("x"))],), None),
    (zoo.early, ([[1, 2], [3, 4]], 3), None), (zoo.early, ([[1, 2], [3, 4]], 9), None),
    (zoo.deep, (50,), None), (zoo.add_to_item, ({"a": 1}, "a", 2), None), (zoo.add_to_item, ({"a": 1}, "b", 2), None),
    (zoo.add_to_item, ([1, 2], 1, 2.5), None), (zoo.add_to_item, ((1, 2), 1, 2.5), None), (zoo.add_to_item, (None, 1, 2.5), None),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(CASES)))
def test_cases(native, case):
    f, arguments, keywords = CASES[case]
    got = told(native[f], copy.deepcopy(arguments), keywords)
    want = told(f, copy.deepcopy(arguments), keywords)
    assert got[0] == want[0]


def test_an_error_keeps_its_cause(native):
    cause = ValueError("v")
    with pytest.raises(KeyError) as caught:
        native[zoo.raises_from](cause)
    assert caught.value.__cause__ is cause


def test_closures_are_constants(native):
    f, g = [f for f in native if isinstance(f, types.FunctionType) and f.__qualname__.startswith("closing")]
    assert native[f](3) == 8
    assert native[g](1, a=2) == (5, (1,), {"a": 2})


def test_what_came_is_passed_on(native):
    call, add = native[zoo.Adder.__call__], zoo.Adder(5)
    assert call(add, 1, 2) == 8
    assert call(add, 1, 2, start=4) == 12
    assert call(add) == 5
    add.sum = lambda *args, **kwargs: (args, kwargs)  # the object's own is not given the object
    assert call(add, 1, k=2) == ((1,), {"k": 2})
    assert told(call, [add, [], 1])[0] == told(zoo.Adder.__call__, [add, [], 1])[0]
    with pytest.raises(AttributeError, match="sum"):
        call(zoo.Other(), 1)


def test_what_has_no_translation_is_refused():
    unit = Unit(hints())
    unit.declare(zoo.both)
    unit.declare(zoo.slot)
    assert list(unit.translate(translated)) == [zoo.both]
    with pytest.raises(Untranslatable):
        unit.declare(zoo.both)
        translated(unit, unit.natives[zoo.both])


def test_references_are_given_back(native):
    """Also where a function raises half way."""
    x = object()
    row = [x, None, x]
    before = sys.getrefcount(x), sys.getrefcount(row)
    cases = [(getattr(zoo, n), [row]) for n in ONE if n not in ("loop_while", "emptied", "slices")]
    cases += [(getattr(zoo, n), [row, y]) for n in TWO if n not in ("add_slot",) for y in (x, row, 1)]
    cases += [(f, list(a)) for f, a, k in CASES if k is None and f is not zoo.deep]
    for f, arguments in cases:
        for _ in range(3):
            told(native[f], arguments)
    p = point(x, x, point(x, x, point(x)))
    held = sys.getrefcount(x)
    for _ in range(100):
        told(native[zoo.slot], [p])
        told(native[zoo.chain], [p])
        told(native[zoo.compare], [p, x])
        told(native[zoo.make], [x])
        told(native[zoo.set_slot], [p, x])
        told(native[zoo.emptied], [list(row)])
        told(native[zoo.slices], [list(row)])
    assert sys.getrefcount(x) == held
    del p, cases, arguments, f
    gc.collect()
    assert (sys.getrefcount(x), sys.getrefcount(row)) == before


def test_none_is_counted_right(native):
    none = ctypes.c_ssize_t.from_address(id(None))
    if sys.version_info >= (3, 12):
        pytest.skip("None is immortal")
    before = none.value
    for _ in range(2000):
        for f in (zoo.nothing, zoo.truth, zoo.text, zoo.calls_default):
            native[f](None)
    assert abs(none.value - before) < 500


def test_built_in_functions_say_what_is_wrong(native):
    """The Python function is asked where arguments do not fill the parameters."""
    for arguments, keywords in (((), {}), ((1, 2), {}), ((), {"q": 1})):
        with pytest.raises(TypeError) as want:
            zoo.slot(*arguments, **keywords)
        with pytest.raises(TypeError) as got:
            native[zoo.slot](*arguments, **keywords)
        assert str(got.value) == str(want.value)
