"""vmap, against loops over the slices and numbers worked out by hand."""

import pytest

import tenfold as torch
from tenfold.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap

X = torch.arange(6.0).reshape(2, 3)


def same(a, b):
    return torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def loop(f, *args):
    return torch.stack([f(*row) for row in zip(*args)])


# --- dims -------------------------------------------------------------------------------------------------------------


def test_dims_in_and_out():
    assert vmap(torch.dot)(X, X).tolist() == [5, 50]
    assert vmap(torch.dot, in_dims=1)(X, X).tolist() == [9, 17, 29]
    assert vmap(torch.dot, in_dims=(-1, None))(X, torch.tensor([1.0, 10.0])).tolist() == [30, 41, 52]
    assert vmap(lambda x: x * 2, out_dims=1)(X).shape == (3, 2)
    assert vmap(lambda x: x * 2, out_dims=-1)(X).shape == (3, 2)


def test_nested_arguments_and_results():
    out = vmap(lambda d, k: {"a": d["x"] + k, "b": (d["y"], k)}, in_dims=({"x": 0, "y": None}, None), out_dims=0)(
        {"x": X, "y": torch.ones(2)}, torch.tensor(1.0)
    )
    assert out["a"].tolist() == (X + 1).tolist()
    assert out["b"][0].shape == (2, 2) and out["b"][1].tolist() == [1, 1]
    assert vmap(lambda x, y: x + y[1], in_dims=(0, [None, 0]))(X, [1, X]).tolist() == (X + X).tolist()
    same_for_all, other = vmap(lambda x: (torch.ones(2), x), out_dims=(None, 1))(X)
    assert same_for_all.tolist() == [1, 1] and other.shape == (3, 2)


def test_keyword_arguments_are_the_same_for_all():
    assert vmap(lambda x, *, k: x.sum() + k)(X, k=X).shape == (2, 2, 3)


def test_nested():
    outer = vmap(vmap(lambda a, b: a * b, in_dims=(None, 0)), in_dims=(0, None))
    assert outer(torch.arange(3.0), torch.arange(4.0)).tolist() == [[i * j for j in range(4)] for i in range(3)]
    assert vmap(vmap(lambda x: x * 2), in_dims=1, out_dims=1)(X).tolist() == (X * 2).tolist()


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_in_chunks(size):
    x = torch.randn(5, 3)
    got = vmap(lambda x: (x.sum(), torch.outer(x, x)), out_dims=(0, 2), chunk_size=size)(x)
    assert same(got[0], x.sum(1)) and same(got[1], torch.einsum("bi,bj->ijb", x, x))


def test_no_slices():
    assert vmap(lambda x: x.sum())(torch.ones(0, 3)).shape == (0,)
    assert vmap(torch.linalg.matrix_rank)(torch.ones(0, 3, 3)).shape == (0,)


# --- what functions do --------------------------------------------------------------------------------------------------


FUNCTIONS = {
    "numbers and dtypes": lambda x: (x[0] * torch.ones(3, dtype=torch.float16) + 1).sum(),
    "0-d with dims": lambda x: x.sum() * torch.arange(3),
    "views": lambda x: x.reshape(2, 2).T.diagonal() * x[1:3].flip(0),
    "writes in place": lambda x: x.clone().add_(1).mul_(x).index_fill_(0, torch.tensor([1]), 5.0),
    "writes through views": lambda x: torch.zeros(4).scatter_add(0, torch.tensor([0, 1, 1, 3]), x),
    "matrix products": lambda x: x @ torch.ones(4, 2) @ x[:2].unsqueeze(1),
    "indexing": lambda x: x[torch.tensor([[0, 1], [3, 3]])].sum(1) + x[x.argmax()],
    "softmax and sort": lambda x: torch.softmax(x, 0).sort(descending=True)[0].cumsum(0),
    "norms": lambda x: torch.nn.functional.layer_norm(x, (4,)) + x.norm() + x.std(),
    "linear algebra": lambda x: torch.linalg.inv(x.reshape(2, 2) + 3 * torch.eye(2)).trace(),
    "joins": lambda x: torch.cat([x, torch.stack([x.sum(), x.max()])]),
    "where": lambda x: torch.where(x > 0, x, x.exp()).masked_fill(x > 1, 7.0),
    "complex": lambda x: torch.view_as_real(torch.view_as_complex(x.reshape(2, 2)) * 1j).flatten().abs(),
    "spectra": lambda x: torch.fft.irfft(torch.fft.rfft(x).abs() + torch.fft.fft2(x.reshape(2, 2)).real.sum(), n=5),
    "stretches": lambda x: torch.stft(x, 2, window=torch.ones(2), hop_length=1, return_complex=True).abs(),
    "no rule": lambda x: torch.histc(x, 4, -3, 3),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_is_a_loop(name):
    torch.manual_seed(1)
    x = torch.randn(3, 4)
    f = FUNCTIONS[name]
    assert same(vmap(f)(x), loop(f, x))
    assert same(vmap(vmap(f))(x.expand(2, 3, 4))[1], loop(f, x))


def test_what_is_written_into_arguments():
    x = X.clone()
    vmap(lambda r: r[1:].mul_(10))(x)
    assert x.tolist() == [[0, 10, 20], [3, 40, 50]]
    x = X.clone()
    vmap(lambda r: r.add_(1), in_dims=1)(x)
    assert x.tolist() == (X + 1).tolist()


def test_what_is_written_into_tensors_of_outside():
    count = torch.zeros(2)

    def f(x):
        count.add_(1)
        return x.sum() + count[0]

    assert vmap(f)(X).tolist() == [4, 13] and count.tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="in-place"):
        vmap(lambda x: count.add_(x.sum()))(X)
    assert count.tolist() == [1, 1]


