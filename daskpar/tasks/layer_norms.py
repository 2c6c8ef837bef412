"""Norms of the gradient, the weights and their change by layer, measured in the pass of an update.

An update of a span logs sums of squares, which add up over the spans of a model:

    layer       gradient    weights    change
    0 conv2d    Σ g²        Σ w²       Σ (w' - w)²     w before the update, g before it is clipped
    3 dense     ...
"""

from __future__ import annotations

import math
from typing import NamedTuple

from daskpar.backend.array import Array
from daskpar.backend.norm import square_of
from daskpar.layout.partition import Span
from daskpar.tasks.types import Spec


class LayerNorms(NamedTuple):
    """Norms by layer, in the order of `layer_names`; NaN where there is no value.

    Args:
        gradient: Norms of the gradient, penalties included, before it is clipped.
        weight: Norms of the weights before the update.
        ratio: Norms of the update divided by those of the weights.
    """

    gradient: list[float]
    weight: list[float]
    ratio: list[float]


def layer_names(spec: Spec) -> list[str]:
    """Return the names of the layers that are trained, e.g. "0 conv2d": place in the model, and kind."""
    return [f"{number} {spec.model.layers[number].kind}" for number in _trained(spec)]


def norms_of(spec: Spec, squares: tuple[float, ...]) -> LayerNorms:
    """Return the norms by layer of a step that has logged `squares`; means over replicas."""
    count = len(squares) // 3
    gradient, weight, change = (
        [math.sqrt(value / spec.layout.replicas) for value in squares[start : start + count]]
        for start in range(0, 3 * count, count)
    )
    ratio = [a / b if b else math.nan for a, b in zip(change, weight, strict=True)]
    return LayerNorms(*([float(f"{value:.6g}") for value in each] for each in (gradient, weight, ratio)))


class Measurement:
    """Measurement of one update; see the module.

    Args:
        spec: The run.
        span: Elements of the parameters; None for all.
        gradient: Gradient of these elements, before it is clipped.
        params: Parameters before the update.
    """

    def __init__(self, spec: Spec, span: Span | None, gradient: Array, params: Array):
        self.layers = len(_trained(spec))
        self.extents = _extents(spec, span, len(params))
        self.before = params.copy()
        self.sums = self._squares(gradient) + self._squares(params)

    def squares(self, after: Array) -> tuple[float, ...]:
        """Return the sums of squares, from the parameters after the update."""
        self.before -= after
        return tuple(self.sums + self._squares(self.before))

    def _squares(self, values: Array) -> list[float]:
        sums = [0.0] * self.layers
        for layer, start, stop in self.extents:
            sums[layer] += square_of(values[start:stop])
        return sums


def is_measured(spec: Spec, step: int) -> bool:
    """Return whether the norms of a step, counted from 0, are logged."""
    return spec.norms_every > 0 and (step + 1) % spec.norms_every == 0


def _trained(spec: Spec) -> list[int]:
    """Return the places in the model of the layers that are trained."""
    return sorted({_layer(entry.name) for entry in spec.table.entries if entry.trains})


def _layer(name: str) -> int:
    return int(name.partition(".")[0])


def _extents(spec: Spec, span: Span | None, size: int) -> list[tuple[int, int, int]]:
    """Return the trained elements among the `size` of a span: number of the layer, first, and end."""
    numbers = {place: number for number, place in enumerate(_trained(spec))}
    begin = span.start if span else 0
    first = max(begin, spec.partition.places[span.place].copied) if span else 0  # counted in branch 0
    inside = (
        (numbers[_layer(entry.name)], max(entry.start, first), min(entry.stop, begin + size))
        for entry in spec.table_of(span).entries
        if entry.trains
    )
    return [(layer, start - begin, stop - begin) for layer, start, stop in inside if start < stop]
