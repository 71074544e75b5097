"""Records what PyTorch prints for a fixed set of tensors into printing.json (run with a Python that has torch)."""

import base64
import json
import pathlib
import random

import numpy as np
import torch

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]
DTYPES += ["complex64", "complex128"]
SHAPES = [(), (1,), (3,), (12,), (40,), (0,), (0, 3), (2, 0), (2, 3), (9, 2), (2, 3, 4), (2, 1, 2, 3), (52,)]
SHAPES += [(8, 9), (3, 400), (7, 7, 30)]
OPTIONS = [{}, {}, {}, {"precision": 2}, {"threshold": 5}, {"threshold": 5, "edgeitems": 1}, {"linewidth": 40}]
OPTIONS += [{"sci_mode": True}, {"sci_mode": False}, {"profile": "short"}, {"edgeitems": 0, "threshold": 5}]
SPECIAL = [float("nan"), float("inf"), -float("inf"), 0.0, -0.0]


def numbers(rng, count):
    values = rng.standard_normal(count)
    kind = rng.integers(0, 6)
    if kind == 0:
        return np.round(values * 10)
    if kind == 1:
        return values * 10.0 ** rng.integers(-8, 10, count)
    if kind == 2:
        return values * 1e-5
    if kind == 3:
        return rng.choice([0, 1, 10, 999, 1000, 1001, 0.5, 1e-4, 1e8, 100000001.0], count)
    if kind == 4:
        return np.zeros(count)
    return values


def tensor(rng, name, shape):
    dtype = getattr(torch, name)
    count = int(np.prod(shape))
    if name == "bool":
        values = rng.integers(0, 2, count)
    elif not dtype.is_floating_point and not dtype.is_complex:
        values = rng.integers(0 if name == "uint8" else -100, rng.choice([5, 120]), count)
    elif dtype.is_complex:
        values = numbers(rng, count) + 1j * numbers(rng, count)
    else:
        values = numbers(rng, count)
    result = torch.tensor(values.reshape(shape)).to(dtype)
    if values.dtype.kind in "fc" and count and rng.random() < 0.3:
        result[torch.tensor(rng.random(shape) < 0.4)] = rng.choice(SPECIAL)
    return result


def memory(value):
    array = value.view(torch.int16).numpy().view(np.uint16) if value.dtype == torch.bfloat16 else value.numpy()
    return {"memory": str(array.dtype), "bytes": base64.b64encode(array.tobytes()).decode()}


def record(rng, choose, name, shape):
    value = tensor(rng, name, shape)
    options = choose.choice(OPTIONS)
    case = {"dtype": name, "shape": shape, "options": options, "facts": {}, **memory(value)}
    variant = choose.choice(["plain", "plain", "grad", "node", "parameter", "float64 default", "meta"])
    differentiable = value.is_floating_point() or value.is_complex()
    if variant == "grad" and differentiable:
        value.requires_grad_()
        case["facts"] = {"requires_grad": True}
    elif variant == "node" and differentiable:
        value = value.requires_grad_().clone()
        case["facts"] = {"requires_grad": True, "grad_fn_name": "CloneBackward0"}
    elif variant == "parameter" and differentiable:
        value = torch.nn.Parameter(value)
        case["facts"] = {"requires_grad": True, "is_parameter": True}
    elif variant == "float64 default":
        torch.set_default_dtype(torch.float64)
        case["facts"] = {"default_dtype_name": "float64"}
    elif variant == "meta":
        value = value.to("meta")
        case["facts"] = {"device": "meta"}
    torch.set_printoptions(profile="default")
    torch.set_printoptions(**options)
    case["text"] = repr(value)
    torch.set_default_dtype(torch.float32)
    return case


def main():
    rng = np.random.default_rng(0)
    choose = random.Random(0)
    cases = [record(rng, choose, name, shape) for shape in SHAPES[:-3] for name in DTYPES]
    cases += [record(rng, choose, name, SHAPES[-3]) for name in DTYPES[4:]]
    cases += [record(rng, choose, "int16", (3, 400)), record(rng, choose, "bool", (7, 7, 30))]
    document = {"torch": torch.__version__, "cases": cases}
    path = pathlib.Path(__file__).with_name("printing.json")
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
