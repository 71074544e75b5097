"""Comparing tensors in tests: assert_close. And make_tensor, tensors of random numbers in a range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import tenfold as torch

__all__ = ["assert_allclose", "assert_close", "make_tensor"]

# dtype -> (rtol, atol); other dtypes are compared exactly
_TOLERANCES = {
    torch.float16: (1e-3, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
    torch.float32: (1.3e-6, 1e-5),
    torch.float64: (1e-7, 1e-7),
    torch.complex64: (1.3e-6, 1e-5),
    torch.complex128: (1e-7, 1e-7),
}
_NUMBERS = (bool, int, float, complex)
_DTYPE_OF = {bool: torch.bool, int: torch.int64, float: torch.float64, complex: torch.complex128}


@dataclass
class _Options:
    """What assert_close was asked for, beyond the values."""

    allow_subclasses: bool
    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_device: bool
    check_dtype: bool
    check_stride: bool


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raises AssertionError unless ``|actual - expected| <= atol + rtol * |expected|``, and shape, dtype and device agree.

    Args:
        actual, expected: tensors, arrays, numbers, or sequences and mappings of these.
        rtol, atol: both, or neither: then by the dtype (float32: 1.3e-6 and 1e-5).
        equal_nan: whether nan equals nan. Default False.
        check_device, check_dtype, check_layout, check_stride: whether these must agree.
        msg: the error's text, or a function of the text that it would have.
    """
    if (rtol is None) != (atol is None):
        missing = "rtol" if rtol is None else "atol"
        raise ValueError(f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}.")
    options = _Options(allow_subclasses, rtol, atol, equal_nan, check_device, check_dtype, check_stride)
    found = _compare(actual, expected, options, ())
    if found is not None:
        raise AssertionError(found if msg is None else msg(found) if callable(msg) else msg)


def _compare(actual: Any, expected: Any, options: _Options, path: tuple) -> str | None:
    """What is wrong with a pair of values, or None."""
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        return _compare_mappings(actual, expected, options, path)
    if _is_sequence(actual) and _is_sequence(expected):
        return _compare_sequences(actual, expected, options, path)
    if actual is None and expected is None:
        return None
    found = _compare_leaves(actual, expected, options)
    if found is None or not path:
        return found
    return f"{found}\n\nThe failure occurred for item {''.join(f'[{k!r}]' for k in path)}"


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, str)


def _compare_mappings(actual: Mapping, expected: Mapping, options: _Options, path: tuple) -> str | None:
    missing = [k for k in expected if k not in actual]
    more = [k for k in actual if k not in expected]
    if missing or more:
        return (
            "The keys of the mappings do not match:\n"
            f"Missing keys in the actual mapping: {missing}\nAdditional keys in the actual mapping: {more}"
        )
    found = (_compare(actual[k], expected[k], options, (*path, k)) for k in expected)
    return next((f for f in found if f is not None), None)


def _compare_sequences(actual: Sequence, expected: Sequence, options: _Options, path: tuple) -> str | None:
    if len(actual) != len(expected):
        return f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
    found = (_compare(a, e, options, (*path, i)) for i, (a, e) in enumerate(zip(actual, expected)))
    return next((f for f in found if f is not None), None)


