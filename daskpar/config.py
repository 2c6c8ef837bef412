"""Configs: YAML files checked by pydantic models, and the objects that they describe."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from daskpar import yaml_text
from daskpar.data.source import Source
from daskpar.errors import InputError, now_called, one_line, shown, unknown
from daskpar.layout.layout import Layout

Entry = str | dict[str, Any]
"""A block by name: `relu`, `dense: 512` or `dense: {units: 512}`."""


def _as_path(text: str) -> str:
    """Return a path as Python has it, also where file names are not in UTF-8; refuse what none can be."""
    try:
        if "\0" not in text:
            return os.fsdecode(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        pass
    raise PydanticCustomError("path", "value should be a path without NUL and other unusable characters")


def _not_tiny(value: float) -> float:
    if value < 1e-30:  # whose reciprocal float32 may not hold
        raise PydanticCustomError("tiny", "value should be at least 1e-30")
    return value


PathText = Annotated[str, AfterValidator(_as_path)]
MaxValue = Annotated[float, Field(gt=0, le=1e30), AfterValidator(_not_tiny)]


class Section(BaseModel):
    """Keys that are not known are refused, and so are values of another type, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    renamed: ClassVar[Mapping[str, str]] = {}
    """Former names of keys, and those that they have today."""


class RunSection(Section):
    name: str = Field("run", pattern=r"^\w[\w.-]*$", description="the run's folder within `dir`")
    dir: PathText = "runs"


class DataSection(Section):
    renamed = Source.renamed

    source: Literal["digits", "mnist", "npz", "npy", "text", "images"] = "digits"
    path: PathText | None = Field(
        None, description="npz: the file; mnist: a folder; text: a file; images: a folder"
    )
    x: PathText | None = Field(None, description="npy: the file of the examples")
    y: PathText | None = Field(None, description="npy: the file of the targets")
    validation: float = Field(0.1, ge=0, lt=1, description="share of the rows, held out of training")
    test: float | None = Field(
        None, ge=0, lt=1, description="0.2 if left out, of text 0; mnist has test data of its own"
    )
    block: int = Field(64, ge=1, description="text: characters of an example")
    size: list[Annotated[int, Field(ge=1)]] | None = Field(
        None, min_length=2, max_length=2, description="images: height and width that they are resized to"
    )
    channels: Literal[1, 3] = Field(3, description="images: 1 for grey, 3 for colours")
    max_value: MaxValue | None = Field(
        None, description="the raw value that becomes 1, e.g. 255 for bytes of npz"
    )
    distribution: Literal["random", "uniform", "stratified"] = "random"
    chunk_rows: int | None = Field(None, ge=1, description="8192 if left out, of text all")
    streams: int | None = Field(None, ge=1, description="chunks that a batch is drawn from side by side")
    transforms: list[Entry] = Field([], description="standardise, scale, one_hot; fitted on training data")
    targets: list[Entry] = Field(
        [], description="of the targets: labels, one_hot, standardise, scale; inputs: an autoencoder"
    )
    cache: bool = Field(True, description="keep loaded chunks on the workers")


class EarlyStoppingSection(Section):
    monitor: str = "validation.loss"
    patience: int = Field(5, ge=1)
    min_delta: float = Field(0.0, ge=0)
    restore: bool = True


class ClipSection(Section):
    value: float | None = Field(None, gt=0)
    norm: float | None = Field(None, gt=0)


class TrainSection(Section):
    epochs: int | None = Field(None, ge=1, description="passes over the training data; 1 if left out")
    steps: int | None = Field(None, ge=1, description="instead of epochs: batches to train on")
    batch: int = Field(32, ge=1, description="rows of a global batch, whatever the layout")
    seed: int = Field(0, ge=0)
    precision: Literal["float32", "float64"] = "float32"
    accumulate: int = Field(1, ge=1, description="slices that a lane works through its rows in")
    drop_last: bool = False
    evaluate_every: str = "1 epoch"
    clip: ClipSection | None = None
    early_stopping: EarlyStoppingSection | None = None


