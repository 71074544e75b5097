"""Optimizers: from gradients to better parameters.

In come parameters with a `.grad`, out go the same tensors with new values. `optimizer.py` is the base, `_blocks.py`
what is kept between steps, then one file a method; `lr_scheduler/` changes learning rates, `swa_utils.py` averages
models.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

from tenfold.optim import lr_scheduler
from tenfold.optim._adafactor import Adafactor
from tenfold.optim._stateless import swap_in_optimizer_params_and_state
from tenfold.optim.adadelta import Adadelta
from tenfold.optim.adagrad import Adagrad
from tenfold.optim.adam import Adam
from tenfold.optim.adamax import Adamax
from tenfold.optim.adamw import AdamW
from tenfold.optim.asgd import ASGD
from tenfold.optim.lbfgs import LBFGS
from tenfold.optim.muon import Muon
from tenfold.optim.nadam import NAdam
from tenfold.optim.optimizer import Optimizer
from tenfold.optim.radam import RAdam
from tenfold.optim.rmsprop import RMSprop
from tenfold.optim.rprop import Rprop
from tenfold.optim.sgd import SGD
from tenfold.optim.sparse_adam import SparseAdam

if _TYPE_CHECKING:
    from tenfold.optim import swa_utils

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "lr_scheduler",
    "swa_utils",
    "swap_in_optimizer_params_and_state",
]


def __getattr__(name: str):
    if name == "swa_utils":  # needs nn, which no optimizer does
        return _import_module("tenfold.optim.swa_utils")
    raise AttributeError(f"module 'tenfold.optim' has no attribute '{name}'", name=name)
