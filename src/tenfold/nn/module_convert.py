"""Changing the dtype, the device or the memory of all tensors of a Module's tree, in place.

The functions are methods of Module.
"""

import tenfold
from tenfold import Tensor

from .parameter import Parameter, is_lazy

__all__: list[str] = []


def _apply(self, fn, recurse=True):
    """Replace every parameter, gradient and buffer x by fn(x); a parameter stays the same object if it can."""
    if recurse:
        for module in self.children():
            module._apply(fn)
    for name, parameter in self._parameters.items():
        if parameter is not None:
            _apply_to_parameter(self, fn, name, parameter)
    for name, buffer in self._buffers.items():
        if buffer is not None:
            self._own("_buffers")[name] = fn(buffer)
    return self


def _apply_to_parameter(self, fn, name, parameter) -> None:
    with tenfold.no_grad():
        applied = fn(parameter)
    gradient = parameter.grad  # read first: the parameter may be replaced
    if applied is parameter:
        pass
    elif is_lazy(parameter) or applied.device.type == parameter.device.type:
        parameter.data = applied
    else:
        parameter = Parameter(applied, parameter.requires_grad)
        self._own("_parameters")[name] = parameter
    if gradient is not None:
        with tenfold.no_grad():
            applied = fn(gradient)
        parameter.grad = applied.requires_grad_(gradient.requires_grad)


def to(self, *args, **kwargs):
    """Move the tree to a device, convert its floating-point tensors to a dtype, or both; in place.

    Called as `to(device=None, dtype=None, non_blocking=False)`, `to(dtype)`, `to(tensor)` or
    `to(memory_format=...)`, the last for parameters with 4 or 5 dims.

    Returns: self.
    Raises: TypeError if the dtype is neither floating point nor complex.
    """
    device, dtype, non_blocking, memory_format = _parse_to(*args, **kwargs)
    if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
        raise TypeError(f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}")

    def convert(tensor):
        wanted = {"non_blocking": non_blocking}
        if device is not None:
            wanted["device"] = device
        if dtype is not None and (tensor.is_floating_point() or tensor.is_complex()):
            wanted["dtype"] = dtype
        if memory_format is not None and tensor.dim() in (4, 5):
            wanted["memory_format"] = memory_format
        return tensor.to(**wanted)

    return self._apply(convert)


def to_empty(self, *, device, recurse: bool = True):
    """Move the tree to a device without its values: the new tensors are not initialised. Returns self."""
    return self._apply(lambda tensor: tenfold.empty_like(tensor, device=device), recurse=recurse)


def cpu(self):
    """Move the tree to the CPU. Returns self."""
    return self._apply(lambda tensor: tensor.cpu())


def cuda(self, device=None):
    """Move the tree to a GPU, the current one unless `device` says which. Returns self."""
    return self._apply(lambda tensor: tensor.cuda(device))


def ipu(self, device=None):
    """Move the tree to an IPU: tenfold has no backend for one, so this raises the error of `Tensor.to`."""
    return _to_accelerator(self, "ipu", device)


def xpu(self, device=None):
    """Move the tree to an XPU: tenfold has no backend for one, so this raises the error of `Tensor.to`."""
    return _to_accelerator(self, "xpu", device)


def mtia(self, device=None):
    """Move the tree to MTIA: tenfold has no backend for it, so this raises the error of `Tensor.to`."""
    return _to_accelerator(self, "mtia", device)


def _to_accelerator(self, kind, device):
    place = kind if device is None else tenfold.device(kind, device) if isinstance(device, int) else device
    return self._apply(lambda tensor: tensor.to(place))


def type_(self, dst_type):
    """Convert every parameter and buffer, integers too, to `dst_type`. Returns self."""
    return self._apply(lambda tensor: tensor.type(dst_type))


def float_(self):
    """Convert the floating-point tensors of the tree to float32. Returns self."""
    return _convert_floats(self, tenfold.float32)


def double(self):
    """Convert the floating-point tensors of the tree to float64. Returns self."""
    return _convert_floats(self, tenfold.float64)


def half(self):
    """Convert the floating-point tensors of the tree to float16. Returns self."""
    return _convert_floats(self, tenfold.float16)


def bfloat16(self):
    """Convert the floating-point tensors of the tree to bfloat16. Returns self."""
    return _convert_floats(self, tenfold.bfloat16)


def _convert_floats(self, dtype):
    return self._apply(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)


def share_memory(self):
    """Put the tree's tensors into memory that several processes share. Returns self."""
    return self._apply(lambda tensor: tensor.share_memory_())


# --- the arguments of Module.to ---------------------------------------------------------------------------


def _parse_to(*args, **kwargs):
    """(device, dtype, non_blocking, memory_format) from the arguments of `Module.to`, in any of its forms."""
    memory_format = kwargs.pop("memory_format", None)
    parse = _to_parser(args, kwargs)
    try:
        device, dtype, non_blocking, copy = parse(*args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"to() received an invalid combination of arguments - got {_shown_arguments(args, kwargs)}: {error}. "
            "It takes (device, dtype, non_blocking), (dtype, non_blocking) or (tensor, non_blocking)."
        ) from None
    if copy:
        raise RuntimeError(".to() does not accept copy argument: a module is converted in place.")
    if device is not None and not isinstance(device, tenfold.device):
        device = tenfold.device(device)
    return device, dtype, non_blocking, memory_format


def _to_parser(args, kwargs):
    first = args[0] if args else None
    if isinstance(first, tenfold.dtype):
        return _to_dtype
    if isinstance(first, Tensor) or "tensor" in kwargs:
        return _to_tensor
    return _to_device


def _to_device(device=None, dtype=None, non_blocking=False, copy=False):
    if dtype is not None and not isinstance(dtype, tenfold.dtype):
        raise TypeError(f"dtype is a {type(dtype).__name__}")
    return device, dtype, non_blocking, copy


def _to_dtype(dtype, non_blocking=False, copy=False):
    if not isinstance(non_blocking, bool):
        raise TypeError(f"non_blocking is a {type(non_blocking).__name__}")
    return None, dtype, non_blocking, copy


def _to_tensor(tensor, non_blocking=False, copy=False):
    return tensor.device, tensor.dtype, non_blocking, copy


def _shown_arguments(args, kwargs) -> str:
    shown = [type(a).__name__ for a in args] + [f"{name}={type(a).__name__}" for name, a in kwargs.items()]
    return "(" + ", ".join(shown) + ")"
