"""Reductions, scans, sorts, sets and linear algebra give PyTorch's recorded results, strides and gradients."""

import importlib.util
import json
import pathlib
import types

import numpy as np
import pytest

import tenfold

SPEC = importlib.util.spec_from_file_location("reduction_calls", pathlib.Path(__file__).with_name("reduction_calls.py"))
calls = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(calls)
CALLS = calls.CALLS
RECORD = json.loads(pathlib.Path(__file__).with_name("reductions.json").read_text())


def inputs(requires_grad=False):
    out = {}
    for name, said in RECORD["inputs"].items():
        dtype = getattr(tenfold, said["dtype"])
        t = tenfold.tensor(np.array(said["values"]).reshape(said["shape"]), dtype=dtype)
        out[name] = t.requires_grad_(requires_grad and dtype.is_floating_point)
    return out


def tensors(result):
    return [result] if isinstance(result, tenfold.Tensor) else list(result)


def close(found, expected, dtype):
    rtol, atol = (2e-3, 1e-3) if dtype == "float16" else (1e-4, 1e-5)
    np.testing.assert_allclose(found, expected, rtol, atol)


@pytest.mark.parametrize("name", RECORD["cases"])
@pytest.mark.filterwarnings("ignore")
def test_results(name):
    results = tensors(CALLS[name](tenfold, types.SimpleNamespace(**inputs())))
    assert len(results) == len(RECORD["cases"][name]["results"])
    for result, said in zip(results, RECORD["cases"][name]["results"]):
        assert str(result.dtype) == "torch." + said["dtype"]
        assert list(result.shape) == said["shape"]
        assert list(result.stride()) == said["stride"]
        close(result.double().reshape(-1).tolist(), said["values"], said["dtype"])


@pytest.mark.parametrize("name", [n for n, case in RECORD["cases"].items() if case["gradients"]])
@pytest.mark.filterwarnings("ignore")
def test_gradients(name):
    leaves = inputs(requires_grad=True)
    results = tensors(CALLS[name](tenfold, types.SimpleNamespace(**leaves)))
    live = [r for r in results if r.requires_grad]
    total = live[0].double().square().sum()
    for r in live[1:]:
        total = total + r.double().square().sum()
    total.backward()
    for leaf, expected in RECORD["cases"][name]["gradients"].items():
        close(leaves[leaf].grad.double().reshape(-1).tolist(), expected, "float16" if "half" in name else "float32")


@pytest.mark.parametrize("name", calls.complaints(tenfold))
def test_errors(name):
    error, call = calls.complaints(tenfold)[name]
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