def test_values_that_are_the_same_for_all_can_be_read():
    k = torch.tensor(2.0)
    assert (
        vmap(lambda x: x * 2 if k.item() > 1 and torch.arange(3).sum().item() == 3 else x)(X).tolist()
        == (X * 2).tolist()
    )


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.sum().item(),
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x[x > 0],
        lambda x: torch.nonzero(x),
        lambda x: torch.tensor(x.tolist()),
        lambda x: x * int(x[0]),
    ],
)
def test_values_cannot_be_read(f):
    with pytest.raises(RuntimeError, match="vmap"):
        vmap(f)(X)
    assert (X + 1).sum().item() == 21  # nothing is left over


def test_a_tensor_that_is_kept():
    kept = []
    vmap(lambda x: kept.append(x * 2) or x)(X)
    for use in (lambda t: t + 1, lambda t: t.sum().item(), lambda t: torch.zeros(3).add_(t)):
        with pytest.raises(RuntimeError, match="vmap"):
            use(kept[0])
    assert (X + 1).sum().item() == 21


# --- random numbers -----------------------------------------------------------------------------------------------------


def test_random_numbers():
    def f(x):
        return x + torch.rand(3)

    with pytest.raises(RuntimeError, match="randomness"):
        vmap(f)(X)
    torch.manual_seed(0)
    wanted = X + torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(vmap(f, randomness="same")(X), wanted)
    torch.manual_seed(0)
    wanted = X + torch.rand(2, 3)
    torch.manual_seed(0)
    assert torch.equal(vmap(f, randomness="different")(X), wanted)
    with pytest.raises(RuntimeError, match="differ between slices"):
        vmap(torch.bernoulli, randomness="same")(X / 6)
    mask = vmap(lambda x: torch.nn.functional.dropout(x, 0.5), randomness="same")(torch.ones(4, 20))
    assert torch.equal(mask[0], mask[1]) and 0 < (mask == 0).sum() < 80


# --- with derivatives ---------------------------------------------------------------------------------------------------


def test_gradients_for_each_slice():
    assert vmap(grad(lambda x: (x**2).sum()))(X).tolist() == (2 * X).tolist()
    assert vmap(grad(grad(lambda x: x**3)))(torch.tensor([1.0, 2.0])).tolist() == [6, 12]
    got = vmap(lambda x: jvp(torch.sin, (x,), (torch.ones(3),))[1])(X)
    assert same(got, X.cos())
    assert same(vmap(jacrev(torch.sin))(X), torch.diag_embed(X.cos()))
    assert same(vmap(hessian(lambda x: (x**3).sum()))(X), torch.diag_embed(6 * X))
    _, product = vjp(torch.sin, X)
    assert same(vmap(product)(torch.ones(4, 2, 3))[0], X.cos().expand(4, 2, 3))


def test_the_gradient_of_a_vmap():
    w = torch.tensor([1.0, 2.0, 3.0])
    assert grad(lambda w: vmap(torch.dot, in_dims=(0, None))(X, w).sum())(w).tolist() == [3, 5, 7]
    w.requires_grad_()
    vmap(lambda x: torch.softmax(x * w, 0) @ w)(X).sum().backward()
    found, w.grad = w.grad, None
    torch.stack([torch.softmax(x * w, 0) @ w for x in X]).sum().backward()
    assert same(found, w.grad)


@pytest.mark.parametrize("transform", [jacrev, jacfwd])
def test_jacobians_of_several(transform):
    def f(a, b):
        return {"p": a * b, "q": (b**2).sum()}

    a, b = X[0], X[1]
    found = transform(f, (0, 1))(a, b)
    assert same(found["p"][0], torch.diag(b)) and same(found["p"][1], torch.diag(a))
    assert found["q"][0].tolist() == [0, 0, 0] and found["q"][1].tolist() == [6, 8, 10]


