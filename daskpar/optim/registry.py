"""Optimizers and schedules by the names that configs use."""

from __future__ import annotations

from daskpar.optim.optimizer import OPTIMIZERS, Optimizer
from daskpar.optim.schedules import SCHEDULES, Schedule
from daskpar.registry import named

__all__ = ["OPTIMIZERS", "SCHEDULES", "optimizer", "schedule"]


def optimizer(entry: object) -> Optimizer:
    return named(OPTIMIZERS, entry)


def schedule(entry: object) -> Schedule:
    return named(SCHEDULES, entry)
