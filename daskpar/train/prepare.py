"""From a Trainer's arguments and its data to a Spec: everything that can be refused is refused here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from daskpar.backend.random import spawning
from daskpar.cluster.executor import Executor
from daskpar.data.categories import Labels, NumberLabels, labels_in, listed
from daskpar.data.order import KINDS, Order, choose_streams
from daskpar.data.part import Part
from daskpar.data.source import Source
from daskpar.data.transforms import (
    Examples,
    Fitted,
    Inputs,
    Pixels,
    Transform,
    from_json,
    labels_of,
    transform,
)
from daskpar.errors import InputError, unknown
from daskpar.graph import tasks
from daskpar.graph.build import Graph, Ref
from daskpar.graph.load import add_rows
from daskpar.graph.partition import cut_operations, partition
from daskpar.graph.spec import Spec
from daskpar.nn import registry as nn
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.program import parts, synchronised
from daskpar.optim import registry as optim
from daskpar.optim.gradient import Clip, Penalty
from daskpar.plan.measure import operation_times
from daskpar.train.epsilons import check_epsilons
from daskpar.train.every import run_length

if TYPE_CHECKING:
    from daskpar.train.trainer import Trainer

PRECISIONS = ("float32", "float64")


def make_order(
    trainer: Trainer, rows: int, saved: dict[str, Any] | None = None, chunk_rows: int = 8192
) -> Order:
    """The order in which the rows are drawn; a resumed run keeps the `saved` one.

    `chunk_rows`: the source's own choice, for a Trainer that has made none.
    """
    layout = trainer.layout_
    if trainer.distribution not in KINDS:
        raise unknown("distribution", trainer.distribution, KINDS)
    run_length(trainer.epochs, trainer.steps, 1)
    if trainer.accumulate > 1 and layout.grain in ("stage", "layer"):
        raise InputError(
            f"train.accumulate={trainer.accumulate} works at layout.grain step and window, not {layout.grain}"
        )
    if trainer.accumulate > 1 and layout.cuts_model:
        raise InputError(
            f"train.accumulate={trainer.accumulate} is for a model that is not cut; use layout.microbatches"
        )
    kept = trainer.streams or (saved or {}).get("streams")
    alike = layout.lane_count if layout.lanes is None else layout.replicas  # what has the same rows each
    streams = kept or choose_streams(trainer.batch, alike)
    if trainer.batch % streams:
        raise InputError(f"data.streams={streams} does not divide train.batch={trainer.batch}")
    if streams % alike:
        cut = f"data={layout.data}"
        if layout.replicas > 1:
            cut = f"replicas={layout.replicas} with {cut}"
        raise InputError(
            f"layout.{cut} does not divide the {streams} streams that a batch of "
            f"{trainer.batch} is drawn from; use a divisor of {streams}, or set data.streams"
        )
    order = Order(
        rows,
        trainer.batch,
        streams,
        trainer.chunk_rows or chunk_rows,
        trainer.distribution,
        trainer.seed,
        trainer.drop_last,
    )
    for name, before in (saved or {}).items():
        if getattr(order, name) != before:
            raise InputError(
                f"the checkpoint was made with {name}={before}, this run has {getattr(order, name)}; "
                "set it back, or train anew"
            )
    return order


def make_spec(
    trainer: Trainer,
    source: Source,
    order: Order,
    transforms: Sequence[Fitted],
    targets: Sequence[Fitted],
) -> Spec:
    """The Spec of a run; shapes, loss, metrics and targets are checked against each other."""
    if trainer.precision not in PRECISIONS:
        raise unknown("precision", trainer.precision, PRECISIONS)
    in_shape = _shape_after(transforms, source.x_shape, np.dtype(trainer.precision))
    spec = bare_spec(trainer, in_shape, order, transforms, targets)
    if source.tokens and not spec.model.tokens:
        raise InputError(
            f"layer 0: {spec.model.layers[0].kind}: the examples are numbers of characters; begin the model "
            "with a layer that takes those, such as embedding"
        )
    y = np.zeros((1, *source.y_shape), source.y_dtype)
    if learns_inputs(targets):
        y = np.zeros((1, *in_shape), spec.x_dtype)
        flat = len(spec.out_shape) == 1 < len(in_shape) and math.prod(in_shape) == spec.out_shape[0]
        spec = replace(spec, targets=(Examples(flat),))
    for fitted in spec.targets:
        y = np.zeros(y.shape, int) if isinstance(fitted, Labels) else fitted.apply(y)
    y = spec.loss.conform(y, spec.out_shape)
    labels, classes = labels_of(spec.targets), spec.loss.classes(spec.out_shape)
    if labels and classes is not None and len(labels) != classes:
        raise InputError(
            f"{spec.loss.kind}: {len(labels)} labels in the targets ({listed(labels)}) for a model with "
            f"{spec.out_shape[-1]} outputs; expected {classes} labels"
        )
    if order.kind == "stratified" and (y.ndim > 2 or learns_inputs(spec.targets)):
        raise InputError(
            f"distribution stratified needs one class an example; the targets are of shape {y.shape[1:]}"
        )
    spec.loss.check(spec.out_shape, y.shape[1:], y.dtype)
    for metric in spec.metrics:
        metric.check(spec.loss, spec.out_shape, y.shape[1:])
    if spec.model.tokens and (transforms or np.dtype(source.x_dtype).kind not in "iub"):
        how = "transformed, e.g. scaled to 0 to 1" if transforms else f"of {np.dtype(source.x_dtype)}"
        raise InputError(
            f"layer 0: {spec.model.layers[0].kind}: expected whole numbers, the examples are {how}; leave it "
            "out, or give it data that are whole numbers"
        )
    apart = trainer.layout_.data > 1 and trainer.layout_.grain == "window"
    if trainer.layout_.update != "sync" and trainer.layout_.shards > 1 and spec.clip.norm is not None:
        raise InputError(
            f"layout.shards={trainer.layout_.shards}: servers apply what they get at once, and do not know "
            "the norm of the whole gradient; leave out train.clip.norm, or use one server"
        )
    shares = next((layer.kind for layer in parts(spec.model) if synchronised(layer)), None)
    if shares is not None and apart:
        raise InputError(
            f"layout.grain=window cannot be had in {trainer.layout_.data} lanes with {shares}: {{sync: "
            "true}; use data: 1 or grain: step"
        )
    layout = trainer.layout_
    if shares is not None and (layout.microbatches > 1 or layout.width > 1):
        name = "microbatches" if layout.microbatches > 1 else "width"
        raise InputError(
            f"layout.{name}={getattr(layout, name)} cannot be had with {shares}: {{sync: true}}, whose "
            "statistics are those of the whole batch; leave sync out"
        )
    if shares is not None and layout.update != "sync":
        raise InputError(
            f"layout.update={layout.update} cannot be had with {shares}: {{sync: true}}, whose statistics "
            "are those of all lanes, which do not meet; leave sync out"
        )
    if shares is not None and trainer.accumulate > 1:
        raise InputError(
            f"train.accumulate={trainer.accumulate} cannot be had with {shares}: {{sync: true}}, whose "
            "statistics are those of the whole batch"
        )
    for name, most, things in (
        ("microbatches", order.batch, "rows of a batch"),
        ("shards", spec.table.count, "parameters"),
    ):
        if getattr(layout, name) > max(1, most):
            raise InputError(f"layout.{name}={getattr(layout, name)} is more than the {most} {things}")
    for name in ("width", "shards"):
        if getattr(layout, name) > 1 and not spec.optimizer.elementwise:
            raise InputError(
                f"layout.{name}={getattr(layout, name)} cuts tensors, of which {spec.optimizer.kind} needs "
                "the norms; use another optimizer, or cut in data or stages"
            )
    costs = None
    if layout.balance == "time" and isinstance(layout.stages, int) and layout.stages > 1:
        rows = -(-order.batch // (layout.data * layout.microbatches))
        costs = operation_times(spec, cut_operations(spec.model, layout), rows)
    splits = spec.loss.splits and not spec.metrics  # metrics see whole outputs
    outer = None if layout.outer is None else optim.optimizer(layout.outer)
    if outer is not None and not outer.elementwise:
        raise InputError(f"layout.outer: {outer.kind} needs whole tensors; use sgd, adam or the like")
    cut = partition(spec.model, spec.table, spec.in_shape, layout, costs, splits)
    check_epsilons(spec.precision, parts(spec.model), filter(None, (spec.optimizer, outer)))
    return replace(spec, cut=cut, outer=outer)


def bare_spec(
    trainer: Trainer,
    in_shape: tuple[int, ...],
    order: Order,
    transforms: Sequence[Fitted],
    targets: Sequence[Fitted],
) -> Spec:
    """The Spec of a run on examples of `in_shape`, whatever the targets are."""
    model = nn.model(trainer.model)
    params, out_shape = model.init(spawning(trainer.seed), in_shape)
    table = ParameterTable.of(params)
    if not table.entries:
        raise InputError("the model has no parameters; add a layer such as dense")
    return Spec(
        model=model,
        table=table,
        in_shape=tuple(in_shape),
        out_shape=tuple(out_shape),
        loss=nn.loss(trainer.loss),
        metrics=tuple(nn.metric(metric) for metric in trainer.metrics),
        optimizer=optim.optimizer(trainer.optimizer),
        penalty=trainer.penalty or Penalty(),
        clip=trainer.clip or Clip(),
        order=order,
        seed=trainer.seed,
        precision=trainer.precision,
        accumulate=min(trainer.accumulate, order.batch),
        transforms=tuple(transforms),
        targets=tuple(targets),
    )


def fit_transforms(
    entries: Sequence[Any], part: Part, executor: Executor, token: str, chunk_rows: int, which: str
) -> tuple[Fitted, ...]:
    """Fit transforms on the training part, one pass over its chunks each.

    `which`: "x" for the examples, whose pixels are scaled first, or "y" for the targets.
    """
    fitted: list[Fitted] = []
    if which == "x" and part.source.peak is not None:
        fitted.append(Pixels(part.source.peak))
    for i, entry in enumerate(entries):
        if isinstance(entry, Fitted):
            fitted.append(entry)
            continue
        step: Transform = transform(entry)
        if isinstance(step, Inputs):
            if which == "x" or len(entries) > 1:
                raise InputError("inputs stands alone, in data.targets; data.transforms prepares them too")
            return (Examples(),)
        graph = Graph(token)
        keys = [
            graph.add(
                "measure-data", (which, i, k), tasks.measure_rows, step, tuple(fitted), which, Ref(rows)
            )
            for k, rows in enumerate(add_rows(graph, part, chunk_rows))
        ]
        executor.submit(graph, keys, 1)
        measures = [executor.result(key) for key in keys]
        executor.release(keys)
        fitted.append(step.fit(reduce(step.combine, measures)))
    return tuple(fitted)


def fit_targets(
    trainer: Trainer,
    transforms: Sequence[Fitted],
    part: Part,
    executor: Executor,
    token: str,
    chunk_rows: int,
) -> tuple[Fitted, ...]:
    """Fit the transforms of the targets, and number labels that are not 0, 1, 2, ... already.

    The labels are those of all the data, also of the rows that are held out.
    """
    source, loss = part.source, nn.loss(trainer.loss)
    texts = np.dtype(source.y_dtype).kind in "UO"
    if trainer.targets or loss.task == "numbers" or math.prod(source.y_shape) != 1:
        return fit_transforms(trainer.targets, part, executor, token, chunk_rows, "y")
    y = source.plain_targets()
    if y is None:
        return fit_transforms([NumberLabels()] if texts else [], part, executor, token, chunk_rows, "y")
    labels = labels_in(y) if y.dtype.kind in "iuU" else None
    if labels is None:
        return ()
    if not texts:
        in_shape = _shape_after(transforms, source.x_shape, np.dtype(trainer.precision))
        outputs = nn.model(trainer.model).init(spawning(trainer.seed), in_shape)[1]
        classes = loss.classes(outputs) or 0
        known = all(isinstance(label, int) and 0 <= label < classes for label in labels.values)
        if known or len(labels.values) != classes:
            return ()
    return (labels,)


def learns_inputs(targets: Sequence[Any]) -> bool:
    """Whether the targets are the examples themselves."""
    return any(isinstance(t if isinstance(t, Fitted) else transform(t), Examples | Inputs) for t in targets)


def saved_transforms(meta: dict[str, Any]) -> tuple[tuple[Fitted, ...], tuple[Fitted, ...]]:
    """The fitted transforms that lie in a checkpoint, of examples and of targets."""
    return tuple(map(from_json, meta["transforms"])), tuple(map(from_json, meta["targets"]))


def _shape_after(transforms: Sequence[Fitted], shape: tuple[int, ...], dtype: Any) -> tuple[int, ...]:
    x = np.zeros((1, *shape), dtype)
    for fitted in transforms:
        x = fitted.apply(x)
    return x.shape[1:]
