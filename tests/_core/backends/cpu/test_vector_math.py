"""The vector mathematics: float32 against float64, float64 against long double, mpmath and the C library."""

import ctypes
import itertools
import math
import re

import numpy as np
import pytest

llvm = pytest.importorskip("llvmlite.binding")

from tenfold._core.backends.cpu import jit, vector_math  # noqa: E402

NAMES = {"f32": "float", "f64": "double"}
DTYPES = {"f32": np.float32, "f64": np.float64}
LIMIT = 2.0

_numbers = itertools.count()
_kept = []


def _module(name: str, dtype: str) -> str:
    """A loop over arrays whose length is a multiple of 16."""
    names = [name]
    for each in names:
        names += [other for other in vector_math.needs(each, dtype) if other not in names]
    lines = sorted({line for each in names for line in vector_math.declarations(each, dtype)})
    lines += [vector_math.definition(each, dtype) for each in names]
    element = NAMES[dtype]
    vector = f"<16 x {element}>"
    two = vector_math.FUNCTIONS[name].arguments == 2
    lines.append(f"""
define void @run(ptr %out, ptr %in, ptr %other, i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %at = getelementptr inbounds {element}, ptr %in, i64 %i
  %x = load {vector}, ptr %at, align 4
  %beside = getelementptr inbounds {element}, ptr %other, i64 %i
  %y = load {vector}, ptr %beside, align 4
  %r = call {vector} @vm_{name}_{dtype}({vector} %x{f", {vector} %y" if two else ""})
  %to = getelementptr inbounds {element}, ptr %out, i64 %i
  store {vector} %r, ptr %to, align 4
  %next = add nuw nsw i64 %i, 16
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %end
end:
  ret void
}}
""")
    return "\n".join(lines)


def _machine(cpu: str, features: str):
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=cpu, features=features, opt=2, reloc="pic", codemodel="small")


class Compiler:
    """Functions on arrays, compiled for one kind of processor with the passes that kernels get."""

    def __init__(self, cpu: str, features: str) -> None:
        self.machine = _machine(cpu, features)
        self.jit = llvm.create_lljit_compiler(_machine(cpu, features))
        self.cache = {}

    def module(self, name: str, dtype: str):
        module = jit.optimised(llvm, _module(name, dtype), self.machine)
        module.verify()
        return module

    def __call__(self, name: str, dtype: str):
        if (name, dtype) not in self.cache:
            self.cache[name, dtype] = self._compile(name, dtype)
        return self.cache[name, dtype]

    def _compile(self, name: str, dtype: str):
        library = llvm.JITLibraryBuilder().add_object_img(self.machine.emit_object(self.module(name, dtype)))
        # A processor without fma calls the C library's.
        library.add_current_process().export_symbol("run")
        tracker = library.link(self.jit, f"vector_math_{next(_numbers)}")
        _kept.append((self.jit, tracker))
        run = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64)(tracker["run"])

        def call(x, y=None):
            size = np.size(x)
            length = -(-size // 16) * 16
            x, y = (np.resize(a, length).astype(DTYPES[dtype]) for a in (x, x if y is None else y))
            out = np.empty_like(x)
            run(out.ctypes.data, x.ctypes.data, y.ctypes.data, length)
            return out[:size]

        return call


@pytest.fixture(scope="module")
def compiled():
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return Compiler(llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())


def ulps(result, exact, dtype):
    """The distance in units of the last place of the exact value, which is given with more digits; inf if one is not finite."""
    info = np.finfo(DTYPES[dtype])
    with np.errstate(all="ignore"):
        rounded = exact.astype(DTYPES[dtype])
        same = (rounded == result) | (np.isnan(rounded) & np.isnan(result))
        finite = np.isfinite(result) & np.isfinite(exact)
        size = np.clip(np.abs(np.where(finite, exact, 1)), info.smallest_normal, info.max)
        unit = np.ldexp(np.ones_like(size), np.frexp(size)[1] - 1 - info.nmant)
        distance = np.abs(result.astype(exact.dtype) - exact) / unit
    return np.where(same & ~finite, 0, np.where(finite, distance, np.inf))


def strata_32(step=4099):
    """float32 of every exponent and sign: each step-th bit pattern, and both neighbours of the powers of two."""
    patterns = np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32)
    edges = np.arange(0, 2**32, 2**22, dtype=np.uint64)
    edges = np.concatenate([edges, edges + 1, edges + 2**32 - 1]).astype(np.uint32)
    return np.concatenate([patterns, edges]).view(np.float32)


