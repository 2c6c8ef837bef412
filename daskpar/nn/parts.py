"""The layers within a layer: found, counted, and written out where a config repeats them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import fields

from daskpar.errors import InputError
from daskpar.nn.layer import Layer, Place, frozen

MOST_LAYERS = 10_000
"""Layers of a model, those within others included: a bound on what a short config can ask for."""


def within(layer: Layer) -> list[Layer]:
    """The layers directly within a layer, by its `children`.

    Those of a layer that has some, but cannot be taken apart, are the layers among its hyper-parameters.
    """
    children = layer.children()
    if not children:
        return [part for field in fields(layer) for part in _layers(getattr(layer, field.name))]
    found: list[Layer] = []
    for child in children:
        if child.role == "run" and not child.shallow:
            found += within(child.layer) if child.inline else [child.layer]
    return found


def _layers(value: object) -> list[Layer]:
    if isinstance(value, tuple):
        return [part for part in value if isinstance(part, Layer)]
    return [value] if isinstance(value, Layer) else []


def parts(layer: Layer) -> list[Layer]:
    """A layer and all layers within it."""
    return [layer, *(part for inner in within(layer) for part in parts(inner))]


def recomputes(layer: Layer) -> bool:
    """Tell whether a layer keeps only its input for the backward pass: then it cannot be taken apart."""
    inner = (child.layer for child in layer.children() if child.inline)
    return bool(getattr(layer, "remat", False)) or any(map(recomputes, inner))


def written_out(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Layers as they are computed: each replaced by the layers that it stands for in a list."""
    out: list[Layer] = []
    for layer in layers:
        stands_for = layer.stands_for()
        out += stands_for if layer.trainable else map(frozen, stands_for)
        require_buildable(len(out))
    return tuple(out)


def freeze_each(layers: Sequence[Layer], places: Set[Place]) -> tuple[Layer, ...]:
    """Layers with those at some places frozen, of which the first number is that of the layer in the list."""
    inside = ({place[1:] for place in places if place[:1] == (i,)} for i in range(len(layers)))
    return tuple(layer.freeze(own) if own else layer for layer, own in zip(layers, inside, strict=True))


def require_buildable(count: int) -> None:
    """Refuse a model of more layers than anybody can train. Raises InputError."""
    if count > MOST_LAYERS:
        raise InputError(
            f"a model of {count:,} layers or more; expected at most {MOST_LAYERS:,}, look at repeat.times"
        )


def count_layers(layer: Layer, known: dict[int, int] | None = None) -> int:
    """Return how many layers a layer is, those within it included, each as often as it is computed.

    `known`: counts by identity, since what is repeated is one object.
    """
    known = {} if known is None else known
    if id(layer) not in known:
        known[id(layer)] = 1 + sum(count_layers(part, known) for part in within(layer))
    return known[id(layer)]
