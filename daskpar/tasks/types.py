"""The description of a run, and the types of the values that tasks send to each other."""

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
    """The log of one step.

    Args:
        step: Number of the step.
        sums: Sums of loss, weights and metrics; empty in the logs of parameters but the first.
        staleness: Staleness of each lane's gradient.
        norms: Sums of squares by layer, at steps that are measured; see `tasks.layer_norms`.
    """

    step: int
    sums: Sums
    staleness: tuple[int, ...] = ()
    norms: Sums = ()


Log = tuple[Logged, ...]


@dataclass(frozen=True)
class Spec:
    """The description of a run without its arrays: frozen, picklable, the same for every task.

    It is the value of one task (`load-model`), so it is sent to each worker once. `model`, `loss`, `metrics`,
    `optimizer`, `penalty` and `clip` are used through their contracts only.

    Args:
        model: The model.
        table: Places of its parameters in the flat buffer.
        in_shape: Shape of one example.
        out_shape: Shape of the outputs for one example.
        loss: The loss.
        metrics: The metrics.
        optimizer: The optimizer.
        penalty: Penalties on parameters.
        clip: Limits on gradients.
        order: Order in which rows are drawn.
        seed: Seed of all random draws.
        precision: dtype of parameters and activations. Default: `float32`.
        accumulate: Slices in which a lane works through its rows. Default: 1.
        transforms: Fitted transforms of examples. Default: none.
        targets: Fitted transforms of targets. Default: none.
        module: Array module, `numpy` or `cupy`. Default: `numpy`.
        layout: The layout. Default: `Layout()`.
        cut: The model as the layout cuts it.
        outer: Optimizer that is applied to averages of replicas. Default: None.
        schema: Columns and shapes of the examples of training.
        sizes: Sizes that the data have determined.
        class_weights: Weight of each class, for rows that are trained on. Default: None.
        units: Units of scaled targets, in which the loss is reported. Default: None.
        norms_every: Steps between those whose norms by layer are logged; 0 logs none. Default: 0.
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
    norms_every: int = 0

    @property
    def step_metrics(self) -> tuple[Any, ...]:
        """The metrics that are measured at each training step: those that are sums over rows."""
        return tuple(metric for metric in self.metrics if not metric.gathered)

    @property
    def partition(self) -> Partition:
        """The model as the run's layout cuts it."""
        assert self.cut is not None
        return self.cut

    def streams(self, lane: int) -> range:
        """Return the streams of data that a lane draws from. Lanes are counted over all replicas."""
        return self.layout.streams(lane, self.order.streams)

    @property
    def tensors(self) -> Tensors:
        """The extents of all parameters, for the optimizer."""
        return Tensors(self.table.ranges, self.table.decayed, self.table.groups)

    def tensors_of(self, span: Span | None) -> Tensors:
        """Return the extents of parameters within a span; None: of all parameters."""
        if span is None:
            return self.tensors
        return self.partition.places[span.place].tensors.within(span.start, span.stop)

    def table_of(self, span: Span | None) -> ParameterTable:
        """Return the table of the buffer to which a span belongs; None: of the whole model's buffer."""
        return self.table if span is None else self.partition.places[span.place].table

    @property
    def classes(self) -> np.ndarray:
        """The labels of a classifier's classes, in the order of its outputs."""
        outputs = self.out_shape[-1] if self.loss.task != "numbers" and self.out_shape else 0
        count = self.loss.classes(self.out_shape) or outputs
        return decode(self.targets, np.arange(count))

    @property
    def x_dtype(self) -> str:
        """The dtype of examples: the run's precision, or int32 for a model of tokens."""
        return "int32" if self.model.tokens else self.precision

    def check_raw(self, x: Array, where: str) -> None:
        """Refuse examples (rows, ...) whose shape differs from training, if there are transforms.

        Raises:
            InputError: The shape or the columns differ. `where` begins the message.
        """
        if self.transforms or is_records(x.dtype):
            self.schema.check(x, where)

    @property
    def xp(self) -> Any:
        """The array module that this run computes with."""
        return module_named(self.module)


class State(NamedTuple):
    """The state of a run after `step` steps. The position in the data follows from the step.

    `params` is the flat buffer of the parameters, `slots` are the buffers of the optimizer, `log` is that of
    the steps since the window began.
    """

    step: int
    params: Array
    slots: dict[str, Array]
    log: Log = ()

    def __reduce__(self) -> Any:
        return pickle_via_host(self)


class Gradient(NamedTuple):
    """A sum of gradients over examples, with the sums of loss and metrics.

    `start` is the place of its first element in the buffer of the parameters.
    """

    buffer: Array
    sums: Sums
    start: int = 0

    def __reduce__(self) -> Any:
        return pickle_via_host(self)


class Rounded(NamedTuple):
    """A gradient that is sent: a float16 buffer, which is multiplied by `scale` and converted to `dtype`.

    `exact` are elements that are not rounded, with their places. `sums` and `start` are as in `Gradient`.
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
    """The state of a lane, and its gradient of the current step or None."""

    state: State
    gradient: Gradient | None = None


class Forward(NamedTuple):
    """The outputs `y` of a part for a lane's rows, and the values `saved` for its backward pass.

    `mask` and `held` are as in `nn.program.Flow`. `sums` are statistics of `y` for the next layer, if that is
    synchronised over lanes.
    """

    y: Array
    saved: Any
    mask: Array | None = None
    held: tuple[Array, ...] = ()
    sums: Array | None = None

    def __reduce__(self) -> Any:
        return pickle_via_host(self)


class Edge(NamedTuple):
    """Rows of pixels that a tile sends to another; the first is row `start` of the image."""

    start: int
    x: Array

    def __reduce__(self) -> Any:
        return pickle_via_host(self)


class Backward(NamedTuple):
    """The gradients with respect to a part's input (None if it is not needed) and its parameters.

    The first of `gradients` is that of the place's own parameters. `held` and `sums` are as in `Forward`, for
    the backward pass.
    """

    dx: Array | None
    gradients: tuple[Gradient, ...]
    held: tuple[Array, ...] = ()
    sums: Array | None = None

    def __reduce__(self) -> Any:
        return pickle_via_host(self)
