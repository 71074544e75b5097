"""Forward mode: dual tensors, against derivatives worked out by hand."""

import pytest

import tenfold as torch
from tenfold.autograd import forward_ad as fwd

X = torch.tensor([1.0, 2.0, 3.0])
T = torch.tensor([1.0, 0.0, -1.0])


def test_tangents():
    with fwd.dual_level():
        x = fwd.make_dual(X, T)
        y = x**2 + fwd.make_dual(X, X)
        primal, tangent = fwd.unpack_dual(y)
        assert primal.tolist() == (X**2 + X).tolist() and tangent.tolist() == (2 * X * T + X).tolist()
        assert not primal.requires_grad and not tangent.requires_grad
        assert fwd.unpack_dual(x).tangent.tolist() == T.tolist()
        assert fwd.unpack_dual(X).tangent is None and fwd.unpack_dual(y.detach()).tangent is None
        assert fwd.unpack_dual(x > 1).tangent is None
        x.mul_(3)
        assert fwd.unpack_dual(x).tangent.tolist() == (3 * T).tolist()
    assert fwd.unpack_dual(y).tangent is None


def test_under_no_grad():
    with torch.no_grad():
        with fwd.dual_level():
            assert fwd.unpack_dual(fwd.make_dual(X, T).exp()).tangent.tolist() == (X.exp() * T).tolist()
        assert not torch.is_grad_enabled()


def test_gradients_of_tangents():
    x = X.clone().requires_grad_()
    with fwd.dual_level():
        tangent = fwd.unpack_dual(fwd.make_dual(x, T) ** 3).tangent
        assert tangent.requires_grad
        assert torch.autograd.grad(tangent.sum(), x)[0].tolist() == (6 * X * T).tolist()
    t = T.clone().requires_grad_()
    with fwd.dual_level():
        tangent = fwd.unpack_dual(fwd.make_dual(X, t) ** 2).tangent
        assert torch.autograd.grad(tangent.sum(), t)[0].tolist() == (2 * X).tolist()


def test_parameters_of_a_module():
    model = torch.nn.Linear(3, 1)
    with fwd.dual_level():
        for name, p in list(model.named_parameters()):
            delattr(model, name)
            setattr(model, name, fwd.make_dual(p, torch.ones_like(p)))
        assert fwd.unpack_dual(model(X)).tangent.tolist() == [7]


def test_what_is_refused():
    with pytest.raises(RuntimeError, match="no level"):
        fwd.make_dual(X, T)
    with pytest.raises(RuntimeError):
        fwd.exit_dual_level()
    with fwd.dual_level():
        with pytest.raises(RuntimeError, match="Nested"):
            fwd.enter_dual_level()
        with pytest.raises(RuntimeError, match="size"):
            fwd.make_dual(X, T[:2])
        with pytest.raises(ValueError):
            fwd.make_dual(X.long(), T)
        with pytest.raises(ValueError):
            fwd.make_dual(X, T.long())
        with pytest.raises(RuntimeError, match="already"):
            fwd.make_dual(fwd.make_dual(X, T), T)
        with pytest.raises(RuntimeError, match="level 1"):
            fwd.make_dual(X, T, level=1)


def test_many_cotangents_at_once():
    x = X.clone().requires_grad_()
    y = x**2
    assert torch.autograd.grad(y, x, torch.eye(3), retain_graph=True, is_grads_batched=True)[0].tolist() == (
        torch.diag(2 * X).tolist()
    )
    with pytest.raises(RuntimeError, match="is_grads_batched"):
        torch.autograd.grad(y, x, torch.eye(2), is_grads_batched=True)
    for vectorize in (False, True):
        found = torch.autograd.functional.jacobian(lambda a, b: (a * b, b.sum()), (X, T), vectorize=vectorize)
        assert found[0][0].tolist() == torch.diag(T).tolist() and found[1][1].tolist() == [1, 1, 1]
        assert found[1][0].tolist() == [0, 0, 0]
    with pytest.raises(RuntimeError, match="strict"):
        torch.autograd.functional.jacobian(torch.sin, X, strict=True, vectorize=True)
