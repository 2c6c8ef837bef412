"""A run as its config describes it, up to the point where training would begin."""

from __future__ import annotations

from typing import NamedTuple

from daskpar.build import check, make_trainer, open_data
from daskpar.cluster.executor import ThreadedExecutor
from daskpar.config import Config
from daskpar.data import Split
from daskpar.tasks.types import Spec
from daskpar.train import Trainer
from daskpar.train.fitting import fit_data
from daskpar.train.problem import make_order, pose
from daskpar.train.tokens import new_token


class Prepared(NamedTuple):
    """A run that has not begun."""

    trainer: Trainer
    part: Split
    spec: Spec


def prepare(config: Config) -> Prepared:
    """Refuses what training would refuse, and fits the transforms, in this process and without a cluster."""
    check(config)
    trainer, part = make_trainer(config), open_data(config).train
    make_order(trainer.settings, part.rows, chunk_rows=part.source.chunk_rows)  # refuses before data are read
    executor = ThreadedExecutor(1)
    try:
        data = fit_data(trainer.settings, part, executor, new_token())
    finally:
        executor.close()
    return Prepared(trainer, part, pose(trainer.settings, data, None).spec)
