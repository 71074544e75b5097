"""Indexing (views, splits, joins, gathers, scatters, `x[...]`) and reductions (scans, sorts, sets and linear algebra too)
give PyTorch's recorded results, strides and gradients."""

import json
import pathlib
import types

import indexing_calls
import numpy as np
import pytest
import reduction_calls

import tenfold

CALLS = {"indexing": indexing_calls.CALLS, "reductions": reduction_calls.CALLS}
RECORDS = {f: json.loads(pathlib.Path(__file__).with_name(f"{f}.json").read_text()) for f in CALLS}
CASES = [(family, name) for family, record in RECORDS.items() for name in record["cases"]]


def inputs(family, requires_grad=False):
    out = {}
    for name, said in RECORDS[family]["inputs"].items():
        dtype = getattr(tenfold, said["dtype"])
        t = tenfold.tensor(np.array(said["values"]).reshape(said["shape"]), dtype=dtype)
        out[name] = t.requires_grad_(requires_grad and dtype.is_floating_point)
    return types.SimpleNamespace(**out)


def tensors(result):
    return [result] if isinstance(result, tenfold.Tensor) else list(result)


def close(found, expected, dtype):
    rtol, atol = (2e-3, 1e-3) if dtype == "float16" else (1e-4, 1e-5)
    np.testing.assert_allclose(found, expected, rtol, atol)


@pytest.mark.parametrize(("family", "name"), CASES)
@pytest.mark.filterwarnings("ignore")
def test_results(family, name):
    wanted = RECORDS[family]["cases"][name]["results"]
    results = tensors(CALLS[family][name](tenfold, inputs(family)))
    assert len(results) == len(wanted)
    for result, said in zip(results, wanted, strict=True):
        assert str(result.dtype) == "torch." + said["dtype"]
        assert list(result.shape) == said["shape"]
        assert list(result.stride()) == said["stride"]
        close(result.double().reshape(-1).tolist(), said["values"], said["dtype"])


@pytest.mark.parametrize(("family", "name"), [(f, n) for f, n in CASES if RECORDS[f]["cases"][n]["gradients"]])
@pytest.mark.filterwarnings("ignore")
def test_gradients(family, name):
    leaves = inputs(family, requires_grad=True)
    results = tensors(CALLS[family][name](tenfold, leaves))
    live = [r for r in results if r.requires_grad]
    total = live[0].double().square().sum()
    for r in live[1:]:
        total = total + r.double().square().sum()
    total.backward()
    for leaf, expected in RECORDS[family]["cases"][name]["gradients"].items():
        found = getattr(leaves, leaf).grad.double().reshape(-1).tolist()
        close(found, expected, "float16" if "half" in name else "float32")


@pytest.mark.parametrize("name", reduction_calls.complaints(tenfold))
def test_errors(name):
    error, call = reduction_calls.complaints(tenfold)[name]
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
