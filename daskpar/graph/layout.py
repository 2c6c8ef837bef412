"""How a step is cut: parallelism is nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.errors import InputError

GRAINS = ("window", "step", "stage", "layer")


@dataclass(frozen=True)
class Layout:
    """How one training step is cut into tasks.

    `data`: into how many lanes the rows of a batch are cut. `grain`: how much goes into one task: a whole
    lane of a step (`step`), its forward and its backward pass (`stage`), each layer of both (`layer`), or
    many steps at once (`window`, for short steps: the lanes are threads of one task). `fan_in`: how many
    gradients one task of the reduction tree adds.

    What a layout computes does not depend on where it runs: the shape of the tree comes from the lanes'
    numbers, so the same layout and seed give the same bits on one worker or eight.
    """

    data: int = 1
    grain: str = "step"
    fan_in: int = 4

    def __post_init__(self) -> None:
        if self.data < 1:
            raise InputError(f"layout.data={self.data} must be at least 1")
        if self.grain not in GRAINS:
            raise InputError(f"layout.grain={self.grain!r} is not known; use one of {', '.join(GRAINS)}")
        if self.fan_in < 2:
            raise InputError(f"layout.fan_in={self.fan_in} must be at least 2")

    def streams(self, lane: int, streams: int) -> range:
        """The streams of data that belong to a lane."""
        return range(lane * streams // self.data, (lane + 1) * streams // self.data)
