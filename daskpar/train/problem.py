"""The problem of a training: its settings and data, and the Spec that they define."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskpar.autotune.measure import operation_times
from daskpar.backend.random import init_rng
from daskpar.data.categories import Labels
from daskpar.data.sampler import Sampler, choose_streams
from daskpar.data.schema import Schema
from daskpar.data.source import Source
from daskpar.data.splits import Split
from daskpar.data.transforms import Examples, Fitted
from daskpar.errors import InputError
from daskpar.layout.demands import Demands
from daskpar.layout.lanes import check_streams, lanes_alike
from daskpar.layout.layout import Layout
from daskpar.layout.partition import cut_operations, partition
from daskpar.nn import registry as nn
from daskpar.nn.open_sizes import Sizes, fill
from daskpar.nn.operations import parts, synchronised
from daskpar.nn.own_layers import check_own_layers
from daskpar.nn.own_measures import check_own_measures
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.trainable import arranged
from daskpar.optim import registry as optim
from daskpar.optim.gradient import Clip, Penalty
from daskpar.tasks.types import Spec
from daskpar.tasks.units import units_of
from daskpar.train import refusals
from daskpar.train.class_weights import class_weights
from daskpar.train.fitting import FittedData, example_after, learns_inputs
from daskpar.train.interval import Interval, run_length
from daskpar.train.settings import Settings


@dataclass(frozen=True)
class Problem:
    """Training that has passed all checks."""

    settings: Settings
    train: Split
    validation: Split | None
    spec: Spec

    @property
    def layout(self) -> Layout:
        """The layout of the run."""
        return self.spec.layout

    @property
    def names(self) -> tuple[str, ...]:
        """The names of classes or characters, where the data have them."""
        return self.train.source.names

    def with_layout(self, layout: Layout) -> Problem:
        """Return the same problem with lanes of other sizes."""
        settings, spec = replace(self.settings, layout=layout), replace(self.spec, layout=layout)
        return replace(self, settings=settings, spec=spec)


def pose(
    settings: Settings, data: FittedData, validation: Split | None, saved: Mapping[str, Any] | None = None
) -> Problem:
    """Return the problem of a training on data.

    `saved` describes the order of the data in a checkpoint to resume from.
    Raises InputError for settings and data that cannot be trained.
    """
    source = data.part.source
    order = make_order(settings, data.part.rows, saved, source.chunk_rows)
    spec = make_spec(settings, source, order, data.transforms, data.targets, data.sizes)
    weights = class_weights(settings.class_weight, spec, source.names, data.weighed)
    spec = replace(spec, class_weights=weights)
    return Problem(settings, data.part, validation, spec)


def make_order(
    settings: Settings, rows: int, saved: Mapping[str, Any] | None = None, chunk_rows: int = 8192
) -> Sampler:
    """Return the order in which the rows are drawn; a resumed run keeps the `saved` one.

    A batch that is larger than the data is all rows. `chunk_rows` is the default of the source.
    """
    layout, saved = settings.fixed_layout, saved or {}
    run_length(settings.epochs, settings.steps, 1)
    batch = min(settings.batch, max(1, rows))
    streams = settings.streams or saved.get("streams")
    try:
        streams = streams or choose_streams(batch, lanes_alike(layout, layout.replicas))
        check_streams(layout, layout.replicas, batch, streams)
    except InputError as error:
        why = f"; a batch is all {rows} rows, as train.batch={settings.batch} is more"
        raise InputError(f"{error}{why if batch < settings.batch else ''}") from None
    order = Sampler(
        rows,
        batch,
        streams,
        settings.chunk_rows or chunk_rows,
        settings.distribution,
        settings.seed,
        settings.drop_last,
        saved.get("first_step", 0),
    )
    refusals.check_same_order(order, saved)
    return order


def all_of(order: Sampler) -> str:
    """Return a phrase for a batch of all rows."""
    return "the 1 row of training data" if order.rows == 1 else f"all {order.rows} rows of training data"


def make_spec(
    settings: Settings,
    source: Source,
    order: Sampler,
    transforms: Sequence[Fitted],
    targets: Sequence[Fitted],
    sizes: Sizes = Sizes(),  # noqa: B008 - frozen
) -> Spec:
    """Return the Spec of a run, after checks of shapes, loss, metrics, targets and layout."""
    layout = settings.fixed_layout
    in_shape = example_after(transforms, source, settings.precision).shape[1:]
    spec = bare_spec(settings, in_shape, order, transforms, targets, Schema.of(source), sizes)
    refusals.check_characters(spec, source)
    spec, y = _with_targets(spec, source)
    refusals.check_labels(spec)
    refusals.check_stratified(order, y, learns_inputs(spec.targets))
    spec.loss.check(spec.out_shape, y.shape[1:], y.dtype)
    for metric in spec.metrics:
        metric.check(spec.loss, spec.out_shape, y.shape[1:])
    check_own_measures(spec.loss, spec.metrics, spec.out_shape, y, spec.precision)
    refusals.check_tokens(spec, source, transforms)
    outer = None if layout.outer is None else optim.optimizer(layout.outer)
    spec = replace(spec, layout=layout, outer=outer)
    layout.check(demands_of(spec, settings.accumulate))
    refusals.check_slices(spec, settings.accumulate)
    splits = spec.loss.splits and not spec.step_metrics  # metrics need whole outputs
    cut = partition(spec.model, spec.table, spec.in_shape, layout, _stage_costs(spec), splits)
    optimizers = [spec.optimizer] if outer is None else [spec.optimizer, outer]
    refusals.check_epsilons(spec.precision, parts(spec.model), optimizers)
    return replace(spec, cut=cut)


def demands_of(spec: Spec, accumulate: int) -> Demands:
    """Return the demands of a training on a layout."""
    return Demands(
        batch=spec.order.batch,
        parameters=spec.table.count,
        optimizer=spec.optimizer,
        outer=spec.outer,
        accumulate=accumulate,
        clips_norm=spec.clip.norm is not None,
        synchronised=next((layer.kind for layer in parts(spec.model) if synchronised(layer)), None),
        measures=(spec.loss, *spec.step_metrics),
        in_units=_undone(spec),
    )


def _undone(spec: Spec) -> bool:
    """Return whether outputs and targets are scaled back to be measured."""
    if spec.loss.task != "numbers" or not any(map(_transforms, spec.targets)):
        return False
    return bool(spec.step_metrics) or (spec.units is not None and spec.units.undone)


def _transforms(fitted: Fitted) -> bool:
    """Return whether targets are transformed, and are not the examples themselves."""
    return not isinstance(fitted, Examples)


def _with_targets(spec: Spec, source: Source) -> tuple[Spec, np.ndarray]:
    """Return the Spec with its targets, and zeros in the shape of the targets of one example."""
    y = np.zeros((1, *source.y_shape), source.y_dtype)
    if learns_inputs(spec.targets):
        y = np.zeros((1, *spec.in_shape), spec.x_dtype)
        flat = len(spec.out_shape) == 1 < len(spec.in_shape) and math.prod(spec.in_shape) == spec.out_shape[0]
        spec = replace(spec, targets=(Examples(flat),))
    for fitted in spec.targets:
        y = np.zeros(y.shape, int) if isinstance(fitted, Labels) else fitted.apply(y)
    return spec, spec.loss.conform(y, spec.out_shape)


def _stage_costs(spec: Spec) -> list[float] | None:
    """Return the seconds of each operation, for stages of equal time; else None."""
    layout = spec.layout
    if layout.balance != "time" or not isinstance(layout.stages, int) or layout.stages == 1:
        return None
    rows = -(-spec.order.batch // (layout.data * layout.microbatches))
    return operation_times(spec, cut_operations(spec.model, layout), rows)


def bare_spec(
    settings: Settings,
    in_shape: tuple[int, ...],
    order: Sampler,
    transforms: Sequence[Fitted],
    targets: Sequence[Fitted],
    schema: Schema,
    sizes: Sizes,
) -> Spec:
    """Return the Spec of a run on examples of `in_shape`, before checks of the targets."""
    model = fill(nn.model(settings.model), sizes)
    params, out_shape = model.init(init_rng(settings.seed), in_shape)
    loss = nn.loss(settings.loss)
    table = ParameterTable.of(params)
    refusals.check_parameters(table)
    check_own_layers(model, params, in_shape, settings.precision)
    model, table = arranged(model, table, settings.frozen, settings.learning_rates or {})
    return Spec(
        model=model,
        table=table,
        in_shape=tuple(in_shape),
        out_shape=tuple(out_shape),
        loss=loss,
        metrics=tuple(nn.metric(metric) for metric in settings.metrics),
        optimizer=optim.optimizer(settings.optimizer, settings.learning_rate),
        penalty=settings.penalty or Penalty(),
        clip=settings.clip or Clip(),
        order=order,
        seed=settings.seed,
        precision=settings.precision,
        accumulate=min(settings.accumulate, order.batch),
        transforms=tuple(transforms),
        targets=tuple(targets),
        schema=schema,
        sizes=sizes,
        units=units_of(loss, targets),
        norms_every=_norms_every(settings, order),
    )


def _norms_every(settings: Settings, order: Sampler) -> int:
    every = settings.layer_norms
    return 0 if every is None else Interval.parse(every, "train.layer_norms").steps(order.steps)
