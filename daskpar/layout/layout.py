"""The cut of a step: the union of all cuts. Parallelism is nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import ClassVar

from daskpar.errors import InputError
from daskpar.layout.compression import Compression
from daskpar.layout.cut import Cut
from daskpar.layout.demands import Demands
from daskpar.layout.grain import Grain
from daskpar.layout.lanes import Lanes, apportioned
from daskpar.layout.pipeline import Pipeline
from daskpar.layout.replicas import Replicas
from daskpar.layout.sequence import Sequence
from daskpar.layout.shards import Shards
from daskpar.layout.tiles import Tiles
from daskpar.layout.updates import Updates
from daskpar.layout.width import Width


@dataclass(frozen=True)
class Layout(Replicas, Updates, Grain, Compression, Shards, Sequence, Tiles, Width, Pipeline, Lanes):
    """The cut of one training step into tasks.

    What a layout computes does not depend on where it runs: the shape of the tree comes from the lanes'
    numbers, so the same layout and seed give the same bits on one worker or eight.
    """

    renamed: ClassVar[Mapping[str, str]] = {"wire": "compression", "schedule": "pipeline"}

    def __post_init__(self) -> None:
        for cut in CUTS:
            cut.check_fields(self)
        if self.update != "sync" and (self.cuts_model or self.replicas > 1 or self.grain != "step"):
            raise InputError(
                f"layout.update={self.update} goes with data and shards, at grain: step, and not with "
                "stages, microbatches, width, tiles, sequence, recompute or replicas"
            )
        if self.grain == "window" and (self.cuts_model or self.shards > 1):
            raise InputError(
                "layout.grain=window has whole steps in one task; it goes with data, not with stages, "
                "microbatches, width, tiles, sequence, shards or recompute"
            )
        if self.compression != "full" and (self.grain == "window" or self.update != "sync"):
            raise InputError(
                f"layout.compression={self.compression} is for lanes that add up their gradients in tasks; "
                "it goes with update: sync, and not with grain: window"
            )

    def check(self, demands: Demands) -> None:
        """Refuse a training that cannot be cut so. Raises InputError, in one line."""
        for cut in CUTS:
            cut.check(self, demands)
        if demands.accumulate > 1 and self.cuts_model:
            raise InputError(
                f"train.accumulate={demands.accumulate} is for a model that is not cut; use "
                "layout.microbatches"
            )
        if self.update != "sync" and self.shards > 1 and demands.clips_norm:
            raise InputError(
                f"layout.shards={self.shards}: servers apply what they get at once, and do not know "
                "the norm of the whole gradient; leave out train.clip.norm, or use one server"
            )
        if demands.synchronised and self.data > 1 and self.grain == "window":
            raise InputError(
                f"layout.grain=window cannot be had in {self.data} lanes with {demands.synchronised}: "
                "{sync: true}; use data: 1 or grain: step"
            )

    @property
    def breadth(self) -> int:
        """The number of branches of a stage side by side, at most: parts in width, or tiles."""
        return max(self.width, self.tiles)

    @property
    def takes_apart(self) -> bool:
        """Return whether layers made of layers are cut within: by depth, in width, by pixels or positions."""
        return self.depth > 1 or self.breadth > 1 or self.tracks_per_lane > 1

    @property
    def cuts_model(self) -> bool:
        """Return whether a lane's pass through the model is more than one piece of work."""
        return self.takes_apart or self.microbatches > 1 or self.recompute

    @property
    def meets(self) -> bool:
        """Return whether layers that share statistics get them from all lanes, by tasks of their own."""
        return self.data > 1 or self.tiles > 1 or self.grain in ("stage", "layer")

    @property
    def compresses(self) -> bool:
        """Return whether gradients are rounded between tracks: one has nobody to send them to."""
        return self.compression != "full" and self.tracks > 1

    @property
    def tracks(self) -> int:
        """The number of tracks of a replica: each works on the rows of a lane, or on a share of each."""
        return self.data * self.tracks_per_lane

    def lane_of(self, track: int) -> int:
        """The lane whose rows a track works on, counted over all replicas as tracks are."""
        return track // self.tracks_per_lane

    @property
    def slots(self) -> int:
        """The number of slots: each track has one for every stage and branch."""
        return self.replicas * self.lane_slots

    @property
    def lane_slots(self) -> int:
        """The number of slots of a replica."""
        return self.tracks * self.depth * self.breadth

    @property
    def lane_count(self) -> int:
        """The number of lanes that the rows of a batch are cut into, those of all replicas together."""
        return self.replicas * self.data

    def slot(self, track: int, stage: int = 0, branch: int = 0) -> int:
        """The number of a slot; tasks of one slot run on one worker where they can."""
        return (track * self.depth + stage) * self.breadth + branch

    def lane_place(self, lane: int) -> int:
        """The slot at which the rows of a lane are read: that of its first track."""
        return self.slot(lane * self.tracks_per_lane)

    def streams(self, lane: int, streams: int) -> range:
        """The streams of data that belong to a lane, counted over all replicas."""
        if self.lanes is None or isinstance(self.lanes, str):
            return range(lane * streams // self.lane_count, (lane + 1) * streams // self.lane_count)
        replica, number = divmod(lane, self.data)
        first, stop = (r * streams // self.replicas for r in (replica, replica + 1))
        ends = [0, *accumulate(apportioned(stop - first, self.lanes))]
        return range(first + ends[number], first + ends[number + 1])


CUTS: tuple[type[Cut], ...] = Layout.__bases__[::-1]
"""All cuts. Dataclasses take fields from the last base first, so `Layout` lists its bases backwards."""

Layout.__doc__ = f"{Layout.__doc__}\n    Fields:\n" + "\n".join(
    f"      {f.name}: {f.metadata['help']}" for f in fields(Layout)
)
