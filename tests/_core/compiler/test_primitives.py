"""What ordinary programs are made of runs as machine code, without a call of the interpreter, and gives what it gives."""

import numpy as np
import pytest

import tenfold as torch
from tenfold._core import config
from tenfold._core.compiler import later, machine
from tenfold._core.compiler.build import CallStep
from tenfold._core.compiler.machine import Machine
from tenfold._core.trace import flush

pytest.importorskip("llvmlite")
F = torch.nn.functional


def numbers(*shape, seed=0, low=-2.0, high=2.0):
    return torch.tensor(np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32))


def whole(*shape, below, seed=0):
    return torch.tensor(np.random.default_rng(seed).integers(0, below, shape))


def flat(result) -> list:
    items = result if isinstance(result, (tuple, list)) else [result]
    return [np.array(t.detach().numpy()) for t in items]


@pytest.fixture
def compiled(monkeypatch):
    """compiled(f): f's results by machine code, and the names of what stayed a call."""

    def run(f, *, warm=3):
        machines: list[Machine] = []
        runs = []

        def now(graph, results, inputs, donors):
            sizes = {p: inputs[p].size for i, p in graph.inputs.items() if graph.lays[i].flat}
            made = Machine(graph, results, sizes, donors)
            machines.append(made)
            return made

        plain = machine.Machine.values
        monkeypatch.setattr(machine.Machine, "values", lambda self, *a: (runs.append(self), plain(self, *a))[1])
        monkeypatch.setattr(config, "COMPILE", True)
        monkeypatch.setattr(config, "COMPILE_AT", 1)
        monkeypatch.setattr(later, "now", now)
        for _ in range(warm):
            got = flat(f())
        assert runs
        return got, [s.call.spec.op.name for m in machines for s in m.recipe.steps if isinstance(s, CallStep)]

    return run


def by_the_interpreter(plan, w):
    env = plan.program.run(w.inputs, w.scalars)
    return [env[i] for i in plan.program.results], None


def interpreted(f, monkeypatch):
    with monkeypatch.context() as m:
        m.setattr(flush.Plan, "run", by_the_interpreter)
        return flat(f())


def check(f, compiled, monkeypatch, calls=()):
    torch.debug.end_walk()  # inputs that have not been computed yet are no part of what is looked at
    got, stayed = compiled(f)
    want = interpreted(f, monkeypatch)
    assert set(stayed) <= set(calls)
    assert len(want) == len(got)
    for a, b in zip(want, got):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if a.dtype.kind == "f":
            np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(b, a)


X = numbers(4, 5)
IMAGE = numbers(2, 3, 6, 8, seed=1)
ODD = torch.tensor([0.0, -0.0, 1.5, -1.5, 2.5, float("inf"), -float("inf"), float("nan"), 3e9, -3e19, 1e30])
ROWS = whole(6, below=4)
PLACES = whole(4, 3, below=5, seed=2)
INTS = torch.tensor([[7, -7, 0, 5], [-(2**63), 3, -1, 2**62]])


