"""Worker processes: what they send, what they raise, how they end."""

import gc
import multiprocessing
import os
import sys
import time

import numpy as np
import pytest

import tenfold
from tenfold.utils.data import DataLoader, Dataset, TensorDataset, get_worker_info

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning", "ignore:This DataLoader will create"),
    pytest.mark.skipif(sys.platform == "win32", reason="these workers are forked"),
]


class Computed(Dataset):
    """Sample i is `function(i)`."""

    def __init__(self, function, size=20):
        self.function = function
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return self.function(index)


def loader(function, size=20, **options):
    options = {"num_workers": 2, "multiprocessing_context": "fork", **options}
    return DataLoader(Computed(function, size), **options)


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    assert multiprocessing.active_children() == []


def test_containers_and_layouts_arrive():
    def sample(index):
        table = tenfold.arange(12.0).reshape(3, 4)
        return {
            "contiguous": table,
            "transposed": table.t(),
            "column": table[:, 1],
            "expanded": table[:1].expand(2, 4),
            "offset": table[1:],
            "empty": table[:, :0],
            "number": tenfold.tensor(index),
            "half": table.to(tenfold.bfloat16),
            "complex": table.to(tenfold.complex64),
            "mask": table > 5,
            "leaf": tenfold.ones(2, requires_grad=True),
            "parameter": tenfold.nn.Parameter(tenfold.ones(2)),
            "others": (np.arange(3), "text", None, 2.5),
        }

    for index, got in enumerate(loader(sample, 3, batch_size=None)):
        for name, expected in sample(index).items():
            if name == "others":
                continue
            assert got[name].tolist() == expected.tolist(), name
            assert got[name].dtype == expected.dtype, name
            assert got[name].stride() == expected.stride(), name
            assert type(got[name]) is type(expected), name
            assert got[name].requires_grad == expected.requires_grad, name
        array, *rest = got["others"]
        assert array.tolist() == [0, 1, 2]
        assert rest == ["text", None, 2.5]


def test_what_arrives_can_be_written():
    batch = next(iter(loader(lambda index: tenfold.zeros(3), batch_size=2)))
    batch[0, 1] = 4
    batch.add_(1)
    assert batch.tolist() == [[1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]


def test_spawned_workers():
    dataset = TensorDataset(tenfold.arange(6), tenfold.arange(6.0))
    batches = list(DataLoader(dataset, batch_size=4, num_workers=1, multiprocessing_context="spawn"))
    assert [column.tolist() for column in batches[1]] == [[4, 5], [4.0, 5.0]]


def test_worker_info_and_init_fn():
    def init(worker_id):
        get_worker_info().dataset.function = lambda index: (worker_id, get_worker_info().id, tenfold.get_num_threads())

    got = list(loader(None, 4, batch_size=None, worker_init_fn=init))
    assert got == [[0, 0, 1], [1, 1, 1], [0, 0, 1], [1, 1, 1]]


def test_worker_info_is_fixed():
    def change(index):
        get_worker_info().id = 5

    with pytest.raises(RuntimeError, match="cannot assign id"):
        list(loader(change))


def test_an_exception_keeps_its_type_and_traceback():
    def fail(index):
        if index == 7:
            raise KeyError("no such word")
        return index

    batches = iter(loader(fail))
    got = []
    with pytest.raises(KeyError) as caught:
        got.extend(batch.item() for batch in batches)
    text = str(caught.value)
    assert text.startswith("Caught KeyError in DataLoader worker process 1.\nOriginal Traceback")
    assert 'raise KeyError("no such word")' in text
    got.extend(batch.item() for batch in batches)
    assert got == [index for index in range(20) if index != 7]


def test_an_exception_that_takes_more_arguments_becomes_a_runtime_error():
    class TwoArguments(Exception):
        def __init__(self, first, second):
            super().__init__(first, second)

    def fail(index):
        raise TwoArguments(1, 2)

    with pytest.raises(RuntimeError, match="Caught TwoArguments"):
        list(loader(fail))


def test_an_exception_in_init_fn():
    def init(worker_id):
        if worker_id == 1:
            raise ValueError("bad start")

    with pytest.raises(ValueError, match="bad start"):
        list(loader(abs, worker_init_fn=init))


def test_what_cannot_be_sent_is_an_error():
    weight = tenfold.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        list(loader(lambda index: weight * 2, batch_size=None))
    with pytest.raises((AttributeError, TypeError), match="Caught"):
        list(loader(lambda index: lambda: 0, collate_fn=list))


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda: os.kill(os.getpid(), 9), "SIGKILL"),
        (lambda: os._exit(3), "exit code 3"),
        (lambda: sys.exit(4), "exit code 4"),
    ],
)
@pytest.mark.parametrize("stay", [False, True])
def test_a_worker_that_dies_is_named(end, words, stay):
    def sample(index):
        return end() if index == 5 else index

    batches = loader(sample, persistent_workers=stay)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=rf"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly: .*{words}"):
            list(batches)


def test_a_dead_worker_is_not_the_end_of_the_data():
    batches = iter(loader(lambda index: os._exit(1)))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="exited unexpectedly"):
            next(batches)


def test_timeout():
    with pytest.raises(RuntimeError, match=r"timed out after 0.2 seconds"):
        list(loader(lambda index: time.sleep(1), num_workers=1, timeout=0.2))


def test_leaving_early_ends_workers_without_force():
    batches = iter(loader(lambda index: tenfold.zeros(300_000)))
    next(batches)
    processes = [worker.process for worker in batches._pool.workers]
    del batches
    gc.collect()
    assert processes
    assert [p.exitcode for p in processes] == [0] * len(processes)


def test_workers_that_stay():
    batches = loader(lambda index: (index, os.getpid()), batch_size=4, persistent_workers=True)
    seen = []
    processes = set()
    for epoch in range(3):
        for indices, pids in batches:
            seen.append(indices.tolist())
            processes |= set(pids.tolist())
            if epoch == 1:
                break
    whole = [list(range(start, start + 4)) for start in range(0, 20, 4)]
    assert seen == whole + whole[:1] + whole
    assert len(processes) == 2
    del batches


def test_out_of_order_gives_every_sample():
    def uneven(index):
        time.sleep(0.02 if index % 2 else 0)
        return index

    assert sorted(batch.item() for batch in loader(uneven, in_order=False)) == list(range(20))


def test_long_lists_of_indices_do_not_block():
    got = loader(lambda index: index, 100_000, batch_size=25_000, prefetch_factor=4)
    assert [len(batch) for batch in got] == [25_000] * 4


def test_a_prefetch_of_nothing_is_refused():
    with pytest.raises(AssertionError, match="prefetch_factor"):
        list(loader(abs, prefetch_factor=0))


def test_two_loaders_at_once():
    first, second = loader(abs, 6, batch_size=3), loader(abs, 6, batch_size=2)
    pairs = [(len(a), len(b)) for a, b in zip(first, second, strict=False)]
    assert pairs == [(3, 2), (3, 2)]
