"""Optimizers as (init, update) pairs on flat slices, schedules, penalties and clipping."""

from daskpar.optim.adaptive import Adagrad, Adam, AdamW, RMSProp
from daskpar.optim.gradient import Clip, Penalty
from daskpar.optim.layerwise import LAMB, LARS
from daskpar.optim.optimizer import Optimizer, Tensors
from daskpar.optim.schedules import (
    Constant,
    Cosine,
    Exponential,
    Linear,
    OneCycle,
    ReduceOnPlateau,
    Schedule,
    Step,
)
from daskpar.optim.sgd import SGD

__all__ = [
    "LAMB",
    "LARS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Clip",
    "Constant",
    "Cosine",
    "Exponential",
    "Linear",
    "OneCycle",
    "Optimizer",
    "Penalty",
    "RMSProp",
    "ReduceOnPlateau",
    "Schedule",
    "Step",
    "Tensors",
]
