"""The streams against PyTorch's recorded numbers (references.npz, made by record.py), and what holds of any stream."""

import importlib.util
import pathlib
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold._core import random
from tenfold._core.random import Engine

HERE = pathlib.Path(__file__).parent


def _load_cases():
    spec = importlib.util.spec_from_file_location("random_cases", HERE / "cases.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


cases = _load_cases()
CASES = cases.all_cases()


@pytest.fixture(scope="module")
def references():
    with np.load(HERE / "references.npz") as archive:
        return dict(archive)


@pytest.mark.parametrize("case", CASES, ids=[case.key for case in CASES])
def test_draws_equal_pytorchs(case, references):
    engine = Engine(cases.seed_of(case))
    drawn = [case.draw(engine, size) for size in cases.SIZES]
    assert all(part.flags.c_contiguous for part in drawn)
    ours = np.concatenate([part.ravel() for part in drawn])
    theirs = references[case.key]
    assert ours.dtype == theirs.dtype
    if case.is_exact:
        assert ours.tobytes() == theirs.tobytes()
    else:
        # Another C library may round its logarithm or sine the other way: a last bit, more after a subtraction.
        np.testing.assert_allclose(ours, theirs, rtol=1e-14, atol=1e-15)
    checksums = references["checksums-" + case.key]
    assert zlib.crc32(engine.get_state()[:5016].tobytes()) == checksums[0]
    if cases.has_long(case):
        assert zlib.crc32(case.draw(engine, cases.LONG).tobytes()) == checksums[1]


def test_state_is_pytorchs(references):
    engine = Engine(7)
    assert np.array_equal(engine.get_state(), references["state-fresh"])
    random.normal(engine, 3)
    random.uniform(engine, 1000)
    assert np.array_equal(engine.get_state()[:5016], references["state-with-spare"][:5016])
    restored = Engine().set_state(references["state-with-spare"])
    assert np.array_equal(restored.get_state(), references["state-with-spare"])
    assert restored.initial_seed() == 7
    np.testing.assert_allclose(random.normal(restored, 5), references["after-state"], rtol=1e-6)


@given(st.integers(-(2**63), 2**64 - 1), st.lists(st.integers(0, 700), max_size=5))
def test_words_do_not_depend_on_how_they_are_drawn(seed, counts):
    parts, whole = Engine(seed), Engine(seed)
    drawn = [parts.random32(count) for count in counts]
    assert np.array_equal(np.concatenate([*drawn, parts.random32(3)]), whole.random32(sum(counts) + 3))
    assert np.array_equal(parts.get_state(), whole.get_state())
    assert parts.initial_seed() == seed % 2**64


@given(st.integers(0, 2**32), st.integers(0, 1300), st.integers(0, 20))
def test_state_brings_the_stream_back(seed, skipped, size):
    engine = Engine(seed)
    random.uniform(engine, skipped)
    random.normal(engine, size % 7)
    copy = engine.clone()
    assert random.normal(engine, size).tobytes() == random.normal(copy, size).tobytes()
    assert np.array_equal(engine.get_state(), copy.get_state())


def test_one_by_one_words_are_the_same():
    single, several = Engine(3), Engine(3)
    assert [single.next32() for _ in range(5)] == several.random32(5).tolist()
    assert [single.next64() for _ in range(5)] == several.random64(5).tolist()
    assert np.array_equal(single.get_state(), several.get_state())


def test_mersenne_twister_reference_value():
    # Matsumoto and Nishimura: with seed 5489 the ten thousandth word is this one.
    assert Engine(5489).random32(10000)[-1] == 4123659995


def test_seed_without_a_number():
    engine = Engine(1)
    chosen = engine.seed()
    assert chosen == engine.initial_seed() and 0 <= chosen < 2**64
    assert np.array_equal(engine.random32(9), Engine(chosen).random32(9))
    assert engine.seed() != chosen


def test_new_seed_drops_the_spare_sample():
    engine = Engine(4)
    random.normal(engine, 1)
    assert engine.spare_double is not None
    first = random.normal(engine.manual_seed(4), 3)
    assert np.array_equal(first, random.normal(Engine(4), 3))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s[:-8], RuntimeError, "Expected a CPUGeneratorImplState of size 5056 but found .* 5048"),
        (lambda s: s * 0, RuntimeError, "Invalid mt19937 state"),
        (lambda s: s.astype(np.float32), TypeError, "RNG state must be a torch.ByteTensor"),
        (lambda s: s.tobytes(), TypeError, "RNG state must be a torch.ByteTensor"),
    ],
)
def test_bad_states_are_refused(change, error, message):
    engine = Engine(1)
    with pytest.raises(error, match=message):
        engine.set_state(change(engine.get_state()))
    assert np.array_equal(engine.get_state(), Engine(1).get_state())


