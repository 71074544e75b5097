"""Sparse tensors, and the gradients of embeddings that come as such: everything against its dense counterpart."""

import copy

import pytest

import tenfold as torch
from tenfold.nn import functional as F

INDICES = [[0, 2], [2, 5]]


@pytest.fixture
def table():
    return torch.nn.Parameter(torch.arange(12.0).reshape(6, 2))


def gradient(table, sparse, **options):
    table.grad = None
    (F.embedding(torch.tensor(INDICES), table, sparse=sparse, **options) ** 2).sum().backward()
    return table.grad


@pytest.mark.parametrize("padding", [None, 2, -1])
def test_the_gradient_is_that_of_a_dense_embedding(table, padding):
    dense = gradient(table, False, padding_idx=padding)
    sparse = gradient(table, True, padding_idx=padding)
    assert sparse.is_sparse
    assert sparse.layout is torch.sparse_coo
    assert (sparse.shape, sparse.dtype) == (dense.shape, dense.dtype)
    assert sparse.to_dense().tolist() == dense.tolist()


def test_only_rows_that_were_looked_up_are_stored(table):
    grad = gradient(table, True)
    assert grad._nnz() == 4
    assert grad._indices().tolist() == [[0, 2, 2, 5]]
    rows = grad.coalesce()
    assert rows.indices().tolist() == [[0, 2, 5]]
    assert rows.values().tolist() == [[0.0, 2.0], [16.0, 20.0], [20.0, 22.0]]
    assert rows.coalesce() is rows


def test_parts_need_a_coalesced_tensor(table):
    with pytest.raises(RuntimeError, match="uncoalesced"):
        gradient(table, True).values()
    with pytest.raises(RuntimeError, match="sparse"):
        torch.ones(2).coalesce()


def test_two_gradients_add_up(table):
    once = gradient(table, True).to_dense()
    F.embedding(torch.tensor([1, 1]), table, sparse=True).sum().backward()
    assert table.grad.is_sparse
    assert table.grad.to_dense().tolist() == (once + torch.tensor([[0.0], [2.0], [0.0], [0.0], [0.0], [0.0]])).tolist()


@pytest.mark.parametrize("sparse_first", [True, False])
def test_with_a_dense_gradient_the_sum_is_dense(table, sparse_first):
    for sparse in (sparse_first, not sparse_first):
        loss = F.embedding(torch.tensor([1, 1]), table, sparse=True).sum() if sparse else table.sum()
        loss.backward()
    assert not table.grad.is_sparse
    assert table.grad.tolist() == [[1.0] * 2, [3.0] * 2, *[[1.0] * 2] * 4]


def test_two_uses_in_one_program(table):
    index = torch.tensor([0, 3])
    (F.embedding(index, table, sparse=True).sum() + F.embedding(index, table, sparse=True).sum()).backward()
    assert table.grad._nnz() == 4
    assert table.grad.coalesce().values().tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_grad_returns_it(table):
    (given,) = torch.autograd.grad(F.embedding(torch.tensor([3]), table, sparse=True).sum(), table)
    assert given.is_sparse
    assert table.grad is None


def test_arithmetic(table):
    grad = gradient(table, True)
    dense = grad.to_dense()
    for sparse, same in (
        (grad * 2, dense * 2),
        (-grad, -dense),
        (grad / 4, dense / 4),
        (grad + grad, dense + dense),
        (torch.ones(6, 2) + grad, dense + 1),
        (grad.double(), dense.double()),
        (grad.clone().mul_(3), dense * 3),
        (copy.deepcopy(grad), dense),
    ):
        assert sparse.to_dense().tolist() == same.tolist()
        assert sparse.dtype is same.dtype


