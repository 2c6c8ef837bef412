"""Layers that are not trained, and all layers within them."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import cached_property, wraps
from typing import Any, Protocol, TypeVar


class Trains(Protocol):
    """A layer, as far as it tells whether its parameters are trained."""

    @property
    def trainable(self) -> bool: ...


L = TypeVar("L", bound=Trains)


def frozen(layer: L) -> L:
    """The layer with its parameters frozen; what it has worked out of others within it is left behind."""
    if not layer.trainable:
        return layer
    still = copy(layer)
    for name in list(vars(still)):
        if isinstance(getattr(type(still), name, None), cached_property):
            del still.__dict__[name]
    object.__setattr__(still, "trainable", False)
    return still


def as_trainable_as_it(children: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], tuple[Any, ...]]:
    """The method `children` of a layer, which freezes those of a layer that is frozen itself."""

    @wraps(children)
    def follow(layer: Trains) -> tuple[Any, ...]:
        operations = children(layer)
        if layer.trainable:
            return operations
        return tuple(replace(o, layer=frozen(o.layer)) if o.role == "run" else o for o in operations)

    return follow
