"""Values of a run's history: scores from sums, and comparisons of records."""

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
    """Return loss and metrics by name from their sums over examples; NaN for a score without a value.

    Sums of training steps lack the metrics that need all rows at once.
    """
    if not sums:
        return {}
    out: dict[str, Any] = {"loss": mean_loss(spec, sums)}
    start = 2
    outputs = spec.out_shape[-1] if spec.out_shape else 1
    for metric in spec.metrics:
        if metric.gathered and not isinstance(next(iter(sums[start:]), None), Rows):
            continue
        width = metric.width(outputs)
        value = metric.value(sums[start : start + width])
        out[metric.name] = _number(value) if metric.scalar else value
        start += width
    return out


def mean_loss(spec: Spec, sums: Sums) -> float:
    """Return the mean loss in the units of the targets, from sums; NaN where the weights are zero."""
    loss = sums[0] / sums[1] if sums[1] else math.nan
    return loss if spec.units is None else loss * spec.units.scale


def pace(history: Sequence[Record], steps: int) -> float:
    """Return the median seconds of a step, from records `steps` apart, without the first of them."""
    ends: list[float] = [record["seconds"] for record in history]
    return median(later - sooner for sooner, later in pairwise(ends[1:])) / steps


def monitored(record: Record, name: str) -> float:
    """Return the value of a score in a record, by its full name, e.g. `validation.accuracy`."""
    part, _, metric = name.partition(".")
    return _number(record[part][metric])


def improves(spec: Spec, name: str, value: float, best: float | None, min_delta: float = 0.0) -> bool:
    """Return whether a monitored value is better than the best so far by more than `min_delta`.

    NaN and the worst possible value, such as an infinite loss, are never better, not even as the first value.
    """
    metric = name.partition(".")[2]
    grows = any(m.name == metric and m.larger_is_better for m in spec.metrics)
    if best is None or math.isnan(best):
        best = -math.inf if grows else math.inf
    return (value - best if grows else best - value) > min_delta


def without_value(spec: Spec, part: str, values: dict[str, Any]) -> dict[str, str]:
    """Return a line for each score of a part that is not a finite number, by its full name."""
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
    """Return a value as JSON; numbers that are not finite become null, because JSON has none.

    Raises InputError for values that JSON cannot hold.
    """

    def finite(part: object) -> object:
        if isinstance(part, dict):
            return {key: finite(inner) for key, inner in part.items()}
        if isinstance(part, list | tuple):
            return [finite(inner) for inner in part]
        return None if isinstance(part, float) and not math.isfinite(part) else part

    return json.dumps(finite(for_json(value)), **options)
