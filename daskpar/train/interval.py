"""The length of a run, and intervals in it: "1 epoch", "2 epochs", "200 steps"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from daskpar.errors import InputError


def run_length(epochs: int | None, steps: int | None, per_epoch: int) -> int:
    """Return the number of steps of a run of `epochs` or `steps`; of one epoch if both are None.

    Raises InputError if both are given, and for a number below 1.
    """
    if epochs is not None and steps is not None:
        raise InputError(
            f"train.epochs={epochs} and train.steps={steps} both say how long to train; give one of them"
        )
    for name, count in (("epochs", epochs), ("steps", steps)):
        if count is not None and count < 1:
            raise InputError(f"train.{name}={count} must be at least 1")
    return steps if steps is not None else (epochs or 1) * per_epoch


@dataclass(frozen=True)
class Interval:
    """Interval of `count` epochs or steps."""

    count: int
    unit: str

    @classmethod
    def parse(cls, text: str, name: str) -> Interval:
        """Return the interval that a text describes; `name` is its key in messages.

        Raises InputError for any text but a whole number above zero and a unit.
        """
        match = re.fullmatch(r"\s*([1-9]\d*)\s*(epoch|step)s?\s*", str(text))
        if match is None:
            raise InputError(f"{name}={text!r} is no interval; expected e.g. '1 epoch' or '200 steps'")
        return cls(int(match[1]), match[2])

    def steps(self, per_epoch: int) -> int:
        """Return the number of steps of the interval, with `per_epoch` steps in an epoch."""
        return self.count * (per_epoch if self.unit == "epoch" else 1)
