"""Programs with sizes put in are those that are made for the sizes; what they compute is what is interpreted."""

import contextlib
import itertools
import time

import numpy as np
import pytest
import sized_programs

import tenfold as torch
from tenfold._core import config
from tenfold._core.compiler.build import recipe
from tenfold._core.compiler.lower import Lowering
from tenfold._core.compiler.rebind import CREW, differences
from tenfold._core.compiler.symbolic import sliced
from tenfold._core.trace import rebound, skeleton
from tenfold._core.trace.handle import Walk, tls

PART, PARTS = 12, 4  # one of so many of the programs that are asked for, in so many tests
SIZES = [
    (7, 13),
    (5, 19),
    (7, 20),
    (4, 23),
    (12, 14),
    (14, 15),
    (13, 22),
    (11, 21),
    (8, 31),
    (16, 27),
    (12, 37),
    (5, 40),
    (19, 23),
    *[(n, 41) for n in (20, 18, 22, 17)],
    *[(26, t) for t in (29, 33, 19)],
]


@contextlib.contextmanager
def checked(monkeypatch):
    """Each program with sizes put in is compared with a fresh recipe."""
    counts = {"bound": 0, "refused": 0}
    take = rebound.Template.bound

    def bound(self, now):
        plan = take(self, now)
        counts["refused" if plan is None else "bound"] += 1
        if plan is not None:
            low = Lowering(now.end)
            ids = [low.number(v) for v in now.values]
            assert ids == plan.ids
            fresh = recipe(low.graph, ids, now.lengths, CREW)
            wrong = differences(self.made[0], [now.sizes[k] for k in self.varying], fresh)
            assert wrong is None, wrong
            assert plan.machine.sizes == now.lengths
        return plan

    with monkeypatch.context() as m:
        m.setattr(rebound.Template, "bound", bound)
        m.setattr(skeleton, "SHORTEST", 2)
        m.setattr(skeleton._skeletons, "found", {})
        yield counts


@contextlib.contextmanager
def interpreted(monkeypatch):
    """Nothing is compiled, and no path is known."""
    with monkeypatch.context() as m:
        m.setattr(config, "COMPILE", False)
        m.setattr(tls, "walk", Walk())
        yield


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", range(PARTS))
def test_random_programs_whose_sizes_change(part, monkeypatch, pytestconfig):
    total = 0
    for seed in range(part, pytestconfig.getoption("--programs") // PART, PARTS):
        program = sized_programs.Program(seed)
        with checked(monkeypatch) as counts:
            for n, (a, b) in enumerate(SIZES):
                sizes = {"N": a, "T": b}
                torch.manual_seed(n)
                ours = program.run(torch, sizes, n)
                with interpreted(monkeypatch):
                    torch.manual_seed(n)
                    theirs = program.run(torch, sizes, n)
                for x, y in zip(ours, theirs, strict=True):
                    np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-4, err_msg=f"seed {seed}, sizes {sizes}")
        total += counts["bound"]
    assert total > 0


def step(length, like=1.0):
    """Twelve operations on two sizes, and a gradient."""
    x = (torch.arange(length * 6.0).reshape(length, 6) / length).requires_grad_()
    y = (x * like).tanh().reshape(-1, 3) @ torch.ones(3, 4)
    y = torch.softmax(y, -1).reshape(length, 2, 4).transpose(0, 1).contiguous()
    y = torch.cat([y[:, 1:], y[:, :1]], 1) - y.mean(1, keepdim=True)
    loss = (y * y).sum()
    loss.backward()
    return loss.item(), x.grad.sum().item()


def interpreted_step(monkeypatch, *args):
    with interpreted(monkeypatch):
        return step(*args)


def test_a_length_that_is_met_for_the_first_time_is_not_planned(monkeypatch):
    with checked(monkeypatch) as counts:
        for length in range(20, 20 + skeleton.READY):
            step(length)
        planned = torch.debug.stats()["programs"]
        for length in (50, 41, 99):
            ours, theirs = step(length), interpreted_step(monkeypatch, length)
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        assert torch.debug.stats()["programs"] == planned
        assert counts["bound"] >= 3


