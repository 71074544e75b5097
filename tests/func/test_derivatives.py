"""tenfold.func: transforms of functions, against derivatives worked out by hand."""

import pytest

import tenfold as torch
from tenfold import func

X = torch.tensor([1.0, 2.0, 3.0])


def cubes(x):
    return (x**3).sum()


def test_grad_and_value():
    g, value = func.grad_and_value(cubes)(X)
    assert g.tolist() == [3, 12, 27] and value.item() == 36
    assert not g.requires_grad and not value.requires_grad


def test_grad_of_grad():
    assert func.grad(func.grad(lambda x: x**3))(torch.tensor(2.0)).item() == 12


def test_grad_of_nested_arguments_and_aux():
    g, aux = func.grad(lambda d: ((d["a"] ** 2).sum() + d["b"].sum(), d["a"] + 1), has_aux=True)({"a": X, "b": X})
    assert g["a"].tolist() == [2, 4, 6] and g["b"].tolist() == [1, 1, 1]
    assert aux.tolist() == [2, 3, 4]


def test_jacobians_and_hessian():
    assert func.jacrev(lambda x: x**2)(X).diagonal().tolist() == [2, 4, 6]
    assert func.jacfwd(lambda a, b: a * b, argnums=1)(X, X + 1).diagonal().tolist() == [1, 2, 3]
    assert func.hessian(cubes)(X).diagonal().tolist() == [6, 12, 18]


def test_products():
    out, product = func.vjp(lambda a, b: (a * b, a.sum()), X, X + 1)
    assert [t.tolist() for t in product((torch.ones(3), torch.tensor(2.0)))] == [[4, 5, 6], [1, 2, 3]]
    assert out[1].item() == 6
    assert func.jvp(lambda x: x**2, (X,), (torch.ones(3),))[1].tolist() == [2, 4, 6]


def test_gradients_of_a_module():
    model = torch.nn.Linear(3, 1)
    found = func.grad(lambda p: func.functional_call(model, p, (X,)).sum())(dict(model.named_parameters()))
    assert found["weight"].tolist() == [[1, 2, 3]] and found["bias"].tolist() == [1]


def test_stacked_models():
    parameters, buffers = func.stack_module_state([torch.nn.Linear(2, 1) for _ in range(3)])
    assert parameters["weight"].shape == (3, 1, 2) and not buffers


def test_what_is_refused():
    with pytest.raises(RuntimeError, match="scalar"):
        func.grad(lambda x: x * 2)(X)
    with pytest.raises(ValueError, match="must be Tensor"):
        func.grad(cubes)(3.0)
    with pytest.raises(RuntimeError, match="argnum=2"):
        func.grad(cubes, argnums=2)(X)


@pytest.mark.parametrize("transform", [func.jacrev, func.jacfwd, func.hessian])
def test_jacobians_are_real(transform):
    with pytest.raises(RuntimeError, match="real"):
        transform(lambda x: x.abs().sum())(X + 1j)
    with pytest.raises(RuntimeError, match="real"):
        (transform if transform is not func.hessian else func.jacrev)(lambda x: torch.complex(x, x))(X)


def test_linearize():
    value, product = func.linearize(lambda a, b: {"p": a * b, "s": b.sum()}, X, X + 1)
    assert value["p"].tolist() == [2, 6, 12]
    for t in (torch.ones(3), X):
        got = product(t, 2 * t)
        assert got["p"].tolist() == (t * (X + 1) + X * 2 * t).tolist() and got["s"].item() == 2 * t.sum().item()
    with pytest.raises(RuntimeError, match="nested"):
        product(X)
    with pytest.raises(RuntimeError, match="shape"):
        product(X, torch.ones(2))


def test_jvp_of_several():
    out, tangent = func.jvp(lambda d: (d["a"] * d["b"], d["a"].long()), ({"a": X, "b": X},), ({"a": X, "b": X},))
    assert out[0].tolist() == [1, 4, 9] and tangent[0].tolist() == [2, 8, 18] and tangent[1].tolist() == [0, 0, 0]
    with pytest.raises(RuntimeError, match="depends"):
        func.jvp(lambda x: torch.ones(2), (X,), (X,), strict=True)
    with pytest.raises(RuntimeError, match="tuple"):
        func.jvp(cubes, X, X)
    with pytest.raises(RuntimeError, match="size"):
        func.jvp(cubes, (X,), (torch.ones(2),))


def test_histories():
    x = X.clone().requires_grad_()
    assert func.grad(cubes)(x).requires_grad and not func.grad(cubes)(X).requires_grad
    with torch.no_grad():
        assert func.grad(cubes)(x).tolist() == [3, 12, 27] and not func.grad(cubes)(x).requires_grad
    stopped = func.grad(lambda v: (v * (v * 2).detach()).sum())(X)
    assert stopped.tolist() == (2 * X).tolist()
    assert func.functionalize(cubes, remove="mutations_and_views")(X).item() == 36
    with pytest.raises(RuntimeError, match="remove"):
        func.functionalize(cubes, remove="all")
    with pytest.raises(RuntimeError, match="unique"):
        func.grad(lambda a, b: a.sum(), argnums=(0, -2))(X, X)


def test_batch_norms_without_statistics():
    model = func.replace_all_batch_norm_modules_(torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1)))
    assert model[0].running_mean is None and not list(model.buffers())
    assert torch.vmap(model)(torch.randn(2, 4, 3)).shape == (2, 4, 1)
