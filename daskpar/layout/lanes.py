"""Data parallelism: the rows of a batch are cut into lanes, and a tree adds the lanes' gradients.

A lane is one share of the batch, a data-parallel rank that is not tied to a process. Four lanes with
`fan_in: 2`:

    lane 0   grad ─┬─> reduce-gradient ─┬─> update of every lane, in the next step
    lane 1   grad ─┘                    │
    lane 2   grad ─┬─> reduce-gradient ─┘
    lane 3   grad ─┘

The last level of the tree, at most `fan_in` values, is added by the updates themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daskpar.errors import InputError
from daskpar.layout.cut import Cut
from daskpar.settings import setting


def _auto_or_weights(lanes: object) -> object:
    if (isinstance(lanes, str) and lanes != "auto") or (isinstance(lanes, list | tuple) and not lanes):
        raise InputError(f"layout.lanes={lanes!r}: expected auto, or a list of weights")
    return lanes


@dataclass(frozen=True)
class Lanes(Cut):
    """Data parallelism: lanes of rows, equal or in proportion to weights."""

    data: int = setting(
        1,
        "lanes that the rows of a batch are cut into (data parallelism); a divisor of the batch",
        at_least=1,
    )
    lanes: str | tuple[float, ...] | None = setting(
        None,
        "shares of the batch, one positive weight a lane, in place of data: [2, 1] trains two thirds of the "
        "rows in lane 0; auto measures the speed of each lane's worker",
        choices=("auto",),
        convert=_auto_or_weights,
    )
    fan_in: int = setting(
        4, "gradients that one task of the reduction tree adds (the tree's fan-in)", at_least=2
    )

    def check_fields(self) -> None:
        if self.lanes is None or isinstance(self.lanes, str):
            return
        listed = ", ".join(f"{weight:g}" for weight in self.lanes)
        if self.data not in (1, len(self.lanes)):
            raise InputError(
                f"layout.lanes=[{listed}] are {len(self.lanes)} lanes, but layout.data={self.data}; "
                "leave out data"
            )
        if any(not weight > 0 for weight in self.lanes):
            raise InputError(f"layout.lanes=[{listed}]: weights must be above zero")
        object.__setattr__(self, "data", len(self.lanes))


def lanes_alike(lanes: Lanes, replicas: int) -> int:
    """Return the number of equal shares that the streams of a batch are cut into."""
    return replicas * lanes.data if lanes.lanes is None else replicas


def check_streams(lanes: Lanes, replicas: int, batch: int, streams: int) -> None:
    """Refuse streams that do not divide the batch, and lanes that do not divide the streams.

    Raises:
        InputError: A number does not divide the other.
    """
    if batch % streams:
        raise InputError(f"data.streams={streams} does not divide train.batch={batch}")
    if streams % lanes_alike(lanes, replicas):
        cut = f"data={lanes.data}"
        if replicas > 1:
            cut = f"replicas={replicas} with {cut}"
        raise InputError(
            f"layout.{cut} does not divide the {streams} streams that a batch of "
            f"{batch} is drawn from; use a divisor of {streams}, or set data.streams"
        )


def apportioned(things: int, weights: Sequence[float]) -> list[int]:
    """Return whole shares of `things` in proportion to weights, each at least 1.

    What rounding down leaves over goes to the largest remainders first.

    Raises:
        InputError: There are fewer things than weights.

    Example:
        >>> apportioned(8, [3, 1])
        [6, 2]
    """
    if things < len(weights):
        raise InputError(
            f"layout.lanes: {len(weights)} lanes cannot share the {things} streams that a batch is drawn "
            "from; set data.streams to more"
        )
    exact = [things * weight / sum(weights) for weight in weights]
    counts = [max(1, int(share)) for share in exact]
    while sum(counts) != things:
        step = 1 if sum(counts) < things else -1
        fit = [i for i in range(len(counts)) if step > 0 or counts[i] > 1]
        counts[max(fit, key=lambda i: (step * (exact[i] - counts[i]), -i))] += step
    return counts
