"""What cannot be trained under a layout: the refusals of each cut, one function a cut.

Each raises InputError, in one line, that names the layout's field, its value, and what to do.
"""

from __future__ import annotations

from daskpar.data.order import Order
from daskpar.errors import InputError
from daskpar.graph.layout import Layout
from daskpar.graph.spec import Spec
from daskpar.nn.program import parts, synchronised
from daskpar.optim import registry as optim
from daskpar.optim.optimizer import Optimizer


def check_accumulate(accumulate: int, layout: Layout) -> None:
    """Refuse slices of a lane where the model, or a step, is cut into several tasks."""
    if accumulate > 1 and layout.grain in ("stage", "layer"):
        raise InputError(
            f"train.accumulate={accumulate} works at layout.grain step and window, not {layout.grain}"
        )
    if accumulate > 1 and layout.cuts_model:
        raise InputError(
            f"train.accumulate={accumulate} is for a model that is not cut; use layout.microbatches"
        )


def lanes_alike(layout: Layout) -> int:
    """Return how many shares of a batch have the same number of rows each."""
    return layout.lane_count if layout.lanes is None else layout.replicas


def check_streams(batch: int, streams: int, layout: Layout) -> None:
    """Refuse streams that do not divide the batch, or that lanes do not divide."""
    if batch % streams:
        raise InputError(f"data.streams={streams} does not divide train.batch={batch}")
    if streams % lanes_alike(layout):
        cut = f"data={layout.data}"
        if layout.replicas > 1:
            cut = f"replicas={layout.replicas} with {cut}"
        raise InputError(
            f"layout.{cut} does not divide the {streams} streams that a batch of "
            f"{batch} is drawn from; use a divisor of {streams}, or set data.streams"
        )


def check_layout(spec: Spec, layout: Layout) -> None:
    """Refuse what a layout cannot do with a model, its optimizer and its batch."""
    check_servers(spec, layout)
    shares = next((layer.kind for layer in parts(spec.model) if synchronised(layer)), None)
    if shares is not None:
        check_batch_statistics(shares, spec.accumulate, layout)
    check_microbatches(spec.order, layout)
    check_shard_count(spec, layout)
    check_width(spec, layout)
    check_shards(spec, layout)


def check_servers(spec: Spec, layout: Layout) -> None:
    """Refuse clipping by the norm where each of several servers has a part of the gradient."""
    if layout.update != "sync" and layout.shards > 1 and spec.clip.norm is not None:
        raise InputError(
            f"layout.shards={layout.shards}: servers apply what they get at once, and do not know "
            "the norm of the whole gradient; leave out train.clip.norm, or use one server"
        )


def check_batch_statistics(shares: str, accumulate: int, layout: Layout) -> None:
    """Refuse cuts under which a layer (`shares`: its kind) cannot have statistics of the whole batch."""
    if layout.data > 1 and layout.grain == "window":
        raise InputError(
            f"layout.grain=window cannot be had in {layout.data} lanes with {shares}: {{sync: "
            "true}; use data: 1 or grain: step"
        )
    if layout.microbatches > 1 or layout.width > 1:
        name = "microbatches" if layout.microbatches > 1 else "width"
        raise InputError(
            f"layout.{name}={getattr(layout, name)} cannot be had with {shares}: {{sync: true}}, whose "
            "statistics are those of the whole batch; leave sync out"
        )
    if layout.update != "sync":
        raise InputError(
            f"layout.update={layout.update} cannot be had with {shares}: {{sync: true}}, whose statistics "
            "are those of all lanes, which do not meet; leave sync out"
        )
    if accumulate > 1:
        raise InputError(
            f"train.accumulate={accumulate} cannot be had with {shares}: {{sync: true}}, whose "
            "statistics are those of the whole batch"
        )


def check_microbatches(order: Order, layout: Layout) -> None:
    """Refuse more micro-batches than rows."""
    _at_most("microbatches", layout.microbatches, order.batch, "rows of a batch")


def check_shard_count(spec: Spec, layout: Layout) -> None:
    """Refuse more shards than parameters."""
    _at_most("shards", layout.shards, spec.table.count, "parameters")


def check_width(spec: Spec, layout: Layout) -> None:
    """Refuse to cut tensors by width where the optimizer needs their norms."""
    _whole_tensors("width", layout.width, spec.optimizer)


def check_shards(spec: Spec, layout: Layout) -> None:
    """Refuse to cut tensors into shards where the optimizer needs their norms."""
    _whole_tensors("shards", layout.shards, spec.optimizer)


def outer_optimizer(layout: Layout) -> Optimizer | None:
    """Return the optimizer between averages, or None. Refuses one that needs whole tensors."""
    if layout.outer is None:
        return None
    outer = optim.optimizer(layout.outer)
    if not outer.elementwise:
        raise InputError(f"layout.outer: {outer.kind} needs whole tensors; use sgd, adam or the like")
    return outer


def _at_most(name: str, value: int, most: int, things: str) -> None:
    if value > max(1, most):
        raise InputError(f"layout.{name}={value} is more than the {most} {things}")


def _whole_tensors(name: str, value: int, optimizer: Optimizer) -> None:
    if value > 1 and not optimizer.elementwise:
        raise InputError(
            f"layout.{name}={value} cuts tensors, of which {optimizer.kind} needs "
            "the norms; use another optimizer, or cut in data or stages"
        )
