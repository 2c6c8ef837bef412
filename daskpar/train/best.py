"""The best evaluation of a run, for each score."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from daskpar.tasks.types import Spec
from daskpar.train.history import Record, improves


class Best(NamedTuple):
    """Best value of a score, with its full name, e.g. `validation.accuracy`, and its evaluation."""

    name: str
    value: float
    step: int
    epoch: float


def main_score(record: Record) -> str | None:
    """Return the full name of the score by which runs are compared.

    It is the first metric of the validation data, or of the training data where there are no others; or the
    loss where there is no metric. None if the record has no score.
    """
    for part in ("validation", "train"):
        names = [name for name, value in record[part].items() if isinstance(value, float)]
        if names:
            return f"{part}.{next((name for name in names if name != 'loss'), names[0])}"
    return None


def best_of(spec: Spec, records: Iterable[Record], name: str) -> Best | None:
    """Return the best value of a score in some records; None where it has no finite value."""
    part, _, score = name.partition(".")
    best: Best | None = None
    for record in records:
        value = record[part].get(score)
        if not isinstance(value, float) or not math.isfinite(value):
            continue
        if improves(spec, name, value, None if best is None else best.value):
            best = Best(name, value, record["step"], record["epoch"])
    return best
