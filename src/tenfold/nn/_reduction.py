"""The arguments `size_average` and `reduce` of old programs, in today's terms."""

import warnings

__all__ = ["legacy_get_string"]


def legacy_get_string(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> str:
    """The `reduction` that the two old arguments stand for; None counts as True."""
    if reduce is False:
        reduction = "none"
    else:
        reduction = "sum" if size_average is False else "mean"
    if emit_warning:
        warnings.warn(
            "size_average and reduce args will be deprecated, please use "
            f"reduction='{reduction}' instead of size_average={size_average}, reduce={reduce}.",
            stacklevel=3,
        )
    return reduction
