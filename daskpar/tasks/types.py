"""The description of a run that every task needs, and the values that flow between tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from daskpar.backend.array import Array, module_named, pickle_via_host
from daskpar.data.records import is_records
from daskpar.data.sampler import Sampler
from daskpar.data.schema import Schema
from daskpar.data.transforms import Fitted, decode
from daskpar.layout.layout import Layout
from daskpar.layout.partition import Partition, Span
from daskpar.nn.open_sizes import Sizes
from daskpar.nn.parameters import ParameterTable
from daskpar.optim.optimizer import Tensors
from daskpar.tasks.units import Units

Sums = tuple[float, ...]


class Logged(NamedTuple):
    """Of one step the sums of loss, weights and metrics; how stale the gradients were that lanes pushed."""

    step: int
    sums: Sums
    staleness: tuple[int, ...] = ()


Log = tuple[Logged, ...]


@dataclass(frozen=True)
class Spec:
    """A run, apart from its arrays: frozen, picklable, the same for every task.

    It travels as the value of one task (`load-model`) that the others refer to, so it reaches each worker
    once. `model`, `loss`, `metrics`, `optimizer`, `penalty` and `clip` are used through their contracts.
    `class_weights`: one for each class, which multiply the weights of rows that are trained on.
    `units`: those of targets that were scaled, in which the loss is reported.
    """

    model: Any
    table: ParameterTable
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    loss: Any
    metrics: tuple[Any, ...]
    optimizer: Any
    penalty: Any
    clip: Any
    order: Sampler
    seed: int
    precision: str = "float32"
    accumulate: int = 1
    transforms: tuple[Fitted, ...] = ()
    targets: tuple[Fitted, ...] = ()
    module: str = "numpy"
    layout: Layout = field(default_factory=Layout)
    cut: Partition | None = None
    outer: Any = None
    schema: Schema = field(default_factory=Schema)
    sizes: Sizes = field(default_factory=Sizes)
    class_weights: tuple[float, ...] | None = None
    units: Units | None = None

    @property
    def step_metrics(self) -> tuple[Any, ...]:
        """The metrics that are measured of each step of training: those that are sums."""
        return tuple(metric for metric in self.metrics if not metric.gathered)

    @property
    def partition(self) -> Partition:
        """The model as the run's layout cuts it."""
        assert self.cut is not None
        return self.cut

    def streams(self, lane: int) -> range:
        """The streams of data that a lane draws from, counted over all replicas."""
        return self.layout.streams(lane, self.order.streams)

    @property
    def tensors(self) -> Tensors:
        return Tensors(self.table.ranges, self.table.decayed, self.table.groups)

    def tensors_of(self, span: Span | None) -> Tensors:
        """The extents of tensors in a part of the parameters, or in all of them."""
        if span is None:
            return self.tensors
        return self.partition.places[span.place].tensors.within(span.start, span.stop)

    def table_of(self, span: Span | None) -> ParameterTable:
        """The places of parameters in the buffer of the place of `span`; None: in the whole model's."""
        return self.table if span is None else self.partition.places[span.place].table

    @property
    def classes(self) -> np.ndarray:
        """The labels of a classifier's classes, in the order of its outputs."""
        outputs = self.out_shape[-1] if self.loss.task != "numbers" and self.out_shape else 0
        count = self.loss.classes(self.out_shape) or outputs
        return decode(self.targets, np.arange(count))

    @property
    def x_dtype(self) -> str:
        """The dtype of examples: the run's precision, or integers for a model that takes tokens."""
        return "int32" if self.model.tokens else self.precision

    def check_raw(self, x: Array, where: str) -> None:
        """Refuse examples (rows, ...) of another shape than training had, where transforms come first."""
        if self.transforms or is_records(x.dtype):
            self.schema.check(x, where)

    @property
    def xp(self) -> Any:
        """The array module that this run computes with."""
        return module_named(self.module)


class State(NamedTuple):
    """The state of a run after `step` steps; the position in the data follows from the step.

    `log`: of the steps since the window began.
    """

    step: int
    params: Array
    slots: dict[str, Array]
    log: Log = ()

    def __reduce__(self) -> Any:
        return pickle_via_host(self)


class Gradient(NamedTuple):
    """Sums over examples: of gradients (from element `start` of the buffer on), of loss and metrics."""

    buffer: Array
    sums: Sums
    start: int = 0

    def __reduce__(self) -> Any:
        return pickle_via_host(self)


class Rounded(NamedTuple):
    """A gradient on its way: a buffer of halves, to be multiplied by `scale`, and become `dtype` again.

    `exact`: what is not rounded, each with its place in the buffer. `sums`, `start` as in `Gradient`.
    """

    buffer: Array
    scale: float
    exact: tuple[tuple[int, Array], ...]
    sums: Sums
    start: int
    dtype: str

    def __reduce__(self) -> Any:
        return pickle_via_host(self)


class Lane(NamedTuple):
    """A lane's state, and the gradient that it has added to the step in progress."""

    state: State
    gradient: Gradient | None = None


class Forward(NamedTuple):
    """Output of some operations for a lane's rows, and what their backward pass needs.

    `mask` and `held` as in `nn.program.Flow`; `sums`: what the layer that comes next has gathered of `y`,
    where it shares statistics with the other lanes.
    """

    y: Array
    saved: Any
    mask: Array | None = None
    held: tuple[Array, ...] = ()
    sums: Array | None = None

    def __reduce__(self) -> Any:
        return pickle_via_host(self)


class Edge(NamedTuple):
    """Rows of pixels that a tile hands to another: those from row `start` of the image on."""

    start: int
    x: Array

    def __reduce__(self) -> Any:
        return pickle_via_host(self)


class Backward(NamedTuple):
    """Gradients with respect to some operations' input (None where nobody needs it) and parameters.

    `gradients`: first that of the place's own parameters. `held` and `sums` as in `Forward`, on the way back.
    """

    dx: Array | None
    gradients: tuple[Gradient, ...]
    held: tuple[Array, ...] = ()
    sums: Array | None = None

    def __reduce__(self) -> Any:
        return pickle_via_host(self)
