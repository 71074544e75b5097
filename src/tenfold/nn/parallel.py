"""DataParallel: one model on several GPUs. tenfold runs on the CPU, where PyTorch's does nothing either."""

from typing import Any

import tenfold

from .module import Module

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """The model itself, called unchanged: without GPUs there is nothing to spread the batch over.

    Its state has the prefix "module.", as programs that were written for GPUs expect.

    Args:
        module: the model.
        device_ids, output_device: GPUs; they are not used while there is none. Default None.
        dim: the dim of the batch. Default 0.
    """

    def __init__(self, module: Module, device_ids=None, output_device=None, dim: int = 0) -> None:
        super().__init__()
        if tenfold.cuda.is_available():
            raise NotImplementedError("DataParallel: spreading a batch over GPUs is not supported yet.")
        self.module = module
        self.device_ids = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the model gives."""
        return self.module(*inputs, **kwargs)


def data_parallel(module: Module, inputs: Any, device_ids=None, output_device=None, dim: int = 0, module_kwargs=None):
    """What `module` gives for `inputs` (one argument or a tuple of them), as DataParallel would call it."""
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    return DataParallel(module, device_ids, output_device, dim)(*arguments, **(module_kwargs or {}))
