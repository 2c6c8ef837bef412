"""The model of a config: one pydantic section for each part of a run.

    Settings (defaults, bounds, help)  ->  keys of a section  ->  Config
    Layout, Settings, sources, kinds       `section.py`           checks a YAML file

Most keys are derived from the settings that they describe, so defaults, bounds and help are written once.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import yaml
from pydantic import BeforeValidator, Field, create_model

from daskpar import yaml_text
from daskpar.cluster.kind import CLUSTERS
from daskpar.cluster.patience import DEFAULT
from daskpar.config.section import (
    Entry,
    Key,
    PathKey,
    Section,
    as_path,
    joined,
    keys_of,
    section,
    section_of,
    with_none,
)
from daskpar.data.source import SOURCES, Source
from daskpar.layout.layout import Layout
from daskpar.optim.gradient import Penalty
from daskpar.train.callbacks import EarlyStopping
from daskpar.train.conversions import several_in_config
from daskpar.train.settings import FIELDS, Settings

_SHARE = Annotated[float, Field(ge=0, lt=1)]
_HELD_OUT = (
    Key("validation", _SHARE, 0.1, "share of the rows that is held out and evaluated while training"),
    Key(
        "test",
        with_none(_SHARE),
        None,
        "share of the rows for the test; 0.2 if left out, 0 for text; mnist has a test set of its own",
    ),
)
_NOT_NEGATIVE = Annotated[int, Field(ge=0)]
_PATIENCE = Annotated[float, Field(gt=0)]


class RunSection(Section):
    """The section `run`: the folder in which a run leaves its files."""

    name: str = Field(
        "run",
        pattern=r"^\w[\w.-]*$",
        description="name of the run's folder within `dir`; the config's file name if left out",
    )
    dir: PathKey = Field("runs", description="folder that holds the folders of runs")


class DashboardSection(Section):
    """The section `dashboard`: Dask's web page of the cluster."""

    hold: bool = Field(False, description="keep the dashboard open after the run, until Ctrl-C")


def _data_section(chosen: str, sources: tuple[str, ...]) -> type[Section]:
    """Return the section `data` with the keys of all sources.

    Where several sources have the same key, its type and default are those of the chosen source.
    """
    names = sorted(sources, key=lambda name: name != chosen)
    keys = [(name, key) for name in names for key in keys_of(SOURCES[name], leave_out=Source)]
    choice = Key("source", Literal[sources], "digits", "kind of the data set")
    made = section(
        "DataSection", [choice, *joined(keys), *keys_of(Source), *_HELD_OUT, *keys_of(Settings, "data")]
    )
    made.renamed = Source.renamed
    return made


def _cluster_section(chosen: str, kinds: tuple[str, ...]) -> type[Section]:
    """Return the section `cluster` with the keys of all kinds of clusters."""
    choice = Key("kind", Literal[kinds], "threads", "kind of the cluster")
    patience = Key("patience", _PATIENCE, DEFAULT, "seconds to wait for a cluster that has no workers")
    return section(
        "ClusterSection", [choice, *_cluster_keys(chosen, kinds), *keys_of(Settings, "cluster"), patience]
    )


def _cluster_keys(chosen: str, kinds: tuple[str, ...]) -> list[Key]:
    """Return the keys of all kinds of clusters.

    Where several kinds have the same key, its type and default are those of the chosen kind.
    """
    names = sorted(kinds, key=lambda name: name != chosen)
    return joined([(name, key) for name in names for key in keys_of(CLUSTERS[name])])


def _layout_section() -> type[Section]:
    auto = Key(
        "auto", bool, False, "measure, predict and take the fastest layout; `layout: auto` is short for it"
    )
    made = section("LayoutSection", [auto, *keys_of(Layout)])
    made.renamed, made.other_names = Layout.renamed, Layout.other_names
    return made


