"""PyTorch's older interface to its profiler."""

from __future__ import annotations

from .. import profiler as _profiler
from ..profiler import EventList, FunctionEvent, FunctionEventAvg, record_function

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "profile", "record_function"]


class profile(_profiler.profile):
    """`torch.profiler.profile` under its older arguments; `table` and the sums are methods of it.

    Args:
        enabled: with False it does nothing. Default True.
        use_cuda, use_device, use_kineto, use_cpu, experimental_config: accepted, without a meaning here.
        record_shapes, with_flops, profile_memory, with_stack, with_modules: as in `torch.profiler.profile`.
    """

    def __init__(
        self, enabled=True, *, use_cuda=False, use_device=None, record_shapes=False, with_flops=False, profile_memory=False,
        with_stack=False, with_modules=False, use_kineto=True, use_cpu=True, experimental_config=None, acc_events=False,
    ):  # fmt: skip
        super().__init__(
            record_shapes=record_shapes, with_flops=with_flops, profile_memory=profile_memory, with_stack=with_stack,
            acc_events=acc_events, use_cuda=use_cuda or use_device == "cuda",
        )  # fmt: skip
        self.enabled = enabled

    def start(self) -> None:
        if self.enabled:
            super().start()

    @property
    def function_events(self) -> EventList:
        return self.events()

    @property
    def self_cpu_time_total(self) -> float:
        return self.events().self_cpu_time_total

    def table(self, *args, **kwargs) -> str:
        return self.events().table(*args, **kwargs)

    def total_average(self):
        return self.events().total_average()

    def __str__(self) -> str:
        return self.table()
