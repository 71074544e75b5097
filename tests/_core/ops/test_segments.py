"""Reductions of segments, against each segment reduced by itself."""

import numpy as np
import pytest

import tenfold as torch

X = torch.tensor(np.random.default_rng(0).standard_normal((6, 2)))
LENGTHS = torch.tensor([2, 0, 4])
EMPTY = {"sum": 0, "mean": np.nan, "max": -np.inf, "min": np.inf, "prod": 1}
NUMPY = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "prod": np.prod}


@pytest.mark.parametrize("reduce", NUMPY)
def test_each_segment(reduce):
    parts = [NUMPY[reduce](X.numpy()[:2], 0), np.full(2, EMPTY[reduce]), NUMPY[reduce](X.numpy()[2:], 0)]
    found = torch.segment_reduce(X, reduce, lengths=LENGTHS)
    assert np.allclose(found.numpy(), np.stack(parts), equal_nan=True)
    offsets = torch.segment_reduce(X, reduce, offsets=torch.tensor([0, 2, 2, 6]))
    assert np.allclose(offsets.numpy(), found.numpy(), equal_nan=True)
    wide = torch.segment_reduce(X.t(), reduce, lengths=torch.tensor([[2, 0, 4], [1, 5, 0]]), axis=1)
    assert np.allclose(wide[0].numpy(), found[:, 0].numpy(), equal_nan=True)
    assert np.allclose(wide[1, 1].item(), NUMPY[reduce](X.numpy()[1:, 1]))
    torch.autograd.gradcheck(
        lambda x: torch.segment_reduce(x, reduce, lengths=torch.tensor([2, 4])), X.clone().requires_grad_()
    )


def test_initial_values():
    x = torch.tensor([1.0, 5, 2])
    counts = torch.tensor([2, 0, 1])
    for reduce, expected in (
        ("sum", [7, 1, 3]), ("mean", [3.5, 1, 3]), ("max", [5, 1, 2]), ("min", [1, 1, 1]), ("prod", [5, 1, 2]),
    ):  # fmt: skip
        assert torch.segment_reduce(x, reduce, lengths=counts, initial=1.0).tolist() == expected
    assert torch.segment_reduce(x, "max", lengths=torch.tensor([0, 0]), unsafe=True).tolist() == [-torch.inf] * 2


@pytest.mark.parametrize(
    "options",
    [
        {}, {"lengths": torch.tensor([2, 3])}, {"lengths": torch.tensor([-1, 7])}, {"lengths": LENGTHS.float()},
        {"offsets": torch.tensor([0, 7])}, {"offsets": torch.tensor([0, 4, 3])}, {"lengths": LENGTHS, "axis": 1},
        {"lengths": torch.tensor([9]), "unsafe": True}, {"lengths": LENGTHS, "indices": LENGTHS},
        {"lengths": LENGTHS, "reduce": "median"},
    ],
)  # fmt: skip
def test_errors(options):
    options = {"reduce": "sum", **options}
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.segment_reduce(X, **options)


def test_parts_of_sparse_tensors_are_copied():
    s = torch.eye(2).to_sparse()
    assert torch.values_copy(s).tolist() == [1, 1]
    assert torch.indices_copy(s) is not s.indices()
    assert torch.crow_indices_copy(torch.eye(2).to_sparse_csr()).tolist() == [0, 1, 2]