def test_what_is_not_defined_says_so(table):
    grad = gradient(table, True)
    for f in (torch.exp, torch.sort, torch.Tensor.item, torch.Tensor.tolist, lambda g: g[0:1]):
        with pytest.raises((NotImplementedError, RuntimeError), match=r"sparse|one element"):
            f(grad)
    with pytest.raises(TypeError, match="numpy"):
        grad.numpy()
    with pytest.raises(RuntimeError, match="add"):
        grad + torch.ones(6, 2)


def test_zeroed_it_is_empty(table):
    gradient(table, True).zero_()
    assert table.grad._nnz() == 0
    assert not table.grad.to_dense().any()


def test_text(table):
    expected = """\
tensor(indices=tensor([[0, 2, 5]]),
       values=tensor([[ 0.,  2.],
                      [16., 20.],
                      [20., 22.]]),
       size=(6, 2), nnz=3, layout=torch.sparse_coo)"""
    assert repr(gradient(table, True).coalesce()) == expected
    assert "nnz=4, dtype=torch.float64, layout" in repr(gradient(table, True).double())


def test_made_from_coordinates():
    t = torch.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 4))
    assert (t.sparse_dim(), t.dense_dim(), t.dim()) == (2, 0, 2)
    assert t.to_dense().tolist() == [[0.0, 0.0, 3.0, 0.0], [4.0, 0.0, 5.0, 0.0]]
    assert torch.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0]).shape == (2, 3)
    assert torch.sparse_coo_tensor([[1, 1]], [3.0, 4.0]).coalesce().values().tolist() == [7.0]


@pytest.mark.parametrize(
    ("indices", "values", "size"),
    [([[0, 7]], [1.0, 2.0], (2,)), ([[0, -1]], [1.0, 2.0], (2,)), ([[0]], [1.0, 2.0], (2,)), ([[0]], [1.0], (2, 3))],
)
def test_coordinates_that_do_not_fit(indices, values, size):
    with pytest.raises(RuntimeError, match="ind"):
        torch.sparse_coo_tensor(indices, values, size)


def test_frequencies_are_refused(table):
    with pytest.raises(RuntimeError, match="scale_grad_by_freq"):
        gradient(table, True, scale_grad_by_freq=True)


@pytest.mark.parametrize("mode", ["sum", "mean"])
@pytest.mark.parametrize("padding", [None, 2])
def test_bags(table, mode, padding):
    given = []
    for sparse in (False, True):
        table.grad = None
        bags = F.embedding_bag(
            torch.tensor([0, 2, 2, 5]), table, torch.tensor([0, 3]), mode=mode, sparse=sparse, padding_idx=padding
        )
        (bags**2).sum().backward()
        assert table.grad.is_sparse is sparse
        given.append((bags.tolist(), table.grad.to_dense().tolist()))
    assert given[0] == given[1]


def test_bags_of_maxima_have_none(table):
    with pytest.raises(ValueError, match="max mode"):
        F.embedding_bag(torch.tensor([[0, 2]]), table, mode="max", sparse=True)


@pytest.mark.parametrize("weights_only", [True, False])
def test_saved_and_loaded(weights_only, tmp_path):
    square = torch.eye(4)
    there = {
        "coo": torch.sparse_coo_tensor([[0, 1, 0], [1, 0, 1]], [1.0, 2, 3], (2, 2)), "csr": square.to_sparse_csr(),
        "csc": square.double().to_sparse_csc(), "bsr": square.to_sparse_bsr((2, 2)), "layout": torch.sparse_csr,
    }  # fmt: skip
    torch.save(there, tmp_path / "sparse.pt")
    back = torch.load(tmp_path / "sparse.pt", weights_only=weights_only)
    assert back.pop("layout") is there.pop("layout")
    for name, t in there.items():
        assert back[name].layout is t.layout
        assert back[name]._nnz() == t._nnz()
        assert back[name].dtype is t.dtype
        assert back[name].to_dense().tolist() == t.to_dense().tolist()
    with pytest.raises(NotImplementedError, match="nested"):
        torch.save(torch.nested.nested_tensor([torch.ones(2)]), tmp_path / "nested.pt")
