"""Holds the outcome of a program against another's, and says the first difference with the program to paste."""

import numpy as np

from .exactness import MANTISSA

LOOSE = 64  # units in the last place, of the largest magnitude that a value may have had


class Different(AssertionError):
    """The outcomes differ; the message holds the program."""


def difference(expected, got):
    """The first difference in words, or None."""
    for what in (steps_difference, metadata_difference, values_difference, gradients_difference):
        found = what(expected, got)
        if found:
            return found
    return None


def steps_difference(expected, got):
    for at, (e, g) in enumerate(zip(expected.steps, got.steps, strict=True)):
        if e == "relaxed":
            continue
        same = e[0] == g[0] and abs(e[1] - g[1]) <= 1e-6 * abs(e[1]) if e[0] == "read" else list(e) == list(g)
        if not same:
            last = {len(expected.steps) - 2: " (the gradients)", len(expected.steps) - 1: " (reading)"}
            return f"step {at}{last.get(at, '')} gives {g} instead of {e}"
    return None


def metadata_difference(expected, got):
    words = ("name", "dtype", "shape", "strides (of dims longer than 1)", "storage offset", "requires_grad")
    for e, g in zip(expected.metadata, got.metadata):
        for word, a, b in zip(words, e, g, strict=True):
            if word == "requires_grad" and e[1] not in MANTISSA:
                continue  # PyTorch lets an integer tensor require grad once a result that does was written into it
            if a != b:
                return f"{e[0]}: {word} {b} instead of {a}"
    if len(expected.metadata) != len(got.metadata):
        return f"{len(got.metadata)} results instead of {len(expected.metadata)}"
    return None


def values_difference(expected, got):
    rows = zip(expected.names, expected.values, got.values, expected.bounds, strict=True)
    for name, e, g, (high, exact) in rows:
        bound = 0.0 if exact else LOOSE * 2.0**high * unit(expected)
        found = array_difference(e, g, bound)
        if found:
            return f"{name}{found}"
    return None


def gradients_difference(expected, got):
    if expected.steps[-2] == "relaxed":
        return None
    high = max((h for h, _ in expected.bounds), default=0)
    for i, (e, g) in enumerate(zip(expected.gradients, got.gradients, strict=True)):
        if e is None or g is None:
            if e is not g:
                there, here = ("None" if x is None else "a tensor" for x in (e, g))
                return f"gradient of leaf {i}: {here} instead of {there}"
            continue
        size = float(np.abs(np.nan_to_num(e, posinf=0, neginf=0)).max(initial=1))
        found = array_difference(e, g, LOOSE * unit(expected) * size * 2.0 ** min(high, 12))
        if found:
            return f"gradient of leaf {i}{found}"
    return None


def unit(outcome):
    """The unit in the last place of 1 in the coarsest format that the program uses."""
    return 2.0 ** -min([MANTISSA[m[1]] for m in outcome.metadata if m[1] in MANTISSA], default=52)


def array_difference(e, g, bound):
    if e.shape != g.shape:
        return f": shape {g.shape} instead of {e.shape}"
    with np.errstate(all="ignore"):
        a, b = e.astype(np.float64), g.astype(np.float64)
        close = (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= bound)
    if close.all():
        return None
    at = tuple(int(i) for i in np.argwhere(~close)[0])
    return f"{list(at) if at else ''}: {g[at].item()!r} instead of {e[at].item()!r}"


def listing(program, outcome, imported):
    """The program as statements to paste, with the abstract one below it."""
    head = [
        f"import {imported} as torch" if imported != "torch" else "import torch",
        "import numpy as np",
        "def weight(t, i):",
        "    return torch.tensor(np.random.default_rng(i).integers(-6, 7, tuple(t.shape)) / 4, dtype=t.dtype)",
    ]
    return "\n".join([*head, *outcome.lines, f"# as drawn: {program!r}"])


def require_equal(program, expected, got, imported="tenfold"):
    """Raises Different at the first difference."""
    found = difference(expected, got)
    if found:
        raise Different(f"{found}\n\n{listing(program, got, imported)}")


def require_identical(program, one, other):
    """Raises Different unless the outcomes are the same bit for bit."""
    require_equal(program, one, other)
    leaves = [f"gradient of leaf {i}" for i in range(len(one.gradients))]
    rows = zip([*one.names, *leaves], one.values + one.gradients, other.values + other.gradients, strict=True)
    for name, e, g in rows:
        same = e is g if e is None or g is None else e.dtype == g.dtype and e.tobytes() == g.tobytes()
        if not same:
            raise Different(f"{name}: {g} instead of {e}\n\n{listing(program, one, 'tenfold')}")
