"""Fitting of transforms on the training data, and of the labels of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from daskpar.backend.random import init_rng
from daskpar.cluster.executor import Executor
from daskpar.data.categories import NumberLabels, labels_in
from daskpar.data.encode import Encode
from daskpar.data.impute import Impute
from daskpar.data.records import Features, is_records, kinds
from daskpar.data.schema import refuse_texts
from daskpar.data.source import Source
from daskpar.data.splits import Split
from daskpar.data.transforms import Examples, Fitted, Inputs, Pixels, Transform, transform
from daskpar.data.weights import BALANCED
from daskpar.errors import InputError
from daskpar.nn import registry as nn
from daskpar.nn.open_sizes import Sizes, fill, open_in
from daskpar.tasks import Weighed
from daskpar.train.class_weights import weigh
from daskpar.train.measuring import Measuring
from daskpar.train.saved_data import SavedData
from daskpar.train.settings import Settings
from daskpar.train.sizes import categories_of, find_sizes


@dataclass(frozen=True)
class FittedData:
    """Training data, with the transforms of examples and targets that were fitted on them.

    `sizes` has the sizes that the model leaves to the data, `weighed` the sums of the weights of the rows by
    class for balanced classes. All are independent of the layout, which may be chosen after they are fitted.
    """

    part: Split
    transforms: tuple[Fitted, ...]
    targets: tuple[Fitted, ...]
    sizes: Sizes = field(default_factory=Sizes)
    weighed: Weighed | None = None


def fit_data(
    settings: Settings, part: Split, executor: Executor, token: str, saved: SavedData | None = None
) -> FittedData:
    """Return the training data with all transforms fitted; those that are `saved` are used unchanged.

    `token` names the tasks.
    """
    saved = saved or SavedData()
    measuring = Measuring(part, executor, token, settings.chunk_rows or part.source.chunk_rows)
    transforms, targets, sizes = saved.transforms, saved.targets, saved.sizes
    if transforms is None:
        transforms = fit_transforms(settings.transforms, measuring, "x")
    if targets is None:
        targets = fit_targets(settings, transforms, measuring)
    if sizes is None:
        example = example_after(transforms, part.source, settings.precision)
        sizes = find_sizes(settings, transforms, targets, example, measuring)
    return _weighed(settings, FittedData(part, transforms, targets, sizes), executor, token)


def _weighed(settings: Settings, data: FittedData, executor: Executor, token: str) -> FittedData:
    """Return the data with the sums of the weights by class; weights of rows are checked on the way."""
    part, by_class = data.part, settings.class_weight == BALANCED
    if not by_class and not part.source.weighted:
        return data
    if by_class and nn.loss(settings.loss).task == "numbers":
        return data  # refused with the problem, by the name of the loss
    chunk_rows = settings.chunk_rows or part.source.chunk_rows
    total = weigh(part, data.targets, executor, token, chunk_rows, by_class)
    return replace(data, weighed=total if by_class else None)


def fit_transforms(entries: Sequence[object], measuring: Measuring, which: str) -> tuple[Fitted, ...]:
    """Return fitted transforms, with one pass over the chunks of the training data for each.

    `which` is "x" for the examples, whose pixels are scaled first, or "y" for the targets.
    """
    fitted: list[Fitted] = []
    source = measuring.part.source
    if which == "x" and source.max_value is not None:
        fitted.append(Pixels(source.max_value))
    check_order(entries)
    for i, entry in enumerate(entries):
        if isinstance(entry, Fitted):
            fitted.append(entry)
            continue
        step: Transform = transform(entry)
        if isinstance(step, Inputs):
            if which == "x" or len(entries) > 1:
                raise InputError("inputs stands alone, in data.targets; data.transforms prepares them too")
            return (Examples(),)
        if which == "x":
            step = step.on_columns(_features(source, fitted), example_after(fitted, source))
        fitted.append(step.fit(measuring.measure(step, fitted, which, i)))
    if which == "x":
        refuse_texts(kinds(example_after(fitted, source).dtype), f"{measuring.part.name} data")
    return tuple(fitted)


def check_order(entries: Sequence[object]) -> None:
    """Refuse an order in which a transform changes missing values or categories that a later one needs."""
    before: Transform | None = None
    numbered = False
    for step in (transform(entry) for entry in entries if not isinstance(entry, Fitted)):
        if isinstance(step, Impute) and before is not None:
            raise InputError(
                f"transforms: impute comes after {before.kind}, which missing values would spoil; put it "
                "first"
            )
        if numbered and not step.keeps_missing:
            raise InputError(
                f"transforms: {step.kind} comes after encode, whose numbers of categories it would change; "
                "put encode last"
            )
        numbered = numbered or (isinstance(step, Encode) and (step.rest == "embed" or bool(step.embed)))
        if not step.keeps_missing:
            before = step


def _features(source: Source, fitted: Sequence[Fitted]) -> Features:
    """Return the columns of examples after some transforms; () where the columns have changed."""
    shape = example_after(fitted, source).shape
    return source.features if shape == (1, len(source.features)) else ()


def example_after(transforms: Sequence[Fitted], source: Source, dtype: str | None = None) -> np.ndarray:
    """Return an example of zeros (1, ...) after transforms, in `dtype` or the dtype of the source."""
    raw = source.x_dtype if dtype is None or is_records(source.x_dtype) else dtype
    x = np.zeros((1, *source.x_shape), raw)
    for fitted in transforms:
        x = fitted.apply(x)
    return x


def fit_targets(settings: Settings, transforms: Sequence[Fitted], measuring: Measuring) -> tuple[Fitted, ...]:
    """Return the fitted transforms of the targets; labels that are not 0, 1, 2, ... are numbered.

    The labels are those of all rows, held-out ones included.
    """
    source, loss = measuring.part.source, nn.loss(settings.loss)
    texts = np.dtype(source.y_dtype).kind in "UO"
    if settings.targets or loss.task == "numbers" or math.prod(source.y_shape) != 1:
        return fit_transforms(settings.targets, measuring, "y")
    y = source.plain_targets()
    if y is None:
        return fit_transforms([NumberLabels()] if texts else [], measuring, "y")
    labels = labels_in(y) if y.dtype.kind in "iuU" else None
    if labels is None:
        return ()
    if not texts:
        model = nn.model(settings.model)
        if "outputs" in open_in(model):
            return (labels,)
        in_shape = example_after(transforms, source, settings.precision).shape[1:]
        some = Sizes(
            words=2, columns=categories_of(transforms)
        )  # the number of outputs does not depend on these
        outputs = fill(model, some).init(init_rng(settings.seed), in_shape)[1]
        classes = loss.classes(outputs) or 0
        known = all(isinstance(label, int) and 0 <= label < classes for label in labels.values)
        if known or len(labels.values) != classes:
            return ()
    return (labels,)


def learns_inputs(targets: Sequence[object]) -> bool:
    """Return whether the targets are the examples themselves."""
    return any(isinstance(t if isinstance(t, Fitted) else transform(t), Examples | Inputs) for t in targets)
