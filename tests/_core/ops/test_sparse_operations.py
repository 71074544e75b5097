"""Sparse tensors in all layouts against their dense counterparts: values, what is stored, gradients, errors."""

import copy
import pickle

import numpy as np
import pytest

import tenfold as torch

PLACES = [[0, 1, 1, 0, 2], [2, 0, 2, 2, 1]]  # (0, 2) twice
COMPRESSED = ("sparse_csr", "sparse_csc")
BLOCKS = ("sparse_bsr", "sparse_bsc")


def random(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape))


def matrix(coalesced=False):
    s = torch.sparse_coo_tensor(PLACES, random(5), (3, 4))
    return s.coalesce() if coalesced else s


def holes(*shape, seed=0):
    return random(*shape, seed=seed) * torch.tensor(np.random.default_rng(seed + 1).random(shape) < 0.5)


def same(found, expected):
    found = found.to_dense() if found.layout is not torch.strided else found
    assert found.dtype is expected.dtype
    assert found.shape == expected.shape
    assert np.allclose(found.detach().numpy(), expected.detach().numpy())


# --- layouts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*COMPRESSED, *BLOCKS])
def test_every_layout_there_and_back(kind):
    dense = holes(4, 6)
    layout, how = getattr(torch, kind), {"blocksize": (2, 3)} if kind in BLOCKS else {}
    for start in (dense, dense.to_sparse(), dense.to_sparse_csr()):
        s = start.to_sparse(layout=layout, **how)
        assert s.layout is layout
        assert s.is_sparse_csr is (kind == "sparse_csr")
        same(s, dense)
        same(s.t(), dense.t())
        same(s.to_sparse_coo(), dense)
        assert s._nnz() == s.values().shape[0]
        same(pickle.loads(pickle.dumps(s)), dense)
    again = getattr(s, f"to_{kind}")(*how.values())
    assert again is s


def test_parts_of_compressed_rows_and_columns():
    dense = torch.tensor([[0.0, 0, 3], [4, 0, 5]])
    rows, columns = dense.to_sparse_csr(), dense.to_sparse_csc()
    assert rows.crow_indices().tolist() == [0, 1, 3]
    assert rows.col_indices().tolist() == [2, 0, 2]
    assert rows.values().tolist() == [3, 4, 5]
    assert columns.ccol_indices().tolist() == [0, 1, 1, 3]
    assert columns.row_indices().tolist() == [1, 0, 1]
    assert columns.values().tolist() == [4, 3, 5]
    for s, name in ((rows, "ccol_indices"), (columns, "col_indices"), (dense, "crow_indices"), (rows, "indices")):
        with pytest.raises(RuntimeError, match=f"{name} expected sparse"):
            getattr(s, name)()
    unordered = torch.sparse_csr_tensor([0, 2, 3], [2, 0, 1], [1.0, 2, 3], (2, 3))
    assert unordered.to_dense().tolist() == [[2, 0, 1], [0, 3, 0]]


def test_dense_dims_stay_with_the_elements():
    dense = holes(3, 4, 2)
    s = dense.to_sparse(2)
    assert (s.sparse_dim(), s.dense_dim()) == (2, 1)
    same(s, dense)
    same(dense.to_sparse_csr(dense_dim=1), dense)
    same(torch.sparse.sum(s, 2), dense.sum(2))
    same(torch.sparse.sum(s, (0, 2)), dense.sum((0, 2)))
    same(s.select(2, 1), dense.select(2, 1))
    assert torch.tensor(2.0).to_sparse().to_dense().item() == 2
    assert torch.sparse_coo_tensor((2, 3)).to_dense().tolist() == [[0.0] * 3] * 2


