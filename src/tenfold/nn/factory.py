"""The keyword arguments with which a layer's tensors are made."""

__all__ = ["factory_kwargs"]


def factory_kwargs(kwargs: dict | None) -> dict:
    """`device`, `dtype` and `memory_format` out of a layer's `kwargs`, ready for a function like `empty`.

    Args:
        kwargs: those three, and perhaps a dict `factory_kwargs` with more. None counts as nothing.
    Raises: TypeError for any other name, and for one that is given twice.
    """
    kwargs = kwargs or {}
    found = dict(kwargs.get("factory_kwargs", {}))
    unknown = set(kwargs) - {"device", "dtype", "memory_format", "factory_kwargs"}
    if unknown:
        raise TypeError(f"unexpected kwargs {unknown}")
    for name in ("device", "dtype", "memory_format"):
        if name in kwargs:
            if name in found:
                raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
            found[name] = kwargs[name]
    return found
