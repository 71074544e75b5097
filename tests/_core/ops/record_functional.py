"""Records PyTorch's answers to the calls in functional_calls.py into functional.json (needs torch)."""

import json
import pathlib
import types
import warnings

import torch
import torch.nn.functional as F
from functional_calls import CALLS, ERRORS, SHAPES, WRITTEN


def made():
    torch.manual_seed(0)
    drawn = {name: (torch.randn(shape) * 1000).round() / 1000 for name, shape in SHAPES.items()}
    return drawn | {name: torch.tensor(value) for name, value in WRITTEN.items()}


def plain(t):
    """A tensor as what JSON holds."""
    values = [float(f"{v:.8g}") for v in t.detach().double().reshape(-1).tolist()]
    return {"dtype": str(t.dtype)[6:], "shape": list(t.shape), "stride": list(t.stride()), "values": values}


def answer(call, inputs):
    """Results, and gradients of the sum of the results' squares."""
    leaves = {n: t.clone().requires_grad_(t.is_floating_point()) for n, t in inputs.items()}
    torch.manual_seed(1)
    results = call(F, torch, types.SimpleNamespace(**leaves))
    results = [results] if isinstance(results, torch.Tensor) else list(results)
    live = [r for r in results if r.requires_grad]
    if live:
        sum((r.double() * r.double()).sum() for r in live).backward()
    gradients = {n: plain(t.grad)["values"] for n, t in leaves.items() if t.grad is not None}
    return {"results": [plain(r) for r in results], "gradients": gradients}


def error(name, call, inputs):
    try:
        call(F, torch, types.SimpleNamespace(**inputs))
    except Exception as e:
        return type(e).__name__
    raise AssertionError("PyTorch raised nothing: " + name)


def main():
    warnings.simplefilter("ignore")
    inputs = made()
    record = {
        "inputs": {n: plain(t) for n, t in inputs.items()},
        "cases": {name: answer(call, inputs) for name, call in CALLS.items()},
        "errors": {name: error(name, call, inputs) for name, call in ERRORS.items()},
    }
    path = pathlib.Path(__file__).with_name("functional.json")
    path.write_text(json.dumps(record, separators=(",", ":")).replace("]}}", "]}}\n") + "\n")


if __name__ == "__main__":
    main()
