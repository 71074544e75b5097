"""Flags of CUDA: kept, without effect."""

from contextlib import contextmanager as _contextmanager


class _Matmul:
    """Precision flags of products."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True


matmul = _Matmul()


def is_built() -> bool:
    """False: there is no GPU backend."""
    return False


# which implementations of scaled_dot_product_attention PyTorch may choose from; tenfold has one
_sdp = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def enable_flash_sdp(enabled: bool) -> None:
    """Sets what `flash_sdp_enabled` gives."""
    _sdp["flash"] = bool(enabled)


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Sets what `mem_efficient_sdp_enabled` gives."""
    _sdp["mem_efficient"] = bool(enabled)


def enable_math_sdp(enabled: bool) -> None:
    """Sets what `math_sdp_enabled` gives."""
    _sdp["math"] = bool(enabled)


def enable_cudnn_sdp(enabled: bool) -> None:
    """Sets what `cudnn_sdp_enabled` gives."""
    _sdp["cudnn"] = bool(enabled)


def flash_sdp_enabled() -> bool:
    """What `enable_flash_sdp` was given; True at first."""
    return _sdp["flash"]


def mem_efficient_sdp_enabled() -> bool:
    """What `enable_mem_efficient_sdp` was given; True at first."""
    return _sdp["mem_efficient"]


def math_sdp_enabled() -> bool:
    """What `enable_math_sdp` was given; True at first."""
    return _sdp["math"]


def cudnn_sdp_enabled() -> bool:
    """What `enable_cudnn_sdp` was given; True at first."""
    return _sdp["cudnn"]


def is_flash_attention_available() -> bool:
    """False: there is no GPU."""
    return False


@_contextmanager
def sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True, enable_cudnn: bool = True
):
    """Sets the four flags for the length of a block. Deprecated: use `torch.nn.attention.sdpa_kernel`."""
    before = dict(_sdp)
    _sdp.update(flash=enable_flash, math=enable_math, mem_efficient=enable_mem_efficient, cudnn=enable_cudnn)
    try:
        yield {}
    finally:
        _sdp.update(before)
