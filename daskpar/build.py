"""Builders of the things that a config describes: data, cluster, layout and Trainer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from typing import Any

from daskpar.cluster import CLUSTERS, ClusterKind, open_cluster as open_kind
from daskpar.config import Config
from daskpar.config.section import keys_of
from daskpar.data import SOURCES, Parts, Source, parts_of
from daskpar.errors import InputError
from daskpar.layout.layout import Layout
from daskpar.optim import Clip, Penalty
from daskpar.settings import key_in_section
from daskpar.train import Callback, EarlyStopping, Trainer
from daskpar.train.settings import FIELDS


def open_data(config: Config) -> Parts:
    """Open the data of a config; return its train, validation and test parts.

    Raises InputError where the data cannot be read, and for keys that belong to other sources.
    """
    data, seed = config.data, config.train.seed
    source = SOURCES[data.source]
    for name in (*source.unfit, *_keys_of_others(source)):
        value = getattr(data, name)
        if value != type(data).model_fields[name].default:
            raise InputError(f"data.{name}={value} is not for data.source={data.source}; leave it out")
    opened = source.from_keys(dict(data))
    return parts_of(opened, data.validation, data.test, seed, data.distribution == "stratified")


def _keys_of_others(source: type[Source]) -> list[str]:
    """Return the keys that other sources have and this one lacks, as arrays lack `target`."""
    keys = {key.name for key in keys_of(source)}
    others = (key.name for other in SOURCES.values() for key in keys_of(other))
    return sorted({name for name in others if name not in keys})


def check(config: Config) -> None:
    """Check a config's blocks and settings before anything is started. Raises InputError."""
    trainer, cluster = make_trainer(config), make_cluster(config)
    layout = trainer.settings.layout
    if cluster.elastic and not (isinstance(layout, Layout) and layout.update == "async"):
        raise InputError(
            "cluster.maximum: each step waits for all lanes, so workers that come and go do not help; "
            "leave it out, or use layout.update=async"
        )


def make_cluster(config: Config) -> ClusterKind:
    """Return the kind of cluster of a config, with its fields. Raises InputError for one out of bounds."""
    keys = dict(config.cluster)
    kind = CLUSTERS[keys["kind"]]
    return kind(**{field.name: keys[field.name] for field in fields(kind)})


def open_cluster(config: Config) -> AbstractContextManager[Any]:
    """Return a context that starts the cluster of a config and yields its client."""
    return open_kind(make_cluster(config), config.cluster.patience)


def make_layout(config: Config) -> Layout | str:
    """Return the layout of a config, or `"auto"`."""
    keys = dict(config.layout)
    return "auto" if keys.pop("auto") else Layout(**keys)


def make_trainer(
    config: Config, client: Any = None, callbacks: Sequence[Callback] = (), profile: bool = False
) -> Trainer:
    """Return the Trainer of a config, which keeps its checkpoints in the run's folder.

    Args:
        config: The config.
        client: A client of a cluster, as for `Trainer`. Default: None.
        callbacks: Callbacks beside the config's early stopping. Default: none.
        profile: Record every task. Default: False.

    Raises:
        InputError: A block or a setting of the config is not known or out of bounds.
    """
    sections = {"train": config.train, "data": config.data, "cluster": config.cluster}
    sections |= {"checkpoint": config.checkpoint, "": config}
    arguments: dict[str, Any] = {
        name: getattr(sections[section], key_in_section(field).rpartition(".")[2])
        for name, field in FIELDS.items()
        if (section := field.metadata["section"]) is not None
    }
    clip, stopping, penalty = config.train.clip, config.train.early_stopping, config.regularisation
    arguments |= {
        "layout": make_layout(config),
        "clip": Clip(**dict(clip)) if clip else None,
        "penalty": Penalty(**dict(penalty)) if penalty else None,
        "callbacks": [*([EarlyStopping(**dict(stopping))] if stopping else []), *callbacks],
    }
    return Trainer(**arguments, folder=config.folder, client=client, profile=profile)