def strata_64(count=20_000):
    """float64 of every exponent and sign, the range where most functions live, and both neighbours of what is special."""
    draw = np.random.default_rng(2026)
    patterns = draw.integers(0, 2**64, count, dtype=np.uint64).view(np.float64)
    middle = draw.uniform(-1, 1, count) * np.exp2(draw.uniform(-12, 11, count))
    unit = draw.uniform(-1, 1, count)
    about_one = 1 + unit * np.exp2(draw.uniform(-53, 0, count))
    quarters = np.pi / 2 * draw.integers(1, 2**30, count // 4)
    powers = np.exp2(np.arange(-1074, 1024.0))
    corners = np.array([1, 0.5, 709.7827, 709.7828, 710.4758, 710.4759, 745.1332, 745.1333, 0.0, np.inf, np.nan])
    sharp = np.concatenate([quarters, powers, corners])
    sharp = np.concatenate([sharp, np.nextafter(sharp, 0), np.nextafter(sharp, np.inf)])
    return np.concatenate([patterns, middle, unit, about_one, -about_one, sharp, -sharp])


def _logistic(x):
    power = np.exp(-np.abs(x))
    return np.where(x < 0, power, 1) / (1 + power)


def _each(function):
    return lambda x: np.array([function(v) for v in x.tolist()])


EXACT = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sigmoid": _logistic,
    "tanh": np.tanh,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "erf": _each(math.erf),
    "erfc": _each(math.erfc),
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "atan": np.arctan,
    "asin": np.arcsin,
    "acos": np.arccos,
}
IN_C_LIBRARY = ("erf", "erfc")
needs_long_double = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 60, reason="long double has no more digits than float64 here"
)


def _check(name, dtype, result, exact, *arguments, limit=LIMIT):
    distance = ulps(result, exact, dtype)
    worst = int(distance.argmax())
    given = [argument[worst] for argument in arguments]
    assert distance[worst] <= limit, f"{name} {dtype} of {given}: {result[worst]!r}, {distance[worst]} ulp off"


def test_every_function_is_checked_here():
    assert set(vector_math.FUNCTIONS) == {*EXACT, "pow"}


@pytest.mark.parametrize("name", EXACT)
def test_float32_is_within_two_ulp_everywhere(compiled, name):
    x = strata_32()
    with np.errstate(all="ignore"):
        exact = EXACT[name](x.astype(np.float64))
    _check(name, "f32", compiled(name, "f32")(x), exact, x)


@needs_long_double
@pytest.mark.parametrize("name", [name for name in EXACT if name not in IN_C_LIBRARY])
def test_float64_is_within_two_ulp_everywhere(compiled, name):
    x = strata_64()
    with np.errstate(all="ignore"):
        exact = EXACT[name](x.astype(np.longdouble))
    _check(name, "f64", compiled(name, "f64")(x), exact, x)


@pytest.mark.parametrize("name", IN_C_LIBRARY)
def test_float64_error_functions_are_near_the_c_librarys(compiled, name):
    x = strata_64()
    # The C library's own are off by up to one.
    _check(name, "f64", compiled(name, "f64")(x), EXACT[name](x), x, limit=LIMIT + 1)


