"""Checks of data, orders, targets, metrics and epsilons that do not depend on the layout.

Each function raises InputError. Checks of a cut are in its module, in `layout`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from daskpar.data.categories import listed
from daskpar.data.sampler import Sampler
from daskpar.data.source import Source
from daskpar.data.transforms import Fitted, labels_of
from daskpar.errors import InputError, unknown
from daskpar.nn.operations import parts, synchronised
from daskpar.nn.parameters import ParameterTable
from daskpar.tasks.types import Spec


def check_names(names: Sequence[str], saved: Sequence[str]) -> None:
    """Refuse to resume with other characters or classes than those of the checkpoint."""
    if list(saved) != list(names):
        raise InputError(
            "the checkpoint was made with other characters or classes than the data have now; "
            "set the data back, or train from scratch"
        )


def check_same_order(order: Sampler, saved: Mapping[str, object]) -> None:
    """Refuse to resume with another order of the rows than that of the checkpoint."""
    for name, before in saved.items():
        if getattr(order, name) != before:
            raise InputError(
                f"the checkpoint was made with {name}={before}, this run has {getattr(order, name)}; "
                "set it back, or train from scratch"
            )


def check_monitor(spec: Spec, name: str, validation: bool) -> None:
    """Refuse to monitor a score that no record will have; the message names the nearest one."""
    of_parts = {"train": spec.step_metrics, "validation": spec.metrics if validation else ()}
    known = ["train.loss", *(["validation.loss"] if validation else [])]
    known += [f"{part}.{m.name}" for part, metrics in of_parts.items() for m in metrics if m.scalar]
    if name not in known:
        raise unknown("monitor", name, known)


def check_parameters(table: ParameterTable) -> None:
    """Refuse a model without parameters."""
    if not table.entries:
        raise InputError("the model has no parameters; add a layer such as dense")


def check_characters(spec: Spec, source: Source) -> None:
    """Refuse text for a model whose first layer is not one of tokens, or has too few characters."""
    if not source.tokens:
        return
    first, known = spec.model.layers[0].kind, len(source.names)
    if not spec.model.tokens:
        raise InputError(
            f"layer 0: {first}: the examples are numbers of characters; begin the model with a layer that "
            "takes those, such as embedding"
        )
    refused = spec.model.refuses(np.array([[0, known - 1]], dtype=np.int32))
    if refused is not None:
        raise InputError(
            f"layer 0: the text has {known} characters: {refused}; give {known}, or leave it out"
        )
    outputs = spec.loss.classes(spec.out_shape)
    if outputs is not None and outputs < known:
        raise InputError(
            f"{spec.loss.kind}: the text has {known} characters, the model {outputs} outputs; give the last "
            f"layer {known}, or leave its units out"
        )


def check_labels(spec: Spec) -> None:
    """Refuse a number of labels that differs from the model's classes."""
    labels, classes = labels_of(spec.targets), spec.loss.classes(spec.out_shape)
    if labels and classes is not None and len(labels) != classes:
        raise InputError(
            f"{spec.loss.kind}: {len(labels)} labels in the targets ({listed(labels)}) for a model with "
            f"{spec.out_shape[-1]} outputs; expected {classes} labels"
        )


def check_stratified(order: Sampler, y: np.ndarray, inputs_are_targets: bool) -> None:
    """Refuse the stratified order for targets `y` (1, ...) that are not one class for each example."""
    if order.kind == "stratified" and (y.ndim > 2 or inputs_are_targets):
        raise InputError(
            f"distribution stratified needs one class an example; the targets are of shape {y.shape[1:]}"
        )


def check_slices(spec: Spec, accumulate: int) -> None:
    """Refuse `accumulate` for a layer whose statistics are those of the whole batch."""
    shares = next((layer.kind for layer in parts(spec.model) if synchronised(layer)), None)
    if shares is not None and accumulate > 1:
        raise InputError(
            f"train.accumulate={accumulate} does not work with {shares}: {{sync: true}}, whose "
            "statistics are those of the whole batch; set train.accumulate=1, or sync: false"
        )


def check_tokens(spec: Spec, source: Source, transforms: Sequence[Fitted]) -> None:
    """Refuse examples that are not whole numbers, for a model whose inputs are tokens."""
    if spec.model.tokens and (transforms or np.dtype(source.x_dtype).kind not in "iub"):
        state = "transformed, e.g. scaled to 0 to 1" if transforms else f"of {np.dtype(source.x_dtype)}"
        raise InputError(
            f"layer 0: {spec.model.layers[0].kind}: expected whole numbers, the examples are {state}; leave "
            "it out, or give it data that are whole numbers"
        )


def check_epsilons(precision: str, layers: Iterable[object], optimizers: Iterable[object]) -> None:
    """Refuse an `epsilon` of layers or optimizers that is too small for `precision`.

    A layer adds it to a variance, so it must be a normal number of that precision. An optimizer adds it to
    the root of squared gradients. For smaller values squares may be 0 where gradients are not, and the step
    would be a division by almost zero.
    """
    tiny = float(np.finfo(precision).tiny)
    for least, blocks in ((tiny, layers), (10 * math.sqrt(tiny), optimizers)):
        for block in blocks:
            epsilon = getattr(block, "epsilon", 1.0)
            if epsilon < least:
                kind = getattr(block, "kind", block)
                raise InputError(
                    f"{kind}.epsilon={epsilon} is too small for precision {precision}; use "
                    f"{_rounded_up(least):.0e} or more"
                )


def _rounded_up(least: float) -> float:
    """Return the next power of ten."""
    return float(f"1e{math.ceil(math.log10(least))}")
