"""The model of a config: sections that are derived from the settings of what they describe."""

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
    Key("validation", _SHARE, 0.1, "share of the rows, held out of training"),
    Key("test", with_none(_SHARE), None, "0.2 if left out, of text 0; mnist has test data of its own"),
)
_NOT_NEGATIVE = Annotated[int, Field(ge=0)]
_PATIENCE = Annotated[float, Field(gt=0)]


class RunSection(Section):
    name: str = Field(
        "run",
        pattern=r"^\w[\w.-]*$",
        description="the run's folder within `dir`; the name of the file if left out",
    )
    dir: PathKey = "runs"


class DashboardSection(Section):
    hold: bool = Field(False, description="keep it open after the end of the run, until Ctrl-C")


def _data_section(chosen: str, sources: tuple[str, ...]) -> type[Section]:
    """The keys of all sources; where several have one key, it is that of the chosen one."""
    names = sorted(sources, key=lambda name: name != chosen)
    keys = [(name, key) for name in names for key in keys_of(SOURCES[name], leave_out=Source)]
    choice = Key("source", Literal[sources], "digits", None)
    made = section(
        "DataSection", [choice, *joined(keys), *keys_of(Source), *_HELD_OUT, *keys_of(Settings, "data")]
    )
    made.renamed = Source.renamed
    return made


def _cluster_section(chosen: str, kinds: tuple[str, ...]) -> type[Section]:
    """The keys of all kinds of clusters; where several have one key, it is that of the chosen one."""
    names = sorted(kinds, key=lambda name: name != chosen)
    keys = [(name, key) for name in names for key in keys_of(CLUSTERS[name])]
    choice = Key("kind", Literal[kinds], "threads", None)
    patience = Key("patience", _PATIENCE, DEFAULT, "seconds that a cluster without workers is waited for")
    return section("ClusterSection", [choice, *joined(keys), *keys_of(Settings, "cluster"), patience])


def _layout_section() -> type[Section]:
    auto = Key("auto", bool, False, "measure, predict, take the fastest; `layout: auto` for short")
    made = section("LayoutSection", [auto, *keys_of(Layout)])
    made.renamed, made.other_names = Layout.renamed, Layout.other_names
    return made


def _train_section() -> type[Section]:
    stopping = Key(
        "early_stopping", with_none(section_of(EarlyStopping)), None, "ends a training that stands still"
    )
    final = Key("final_evaluation", bool, True, "after the last step, evaluate on all data of every part")
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
    """A run, whole."""

    __annotations__["import"] = "list[str]"  # a keyword of Python, so it cannot be written as others are
    locals()["import"] = Field([], description="modules of your own blocks, e.g. my_package.blocks")
    run: RunSection = RunSection()
    data: DataSection = DataSection()
    model: list[Entry]
    loss: Entry = _default("loss")
    metrics: Annotated[list[Entry], BeforeValidator(several_in_config)] = Field([])
    optimizer: Entry = _default("optimizer")
    schedule: Entry = _default("schedule")
    regularisation: PenaltySection | None = None
    train: TrainSection = TrainSection()
    layout: Annotated[LayoutSection, BeforeValidator(_named_layout)] = LayoutSection()
    cluster: ClusterSection = ClusterSection()
    checkpoint: CheckpointSection = CheckpointSection()
    dashboard: DashboardSection = DashboardSection()

    @property
    def folder(self) -> Path:
        """Where the run leaves what it found."""
        return Path(self.run.dir).expanduser() / as_path(self.run.name)

    def as_yaml(self) -> str:
        """The config with every default written out."""
        return yaml.dump(self.model_dump(), Dumper=yaml_text.Dumper, sort_keys=False)


_OURS = tuple(SOURCES), tuple(CLUSTERS)


def config_class(source: str, kind: str) -> type[Config]:
    """The model of configs with this source and kind of cluster, with the keys of all that are registered."""
    known = tuple(SOURCES), tuple(CLUSTERS)
    return Config if known == _OURS else _with_users_own(source, kind, *known)


@cache
def _with_users_own(source: str, kind: str, sources: tuple[str, ...], kinds: tuple[str, ...]) -> type[Config]:
    data, cluster = _data_section(source, sources), _cluster_section(kind, kinds)
    sections: dict[str, Any] = {"data": (data, data()), "cluster": (cluster, cluster())}
    return cast("type[Config]", create_model("Config", __base__=Config, **sections))
