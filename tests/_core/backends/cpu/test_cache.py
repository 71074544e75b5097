"""The folder of compiled kernels: damaged files, folders that cannot be written, other processes, its bound."""

import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")

from tenfold._core import config
from tenfold._core.backends.cpu import jit
from tenfold._core.compiler import later

SOURCE = Path(__file__).resolve().parents[4] / "src"
IR = "define i64 @{name}(i64 %x) {{\n  %y = add i64 %x, {number}\n  ret i64 %y\n}}\n"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A compiler with a folder of its own: `cache(setting)` makes one, as a new process would."""
    later._pool().submit(int).result()  # what other tests have begun to compile is done

    def made(setting=None):
        monkeypatch.setattr(config, "CACHE", str(tmp_path / "kernels") if setting is None else setting)
        monkeypatch.setattr(jit, "_addresses", {})
        monkeypatch.setattr(jit, "_state", jit._Compiler())
        return jit._state

    return made


def works(number):
    """Whether a function compiles, or is found, and gives what it should."""
    name = f"add{number}"
    address = jit.functions(IR.format(name=name, number=number), [name])[name]
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)(1) == number + 1


def files(folder):
    return sorted(f for f in Path(folder).rglob("*") if f.is_file())


def test_a_second_process_finds_what_the_first_compiled(cache):
    first = cache()
    assert works(1) and works(1) and first.compiled == 1
    second = cache()
    assert works(1) and (second.compiled, second.loaded) == (0, 1)
    assert len(files(second.folder)) == 1


@pytest.mark.parametrize("damage", ["cut short", "empty", "a flipped byte", "other content", "a folder"])
def test_a_damaged_file_is_made_anew(cache, damage):
    assert cache() and works(2)
    (file,) = files(jit._state.folder)
    whole = file.read_bytes()
    if damage == "a folder":
        file.unlink()
        file.mkdir()
    else:
        flipped = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
        damaged = {"cut short": whole[:-7], "empty": b"", "a flipped byte": flipped, "other content": b"x" * 500}
        file.write_bytes(damaged[damage])
    second = cache()
    assert works(2) and second.compiled == 1
    if damage != "a folder":
        assert file.read_bytes() == whole
        third = cache()
        assert works(2) and third.loaded == 1


def test_keeping_nothing(cache):
    c = cache("0")
    assert works(3) and c.folder is None and c.compiled == 1
    assert works(3) and c.compiled == 1


def test_only_reading(cache, tmp_path):
    assert cache() and works(4)
    before = files(tmp_path)
    c = cache(f"ro:{tmp_path / 'kernels'}")
    assert works(4) and c.loaded == 1
    assert works(5) and c.compiled == 1
    assert files(tmp_path) == before
    nowhere = cache(f"ro:{tmp_path / 'nowhere'}")
    assert works(4) and nowhere.compiled == 1 and not (tmp_path / "nowhere").exists()


def test_a_folder_that_cannot_be_written(cache, tmp_path):
    (tmp_path / "file").write_text("")
    c = cache(str(tmp_path / "file" / "kernels"))  # root may write where it likes, but not below a file
    assert works(6) and works(7) and c.compiled == 2


def test_a_full_disk(cache, monkeypatch):
    c = cache()
    monkeypatch.setattr(jit.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert works(8) and works(9) and c.compiled == 2
    assert files(c.folder) == [], "what was not finished is left behind"


def test_the_number_of_files_is_bounded(cache, monkeypatch):
    c = cache()
    monkeypatch.setattr(jit, "MAX_FILES", 8)
    for n in range(20):
        c.compiled = 0  # the bound is looked at now and then: here at each
        assert works(1000 + n)
    kept = files(c.folder)
    assert 0 < len(kept) <= 8
    c = cache()
    assert works(1019) and c.loaded == 1, "the newest stay"


def test_another_version_finds_nothing(cache, monkeypatch):
    assert cache() and works(10)
    monkeypatch.setattr(jit, "VERSION", jit.VERSION + 1)
    c = cache()
    assert works(10) and c.compiled == 1 and len(files(c.folder)) == 2


def test_two_threads_compile_the_same(cache):
    c = cache()
    done = []
    threads = [threading.Thread(target=lambda: done.append([works(n) for n in range(20, 25)])) for _ in range(4)]
    _ = [t.start() for t in threads], [t.join() for t in threads]
    assert done == [[True] * 5] * 4 and c.compiled == 5


PROGRAM = """
import os
os.environ["TENFOLD_COMPILE_AT"] = "1"
import tenfold as torch
for n in range(1, 9):
    x = torch.arange(float(n))
    y = x
    for _ in range(n):
        y = (y * 2 + 1).exp().tanh()
    assert y.sum().item() >= 0
from tenfold._core.backends.cpu import jit
from tenfold._core.compiler import later
print(jit._state.compiled, jit._state.loaded)
"""


def process(folder):
    env = os.environ | {"TENFOLD_CACHE": str(folder), "PYTHONPATH": str(SOURCE), "TENFOLD_NATIVE": "0"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_processes_at_once(tmp_path):
    together = [process(tmp_path), process(tmp_path)]
    for p in together:
        out, err = p.communicate(timeout=120)
        assert p.returncode == 0 and not err, err
    last = process(tmp_path)
    out, err = last.communicate(timeout=120)
    compiled, loaded = map(int, out.split())
    assert compiled == 0 and loaded > 3 and not err
    assert len(files(tmp_path)) == loaded, "nothing unfinished is left"
