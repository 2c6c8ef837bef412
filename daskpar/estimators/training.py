"""The calls of a Trainer that estimators make: fitted from the beginning, fitted further, one epoch more."""

from __future__ import annotations

from collections.abc import Mapping

from daskpar.errors import InputError, shown, unknown
from daskpar.estimators.inputs import Checked
from daskpar.train.settings import FIELDS
from daskpar.train.trainer import Trainer

_OTHERWISE = ("warm_start", "class_weight", "targets", "steps")
"""Settings that estimators have a parameter for, whether it is used or not."""


def trainer_of(settings: Mapping[str, object], before: Trainer | None) -> Trainer:
    """Return a Trainer with these settings: a new one, or the one `before`, which then goes on."""
    if before is None:
        return Trainer(**settings)
    for name, value in settings.items():
        setattr(before, name, value)
    return before


def train(trainer: Trainer, data: Checked, validation: object) -> None:
    """Train for the epochs that the Trainer has; a fitted one goes on."""
    trainer.fit(data.x, data.y, validation, sample_weight=data.sample_weight)


def train_an_epoch(trainer: Trainer, data: Checked) -> None:
    """Train for one epoch; a fitted Trainer goes on."""
    trainer.partial_fit(data.x, data.y, sample_weight=data.sample_weight)


def further_settings(further: object, settings: Mapping[str, object]) -> Mapping[str, object]:
    """Return settings given besides the parameters of an estimator, which are in `settings` already.

    Raises InputError for a name that a Trainer does not have, or that is a parameter.
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
