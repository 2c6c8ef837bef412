"""Data parallelism: the rows of a batch are cut into lanes, whose gradients meet in a tree.

Four lanes, `fan_in: 2`; the last level of the tree is added up by whoever needs the sum:

    lane 0   grad ─┬─> reduce-gradient ─┬─> all lanes
    lane 1   grad ─┘                    │
    lane 2   grad ─┬─> reduce-gradient ─┘
    lane 3   grad ─┘
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
    """Lanes of rows. With `lanes` they are not equal, but as these weights have it."""

    data: int = setting(1, "lanes that the rows of a batch are cut into", at_least=1)
    lanes: str | tuple[float, ...] | None = setting(
        None,
        "weights of lanes; auto: by the speed of their workers",
        choices=("auto",),
        convert=_auto_or_weights,
    )
    fan_in: int = setting(4, "gradients that one task of the tree adds", at_least=2)

    def check_fields(self) -> None:
        if self.lanes is None or isinstance(self.lanes, str):
            return
        listed = ", ".join(f"{weight:g}" for weight in self.lanes)
        if self.data not in (1, len(self.lanes)):
            raise InputError(f"layout.lanes=[{listed}] are {len(self.lanes)} lanes, layout.data={self.data}")
        if any(not weight > 0 for weight in self.lanes):
            raise InputError(f"layout.lanes=[{listed}]: weights must be above zero")
        object.__setattr__(self, "data", len(self.lanes))


def lanes_alike(lanes: Lanes, replicas: int) -> int:
    """Return how many shares of a batch have the same number of rows each."""
    return replicas * lanes.data if lanes.lanes is None else replicas


def check_streams(lanes: Lanes, replicas: int, batch: int, streams: int) -> None:
    """Refuse streams that do not divide the batch, or that lanes do not divide."""
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
    """So many things in proportion to weights, at least one each; the largest remainders first.

    Raises InputError where there are fewer things than weights.
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
