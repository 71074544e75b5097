"""The text of a tensor, exactly as PyTorch prints it, made from a plain NumPy array.

What comes in: an array (or only a shape, for the meta device) and the facts that stand behind the numbers
(dtype, grad_fn, device). What goes out: the string that `repr` gives. A big tensor is cut down to its edges first and
formatted after, so that printing costs what is shown, not what is stored.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["format_scalar", "format_tensor", "get_printoptions", "printoptions", "set_printoptions"]


@dataclasses.dataclass
class PrintOptions:
    """How numbers are printed; `sci_mode=None` leaves the choice of scientific notation to the values."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}

_options = PrintOptions()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed, for the whole process.

    Args:
        precision: digits after the point of floating-point numbers. Default 4.
        threshold: number of elements above which only the edges are shown. Default 1000.
        edgeitems: items shown at each edge of a dim that is cut. Default 3.
        linewidth: characters in a line before it is wrapped. Default 80.
        profile: "default", "short" or "full" sets the four above; given options override it.
        sci_mode: force (True) or forbid (False) scientific notation. None, also when left out, lets the values decide.
    """
    if profile is not None:
        for name, value in _PROFILES.get(profile, {}).items():
            setattr(_options, name, value)
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        if value is not None:
            setattr(_options, name, value)
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """Return the options in force, as a dict of keyword arguments of `set_printoptions`."""
    return dataclasses.asdict(_options)


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Set the given options inside a `with` block and put the old ones back at its end."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


# ---- numbers ----


class _Whole:
    """Integers and booleans: their own text, padded to the widest."""

    def __init__(self, values: np.ndarray):
        self.width = max((len(str(value)) for value in values.ravel().tolist()), default=1)

    def __call__(self, value: Any) -> str:
        return str(value).rjust(self.width)


class _Floating:
    """Floating-point numbers: one notation and one width for all that are shown.

    The notation follows from the finite non-zero values: whole numbers print as `1.`, a wide range as `1.0000e+00`.
    """

    def __init__(self, values: np.ndarray):
        precision = _options.precision
        flat = values.astype(np.float64).ravel()
        flat = flat[np.isfinite(flat) & (flat != 0)]
        self.whole = bool(np.all(flat == np.floor(flat)))
        self.scientific = flat.size > 0 and _has_wide_range(np.abs(flat), self.whole)
        if flat.size > 0 and _options.sci_mode is not None:
            self.scientific = _options.sci_mode
        widths = (len(_notation(value, precision, self.whole, self.scientific)) for value in flat.tolist())
        self.width = max(widths, default=1)
        self.precision = precision

    def __call__(self, value: float) -> str:
        return _notation(value, self.precision, self.whole, self.scientific).rjust(self.width)


def _has_wide_range(magnitudes: np.ndarray, whole: bool) -> bool:
    smallest = magnitudes.min()
    largest = magnitudes.max()
    with np.errstate(over="ignore"):
        spread = largest / smallest
    return bool(spread > 1000.0 or largest > 1.0e8 or (not whole and smallest < 1.0e-4))


def _notation(value: float, precision: int, whole: bool, scientific: bool) -> str:
    if scientific:
        return f"{value:.{precision}e}"
    if not whole:
        return f"{value:.{precision}f}"
    text = f"{value:.0f}"
    return text + "." if math.isfinite(value) else text


class _Complex:
    """Complex numbers: each part has a notation and width of its own; the sign of the second joins them."""

    def __init__(self, values: np.ndarray):
        self.real = _Floating(values.real)
        self.imag = _Floating(values.imag)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value: complex) -> str:
        imag = self.imag(value.imag).lstrip() + "j"
        sign = "" if imag[0] in "+-" else "+"
        return self.real(value.real) + sign + imag


def _number_format(values: np.ndarray) -> _Whole | _Floating | _Complex:
    if values.dtype.kind == "c":
        return _Complex(values)
    if values.dtype.kind == "f":
        return _Floating(values)
    return _Whole(values)


# ---- nesting ----


def _is_cut(length: int, summarize: bool) -> bool:
    return summarize and length > 2 * _options.edgeitems


def _edges(array: np.ndarray) -> np.ndarray:
    """The elements of a summarised array that are shown: the first and last `edgeitems` along each long dim."""
    edge = _options.edgeitems
    kept = [
        np.concatenate([np.arange(edge), np.arange(length - edge, length)])
        if _is_cut(length, True)
        else np.arange(length)
        for length in array.shape
    ]
    return array[np.ix_(*kept)]


def _exact_values(array: np.ndarray, dtype_name: str) -> np.ndarray:
    """bfloat16 in its memory form (uint16) as float32; everything else as it is."""
    if dtype_name == "bfloat16" and array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _nested_text(shown: np.ndarray, shape: tuple[int, ...], number: Any, summarize: bool, indent: int) -> str:
    """Brackets around `shown`, the visible part of a tensor of `shape`, whose first line starts at column `indent`."""
    if not shape:
        return number(shown.item())
    cut = _is_cut(shape[0], summarize)
    if len(shape) == 1:
        items = [number(value) for value in shown.tolist()]
        mark = " ..."
    else:
        items = [_nested_text(part, shape[1:], number, summarize, indent + 1) for part in shown]
        mark = "..."
    if cut:
        items.insert(_options.edgeitems, mark)
    margin = " " * (indent + 1)
    if len(shape) > 1:
        return "[" + ("," + "\n" * (len(shape) - 1) + margin).join(items) + "]"
    per_line = max(1, int((_options.linewidth - indent) / max(1, number.width + 2)))
    lines = [", ".join(items[start : start + per_line]) for start in range(0, len(items), per_line)]
    return "[" + (",\n" + margin).join(lines) + "]"


def _array_text(array: np.ndarray, dtype_name: str, indent: int) -> str:
    summarize = array.size > _options.threshold
    if summarize and _options.edgeitems == 0 and array.ndim > 0:
        return "[...]"
    shown = _edges(array) if summarize else array
    shown = _exact_values(shown, dtype_name)
    return _nested_text(shown, array.shape, _number_format(shown), summarize, indent)


# ---- the whole text ----


def _needs_no_dtype(dtype_name: str, default_dtype_name: str, empty: bool) -> bool:
    if dtype_name == default_dtype_name:
        return True
    if empty:
        return False
    default_complex = "complex128" if default_dtype_name == "float64" else "complex64"
    return dtype_name in ("int64", "bool", default_complex)


def append_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """Add `, suffix` for each suffix, on a new line where the current one would become too long, and close."""
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            column = indent + len(suffix)
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text + ")"


def format_tensor(
    array: np.ndarray | None,
    dtype_name: str,
    *,
    default_dtype_name: str = "float32",
    requires_grad: bool = False,
    grad_fn_name: str | None = None,
    is_parameter: bool = False,
    device: str = "cpu",
    shape: tuple[int, ...] | None = None,
    type_name: str = "tensor",
) -> str:
    """Return the text that `repr` gives for a tensor.

    Args:
        array: the values, in any strides; bfloat16 as float32 or as its uint16 memory form. None on the meta device.
        dtype_name: the tensor's dtype, as "float32".
        default_dtype_name: the dtype that is not worth mentioning.
        requires_grad: shown where there is no `grad_fn_name`.
        grad_fn_name: name of the node that made the tensor, as "AddBackward0".
        is_parameter: put `Parameter containing:` above.
        device: shown unless "cpu"; "meta" shows `...` and the size.
        shape: shape of a tensor without array.
        type_name: the class's name for a subclass of Tensor.
    """
    dims = tuple(int(size) for size in (array.shape if shape is None else shape))
    prefix = type_name + "("
    suffixes = []
    if device != "cpu":
        suffixes.append(f"device='{device}'")
    empty = 0 in dims
    if array is None:
        suffixes.append(f"size={dims}")
        body = "..."
        hide_dtype = dtype_name == default_dtype_name
    elif empty:
        if len(dims) != 1:
            suffixes.append(f"size={dims}")
        body = "[]"
        hide_dtype = _needs_no_dtype(dtype_name, default_dtype_name, empty=True)
    else:
        if _options.edgeitems == 0:
            suffixes.append(f"size={dims}")
        body = _array_text(array, dtype_name, len(prefix))
        hide_dtype = _needs_no_dtype(dtype_name, default_dtype_name, empty=False)
    if not hide_dtype:
        suffixes.append(f"dtype=torch.{dtype_name}")
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn=<{grad_fn_name}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    text = append_suffixes(prefix + body, suffixes, len(prefix))
    return "Parameter containing:\n" + text if is_parameter else text


def format_scalar(value: Any, spec: str) -> str:
    """Return `format(tensor, spec)` of a 0-d tensor whose `item()` is `value`."""
    return format(value, spec)
