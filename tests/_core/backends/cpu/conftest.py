"""Compiles a module of LLVM IR for the tests of kernels."""

import ctypes
import itertools

import pytest

from tenfold._core.backends.cpu.jit import optimised

_numbers = itertools.count()
_kept = []


@pytest.fixture(scope="session")
def native():
    """A function: the text of a module and the name of a kernel in it; back comes the kernel as `run(table, row)`."""
    llvm = pytest.importorskip("llvmlite.binding")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    settings = {
        "cpu": llvm.get_host_cpu_name(),
        "features": llvm.get_host_cpu_features().flatten(),
        "opt": 2,
        "reloc": "pic",
        "codemodel": "small",
    }
    target = llvm.Target.from_default_triple().create_target_machine(**settings)
    jit = llvm.create_lljit_compiler(llvm.Target.from_default_triple().create_target_machine(**settings))

    def compiled(text, name):
        module = optimised(llvm, text, target)
        module.verify()
        library = llvm.JITLibraryBuilder().add_object_img(target.emit_object(module)).add_current_process()
        tracker = library.export_symbol(name).link(jit, f"test{next(_numbers)}")
        _kept.append((jit, tracker))
        return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(tracker[name])

    return compiled
