"""Long reductions: in parts that depend on sizes alone, right at every length, and the same bits on any number of threads."""

import numpy as np
import pytest

import tenfold as torch
from tenfold._core.compiler import build, parts
from tenfold._core.ir.loops import CHUNK


@pytest.fixture
def seen(monkeypatch):
    """The numbers of steps that kernels became."""
    found = []

    def noted(s, builder):
        made = parts.in_parts(s, builder)
        found.append(len(made))
        return made

    monkeypatch.setattr(build, "in_parts", noted)
    return found


def numbers(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def bits_for_threads(f):
    """What f gives, compiled, which has to be the same for each number of threads."""
    found = set()
    for n in (1, 2, 4, 1, 4):
        torch.set_num_threads(n)
        values = [v.numpy() for v in f()]
        found.add(b"".join(v.tobytes() for v in values))
    assert len(found) == 1
    return values


LENGTHS = [parts.LONG, parts.LONG + 1, parts.LONG - 1, parts.LONG + CHUNK, parts.LONG + CHUNK + 1, 1_000_003]


@pytest.mark.parametrize("n", LENGTHS)
def test_lines(n, seen, cut_all, deterministic):
    x = numbers(n)
    t = torch.tensor(x)
    total, largest, least, positive, stored = bits_for_threads(
        lambda: [(t * 1.5).sum(), t.max(), t.min(), (t > 0).sum(), t * 1.5]
    )
    wide = x.astype(np.float64)
    np.testing.assert_allclose(total, (wide * 1.5).sum(), rtol=1e-5, atol=2e-3)
    assert (largest, least, positive) == (x.max(), x.min(), (x > 0).sum())
    assert stored.tobytes() == (x * np.float32(1.5)).tobytes()
    assert (3 in seen) == (n >= parts.LONG)


SHAPES = [(4200, 64), (5001, 70), (3, 300, 333), (2, 2, 70_003), (1000, 3, 128), (70_001, 5), (64, 4200), (300, 900)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_dims(shape, seen, cut_all, deterministic, monkeypatch):
    monkeypatch.setattr(parts, "LINE", 1 << 30)
    x = numbers(*shape)
    dims = [0, -1, tuple(range(len(shape))), tuple(range(len(shape) - 1))]
    t = torch.tensor(x)
    got = bits_for_threads(
        lambda: [
            *[f(t, d) for d in dims for f in (torch.sum, torch.amax)],
            *[f(t.transpose(0, -1), d) for d in dims for f in (torch.sum, torch.amax)],
        ]
    )
    wide = x.astype(np.float64)
    want = [f(a, d) for a in (wide, wide.swapaxes(0, -1)) for d in dims for f in (np.sum, np.max)]
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-3)
    assert seen.count(3) >= 4


def test_a_product_and_one_nan(cut_all, deterministic):
    x = np.ones(parts.LONG + 5, np.float64)
    x[-1] = 3.0
    t = torch.tensor(x)
    assert bits_for_threads(lambda: [t.prod()]) == [3.0]
    x[parts.LONG // 2] = np.nan
    t = torch.tensor(x)
    assert all(np.isnan(v) for v in bits_for_threads(lambda: [t.max(), t.min(), t.sum()]))
