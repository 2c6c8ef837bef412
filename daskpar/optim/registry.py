"""Optimizers and schedules by the names that configs use."""

from __future__ import annotations

from dataclasses import replace

from daskpar.optim.optimizer import OPTIMIZERS, Optimizer
from daskpar.optim.schedules import SCHEDULES, Schedule
from daskpar.registry import named

__all__ = ["OPTIMIZERS", "SCHEDULES", "optimizer", "schedule"]


def optimizer(entry: object, learning_rate: float | None = None) -> Optimizer:
    """An optimizer from a config's entry, with its own learning rate where none is given."""
    built = named(OPTIMIZERS, entry)
    return built if learning_rate is None else replace(built, lr=learning_rate)


def schedule(entry: object) -> Schedule:
    return named(SCHEDULES, entry)