def _compare_leaves(actual: Any, expected: Any, options: _Options) -> str | None:
    if isinstance(actual, (bool, np.bool_)) and isinstance(expected, (bool, np.bool_)):
        return None if bool(actual) == bool(expected) else f"Booleans mismatch: {actual} is not {expected}"
    if isinstance(actual, _NUMBERS) and isinstance(expected, _NUMBERS):
        return _compare_numbers(actual, expected, options)
    both = (torch.Tensor, np.ndarray, np.generic)
    related = options.allow_subclasses or type(actual) is type(expected)
    if isinstance(actual, both) and isinstance(expected, both) and related and _alike(actual, expected):
        return _compare_tensors(torch.as_tensor(actual), torch.as_tensor(expected), options)
    raise TypeError(f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.")


def _alike(actual: Any, expected: Any) -> bool:
    return isinstance(actual, torch.Tensor) == isinstance(expected, torch.Tensor)


def _tolerances(a: torch.dtype, b: torch.dtype, options: _Options) -> tuple[float, float]:
    """The looser of two dtypes' tolerances, unless others were given."""
    if options.rtol is not None and options.atol is not None:
        return options.rtol, options.atol
    first, second = (_TOLERANCES.get(d, (0.0, 0.0)) for d in (a, b))
    return max(first[0], second[0]), max(first[1], second[1])


def _compare_numbers(actual: Any, expected: Any, options: _Options) -> str | None:
    if options.check_dtype and type(actual) is not type(expected):
        return f"The (d)types do not match: {type(actual)} != {type(expected)}."
    rtol, atol = _tolerances(_DTYPE_OF[type(actual)], _DTYPE_OF[type(expected)], options)
    apart = abs(actual - expected)
    if actual == expected or apart <= atol + rtol * abs(expected):
        return None
    if options.equal_nan and actual != actual and expected != expected:
        return None
    relative = apart / abs(expected) if expected else math.inf
    return _number_text(actual, expected, apart, relative, rtol, atol)


def _number_text(actual, expected, apart, relative, rtol: float, atol: float) -> str:
    exact = rtol == 0 and atol == 0
    allowed = ("", "") if exact else (f" (up to {atol} allowed)", f" (up to {rtol} allowed)")
    return (
        f"Scalars are not {'equal' if exact else 'close'}!\n\nExpected {expected} but got {actual}.\n"
        f"Absolute difference: {apart}{allowed[0]}\nRelative difference: {relative}{allowed[1]}"
    )


def _compare_tensors(actual: torch.Tensor, expected: torch.Tensor, options: _Options) -> str | None:
    if actual.shape != expected.shape:
        return f"The values for attribute 'shape' do not match: {actual.shape} != {expected.shape}."
    if options.check_device and actual.device != expected.device:
        return f"The values for attribute 'device' do not match: {actual.device} != {expected.device}."
    if options.check_dtype and actual.dtype != expected.dtype:
        return f"The values for attribute 'dtype' do not match: {actual.dtype} != {expected.dtype}."
    if options.check_stride and actual.stride() != expected.stride():
        return f"The values for attribute 'stride()' do not match: {actual.stride()} != {expected.stride()}."
    rtol, atol = _tolerances(actual.dtype, expected.dtype, options)
    if actual.is_meta or expected.is_meta:
        raise NotImplementedError("assert_close: tensors on the meta device have no values to compare")
    return _compare_values(_wide(actual), _wide(expected), rtol, atol, options.equal_nan)


def _wide(t: torch.Tensor) -> np.ndarray:
    """The elements as int64, float64 or complex128."""
    t = t.detach()
    if t.is_complex():
        return t.to(torch.complex128).numpy()
    return t.to(torch.float64 if t.is_floating_point() else torch.int64).numpy()


def _compare_values(a: np.ndarray, e: np.ndarray, rtol: float, atol: float, equal_nan: bool) -> str | None:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        apart = np.abs(a - e)
        close = (a == e) | (np.isfinite(apart) & (apart <= atol + rtol * np.abs(e)))
        if equal_nan and a.dtype.kind != "i":
            close |= np.isnan(a) & np.isnan(e)
        if close.all():
            return None
        apart = np.where(close, 0, apart)
        relative = np.where(close, 0, np.where(e != 0, apart / np.abs(e), np.inf))
    if a.ndim == 0:
        return _number_text(a.item(), e.item(), apart.item(), relative.item(), rtol, atol)
    exact = rtol == 0 and atol == 0
    bad = int((~close).sum())
    lines = [
        f"Tensor-likes are not {'equal' if exact else 'close'}!\n",
        f"Mismatched elements: {bad} / {a.size} ({bad / a.size:.1%})",
    ]
    for kind, values, allowed in (("absolute", apart, atol), ("relative", relative, rtol)):
        place = tuple(int(i) for i in np.unravel_index(int(np.argmax(values)), values.shape))
        more = "" if exact else f" (up to {allowed} allowed)"
        lines.append(f"Greatest {kind} difference: {values[place].item()} at index {place}{more}")
    return "\n".join(lines)


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """Deprecated: `assert_close` without checks of device, dtype and strides, and with wider default tolerances."""
    if not isinstance(actual, torch.Tensor):
        actual = torch.tensor(actual)
    if not isinstance(expected, torch.Tensor):
        expected = torch.tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        limits = {torch.float16: (1e-3, 1e-3), torch.float32: (1e-4, 1e-5), torch.float64: (1e-5, 1e-8)}
        found = [limits.get(t.dtype, (0.0, 0.0)) for t in (actual, expected)]
        rtol, atol = (max(pair) for pair in zip(*found))
    loose = {"check_device": True, "check_dtype": False, "check_stride": False}
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, msg=msg or None, **loose)


def make_tensor(
    *shape,
    dtype: torch.dtype,
    device="cpu",
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: torch.memory_format | None = None,
) -> torch.Tensor:
    """A tensor of random numbers from [low, high).

    Args:
        low, high: default -9 and 9 (0 and 10 for integers below int64's, 0 and 2 for bool).
        noncontiguous: whether the elements lie apart in memory.
        exclude_zero: whether zeros are replaced by a small number.
    """
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    whole = not (dtype.is_floating_point or dtype.is_complex)
    if low is None:
        low = 0 if dtype in (torch.bool, torch.uint8) else -9
    if high is None:
        high = 2 if dtype is torch.bool else 10 if whole else 9
    if low >= high:
        raise ValueError(f"make_tensor: low = {low} must be below high = {high}")
    if noncontiguous and memory_format is not None:
        raise ValueError("make_tensor: noncontiguous and memory_format exclude each other")
    made = sizes if not noncontiguous or not sizes else (*sizes[:-1], 2 * sizes[-1])
    t = torch.empty(made, dtype=dtype, device=device)
    if whole:
        t.random_(math.ceil(low), math.ceil(high))
    elif dtype.is_complex:
        torch.view_as_real(t).uniform_(low, high)
    else:
        t.uniform_(low, high)
    if noncontiguous and sizes:
        t = t[..., ::2]
    if exclude_zero:
        t[t == 0] = 1 if whole else torch.finfo(dtype).tiny
    if memory_format is not None:
        t = t.contiguous(memory_format=memory_format)
    return t.requires_grad_(requires_grad)
