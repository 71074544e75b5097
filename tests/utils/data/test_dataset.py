import pytest

import tenfold
from tenfold.utils.data import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)


class Count(IterableDataset):
    def __init__(self, end):
        self.end = end

    def __iter__(self):
        return iter(range(self.end))


class SizedCount(Count):
    def __len__(self):
        return self.end


def tens():
    return TensorDataset(tenfold.arange(10.0), tenfold.arange(10))


def test_tensor_dataset_indexes_every_tensor():
    value, label = tens()[3]
    assert value.item() == 3.0
    assert label.item() == 3
    assert label.dtype == tenfold.int64
    assert [column.tolist() for column in tens()[[0, 2]]] == [[0.0, 2.0], [0, 2]]
    assert len(tens()) == 10


def test_tensor_dataset_refuses_unequal_sizes():
    with pytest.raises(AssertionError, match=r"Size mismatch.*\[2, 3\]"):
        TensorDataset(tenfold.zeros(2), tenfold.zeros(3))


def test_dataset_without_getitem_names_its_class():
    class Empty(Dataset):
        pass

    with pytest.raises(NotImplementedError, match="Empty"):
        Empty()[0]
    with pytest.raises(TypeError):
        len(Empty())


def test_iterable_dataset_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        IterableDataset()


def test_concat_finds_the_part():
    both = Dataset.__add__(Subset("abc", [0, 1, 2]), Subset("xy", [1, 0]))
    assert isinstance(both, ConcatDataset)
    assert [both[i] for i in range(5)] == ["a", "b", "c", "y", "x"]
    assert both[-1] == "x"
    assert both.cumulative_sizes == [3, 5]
    with pytest.raises(ValueError, match="-6"):
        both[-6]
    with pytest.raises(IndexError, match=r"0\.\.4"):
        both[5]


def test_concat_refuses_nothing_and_streams():
    with pytest.raises(AssertionError, match="empty"):
        ConcatDataset([])
    with pytest.raises(AssertionError, match="ChainDataset"):
        ConcatDataset([Count(3)])


def test_chain_goes_through_the_parts():
    assert list(Count(2) + Count(3)) == [0, 1, 0, 1, 2]
    assert len(SizedCount(2) + SizedCount(3)) == 5
    with pytest.raises(TypeError):
        len(Count(2) + Count(3))
    with pytest.raises(AssertionError, match="str"):
        list(ChainDataset(["ab"]))


def test_stack_by_position_and_by_name():
    assert StackDataset("abc", [1, 2, 3])[1] == ("b", 2)
    assert StackDataset(letter="abc", number=[1, 2, 3])[1] == {"letter": "b", "number": 2}
    assert StackDataset(letter="abc", number=[1, 2, 3]).__getitems__([2, 0]) == [
        {"letter": "c", "number": 3},
        {"letter": "a", "number": 1},
    ]


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [((), {}, "At least one"), (("ab",), {"a": "ab"}, "by position"), (("ab", "a"), {}, r"\[2, 1\]")],
)
def test_stack_refuses(args, kwargs, words):
    with pytest.raises(ValueError, match=words):
        StackDataset(*args, **kwargs)


def test_stack_checks_what_a_batch_fetch_gives():
    class Short(list):
        def __getitems__(self, indices):
            return [0]

    with pytest.raises(ValueError, match="Expected 2, got 1"):
        StackDataset(Short([1, 2]), "ab").__getitems__([0, 1])


def test_subset_of_subset():
    inner = Subset(list(range(0, 100, 10)), [9, 8, 7])
    outer = Subset(inner, [2, 0])
    assert outer[0] == 70
    assert outer.__getitems__([0, 1]) == [70, 90]
    assert len(outer) == 2


def test_subset_with_its_own_getitem_must_fetch_batches_itself():
    class Loud(Subset):
        def __getitem__(self, index):
            return "!"

    with pytest.raises(NotImplementedError, match="Loud"):
        Loud([1, 2], [0]).__getitems__([0])


@pytest.mark.parametrize("lengths", [[3, 3], [0.5, 0.6], [-0.5, 0.5], [0.3, 0.3]])
def test_split_refuses_lengths_that_do_not_add_up(lengths):
    with pytest.raises(ValueError, match="Sum of input lengths"):
        random_split(tens(), lengths)


def test_split_refuses_a_fraction_outside():
    with pytest.raises(ValueError, match="index 0"):
        random_split(tens(), [-0.5, 1.5])


def test_split_warns_of_an_empty_part():
    with pytest.warns(UserWarning, match="index 1 is 0"):
        parts = random_split(tens(), [1, 0])
    assert [len(part) for part in parts] == [10, 0]


def test_split_covers_every_sample_once():
    parts = random_split(range(101), [0.2, 0.3, 0.5])
    assert [len(part) for part in parts] == [21, 30, 50]
    assert sorted(sample for part in parts for sample in part) == list(range(101))
