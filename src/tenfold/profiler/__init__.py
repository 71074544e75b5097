"""Where the time goes: PyTorch's profiler, over the programs that tenfold runs.

    with torch.profiler.profile() as prof:
        step()
    print(prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=10))

While a profile is active, programs run one step after the other, and each is timed. A row `compiled program` (or, for a
path's first visits, `interpreted program`) has the kernels in it, and a kernel the operations that it computes: the
time of an operation is its share of the kernels that it was fused into. docs/profiler.md has examples."""

from .events import EventList, FunctionEvent, FunctionEventAvg
from .profiler import (
    DeviceType,
    ProfilerAction,
    ProfilerActivity,
    kineto_available,
    profile,
    record_function,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)

_KinetoProfile = profile

__all__ = [
    "DeviceType",
    "EventList",
    "FunctionEvent",
    "FunctionEventAvg",
    "ProfilerAction",
    "ProfilerActivity",
    "kineto_available",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]
