"""A run as its config describes it, up to the point where training would begin."""

from __future__ import annotations

from typing import NamedTuple

from daskpar.build import check, make_trainer, open_data
from daskpar.cluster.executor import ThreadedExecutor
from daskpar.config import Config
from daskpar.data import Part
from daskpar.tasks.types import Spec
from daskpar.train import Trainer
from daskpar.train.fit import new_token
from daskpar.train.fitting import fit_targets, fit_transforms
from daskpar.train.prepare import make_order, make_spec


class Prepared(NamedTuple):
    """A run that has not begun."""

    trainer: Trainer
    part: Part
    spec: Spec


def prepare(config: Config) -> Prepared:
    """Refuses what training would refuse, and fits the transforms, in this process and without a cluster."""
    check(config)
    trainer, part = make_trainer(config), open_data(config).train
    order = make_order(trainer, part.rows, chunk_rows=part.source.chunk_rows)
    executor = ThreadedExecutor(1)
    try:
        over = (part, executor, new_token(), order.chunk_rows)
        transforms = fit_transforms(trainer.transforms, *over, "x")
        targets = fit_targets(trainer, transforms, *over)
    finally:
        executor.close()
    return Prepared(trainer, part, make_spec(trainer, part.source, order, transforms, targets))
