"""Softmax, losses, normalisation, embedding, dropout, attention and distances answer as PyTorch did when recorded."""

import builtins
import importlib.util
import json
import pathlib
import types

import numpy as np
import pytest

import tenfold
import tenfold.nn.functional as F

SPEC = importlib.util.spec_from_file_location(
    "functional_calls", pathlib.Path(__file__).with_name("functional_calls.py")
)
calls = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(calls)
RECORD = json.loads(pathlib.Path(__file__).with_name("functional.json").read_text())


def inputs():
    out = {}
    for name, said in RECORD["inputs"].items():
        dtype = getattr(tenfold, said["dtype"])
        t = tenfold.tensor(np.array(said["values"]).reshape(said["shape"]), dtype=dtype)
        out[name] = t.requires_grad_(dtype.is_floating_point)
    return out


def close(found, expected, dtype):
    rtol, atol = (4e-2, 1e-2) if dtype == "bfloat16" else (1e-4, 1e-5)
    np.testing.assert_allclose(found.detach().double().reshape(-1).tolist(), expected, rtol, atol)


@pytest.mark.parametrize("name", calls.CALLS)
@pytest.mark.filterwarnings("ignore")
def test_results_and_gradients(name):
    want = RECORD["cases"][name]
    leaves = inputs()
    tenfold.manual_seed(1)
    results = calls.CALLS[name](F, tenfold, types.SimpleNamespace(**leaves))
    results = [results] if isinstance(results, tenfold.Tensor) else list(results)
    assert len(results) == len(want["results"])
    for result, said in zip(results, want["results"], strict=True):
        assert str(result.dtype) == "torch." + said["dtype"]
        assert list(result.shape) == said["shape"]
        assert list(result.stride()) == said["stride"]
        close(result, said["values"], said["dtype"])
    live = [r for r in results if r.requires_grad]
    if live:
        sum((r.double() * r.double()).sum() for r in live).backward()
    found = {n: t.grad for n, t in leaves.items() if t.grad is not None}
    assert set(found) == set(want["gradients"])
    dtype = "bfloat16" if "half" in name else "float32"
    for leaf, gradient in found.items():
        close(gradient, want["gradients"][leaf], dtype)


@pytest.mark.parametrize("name", calls.ERRORS)
@pytest.mark.filterwarnings("ignore")
def test_errors(name):
    values = {n: t.detach() for n, t in inputs().items()}
    with pytest.raises(getattr(builtins, RECORD["errors"][name])) as caught:
        calls.ERRORS[name](F, tenfold, types.SimpleNamespace(**values)).tolist()
    assert str(caught.value)
