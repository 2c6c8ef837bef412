"""The history of a run: a record at each evaluation."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from daskpar.nn.gathered_rows import Rows
from daskpar.report.record import Record as Record
from daskpar.tasks.types import Spec, Sums
from daskpar.train.plain_json import for_json


def scores(spec: Spec, sums: Sums) -> dict[str, Any]:
    """Loss and metrics by name, from their sums over examples; NaN for one that has no value.

    Sums of training's steps lack the metrics that are measured of all rows at once.
    """
    if not sums:
        return {}
    out: dict[str, Any] = {"loss": mean_loss(spec, sums)}
    at = 2
    outputs = spec.out_shape[-1] if spec.out_shape else 1
    for metric in spec.metrics:
        if metric.gathered and not isinstance(next(iter(sums[at:]), None), Rows):
            continue
        width = metric.width(outputs)
        value = metric.value(sums[at : at + width])
        out[metric.name] = _number(value) if metric.scalar else value
        at += width
    return out


def mean_loss(spec: Spec, sums: Sums) -> float:
    """The loss from the sums of it and of weights, in the units of the targets; NaN where nothing counts."""
    loss = sums[0] / sums[1] if sums[1] else math.nan
    return loss if spec.units is None else loss * spec.units.scale


def pace(history: Sequence[Record], steps: int) -> float:
    """Seconds a step of records that are so many steps apart: the median, without the first stretch."""
    ends: list[float] = [record["seconds"] for record in history]
    return median(later - sooner for sooner, later in pairwise(ends[1:])) / steps


def monitored(record: Record, name: str) -> float:
    """The value of `train.loss`, `validation.accuracy`, ... in a record."""
    part, _, metric = name.partition(".")
    return _number(record[part][metric])


def improves(spec: Spec, name: str, value: float, best: float | None, min_delta: float = 0.0) -> bool:
    """Return whether a monitored value is better than the best so far, by more than `min_delta`.

    NaN never is, nor is the worst of all values, such as an infinite loss: not even the first.
    """
    metric = name.partition(".")[2]
    grows = any(m.name == metric and m.larger_is_better for m in spec.metrics)
    if best is None or math.isnan(best):
        best = -math.inf if grows else math.inf
    return (value - best if grows else best - value) > min_delta


def without_value(spec: Spec, part: str, values: dict[str, Any]) -> dict[str, str]:
    """A line for each score of a part that is not a finite number, by its full name."""
    undefined = {"loss": "the model's outputs, or their squares, are not finite"}
    if math.isfinite(values.get("loss", 0.0)):
        undefined |= {metric.name: metric.undefined for metric in spec.metrics}
    lines = {}
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            has = "has no value" if math.isnan(value) else f"is {value}"
            lines[f"{part}.{name}"] = f"{part}.{name} {has}: {undefined.get(name, undefined['loss'])}"
    return lines


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def to_json(value: object, **options: Any) -> str:
    """JSON in which numbers that are not finite are null: JSON has no other word for them.

    Raises InputError for what JSON cannot carry.
    """

    def finite(part: object) -> object:
        if isinstance(part, dict):
            return {key: finite(inner) for key, inner in part.items()}
        if isinstance(part, list | tuple):
            return [finite(inner) for inner in part]
        return None if isinstance(part, float) and not math.isfinite(part) else part

    return json.dumps(finite(for_json(value)), **options)
