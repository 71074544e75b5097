"""DistributedDataParallel: a model in a process group. Groups have one process, whose gradients are everyone's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tenfold

from .module import Module
from .parameter import is_lazy

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """The model, called unchanged; gradients are averaged over the processes of the group, of which there is one.

    Its state has the prefix "module.", as that of PyTorch's.

    Args:
        module: the model, on the CPU.
        process_group: default None: that of `torch.distributed.init_process_group`, which has to be called before.
        device_ids, output_device: None on the CPU.
        find_unused_parameters, static_graph, bucket_cap_mb, gradient_as_bucket_view, broadcast_buffers and the others:
            how PyTorch spreads the work; accepted.
    Raises: ValueError without a group, or for device_ids; RuntimeError for a model without parameters to train, or with
        lazy ones.
    """

    def __init__(
        self,
        module,
        device_ids=None,
        output_device=None,
        dim=0,
        broadcast_buffers=None,
        init_sync=True,
        process_group=None,
        bucket_cap_mb=None,
        find_unused_parameters=False,
        check_reduction=False,
        gradient_as_bucket_view=False,
        static_graph=False,
        delay_all_reduce_named_params=None,
        param_to_hook_all_reduce=None,
        mixed_precision=None,
        device_mesh=None,
        skip_all_reduce_unused_params=False,
        bucket_cap_mb_list=None,
        batched_grad_copy=False,
        forward_sync_buffers=None,
    ) -> None:
        super().__init__()
        group = process_group or tenfold.distributed.group.WORLD
        if group is None:
            raise ValueError(
                "Default process group has not been initialized, please make sure to call init_process_group."
            )
        parameters = list(module.parameters())
        if not any(p.requires_grad for p in parameters):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter that requires a gradient."
            )
        if any(is_lazy(p) for p in parameters):
            raise RuntimeError(
                "Modules with uninitialized parameters can't be used with `DistributedDataParallel`. Call the module once before."
            )
        if device_ids is not None or output_device is not None:
            raise ValueError(
                "DistributedDataParallel device_ids and output_device arguments only work with modules on GPUs, but got "
                f"device_ids {device_ids}, output_device {output_device}: leave them out on the CPU."
            )
        for name, value in (("mixed_precision", mixed_precision), ("device_mesh", device_mesh)):
            if value is not None:
                raise NotImplementedError(f"DistributedDataParallel: {name} is not supported.")
        self.module = module
        self.process_group = group
        self.device_ids = self.output_device = None
        self.dim = dim
        self.find_unused_parameters = find_unused_parameters
        self.static_graph = static_graph
        self.require_backward_grad_sync = True

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the model gives."""
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A block in which gradients are added up without being averaged over the processes."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    @contextmanager
    def join(self, divide_by_initial_world_size=True, enable=True, throw_on_early_termination=False) -> Iterator[None]:
        """A block for processes with unequally many batches: there is one process."""
        yield
