"""A run up to its first step: data opened, transforms fitted, model checked."""

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
    """A run before its first step: its trainer, its training part, and the description for its tasks."""

    trainer: Trainer
    part: Split
    spec: Spec


def prepare(config: Config) -> Prepared:
    """Prepare the run of a config in this process, without a cluster.

    Raises InputError for everything that training would refuse.
    """
    check(config)
    trainer, part = make_trainer(config), open_data(config).train
    make_order(trainer.settings, part.rows, chunk_rows=part.source.chunk_rows)  # refuses before data are read
    executor = ThreadedExecutor(1)
    try:
        data = fit_data(trainer.settings, part, executor, new_token())
    finally:
        executor.close()
    return Prepared(trainer, part, pose(trainer.settings, data, None).spec)
