"""Older methods that programs still call."""

import array
import collections

import pytest

import tenfold as torch


def test_index_takes_dims_and_what_to_index_them_with():
    x = torch.arange(24).reshape(2, 3, 4)
    i, j = torch.tensor([1, 0]), torch.tensor([3, 0])
    assert torch.equal(x.index(1, i), x[:, i])
    assert torch.equal(x.index((0, -1), (i, j)), x[i, :, j])
    assert torch.equal(x.index([(0, 1)], [slice(1, 3)]), x.flatten(0, 1)[1:3])
    assert torch.equal(x.index([(0, 1), 2], [5, j]), x.flatten(0, 1)[5][j])
    with pytest.raises(TypeError, match="same length"):
        x.index((0, 1), (1,))
    with pytest.raises(IndexError, match="twice"):
        x.index((0, -3), (1, 1))
    with pytest.raises(TypeError, match="'a'"):
        x.index("a", 1)


def test_resize_out_of_place_keeps_the_number_of_elements():
    x = torch.arange(6.0)
    with pytest.warns(UserWarning, match="deprecated"):
        assert x.resize(2, 3).tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.warns(UserWarning, match="deprecated"):
        assert x.resize_as(torch.ones(3, 2)).shape == (3, 2)
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="6 elements"):
        x.resize(5)


def test_what_was_removed_says_what_to_use():
    with pytest.raises(RuntimeError, match="Categorical"):
        torch.ones(2).reinforce(1.0)
    with pytest.raises(RuntimeError, match="linalg"):
        torch.ones(2, 2).solve(torch.ones(2, 2))
    with pytest.raises(RuntimeError, match="eigh"):
        torch.symeig(torch.ones(2, 2))


def test_split_takes_pytorchs_names():
    x = torch.arange(5)
    for pieces in (x.split(2), x.split(split_size=2, dim=0), torch.split(x, split_size_or_sections=2)):
        assert [p.tolist() for p in pieces] == [[0, 1], [2, 3], [4]]
    assert [p.tolist() for p in x.split([1, 4])] == [[0], [1, 2, 3, 4]]
    with pytest.raises(TypeError):
        torch.split(x)


@pytest.mark.parametrize(
    "data", [range(3), (0, 1, 2), collections.deque([0, 1, 2]), array.array("i", [0, 1, 2]), b"\0\1\2"]
)
def test_constructors_take_any_sequence(data):
    if isinstance(data, bytes):
        with pytest.raises(TypeError, match="'bytes'"):
            torch.LongTensor(data)
        data = bytearray(data)
    made = torch.LongTensor(data)
    assert made.dtype is torch.int64
    assert made.tolist() == [0, 1, 2]
    assert torch.Tensor(data).tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("data", [{1: 2}, {1, 2}, iter([1]), 2.5, None])
def test_constructors_refuse_what_is_no_sequence(data):
    with pytest.raises(TypeError):
        torch.FloatTensor(data)


def test_deprecated_constructors_of_sparse_tensors():
    indices, values = torch.tensor([[0, 1], [1, 0]]), torch.tensor([1.0, 2.0])
    with pytest.warns(UserWarning, match="sparse_coo_tensor"):
        made = torch.sparse.FloatTensor(indices, values, torch.Size([2, 3]))
        assert made.to_dense().tolist() == [[0, 1, 0], [2, 0, 0]]
        assert torch.sparse.FloatTensor(indices, values).shape == (2, 2)
        assert torch.sparse.LongTensor(2, 3).dtype is torch.int64
        assert torch.sparse.DoubleTensor().shape == (0,)
        with pytest.raises(TypeError, match="list"):
            torch.sparse.FloatTensor([[0], [1]], [1.0])
        with pytest.raises(RuntimeError, match="int64"):
            torch.sparse.FloatTensor(indices.float(), values)
    assert made.type() == "torch.sparse.FloatTensor"
    assert isinstance(made, torch.sparse.FloatTensor)
    assert not isinstance(made, torch.FloatTensor)
    assert not isinstance(values, torch.sparse.FloatTensor)
