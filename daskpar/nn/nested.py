"""Parameters and gradients in nested dicts: by a layer's place in a model, then by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from daskpar.backend.array import Array
from daskpar.nn.context import Params


def at(params: Params, path: tuple[int, ...]) -> Params:
    """The parameters of the layer at a place; none where it has none."""
    for index in path:
        params = params.get(str(index), {})
    return params


def put(grads: Params, path: tuple[int, ...], found: Params, spaces: Params | None = None) -> None:
    """Put the gradients of the layer at a place into nested dicts; adds to those that are there.

    `spaces`: arrays of the layer's gradients that may be written to.
    """
    for index in path:
        grads = grads.setdefault(str(index), {})
    for name, gradient in found.items():
        if name not in grads:
            grads[name] = gradient
            continue
        space = None if spaces is None else spaces.get(name)
        if isinstance(gradient, dict):
            put(grads[name], (), gradient, space)
        elif space is not None and space is grads[name]:
            space += gradient
        else:
            grads[name] = grads[name] + gradient


def merge(into: Params, other: Params) -> None:
    """Put nested dicts into others; what is there already stays."""
    for name, value in other.items():
        if isinstance(value, dict):
            merge(into.setdefault(name, {}), value)
        else:
            into.setdefault(name, value)


def mapped(tree: Params, function: Callable[[Array], Any]) -> Params:
    """Nested dicts with what a function makes of each array."""
    return {
        name: mapped(value, function) if isinstance(value, dict) else function(value)
        for name, value in tree.items()
    }


def flat(tree: Params, prefix: str = "") -> dict[str, Array]:
    """The arrays of nested dicts by full name."""
    arrays: dict[str, Array] = {}
    for name, value in tree.items():
        arrays |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return arrays