@pytest.mark.parametrize(("left", "following"), [(0, 0), (625, 0), (624, 0), (300, 324), (2, 700)])
def test_states_that_no_generator_writes_are_refused(left, following):
    state = Engine(1).get_state()
    state[8:12] = np.array([left], "<i4").view(np.uint8)
    state[16:24] = np.array([following], "<u8").view(np.uint8)
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        Engine(1).set_state(state)


@pytest.mark.parametrize(("seed", "error"), [(2**64, ValueError), (-(2**63) - 1, ValueError), (1.5, RuntimeError)])
def test_bad_seeds_are_refused(seed, error):
    with pytest.raises(error, match=r"Overflow when unpacking|manual_seed expected a long"):
        Engine(seed)


@given(st.integers(0, 3000), st.integers(0, 2**31))
def test_randperm_is_a_permutation(n, seed):
    order = random.randperm(Engine(seed), n)
    assert np.array_equal(np.sort(order), np.arange(n))


@pytest.mark.parametrize("n", [1500, 70000])
def test_randperm_equals_swap_by_swap(n):
    words = Engine(8).random32(n - 1).tolist()
    expected = list(range(n))
    for place, word in enumerate(words):
        partner = place + word % (n - place)
        expected[place], expected[partner] = expected[partner], expected[place]
    assert random.randperm(Engine(8), n).tolist() == expected


@given(st.integers(0, 2**31), st.floats(-1e3, 1e3), st.floats(0, 1e3), st.sampled_from(cases.FLOATING))
def test_uniform_stays_below_its_upper_bound(seed, low, width, dtype):
    values = random.uniform(Engine(seed), 64, dtype, low, low + width)
    slack = max(abs(low), abs(low + width)) * 2.0**-8 + 2.0**-24  # the last: float16's smallest number
    assert np.all(values >= low - slack) and np.all(values <= low + width + slack)
    assert np.all(random.uniform(Engine(seed), 64, dtype) < 1)


def test_half_uniform_never_rounds_up_to_one():
    values = random.uniform(Engine(1), 3000, "bfloat16")
    rounded_up = random.uniform(Engine(1), 3000) > 1 - 2.0**-9
    assert rounded_up.sum() > 5 and np.all(values[rounded_up] == 0)


MOMENTS = {
    "normal": (lambda e, n: random.normal(e, n, "float32", 2.0, 3.0), 2.0, 9.0),
    "normal64": (lambda e, n: random.normal(e, n, "float64", 2.0, 3.0), 2.0, 9.0),
    "uniform": (lambda e, n: random.uniform(e, n, "float32", -1.0, 3.0), 1.0, 16.0 / 12.0),
    "exponential": (lambda e, n: random.exponential(e, n, "float32", 0.5), 2.0, 4.0),
    "bernoulli": (lambda e, n: random.bernoulli(e, n, "float32", 0.3), 0.3, 0.21),
    "dropout": (lambda e, n: random.dropout_mask(e, n, "float32", 0.3), 0.7, 0.21),
    "geometric": (lambda e, n: random.geometric(e, n, "float32", 0.25), 4.0, 12.0),
    "poisson": (lambda e, n: random.poisson(e, np.full(n, 3.0, np.float32)), 3.0, 3.0),
    "poisson-large": (lambda e, n: random.poisson(e, np.full(n, 30.0, np.float32)), 30.0, 30.0),
    "binomial": (lambda e, n: random.binomial(e, np.float32(9), np.full(n, 0.4, np.float32)), 3.6, 2.16),
    "binomial-large": (lambda e, n: random.binomial(e, np.float32(90), np.full(n, 0.6, np.float32)), 54.0, 21.6),
    "gamma": (lambda e, n: random.standard_gamma(e, np.full(n, 2.5, np.float32)), 2.5, 2.5),
    "gamma-small": (lambda e, n: random.standard_gamma(e, np.full(n, 0.5, np.float32)), 0.5, 0.5),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_mean_and_variance(name):
    draw, mean, variance = MOMENTS[name]
    n = 20000
    values = draw(Engine(11), n).astype(np.float64)
    # Five standard errors of the mean; the variance's own error is a few per cent for these distributions.
    assert abs(values.mean() - mean) < 5 * (variance / n) ** 0.5
    assert abs(values.var() - variance) < 0.1 * variance


def test_multinomial_follows_its_weights():
    weights = np.array([0.0, 1.0, 3.0, 6.0], np.float32)
    counts = np.bincount(random.multinomial(Engine(2), weights, 10000, True), minlength=4)
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1:] / 10000, [0.1, 0.3, 0.6], atol=0.025)
    rows = random.multinomial(Engine(2), np.ones((50, 6), np.float32), 6)
    assert np.array_equal(np.sort(rows, axis=1), np.tile(np.arange(6), (50, 1)))


