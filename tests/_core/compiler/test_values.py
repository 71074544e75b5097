"""Odd memory, sizes, values and dtypes, interpreted and compiled; and mistakes, which give the same errors compiled."""

import math

import numpy as np
import oracle
import pytest

import tenfold as torch
import tenfold.nn.functional as F
from tenfold._core import config

DTYPES = (torch.float32, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
HALVES = (torch.float16, torch.bfloat16)


def numbers(shape, dtype=torch.float32):
    count = math.prod(shape)
    values = (np.arange(count) * 7919 % 23 - 11).reshape(shape)
    return torch.tensor(values / 4 if dtype.is_floating_point else abs(values) % 5).to(dtype)


# --- memory ------------------------------------------------------------------------------------------------------

VIEWS = {
    "transposed": lambda x: x.t(),
    "permuted": lambda x: x.reshape(2, 3, 4).permute(2, 0, 1),
    "every other": lambda x: x[::2, 1::2],
    "begins elsewhere": lambda x: x[1:, 2:],
    "a row": lambda x: x[2],
    "an element": lambda x: x[3, 1],
    "repeated": lambda x: x[:1].expand(5, 4),
    "a diagonal": lambda x: x.diagonal(),
    "strided": lambda x: x.as_strided((3, 2), (1, 5), 2),
    "overlapping": lambda x: x.reshape(-1).unfold(0, 3, 1),
    "turned": lambda x: x.flip(0),
    "one column": lambda x: x[:, 1:2],
    "nothing": lambda x: x[:0],
    "with a dim of 1": lambda x: x[None, :, None],
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_as_inputs_and_inside(name):
    x = numbers((6, 4)).requires_grad_()
    outside = VIEWS[name](x.detach().clone())
    outside.tolist()  # it enters the next program as a view of memory
    with oracle.compared() as counts:
        v = VIEWS[name](x)
        y = v * 2 + outside
        z = torch.tanh(outside).sum() + y.exp().sum()
        z.backward()
        y.tolist(), z.tolist(), x.grad.tolist(), outside.sum(0).tolist() if outside.ndim else None
    assert counts["machines"]


@pytest.mark.parametrize("name", ["transposed", "every other", "begins elsewhere", "a row", "an element", "strided"])
def test_writes_in_place(name):
    with oracle.compared():
        x = numbers((6, 4))
        x.tolist()
        v = VIEWS[name](x)
        v += 1
        w = x * 2  # between two writes
        v.mul_(w.sum())
        x[0] = v.reshape(-1)[:1]
        x.clamp_(max=1e3)
        assert x.tolist() and v.tolist() and w.tolist()


def test_memory_of_numpy_is_read_and_written(compiled_at_once):
    a = np.arange(6, dtype=np.float32)
    x = torch.from_numpy(a)
    for n in range(4):
        y = x * 2 + 1
        x += 1
        assert a.tolist() == [k + n + 1 for k in range(6)]
        assert y.tolist() == [2 * (k + n) + 1 for k in range(6)]
        a -= 0
    assert y.numpy() is not None


def test_results_do_not_share_memory(compiled_at_once):
    x = torch.arange(6.0)
    for _ in range(3):
        a, b = x + 1, (x + 1).reshape(2, 3)
        c, d = x.view(6), x.clone()
        values = [t.tolist() for t in (a, b, c, d)]
        b.add_(1)
        d.add_(1)
        assert [a.tolist(), c.tolist()] == [values[0], values[2]] and x.tolist() == list(range(6))
        kept = (x * 3).numpy()
        (x * 4).tolist()
        assert kept.tolist() == [0, 3, 6, 9, 12, 15]  # the next program does not write over it


# --- sizes -------------------------------------------------------------------------------------------------------

SHAPES = [(), (0,), (1,), (1, 1), (3, 0), (0, 3), (1, 7), (7, 1), (16,), (17,), (2, 1, 3), (5, 33), (2, 0, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sizes(shape):
    with oracle.compared() as counts:
        x = numbers(shape).requires_grad_()
        y = (x * x + 1).sqrt()
        results = [y, y.sum(), y.sum(-1), y.mean(), torch.softmax(y, -1), y.cumsum(-1)]
        if x.numel():
            results += [y.amax(-1), y.max()]
        if x.ndim:
            results += [y @ numbers((shape[-1], 2)), y + numbers((shape[-1],)), torch.cat([y, y], -1), y.sum(0)]
        if x.ndim == 2:
            results += [y.t() @ y, y.t() + 1]
        sum(r.sum() for r in results).backward()
        _ = [r.tolist() for r in [*results, x.grad]]
    assert counts["machines"]


# --- values ------------------------------------------------------------------------------------------------------

ODD = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-45, 3.4e38, -2.5, 0.5, 88.8, -104.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_infinities_and_nan(dtype):
    with oracle.compared() as counts:
        x = torch.tensor(ODD, dtype=dtype)
        y = x[:, None]
        results = [x + y, x - y, x * y, x / y, torch.maximum(x, y), torch.minimum(x, y), torch.fmax(x, y), x**y]
        results += [x < y, x == y, x != y, x.isnan(), x.isinf(), x.isfinite(), x.sign(), x.clamp(-1, 1), x.relu()]
        results += [
            x.exp(),
            x.log(),
            x.tanh(),
            x.sigmoid(),
            x.abs(),
            x.floor(),
            x.round(),
            x.trunc(),
            x.sqrt(),
            x.bool(),
        ]
        results += [x.sum(), x.prod(), x.max(), x.min(), x[2:5].amax(), x.nansum(), x.nan_to_num(), x.softmax(0)]
        results += [F.gelu(x), F.silu(x), F.softplus(x), torch.where(x > 0, x, y), x.logsumexp(0), x.signbit()]
        _ = [r.tolist() for r in results]
    assert counts["machines"]


@pytest.mark.parametrize("dtype", DTYPES + HALVES, ids=str)
def test_dtypes(dtype):
    with oracle.compared() as counts:
        x, y = numbers((3, 5), dtype), numbers((5,), dtype)
        results = [x + y, x * y, x == y, torch.where(y.bool(), x, y), x.sum(), x.sum(1), x.to(torch.float32) / 2]
        results += [x.to(d) for d in DTYPES]
        results += [x.any(), x.all(1), x.any(0), torch.cat([x, x]), x[:, [0, 2]], x.t()[1:], x + 1, x * 2.5]
        if dtype is not torch.bool:
            results += [x - y, -x, x < y, x.amax(0), x.min(), x.prod(1), x.clamp(1, 3), x.abs(), x // 2, x % 3, x - 100]
        if not dtype.is_floating_point:
            results += [x & y, x | y, x ^ y, ~x]
        _ = [r.tolist() for r in results]
    assert counts["machines"]


def test_numbers_are_data(compiled_at_once):
    """Another number is no other program: the compiled one reads it."""
    x = torch.tensor([1.0, 2.0])
    whole = torch.tensor([3, 2**40])
    for k in range(5):
        assert (x * (k + 0.5) + k).tolist() == [k + 0.5 + k, 2 * (k + 0.5) + k]
        assert (whole + k).tolist() == [3 + k, 2**40 + k]
        assert (x > k).tolist() == [k < 1, k < 2]
        assert x[k % 2].item() == 1 + k % 2


# --- mistakes ----------------------------------------------------------------------------------------------------


def at(*places):
    """Numbers that are not there yet: those that are, are checked when they are used."""
    return torch.tensor(places) + 0


MISTAKES = {
    "an index": (lambda x, bad: x[at(0, 9 if bad else 1)], IndexError),
    "a negative index": (lambda x, bad: x[at(0, -9 if bad else -1)], IndexError),
    "a row of a table": (lambda x, bad: F.embedding(at(1, 7 if bad else 2), x), IndexError),
    "gather": (lambda x, bad: x.gather(0, at(0, 1, 5 if bad else 2)[None]), RuntimeError),
    "a probability": (lambda x, bad: F.binary_cross_entropy(x[0] * 0 + (1.5 if bad else 0.5), x[1] * 0 + 1), RuntimeError),
    "a class": (lambda x, bad: F.cross_entropy(x, at(0, 5 if bad else 1, 2, 0)), IndexError),
    "a class of nll": (lambda x, bad: F.nll_loss(x, at(0, -3 if bad else 1, 2, 0)), IndexError),
    "index_select": (lambda x, bad: x.index_select(0, at(0, 4 if bad else 1)), (IndexError, RuntimeError)),
}  # fmt: skip


def told(call, bad):
    try:
        return call(torch.arange(12.0).reshape(4, 3), bad).tolist()
    except Exception as e:
        return type(e), str(e).partition(" Recorded at ")[0]


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_raise_what_the_interpreter_raises(name):
    """At every visit; between them, what is right gives its result, before and after the path is compiled."""
    call, error = MISTAKES[name]
    wrong, right = told(call, True), told(call, False)
    assert issubclass(wrong[0], error) and isinstance(right, (list, float))
    for bad in [True, False, True] * config.COMPILE_AT:
        got = told(call, bad)
        assert got == wrong if bad else np.allclose(got, right, rtol=1e-6)


def test_after_a_mistake_nothing_is_lost():
    """What was computed before the step that fails is there; what follows raises the same when it is read."""
    table = torch.arange(12.0).reshape(4, 3)
    for _ in range(config.COMPILE_AT + 2):
        counter = torch.zeros(3)
        before = table * 2
        counter += 1
        wrong = table[at(0, 4)]
        after = wrong + 1
        with pytest.raises(IndexError):
            wrong.tolist()
        with pytest.raises(IndexError):
            after.tolist()
        assert before.tolist() == [[0, 2, 4], [6, 8, 10], [12, 14, 16], [18, 20, 22]]
        assert counter.tolist() == [1, 1, 1] and table.tolist()[3] == [9, 10, 11]


def test_a_mistake_in_a_training_step_leaves_the_parameters():
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 4)
    opt = torch.optim.SGD(layer.parameters(), lr=0.1)
    x = torch.ones(2, 3)

    def step(classes):
        opt.zero_grad()
        loss = F.cross_entropy(layer(x), torch.tensor(classes))
        loss.backward()
        opt.step()
        return loss.item()

    losses = [step([0, 3]) for _ in range(config.COMPILE_AT + 2)]
    kept = layer.weight.tolist()
    for _ in range(4):
        with pytest.raises(IndexError):
            step([0, 4])
        assert layer.weight.tolist() == kept
    assert step([0, 3]) < losses[-1]


def test_random_numbers_are_drawn_once(compiled_at_once):
    """A program with random numbers has the stream of the interpreter's, compiled or not, mistakes in it or not."""
    torch.manual_seed(5)
    first = [(torch.rand(3) * 2).tolist() for _ in range(5)]
    torch.manual_seed(5)
    assert [(torch.rand(3) * 2).tolist() for _ in range(5)] == first
    torch.manual_seed(5)
    assert (torch.rand(15) * 2).tolist() == pytest.approx([x for row in first for x in row])


@pytest.mark.parametrize("at", [1, 1000], ids=["compiled", "interpreted"])
def test_a_mistake_after_a_draw_leaves_the_stream_where_it_was(at, monkeypatch):
    """The program runs again to say what is wrong; it draws again the same numbers."""
    monkeypatch.setattr(config, "COMPILE_AT", at)
    table = torch.arange(8.0).reshape(4, 2)
    for _ in range(3):
        torch.manual_seed(1)
        expected = torch.rand(5).tolist(), torch.randn(3).tolist()
        torch.manual_seed(1)
        drawn = torch.rand(3)
        rows = torch.nn.functional.embedding(torch.tensor([0, 9]) + 0, table) * 2
        with pytest.raises(IndexError):
            rows.tolist()
        assert drawn.tolist() == expected[0][:3] and torch.rand(2).tolist() == expected[0][3:]
        assert torch.randn(3).tolist() == expected[1]
