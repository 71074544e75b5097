import pytest

import tenfold
from tenfold.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset, get_worker_info


class Count(IterableDataset):
    def __init__(self, end, reported):
        self.end = end
        self.reported = reported

    def __iter__(self):
        return iter(range(self.end))

    def __len__(self):
        return self.reported


def layout(batch):
    return [(column.dtype, tuple(column.shape), column.stride(), column.tolist()) for column in batch]


def sample_by_sample(dataset, **options):
    """The batches of the same samples from a dataset that can only be read one by one."""

    class OneByOne(Dataset):
        def __len__(self):
            return len(dataset)

        def __getitem__(self, index):
            return dataset[index]

    return list(DataLoader(OneByOne(), **options))


def assert_gather_equals_stacking(dataset, **options):
    fast, slow = list(DataLoader(dataset, **options)), sample_by_sample(dataset, **options)
    assert [type(batch) for batch in fast] == [type(batch) for batch in slow]
    assert [layout(batch) for batch in fast] == [layout(batch) for batch in slow]


@pytest.mark.parametrize(
    "tensors",
    [
        lambda: [tenfold.arange(24.0).reshape(6, 4), tenfold.arange(6)],
        lambda: [tenfold.arange(24.0).reshape(4, 6).t()],
        lambda: [tenfold.arange(72.0).reshape(6, 2, 2, 3).permute(0, 3, 1, 2)],
        lambda: [tenfold.zeros(6, 0), tenfold.arange(6) > 2],
        lambda: [tenfold.arange(6.0).to(tenfold.bfloat16), tenfold.arange(6.0).to(tenfold.complex64)],
        lambda: [tenfold.ones(1, 3).expand(6, 3)],
    ],
    ids=["contiguous", "transposed", "channels last", "empty and bool", "bfloat16 and complex", "expanded"],
)
def test_gathering_a_batch_equals_stacking_its_samples(tensors):
    dataset = TensorDataset(*tensors())
    assert_gather_equals_stacking(dataset, batch_size=4)
    assert_gather_equals_stacking(dataset, batch_sampler=[[5, 0], [-1, -6], [2, 2, 2]])
    assert_gather_equals_stacking(Subset(Subset(dataset, [5, 4, 3, 2]), [3, 0, 0]), batch_size=2)


def test_a_batch_is_a_copy_of_the_data():
    data = tenfold.zeros(4)
    (batch,) = next(iter(DataLoader(TensorDataset(data), batch_size=4)))
    data.fill_(7)
    assert batch.tolist() == [0.0] * 4


def test_a_batch_of_a_tensor_with_gradient_has_a_history():
    data = tenfold.arange(4.0).requires_grad_()
    (batch,) = next(iter(DataLoader(TensorDataset(data), batch_size=2)))
    batch.sum().backward()
    assert data.grad.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_an_own_getitem_is_used():
    class Negative(TensorDataset):
        def __getitem__(self, index):
            return (-self.tensors[0][index],)

    batches = list(DataLoader(Negative(tenfold.arange(3)), batch_size=3))
    assert batches[0][0].tolist() == [0, -1, -2]


def test_a_batch_fetch_is_used():
    class Many(list):
        def __getitems__(self, indices):
            return [self[i] * 100 for i in indices]

    assert [batch.tolist() for batch in DataLoader(Many([1, 2, 3]), batch_size=2)] == [[100, 200], [300]]


def test_an_index_outside_is_an_index_error():
    loader = DataLoader(TensorDataset(tenfold.arange(3)), batch_sampler=[[0, 3]])
    with pytest.raises(IndexError):
        list(loader)


def test_a_collate_fn_gets_the_samples():
    assert list(DataLoader("abcde", batch_size=2, collate_fn="".join)) == ["ab", "cd", "e"]


def test_lengths():
    assert len(DataLoader(range(10), batch_size=3)) == 4
    assert len(DataLoader(range(10), batch_size=3, drop_last=True)) == 3
    assert len(DataLoader(range(10), batch_size=None)) == 10
    assert len(DataLoader(range(10), batch_sampler=[[1, 2]])) == 1
    assert len(DataLoader(Count(5, 5), batch_size=2)) == 3
    assert len(DataLoader(Count(5, 5), batch_size=2, drop_last=True)) == 2
    assert len(iter(DataLoader(range(10), batch_size=3))) == 4


def test_a_stream_that_is_longer_than_it_said_warns():
    loader = DataLoader(Count(3, 2))
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="reported to be 2 .* 3 samples"):
        assert len(list(loader)) == 3


def test_pinning_warns_without_an_accelerator():
    with pytest.warns(UserWarning, match="no accelerator"):
        list(DataLoader(range(3), pin_memory=True))


def test_what_fixes_the_order_cannot_be_set():
    loader = DataLoader(range(3))
    for name in ("batch_size", "sampler", "batch_sampler", "drop_last", "dataset", "persistent_workers"):
        with pytest.raises(ValueError, match=name):
            setattr(loader, name, 1)
    loader.collate_fn = list
    assert list(loader) == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"num_workers": -1}, ValueError, "num_workers"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"prefetch_factor": 2}, ValueError, "prefetch_factor"),
        ({"num_workers": 1, "prefetch_factor": -1}, ValueError, "prefetch_factor"),
        ({"persistent_workers": True}, ValueError, "persistent_workers"),
        ({"sampler": [1], "shuffle": True}, ValueError, "mutually exclusive"),
        ({"batch_sampler": [[1]], "batch_size": 2}, ValueError, "mutually exclusive"),
        ({"batch_sampler": [[1]], "shuffle": True}, ValueError, "mutually exclusive"),
        ({"batch_sampler": [[1]], "sampler": [1]}, ValueError, "mutually exclusive"),
        ({"batch_sampler": [[1]], "drop_last": True}, ValueError, "mutually exclusive"),
        ({"batch_size": None, "drop_last": True}, ValueError, "auto-batching"),
        ({"batch_size": 0}, ValueError, "batch_size=0"),
        ({"multiprocessing_context": "spawn"}, ValueError, "num_workers=0"),
        ({"num_workers": 1, "multiprocessing_context": "beam"}, ValueError, "beam"),
        ({"num_workers": 1, "multiprocessing_context": 3}, TypeError, "context"),
    ],
)
def test_arguments_that_make_no_sense(options, kind, words):
    with pytest.raises(kind, match=words):
        DataLoader(range(3), **options)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}])
def test_a_stream_has_its_own_order(options):
    with pytest.raises(ValueError, match="IterableDataset"):
        DataLoader(Count(3, 3), **options)


def test_shuffling_nothing_is_refused():
    with pytest.raises(ValueError, match="num_samples=0"):
        DataLoader([], shuffle=True)
    assert list(DataLoader([])) == []


def test_more_workers_than_processors_warn():
    with pytest.warns(UserWarning, match="1000 worker processes"):
        DataLoader(range(3), num_workers=1000)


def test_there_is_no_worker_here():
    assert get_worker_info() is None
