"""The calls of a Trainer that estimators make: fitted from the beginning, fitted further, one epoch more."""

from __future__ import annotations

from collections.abc import Mapping

from daskpar.estimators.inputs import Checked
from daskpar.train.settings import FIELDS
from daskpar.train.trainer import Trainer


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


def is_setting(name: str) -> bool:
    """Return whether a Trainer has a setting of this name."""
    return name in FIELDS
