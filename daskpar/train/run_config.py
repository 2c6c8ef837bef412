"""The config.yaml of a run that a program began: the settings in the form of a config."""

from __future__ import annotations

import logging
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from daskpar.data.source import SOURCES, Source
from daskpar.data.splits import Split
from daskpar.entries import name_of
from daskpar.settings import key_in_section
from daskpar.train.description import describe
from daskpar.train.plain_json import for_json
from daskpar.train.run_folder import RunFolder
from daskpar.train.settings import FIELDS, Settings
from daskpar.yaml_text import Dumper

logger = logging.getLogger("daskpar")

ARRAYS = "arrays"
"""The `data.source` of arrays in a program's memory. No config can name them, so configs refuse it."""


def program_folder(settings: Settings, train: Split, validation: Split | None) -> list[RunFolder]:
    """Return the callback that keeps the run's folder; [] without one, or where the callbacks have it."""
    if settings.folder is None or any(isinstance(callback, RunFolder) for callback in settings.callbacks):
        return []
    folder = Path(settings.folder)
    text = as_config(settings, folder, train, validation)
    return [RunFolder(folder, text, None, logger.info, whole=False)]


def as_config(settings: Settings, folder: Path, train: Split, validation: Split | None) -> str:
    """Return the settings of a training as the text of a config.

    In place of a block that cannot be described stands the reason.
    """
    about = describe(settings)
    values = {**about["not_described"], **about["settings"]}
    config: dict[str, Any] = {"run": {"name": folder.name, "dir": str(folder.parent)}}
    config["data"] = _data(train, validation)
    for name, field in FIELDS.items():
        if field.metadata["section"] is None or name not in values:
            continue
        *sections, key = key_in_section(field).split(".")
        place = config
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = values[name]
    if config["layout"] is None:
        del config["layout"]
    config["regularisation"] = values.get("penalty")
    stopping = next((entry["early_stopping"] for entry in values.get("callbacks", ())), None)
    config["train"]["early_stopping"] = stopping
    return yaml.dump(config, Dumper=Dumper, sort_keys=False)


def _data(train: Split, validation: Split | None) -> dict[str, Any]:
    """Return the keys of the section `data` that describe the rows."""
    source = train.source
    name = name_of(source)
    if name is None or name not in SOURCES:
        return {"source": ARRAYS}
    keys = {f.metadata.get("key") or f.name: getattr(source, f.name) for f in _keys(source)}
    share = 0.0
    if validation is not None and validation.source == source:
        share = round((validation.high - validation.low) / (validation.high - train.low), 12)
    data: dict[str, Any] = for_json({"source": name, "validation": share, "test": 0.0, **keys})
    return data


def _keys(source: Source) -> list[Any]:
    """Return the fields of a source that are keys of the section."""
    return [field for field in fields(source) if "help" in field.metadata]
