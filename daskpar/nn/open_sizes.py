"""Sizes that a model leaves open, because they follow from the data: words, classes, categories.

>>> from daskpar.nn import Dense, Embedding, Flatten, Sequential
>>> model = Sequential((Embedding(features=8), Flatten(), Dense()))
>>> sorted(open_in(model))
['outputs', 'words']
>>> fill(model, Sizes(words=65, outputs=3)).layers[0].words
65
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar, cast

from daskpar.errors import InputError
from daskpar.nn.layer import Layer

L = TypeVar("L", bound=Layer)


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model that data have: `words` of tokens, `outputs`, and the categories of `columns`."""

    words: int | None = None
    outputs: int | None = None
    columns: tuple[int, ...] = ()

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(
        cls, words: int | None = None, outputs: int | None = None, columns: Sequence[int] = ()
    ) -> Sizes:
        return cls(words, outputs, tuple(columns))


def open_in(layer: Layer) -> list[str]:
    """Return which of `Sizes` a layer and those within it leave open, each as often as one does."""
    found = [size for size in layer.open_sizes() if size]
    for _, inner in _nested(layer):
        found += [size for part in inner for size in open_in(part)]
    return found


def fill(layer: L, sizes: Sizes) -> L:
    """Return a layer with the sizes that it, and those within it, left open; itself where it left none.

    Raises InputError where two layers leave the number of outputs open.
    """
    wanted = open_in(layer)
    if not wanted:
        return layer
    if wanted.count("outputs") > 1:
        raise InputError("the model leaves the units of several layers open; only the last one's may be")
    return cast(L, _filled(layer, sizes))


def _filled(layer: Layer, sizes: Sizes) -> Layer:
    changed: dict[str, object] = {}
    for name, inner in _nested(layer):
        parts = tuple(_filled(part, sizes) for part in inner)
        if any(new is not old for new, old in zip(parts, inner, strict=True)):
            changed[name] = parts
    for size, name in layer.open_sizes().items():
        value = getattr(sizes, size)
        if value:
            changed[name] = value
    return replace(layer, **cast(Any, changed)) if changed else layer


def _nested(layer: Layer) -> list[tuple[str, tuple[Layer, ...]]]:
    """Return the fields of a layer that hold layers."""
    values = ((field.name, getattr(layer, field.name)) for field in fields(layer))
    return [
        (name, value)
        for name, value in values
        if isinstance(value, tuple) and value and all(isinstance(part, Layer) for part in value)
    ]
