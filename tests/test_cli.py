"""`tenfold run` behaves as `python`, but for what `import torch` means."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"
RUN = (sys.executable, "-m", "tenfold", "run")
PLAIN = (sys.executable,)

# One program for each way in which a run can show how it was started.
PROGRAMS = {
    "names": """
        import os, sys
        print(__name__, os.path.basename(__file__), __package__, __spec__, sys.argv[1:], os.path.basename(sys.argv[0]))
        print(sys.path[0] == os.path.dirname(os.path.realpath(__file__)), sys.modules["__main__"].__dict__ is globals())
        """,
    "uncaught": """
        def inner(x):
            return 1 / x
        def outer():
            try:
                inner(0)
            except ZeroDivisionError as error:
                raise ValueError("outer") from error
        outer()
        """,
    "syntax": "def f(:\n",
    "exit_code": "import sys; sys.exit(7)",
    "exit_text": "import sys; sys.exit('the end')",
    "exit_hook": "import atexit; atexit.register(print, 'bye'); raise KeyError('k')",
    "own_hook": """
        import sys
        sys.excepthook = lambda kind, error, trace: print("hook", kind.__name__, error)
        raise OSError(3)
        """,
    "interrupt": "import atexit; atexit.register(print, 'bye'); raise KeyboardInterrupt",
    "sibling": "import beside; print(beside.VALUE)",
    "pickled": """
        import pickle
        class Point:
            x = 3
        print(pickle.loads(pickle.dumps(Point())).x, pickle.loads(pickle.dumps(Point)) is Point)
        """,
    "annotated": "x: int = 3\nprint(__annotations__ if '__annotations__' in globals() else 'lazy')",
    "thread": """
        import threading, time
        threading.Thread(target=lambda: (time.sleep(0.2), print("done"))).start()
        print("main")
        """,
}


def call(command, folder, *arguments):
    path = os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}
    return subprocess.run([*command, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=120)


def write(folder, name, program):
    (folder / f"{name}.py").write_text(textwrap.dedent(program).lstrip("\n"))
    return f"{name}.py"


@pytest.mark.parametrize("name", PROGRAMS)
def test_script_behaves_as_under_python(name, tmp_path):
    script = write(tmp_path, name, PROGRAMS[name])
    write(tmp_path, "beside", "VALUE = 41")
    expected = call(PLAIN, tmp_path, script, "--lr", "0.1", "-m", "x")
    got = call(RUN, tmp_path, script, "--lr", "0.1", "-m", "x")
    assert (got.returncode, got.stdout, got.stderr) == (expected.returncode, expected.stdout, expected.stderr)
    assert not (tmp_path / "__pycache__" / f"{name}.cpython-{sys.version_info[0]}{sys.version_info[1]}.pyc").exists()


@pytest.mark.parametrize("name", ["names", "uncaught", "exit_code", "sibling"])
def test_module_behaves_as_under_python(name, tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    write(package, name, PROGRAMS[name].replace("__spec__,", "__spec__.name,"))
    write(tmp_path, "beside", "VALUE = 42")
    expected = call((*PLAIN, "-m"), tmp_path, f"package.{name}", "--lr", "0.1", "-m", "x")
    got = call((*RUN, "-m"), tmp_path, f"package.{name}", "--lr", "0.1", "-m", "x")
    assert (got.returncode, got.stdout, got.stderr) == (expected.returncode, expected.stdout, expected.stderr)


def test_folder_with_a_main(tmp_path):
    folder = tmp_path / "program"
    folder.mkdir()
    write(folder, "__main__", "import sys, beside; print(__name__, beside.VALUE, sys.argv)")
    write(folder, "beside", "VALUE = 43")
    expected, got = call(PLAIN, tmp_path, "program", "a"), call(RUN, tmp_path, "program", "a")
    assert (got.returncode, got.stdout, got.stderr) == (expected.returncode, expected.stdout, expected.stderr)
    assert got.stdout == "__main__ 43 ['program', 'a']\n"


def test_interrupt_kills_by_signal(tmp_path):
    script = write(tmp_path, "interrupt", PROGRAMS["interrupt"])
    assert call(RUN, tmp_path, script).returncode == -signal.SIGINT


def test_missing_script_is_named(tmp_path):
    got = call(RUN, tmp_path, "nowhere.py")
    assert got.returncode == 2
    assert str(tmp_path / "nowhere.py") in got.stderr


def test_missing_module_is_named(tmp_path):
    expected, got = call((*PLAIN, "-m"), tmp_path, "no_such_module"), call((*RUN, "-m"), tmp_path, "no_such_module")
    assert got.returncode == expected.returncode == 1
    assert "No module named no_such_module" in got.stderr


def test_no_target_is_a_usage_error(tmp_path):
    got = call(RUN, tmp_path)
    assert got.returncode == 2
    assert "give a script or -m MODULE" in got.stderr


def test_info_and_version(tmp_path):
    command = (sys.executable, "-m", "tenfold")
    assert "numpy" in call(command, tmp_path, "info").stdout
    assert call(command, tmp_path, "--version").stdout.startswith("tenfold ")
    assert "run" in call(command, tmp_path).stdout


ALIASES = """
    import torch
    import tenfold
    import torch.utils.data as spelled_out
    from torch.utils import data
    from torch.utils.data import DataLoader
    import torch.nn.functional as F
    from torch import nn
    import importlib, importlib.util, sys
    print(torch is tenfold, sys.modules["torch"] is tenfold)
    print(spelled_out is data is tenfold.utils.data is sys.modules["torch.utils.data"], DataLoader is data.DataLoader)
    print(F is tenfold.nn.functional is nn.functional, nn is sys.modules["torch.nn"])
    print(importlib.import_module("torch.optim") is tenfold.optim, tenfold.optim.__spec__.name, torch.__name__)
    print(importlib.util.find_spec("torch") is not None, importlib.util.find_spec("torch.no_such_thing"))
    try:
        import torch.no_such_thing
    except ModuleNotFoundError as error:
        print(error.name, "tenfold.no_such_thing" in str(error))
    """


def test_torch_is_tenfold(tmp_path):
    got = call(RUN, tmp_path, write(tmp_path, "aliases", ALIASES))
    assert got.stderr == ""
    assert got.stdout.splitlines() == [
        "True True",
        "True True",
        "True True",
        "True tenfold.optim tenfold",
        "True None",
        "torch.no_such_thing True",
    ]


def test_an_installed_torch_is_passed_over(tmp_path):
    write(tmp_path, "torch", "raise SystemExit('the wrong torch')")
    got = call(RUN, tmp_path, write(tmp_path, "program", "import torch; print(torch.__name__)"))
    assert (got.stdout, got.stderr) == ("tenfold\n", "")


WORKERS = """
    import multiprocessing
    import sys

    import torch
    from torch.utils.data import DataLoader

    def name_in_worker(x):
        import torch.nn
        return torch.__name__, torch.nn.__name__, DataLoader.__module__.split(".")[0], sys.argv[1:], x

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        with context.Pool(2) as pool:
            print(pool.map(name_in_worker, [0, 1]))
    """


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("as_module", [False, True])
def test_workers_find_tenfold(method, as_module, tmp_path):
    script = write(tmp_path, "workers", WORKERS)
    write(tmp_path, "torch", "raise SystemExit('the wrong torch')")
    got = call((*RUN, "-m"), tmp_path, "workers", method) if as_module else call(RUN, tmp_path, script, method)
    answers = [("tenfold", "tenfold.nn", "tenfold", [method], i) for i in range(2)]
    assert got.stdout.splitlines() == [str(answers)], got.stderr


def test_workers_of_workers_find_tenfold(tmp_path):
    program = """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        import torch

        def inner():
            return torch.__name__

        def outer():
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                return pool.submit(inner).result()

        if __name__ == "__main__":
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                print(pool.submit(outer).result())
        """
    got = call(RUN, tmp_path, write(tmp_path, "nested", program))
    assert got.stdout == "tenfold\n", got.stderr