REFUSED = [
    (lambda: torch.sparse_csr_tensor([1, 1, 3], [2, 0, 2], [1.0, 2, 3], (2, 3)), "== 0"),
    (lambda: torch.sparse_csr_tensor([0, 1, 2], [2, 0, 2], [1.0, 2, 3], (2, 3)), "== nnz"),
    (lambda: torch.sparse_csr_tensor([0, 3, 1, 3], [2, 0, 2], [1.0, 2, 3], (3, 3)), "<="),
    (lambda: torch.sparse_csr_tensor([0, 1, 3], [2, 0, 3], [1.0, 2, 3], (2, 3)), "col_indices < 3"),
    (lambda: torch.sparse_csr_tensor([0, 1, 3], [2, 0, -1], [1.0, 2, 3], (2, 3)), "col_indices < 3"),
    (lambda: torch.sparse_csr_tensor([0, 1, 3], [2, 0], [1.0, 2, 3], (2, 3)), "values"),
    (lambda: torch.sparse_csr_tensor([0.0, 1, 3], [2, 0, 1], [1.0, 2, 3], (2, 3)), "integers"),
    (lambda: torch.sparse_csr_tensor([0, 2, 3], [2, 0, 1], [1.0, 2, 3], (2, 3), check_invariants=True), "sorted"),
    (lambda: torch.sparse_bsr_tensor([0, 1, 2], [0, 1], torch.ones(2, 2, 2), (4, 5)), "block size"),
    (lambda: torch.sparse_compressed_tensor([0, 1], [0], [1.0], (1, 1)), "layout"),
    (lambda: torch.sparse_coo_tensor([[0, 1], [1, 3]], [1.0, 2], (2, 3)), "found index 3"),
    (lambda: torch.sparse_coo_tensor([[0, -1], [1, 2]], [1.0, 2], (2, 3)), "negative index"),
    (lambda: torch.sparse_coo_tensor([[0, 1], [1, 2]], [1.0, 2, 3], (2, 3)), "nnz"),
    (lambda: torch.sparse_coo_tensor([[0.5, 1], [1, 2]], [1.0, 2], (2, 3)), "integers"),
    (lambda: torch.ones(4, 4).to_sparse(layout=torch.sparse_bsr), "blocksize"),
    (lambda: torch.ones(4, 4).to_sparse_bsr((3, 2)), "divisible"),
    (lambda: torch.ones(2, 3).to_sparse(5), "sparse_dim"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_parts_that_do_not_fit_are_refused(number):
    make, text = REFUSED[number]
    with pytest.raises(RuntimeError, match=text):
        make()


def test_the_order_is_checked_where_asked_for():
    parts = [0, 2, 3], [2, 0, 1], [1.0, 2, 3], (2, 3)
    check = torch.sparse.check_sparse_tensor_invariants
    with check(), pytest.raises(RuntimeError, match="sorted"):
        torch.sparse_csr_tensor(*parts)
    assert not check.is_enabled()
    with pytest.raises(RuntimeError, match="sorted"):
        check()(torch.sparse_csr_tensor)(*parts)
    torch.sparse_csr_tensor(*parts)


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["abs", "relu", "sin", "tanh", "sign", "floor", "expm1", "square", "neg", "isnan"])
def test_functions_that_leave_zeros_zero(name):
    f = getattr(torch, name)
    for s in (matrix(), matrix().to_sparse_csr()):
        found = f(s)
        assert found.layout is s.layout
        same(found, f(s.to_dense()))


def test_arithmetic():
    s, other, dense = matrix(), holes(3, 4, seed=5).to_sparse(), random(3, 4, seed=3)
    for a, b in ((s, other), (s.to_sparse_csr(), other.to_sparse_csr()), (s.coalesce(), s)):
        same(a + b, a.to_dense() + b.to_dense())
        same(a - b, a.to_dense() - b.to_dense())
        same(a * b, a.to_dense() * b.to_dense())
        assert (a * b).layout is a.layout
    same(torch.add(s, other, alpha=3), s.to_dense() + 3 * other.to_dense())
    same(dense + s, dense + s.to_dense())
    same(dense - s, dense - s.to_dense())
    for f in (
        lambda x: x * dense,
        lambda x: dense * x,
        lambda x: x * dense[0],
        lambda x: 2 * x,
        lambda x: x / 4,
        lambda x: x**3,
    ):
        same(f(s), f(s.to_dense()))
    changed = s.clone()
    changed.mul_(2).add_(other).neg_()
    changed /= 2
    same(changed, -(2 * s.to_dense() + other.to_dense()) / 2)
    with pytest.raises(RuntimeError, match="add"):
        s + dense
    with pytest.raises(RuntimeError):
        s / dense
    views = (lambda x: x.reshape(4, 3), lambda x: x.view(4, 3), lambda x: torch.squeeze(x), lambda x: x.diagonal())
    for f in (torch.exp, torch.cos, lambda x: x**0, lambda x: x == x, *views):
        with pytest.raises((NotImplementedError, RuntimeError)):
            f(s)


def test_sums_and_norms():
    s = matrix()
    same(s.sum(), s.to_dense().sum())
    same(s.norm(), s.to_dense().norm())
    for dim in (0, 1, (0, 1), -1):
        same(torch.sparse.sum(s, dim), s.to_dense().sum(dim))
    same(s.to_sparse_csr().sum(1, keepdim=True), s.to_dense().sum(1, keepdim=True))
    assert torch.sparse.sum(s.float(), 0, torch.float64).dtype is torch.float64
    assert torch.sparse_coo_tensor([[0]], [2], (3,)).sum().dtype is torch.int64
    with pytest.raises(RuntimeError, match="keepdim"):
        s.to_sparse_csr().sum(1)


@pytest.mark.parametrize("layout", ["sparse_coo", *COMPRESSED])
def test_products(layout):
    s, dense, other = matrix().to_sparse(layout=getattr(torch, layout)), random(4, 2), holes(4, 5).to_sparse()
    d = s.to_dense()
    same(s @ dense, d @ dense)
    same(torch.mm(s, dense), d @ dense)
    same(torch.sparse.mm(s, dense), d @ dense)
    same(torch.mv(s, dense[:, 0]), d @ dense[:, 0])
    same(dense.t() @ s.t(), dense.t() @ d.t())
    same(torch.sparse.mm(s, other), d @ other.to_dense())
    same(torch.sparse.addmm(random(3, 2), s, dense, beta=0.5, alpha=2), 0.5 * random(3, 2) + 2 * d @ dense)
    same(torch.addmm(random(3, 2), s, dense), random(3, 2) + d @ dense)
    same(torch.nn.functional.linear(random(5, 4), s, random(3)), random(5, 4) @ d.t() + random(3))
    same(torch.smm(s, dense), d @ dense)
    same(torch.hspmm(s, dense), d @ dense)
    for name, reduce in (("mean", "mean"), ("amax", "amax"), ("amin", "amin"), ("sum", "sum")):
        full = torch.sparse.mm(s, dense, name)
        rows = [(d[i].unsqueeze(1) * dense)[d[i] != 0] for i in range(3)]
        same(full, torch.stack([getattr(r, reduce)(0) for r in rows])) if layout != "sparse_coo" else None
    with pytest.raises(RuntimeError, match="multiplied"):
        s @ random(3, 2)
    with pytest.raises(RuntimeError, match="dtype"):
        s @ dense.float()


def test_batches_and_sampled_products():
    dense = holes(2, 3, 4)
    same(torch.bmm(dense.to_sparse(), random(2, 4, 5)), torch.bmm(dense, random(2, 4, 5)))
    s, a, b = matrix().to_sparse_csr(), random(3, 6), random(6, 4)
    places = (s.to_dense() != 0).double()
    same(torch.sparse.sampled_addmm(s, a, b, beta=0.5, alpha=2), 0.5 * s.to_dense() + 2 * places * (a @ b))


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax_counts_what_is_not_stored_as_minus_infinity(dim):
    s = matrix(True)
    wide = torch.where(s.to_dense() != 0, s.to_dense(), -torch.inf)
    expected = torch.nan_to_num(wide.softmax(dim))
    same(torch.sparse.softmax(s, dim), expected)
    logarithm = torch.sparse.log_softmax(s, dim).values()
    assert np.allclose(logarithm.exp().numpy(), torch.sparse.softmax(s, dim).values().numpy())


def test_views_selections_and_joins():
    s, d = matrix(), matrix().to_dense()
    same(s.t(), d.t())
    same(torch.transpose(s, 0, 1), d.t())
    same(s.unsqueeze(0), d.unsqueeze(0))
    same(s.unsqueeze(2), d.unsqueeze(2))
    same(s[0], d[0])
    same(s[:, 2], d[:, 2])
    same(s[0, 2], d[0, 2])
    same(s.index_select(1, torch.tensor([2, 2, 0])), d[:, [2, 2, 0]])
    same(torch.index_select(s, 0, torch.tensor([2, 0])), d[[2, 0]])
    for dim in (0, 1):
        same(torch.cat([s, s], dim), torch.cat([d, d], dim))
        same(torch.stack([s, s], dim), torch.stack([d, d], dim))
    same(torch.ones(3, 4, dtype=torch.float64).sparse_mask(s.coalesce()), (d != 0).double())
    diagonals = torch.sparse.spdiags(random(2, 3), torch.tensor([0, -1]), (3, 3))
    same(diagonals, torch.diag(random(2, 3)[0]) + torch.diag(random(2, 3)[1][:2], -1))
    same(copy.deepcopy(s), d)
    for bad in (lambda: s[3], lambda: s.index_select(0, torch.tensor([3])), lambda: s.select(2, 0)):
        with pytest.raises(IndexError):
            bad()


# --- gradients ----------------------------------------------------------------------------------------------------

DIFFERENTIABLE = {
    "to_dense": lambda s, d: s.to_dense(),
    "coalesce": lambda s, d: s.coalesce().values(),
    "mm": lambda s, d: torch.sparse.mm(s, d),
    "mm of compressed rows": lambda s, d: s.to_sparse_csr() @ d,
    "sparse times sparse": lambda s, d: torch.sparse.mm(s, s.t()).to_dense(),
    "times dense": lambda s, d: (s * d.t()[:1, :4]).to_dense(),
    "sum": lambda s, d: torch.sparse.sum(s, 0).to_dense(),
    "sin": lambda s, d: s.sin().to_dense(),
    "softmax": lambda s, d: torch.sparse.softmax(s, 1).to_dense(),
    "log_softmax": lambda s, d: torch.sparse.log_softmax(s, 0).to_dense(),
    "sampled": lambda s, d: torch.sparse.sampled_addmm(s.to_sparse_csr(), random(3, 2), d.t()).to_dense(),
    "columns": lambda s, d: s.to_sparse_csc().to_dense(),
    "blocks": lambda s, d: s.to_sparse_bsr((3, 2)).to_dense(),
    "cat": lambda s, d: torch.cat([s, s], 1).to_dense(),
    "select": lambda s, d: s.index_select(1, torch.tensor([2, 2])).to_dense(),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_flow_to_the_stored_elements(name):
    f = DIFFERENTIABLE[name]

    def g(values, d):
        return f(torch.sparse_coo_tensor(PLACES, values, (3, 4)), d)

    inputs = random(5, seed=2).requires_grad_(), random(4, 2).requires_grad_()
    torch.autograd.gradcheck(g, inputs)
    torch.autograd.gradgradcheck(g, inputs)


def test_gradients_flow_from_dense_tensors():
    x = torch.tensor([[1.0, 0, 2], [0, 3, 0]], requires_grad=True)
    (x.to_sparse() * 2).to_dense().sum().backward()
    assert x.grad.tolist() == [[2, 0, 2], [0, 2, 0]]


def test_a_sparse_leaf_gets_a_sparse_gradient():
    for s in (matrix(True), matrix().to_sparse_csr()):
        s.requires_grad_()
        assert s.is_leaf
        assert s.requires_grad
        assert "requires_grad=True" in repr(s)
        (torch.sparse.mm(s, random(4, 2)) ** 2).sum().backward()
        assert s.grad.layout is s.layout
        expected = s.to_dense().detach().requires_grad_()
        ((expected @ random(4, 2)) ** 2).sum().backward()
        same(s.grad, expected.grad * (s.to_dense() != 0))
        (found,) = torch.autograd.grad((s @ random(4, 2)).sum(), s)
        assert found.layout is s.layout
        s.grad = None
        assert s.grad is None
        assert not s.detach().requires_grad
    v = random(5).requires_grad_()
    made = torch.sparse_coo_tensor(PLACES, v * 2, (3, 4))
    assert made.requires_grad
    assert not made.is_leaf


def test_a_graph_convolution_learns():
    torch.manual_seed(0)
    edges = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
    graph = torch.sparse_coo_tensor(edges, torch.full((8,), 0.5), (4, 4))
    weight = torch.nn.Parameter(torch.randn(3, 2))
    x, target = torch.randn(4, 3), torch.randn(4, 2)
    optimizer = torch.optim.SGD([weight], 0.1)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = ((torch.sparse.mm(graph, x @ weight) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
    dense = ((graph.to_dense() @ x @ weight - target) ** 2).mean().item()
    assert dense < losses[-1]
