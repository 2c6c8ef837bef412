"""Parameters and gradients in nested dicts: by a layer's place in a model, then by name."""

from __future__ import annotations

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