def _train_section() -> type[Section]:
    stopping = Key(
        "early_stopping",
        with_none(section_of(EarlyStopping)),
        None,
        "when to end a training that no longer improves",
    )
    final = Key("final_evaluation", bool, True, "evaluate on all rows of every part after the last step")
    keys = [
        key._replace(type=_NOT_NEGATIVE) if key.name == "seed" else key for key in keys_of(Settings, "train")
    ]
    return section("TrainSection", [*keys, stopping, final])


if TYPE_CHECKING:
    DataSection = Section
    TrainSection = Section
    PenaltySection = Section
    LayoutSection = Section
    ClusterSection = Section
    CheckpointSection = Section
else:
    DataSection = _data_section("digits", tuple(SOURCES))
    TrainSection = _train_section()
    PenaltySection = section_of(Penalty)
    LayoutSection = _layout_section()
    ClusterSection = _cluster_section("threads", tuple(CLUSTERS))
    CheckpointSection = section("CheckpointSection", tuple(keys_of(Settings, "checkpoint")))


def _named_layout(value: object) -> object:
    return {"auto": True} if value == "auto" else value


def _default(name: str) -> Any:
    return FIELDS[name].default


class Config(Section):
    """A config: one run with its data, model, training, layout and cluster."""

    __annotations__["import"] = "list[str]"  # a keyword of Python, so it cannot be written as others are
    locals()["import"] = Field(
        [], description="installed modules that register blocks of your own, e.g. my_package.blocks"
    )
    run: RunSection = RunSection()
    data: DataSection = DataSection()
    model: list[Entry] = Field(description="layers, from the input to the output")
    loss: Entry = Field(_default("loss"), description="loss that training minimises")
    metrics: Annotated[list[Entry], BeforeValidator(several_in_config)] = Field(
        [], description="scores that evaluations report beside the loss"
    )
    optimizer: Entry = Field(_default("optimizer"), description="rule that updates parameters")
    schedule: Entry = Field(_default("schedule"), description="course of the learning rate over the run")
    regularisation: PenaltySection | None = Field(
        None, description="penalties on the parameters, added to the loss that training minimises"
    )
    train: TrainSection = TrainSection()
    layout: Annotated[LayoutSection, BeforeValidator(_named_layout)] = LayoutSection()
    cluster: ClusterSection = ClusterSection()
    checkpoint: CheckpointSection = CheckpointSection()
    dashboard: DashboardSection = DashboardSection()

    @property
    def folder(self) -> Path:
        """The folder in which the run leaves its files: `dir`/`name`."""
        return Path(self.run.dir).expanduser() / as_path(self.run.name)

    def as_yaml(self) -> str:
        """Return the config as YAML, with every default written out."""
        return yaml.dump(self.model_dump(), Dumper=yaml_text.Dumper, sort_keys=False)


_OURS = tuple(SOURCES), tuple(CLUSTERS)


def config_class(source: str, kind: str) -> type[Config]:
    """Return the model of configs for a source and a kind of cluster, by name.

    The model also has the keys of sources and kinds that users registered.
    """
    known = tuple(SOURCES), tuple(CLUSTERS)
    return Config if known == _OURS and _is_usual(kind) else _with_users_own(source, kind, *known)


@cache
def _is_usual(kind: str) -> bool:
    """Return whether the keys of a kind of cluster have the types and defaults of those of kind threads."""
    usual = {key.name: (repr(key.type), key.default) for key in _cluster_keys("threads", tuple(CLUSTERS))}
    own = [*keys_of(CLUSTERS[kind])] if kind in CLUSTERS else []
    return all((repr(key.type), key.default) == usual[key.name] for key in own)


@cache
def _with_users_own(source: str, kind: str, sources: tuple[str, ...], kinds: tuple[str, ...]) -> type[Config]:
    data, cluster = _data_section(source, sources), _cluster_section(kind, kinds)
    sections: dict[str, Any] = {"data": (data, data()), "cluster": (cluster, cluster())}
    return cast("type[Config]", create_model("Config", __base__=Config, **sections))
