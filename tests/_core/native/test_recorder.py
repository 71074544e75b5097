"""The native recorder makes the trees that the Python recorder makes, and leaks nothing."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")

TESTS = Path(__file__).resolve().parents[2]
PROGRAMS = """
import hashlib, json, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {differential!r})
import tenfold
if {native}:
    from tenfold._core.native.install import install
    assert install()
from random_programs import drawing, executor, writing
told = []
for seed in range(50_000, 50_120):
    out = executor.run(drawing.seeded(seed), tenfold, writing.STEPS)
    counts = tenfold.debug.stats()
    del counts["specs"]  # of gradients that were worked out for several leaves, in an order that addresses decide
    told.append([hashlib.sha256(repr(out).encode()).hexdigest(), sorted(counts.items())])
print(json.dumps(told))
"""


def told(native):
    source = PROGRAMS.format(differential=str(TESTS / "differential"), native=native)
    path = os.pathsep.join([str(TESTS.parent / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path, "TENFOLD_NATIVE": "0", "TENFOLD_COMPILE": "0"}
    done = subprocess.run([sys.executable, "-c", source], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_trees_are_the_same():
    """The same edges, hits, misses, flushes and nodes after each of 120 random programs, and the same results."""
    python, native = told(False), told(True)
    assert len(python) == 120
    assert python == native


@pytest.fixture
def installed():
    from tenfold._core.native.install import install

    assert install()


def blocks(step, times):
    """How many blocks of memory more there are after so many calls."""
    for _ in range(200):
        step()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(times):
        step()
    gc.collect()
    return sys.getallocatedblocks() - before


def test_a_million_operations_leave_nothing_behind(installed):
    import tenfold as torch

    x = torch.ones(2)

    def step():
        y = x
        for _ in range(250):
            y = y + x
            y = torch.relu(y) * 0.5
            y = y.sum(0, keepdim=True) + x
        return y.tolist()

    assert abs(blocks(step, 1_000_000 // 1500)) < 200


def test_training_leaves_nothing_behind(installed):
    import tenfold as torch
    from tenfold import nn

    model = nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 1))
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.randn(4, 5), torch.randn(4, 1)

    def step():
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    assert abs(blocks(step, 2000)) < 200


def test_errors_leave_nothing_behind(installed):
    import tenfold as torch

    a, b = torch.ones(2, 3), torch.ones(4, 5)

    def step():
        for f in (
            lambda: a + b,
            lambda: a @ b,
            lambda: a.sum(7),
            lambda: torch.relu("x"),
            lambda: torch.maximum(a),
            lambda: a + None,
        ):
            with pytest.raises((RuntimeError, IndexError, TypeError)):
                f()

    assert abs(blocks(step, 300)) < 300


def test_lines_are_those_of_the_program(installed):
    """What is recorded natively has no frame of its own: the line is still the caller's."""
    import tenfold as torch
    from tenfold._core.trace.handle import tls
    from tenfold._core.trace.walk import line_text

    x = torch.ones(3, 7)
    y = x * 3.25
    line = line_text(tls.walk.at.line)
    assert line.startswith(__file__)
    assert y.shape == (3, 7)


def test_subclasses_with_operators_of_their_own(installed):
    import tenfold as torch

    class Mine(torch.Tensor):
        def __add__(self, other):
            return "mine"

    t = torch.ones(2).as_subclass(Mine)
    assert type(t) is Mine
    assert t + 1 == "mine"
    assert (torch.nn.Parameter(torch.ones(2)) * 2).tolist() == [2.0, 2.0]


def test_a_replaced_operator_is_used(installed, monkeypatch):
    import tenfold as torch

    monkeypatch.setattr(torch.Tensor, "__add__", lambda a, b: "replaced")
    assert torch.ones(1) + 1 == "replaced"


def test_a_replaced_function_of_a_module_is_used(installed, monkeypatch):
    import tenfold as torch

    nn, x = torch.nn, torch.ones(3, 4)
    linear, calls, layer = nn.functional.linear, [], nn.Linear(4, 2)
    expected = layer(x).tolist()
    monkeypatch.setattr(nn.functional, "linear", lambda *args: (calls.append(len(args)), linear(*args))[1])
    assert layer(x).tolist() == expected
    assert calls == [3]
    monkeypatch.undo()
    assert layer(x).tolist() == expected
    assert calls == [3]


def test_public_functions_stay_functions(installed):
    import inspect
    import io

    import tenfold as torch

    for f in (torch.nn.functional.relu, torch.nn.functional.cross_entropy, torch.add, torch.is_grad_enabled):
        assert inspect.isfunction(f)
        assert f.__doc__
    stream = io.BytesIO()
    torch.save(torch.nn.TransformerEncoderLayer(8, 2, activation=torch.nn.functional.relu), stream)
    stream.seek(0)
    assert torch.load(stream, weights_only=False).activation is torch.nn.functional.relu


def test_arguments_by_keyword(installed):
    import tenfold as torch

    x, y = torch.tensor([0.2, 0.7]), torch.tensor([0.0, 1.0])
    loss = torch.nn.functional.binary_cross_entropy
    assert loss(target=y, input=x).item() == loss(x, y).item() == loss(x, target=y, **{"reduc" + "tion": "mean"}).item()
    assert loss(x, reduction="none", target=y).shape == (2,)
    for wrong in ({"input": x}, {"targets": y}, {}):
        with pytest.raises(TypeError):
            loss(x, **wrong)
    with pytest.raises(TypeError, match="must be Tensor, not list"):
        loss([0.2], target=y)


def test_a_failure_in_the_background_is_told(monkeypatch):
    from tenfold._core import config, native
    from tenfold._core.native import install

    def broken():
        raise ValueError("no machine code")

    monkeypatch.setattr(install, "install", broken)
    monkeypatch.setattr(config, "VERIFY", False)
    with pytest.warns(UserWarning, match="no machine code"):
        native._install()
