"""From a config to the things it describes: data, a trainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daskpar.cluster import open_client
from daskpar.config import Config
from daskpar.data import SOURCES, Parts, parts_of, transform
from daskpar.errors import InputError
from daskpar.layout.layout import Layout
from daskpar.nn import registry as nn
from daskpar.optim import Clip, Penalty
from daskpar.optim import registry as optim
from daskpar.train import Callback, EarlyStopping, Trainer
from daskpar.train.interval import run_length


def open_data(config: Config) -> Parts:
    """The parts of the data that a config names. Raises InputError where they cannot be read."""
    data, seed = config.data, config.train.seed
    source = SOURCES[data.source]
    for name in source.unfit:
        value = getattr(data, name)
        if value != type(data).model_fields[name].default:
            raise InputError(f"data.{name}={value} is not for data.source={data.source}; leave it out")
    opened = source.from_keys(dict(data))
    return parts_of(opened, data.validation, data.test, seed, data.distribution == "stratified")


def check(config: Config) -> None:
    """Refuse what a config names wrongly before anything is started."""
    nn.model(config.model)
    optim.optimizer(config.optimizer), optim.schedule(config.schedule)
    loss = nn.loss(config.loss)
    for metric in config.metrics:
        nn.metric(metric).check_task(loss)
    for entry in (*config.data.transforms, *config.data.targets):
        transform(entry)
    run_length(config.train.epochs, config.train.steps, 1)
    make_layout(config)


def open_cluster(config: Config) -> Any:
    """A client of the cluster that a config describes, as a context."""
    cluster = config.cluster
    where = (cluster.kind, cluster.workers, cluster.address, cluster.dashboard_port)
    return open_client(*where, cluster.image, cluster.namespace, cluster.patience)


def make_layout(config: Config) -> Layout | str:
    """The layout that a config describes, or `auto`."""
    given = dict(vars(config.layout))
    return "auto" if given.pop("auto") else Layout(**given)


def make_trainer(
    config: Config, client: Any = None, callbacks: Sequence[Callback] = (), profile: bool = False
) -> Trainer:
    """The Trainer that a config describes, which keeps its checkpoints in the run's folder."""
    train = config.train
    stopping = [EarlyStopping(**vars(train.early_stopping))] if train.early_stopping else []
    return Trainer(
        config.model,
        loss=config.loss,
        optimizer=config.optimizer,
        metrics=config.metrics,
        schedule=config.schedule,
        layout=make_layout(config),
        batch=train.batch,
        epochs=train.epochs,
        steps=train.steps,
        distribution=config.data.distribution,
        streams=config.data.streams,
        chunk_rows=config.data.chunk_rows,
        drop_last=train.drop_last,
        accumulate=train.accumulate,
        clip=Clip(**vars(train.clip)) if train.clip else None,
        penalty=Penalty(**vars(config.regularisation)) if config.regularisation else None,
        transforms=config.data.transforms,
        targets=config.data.targets,
        precision=train.precision,
        seed=train.seed,
        callbacks=[*stopping, *callbacks],
        evaluate_every=train.evaluate_every,
        checkpoint_every=config.checkpoint.every,
        keep=config.checkpoint.keep,
        folder=config.folder,
        cache=config.data.cache,
        client=client,
        blas_threads=config.cluster.blas_threads,
        profile=profile,
    )
