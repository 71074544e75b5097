"""Jacobians, Hessians and products with vectors, against derivatives worked out by hand."""

import pytest

import tenfold as torch
from tenfold.autograd import functional as F

X = torch.tensor([1.0, 2.0, 3.0])
V = torch.tensor([1.0, -1.0, 2.0])


def cubes(x):
    return (x**3).sum()


def mixed(a, b):
    return (a**2).sum() * b.sum()


def test_jacobian_of_squares_is_diagonal():
    assert F.jacobian(lambda x: x**2, X).tolist() == [[2, 0, 0], [0, 4, 0], [0, 0, 6]]


def test_jacobian_has_a_block_for_each_output_and_input():
    found = F.jacobian(lambda a, b: (a * b, b.sum()), (X, V))
    assert [[tuple(t.shape) for t in row] for row in found] == [[(3, 3), (3, 3)], [(3,), (3,)]]
    assert found[0][0].diagonal().tolist() == V.tolist()
    assert found[1][0].tolist() == [0, 0, 0]


def test_hessian_of_cubes():
    assert F.hessian(cubes, X).tolist() == [[6, 0, 0], [0, 12, 0], [0, 0, 18]]


def test_hessian_through_an_expanded_gradient():
    """b.sum() has a gradient whose elements share memory; each still counts once."""
    b = torch.ones(2, 2)
    (aa, ab), (ba, bb) = F.hessian(mixed, (X, b))
    assert aa.diagonal().tolist() == [8, 8, 8]
    assert ab.tolist() == [[[2 * x] * 2] * 2 for x in X.tolist()]
    assert ba.tolist() == [[[2, 4, 6]] * 2] * 2
    assert bb.count_nonzero().item() == 0


def test_products_with_vectors():
    assert F.vjp(lambda x: x**2, X, V)[1].tolist() == [2, -4, 12]
    assert F.jvp(cubes, X, V)[1].item() == 3 - 12 + 54
    assert F.vhp(cubes, X, V)[1].tolist() == [6, -12, 36]
    assert F.hvp(cubes, X, V)[1].tolist() == [6, -12, 36]


def test_create_graph_goes_on():
    x = X.clone().requires_grad_()
    F.jacobian(lambda t: t**2, x, create_graph=True).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


def test_strict_refuses_what_does_not_depend():
    with pytest.raises(RuntimeError, match="independent of input 1"):
        F.jacobian(lambda a, b: a * 1.0, (X, V), strict=True)
    assert F.jacobian(lambda a, b: a * 1.0, (X, V))[1].tolist() == [[0] * 3] * 3


def test_vectors_must_fit():
    with pytest.raises(RuntimeError, match="invalid size"):
        F.vjp(lambda x: x**2, X, torch.ones(2))
    with pytest.raises(RuntimeError, match="can only be None"):
        F.jvp(cubes, X)
