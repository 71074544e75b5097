"""DataParallel: one model on several GPUs. tenfold runs on the CPU, where PyTorch's does nothing either."""

from typing import Any

import tenfold

from .distributed_parallel import DistributedDataParallel
from .module import Module

__all__ = [
    "DataParallel",
    "DistributedDataParallel",
    "data_parallel",
    "gather",
    "parallel_apply",
    "replicate",
    "scatter",
]


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


def _no_gpu(name: str) -> RuntimeError:
    return RuntimeError(f"{name}: Cannot access accelerator device when none is available. It is for GPUs only.")


def scatter(inputs: Any, target_gpus, dim: int = 0):
    """For each GPU its part of the inputs: tensors are cut along `dim`, what is no tensor is handed to all.

    Args: inputs: tensors and other values in tuples, lists and dicts.
    Raises: RuntimeError for tensors, as there is no GPU.
    """
    if isinstance(inputs, tenfold.Tensor):
        raise _no_gpu("scatter")
    count = len(target_gpus)
    if isinstance(inputs, dict) and inputs:
        rows = [scatter(item, target_gpus, dim) for item in inputs.items()]
        return [type(inputs)(row) for row in zip(*rows)]
    if isinstance(inputs, (list, tuple)) and inputs:
        parts = list(zip(*[scatter(item, target_gpus, dim) for item in inputs]))
        if hasattr(inputs, "_fields"):
            return [type(inputs)(*row) for row in parts]
        return [list(row) for row in parts] if isinstance(inputs, list) else parts
    return [inputs] * count


def gather(outputs: Any, target_device, dim: int = 0) -> Any:
    """Puts results of several GPUs together: there is none, so there is nothing to gather. Raises RuntimeError."""
    raise _no_gpu("gather")


def replicate(network: Module, devices, detach: bool = False) -> list[Module]:
    """Copies a model to GPUs: there is none. Raises RuntimeError."""
    raise _no_gpu("replicate")


def parallel_apply(modules, inputs, kwargs_tup=None, devices=None) -> list[Any]:
    """Calls each model on its GPU: there is none. Raises AssertionError for unequal counts, else RuntimeError."""
    if len(modules) != len(inputs):
        raise AssertionError(f"The number of modules {len(modules)} is not equal to the number of inputs {len(inputs)}")
    raise _no_gpu("parallel_apply")
