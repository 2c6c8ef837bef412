"""The interface of a whole layout. Cuts use it, because `Layout` is built from them."""

from __future__ import annotations

from typing import Protocol


class Cuts(Protocol):
    """A whole layout, as the modules of single cuts use it."""

    @property
    def data(self) -> int:
        """The number of lanes of a replica."""

    @property
    def tracks(self) -> int:
        """The number of tracks of a replica."""

    @property
    def tracks_per_lane(self) -> int:
        """The number of tracks of a lane."""

    @property
    def fan_in(self) -> int:
        """The number of values that one task of a tree adds."""

    @property
    def stages(self) -> int | tuple[int, ...]:
        """The number of stages, or the layers of each."""

    @property
    def depth(self) -> int:
        """The number of stages."""

    @property
    def microbatches(self) -> int:
        """The number of micro-batches of a lane's rows."""

    @property
    def pipeline(self) -> str:
        """The order of micro-batches: `gpipe` or `1f1b`."""

    @property
    def balance(self) -> str:
        """The cost that stages share equally."""

    @property
    def recompute(self) -> bool:
        """True if activations are computed again in the backward pass."""

    @property
    def width(self) -> int:
        """The number of parts that layers are cut into."""

    @property
    def tiles(self) -> int:
        """The number of tiles that images are cut into."""

    @property
    def breadth(self) -> int:
        """The largest number of branches of a stage."""

    @property
    def shards(self) -> int:
        """The number of slices of parameters and optimizer state."""

    @property
    def replicas(self) -> int:
        """The number of replicas."""

    @property
    def lane_slots(self) -> int:
        """The number of slots of a replica."""

    @property
    def update(self) -> str:
        """The order of updates: `sync`, `stale` or `async`."""

    @property
    def staleness(self) -> int:
        """The number of steps that a lane may be ahead."""

    @property
    def grain(self) -> str:
        """The amount of work in one task."""

    @property
    def opens_containers(self) -> bool:
        """True if layers made of layers are cut inside."""

    @property
    def cuts_model(self) -> bool:
        """True if a lane's pass through the model is more than one task."""

    @property
    def reduces_statistics(self) -> bool:
        """True if separate tasks reduce the statistics of synchronised layers."""

    @property
    def compresses(self) -> bool:
        """True if gradients are rounded between tracks."""

    def slot(self, track: int, stage: int = 0, branch: int = 0) -> int:
        """Return the number of a slot. Tracks are counted over all replicas."""

    def lane_of(self, track: int) -> int:
        """Return the lane whose rows a track works on. Both are counted over all replicas."""

    def streams(self, lane: int, streams: int) -> range:
        """Return the streams of data that a lane draws from. Lanes are counted over all replicas."""