class PenaltySection(Section):
    l1: float = Field(0.0, ge=0)
    l2: float = Field(0.0, ge=0)


class LayoutSection(Section):
    renamed = Layout.renamed

    auto: bool = Field(False, description="measure, predict, take the fastest; `layout: auto` for short")
    data: int = Field(1, ge=1, description="lanes that the rows of a batch are cut into")
    lanes: Literal["auto"] | list[float] | None = Field(
        None, description="weights of lanes; auto: by the speed of their workers"
    )
    stages: Annotated[int, Field(ge=1)] | list[Annotated[int, Field(ge=1)]] = Field(
        1, description="parts that the model is cut into by depth; or the layers of each, e.g. [3, 2]"
    )
    microbatches: int = Field(1, ge=1, description="that a lane's rows flow through the stages in")
    pipeline: Literal["gpipe", "1f1b"] = "1f1b"
    balance: Literal["flops", "parameters", "bytes", "time"] = Field(
        "flops", description="what stages have about the same share of"
    )
    recompute: bool = Field(False, description="keep only what flowed into a stage for the backward pass")
    width: int = Field(1, ge=1, description="parts that layers are cut into by columns, heads, channels")
    sequence: int = Field(1, ge=1, description="shares that the positions of a sequence are cut into")
    tiles: int = Field(1, ge=1, description="parts that images are cut into by rows of pixels")
    shards: int = Field(1, ge=1, description="slices of parameters and optimizer state, updated apart")
    replicas: int = Field(1, ge=1, description="copies of all of this that train alone and are averaged")
    average_every: int = Field(1, ge=0, description="steps between averages; 0: only at the end")
    synchronous_until: int = Field(0, ge=0, description="a step up to which they are averaged at each")
    outer: Entry | None = Field(None, description="an optimizer that steps from average to average")
    update: Literal["sync", "stale", "async"] = Field("sync", description="the order of updates")
    staleness: int = Field(0, ge=0, description="steps that a lane may be ahead, where update is stale")
    grain: Literal["window", "step", "stage", "layer"] = "step"
    fan_in: int = Field(4, ge=2, description="gradients that one task of the tree adds")
    compression: Literal["full", "float16"] = Field(
        "full", description="how gradients are sent from lane to lane"
    )


class ClusterSection(Section):
    kind: Literal["threads", "processes", "threaded-scheduler", "address", "cuda", "kubernetes"] = "threads"
    workers: int = Field(2, ge=1)
    address: str | None = None
    dashboard_port: int | None = Field(None, ge=0, le=65535, description="8787, or any free one if taken")
    blas_threads: int | None = Field(None, ge=1, description="for each product; else cores / lanes")
    image: str | None = None
    namespace: str | None = None
    patience: float = Field(600.0, gt=0, description="seconds that a cluster without workers is waited for")


class CheckpointSection(Section):
    every: str = "1 epoch"
    keep: int = Field(3, ge=1)


def _named_layout(value: Any) -> Any:
    return {"auto": True} if value == "auto" else value


class Config(Section):
    """A run, whole."""

    run: RunSection = RunSection()
    data: DataSection = DataSection()
    model: list[Entry]
    loss: Entry = "softmax_cross_entropy"
    metrics: list[Entry] = []
    optimizer: Entry = "adam"
    schedule: Entry = "constant"
    regularisation: PenaltySection | None = None
    train: TrainSection = TrainSection()
    layout: Annotated[LayoutSection, BeforeValidator(_named_layout)] = LayoutSection()
    cluster: ClusterSection = ClusterSection()
    checkpoint: CheckpointSection = CheckpointSection()

    @property
    def folder(self) -> Path:
        """Where the run leaves what it found."""
        return Path(self.run.dir).expanduser() / _as_path(self.run.name)

    def as_yaml(self) -> str:
        """The config with every default written out."""
        return yaml.dump(self.model_dump(), Dumper=yaml_text.Dumper, sort_keys=False)


