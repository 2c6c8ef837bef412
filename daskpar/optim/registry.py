"""Optimizers and schedules by the names that configs use."""

from __future__ import annotations

from dataclasses import replace

from daskpar.optim.optimizer import OPTIMIZERS, Optimizer
from daskpar.optim.schedules import SCHEDULES, Schedule
from daskpar.registry import named

__all__ = ["OPTIMIZERS", "SCHEDULES", "optimizer", "schedule"]


def optimizer(entry: object, learning_rate: float | None = None) -> Optimizer:
    """Return the optimizer that a config's entry names.

    `learning_rate` replaces its own. None keeps that. Raises InputError for an unknown name or argument.
    """
    built = named(OPTIMIZERS, entry)
    return built if learning_rate is None else replace(built, lr=learning_rate)


def schedule(entry: object) -> Schedule:
    """Return the schedule that a config's entry names. Raises InputError for an unknown name or argument."""
    return named(SCHEDULES, entry)
