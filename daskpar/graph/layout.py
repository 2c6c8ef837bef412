"""How a step is cut: parallelism is nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

from daskpar.errors import InputError
from daskpar.graph.schedule import SCHEDULES
from daskpar.settings import Block

GRAINS = ("window", "step", "stage", "layer")
BALANCES = ("flops", "parameters", "bytes", "time")
UPDATES = ("sync", "stale", "async")
COMPRESSIONS = ("full", "float16")


@dataclass(frozen=True)
class Layout(Block):
    """How one training step is cut into tasks.

    `data`: into how many lanes the rows of a batch are cut; with `lanes` not into equal ones, but as these
    weights have it, one for each, or (`auto`) in proportion to the speed of each lane's worker, which is
    measured when a run begins. `stages`: into how many parts the model is cut by
    depth, so that each has about the same share of what `balance` names (`flops`, `parameters`, `bytes` of
    activations, or `time`, measured); a tuple gives the layers by hand, e.g. (3, 2) for three and two. A
    lane's rows then flow through them in `microbatches`, in the order of `pipeline` (`gpipe` or `1f1b`); with
    `recompute` a stage keeps only what flowed into it for the backward pass. `width`: into how many parts
    layers are cut by columns, heads, channels or words. `tiles`: into how many parts images are cut by
    rows of pixels, as far as layers need no more of an image than a halo. `shards`: into how many slices
    parameters and optimizer state are cut, each updated by one worker.

    `replicas`: so many copies of all of this train on their own share of each batch, and know nothing of each
    other but that their parameters are averaged every `average_every` steps (0: only where the run is looked
    at, and at its end). Up to step `synchronous_until` they are averaged at each step. `outer`: an optimizer,
    as in a config, that takes the way from one average to the next for a gradient.

    `update`: `sync`, or lanes that do not meet: they pull parameters from a server, and push gradients to it
    (one server, or `shards` of them). `stale`: no lane is ahead of another by more than `staleness` steps,
    and the gradients of a step are applied together; `async`: each is applied as it comes, at its share of
    the learning rate.

    `grain`: how much goes into one task: a whole lane of a step (`step`), its forward and its backward pass
    (`stage`), each layer of both (`layer`), or many steps at once (`window`, for short steps: the lanes are
    threads of one task). `fan_in`: how many gradients one task of the reduction tree adds. `compression`: how
    lanes hand gradients to each other, as they are (`full`) or rounded to `float16`, where what rounding
    leaves out is added to what the lane has at the next step (`graph/wire.py`).

    What a layout computes does not depend on where it runs: the shape of the tree comes from the lanes'
    numbers, so the same layout and seed give the same bits on one worker or eight.
    """

    renamed: ClassVar[Mapping[str, str]] = {"wire": "compression", "schedule": "pipeline"}

    data: int = 1
    lanes: str | tuple[float, ...] | None = None
    stages: int | tuple[int, ...] = 1
    microbatches: int = 1
    pipeline: str = "1f1b"
    balance: str = "flops"
    recompute: bool = False
    width: int = 1
    tiles: int = 1
    shards: int = 1
    replicas: int = 1
    average_every: int = 1
    synchronous_until: int = 0
    outer: Any = None
    update: str = "sync"
    staleness: int = 0
    grain: str = "step"
    fan_in: int = 4
    compression: str = "full"

    def __post_init__(self) -> None:
        if isinstance(self.stages, list):
            object.__setattr__(self, "stages", tuple(self.stages))
        self._check_lanes()
        for name in ("data", "microbatches", "width", "tiles", "shards", "replicas"):
            _at_least_one(name, getattr(self, name))
        for stage in self.stages if isinstance(self.stages, tuple) else (self.stages,):
            _at_least_one("stages", stage)
        names = {"grain": GRAINS, "pipeline": tuple(SCHEDULES), "balance": BALANCES, "update": UPDATES}
        names |= {"compression": COMPRESSIONS}
        for name, known in names.items():
            value = getattr(self, name)
            if value not in known:
                raise InputError(f"layout.{name}={value!r} is not known; use one of {', '.join(known)}")
        for name in ("average_every", "synchronous_until", "staleness"):
            if getattr(self, name) < 0:
                raise InputError(f"layout.{name}={getattr(self, name)} must not be negative")
        averages = (self.average_every, self.synchronous_until) != (1, 0) or self.outer is not None
        if self.replicas == 1 and averages:
            raise InputError("layout.average_every, synchronous_until and outer are for several replicas")
        if self.staleness and self.update != "stale":
            raise InputError(f"layout.staleness={self.staleness} is for update: stale")
        if self.update != "sync" and (self.cuts_model or self.replicas > 1 or self.grain != "step"):
            raise InputError(
                f"layout.update={self.update} goes with data and shards, at grain: step, and not with "
                "stages, microbatches, width, tiles, recompute or replicas"
            )
        if self.fan_in < 2:
            raise InputError(f"layout.fan_in={self.fan_in} must be at least 2")
        if self.grain == "window" and (self.cuts_model or self.shards > 1):
            raise InputError(
                "layout.grain=window has whole steps in one task; it goes with data, not with stages, "
                "microbatches, width, tiles, shards or recompute"
            )

        if self.compression != "full" and (self.grain == "window" or self.update != "sync"):
            raise InputError(
                f"layout.compression={self.compression} is for lanes that add up their gradients in tasks; "
                "it goes with update: sync, and not with grain: window"
            )

    def _check_lanes(self) -> None:
        if self.lanes is None or self.lanes == "auto":
            return
        if isinstance(self.lanes, str) or not self.lanes:
            raise InputError(f"layout.lanes={self.lanes!r}: expected auto, or a list of weights")
        weights = tuple(self.lanes)
        object.__setattr__(self, "lanes", weights)
        listed = ", ".join(f"{weight:g}" for weight in weights)
        if self.data not in (1, len(weights)):
            raise InputError(f"layout.lanes=[{listed}] are {len(weights)} lanes, layout.data={self.data}")
        if any(not weight > 0 for weight in weights):
            raise InputError(f"layout.lanes=[{listed}]: weights must be above zero")
        object.__setattr__(self, "data", len(weights))

    @property
    def depth(self) -> int:
        """The number of stages."""
        return self.stages if isinstance(self.stages, int) else len(self.stages)

    @property
    def breadth(self) -> int:
        """How many branches of a stage there may be side by side: parts in width, or tiles."""
        return max(self.width, self.tiles)

    @property
    def cuts_model(self) -> bool:
        """Whether a lane's pass through the model is more than one piece of work."""
        return self.depth > 1 or self.breadth > 1 or self.microbatches > 1 or self.recompute

    @property
    def meets(self) -> bool:
        """Whether layers that share statistics get them from all lanes, by tasks of their own."""
        return self.data > 1 or self.tiles > 1 or self.grain in ("stage", "layer")

    @property
    def rounds(self) -> bool:
        """Whether gradients are rounded when they are handed on: one lane has nobody to hand them to."""
        return self.compression != "full" and self.data > 1

    @property
    def places(self) -> int:
        """How many places of work there are: each lane has one for every stage and branch."""
        return self.replicas * self.lane_places

    @property
    def lane_places(self) -> int:
        """How many places of work a replica has."""
        return self.data * self.depth * self.breadth

    @property
    def lane_count(self) -> int:
        """How many lanes the rows of a batch are cut into, those of all replicas together."""
        return self.replicas * self.data

    def place(self, lane: int, stage: int = 0, branch: int = 0) -> int:
        """The number of a place of work; tasks of one place run on one worker where they can."""
        return (lane * self.depth + stage) * self.breadth + branch

    def streams(self, lane: int, streams: int) -> range:
        """The streams of data that belong to a lane, counted over all replicas."""
        if self.lanes is None or isinstance(self.lanes, str):
            return range(lane * streams // self.lane_count, (lane + 1) * streams // self.lane_count)
        replica, own = divmod(lane, self.data)
        first, stop = (r * streams // self.replicas for r in (replica, replica + 1))
        ends = [0, *accumulate(apportioned(stop - first, self.lanes))]
        return range(first + ends[own], first + ends[own + 1])

    def averages(self, step: int) -> int:
        """How often replicas have been averaged in the first `step` steps."""
        apart = max(0, step - self.synchronous_until)
        return min(step, self.synchronous_until) + (apart // self.average_every if self.average_every else 0)

    def steps_apart(self, step: int) -> int | None:
        """How many steps replicas are on their own from a step on, before they are averaged; None for all."""
        if step < self.synchronous_until:
            return 1
        if self.average_every == 0:
            return None
        return self.average_every - (step - self.synchronous_until) % self.average_every


def apportioned(things: int, weights: Sequence[float]) -> list[int]:
    """So many things shared out in proportion to weights, at least one each; the largest remainders first.

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


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise InputError(f"layout.{name}={value} must be at least 1")
