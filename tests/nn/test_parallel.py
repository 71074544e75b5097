"""Models in a process group of one, and what is for several GPUs."""

import pytest

import tenfold as torch
from tenfold import nn
from tenfold.nn.parallel import DistributedDataParallel, gather, parallel_apply, replicate, scatter


@pytest.fixture
def world():
    torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_distributed_data_parallel_is_the_model_itself(world):
    model = nn.Linear(2, 3)
    parallel = DistributedDataParallel(model, find_unused_parameters=True)
    x = torch.ones(1, 2)
    assert torch.equal(parallel(x), model(x))
    assert list(parallel.state_dict()) == ["module.weight", "module.bias"]
    parallel(x).sum().backward()
    with parallel.no_sync():
        parallel(x).sum().backward()
    assert model.weight.grad.tolist() == [[2.0, 2.0]] * 3
    with parallel.join():
        assert parallel.require_backward_grad_sync


def test_distributed_data_parallel_refuses(world):
    with pytest.raises(RuntimeError, match="not needed"):
        DistributedDataParallel(nn.ReLU())
    with pytest.raises(RuntimeError, match="uninitialized"):
        DistributedDataParallel(nn.LazyLinear(2))
    with pytest.raises(ValueError, match="device_ids"):
        DistributedDataParallel(nn.Linear(1, 1), device_ids=[0])


def test_distributed_data_parallel_needs_a_group():
    with pytest.raises(ValueError, match="init_process_group"):
        DistributedDataParallel(nn.Linear(1, 1))


def test_functions_for_several_gpus():
    assert scatter([1, {"a": "b"}], [0, 1]) == [[1, {"a": "b"}], [1, {"a": "b"}]]
    assert scatter((), [0, 1]) == [(), ()]
    for call in (
        lambda: scatter(torch.ones(2), [0]),
        lambda: gather([torch.ones(2)], 0),
        lambda: replicate(nn.Linear(1, 1), [0]),
        lambda: parallel_apply([nn.ReLU()], [torch.ones(1)]),
    ):
        with pytest.raises(RuntimeError, match="accelerator"):
            call()
    with pytest.raises(AssertionError, match="equal"):
        parallel_apply([nn.ReLU()], [])