@pytest.mark.parametrize("name", IN_C_LIBRARY)
def test_float64_error_functions_are_within_two_ulp(compiled, name):
    mpmath = pytest.importorskip("mpmath")
    draw = np.random.default_rng(5)
    x = np.concatenate([draw.uniform(-6, 26, 1000), draw.uniform(-1.5, 1.5, 500), np.exp2(draw.uniform(-60, 3, 200))])
    result = compiled(name, "f64")(x)
    with mpmath.workprec(160):
        exact = [getattr(mpmath, name)(mpmath.mpf(v)) for v in x.tolist()]
        off = [abs(got - value) / math.ulp(float(value)) for got, value in zip(result.tolist(), exact)]
    assert max(off) <= LIMIT


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_zero_keeps_its_sign_where_the_function_is_odd(compiled, name, dtype):
    x = np.array([0.0, -0.0], DTYPES[dtype])
    with np.errstate(all="ignore"):
        exact = EXACT[name](x)
    assert np.array_equal(np.signbit(compiled(name, dtype)(x)), np.signbit(exact))


@pytest.mark.parametrize("dtype", DTYPES)
def test_integers_have_exact_powers_and_logarithms(compiled, dtype):
    n = np.arange(-126, 127).astype(DTYPES[dtype])
    assert np.array_equal(compiled("exp2", dtype)(n), np.exp2(n))
    assert np.array_equal(compiled("log2", dtype)(np.exp2(n)), n)
    assert compiled("exp", dtype)([0.0])[0] == compiled("cos", dtype)([0.0])[0] == 1.0
    assert np.array_equal(compiled("pow", dtype)([3, 10, -7, 5], [2, 5, 3, -1]), np.array([9, 1e5, -343, 0.2], n.dtype))


# --- large angles -----------------------------------------------------------------------------------------------------


def test_the_worst_angle_of_float64(compiled):
    """The float64 that is nearest to a multiple of pi/2. (Muller 2016, Elementary Functions, table 11.1.)"""
    x = [6381956970095103.0 * 2.0**797]
    assert abs(compiled("cos", "f64")(x)[0] / -4.68716592425462761112e-19 - 1) < 4e-16
    assert compiled("sin", "f64")(x)[0] == 1.0


def test_ten_to_the_22(compiled):
    assert abs(compiled("sin", "f64")([1e22])[0] - -0.8522008497671888) <= 2 * math.ulp(0.85)
    assert abs(compiled("cos", "f64")([1e22])[0] - 0.5232147853951389) <= 2 * math.ulp(0.52)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_an_angle_does_not_depend_on_its_neighbours(compiled, name, dtype):
    """A vector with one huge angle takes another way; the other lanes, infinity and nan must not notice."""
    function = compiled(name, dtype)
    x = np.array([0.5, -0.0, 3.0, np.inf, -np.inf, np.nan, -1e9, 1e-30, 1e12, 2.0**42], DTYPES[dtype])
    alone = np.concatenate([function(x[i : i + 1]) for i in range(x.size)])
    assert np.array_equal(alone, function(x), equal_nan=True)
    assert np.array_equal(np.isnan(alone), ~np.isfinite(x))


# --- powers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_powers(compiled, dtype):
    values = [0.0, 1.0, 0.5, 2.0, 3.0, 1.5, np.inf, 1e30, 1e-40, 2.0**24 - 1, 2.0**24 + 2, 2.0**53 - 1, 2.0**53, 7.5]
    values = np.array([*values, *(-v for v in values), np.nan], DTYPES[dtype])
    x, y = (grid.ravel() for grid in np.meshgrid(values, values))
    result = compiled("pow", dtype)(x, y)
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), y.astype(np.float64))
    # 1 more for the C library's own error.
    _check("pow", dtype, result, exact, x, y, limit=LIMIT + (dtype == "f64"))
    known = ~np.isnan(exact)
    assert np.array_equal(np.signbit(result[known]), np.signbit(exact[known]))


