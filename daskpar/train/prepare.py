"""From a Trainer's arguments and its data to a Spec: everything that can be refused is refused here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from daskpar.backend.random import spawning
from daskpar.data.categories import Labels, listed
from daskpar.data.order import KINDS, Order, choose_streams
from daskpar.data.source import Source
from daskpar.data.transforms import (
    Examples,
    Fitted,
    labels_of,
)
from daskpar.errors import InputError, unknown
from daskpar.layout.partition import cut_operations, partition
from daskpar.nn import registry as nn
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.program import parts, synchronised
from daskpar.optim import registry as optim
from daskpar.optim.gradient import Clip, Penalty
from daskpar.plan.measure import operation_times
from daskpar.tasks.types import Spec
from daskpar.train.epsilons import check_epsilons
from daskpar.train.every import run_length
from daskpar.train.fitting import learns_inputs, shape_after

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
    in_shape = shape_after(transforms, source.x_shape, np.dtype(trainer.precision))
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
    return replace(spec, layout=layout, cut=cut, outer=outer)


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
