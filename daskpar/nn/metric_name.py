"""The name of a metric in results: its own, unless one is given."""

from __future__ import annotations

from typing import Any


class MetricName:
    """The field `name` of a metric: what was given, or else the metric's `own_name`.

    >>> class Score:
    ...     name, own_name = MetricName(), "score"
    >>> score = Score()
    >>> score.name
    'score'
    >>> score.name = "mine"
    >>> score.name
    'mine'
    """

    def __get__(self, metric: Any, owner: type) -> object:
        if metric is None:  # asked by `dataclass` for the default
            return ""
        name: Any = metric.__dict__.get("_name", "")
        return metric.own_name if isinstance(name, str) and not name else name  # its type is checked later

    def __set__(self, metric: object, name: str) -> None:
        metric.__dict__["_name"] = name


def take_own_name(metric: type) -> None:
    """Let a class that defines `name` define `own_name` by it, so that its metrics can be given another."""
    name = vars(metric).get("name")
    if isinstance(name, property | str):
        metric.own_name = name  # type: ignore[attr-defined]
        del metric.name  # type: ignore[attr-defined]