def load_config(path: str, overrides: tuple[str, ...] = ()) -> Config:
    """Read a config and apply `a.b=c` overrides, whose values are YAML.

    Raises InputError in one line for what is missing, unknown or wrong.
    """
    values = yaml_text.read(path)
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected sections such as `data:` and `model:`, found {shown(values)}")
    for override in overrides:
        _override(values, override)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {_explain(error)}") from None


def _override(values: dict[str, Any], override: str) -> None:
    with suppress(UnicodeDecodeError):  # arguments come in the locale's encoding, configs are in UTF-8
        override = os.fsencode(override).decode("utf-8")
    name, equals, text = override.partition("=")
    *path, leaf = name.split(".")
    if not equals or not all([*path, leaf]) or len(path) > 10:
        raise InputError(f"--set {override}: expected e.g. train.epochs=3")
    at = values
    for part in path:
        if at.get(part) is None:
            at[part] = {}
        at = at[part]
        if not isinstance(at, dict):
            raise InputError(f"--set {override}: {part} has no keys within")
    try:
        at[leaf] = yaml_text.parse(text)
    except InputError as error:
        raise InputError(f"--set {override}: the value is {error}") from None


def read_layout(text: str) -> dict[str, Any]:
    """The arguments of a layout that is written as in a config. Raises InputError, in one line."""
    try:
        values = yaml_text.parse(text)
    except InputError as error:
        raise InputError(f"layout {text}: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"layout {text}: expected keys and values, e.g. {{data: 2, shards: 2}}")
    try:
        found = dict(vars(Config.model_validate({"model": ["flatten"], "layout": values}).layout))
    except ValidationError as error:
        raise InputError(_explain(error)) from None
    del found["auto"]
    return found


def _explain(error: ValidationError) -> str:
    """The first thing that is wrong, by its full name; a key that is not known before one that is missing."""
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    if first["type"] == "extra_forbidden":
        *outer, key = first["loc"]
        owner, path = _section(outer), ".".join(map(str, outer))
        new = owner.renamed.get(str(key))
        if new:
            return now_called(path, str(key), new)
        return str(unknown(f"key in {path}" if outer else "key", key, owner.model_fields))
    entry = not _ENTRY.isdisjoint(first["loc"])
    if not entry:  # of the kinds of value that a key takes, the one that is nearest to what it got
        alike = [e for e in error.errors() if e["loc"][:2] == first["loc"][:2]]
        first = max(alike, key=lambda e: len(e["loc"]))
    where = [part for part in first["loc"] if not _LABEL.fullmatch(str(part))]
    name = ".".join(one_line(str(part), 50) for part in where)
    if first["type"] == "missing":
        return f"{name} is missing"
    wanted = first["msg"].replace("Input", "value", 1).replace("String", "value", 1)
    if first["type"] == "model_type":
        wanted = f"expected keys such as {', '.join(list(_section(where).model_fields)[:3])}"
    elif entry:
        wanted = "expected a name or one `name: arguments`"
    hint = ""
    if first["type"] == "string_type" and isinstance(first["input"], bool):
        hint = "; YAML takes yes, no, on, off, true and false for booleans, put it in quotes"
    return f"{name}: {wanted}, got {shown(first['input'])}{hint}"


_ENTRY = frozenset({"str", "dict[str,any]"})
"""What pydantic adds to the place of a wrong `Entry`."""

_LABEL = re.compile(r"str|constrained-int|(dict|list|literal)\[.*\]")
"""The names that it adds to the place of a value that may be of several kinds."""


def _section(path: list[Any]) -> type[Section]:
    section: type[Section] = Config
    for part in path:
        annotation = section.model_fields[part].annotation
        options = [annotation, *get_args(annotation)]
        section = next(o for o in options if isinstance(o, type) and issubclass(o, Section))
    return section
