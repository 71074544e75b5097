"""Learning-rate schedules: each sets `lr` (some also the momentum) of an optimizer's param groups, epoch by epoch.

`base.py` the common part; `decay.py` one formula of the epoch; `cycle.py` those that rise and fall; `plateau.py` by a
measured value; `combine.py` schedules made of schedules.
"""

from tenfold.optim.lr_scheduler.base import LRScheduler, _LRScheduler
from tenfold.optim.lr_scheduler.combine import ChainedScheduler, SequentialLR
from tenfold.optim.lr_scheduler.cycle import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from tenfold.optim.lr_scheduler.decay import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from tenfold.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "_LRScheduler",
]
