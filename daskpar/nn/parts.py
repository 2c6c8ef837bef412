"""The layers within a layer: listed, counted, and written out where a config repeats them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import fields

from daskpar.errors import InputError
from daskpar.nn.layer import Layer, Place, frozen

MOST_LAYERS = 10_000
"""The most layers of a model, nested ones included: a short config can repeat layers without end."""


def within(layer: Layer) -> list[Layer]:
    """Return the layers directly within a layer.

    They are its `children` or, for a layer that has none, the layers among its hyper-parameters.
    """
    children = layer.children()
    if not children:
        return [part for field in fields(layer) for part in _layers(getattr(layer, field.name))]
    layers: list[Layer] = []
    for child in children:
        if child.role == "run" and not child.shallow:
            layers += within(child.layer) if child.inline else [child.layer]
    return layers


def _layers(value: object) -> list[Layer]:
    if isinstance(value, tuple):
        return [part for part in value if isinstance(part, Layer)]
    return [value] if isinstance(value, Layer) else []


def parts(layer: Layer) -> list[Layer]:
    """Return a layer and all layers within it."""
    return [layer, *(part for inner in within(layer) for part in parts(inner))]


def recomputes(layer: Layer) -> bool:
    """Return whether a layer keeps only its input for the backward pass. Such a layer cannot be split up."""
    inner = (child.layer for child in layer.children() if child.inline)
    return bool(getattr(layer, "remat", False)) or any(map(recomputes, inner))


def written_out(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Return layers as they are computed: each is replaced by the layers that it stands for in a list."""
    out: list[Layer] = []
    for layer in layers:
        stands_for = layer.stands_for()
        out += stands_for if layer.trainable else map(frozen, stands_for)
        require_buildable(len(out))
    return tuple(out)


def freeze_each(layers: Sequence[Layer], places: Set[Place]) -> tuple[Layer, ...]:
    """Return layers in which those at some places are frozen.

    The first index of a place is the number of the layer in the list.
    """
    inside = ({place[1:] for place in places if place[:1] == (i,)} for i in range(len(layers)))
    return tuple(layer.freeze(inner) if inner else layer for layer, inner in zip(layers, inside, strict=True))


def require_buildable(count: int) -> None:
    """Raise InputError for a model of more than `MOST_LAYERS` layers."""
    if count > MOST_LAYERS:
        raise InputError(
            f"a model of {count:,} layers or more; expected at most {MOST_LAYERS:,}; check repeat.times"
        )


def count_layers(layer: Layer, known: dict[int, int] | None = None) -> int:
    """Return the number of layers in a layer, itself included, each counted as often as it is computed.

    `known` holds counts by identity, because repeated layers are one object.
    """
    known = {} if known is None else known
    if id(layer) not in known:
        known[id(layer)] = 1 + sum(count_layers(part, known) for part in within(layer))
    return known[id(layer)]
