"""The check that a run's folder belongs to a config.

The model, the loss, the data, the transforms and the seed must be the same. Settings that do not change what
the model means may differ: the layout, the cluster, the length of the training.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from daskpar import yaml_text
from daskpar.config import Config
from daskpar.data import transform
from daskpar.entries import entry_of
from daskpar.errors import InputError, shown
from daskpar.nn import registry as nn
from daskpar.settings import Block

_HARMLESS = ("streams", "chunk_rows", "cache", "distribution", "trainable")
_BLOCKS = ("transforms", "targets")
_MOST = 4  # differences that a message names


def check_same_run(config: Config) -> None:
    """Refuse a run's folder that was written with another config; a folder without a config passes.

    Raises InputError in one line, with the keys that differ and both values.
    """
    stored = config.folder / "config.yaml"
    if not stored.is_file():
        return
    before, now = yaml_text.read(stored), config.model_dump()
    if not isinstance(before, dict):
        raise InputError(f"{stored}: expected the config of the run, got {shown(before)}")
    defaults = type(config.data)().model_dump()  # for keys that an earlier version did not have
    before["data"] = {**defaults, **(before.get("data") or {})}
    there, here = dict(_compared(before)), dict(_compared(now))
    differing = [key for key in dict.fromkeys([*here, *there]) if not _same(there.get(key), here.get(key))]
    blocks = tuple(f"{key}." for key in differing)  # another block has other arguments anyway
    differing = [key for key in differing if not key.startswith(blocks)]
    if not differing:
        return
    named = [f"{key}={_shown(there, key)} there, {_shown(here, key)} here" for key in differing[:_MOST]]
    more = f", and {len(differing) - _MOST} more" if len(differing) > _MOST else ""
    raise InputError(
        f"{config.folder} is the run of another config: {'; '.join(named)}{more}; set it back, or "
        "choose another run (run.name)"
    )


def _shown(values: Mapping[str, object], key: str) -> str:
    return shown(values[key], 60) if key in values else "nothing"


def _same(there: object, here: object) -> bool:
    if isinstance(there, str) and isinstance(here, str):  # they may be paths
        there, here = (os.path.abspath(os.path.expanduser(text)) for text in (there, here))
    return there == here


def _compared(values: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the keys that a trained model depends on, and their values; blocks have all arguments."""
    yield from _flat("model", _model(values.get("model")))
    yield from _flat("loss", _built(nn.loss, values.get("loss")))
    data = values.get("data") or {}
    built = {key: [_built(transform, entry) for entry in data.get(key) or ()] for key in _BLOCKS}
    yield from _flat("data", {**data, **built})
    yield "data.distribution", data.get("distribution") == "stratified"
    yield "train.seed", (values.get("train") or {}).get("seed")  # the parts are drawn with it


def _model(entries: object) -> object:
    """Return the entries of a model's layers with all arguments, or unchanged where one is unknown."""
    try:
        return [entry_of(layer) for layer in nn.model(entries).layers]
    except InputError:
        return entries


def _built(build: Callable[[object], Block], entry: object) -> object:
    """Return an entry with all arguments, or unchanged where its block is unknown."""
    try:
        return entry_of(build(entry))  # type: ignore[arg-type]
    except InputError:
        return entry


def _flat(key: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield the values within lists and mappings by full keys; for a block, its name and arguments."""
    parts: Iterator[tuple[object, object]] = iter(())
    if isinstance(value, list):
        parts = iter(enumerate(value))
    elif isinstance(value, Mapping) and len(value) == 1:
        (name, arguments), *_ = value.items()
        yield key, name
        parts = iter([(name, arguments)])
    elif isinstance(value, Mapping):
        parts = iter(value.items())
    else:
        yield key, value
    for name, part in parts:
        if name not in _HARMLESS:
            yield from _flat(f"{key}.{name}", part)
