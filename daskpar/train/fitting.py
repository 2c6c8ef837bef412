"""Fitting transforms on the training part, and finding the labels of classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from daskpar import tasks
from daskpar.backend.random import init_rng
from daskpar.cluster.executor import Executor
from daskpar.data.categories import NumberLabels, labels_in
from daskpar.data.splits import Split
from daskpar.data.transforms import Examples, Fitted, Inputs, Pixels, Transform, from_json, transform
from daskpar.errors import InputError
from daskpar.graph.graph import Graph, Ref
from daskpar.graph.load import add_rows
from daskpar.nn import registry as nn
from daskpar.train.settings import Settings

SavedTransforms = tuple[tuple[Fitted, ...] | None, tuple[Fitted, ...] | None]
"""Fitted transforms of examples and of targets; None for those that are yet to be fitted."""


@dataclass(frozen=True)
class FittedData:
    """Training data, with the transforms of examples and of targets that were fitted on them.

    They do not depend on the layout: whoever chooses one fits them once.
    """

    part: Split
    transforms: tuple[Fitted, ...]
    targets: tuple[Fitted, ...]


def fit_data(
    settings: Settings, part: Split, executor: Executor, token: str, saved: SavedTransforms = (None, None)
) -> FittedData:
    """Fit all transforms of a training on its data, but for those that are `saved`.

    `token` names the tasks.
    """
    chunk_rows = settings.chunk_rows or part.source.chunk_rows
    transforms, targets = saved
    if transforms is None:
        transforms = fit_transforms(settings.transforms, part, executor, token, chunk_rows, "x")
    if targets is None:
        targets = fit_targets(settings, transforms, part, executor, token, chunk_rows)
    return FittedData(part, transforms, targets)


def fit_transforms(
    entries: Sequence[object], part: Split, executor: Executor, token: str, chunk_rows: int, which: str
) -> tuple[Fitted, ...]:
    """Fit transforms on the training part, one pass over its chunks each.

    `which`: "x" for the examples, whose pixels are scaled first, or "y" for the targets.
    """
    fitted: list[Fitted] = []
    if which == "x" and part.source.max_value is not None:
        fitted.append(Pixels(part.source.max_value))
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
    settings: Settings,
    transforms: Sequence[Fitted],
    part: Split,
    executor: Executor,
    token: str,
    chunk_rows: int,
) -> tuple[Fitted, ...]:
    """Fit the transforms of the targets, and number labels that are not 0, 1, 2, ... already.

    The labels are those of all the data, also of the rows that are held out.
    """
    source, loss = part.source, nn.loss(settings.loss)
    texts = np.dtype(source.y_dtype).kind in "UO"
    if settings.targets or loss.task == "numbers" or math.prod(source.y_shape) != 1:
        return fit_transforms(settings.targets, part, executor, token, chunk_rows, "y")
    y = source.plain_targets()
    if y is None:
        return fit_transforms([NumberLabels()] if texts else [], part, executor, token, chunk_rows, "y")
    labels = labels_in(y) if y.dtype.kind in "iuU" else None
    if labels is None:
        return ()
    if not texts:
        in_shape = shape_after(transforms, source.x_shape, settings.precision)
        outputs = nn.model(settings.model).init(init_rng(settings.seed), in_shape)[1]
        classes = loss.classes(outputs) or 0
        known = all(isinstance(label, int) and 0 <= label < classes for label in labels.values)
        if known or len(labels.values) != classes:
            return ()
    return (labels,)


def learns_inputs(targets: Sequence[object]) -> bool:
    """Return whether the targets are the examples themselves."""
    return any(isinstance(t if isinstance(t, Fitted) else transform(t), Examples | Inputs) for t in targets)


def saved_transforms(meta: Mapping[str, Any]) -> SavedTransforms:
    """Return the fitted transforms of examples and of targets in a checkpoint; None for those not there."""
    transforms, targets = (meta.get(name) for name in ("transforms", "targets"))
    return (
        None if transforms is None else tuple(map(from_json, transforms)),
        None if targets is None else tuple(map(from_json, targets)),
    )


def shape_after(transforms: Sequence[Fitted], shape: tuple[int, ...], dtype: str) -> tuple[int, ...]:
    """Return the shape of an example (*shape) after transforms."""
    x = np.zeros((1, *shape), dtype)
    for fitted in transforms:
        x = fitted.apply(x)
    return x.shape[1:]
