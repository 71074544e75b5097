"""Cholesky factors of matrices that are not positive definite, and gradients for factors; the numbers are PyTorch's."""

import numpy as np
import pytest

import tenfold as torch

MATRICES = torch.tensor(
    [
        [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[-1.0, 0, 0], [0, -1, 0], [0, 0, -1]],
        [[4.0, 2, 0], [2, 1, 1], [0, 1, 3]],
        [[4.0, 2, 0], [2, 5, 1], [0, 1, -3]],
        [[float("nan"), 2, 0], [2, 5, 1], [0, 1, 3]],
    ]
)


def test_info_is_the_order_of_the_first_minor_that_is_not_positive():
    L, info = torch.linalg.cholesky_ex(MATRICES)
    assert (info.dtype, info.tolist()) == (torch.int32, [0, 1, 2, 3, 1])
    assert L[2].tolist() == [[2, 0, 0], [1, 0, 0], [0, 1, 3]]
    assert L[3].tolist() == [[2, 0, 0], [1, 2, 0], [0, 0.5, -3.25]]
    U = torch.linalg.cholesky_ex(MATRICES[3], upper=True).L
    assert U.tolist() == [[2, 1, 0], [0, 2, 0.5], [0, 0, -3.25]]


def test_infinite_matrices_have_no_factor():
    A = torch.full((2, 2), float("inf"))
    assert torch.linalg.cholesky_ex(A).info.item() == 2
    assert torch.linalg.cholesky(A[:1, :1]).item() == float("inf")
    with pytest.raises(torch.linalg.LinAlgError, match="order 2"):
        torch.linalg.cholesky(A).tolist()


def test_no_matrices_have_no_info():
    assert torch.linalg.cholesky_ex(torch.zeros(0, 3, 3)).info.shape == (0,)
    assert torch.linalg.cholesky_ex(torch.zeros(2, 0, 0)).info.tolist() == [0, 0]


@pytest.mark.parametrize("factor", [torch.linalg.cholesky, lambda A: torch.linalg.cholesky_ex(A, check_errors=True).L])
def test_what_is_not_positive_definite_raises(factor):
    with pytest.raises(torch.linalg.LinAlgError, match=r"Batch element 1.*leading minor of order 1"):
        factor(MATRICES).tolist()
    with pytest.raises(torch.linalg.LinAlgError, match="leading minor of order 1"):
        factor(MATRICES[4]).tolist()


@pytest.mark.parametrize("upper", [False, True])
def test_gradients_for_a_factor_are_those_of_the_whole_product(upper):
    L = torch.tensor([[2.0, 0, 0], [0.5, 3, 0], [-1, 0.25, 1.5]], dtype=torch.float64)
    L = (L.T.contiguous() if upper else L).requires_grad_()
    B = torch.tensor([[1.0, 2], [3, 4], [5, 6]], dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[1.0, -1], [2, 0.5], [0, 3]], dtype=torch.float64)
    product = L.T @ L if upper else L @ L.T
    for f, g in (
        (lambda: torch.cholesky_solve(B, L, upper), lambda: torch.linalg.solve(product, B)),
        (lambda: torch.cholesky_inverse(L, upper) @ B, lambda: torch.linalg.inv(product) @ B),
    ):
        ours = torch.autograd.grad((f() * weights).sum(), [L, B])
        theirs = torch.autograd.grad((g() * weights).sum(), [L, B], retain_graph=True)
        for a, b in zip(ours, theirs):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-12)
