"""Recording: what walks the same edge again, what does not, and what a flush computes."""

import threading

import numpy as np
import pytest

import tenfold as torch
from tenfold import debug
from tenfold._core.trace import skeleton


def new_edges(step, times=4):
    """Misses of the last of several calls."""
    for _ in range(times):
        before = debug.stats()["misses"]
        step()
        debug.end_walk()
    return debug.stats()["misses"] - before


def test_a_loop_walks_the_same_edges_again():
    x = torch.rand(3, 4)
    assert new_edges(lambda: (x * 2 + x).sum().item()) == 0


def test_numbers_are_data():
    x = torch.ones(3)
    numbers = iter([0.5, 0.25, 0.125, 7.0])
    seen = []
    assert new_edges(lambda: seen.append((x * next(numbers)).sum().item())) == 0
    assert seen == [1.5, 0.75, 0.375, 21.0]


def test_the_kind_of_a_number_is_not_data():
    x = torch.ones(2, dtype=torch.int64)
    assert (x * 2).dtype is torch.int64
    assert (x * 2.0).dtype is torch.float32
    assert (x * True).dtype is torch.int64
    assert (x * 2).dtype is torch.int64


def test_places_of_slices_are_data():
    x = torch.arange(40).reshape(20, 2)
    at = iter(range(0, 20, 5))
    seen = []
    assert new_edges(lambda: seen.append((x[(i := next(at)) : i + 5] * 2).sum().item())) == 0
    assert seen == [2 * sum(range(10 * k, 10 * k + 10)) for k in range(4)]


@pytest.mark.parametrize("first", [{}, {"keepdim": True}, {"dim": 0}, {"dim": 0, "keepdim": True}])
def test_calls_with_other_keywords_are_other_edges(first):
    x = torch.ones(2, 3)
    debug.end_walk()
    x.sum(**({"dim": (0, 1)} | first))
    debug.end_walk()
    assert x.sum().shape == ()
    debug.end_walk()
    assert x.sum(dim=0).shape == (3,)
    debug.end_walk()
    assert x.sum(0, keepdim=True).shape == (1, 3)
    debug.end_walk()
    assert x.sum(0, True).shape == (1, 3)


def test_true_one_and_one_point_oh_are_told_apart_as_options():
    x = torch.tensor([[3.0, 1.0], [2.0, 5.0]])
    assert x.sum(1).tolist() == [4.0, 7.0]
    assert x.sum(0).tolist() == [5.0, 6.0]
    assert torch.full((2,), True).dtype is torch.bool
    assert torch.full((2,), 1).dtype is torch.int64
    assert torch.full((2,), 1.0).dtype is torch.float32


def test_a_loop_that_reads_its_loss_before_backward_settles():
    w = torch.ones(3, 2, requires_grad=True)
    x = torch.ones(4, 3)

    def step():
        loss = (x @ w).relu().sum()
        loss.item()
        w.grad = None
        loss.backward()
        with torch.no_grad():
            w.sub_(w.grad * 0.01)

    assert new_edges(step, 8) == 0


def test_only_what_is_referenced_is_computed(monkeypatch):
    x = torch.ones(3)
    kept = x + 1
    for k in range(5):
        x * k  # nobody holds it
    before = debug.stats()["flushes"]
    assert kept.tolist() == [2.0, 2.0, 2.0]
    assert debug.stats()["flushes"] == before + 1


def test_a_loop_that_never_reads_is_bounded():
    x = torch.ones(2)
    before = debug.stats()["flushes"]
    for _ in range(10_000):
        x = x * 1.0
    assert debug.stats()["flushes"] > before
    assert x.tolist() == [1.0, 1.0]


def test_eager_mode_gives_the_same():
    def run():
        torch.manual_seed(3)
        w = torch.randn(4, 3, requires_grad=True)
        h = torch.relu(torch.randn(2, 4) @ w)
        h[0] *= 2
        h.sum().backward()
        return h.detach().tolist(), w.grad.tolist()

    recorded = run()
    with debug.eager():
        assert run() == recorded


# --- aliases ------------------------------------------------------------------------------------------------------


