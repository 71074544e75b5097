"""Process groups of one process: what collective operations do, and what is refused."""

import pytest

import tenfold as torch
from tenfold import distributed as dist


@pytest.fixture
def world():
    dist.init_process_group("gloo", rank=0, world_size=1)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


def test_without_a_group():
    assert not dist.is_initialized()
    with pytest.raises(ValueError, match="has not been initialized"):
        dist.get_rank()
    with pytest.raises(ValueError, match="has not been initialized"):
        dist.all_reduce(torch.ones(2))


def test_number_and_rank_come_from_the_environment(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ValueError, match="RANK expected"):
        dist.init_process_group("gloo")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(NotImplementedError, match="not of 2"):
        dist.init_process_group("gloo")
    monkeypatch.setenv("WORLD_SIZE", "1")
    dist.init_process_group("gloo")
    assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "gloo")
    dist.destroy_process_group()
    assert not dist.is_initialized()


def test_backends_that_are_not_there():
    with pytest.raises(RuntimeError, match="NCCL"):
        dist.init_process_group("nccl", rank=0, world_size=1)


def test_collective_operations_of_one(world):
    x = torch.tensor([1.0, 2.0])
    assert dist.all_reduce(x) is None
    assert dist.all_reduce(x, op=dist.ReduceOp.MAX, async_op=True).wait()
    out = [torch.zeros(2)]
    dist.all_gather(out, x)
    flat = torch.zeros(2)
    dist.all_gather_into_tensor(flat, x)
    part = torch.zeros(2)
    dist.scatter(part, [x], src=0)
    objects = [None]
    dist.all_gather_object(objects, {"a": 1})
    dist.barrier()
    assert x.tolist() == out[0].tolist() == flat.tolist() == part.tolist() == [1, 2]
    assert objects == [{"a": 1}]


def test_roots_and_lists_must_fit_one_process(world):
    with pytest.raises(RuntimeError, match="invalid root rank: 1"):
        dist.broadcast(torch.ones(2), src=1)
    with pytest.raises(RuntimeError, match="got 0"):
        dist.all_gather([], torch.ones(2))
    with pytest.raises(ValueError, match="twice"):
        dist.init_process_group("gloo", rank=0, world_size=1)
