"""Error messages for configs, in one line each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import get_args

from pydantic import ValidationError

from daskpar.aliases import argument_name, wrong_argument
from daskpar.config.section import Section
from daskpar.errors import now_called, one_line, shown
from daskpar.settings import key_in_section
from daskpar.train.settings import FIELDS

_ENTRY = frozenset({"str", "dict[str,any]"})
"""Names that pydantic adds to the location of a wrong `Entry`."""

_LABEL = re.compile(r"str|constrained-int|(dict|list|literal)\[.*\]")
"""Names that pydantic adds to the location of a value that may have several types."""


def explain(error: ValidationError, model: type[Section]) -> str:
    """Return the message for the first error, with the key's full name; unknown keys come first.

    `model`: the class of configs that was validated.
    """
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    if first["type"] == "extra_forbidden":
        return _unknown_key(first["loc"], model)
    entry = not _ENTRY.isdisjoint(first["loc"])
    if not entry:  # of the types that a key accepts, the one nearest to the value
        alike = [e for e in error.errors() if e["loc"][:2] == first["loc"][:2]]
        first = max(alike, key=lambda e: len(e["loc"]))
    where = [part for part in first["loc"] if not _LABEL.fullmatch(str(part))]
    name = ".".join(one_line(str(part), 50) for part in where)
    if first["type"] == "missing":
        return f"{name} is missing"
    wanted = first["msg"].replace("Input", "value", 1).replace("String", "value", 1)
    if first["type"] == "model_type":
        wanted = f"expected keys such as {', '.join(list(_section(where, model).model_fields)[:3])}"
    elif entry:
        wanted = "expected a name or one `name: arguments`"
    hint = ""
    if first["type"] == "string_type" and isinstance(first["input"], bool):
        hint = "; YAML takes yes, no, on, off, true and false for booleans, put it in quotes"
    return f"{name}: {wanted}, got {shown(first['input'])}{hint}"


def _unknown_key(place: Sequence[int | str], model: type[Section]) -> str:
    *outer, key = place
    owner, path = _section(outer, model), ".".join(map(str, outer))
    new = owner.renamed.get(str(key))
    if new:
        return now_called(path, str(key), new)
    where = f"key in {path}" if outer else "key"
    setting = argument_name(str(key), FIELDS, owner.other_names)
    if setting in FIELDS and setting not in owner.model_fields and FIELDS[setting].metadata["section"]:
        return f"{where} {key!r} is called {key_in_section(FIELDS[setting])}"
    return str(wrong_argument(where, key, owner.model_fields, owner.other_names))


def _section(path: Sequence[int | str], model: type[Section]) -> type[Section]:
    section = model
    for part in path:
        annotation = section.model_fields[str(part)].annotation
        options = [annotation, *get_args(annotation)]
        section = next(o for o in options if isinstance(o, type) and issubclass(o, Section))
    return section
