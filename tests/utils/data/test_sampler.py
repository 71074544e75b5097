import pytest

import tenfold
from tenfold.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


def test_lengths():
    assert len(SequentialSampler("abc")) == 3
    assert len(RandomSampler("abc")) == 3
    assert len(RandomSampler("abc", num_samples=7)) == 7
    assert len(SubsetRandomSampler([4, 5])) == 2
    assert len(WeightedRandomSampler([1.0, 2.0], 5)) == 5


@pytest.mark.parametrize(
    ("drop_last", "batches"), [(False, [[0, 1, 2], [3, 4, 5], [6]]), (True, [[0, 1, 2], [3, 4, 5]])]
)
def test_batches(drop_last, batches):
    sampler = BatchSampler(range(7), 3, drop_last)
    assert list(sampler) == batches
    assert len(sampler) == len(batches)


def test_batches_of_an_iterator_have_no_length():
    with pytest.raises(TypeError):
        len(BatchSampler(iter(range(7)), 3, False))


def test_each_epoch_is_a_permutation():
    sampler = RandomSampler(range(50))
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second


def test_shares_are_equal_and_cover_everything():
    shares = [list(DistributedSampler(range(10), 3, rank)) for rank in range(3)]
    assert {len(share) for share in shares} == {4}
    assert set().union(*shares) == set(range(10))


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "2"])
def test_batch_sampler_refuses_sizes(size):
    with pytest.raises(ValueError, match="batch_size"):
        BatchSampler(range(3), size, False)


def test_batch_sampler_refuses_drop_last():
    with pytest.raises(ValueError, match="drop_last"):
        BatchSampler(range(3), 1, 0)


def test_random_sampler_refuses():
    with pytest.raises(TypeError, match="replacement"):
        RandomSampler("abc", replacement=1)
    for count in (0, -1, 1.5):
        with pytest.raises(ValueError, match="num_samples"):
            RandomSampler("abc", num_samples=count)
    with pytest.raises(ValueError, match="0 samples"):
        RandomSampler([])


def test_weighted_sampler_refuses():
    for count in (0, True, 1.5):
        with pytest.raises(ValueError, match="num_samples"):
            WeightedRandomSampler([1.0], count)
    with pytest.raises(ValueError, match="replacement"):
        WeightedRandomSampler([1.0], 1, replacement=0)
    with pytest.raises(ValueError, match="1d sequence"):
        WeightedRandomSampler([[1.0]], 1)


@pytest.mark.parametrize("rank", [-1, 3])
def test_distributed_sampler_refuses_a_rank(rank):
    with pytest.raises(ValueError, match=r"\[0, 2\]"):
        DistributedSampler("abc", 3, rank)


def test_a_sampler_without_iter_names_its_class():
    class Nothing(Sampler):
        pass

    with pytest.raises(NotImplementedError, match="Nothing"):
        iter(Nothing())


def test_epochs_walk_the_same_path():
    loader = tenfold.utils.data.DataLoader(tenfold.utils.data.TensorDataset(tenfold.arange(30)), 4, shuffle=True)
    orders, nodes = [], []
    for _ in range(4):
        orders.append(str([x.tolist() for (x,) in loader]))
        nodes.append(tenfold.debug.stats()["nodes"])
    assert nodes == [nodes[0]] * 4 and len(set(orders)) == 4
