"""Checks of the blocks of a training when they are set, before any data are loaded.

Settings keep the entries as people wrote them; each run builds its own blocks from these entries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from daskpar.data.transforms import transform
from daskpar.errors import InputError
from daskpar.nn import registry as nn
from daskpar.optim import registry as optim
from daskpar.train.interval import run_length
from daskpar.train.settings import FIELDS, Settings

logger = logging.getLogger("daskpar")

_BLOCKS: dict[str, Callable[[object], object]] = {
    "model": nn.model,
    "loss": nn.loss,
    "optimizer": optim.optimizer,
    "schedule": optim.schedule,
}
_LISTS: dict[str, Callable[[object], object]] = {
    "metrics": nn.metric,
    "transforms": transform,
    "targets": transform,
}


def check_blocks(settings: Settings, names: Iterable[str] = FIELDS) -> None:
    """Check the blocks of some settings by building them. Raises InputError for an unknown or wrong one."""
    for name in names:
        if name in _BLOCKS:
            _BLOCKS[name](getattr(settings, name))
        for entry in getattr(settings, name) if name in _LISTS else ():
            _LISTS[name](entry)


def check_together(settings: Settings) -> None:
    """Refuse settings that contradict each other, independent of the data. Raises InputError."""
    run_length(settings.epochs, settings.steps, 1)
    outer = settings.fixed_layout.outer
    if outer is not None:
        optim.optimizer(outer)
    loss = nn.loss(settings.loss)
    names = ["loss"]
    for metric in map(nn.metric, settings.metrics):
        metric.check_task(loss)
        if metric.name in names:
            raise InputError(
                f"metrics: two are called {metric.name!r}; give one another name, e.g. "
                f"{{{metric.kind}: {{name: {metric.name}_2}}}}"
            )
        names.append(metric.name)


def warn_of_sigmoids(settings: Settings) -> None:
    """Warn of a model that ends with a sigmoid when the loss expects the outputs before it.

    Other libraries have a binary cross-entropy that expects probabilities.
    """
    loss, last = nn.loss(settings.loss), nn.model(settings.model).layers[-1]
    if loss.task == "labels" and last.kind == "sigmoid":
        logger.warning(
            "%s takes the outputs before a sigmoid: leave out the last layer; predict(kind='probabilities') "
            "returns them after it",
            loss.kind,
        )
