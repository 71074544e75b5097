"""Flags of CUDA: kept, without effect."""


class _Matmul:
    """Precision flags of products."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True


matmul = _Matmul()


def is_built() -> bool:
    """False: there is no GPU backend."""
    return False