def test_what_is_outside_keeps_its_gradient():
    p = torch.tensor(2.0, requires_grad=True)
    g = vmap(grad(lambda x: (p * x**2).sum()))(X)
    assert g.tolist() == (4 * X).tolist() and g.requires_grad
    g.sum().backward()
    assert p.grad.item() == 30
    assert not vmap(grad(lambda x: (x**2).sum()))(X).requires_grad


def test_gradients_of_tensors_of_outside():
    x = torch.randn(3, requires_grad=True)
    y = x**2
    rows = vmap(lambda v: torch.autograd.grad(y, x, v, retain_graph=True)[0])(torch.eye(3))
    assert same(rows, torch.diag(2 * x.detach()))


def test_gradients_of_each_sample():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.LayerNorm(8), torch.nn.Linear(8, 3))
    parameters = {k: p.detach() for k, p in model.named_parameters()}
    x, y = torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0])

    def loss(p, x, y):
        return torch.nn.functional.cross_entropy(functional_call(model, p, (x.unsqueeze(0),)), y.unsqueeze(0))

    found = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, y)
    for b in range(5):
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(x[b : b + 1]), y[b : b + 1]).backward()
        for k, p in model.named_parameters():
            assert same(found[k][b], p.grad), k


def test_an_ensemble():
    models = [torch.nn.Linear(2, 3) for _ in range(4)]
    parameters, buffers = stack_module_state(models)
    x = torch.randn(5, 2)
    got = vmap(lambda p, b: functional_call(models[0], (p, b), (x,)))(parameters, buffers)
    assert same(got, torch.stack([m(x) for m in models]))


# --- errors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda: vmap(torch.sin, in_dims="a")(X), ValueError),
        (lambda: vmap(torch.sin, in_dims=None)(X), ValueError),
        (lambda: vmap(torch.sin, in_dims=2)(X), ValueError),
        (lambda: vmap(torch.sin, in_dims=(0, 0))(X), ValueError),
        (lambda: vmap(torch.sin, in_dims=(None,))(X), ValueError),
        (lambda: vmap(torch.sin)(1.0), ValueError),
        (lambda: vmap(torch.sin)(torch.tensor(1.0)), ValueError),
        (lambda: vmap(torch.sin)(), ValueError),
        (lambda: vmap(torch.add)(X, torch.ones(3)), ValueError),
        (lambda: vmap(lambda x: 1.0)(X), ValueError),
        (lambda: vmap(torch.sin, out_dims="a")(X), ValueError),
        (lambda: vmap(torch.sin, out_dims=(0, 0))(X), ValueError),
        (lambda: vmap(torch.sin, out_dims=None)(X), ValueError),
        (lambda: vmap(torch.sin, out_dims=3)(X), IndexError),
        (lambda: vmap(torch.sin, randomness="no")(X), RuntimeError),
        (lambda: vmap(torch.sin, chunk_size=0)(X), ValueError),
        (lambda: vmap(lambda x: x.sum().backward())(X), RuntimeError),
        (lambda: vmap(lambda x: x @ torch.ones(4))(X), RuntimeError),
    ],
)
def test_errors(call, error):
    with pytest.raises(error):
        call()


# --- autograd.Function --------------------------------------------------------------------------------------------------


class Sine(torch.autograd.Function):
    """x, w -> sin(x) w, with a gradient that is twice as large as it should be, to be recognised."""

    @staticmethod
    def forward(x, w):
        return x.sin() * w

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return 2 * g * x.cos() * w, (2 * g * x.sin()).sum()


class Seen(Sine):
    """A Function with a vmap of its own."""

    seen = []

    @staticmethod
    def vmap(info, in_dims, x, w):
        Seen.seen.append((info.batch_size, info.randomness, in_dims, tuple(x.shape)))
        return Sine.apply(x, w), 0


@pytest.mark.parametrize("function", [Sine, Seen])
def test_functions(function):
    w = torch.tensor(3.0, requires_grad=True)

    def f(x):
        return function.apply(x, w).sum()

    assert same(vmap(grad(f))(X), 6 * X.cos())
    x = X.clone().requires_grad_()
    gx, gw = torch.autograd.grad(vmap(f)(x).sum(), (x, w))
    assert same(gx, 6 * X.cos()) and same(gw, 2 * X.sin().sum())
    assert same(jacrev(vmap(f))(X)[0, 0], 6 * X[0].cos())
    if function is Seen:
        assert set(Seen.seen) == {(2, "error", (0, None), (2, 3))}


def test_what_a_tensor_stands_for():
    seen = []

    def f(x):
        seen.append((torch.func.debug_unwrap(x).shape, torch.func.debug_unwrap(x, recurse=False).shape))
        return x

    vmap(vmap(f))(X)
    assert seen == [((2, 3), (3,))]
    assert torch.func.debug_unwrap(X) is X
