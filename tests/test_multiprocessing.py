"""Processes that get tensors and send them back."""

import pytest

import tenfold as torch
from tenfold import multiprocessing as mp


def scaled(index, queue, t):
    queue.put((index, t * (index + 1)))


def fails(index):
    raise ValueError(f"no {index}")


def test_tensors_come_back_from_spawned_processes():
    queue = mp.get_context("spawn").SimpleQueue()
    mp.spawn(scaled, (queue, torch.ones(3)), nprocs=1)
    index, t = queue.get()
    assert index == 0 and t.tolist() == [1, 1, 1]


def test_what_a_process_raises_is_raised():
    with pytest.raises(mp.ProcessRaisedException, match="no 0") as caught:
        mp.spawn(fails, nprocs=1)
    assert caught.value.error_index == 0