def test_steps_that_threads_would_share_keep_their_sizes_open(monkeypatch, cut_all):
    torch.set_num_threads(4)
    with checked(monkeypatch) as counts:
        for length in (*range(120, 120 + skeleton.READY), 150, 141, 199):
            ours, theirs = step(length), interpreted_step(monkeypatch, length)
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        assert counts["bound"] >= 3


def test_the_arena_grows(monkeypatch):
    with checked(monkeypatch) as counts:
        for length in (*range(20, 20 + skeleton.READY), 31, 400, 33, 1000, 34, 999):
            ours, theirs = step(length), interpreted_step(monkeypatch, length)
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        assert counts["bound"] >= 6


def test_a_length_that_comes_back_beside_one_that_does_not(monkeypatch):
    """The gradient of pieces that overlap asks where they lie: an array of sizes, which are not known yet."""

    def windows(length, other):
        x = (torch.arange(length * 24.0).reshape(4, length, 6) / length).requires_grad_()
        y = x.unfold(1, 5, 1).flatten(2)
        for _ in range(6):
            y = (y * 0.9).sin()
        loss = y.sum() + (torch.arange(1.0 * other) * 0.01).sin().sum()
        loss.backward()
        return [loss.item(), *x.grad[0, :, 2].tolist()]

    with checked(monkeypatch) as counts:
        for n in range(16):
            sizes = (41, 53)[n % 2], 61 + 3 * n
            ours = windows(*sizes)
            with interpreted(monkeypatch):
                theirs = windows(*sizes)
            np.testing.assert_allclose(ours, theirs, rtol=1e-4)
        assert counts["bound"] >= 4


def test_sizes_of_other_order_have_a_program_of_their_own(monkeypatch):
    """Where a rule asks which size is the greater, its answer is a guard."""

    def cut(rows, columns):
        x = torch.arange(float(rows * columns)).reshape(rows, columns)
        for _ in range(3):
            x = (x * 0.5 + 1).tanh()
        n = min(x.shape)
        return (x[:n, :n].diagonal().sum() + x.sum() * (x - 1).amax()).item()

    with checked(monkeypatch):
        pairs = [(11, 23), (23, 11), (13, 29), (31, 12), (14, 37), (38, 15), (16, 41), (43, 17)] * 2
        for n, (a, b) in enumerate(pairs):
            sizes = a + 3 * n, b + 3 * n
            ours = cut(*sizes)
            with interpreted(monkeypatch):
                theirs = cut(*sizes)
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_the_interpreter_says_what_is_wrong_with_new_sizes(monkeypatch):
    table = torch.arange(30.0).reshape(10, 3)

    def taken(length, last):
        at = torch.arange(length) % 9 + last
        x = table[at]
        for _ in range(4):
            x = (x * 0.5 + 1).tanh()
        return x.sum().item()

    with checked(monkeypatch) as counts:
        for length in range(20, 25 + skeleton.READY):
            taken(length, 0)
        assert counts["bound"]
        with pytest.raises(IndexError):
            taken(60, 5)
        assert np.isfinite(taken(61, 1))


def test_numbers_do_not_depend_on_how_fast_the_compiler_is(monkeypatch):
    lengths = [20, 21, 22, 20, 23, 24, 25, 26, 27, 28, 20, 29, 30, 31]

    def run(delay):
        make = rebound.make

        def slow(*args):
            time.sleep(delay)
            return make(*args)

        with checked(monkeypatch), monkeypatch.context() as m:
            m.setattr(rebound, "make", slow)
            m.setattr(tls, "walk", Walk())
            return [step(length) for length in lengths]

    assert run(0) == run(0.2)


@pytest.mark.parametrize("n", range(6))
def test_slices(n):
    for start, stop, by in itertools.product([None, *range(-7, 8)], [None, *range(-7, 8)], [None, 1, 2, 3, -1, -2, -3]):
        expected = range(*slice(start, stop, by).indices(n))
        first, count, step = sliced(slice(start, stop, by), n)
        assert (count, step) == (len(expected), expected.step)
        assert not count or first == expected.start