VALUES = {
    "full": lambda: torch.full((2, 3), 1.5) + 0,
    "full of ints": lambda: torch.full((2, 3), 7) + 0,
    "to int64": lambda: (ODD + 0).to(torch.int64),
    "to int32": lambda: (ODD + 0).int(),
    "to uint8": lambda: (X * 3).to(torch.uint8),
    "to bool": lambda: (ODD + 0).bool(),
    "pow number": lambda: (X.abs() + 0.1) ** 1.7,
    "pow data": lambda: torch.pow(X.abs() + 0.1, torch.tensor(2.5)),
    "pow tensor": lambda: torch.pow(X.abs() + 0.1, X),
    "pow small": lambda: (X**2, X**3, X**-1, X**-2, X**0.5, X**0, X**4),
    "pow of ints": lambda: ((INTS + 0) ** 3, (INTS + 0) ** 0),
    "remainder": lambda: (ODD % 0.7, torch.remainder(X, -0.3), ODD % 0.0),
    "floor_divide": lambda: (ODD // 0.7, torch.floor_divide(X, torch.tensor(-0.3)), ODD // 0.0),
    "fmod": lambda: torch.fmod(ODD, 0.7),
    "of ints": lambda: (INTS // 3, INTS % 3, INTS % -3, INTS // -1, INTS % -1, torch.fmod(INTS, 3)),
    "trunc division": lambda: torch.div(INTS, 3, rounding_mode="trunc"),
    "leaky_relu": lambda: F.leaky_relu(X + 0, 0.1),
    "threshold": lambda: F.threshold(X + 0, 0.5, -1.0),
    "softplus": lambda: F.softplus(X + 0),
    "isclose": lambda: torch.isclose(X, X + 1e-9),
    "nan_to_num": lambda: torch.nan_to_num(ODD + 0),
    "isnan of ints": lambda: torch.isnan(INTS + 0),
    "where": lambda: torch.where(X > 0, X, 0.0),
    "masked_fill": lambda: X.masked_fill(X > 0.5, -1.0),
    "cat": lambda: torch.cat([X, X * 2, X[:2]], 0),
    "cat of columns": lambda: torch.cat([X, X[:, :2]], 1),
    "stack": lambda: torch.stack([X, X + 1], 1),
    "flip and roll": lambda: (X.flip(0, 1), X.roll(2, 1), X.roll((1, -1), (0, 1)), X.roll(3)),
    "flips of views": lambda: (
        IMAGE[:, :, 1:].flip(2, 3)[..., 2:5],
        IMAGE.permute(0, 2, 3, 1).flip(1, 2).reshape(-1),
        X.t().flip(0)[1:].flip(0, 1),
        torch.cat([X.flip(1), X], 1).flip(1)[:, 3:8],
    ),
    "tril and triu": lambda: (X.tril(), X.triu(1), X.tril(-2)),
    "repeat": lambda: (X.repeat(2, 3), X.repeat_interleave(2, 1)),
    "eye": lambda: torch.eye(3) + 0,
    "index_select": lambda: (X.index_select(0, torch.tensor([0, 3, 1, 2, 2, 0, 3])), X.index_select(1, PLACES[:, 0])),
    "gather": lambda: (X.gather(1, PLACES), X.gather(0, PLACES % 4)),
    "take_along_dim": lambda: torch.take_along_dim(X, PLACES, 1),
    "index": lambda: (X[ROWS], X[:, PLACES[0]], X[ROWS[:4], PLACES[:, 0]], IMAGE[:, PLACES[0] % 3, 2:, PLACES[0]]),
    "index from behind": lambda: X[ROWS - 4],
    "scatter": lambda: torch.zeros(4, 5).scatter(1, torch.tensor([[0, 2], [1, 4], [3, 0], [2, 1]]), X[:, :2]),
    "scatter_add": lambda: torch.zeros(4, 5).scatter_add(1, PLACES, X[:, :3]),
    "scatter_reduce": lambda: (
        torch.ones(4, 5).scatter_reduce(1, PLACES, X[:, :3], "prod"),
        torch.zeros(4, 5).scatter_reduce(1, PLACES, X[:, :3], "amax", include_self=False),
        torch.zeros(4, 5).scatter_reduce(1, PLACES, X[:, :3], "mean"),
    ),
    "index_add": lambda: (torch.zeros(4, 5).index_add(0, ROWS[:4], X), torch.zeros(4, 5).index_add(1, PLACES[0], X[:, :3])),
    "index_copy": lambda: torch.zeros(4, 5).index_copy(0, torch.tensor([3, 1]), X[:2]),
    "index_put": lambda: (
        torch.zeros(4, 5).index_put((ROWS,), numbers(6, 5), accumulate=True),
        torch.zeros(4, 5).index_put((torch.tensor([1, 3]), torch.tensor([0, 2])), torch.tensor(7.0)),
    ),
    "one_hot": lambda: F.one_hot(ROWS, 5),
    "argmax": lambda: (X.argmax(), X.argmax(1), X.argmin(0, keepdim=True), ODD.argmax()),
    "max along": lambda: (*X.max(1), *X.min(0, keepdim=True)),
    "reductions": lambda: (X.prod(1), X.var(1), X.std(), X.logsumexp(0), X.norm(dim=1), torch.count_nonzero(X > 0, 0)),
    "running": lambda: (X.cumsum(1), X.cumsum(0), X.cumprod(1), IMAGE.cumsum(2), ROWS.cumsum(0)),
    "cdist": lambda: (torch.cdist(X, X), torch.cdist(X, X, p=1)),
    "max_pool": lambda: (F.max_pool2d(IMAGE, 2), F.max_pool2d(IMAGE, 3, 2, 1, return_indices=True)[1]),
    "avg_pool": lambda: (F.avg_pool2d(IMAGE, 2), F.avg_pool2d(IMAGE, 3, 1, 1), F.adaptive_avg_pool2d(IMAGE, (4, 3))),
    "adaptive_max_pool": lambda: F.adaptive_max_pool2d(IMAGE, (4, 3)),
    "unpool": lambda: F.max_unpool2d(*F.max_pool2d(IMAGE, 2, return_indices=True), 2),
    "interpolate": lambda: (F.interpolate(IMAGE, scale_factor=2), F.interpolate(IMAGE, size=(5, 5), mode="bilinear")),
    "pad": lambda: (F.pad(X, (1, 2), value=3.0), F.pad(IMAGE, (1, 2, 0, 1), mode="reflect"), F.pad(X, (-1, 1))),
    "unfold and fold": lambda: (F.unfold(IMAGE, 2), F.fold(F.unfold(IMAGE, 2), (6, 8), 2)),
    "unfold of a tensor": lambda: IMAGE.unfold(2, 3, 1) * 2,
    "embedding": lambda: F.embedding(ROWS, X),
    "embedding_bag": lambda: [
        F.embedding_bag(ROWS, X, torch.tensor([0, 2, 2, 5]) + 0, mode=mode) for mode in ("sum", "mean")
    ],
    "cross_entropy": lambda: F.cross_entropy(numbers(6, 4), ROWS),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values_without_calls(name, compiled, monkeypatch):
    check(VALUES[name], compiled, monkeypatch)


def grads(f, *inputs):
    def run():
        leaves = [x.detach().clone().requires_grad_() for x in inputs]
        out = f(*leaves)
        weight = torch.arange(out.numel(), dtype=torch.float32).reshape(out.shape).sin()
        (out * weight).sum().backward()
        return [x.grad for x in leaves]

    return run


GRADIENTS = {
    "narrow": (lambda x: x[1:3, 2:] * 2, X),
    "select": (lambda x: x[1] * x[2], X),
    "permuted": (lambda x: x.permute(0, 2, 3, 1)[:, 1:, ::2], IMAGE),
    "expand": (lambda x: x[:, :1].expand(4, 7) * 2, X),
    "unfold": (lambda x: x.unfold(1, 3, 1), X),
    "chunks": (lambda x: torch.cat([a * b for a, b in zip(x.chunk(2, 2), x.split(3, 2))], 1), IMAGE),
    "index": (lambda x: x[ROWS], X),
    "index of a column": (lambda x: x[:, PLACES[0]], X),
    "gather": (lambda x: x.gather(1, PLACES), X),
    "index_select": (lambda x: x.index_select(1, PLACES[0]), X),
    "embedding": (lambda x: F.embedding(ROWS, x), X),
    "max_pool": (lambda x: F.max_pool2d(x, 3, 2, 1), IMAGE),
    "avg_pool": (lambda x: F.avg_pool2d(x, 3, 1, 1), IMAGE),
    "adaptive": (lambda x: F.adaptive_avg_pool2d(x, (4, 3)), IMAGE),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), IMAGE),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 1), mode="replicate"), IMAGE),
    "cumsum": (lambda x: x.cumsum(1) * x, X),
    "cumprod": (lambda x: x.cumprod(1), X),
    "prod": (lambda x: x.prod(1), X),
    "max along": (lambda x: x.max(1)[0], X),
    "sort of where": (lambda x: torch.where(x > 0, x * x, x), X),
    "unfold of images": (lambda x: F.unfold(x, 2), IMAGE),
    "cross_entropy": (lambda x: F.cross_entropy(x, ROWS[:4]), X),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.1), X),
    "written in place": (lambda x: _written(x), X),
    "written over": (lambda x: _written_over(x), X),
}  # fmt: skip


