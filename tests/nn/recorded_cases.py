"""Cases: functions of the library, run under PyTorch once and recorded, then under tenfold in the tests.

Values come from formulas (`wave`), so that no case depends on random numbers.
"""

from __future__ import annotations

import json
import math
import warnings

CASES = {}


def case(name):
    """Registers a function of the library (`torch` or tenfold) as a case."""

    def register(f):
        CASES[name] = f
        return f

    return register


# --- deterministic values ----------------------------------------------------------------------------------


def wave(torch, *shape, phase=0.0, scale=1.0):
    """A float64 tensor whose elements are sines: no two alike, all within `scale`."""
    count = 1
    for n in shape:
        count *= n
    return (torch.arange(count, dtype=torch.float64) * 0.7 + phase).sin().reshape(shape) * scale


def filled(torch, module, scale=0.6):
    """The module in float64, parameters set by formula."""
    module = module.double()
    with torch.no_grad():
        for k, p in enumerate(module.parameters()):
            p.copy_(wave(torch, *p.shape, phase=1.3 * k, scale=scale))
    return module


def leaf(torch, *shape, phase=0.0):
    return wave(torch, *shape, phase=phase).requires_grad_()


def tensors_in(torch, tree):
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, (list, tuple)):
        return [t for x in tree for t in tensors_in(torch, x)]
    return []


def with_gradients(torch, results, leaves):
    """The results, and the gradients that weights which differ from element to element give the leaves."""
    outputs = [t for t in tensors_in(torch, results) if t.requires_grad]
    loss = sum((t * wave(torch, *t.shape, phase=0.4 + k)).sum() for k, t in enumerate(outputs))
    grads = torch.autograd.grad(loss, leaves, allow_unused=True)
    # Strides of a gradient show how it was computed, and are not compared.
    return tensors_in(torch, results), [None if g is None else g.contiguous() for g in grads]


def error_of(f):
    """The name of the exception's type."""
    try:
        f()
    except Exception as e:
        return type(e).__name__
    return "none"


# --- answers ------------------------------------------------------------------------------------------------


def number(v):
    """Floats with ten digits, which keeps the file small; as text where JSON has no such number."""
    if not isinstance(v, float):
        return v
    return float(f"{v:.10g}") if math.isfinite(v) else repr(v)


def plain(torch, x):
    """The answer as JSON: tensors by dtype, shape, strides and values."""
    if isinstance(x, torch.Tensor):
        values = [number(v) for v in x.detach().reshape(-1).tolist()]
        strides = [s for s, n in zip(x.stride(), x.shape, strict=True) if n > 1]
        return {"dtype": str(x.dtype).split(".")[-1], "shape": list(x.shape), "stride": strides, "values": values}
    if isinstance(x, (list, tuple)):
        return [plain(torch, y) for y in x]
    if isinstance(x, dict):
        return {k: plain(torch, v) for k, v in x.items()}
    return x


def differences(got, wanted, where="answer"):
    """Lines that say where two answers differ; floats may by rounding (sums of some dozens of float64 products)."""
    if isinstance(wanted, dict) and "values" in wanted and isinstance(got, dict):
        for key in ("dtype", "shape", "stride"):
            if got.get(key) != wanted[key]:
                yield f"{where}: {key} {got.get(key)}, PyTorch {wanted[key]}"
                return
        bound = {"float16": 1e-3, "float32": 1e-5}.get(wanted["dtype"], 1e-8)
        for i, (a, b) in enumerate(zip(got["values"], wanted["values"], strict=True)):
            if isinstance(b, float | str):
                a, b = float(a), float(b)
                same = a == b or (a != a and b != b) or abs(a - b) <= bound * max(1.0, abs(b))
            else:
                same = a == b
            if not same:
                yield f"{where}: element {i} is {a}, PyTorch {b}"
                return
    elif isinstance(wanted, dict) and isinstance(got, dict):
        for key in wanted:
            yield from differences(got.get(key), wanted[key], f"{where}[{key!r}]")
    elif isinstance(wanted, list) and isinstance(got, list):
        if len(got) != len(wanted):
            yield f"{where}: {len(got)} items, PyTorch {len(wanted)}"
        for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
            yield from differences(a, b, f"{where}[{i}]")
    elif got != wanted:
        yield f"{where}: {got!r}, PyTorch {wanted!r}"


def names(prefix):
    """The cases whose name begins so."""
    return [name for name in CASES if name.startswith(prefix)]


def record(answers):
    """Runs all cases under PyTorch and writes what it answered."""
    import torch

    warnings.simplefilter("ignore")
    found = {name: plain(torch, f(torch)) for name, f in CASES.items()}
    answers.write_text(json.dumps({"version": torch.__version__, "answers": found}, separators=(",", ":")) + "\n")


def check(torch, answers, name):
    """The lines in which the library's answer differs from PyTorch's, which that file holds."""
    wanted = json.loads(answers.read_text())["answers"][name]
    got = json.loads(json.dumps(plain(torch, CASES[name](torch))))
    return list(differences(got, wanted))
