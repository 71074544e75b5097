"""What programs ask about GPUs on a machine without any."""

import pytest

import tenfold as torch


def test_questions_that_have_an_answer():
    cuda = torch.cuda
    assert not cuda.is_available()
    assert cuda.memory_stats() == {}
    assert cuda.memory_stats_as_nested_dict() == {}
    assert cuda.memory_snapshot() == []
    with pytest.warns(FutureWarning, match="memory_reserved"):
        assert cuda.memory_cached() == 0
    with cuda.stream(None), cuda.device_of(torch.ones(1)):
        cuda.set_stream(None)
    assert torch.get_device_module() is torch.cpu
    assert torch.get_device_module("cuda:0") is cuda
    assert (torch.has_lapack, torch.is_distributed(torch.ones(1))) == (True, False)
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize(
    "ask", "utilization get_sync_debug_mode cudart current_blas_handle list_gpu_processes graph_pool_handle".split()
)
def test_questions_to_a_gpu(ask):
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        getattr(torch.cuda, ask)()


def test_objects_of_a_gpu():
    for make in (torch.cuda.Event, torch.cuda.CUDAGraph):
        with pytest.raises(RuntimeError, match="CUDA"):
            make()
    with pytest.raises(RuntimeError, match="mps"):
        torch.get_device_module("mps")


def test_the_cpu_as_a_device():
    cpu = torch.cpu
    assert (cpu.is_available(), cpu.device_count(), cpu.current_device()) == (True, 1, "cpu")
    cpu.synchronize()
    with cpu.stream(cpu.current_stream()):
        event = cpu.Event()
        event.record()
        assert event.query()
