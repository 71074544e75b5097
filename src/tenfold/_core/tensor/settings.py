"""Settings of the whole process: default dtype, printing, threads, determinism."""

from __future__ import annotations

import math

from .. import config
from ..backends.cpu import threads
from ..backends.numpy import blas
from ..ir import dtypes, operation
from ..ops.declare import PUBLIC
from ..ops.devices import get_default_device, set_default_device
from ..ops.shape import FORMATS, memory_format
from ..trace import handle
from ..trace.control import end_walk
from ..trace.flush import trim
from ..trace.handle import tls
from . import facts, nested, sparse  # noqa: F401  attach what Python asks of tensors, and of sparse and nested ones
from .legacy import NAMES
from .printing import set_printoptions

torch = PUBLIC["torch"]
torch.update(FORMATS)
torch["memory_format"] = memory_format
torch["set_printoptions"] = set_printoptions
torch.update(pi=math.pi, e=math.e, inf=math.inf, nan=math.nan, newaxis=None)


def set_default_dtype(d, /) -> None:
    """Sets the dtype of floats where none is given; a floating-point dtype.

    What was remembered for the old one is forgotten."""
    before = dtypes.get_default_dtype()
    dtypes.set_default_dtype(d)
    if dtypes.get_default_dtype() is before:
        return
    chosen = dtypes.get_default_dtype()
    dtypes.set_default_dtype(before)  # what is pending was recorded under the old one
    end_walk()
    dtypes.set_default_dtype(chosen)
    operation._specs.clear()
    handle.make_numbers()
    trim(tls.walk)


def set_default_tensor_type(t, /) -> None:
    """Sets the default dtype by the name of a tensor type, as `torch.DoubleTensor`."""
    name = t.rsplit(".", 1)[-1] if isinstance(t, str) else t.__name__
    if name not in NAMES:
        raise TypeError(f"invalid type object: {t!r} is no floating-point tensor type such as torch.DoubleTensor")
    set_default_dtype(NAMES[name])


_interop = threads.cores()


def get_num_threads() -> int:
    """How many threads an operation may use."""
    return threads.pool.count


def set_num_threads(num: int, /) -> None:
    """Sets how many threads an operation may use; NumPy's BLAS, with which paths are interpreted, is told so too."""
    if not isinstance(num, int) or num <= 0:
        raise RuntimeError(f"set_num_threads expects a positive integer, got {num!r}")
    threads.pool.set_count(num)
    blas.set_threads(num)


def get_num_interop_threads() -> int:
    """How many operations may run side by side: one walk computes one after the other, so this is only a number."""
    return _interop


def set_num_interop_threads(num: int, /) -> None:
    """Sets the number that get_num_interop_threads gives."""
    global _interop
    if not isinstance(num, int) or num <= 0:
        raise RuntimeError(f"set_num_interop_threads expects a positive integer, got {num!r}")
    _interop = num


_deterministic = False
_warn_only = False
_precision = "highest"


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Whether every run of the same operations gives the same bits. tenfold's results are deterministic anyway, from run to
    run of a program; but within a program a path is interpreted at first and compiled when it comes back, and the last bits
    may differ between the two. With `mode` True it is compiled at the first visit."""
    global _deterministic, _warn_only
    _deterministic = bool(mode)
    at = 1 if _deterministic else config.COMPILE_AT_DEFAULT
    if at != config.COMPILE_AT:
        end_walk()
        trim(tls.walk)  # what has been interpreted so far is compiled as well
        config.COMPILE_AT = at
    _warn_only = bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What use_deterministic_algorithms was given."""
    return _deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether use_deterministic_algorithms was asked to warn only."""
    return _deterministic and _warn_only


def set_float32_matmul_precision(precision: str) -> None:
    """ "highest", "high" or "medium": float32 products are computed in float32 always; the setting is kept."""
    global _precision
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"{precision} is not one of 'highest', 'high', or 'medium'")
    _precision = precision


def get_float32_matmul_precision() -> str:
    """What set_float32_matmul_precision was given."""
    return _precision


def set_flush_denormal(mode: bool, /) -> bool:
    """Denormal numbers are kept; False says that the setting has no effect."""
    return False


_warn_always = False


def is_warn_always_enabled() -> bool:
    """What set_warn_always was given."""
    return _warn_always


def set_warn_always(b: bool, /) -> None:
    """tenfold leaves it to Python's warnings filter how often a warning is shown; the setting is kept."""
    global _warn_always
    _warn_always = bool(b)


def get_deterministic_debug_mode() -> int:
    """0, 1 (warn) or 2 (error): what was asked for; results are deterministic anyway."""
    return (1 if _warn_only else 2) if _deterministic else 0


def set_deterministic_debug_mode(debug_mode) -> None:
    """Sets 0 or "default", 1 or "warn", 2 or "error"."""
    names = ("default", "warn", "error")
    if isinstance(debug_mode, str):
        if debug_mode not in names:
            raise RuntimeError(f"invalid value of debug_mode, expected one of {names}, but got {debug_mode}")
        debug_mode = names.index(debug_mode)
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}")
    use_deterministic_algorithms(debug_mode > 0, warn_only=debug_mode == 1)


def init_num_threads() -> None:
    """Does nothing: a new thread has the number of threads of all."""


def is_distributed(input) -> bool:
    """False: no tensor lies in several processes."""
    return False


def thread_safe_generator() -> None:
    """None: in a worker process of a DataLoader too the default generator is used."""


torch.update(
    has_lapack=True, has_mkl=False, has_openmp=False, has_spectral=True
)  # of what computes: NumPy's LAPACK and FFT


def is_vulkan_available() -> bool:
    """False: there is no such backend."""
    return False


def compiled_with_cxx11_abi() -> bool:
    """True: there is no C++ here that could disagree."""
    return True


def sym_int(a) -> int:
    """a rounded towards zero, as an int."""
    return int(a)


def sym_float(a) -> float:
    """a as a float."""
    return float(a)


def sym_not(a) -> bool:
    """Whether a is false."""
    return not a


def sym_max(a, b):
    """The larger; a float where one of them is."""
    return max(float(a), float(b)) if isinstance(a, float) or isinstance(b, float) else max(a, b)


def sym_min(a, b):
    """The smaller; a float where one of them is."""
    return min(float(a), float(b)) if isinstance(a, float) or isinstance(b, float) else min(a, b)


for _f in (
    set_default_dtype,
    set_default_tensor_type,
    get_num_threads,
    set_num_threads,
    get_num_interop_threads,
    set_num_interop_threads,
    use_deterministic_algorithms,
    are_deterministic_algorithms_enabled,
    is_deterministic_algorithms_warn_only_enabled,
    set_float32_matmul_precision,
    get_float32_matmul_precision,
    set_flush_denormal,
    is_warn_always_enabled,
    set_default_device,
    get_default_device,
    set_warn_always,
    get_deterministic_debug_mode,
    set_deterministic_debug_mode,
    init_num_threads,
    is_distributed,
    thread_safe_generator,
    is_vulkan_available,
    compiled_with_cxx11_abi,
    sym_int,
    sym_float,
    sym_not,
    sym_max,
    sym_min,
):
    torch[_f.__name__] = _f