def test_dirichlet_sums_to_one():
    points = random.dirichlet(Engine(3), np.full((40, 7), 0.4), "float64")
    np.testing.assert_allclose(points.sum(axis=-1), 1.0, rtol=1e-12)


def test_feature_noise_shape():
    assert random.feature_noise_shape((4, 3, 5, 6)) == (4, 3, 1, 1)
    with pytest.raises(RuntimeError, match="Feature dropout requires at least 2 dimensions"):
        random.feature_noise_shape((4,))


def test_rates_without_bound_return_what_pytorch_does():
    assert random.poisson(Engine(0), np.array([np.inf], np.float32))[0] == -(2.0**63)


def test_wide_ranges_of_narrow_floats_warn():
    with pytest.warns(UserWarning, match=r"to - 1 is out of bounds \[-\(2\^11\), 2\^11\]"):
        random.random_from_to(Engine(0), 3, 0, 5000, "float16")


ONES = np.ones(3, np.float32)
NAN = float("nan")
MISUSE = [
    (lambda e: random.uniform(e, 3, "float32", 2, 1), RuntimeError, r"uniform_ expects to return a \[from, to\) range"),
    (lambda e: random.uniform(e, 3, "float32", -3e38, 3e38), RuntimeError, "uniform_ expects to-from <= std::numeric"),
    (lambda e: random.uniform(e, 3, "float32", NAN, 1), RuntimeError, "from is out of bounds for float"),
    (lambda e: random.uniform(e, 3, "float16", 0, 1e5), RuntimeError, "to is out of bounds for c10::Half"),
    (lambda e: random.uniform(e, 3, "int64"), NotImplementedError, "\"check_uniform_bounds\" not .* 'Long'"),
    (lambda e: random.uniform(e, -1), RuntimeError, "Trying to create tensor with negative dimension -1"),
    (lambda e: random.normal(e, 3, "float32", 0, -1), RuntimeError, "normal expects std >= 0.0, but found std -1"),
    (lambda e: random.normal(e, 3, "float32", 0, NAN), RuntimeError, "normal expects std >= 0.0, but found std nan"),
    (lambda e: random.normal(e, 3, "int64"), NotImplementedError, "\"normal_kernel_cpu\" not implemented for 'Long'"),
    (lambda e: random.normal_like(e, 0.0, -ONES), RuntimeError, "normal expects all elements of std >= 0.0"),
    (lambda e: random.normal_like(e, ONES, -1.0), RuntimeError, "normal expects std >= 0.0, but found std -1"),
    (lambda e: random.log_normal(e, 3, "float32", 0, 0), RuntimeError, "log_normal_ expects std > 0.0"),
    (lambda e: random.exponential(e, 3, "float32", 0), RuntimeError, "exponential_ expects lambda > 0.0, .* lambda=0"),
    (lambda e: random.exponential(e, 3, "int64"), RuntimeError, "Exponential distribution is a continuous"),
    (lambda e: random.cauchy(e, 3, "float32", 0, -1), RuntimeError, "cauchy_ expects sigma > 0.0, .* sigma=-1"),
    (lambda e: random.cauchy(e, 3, "int64"), RuntimeError, "Cauchy distribution is a continuous"),
    (lambda e: random.geometric(e, 3, "float32", 1), RuntimeError, r"geometric_ expects p to be in \(0, 1\)"),
    (lambda e: random.geometric(e, 3, "bool"), NotImplementedError, "\"geometric_cpu\" not implemented for 'Bool'"),
    (lambda e: random.random_full(e, 3, "complex64"), NotImplementedError, "\"random_kernel_cpu\" .* 'ComplexFloat'"),
    (lambda e: random.random_from_to(e, 3, 5, 5), RuntimeError, "random_ expects 'from' to be less than 'to'"),
    (lambda e: random.random_from_to(e, 3, 0, 257, "uint8"), RuntimeError, "to - 1 is out of bounds for unsigned char"),
    (lambda e: random.random_from_to(e, 3, -1, 5, "uint8"), RuntimeError, "from is out of bounds for unsigned char"),
    (lambda e: random.randperm(e, -1), RuntimeError, "Trying to create tensor with negative dimension -1"),
    (lambda e: random.randperm(e, 2050, "float16"), RuntimeError, "n cannot be greater than 2049 for Half type"),
    (lambda e: random.randperm(e, 300, "uint8"), RuntimeError, "value cannot be converted to type uint8_t"),
    (lambda e: random.randperm(e, 3, "bool"), NotImplementedError, "\"randperm\" not implemented for 'Bool'"),
    (lambda e: random.bernoulli(e, 3, "float32", 1.5), RuntimeError, r"bernoulli_ expects p to be in \[0, 1\]"),
    (lambda e: random.bernoulli_tensor(e, ONES * 2), RuntimeError, "Expected p_in >= 0 && p_in <= 1"),
    (lambda e: random.bernoulli_tensor(e, ONES * NAN), RuntimeError, "Expected p_in >= 0 && p_in <= 1"),
    (lambda e: random.bernoulli_tensor(e, ONES, "int64"), NotImplementedError, '"bernoulli_tensor_cpu_p_" not'),
    (
        lambda e: random.dropout_mask(e, 3, "float32", 1.5),
        RuntimeError,
        "dropout probability has to be between 0 and 1",
    ),
    (lambda e: random.rrelu_noise(e, ONES, "float32", 0.5, 0.1), RuntimeError, "Lower bound should be less than"),
    (lambda e: random.poisson(e, -ONES), RuntimeError, "invalid Poisson rate, expected rate to be non-negative"),
    (lambda e: random.poisson(e, ONES, "int64"), NotImplementedError, "\"poisson_cpu\" not implemented for 'Long'"),
    (lambda e: random.binomial(e, ONES, ONES, "int64"), ValueError, "binomial only supports floating-point dtypes"),
    (lambda e: random.standard_gamma(e, ONES, "float16"), NotImplementedError, "\"gamma_cpu\" not .* 'Half'"),
    (lambda e: random.dirichlet(e, ONES, "int64"), NotImplementedError, "\"dirichlet\" not implemented for 'Long'"),
    (lambda e: random.multinomial(e, -ONES, 1), RuntimeError, "probability tensor contains either"),
    (lambda e: random.multinomial(e, 0 * ONES, 1), RuntimeError, "invalid multinomial distribution .sum of prob"),
    (lambda e: random.multinomial(e, 0 * ONES, 2, True), RuntimeError, "invalid multinomial distribution .sum of prob"),
    (lambda e: random.multinomial(e, -ONES, 2, True), RuntimeError, "invalid multinomial distribution .encountering"),
    (lambda e: random.multinomial(e, ONES, 4), RuntimeError, "cannot sample n_sample > prob_dist.size.-1. samples"),
    (lambda e: random.multinomial(e, ONES, 0), RuntimeError, "cannot sample n_sample <= 0 samples"),
    (
        lambda e: random.multinomial(e, ONES, 1, False, "int64"),
        RuntimeError,
        "multinomial only supports floating-point",
    ),
    (lambda e: random.multinomial(e, ONES.reshape(1, 1, 3), 1), RuntimeError, "prob_dist must be 1 or 2 dim"),
]


@pytest.mark.parametrize(("call", "error", "message"), MISUSE, ids=range(len(MISUSE)))
def test_misuse_is_refused_before_a_word_is_drawn(call, error, message):
    engine = Engine(0)
    with pytest.raises(error, match=message):
        call(engine)
    assert np.array_equal(engine.get_state(), Engine(0).get_state())
