"""Functions that read configs, and layouts written as in a config."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from daskpar import yaml_text
from daskpar.config.explain import explain
from daskpar.config.imports import bring_in
from daskpar.config.model import Config, RunSection, config_class
from daskpar.errors import InputError, shown


def load_config(path: str, overrides: tuple[str, ...] = (), imports: tuple[str, ...] = ()) -> Config:
    """Read a config and apply `a.b=c` overrides, whose values are YAML.

    `imports`: files and modules with blocks of your own, imported before those that the config names.
    Raises InputError, in one line, for a key that is missing, unknown or wrong.
    """
    values = yaml_text.read(path)
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected sections such as `data:` and `model:`, found {shown(values)}")
    for override in overrides:
        _override(values, override)
    if isinstance(values.setdefault("run", {}), dict):
        values["run"].setdefault("name", run_name(path))
    values["import"] = bring_in(imports, values.get("import", []), path)
    model = config_class(_choice(values, "data", "source"), _choice(values, "cluster", "kind"))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error, model)}") from None


def run_name(path: str) -> str:
    """Return the default name of a run: that of its config's file, without characters that names lack.

    >>> run_name("configs/mnist_mlp.yaml"), run_name("my first run.yaml"), run_name("-")
    ('mnist_mlp', 'my-first-run', 'run')
    """
    return re.sub(r"[^\w.-]+", "-", Path(path).stem).lstrip(".-") or RunSection().name


def schema(imports: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the JSON schema of configs, with the keys of blocks that these files and modules register."""
    bring_in(imports, [], "--import")
    return config_class("", "").model_json_schema()


def _choice(values: dict[str, Any], section: str, key: str) -> str:
    """Return the value of a key that decides which other keys its section has."""
    keys = values.get(section)
    return str(keys.get(key)) if isinstance(keys, dict) else ""


def _override(values: dict[str, Any], override: str) -> None:
    with suppress(UnicodeDecodeError):  # arguments are in the locale's encoding, configs in UTF-8
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
    """Return the arguments of a layout that is written as in a config. Raises InputError, in one line.

    >>> read_layout("{data: 2, shards: 2}")["shards"]
    2
    """
    try:
        values = yaml_text.parse(text)
    except InputError as error:
        raise InputError(f"layout {text}: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"layout {text}: expected keys and values, e.g. {{data: 2, shards: 2}}")
    try:
        layout = dict(Config.model_validate({"model": ["flatten"], "layout": values}).layout)
    except ValidationError as error:
        raise InputError(explain(error, Config)) from None
    del layout["auto"]
    return layout
