"""How often something happens: "1 epoch", "2 epochs", "200 steps"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from daskpar.errors import InputError


@dataclass(frozen=True)
class Every:
    """`count` epochs or steps."""

    count: int
    unit: str

    @classmethod
    def parse(cls, text: str, name: str) -> Every:
        """`name` is the key that holds the text.

        Raises InputError for anything but a whole number above zero and a unit.
        """
        match = re.fullmatch(r"\s*([1-9]\d*)\s*(epoch|step)s?\s*", str(text))
        if match is None:
            raise InputError(f"{name}={text!r} is no interval; expected e.g. '1 epoch' or '200 steps'")
        return cls(int(match[1]), match[2])

    def steps(self, per_epoch: int) -> int:
        return self.count * (per_epoch if self.unit == "epoch" else 1)
