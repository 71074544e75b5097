"""Exchange of tensors with other libraries, without a copy, through the DLPack protocol."""

import enum
from typing import Any

import tenfold

__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]


class DLDeviceType(enum.IntEnum):
    """Kinds of devices, numbered as in the DLPack standard."""

    kDLCPU = 1
    kDLCUDA = 2
    kDLCUDAHost = 3
    kDLOpenCL = 4
    kDLVulkan = 7
    kDLMetal = 8
    kDLVPI = 9
    kDLROCM = 10
    kDLROCMHost = 11
    kDLExtDev = 12
    kDLCUDAManaged = 13
    kDLOneAPI = 14
    kDLWebGPU = 15
    kDLHexagon = 16
    kDLMAIA = 17


def from_dlpack(ext_tensor: Any, *, device=None, copy: bool | None = None) -> "tenfold.Tensor":
    """A tensor on the memory of another library's array.

    Args:
        ext_tensor: anything with `__dlpack__`, or a capsule that this gave.
        device: where the tensor shall be. Default None: where the array is.
        copy: True: always copy; False: never. Default None: only if it must.
    """
    if device is None and copy is None:
        return tenfold.from_dlpack(ext_tensor)
    return tenfold.from_dlpack(ext_tensor, device=device, copy=copy)


def to_dlpack(tensor: "tenfold.Tensor"):
    """A DLPack capsule on the tensor's memory, which one consumer may take."""
    return tensor.__dlpack__()
