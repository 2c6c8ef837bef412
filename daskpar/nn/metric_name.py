"""The name of a metric in results: `own_name`, unless the user chose another."""

from __future__ import annotations

from typing import Any


class MetricName:
    """Descriptor of the field `name` of a metric: the name that was set, or else the metric's `own_name`.

    Example:
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
        if metric is None:  # `dataclass` asks for the default
            return ""
        name: Any = metric.__dict__.get("_name", "")
        return metric.own_name if isinstance(name, str) and not name else name  # its type is checked later

    def __set__(self, metric: object, name: str) -> None:
        metric.__dict__["_name"] = name


def take_own_name(metric: type) -> None:
    """Rename the `name` that a class defines to `own_name`, so that users can choose another."""
    name = vars(metric).get("name")
    if isinstance(name, property | str):
        metric.own_name = name  # type: ignore[attr-defined]
        del metric.name  # type: ignore[attr-defined]