def test_writes_are_seen_through_every_alias():
    base = torch.zeros(2, 3)
    row, turned, flat = base[1], base.t(), base.view(-1)
    turned[0, 1] = 5
    assert base.tolist() == [[0, 0, 0], [5, 0, 0]]
    flat.add_(1)
    assert row.tolist() == [6, 1, 1]
    row.mul_(torch.tensor([1.0, 2.0, 3.0]))
    assert turned.tolist() == [[1, 6], [1, 2], [1, 3]]


def test_a_write_does_not_change_what_was_recorded_before_it():
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    squares = y * y
    y.add_(10)
    squares.sum().backward()
    assert x.grad.tolist() == [8.0, 8.0, 8.0]


def test_overlapping_memory_is_not_written():
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        torch.ones(1, 3).expand(2, 3).add_(1)


def test_leaves_are_not_written_while_gradients_are_recorded():
    w = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        w.add_(1)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable"):
        w[0] = 1
    with torch.no_grad():
        w.add_(1)
    assert w.tolist() == [2, 2, 2]


# --- errors when a program runs --------------------------------------------------------------------------------------


def test_an_error_at_run_time_loses_nothing():
    table = torch.ones(4, 2)
    buffer = torch.zeros(2)
    index = torch.tensor([0, 3])
    for _ in range(2):  # the edge is known, so that the index is checked when the walk is computed
        torch.nn.functional.embedding(index, table).tolist()
    before = buffer + 1
    buffer.add_(1)
    bad = torch.nn.functional.embedding(index + 2, table)
    after = bad * 2
    with pytest.raises(IndexError, match="index out of range in self"):
        after.tolist()
    with pytest.raises(IndexError, match="index out of range in self"):
        bad.tolist()
    assert before.tolist() == [1, 1]
    assert buffer.tolist() == [1, 1]
    assert (buffer * 3).tolist() == [3, 3]


def test_the_error_names_the_line():
    table = torch.ones(4, 2)
    index = torch.tensor([1]) + 7
    with pytest.raises(IndexError, match=r"test_walk\.py:\d+"):
        torch.nn.functional.embedding(index, table).tolist()


# --- threads -------------------------------------------------------------------------------------------------------------


def in_thread(f):
    out = []

    def run():
        try:
            out.append(f())
        except Exception as e:
            out.append(e)

    t = threading.Thread(target=run)
    t.start()
    t.join()
    return out[0]


def test_another_thread_reads_what_is_pending_here():
    x = torch.arange(4) * 3
    assert in_thread(lambda: (x + 1).tolist()) == [1, 4, 7, 10]
    assert x.tolist() == [0, 3, 6, 9]


def test_threads_compute_side_by_side():
    def work(seed):
        g = torch.Generator().manual_seed(seed)
        x = torch.randn(8, 8, generator=g)
        for _ in range(30):
            x = torch.tanh(x @ x) + x.sum() * 0.01
        return x.tolist()

    alone = [work(k) for k in range(4)]
    results = [None] * 4

    def run(k):
        results[k] = work(k)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == alone


def test_a_history_of_another_thread_is_refused():
    x = torch.ones(2, requires_grad=True) * 2
    error = in_thread(lambda: (x + 1).tolist())
    assert isinstance(error, RuntimeError)
    assert "another thread" in str(error)


# --- bodies ------------------------------------------------------------------------------------------------------------


def test_a_composite_is_one_edge():
    @torch.composite(data=("scale",))
    def blend(first, second, scale, twice=False):
        out = [a + b * scale for a, b in zip(first, second, strict=True)]
        return [x * 2 for x in out] if twice else out

    a, b = [torch.ones(2), torch.ones(3)], [torch.ones(2), torch.ones(3)]
    assert [t.tolist() for t in blend(a, b, 0.5)] == [[1.5] * 2, [1.5] * 3]
    assert [t.tolist() for t in blend(a, b, 2.0, twice=True)] == [[6.0] * 2, [6.0] * 3]
    assert new_edges(lambda: blend(a, b, 3.0)[0].tolist()) == 0


def test_a_body_reads_no_value():
    @torch.composite
    def peek(x):
        return x * x.sum().item()

    with pytest.raises(RuntimeError, match="operation's body asked for the value"):
        peek(torch.ones(2))


def test_assign_writes_in_place():
    p, view = torch.zeros(3), None
    view = p[1:]
    torch.assign([p], [torch.ones(3)])
    assert view.tolist() == [1, 1]


