"""Records PyTorch's results and gradients of the calls in reduction_calls.py into reductions.json (needs torch)."""

import json
import pathlib
import types
import warnings

import torch
from reduction_calls import CALLS, SHAPES, WRITTEN, complaints


def made():
    torch.manual_seed(0)
    drawn = {name: torch.randn(shape) for name, shape in SHAPES.items()}
    return drawn | {name: torch.tensor(value) for name, value in WRITTEN.items()}


def plain(t):
    """A tensor as what JSON holds."""
    values = t.double().reshape(-1).tolist()
    return {"dtype": str(t.dtype)[6:], "shape": list(t.shape), "stride": list(t.stride()), "values": values}


def tensors(result):
    return [result] if isinstance(result, torch.Tensor) else list(result)


def gradients(call, inputs):
    """Gradients of the sum of the results' squares, for the tensors that have one."""
    leaves = {n: t.clone().requires_grad_() for n, t in inputs.items() if t.is_floating_point()}
    live = [r for r in tensors(call(torch, types.SimpleNamespace(**inputs | leaves))) if r.requires_grad]
    if not live:
        return {}
    total = sum((r.double() * r.double()).sum() for r in live)
    try:
        found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    except RuntimeError:  # PyTorch has no derivative
        return {}
    return {n: g.double().reshape(-1).tolist() for n, g in zip(leaves, found) if g is not None}


def check_complaints():
    """The exceptions that the test expects are PyTorch's."""
    for name, (error, call) in complaints(torch).items():
        try:
            call()
        except Exception as e:
            assert type(e) is error, (name, e)
        else:
            raise AssertionError(name)


def main():
    warnings.simplefilter("ignore")
    check_complaints()
    inputs = made()
    cases = {}
    for name, call in CALLS.items():
        results = [plain(t) for t in tensors(call(torch, types.SimpleNamespace(**inputs)))]
        cases[name] = {"results": results, "gradients": gradients(call, inputs)}
    record = {"inputs": {n: plain(t) for n, t in inputs.items()}, "cases": cases}
    path = pathlib.Path(__file__).with_name("reductions.json")
    path.write_text(json.dumps(record, separators=(",", ":")).replace("]}}", "]}}\n") + "\n")


if __name__ == "__main__":
    main()
