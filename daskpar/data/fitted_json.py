"""Fitted transforms as JSON, for checkpoints."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from daskpar.data.fitted import FITTED, Fitted
from daskpar.errors import InputError, unknown


def to_json(fitted: Fitted) -> dict[str, object]:
    """Return a fitted transform as JSON. Raises InputError if its class is not registered."""
    if FITTED.get(fitted.kind) is not type(fitted):
        name = type(fitted).__name__
        raise InputError(f"transforms: {name} is not registered; put @register({name.lower()!r}) before it")
    values = {field.name: getattr(fitted, field.name) for field in fields(fitted)}
    return {
        "transform": fitted.kind,
        **{name: to_json(value) if isinstance(value, Fitted) else value for name, value in values.items()},
    }


Json = Any  # any value of JSON: the fields of a transform decide


def from_json(value: dict[str, Any]) -> Fitted:
    """Return the fitted transform of `to_json`. Raises InputError for a class that is not registered."""

    def tuples(v: Json) -> Json:
        if isinstance(v, dict):
            return from_json(v)
        return tuple(tuples(part) for part in v) if isinstance(v, list) else v

    kind = value["transform"].lower()  # checkpoints of earlier versions have the name of the class
    if kind not in FITTED:
        raise unknown(FITTED.what, kind, FITTED)
    return FITTED[kind](**{k: tuples(v) for k, v in value.items() if k != "transform"})
