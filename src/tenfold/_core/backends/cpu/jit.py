"""LLVM IR to machine code, in this process; objects are kept on disk.

The passes are few (kernels come vectorised): see docs/design. An object is found again by a hash of its IR, the version
of llvmlite and the host's processor; a file that is damaged, or was cut short, does not match its own hash and is made
anew. TENFOLD_CACHE names the folder; "0" keeps nothing on disk, a leading "ro:" only reads."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import itertools
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

from ... import config

MAX_FILES = 20_000  # objects on disk; the oldest go first

# llvmlite has a lock of its own, which the child of a fork would wait for for ever: llvmlite is used under LOCK or MAKING.
LOCK = threading.Lock()  # held while something is compiled; a fork waits for it
leaving = False  # the process ends: nothing new is compiled
_addresses: dict[str, int] = {}  # hash of the IR -> the function
_count = itertools.count()
_state: Any = None
MAKING = threading.Lock()  # held while the compiler itself is made; a fork waits for it too


class Leaving(Exception):
    """The process ends."""


class _Compiler:
    """The target machine, the linker, and the folder."""

    def __init__(self):
        import llvmlite
        import llvmlite.binding as llvm

        self.llvm = llvm
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.features = llvm.get_host_cpu_features()  # of the processor: name -> whether it has it
        cpu, features = llvm.get_host_cpu_name(), self.features.flatten()
        self.machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=cpu, features=features, opt=2, reloc="pic", codemodel="small"
        )
        self.linker = llvm.create_lljit_compiler(
            llvm.Target.from_default_triple().create_target_machine(
                cpu=cpu, features=features, opt=2, reloc="pic", codemodel="small"
            )
        )
        forever(self.linker)
        self.salt = "\n".join([llvmlite.__version__, self.machine.triple, cpu, features, str(VERSION)])
        self.folder, self.writes = _folder()
        self.compiled = self.loaded = 0

    def object_code(self, ir: str, key: str) -> bytes:
        found = self._read(key)
        if found is not None:
            self.loaded += 1
            return found
        llvm = self.llvm
        code = self.machine.emit_object(optimised(llvm, ir, self.machine))
        self.compiled += 1
        self._write(key, code)
        return code

    def link(self, code: bytes, names: list[str]) -> dict[str, int]:
        library = self.llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
        for n in names:
            library.export_symbol(n)
        tracker = library.link(self.linker, f"tenfold{next(_count)}")
        forever(tracker)
        return {n: tracker[n] for n in names}

    def key(self, ir: str) -> str:
        return hashlib.sha256((self.salt + ir).encode()).hexdigest()

    def _read(self, key: str) -> bytes | None:
        if self.folder is None:
            return None
        try:
            data = (self.folder / key[:2] / key).read_bytes()
        except OSError:
            return None
        digest, code = data[:32], data[32:]
        return code if hashlib.sha256(code).digest() == digest else None

    def _write(self, key: str, code: bytes) -> None:
        if self.folder is None or not self.writes:
            return
        unfinished: Path | None = None
        try:
            place = self.folder / key[:2]
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=place, delete=False) as f:
                unfinished = Path(f.name)
                f.write(hashlib.sha256(code).digest() + code)
            os.replace(f.name, place / key)
            unfinished = None
            if self.compiled % 256 == 1:
                _trim(self.folder)
        except OSError:
            self.writes = False  # a full or read-only disk: this process goes on without
            if unfinished is not None:
                unfinished.unlink(missing_ok=True)


def optimised(llvm, ir: str, machine):
    """The module of that IR for a machine, after the few passes that kernels need: they come vectorised."""
    module = llvm.parse_assembly(ir)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2)))
    return module


VERSION = 1  # of what the renderer means by its IR


def _folder() -> tuple[Path | None, bool]:
    given = config.CACHE
    if given == "0":
        return None, False
    writes = not given.startswith("ro:")
    path = given.removeprefix("ro:")
    if path:
        return Path(path), writes
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "tenfold" / "kernels", writes


def _trim(folder: Path) -> None:
    """Drops the oldest objects beyond the bound."""
    files = [f for f in folder.glob("??/*") if f.is_file()]
    if len(files) <= MAX_FILES:
        return
    files.sort(key=lambda f: f.stat().st_mtime)
    for f in files[: len(files) - MAX_FILES * 3 // 4]:
        f.unlink(missing_ok=True)


def forever(x) -> None:
    """Code that may be called as long as the process lives is never unloaded."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(x))


@functools.cache
def available() -> bool:
    """Whether there is llvmlite."""
    return importlib.util.find_spec("llvmlite") is not None


def compiler() -> _Compiler:
    global _state
    if _state is None:
        with MAKING:
            if _state is None:
                _state = _Compiler()
    return _state


def symbols(addresses: dict[str, int]) -> None:
    """Tells the linker where functions of this process are."""
    add = compiler().llvm.add_symbol
    with LOCK:
        for name, at in addresses.items():
            add(name, at)


def functions(ir: str, names: list[str]) -> dict[str, int]:
    """The addresses of functions of a module."""
    c = compiler()
    key = c.key(ir)
    with LOCK:
        known = {n: _addresses.get(f"{key} {n}", 0) for n in names}
        if all(known.values()):
            return known
        if leaving:
            raise Leaving
        made = c.link(c.object_code(ir, key), names)
        for n, a in made.items():
            _addresses[f"{key} {n}"] = a
        return made