def _bases_and_exponents(dtype, lowest, highest):
    """All exponents of x, many x about 1, and y such that the result covers the whole range; some y are integers."""
    draw = np.random.default_rng(7)
    x = np.abs(strata_32(40_099) if dtype == "f32" else strata_64(5000))
    with np.errstate(all="ignore"):
        x = np.concatenate([x, 1 + draw.uniform(-1, 1, 20_000) * np.exp2(draw.uniform(-50, -1, 20_000))])
        y = draw.uniform(lowest, highest, x.size) / np.log2(x)
        y = np.where(draw.random(x.size) < 0.3, np.round(y), y).astype(DTYPES[dtype])
        x = np.where((draw.random(x.size) < 0.5) & (np.floor(y) == y), -x, x).astype(DTYPES[dtype])
    return x, y


def test_float32_powers_are_within_two_ulp(compiled):
    x, y = _bases_and_exponents("f32", -155, 130)
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), y.astype(np.float64))
    _check("pow", "f32", compiled("pow", "f32")(x, y), exact, x, y)


@needs_long_double
def test_float64_powers_are_within_two_ulp(compiled):
    x, y = _bases_and_exponents("f64", -1085, 1030)
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.longdouble), y.astype(np.longdouble))
    _check("pow", "f64", compiled("pow", "f64")(x, y), exact, x, y)


# --- the text ---------------------------------------------------------------------------------------------------------

ALL = [(name, dtype) for name in vector_math.FUNCTIONS for dtype in DTYPES]


@pytest.mark.parametrize(("name", "dtype"), ALL)
def test_definitions_call_only_intrinsics_and_what_they_name(name, dtype):
    text = vector_math.definition(name, dtype)
    called = set(re.findall(r"call [^@]*@([\w.]+)", text))
    declared = {re.search(r"@([\w.]+)", line)[1] for line in vector_math.declarations(name, dtype)}
    assert called == declared | {f"vm_{other}_{dtype}" for other in vector_math.needs(name, dtype)}
    assert not re.search(r"\b(fast|nnan|ninf|nsz|arcp|contract|afn|reassoc)\b", text)


@pytest.mark.parametrize(("name", "dtype"), ALL)
@pytest.mark.parametrize("lanes", [4, 8])
def test_other_numbers_of_lanes_are_well_formed(name, dtype, lanes):
    names = [*vector_math.needs(name, dtype), name]
    lines = sorted({line for each in names for line in vector_math.declarations(each, dtype, lanes)})
    llvm.parse_assembly("\n".join([*lines, *(vector_math.definition(each, dtype, lanes) for each in names)])).verify()


@pytest.mark.parametrize(("name", "dtype"), ALL)
def test_bits_are_those_of_a_machine_with_half_the_width(compiled, name, dtype):
    """What AVX2 code computes, run on this machine if it can, is what this machine's own code computes."""
    host = llvm.get_host_cpu_features()
    if not (host.get("avx2") and host.get("fma")):
        pytest.skip("this machine has no AVX2")
    narrow = Compiler("haswell", "")
    x = strata_32(800_011) if dtype == "f32" else strata_64(500)
    y = x[::-1]
    expected = compiled(name, dtype)(x, y)
    result = narrow(name, dtype)(x, y)
    assert np.array_equal(result, expected, equal_nan=True)
    known = ~np.isnan(expected)
    assert np.array_equal(np.signbit(result[known]), np.signbit(expected[known]))


def test_a_module_can_hold_them_all():
    """The names of one function do not meet those of another."""
    every = [(n, d) for d in DTYPES for n in [*vector_math.FUNCTIONS, "huge_angle"]]
    lines = sorted({line for n, d in every for line in vector_math.declarations(n, d)})
    llvm.parse_assembly("\n".join([*lines, *(vector_math.definition(n, d) for n, d in every)])).verify()
