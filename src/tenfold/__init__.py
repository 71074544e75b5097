"""tenfold: a deep-learning framework with PyTorch's API, recorded on a trace tree.

    import tenfold as torch

Names are here; no logic. Sub-packages load when they are first used."""

from importlib import import_module as _import_module

from ._core import config as _config
from ._core import native as _native
from ._core import ops as _ops
from ._core.autograd.anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled, set_anomaly_enabled
from ._core.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from ._core.ir.dtypes import ALL as _ALL
from ._core.ir.dtypes import BY_NAME as _BY_NAME
from ._core.ir.dtypes import dtype, finfo, get_default_dtype, iinfo
from ._core.ir.shapes import Size
from ._core.ops.declare import PUBLIC as _PUBLIC
from ._core.tensor import autocast_state as _autocast_state
from ._core.tensor import legacy as _legacy
from ._core.tensor import methods as _methods
from ._core.tensor import settings as _settings
from ._core.trace import flush as _flush
from ._core.trace.handle import Tensor

__version__ = "0.1.0"

globals().update(_BY_NAME)
uint16, uint32, uint64 = (_BY_NAME[n] for n in ("uint16", "uint32", "uint64"))
globals().update(_PUBLIC["torch"])

_LAZY = frozenset(
    "_dynamo accelerator autograd backends compiler cpu cuda debug distributed distributions fft func hub jit linalg masked nested nn onnx optim overrides profiler random "
    "return_types serialization signal sparse special testing utils version nested multiprocessing amp mps xpu".split()
)


_HOMES = {
    "save": "serialization",
    "load": "serialization",
    "explain": "debug",
    "compile": "compiler",
    "vmap": "func",
    "autocast": "amp",
    "get_device_module": "accelerator",
    "GradScaler": "amp",
}  # functions whose modules wait for their first use


def __getattr__(name: str):
    if name == "torch":  # torch.torch is torch
        return _import_module(__name__)
    if name in _HOMES:
        return getattr(_import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _LAZY:
        try:
            return _import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as e:
            if e.name != f"{__name__}.{name}":
                raise
    raise AttributeError(
        f"module 'tenfold' has no attribute '{name}'; if it is PyTorch's, tenfold does not have it yet "
        "(docs/parity.md says what there is)",
        name=name,
    )


_flush.first_program = _native.begin
if _config.EXPLAIN:
    _import_module(f"{__name__}.debug").explain_at_exit()
