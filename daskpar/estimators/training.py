"""Calls of a Trainer that estimators make: train a new one, continue a fitted one, or train one epoch."""

from __future__ import annotations

from collections.abc import Mapping

from daskpar.errors import InputError, shown, unknown
from daskpar.estimators.inputs import Checked
from daskpar.train.settings import FIELDS
from daskpar.train.trainer import Trainer

_OTHERWISE = ("warm_start", "class_weight", "targets", "steps")
"""Settings that belong to parameters of the estimators, even where a parameter is not used."""


def trainer_of(settings: Mapping[str, object], before: Trainer | None) -> Trainer:
    """Return a Trainer with these settings: a new one, or the earlier one `before`, to continue it."""
    if before is None:
        return Trainer(**settings)
    for name, value in settings.items():
        setattr(before, name, value)
    return before


def train(trainer: Trainer, data: Checked, validation: object) -> None:
    """Train for the Trainer's number of epochs; a fitted Trainer continues."""
    trainer.fit(data.x, data.y, validation, sample_weight=data.sample_weight)


def train_an_epoch(trainer: Trainer, data: Checked) -> None:
    """Train for one epoch; a fitted Trainer continues."""
    trainer.partial_fit(data.x, data.y, sample_weight=data.sample_weight)


def further_settings(further: object, settings: Mapping[str, object]) -> Mapping[str, object]:
    """Return the further settings of an estimator after a check of their names.

    `settings` are those that its parameters make. Raises InputError for a name that is not a setting of a
    Trainer, or that a parameter sets.
    """
    if further is None:
        return {}
    if not isinstance(further, Mapping):
        raise InputError(f"settings={shown(further, 80)}: expected keywords of Trainer by name")
    for name in further:
        if name not in FIELDS:
            raise unknown("setting of Trainer", name, FIELDS)
        if name in settings or name in _OTHERWISE:
            raise InputError(f"settings: {name} is set by parameters of the estimator")
    return further
