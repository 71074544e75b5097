"""What a case of making_cases gave, in a form that goes into a file."""

from __future__ import annotations

import numpy as np


def describe(torch, x):
    """A value as lists, numbers and text; a tensor with dtype, shape, strides and whether it requires grad."""
    if isinstance(x, torch.Tensor):
        head = [str(x.dtype), list(x.shape), list(x.stride()), x.requires_grad]
        return {"tensor": head, "values": None if x.is_meta else plain(x.detach().tolist())}
    if isinstance(x, (list, tuple)) and not isinstance(x, torch.Size):
        return [describe(torch, y) for y in x]
    if isinstance(x, (np.ndarray, np.generic)):
        return {"array": str(x.dtype), "values": plain(x.tolist())}
    return plain(x) if isinstance(x, (bool, int, float, complex)) else str(x)


def plain(x):
    """Nested numbers, the complex ones as pairs."""
    if isinstance(x, list):
        return [plain(y) for y in x]
    return [x.real, x.imag] if isinstance(x, complex) else x


def answers(cases, torch) -> list:
    """What each check of a function of cases gives, or the type of its error; each begins with seed 0."""
    found: list = []

    def check(f):
        torch.manual_seed(0)
        try:
            found.append(describe(torch, f()))
        except Exception as e:
            found.append({"error": type(e).__name__})

    cases(torch, check)
    return found


def differences(got, want, where: str = "") -> list[str]:
    """Where two answers differ; floats are compared within a few units of float32's precision."""
    if isinstance(want, dict) and isinstance(got, dict) and want.keys() == got.keys():
        return [d for k in want for d in differences(got[k], want[k], f"{where}.{k}")]
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        return [d for i, (g, w) in enumerate(zip(got, want)) for d in differences(g, w, f"{where}[{i}]")]
    if isinstance(want, float) and isinstance(got, float):
        same = want == got or (want != want and got != got) or abs(want - got) <= 2e-6 * max(1.0, abs(want))
        return [] if same else [f"{where}: {got} instead of {want}"]
    return [] if got == want and type(got) is type(want) else [f"{where}: {got!r} instead of {want!r}"]