def _written(x):
    out = torch.zeros(4, 5)
    out[1:3] = x[:2] * 2
    out[:, 1] += x[:, 0]
    return out * out


def _written_over(x):
    """Pieces that are read again, beside one another, one over the other, and every second row."""
    out = torch.zeros(6, 5)
    out[1:3] = x[:2]
    out[2] = x[3] * out[1]
    out[4:, 1:] = out[1:3, 1:] + x[2:, 1:]
    out[::2, 0] = out[1::2, 1] * 2
    out[1::2] *= out[::2] + 1
    return out


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_without_calls(name, compiled, monkeypatch):
    f, *inputs = GRADIENTS[name]
    check(grads(f, *inputs), compiled, monkeypatch)


# --- places that are data ----------------------------------------------------------------------------------------------


def test_one_program_reads_every_row(compiled, monkeypatch):
    data = numbers(6, 3)

    def run():
        return [(data[i] * 2 + i).exp() for i in range(6)]

    check(run, compiled, monkeypatch)


def test_one_program_writes_every_row(compiled, monkeypatch):
    def run():
        store = torch.zeros(6, 3)
        store.numpy()  # it has memory
        store[0]
        for i in range(6):
            store[i] = numbers(3, seed=i) * 2
            store[i, 1:] += 1
            store.sum().item()
        return store

    check(run, compiled, monkeypatch)


