"""Optimizers and schedules by the names that configs use."""

from __future__ import annotations

from typing import Any

from daskpar.optim.adaptive import Adagrad, Adam, AdamW, RMSProp
from daskpar.optim.layerwise import LAMB, LARS
from daskpar.optim.optimizer import Optimizer
from daskpar.optim.schedules import SCHEDULES, Schedule
from daskpar.optim.sgd import SGD
from daskpar.registry import Table, named

OPTIMIZERS: Table = {o.kind: o for o in (SGD, RMSProp, Adagrad, Adam, AdamW, LAMB, LARS)}


def optimizer(entry: Any) -> Optimizer:
    return named("optimizer", OPTIMIZERS, entry)


def schedule(entry: Any) -> Schedule:
    return named("schedule", SCHEDULES, entry)
