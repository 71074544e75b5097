"""Optimizers on sparse gradients, against themselves or a formula on dense ones."""

import pytest

import tenfold as torch
from tenfold.nn import functional as F


def train(optimizer, sparse, steps=3, **options):
    table = torch.nn.Parameter(torch.arange(12.0, dtype=torch.float64).reshape(6, 2))
    method = optimizer([table], lr=0.1, **options)
    for index in ([0, 2, 2, 5], [1, 1], [2, 5])[:steps]:
        method.zero_grad()
        (F.embedding(torch.tensor(index), table, sparse=sparse) ** 2).sum().backward()
        assert table.grad.is_sparse is sparse
        method.step()
    return table.detach()


@pytest.mark.parametrize(
    ("name", "options"),
    [("SGD", {}), ("SGD", {"momentum": 0.9}), ("SGD", {"maximize": True}), ("Adagrad", {"lr_decay": 0.1})],
)
def test_steps_are_those_of_dense_gradients(name, options):
    method = getattr(torch.optim, name)
    assert torch.allclose(train(method, True, **options), train(method, False, **options))


def test_the_first_step_of_sparse_adam_is_that_of_adam():
    given = train(torch.optim.SparseAdam, True, steps=1)
    assert torch.allclose(given, train(torch.optim.Adam, False, steps=1), atol=1e-6)


def test_sparse_adam_leaves_rows_without_a_gradient_alone():
    given = train(torch.optim.SparseAdam, True, steps=2)
    alone = train(torch.optim.SparseAdam, True, steps=1)
    moved = (given != alone).any(1)
    assert moved.tolist() == [False, True, False, False, False, False]


def test_sparse_adam_refuses_dense_gradients():
    with pytest.raises(RuntimeError, match="dense gradients"):
        train(torch.optim.SparseAdam, False)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop", "Adadelta", "NAdam"])
def test_methods_that_need_all_rows_refuse(name):
    with pytest.raises(RuntimeError, match=f"{name} does not support sparse gradients"):
        train(getattr(torch.optim, name), True)


@pytest.mark.parametrize("name", ["SGD", "Adagrad"])
def test_weight_decay_is_refused(name):
    with pytest.raises(RuntimeError, match="weight_decay"):
        train(getattr(torch.optim, name), True, weight_decay=0.1)


def test_dense_and_sparse_gradients_in_turn():
    table = torch.nn.Parameter(torch.zeros(3, 2))
    method = torch.optim.SGD([table], lr=1.0)
    for loss in (lambda: table.sum(), lambda: F.embedding(torch.tensor([1]), table, sparse=True).sum(), table.sum):
        method.zero_grad()
        loss().backward()
        method.step()
    assert table.tolist() == [[-2.0, -2.0], [-3.0, -3.0], [-2.0, -2.0]]