def test_default_dtype_changes_what_is_remembered():
    assert (torch.ones(2, dtype=torch.int32) * 0.5).dtype is torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        assert (torch.ones(2, dtype=torch.int32) * 0.5).dtype is torch.float64
        assert torch.zeros(2).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.zeros(2).dtype is torch.float32


def test_stats_count():
    s = debug.stats()
    torch.ones(2).tolist()
    t = debug.stats()
    assert t["edges"] > s["edges"]
    assert t["flushes"] == s["flushes"] + 1
    assert set(t) == {"edges", "hits", "misses", "flushes", "programs", "rebound", "nodes", "specs"}


def test_deep_chains_need_no_recursion():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(1500):
        y = y + 1
    y.backward()
    assert x.grad.tolist() == [1.0]
    assert np.isclose(y.item(), 1501)


def test_a_list_of_static_arguments_may_change_between_calls():
    x = torch.arange(6.0).reshape(1, 2, 3)
    sizes, shapes = [1, 1], []
    for n in range(3):
        sizes[0] = n
        shapes.append(torch.nn.functional.pad(x, sizes).shape[-1])
        torch.end_walk()
    assert shapes == [4, 5, 6]


def test_what_computes_an_operation_depends_on_its_static_arguments():
    for n in range(3, 7):  # shapes that are new: the rule runs again, what computes is remembered
        x = torch.linspace(-1, 1, n)
        low, high = torch.clamp(x, min=0.5).tolist(), torch.clamp(x, max=0.5).tolist()
        assert low == [max(v, 0.5) for v in x.tolist()]
        assert high == [min(v, 0.5) for v in x.tolist()]


def test_a_write_without_gradients_takes_no_history():
    """What was recorded with gradients is written under no_grad: the target does not come from it."""
    leaf = torch.ones(2, requires_grad=True)
    source = leaf.clone()
    fresh, held = torch.zeros_like(leaf), torch.zeros(2)
    held.tolist()
    with torch.no_grad():
        fresh.copy_(source)
        held.copy_(source)
    assert not fresh.requires_grad and not held.requires_grad
    assert source.requires_grad and fresh.tolist() == held.tolist() == [1.0, 1.0]


def test_a_long_walk_ends_where_the_outermost_loop_comes_round():
    def loops(x):
        for _ in range(30):
            for _ in range(3):
                x = (x * 0.5 + 0.25) / 1.5
            x = x - 0.125
        return x

    with torch.no_grad():
        x = torch.ones(4)
        x.sum().item()
        expected = loops(x).tolist()
        before = torch.debug.stats()
        for _ in range(3):
            assert loops(x).tolist() == expected
        after = torch.debug.stats()
    assert after["misses"] == before["misses"]
    walks = (after["flushes"] - before["flushes"]) / 3
    assert walks == 3  # 300 operations, ten a turn: two walks of 130 and the rest


def test_what_was_only_viewed_is_no_result():
    def f(x):
        y = x @ x
        return y.view(4, 16).transpose(0, 1).sum()

    x = torch.rand(8, 8)
    with torch.no_grad():
        f(x).item()
        text = str(torch.explain(lambda: f(x).item()))
    assert "1 path" in text and "float32[4, 16]" not in text.partition("STEPS")[0]


def test_sizes_that_are_equal_by_chance():
    pattern, sizes = skeleton.numbered([7, 3, 7, 21])
    assert (pattern, sizes) == ((0, 1, 0, 2), (7, 3, 21))
    assert skeleton.as_numbered([3, 3, 3, 9], pattern) == (3, 3, 9)
    assert skeleton.as_numbered([3, 3, 4, 9], pattern) is None


def test_a_path_with_sizes_that_are_equal_by_chance_runs_with_the_program_for_others():
    rows, w = torch.rand(64, 48), torch.rand(48, 48)

    def f(n):
        x = rows[:n].clone()
        for _ in range(8):
            x = torch.tanh(x @ w) * 0.5
        return x.sum().item()

    with torch.no_grad():
        for n in range(20, 40):
            f(n)
        before = debug.stats()["rebound"]
        got = f(48)
        assert before > 0 and debug.stats()["rebound"] == before + 1
    assert got == pytest.approx(sum_of(rows[:48], w), rel=1e-5)


def sum_of(x, w):
    x, w = x.numpy(), w.numpy()
    for _ in range(8):
        x = np.tanh(x @ w) * np.float32(0.5)
    return x.sum()
