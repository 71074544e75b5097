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
