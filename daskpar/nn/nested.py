"""Parameters and gradients in nested dicts: by a layer's place in a model, then by name.

    {"0": {"weight": ..., "bias": ...}, "2": {"0": {"weight": ...}}}

The full names of these are 0.weight, 0.bias and 2.0.weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from daskpar.backend.array import Array
from daskpar.nn.context import Params


def at(params: Params, path: tuple[int, ...]) -> Params:
    """Return the parameters of the layer at a place; an empty dict if it has none."""
    for index in path:
        params = params.get(str(index), {})
    return params


def put(grads: Params, path: tuple[int, ...], gradients: Params, spaces: Params | None = None) -> None:
    """Put the gradients of the layer at a place into nested dicts. Add them to those that are there.

    `spaces` are arrays by name that may be written to. A gradient that is stored in its own array is added in
    place.
    """
    for index in path:
        grads = grads.setdefault(str(index), {})
    for name, gradient in gradients.items():
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
    """Put nested dicts into others. Values that are there already stay."""
    for name, value in other.items():
        if isinstance(value, dict):
            merge(into.setdefault(name, {}), value)
        else:
            into.setdefault(name, value)


def mapped(tree: Params, function: Callable[[Array], Any]) -> Params:
    """Return nested dicts with a function applied to each array."""
    return {
        name: mapped(value, function) if isinstance(value, dict) else function(value)
        for name, value in tree.items()
    }


def flat(tree: Params, prefix: str = "") -> dict[str, Array]:
    """Return the arrays of nested dicts by full name."""
    arrays: dict[str, Array] = {}
    for name, value in tree.items():
        arrays |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return arrays
