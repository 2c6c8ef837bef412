"""Frozen copies of layers: neither their parameters nor those of the layers within them are trained."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import cached_property, wraps
from typing import Any, Protocol, TypeVar


class Trains(Protocol):
    """A layer, as far as freezing is concerned."""

    @property
    def trainable(self) -> bool:
        """True if the parameters of the layer are trained."""
        ...


L = TypeVar("L", bound=Trains)


def frozen(layer: L) -> L:
    """Return the layer with its parameters frozen.

    Cached properties are dropped, because they may hold layers that are not frozen.
    """
    if not layer.trainable:
        return layer
    result = copy(layer)
    for name in list(vars(result)):
        if isinstance(getattr(type(result), name, None), cached_property):
            del result.__dict__[name]
    object.__setattr__(result, "trainable", False)
    return result


def as_trainable_as_it(children: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], tuple[Any, ...]]:
    """Wrap the method `children` of a layer, so that the children of a frozen layer are frozen."""

    @wraps(children)
    def follow(layer: Trains) -> tuple[Any, ...]:
        operations = children(layer)
        if layer.trainable:
            return operations
        return tuple(replace(o, layer=frozen(o.layer)) if o.role == "run" else o for o in operations)

    return follow
