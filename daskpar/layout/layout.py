"""`Layout`: the union of all cuts. Each cut is a module of this package, and declares its own fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from daskpar.argument_docs import with_settings
from daskpar.errors import InputError
from daskpar.layout.compression import Compression
from daskpar.layout.cut import Cut
from daskpar.layout.demands import Demands
from daskpar.layout.grain import Grain
from daskpar.layout.lanes import Lanes, apportioned
from daskpar.layout.picture import layout_svg
from daskpar.layout.pipeline import Pipeline
from daskpar.layout.replicas import Replicas
from daskpar.layout.sequence import Sequence
from daskpar.layout.shards import Shards
from daskpar.layout.tiles import Tiles
from daskpar.layout.updates import Updates
from daskpar.layout.width import Width


@dataclass(frozen=True)
class Layout(Replicas, Updates, Grain, Compression, Shards, Sequence, Tiles, Width, Pipeline, Lanes):
    """Parallelism of a training step: a step is cut into tasks along one or several of its dimensions.

    ===========================================  ====================  =======================================
    fields                                       cut                   known as
    ===========================================  ====================  =======================================
    data, lanes, fan_in                          rows of the batch     data parallelism
    stages, microbatches, pipeline, balance,     depth of the model    pipeline parallelism (GPipe, 1F1B),
    recompute                                                          activation checkpointing
    width                                        columns, heads,       tensor parallelism (Megatron-LM)
                                                 channels of a layer
    sequence                                     positions of a text   sequence or context parallelism
                                                                       (ring attention)
    tiles                                        rows of pixels        spatial parallelism
    shards                                       parameters and        parameter sharding (ZeRO, FSDP)
                                                 optimizer state
    replicas, average_every, synchronous_until,  time: copies train    local SGD, post-local SGD, DiLoCo
    outer                                        and are averaged
    update, staleness                            order of updates      stale-synchronous and asynchronous
                                                                       parameter server
    compression                                  bytes of gradients    gradient compression, error feedback
    grain                                        work in one task      operator fusion
    ===========================================  ====================  =======================================

    The cuts compose. The same layout and seed compute the same bits on one worker or eight, on threads or
    processes: the shape of every reduction tree follows from the numbers of the lanes, not from the workers.
    With `update="async"`, or "stale" and a `staleness` above 0, bits depend on who is late.

    A *slot* is a place of work: one for each lane, stage and branch. Tasks of one slot prefer the same
    worker. A layout can use as many workers as it has slots, and also runs on fewer.

    Args:
        {settings}

    Raises:
        InputError: A value is out of its bounds, or the cuts do not go together.

    Example:
        Two lanes, each a pipeline of two stages, have four slots:

        >>> from daskpar import Layout
        >>> layout = Layout(data=2, stages=2, microbatches=4)
        >>> layout.slots
        4
        >>> [(lane, stage, layout.slot(lane, stage)) for lane in range(2) for stage in range(2)]
        [(0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 3)]

        A batch is drawn from streams of rows. Lanes share them equally, or by weight:

        >>> [len(Layout(data=2).streams(lane, 6)) for lane in range(2)]
        [3, 3]
        >>> [len(Layout(lanes=[2, 1]).streams(lane, 6)) for lane in range(2)]
        [4, 2]

        Cuts that do not go together are refused:

        >>> Layout(stages=2, update="async")
        Traceback (most recent call last):
            ...
        daskpar.errors.InputError: layout.update=async goes with data and shards, at grain: step, and not \
with stages, microbatches, width, tiles, sequence, recompute or replicas
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
        """Refuse a training that this layout cannot cut.

        Args:
            demands: The facts of the training that decide.

        Raises:
            InputError: The training and the layout do not go together. The message is one line.
        """
        for cut in CUTS:
            cut.check(self, demands)
        if demands.accumulate > 1 and self.cuts_model:
            raise InputError(
                f"train.accumulate={demands.accumulate} is for a model that is not cut; use "
                "layout.microbatches"
            )
        if self.update != "sync" and self.shards > 1 and demands.clips_norm:
            raise InputError(
                f"layout.shards={self.shards}: each server applies its part of a gradient at once, and does "
                "not know the norm of the whole; leave out train.clip.norm, or use one server"
            )
        if demands.synchronised and self.data > 1 and self.grain == "window":
            raise InputError(
                f"layout.grain=window cannot be had in {self.data} lanes with {demands.synchronised}: "
                "{sync: true}; use data: 1 or grain: step"
            )

    def _repr_html_(self) -> str:
        return super()._repr_html_() + layout_svg(self)

    @property
    def breadth(self) -> int:
        """The largest number of parallel branches of a stage: parts in width, or tiles."""
        return max(self.width, self.tiles)

    @property
    def opens_containers(self) -> bool:
        """True if layers made of layers are cut inside: by depth, in width, by pixels or positions."""
        return self.depth > 1 or self.breadth > 1 or self.tracks_per_lane > 1

    @property
    def cuts_model(self) -> bool:
        """True if a lane's pass through the model is more than one task."""
        return self.opens_containers or self.microbatches > 1 or self.recompute

    @property
    def reduces_statistics(self) -> bool:
        """True if separate tasks reduce the statistics of synchronised layers over all lanes."""
        return self.data > 1 or self.tiles > 1 or self.grain in ("stage", "layer")

    @property
    def compresses(self) -> bool:
        """True if gradients are rounded between tracks; a single track sends none."""
        return self.compression != "full" and self.tracks > 1

    @property
    def tracks(self) -> int:
        """The number of tracks of a replica.

        A track works on all positions of a lane's rows or, with `sequence`, on a share of them.
        """
        return self.data * self.tracks_per_lane

    def lane_of(self, track: int) -> int:
        """Return the lane whose rows a track works on. Both are counted over all replicas."""
        return track // self.tracks_per_lane

    @property
    def slots(self) -> int:
        """The number of slots over all replicas: each track has one for every stage and branch."""
        return self.replicas * self.lane_slots

    @property
    def lane_slots(self) -> int:
        """The number of slots of a replica."""
        return self.tracks * self.depth * self.breadth

    @property
    def lane_count(self) -> int:
        """The number of lanes over all replicas."""
        return self.replicas * self.data

    def slot(self, track: int, stage: int = 0, branch: int = 0) -> int:
        """Return the number of a slot. Tasks of one slot prefer the same worker.

        Args:
            track: Track, counted over all replicas; without `sequence` a track is a lane.
            stage: Stage of the pipeline. Default: 0.
            branch: Part in width, or tile, of the stage. Default: 0.
        """
        return (track * self.depth + stage) * self.breadth + branch

    def lane_slot(self, lane: int) -> int:
        """Return the slot at which the rows of a lane are read: that of its first track."""
        return self.slot(lane * self.tracks_per_lane)

    def streams(self, lane: int, streams: int) -> range:
        """Return the streams of data that a lane draws from.

        Args:
            lane: Lane, counted over all replicas.
            streams: Number of streams that a batch is drawn from.
        """
        if self.lanes is None or isinstance(self.lanes, str):
            return range(lane * streams // self.lane_count, (lane + 1) * streams // self.lane_count)
        replica, number = divmod(lane, self.data)
        first, stop = (r * streams // self.replicas for r in (replica, replica + 1))
        ends = [0, *accumulate(apportioned(stop - first, self.lanes))]
        return range(first + ends[number], first + ends[number + 1])


CUTS: tuple[type[Cut], ...] = Layout.__bases__[::-1]
"""All cuts. Dataclasses take fields from the last base first, so `Layout` lists its bases backwards."""

Layout.__doc__ = with_settings(Layout.__doc__, Layout)
