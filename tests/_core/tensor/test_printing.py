"""Printed text against what PyTorch 2.13 printed for the same bytes (printing.json, made by record_printing.py)."""

import base64
import json
import pathlib

import numpy as np
import pytest

from tenfold._core.tensor import printing

CASES = json.loads(pathlib.Path(__file__).with_name("printing.json").read_text())["cases"]


@pytest.fixture(autouse=True)
def default_options():
    printing.set_printoptions(profile="default")
    yield
    printing.set_printoptions(profile="default")


def _array(case):
    data = np.frombuffer(base64.b64decode(case["bytes"]), case["memory"])
    return data.reshape(case["shape"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['dtype']}-{case['shape']}-{case['options']}")
def test_text_is_pytorchs(case):
    printing.set_printoptions(**case["options"])
    on_meta = case["facts"].get("device") == "meta"
    array = None if on_meta else _array(case)
    shape = tuple(case["shape"]) if on_meta else None
    text = printing.format_tensor(array, case["dtype"], shape=shape, **case["facts"])
    assert text == case["text"]


def test_bfloat16_may_come_as_float32():
    array = np.array([1.5, -2.0], np.float32)
    assert printing.format_tensor(array, "bfloat16") == "tensor([ 1.5000, -2.0000], dtype=torch.bfloat16)"


def test_a_transposed_array_prints_in_its_own_order():
    array = np.arange(6).reshape(2, 3).T
    assert printing.format_tensor(array, "int64") == "tensor([[0, 3],\n        [1, 4],\n        [2, 5]])"


def test_a_big_array_is_cut_before_it_is_formatted():
    # An expanded view of 10**12 elements has no memory to walk; formatting it all would never end.
    array = np.broadcast_to(np.float32(1.0), (10**6, 10**6))
    lines = printing.format_tensor(array, "float32").split("\n")
    assert lines[0] == "tensor([[1., 1., 1.,  ..., 1., 1., 1.],"
    assert lines[3] == "        ...,"
    assert len(lines) == 7


def test_a_subclass_shows_its_name_and_indents_by_it():
    text = printing.format_tensor(np.ones((2, 1), np.float32), "float32", type_name="Image")
    assert text == "Image([[1.],\n       [1.]])"


def test_options_are_read_back_and_restored():
    printing.set_printoptions(profile="short", precision=7)
    expected = {"precision": 7, "threshold": 1000, "edgeitems": 2, "linewidth": 80, "sci_mode": None}
    assert printing.get_printoptions() == expected
    with pytest.raises(KeyError), printing.printoptions(sci_mode=True, linewidth=10):
        assert printing.get_printoptions()["sci_mode"] is True
        raise KeyError
    assert printing.get_printoptions() == expected


def test_sci_mode_is_reset_by_the_next_call():
    printing.set_printoptions(sci_mode=True)
    assert printing.format_tensor(np.ones(1, np.float32), "float32") == "tensor([1.0000e+00])"
    printing.set_printoptions(precision=3)
    assert printing.format_tensor(np.ones(1, np.float32), "float32") == "tensor([1.])"


def test_scalar_formats_as_its_python_value():
    assert printing.format_scalar(1.23456, ".3f") == "1.235"
    assert printing.format_scalar(7, ">4d") == "   7"
    with pytest.raises(ValueError, match="q"):
        printing.format_scalar(7, "q")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1.0, 1000.0], "tensor([   1., 1000.])"),
        ([1.0, 1001.0], "tensor([1.0000e+00, 1.0010e+03])"),
        ([1e8], "tensor([100000000.])"),
        ([100000001.0], "tensor([1.0000e+08])"),
        ([1.5, 1500.0], "tensor([   1.5000, 1500.0000])"),
        ([1.5, 1501.0], "tensor([1.5000e+00, 1.5010e+03])"),
        ([1e-4, 0.05], "tensor([0.0001, 0.0500])"),
        ([9e-5, 0.05], "tensor([9.0000e-05, 5.0000e-02])"),
    ],
)
def test_where_scientific_notation_begins(values, text):
    assert printing.format_tensor(np.array(values), "float64", default_dtype_name="float64") == text