def test_gradients_of_rows_at_a_place_that_is_data(compiled, monkeypatch):
    def run():
        got = []
        for i in range(4):
            weight = X.detach().clone()
            weight.numpy()
            weight.requires_grad_()
            (weight[i] * weight[(i + 1) % 4]).sum().backward()
            got.append(weight.grad)
        return got

    check(run, compiled, monkeypatch)


# --- what is wrong is an error, and nothing is read or written outside -------------------------------------------------

WRONG = {
    "index": lambda k: X[k],
    "gather": lambda k: X.gather(1, k.reshape(1, -1)),
    "index_select": lambda k: X.index_select(0, k),
    "scatter": lambda k: torch.zeros(4, 5).scatter(1, k.reshape(1, -1), 1.0),
    "index_add": lambda k: torch.zeros(4, 5).index_add(0, k, X[:2]),
    "index_put": lambda k: torch.zeros(4, 5).index_put((k,), torch.tensor(1.0), accumulate=True),
    "embedding": lambda k: F.embedding(k, X),
    "one_hot": lambda k: F.one_hot(k, 3),
    "embedding_bag": lambda k: F.embedding_bag(ROWS, X, k - 1),
    "divided": lambda k: 7 // torch.where(k <= 2, k, 0),
}


@pytest.mark.parametrize("name", WRONG)
def test_places_outside_are_errors(name, monkeypatch):
    monkeypatch.setattr(config, "COMPILE_AT", 1)
    base = torch.tensor([1, 2])
    for step in (0, 0, 0, 99, 2**40, -(2**40), 0):
        shift = torch.tensor([step, 0 if step == 0 else 1])  # a new input at every step
        if step == 0:
            WRONG[name](base + shift).sum().item()
        else:
            with pytest.raises((IndexError, RuntimeError)):
                WRONG[name](base + shift).sum().item()


# --- rows that are sorted by machine code ------------------------------------------------------------------------------


@pytest.mark.parametrize("step, rows", [(0.0, 40), (0.25, 40), (0.25, 20)])
def test_sorts_of_compiled_programs(step, rows, compiled, monkeypatch):
    data = numbers(rows, 600)
    if step:
        data = (data / step).round() * step  # with ties

    def run():
        x = data + 0
        a, b = x.sort(1), x.sort(0, descending=True, stable=True)
        top, least = x.topk(5, 1), x.topk(7, 0, largest=False)
        return [*a, *b, top[0], least[0]] + ([] if step else [top[1], least[1]])

    check(run, compiled, monkeypatch, calls=("_sort", "_topk"))


def test_a_spectrum_stays_a_call_and_what_surrounds_it_is_compiled(compiled, monkeypatch):
    signal, window = numbers(2, 40, seed=3), torch.hann_window(8)

    def f():
        x = signal.clone().requires_grad_()
        spectra = torch.stft(x * 2 + 1, 8, window=window, return_complex=True)
        back = torch.istft(spectra * 0.5, 8, window=window, length=40)
        power = (torch.fft.rfft(x, dim=1).abs() ** 2).mean()
        loss = (back**2).sum() + power
        loss.backward()
        return loss, x.grad

    torch.debug.end_walk()
    got, stayed = compiled(f)
    for a, b in zip(interpreted(f, monkeypatch), got):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)
    assert {"_half_dft", "_from_half"} <= set(stayed)
    assert "_overlap_add" not in stayed


# --- convolutions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels_last", [False, True])
def test_convolutions_of_whole_images_are_products(channels_last, compiled, monkeypatch):
    x, w = numbers(5, 3, 6, 4), numbers(7, 3, 6, 4, seed=1)
    line, along = numbers(5, 3, 6), numbers(7, 3, 6, seed=1)

    def run():
        a, b = (x * 1).requires_grad_(), (w * 1).requires_grad_()
        if channels_last:
            a, b = [t.detach().contiguous(memory_format=torch.channels_last).requires_grad_() for t in (a, b)]
        y = F.conv2d(a, b, numbers(7))
        (y * numbers(5, 7, 1, 1, seed=2)).mean().backward()
        c, d = (line * 1).requires_grad_(), (along * 1).requires_grad_()
        z = F.conv1d(c, d)
        (z * 0.1).sum().backward()
        up = F.conv_transpose2d(y.detach() * 0.02, w)
        return y, a.grad, b.grad, z, c.grad, d.grad, up

    check(run, compiled, monkeypatch)
