"""Operations that were recorded from PyTorch, forward and backward in one program, interpreted and compiled.

All of them by the recipe, its kernels run by the interpreter of the loop language; some by machine code."""

import json
import types
from pathlib import Path

import functional_calls
import indexing_calls
import numpy as np
import oracle
import pointwise_cases
import pytest
import reduction_calls

import tenfold
import tenfold.nn.functional as F

OPS = Path(__file__).resolve().parents[1] / "ops"
MODULES = {"functional": functional_calls, "indexing": indexing_calls, "reductions": reduction_calls}
RECORDS = {name: json.loads((OPS / f"{name}.json").read_text()) for name in MODULES}
CASES = [(f, name) for f, record in RECORDS.items() for name in record["cases"]]
PARTS = 24
NATIVE_EACH = 6  # one of so many is run by machine code too


def inputs(family):
    out = {}
    for name, said in RECORDS[family]["inputs"].items():
        dtype = getattr(tenfold, said["dtype"])
        t = tenfold.tensor(np.array(said["values"]).reshape(said["shape"]), dtype=dtype)
        out[name] = t.requires_grad_(dtype.is_floating_point)
    return types.SimpleNamespace(**out)


def run(family, name):
    """The results and all gradients, read at the end: one program where nothing asks for a value before."""
    n = inputs(family)
    call = MODULES[family].CALLS[name]
    results = call(F, tenfold, n) if family == "functional" else call(tenfold, n)
    results = [results] if isinstance(results, tenfold.Tensor) else list(results)
    live = [r for r in results if r.requires_grad]
    if live and RECORDS[family]["cases"][name]["gradients"]:
        sum((r.double() * r.double()).sum() for r in live).backward()
    for t in [*results, *[t.grad for t in vars(n).values() if t.grad is not None]]:
        t.tolist()


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.filterwarnings("ignore")
def test_calls(part):
    compared = 0
    for number, (family, name) in list(enumerate(CASES))[part::PARTS]:
        tenfold.manual_seed(1)
        with oracle.compared(native=number // PARTS % NATIVE_EACH == 0) as counts:
            run(family, name)
        compared += counts["results"]
    assert compared > 10


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.filterwarnings("ignore")
def test_pointwise(part):
    compared = 0
    for number, (_, call) in list(enumerate(pointwise_cases.cases(tenfold)))[part::PARTS]:
        with oracle.compared(native=number // PARTS % NATIVE_EACH == 0) as counts:
            try:
                call()
            except oracle.Differs:
                raise
            except Exception:  # PyTorch refuses it too: tests/_core/ops says which
                continue
        compared += counts["results"]
    assert compared > 10
