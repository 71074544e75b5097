"""What `import tenfold` loads: NumPy and the core, and nothing that can wait."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tenfold

SOURCE = Path(__file__).resolve().parent.parent / "src"
SHOW = "import json, sys; print(json.dumps(sorted(sys.modules)))"
WAITING = ("nn", "optim", "distributions", "distributed", "fft", "utils.data", "utils.tensorboard", "cli")


def loaded_after(program):
    path = os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", f"{program}; {SHOW}"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def loaded():
    return loaded_after("import tenfold")


def test_numpy_is_there_and_compilers_are_not(loaded):
    assert "numpy" in loaded
    assert [name for name in loaded if name.split(".")[0] in ("llvmlite", "torch", "scipy", "matplotlib")] == []


@pytest.mark.parametrize("name", WAITING)
def test_packages_wait_for_their_first_use(loaded, name):
    assert f"tenfold.{name}" not in loaded


def test_a_first_operation_needs_no_compiler():
    found = loaded_after("import tenfold as torch; (torch.ones(3) + 1).tolist()")
    assert "llvmlite" not in found


def test_packages_come_when_named():
    found = loaded_after("import tenfold as torch; torch.optim")
    assert "tenfold.optim" in found


def test_works_without_llvmlite():
    program = "import sys; sys.modules['llvmlite'] = None; import tenfold as torch; (torch.ones(3) * 2).sum().item()"
    loaded_after(program)


def test_the_list_of_modules_is_small(loaded):
    own = [name for name in loaded if name == "tenfold" or name.startswith("tenfold.")]
    others = loaded - set(own) - loaded_after("import numpy, inspect, threading, weakref, traceback")
    # each module of the standard library costs about a millisecond at every start
    assert len(others) <= 40, sorted(others)


def test_a_missing_name_is_named_and_explained():
    assert not hasattr(tenfold, "no_such_function")
    with pytest.raises(AttributeError, match=r"'no_such_function'; if it is PyTorch's, tenfold does not have it yet"):
        tenfold.no_such_function
