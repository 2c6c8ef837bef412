"""The keys of a config as tables, one for each section, from the JSON schema of configs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from daskpar.config.model import Config
from guides.generated import table

Schema = Mapping[str, Any]

HEAD = ("key", "type", "default", "meaning")
TOP = "the top level"


def key_tables() -> dict[str, str]:
    """Return a table of keys for the top level and for each section, by the name of its part in the guide."""
    schema = Config.model_json_schema()
    tables = {f"keys of {TOP}": table(HEAD, list(_rows(schema, schema, nested=False)))}
    for name, value in schema["properties"].items():
        if "$ref" in value:
            tables[f"keys of {name}"] = table(HEAD, list(_rows(_section(value, schema), schema)))
    return tables


def _section(value: Schema, schema: Schema) -> Schema:
    return schema["$defs"][value["$ref"].rpartition("/")[2]]


def _rows(
    section: Schema, schema: Schema, before: str = "", nested: bool = True
) -> Iterator[tuple[str, ...]]:
    """Yield a row for each key; a key with keys of its own is followed by these."""
    for name, value in section["properties"].items():
        if nested or "$ref" not in value:
            yield (
                f"`{before}{name}`",
                as_type(value),
                "" if "default" not in value else f"`{as_yaml(value['default'])}`",
                _in_yaml(value.get("description", "")),
            )
        for option in value.get("anyOf", ()):
            if "$ref" in option:
                yield from _rows(_section(option, schema), schema, f"{before}{name}.")


def _in_yaml(help: str) -> str:
    """Return a help text with the values that YAML writes in another way than Python."""
    names = {"None": "`null`", "True": "`true`", "False": "`false`"}
    return re.sub(r"\b(None|True|False)\b", lambda match: names[match[0]], help)


def as_yaml(value: object) -> str:
    """Return a default as one writes it in a config: texts without quotes, where YAML needs none."""
    plain = isinstance(value, str) and re.fullmatch(r"\w[\w. -]*", value)
    return str(value) if plain else json.dumps(value)


def as_type(value: Schema) -> str:
    """Return the type of a value of the schema in words."""
    if "anyOf" in value:
        return _one_of(value["anyOf"])
    if "$ref" in value:
        return "the keys below"
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    kind = value.get("type")
    if kind in ("integer", "number"):
        return f"{kind}{_limits(value)}"
    if kind == "array":
        return _list(value)
    if kind == "object" or kind is None:
        return "mapping"
    return {"string": "text", "boolean": "`true`, `false`"}[kind]


def _one_of(options: list[Schema]) -> str:
    """Return the types of which a value may have any; a name or a mapping is a block."""
    kinds = [option.get("type") for option in options]
    if kinds == ["string", "object"]:
        return "[block](#blocks)"
    texts = [as_type(option) for option in options if option.get("type") != "null"]
    if texts == ["text", "mapping"] and options[1].get("additionalProperties"):
        texts = ["[block](#blocks)"]
    return " or ".join([*texts, *(["`null`"] if "null" in kinds else [])])


def _list(value: Schema) -> str:
    number = f"{value['minItems']} × " if value.get("minItems") else ""
    return f"list of {number}{as_type(value['items'])}"


def _limits(value: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {value[name]:g}" for name, sign in signs.items() if name in value]
    return f" {', '.join(limits)}" if limits else ""
