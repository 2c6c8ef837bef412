"""Sizes that a model leaves open because the data decide them: words, classes, categories.

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
    """Sizes of a model that the data decide.

    Args:
        words: Size of the vocabulary. None if the data are no tokens. Default: None.
        outputs: Number of outputs: classes, characters or targets. Default: None.
        columns: Number of categories of each embedded column. Default: ().
    """

    words: int | None = None
    outputs: int | None = None
    columns: tuple[int, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the sizes as a dict for a JSON file."""
        return asdict(self)

    @classmethod
    def from_json(
        cls, words: int | None = None, outputs: int | None = None, columns: Sequence[int] = ()
    ) -> Sizes:
        """Return the sizes from the values of a JSON file."""
        return cls(words, outputs, tuple(columns))


def open_in(layer: Layer) -> list[str]:
    """Return the names of the sizes that a layer and those within it leave open, one for each open field."""
    sizes = [size for size in layer.open_sizes() if size]
    for _, inner in _nested(layer):
        sizes += [size for part in inner for size in open_in(part)]
    return sizes


def fill(layer: L, sizes: Sizes) -> L:
    """Return a layer with all open sizes filled in, or the layer itself if none are open.

    Raises:
        InputError: Two layers leave the number of outputs open.
    """
    wanted = open_in(layer)
    if not wanted:
        return layer
    if wanted.count("outputs") > 1:
        raise InputError("several layers of the model have no `units`; only the last one may leave them out")
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
