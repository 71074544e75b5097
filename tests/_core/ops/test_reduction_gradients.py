"""First and second gradients of reductions and decompositions against differences."""

import copy
import pickle

import numpy as np
import pytest

import tenfold as torch
from tenfold.autograd import gradcheck, gradgradcheck

CASES = {
    "prod": lambda x: x.prod(1),
    "prod of all": lambda x: x.prod(),
    "cumprod": lambda x: x.cumprod(0),
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "logsumexp": lambda x: x.logsumexp(0),
    "std": lambda x: x.std(1),
    "var over two dims": lambda x: x.var((0, 1), correction=0),
    "norm": lambda x: x.norm(),
    "3-norm": lambda x: x.norm(3, 1),
    "sort": lambda x: x.sort(0).values,
    "quantile": lambda x: x.quantile(0.3, 1),
    "inverse": lambda x: torch.linalg.inv(x),
    "determinant": lambda x: torch.linalg.det(x),
    "slogdet": lambda x: torch.linalg.slogdet(x).logabsdet,
    "solve": lambda x: torch.linalg.solve(x, x.t()),
    "cholesky": lambda x: torch.linalg.cholesky(x @ x.t()),
    "qr": lambda x: torch.linalg.qr(x).R,
    "svdvals": lambda x: torch.linalg.svdvals(x),
    "eigvalsh": lambda x: torch.linalg.eigvalsh(x + x.t()),
    "matrix_exp": lambda x: torch.linalg.matrix_exp(x),
    "pinv": lambda x: torch.linalg.pinv(x[:, :2]),
}


def matrix():
    return torch.tensor([[1.5, -0.4, 0.3], [0.2, -1.1, 0.7], [-0.6, 0.5, 2.0]], dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    assert gradcheck(CASES[name], (matrix(),))


@pytest.mark.parametrize("name", CASES)
def test_second_gradients(name):
    assert gradgradcheck(CASES[name], (matrix(),))


@pytest.mark.parametrize("row", [[2.0, 0, 3, 4], [0.0, 2, 0, 3], [0.0, 0, 0, 1]])
def test_products_with_zeros(row):
    """The derivative for each factor is the product of the others, whether some are zero or not."""
    x = torch.tensor(row, requires_grad=True)
    x.prod().backward()
    expected = [torch.tensor(row[:i] + row[i + 1 :]).prod().item() for i in range(len(row))]
    assert x.grad.tolist() == expected


def test_determinant_of_a_singular_matrix_has_a_gradient():
    x = torch.tensor([[1.0, 2], [2, 4]], dtype=torch.float64, requires_grad=True)
    torch.linalg.det(x).backward()
    assert torch.allclose(x.grad, torch.tensor([[4.0, -2], [-2, 1]], dtype=torch.float64))


@pytest.mark.parametrize("dim", [0, 1])
def test_sums_are_accurate_along_every_dim(dim):
    """100 000 times 0.1 in single precision: naive addition would be off in the fourth digit."""
    shape = (100_000, 3) if dim == 0 else (3, 100_000)
    total = torch.full(shape, 0.1).sum(dim)
    assert torch.allclose(total, torch.full((3,), 10_000.0), rtol=2e-6)


def test_named_results_are_tuples_that_can_be_copied():
    found = torch.tensor([[1.0, 3.0, 2.0]]).max(1)
    assert repr(found) == "torch.return_types.max(\nvalues=tensor([3.]),\nindices=tensor([1]))"
    values, indices = found
    assert values is found.values and indices is found.indices
    for other in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert type(other) is type(found) and other.indices.tolist() == [1]


def test_hash_tensor_is_the_exclusive_or_of_wide_bits():
    bits = np.array([1.5, -2, 3]).view(np.uint64)
    assert torch.hash_tensor(torch.tensor([1.5, -2, 3])).item() == int(bits[0] ^ bits[1] ^ bits[2])
    x = torch.arange(6).reshape(2, 3)
    assert torch.hash_tensor(x, 1).tolist() == [0 ^ 1 ^ 2, 3 ^ 4 ^ 5]
    assert torch.hash_tensor(x, 0, keepdim=True).tolist() == [[3, 5, 7]]
    assert torch.hash_tensor(torch.tensor([-1], dtype=torch.int8)).item() == 2**64 - 1
    for bad, kind in (
        (lambda: torch.hash_tensor(x, mode=1), RuntimeError),
        (lambda: torch.hash_tensor(torch.zeros(0)), RuntimeError),
        (lambda: torch.hash_tensor(torch.zeros(0, 2), 0), IndexError),
        (lambda: torch.hash_tensor(x + 0j), NotImplementedError),
    ):
        with pytest.raises(kind):
            bad()


def test_kthvalue_refuses_to_write_over_what_it_reads():
    x = torch.randn(6)
    with pytest.raises(RuntimeError, match="single memory location"):
        torch.kthvalue(x, 2, out=(x[:1].reshape(()), torch.tensor(0)))
