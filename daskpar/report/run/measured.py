"""Rows of a run's data with the outputs of its network, for the parts of a report that look at examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from daskpar.backend.array import Array, to_numpy
from daskpar.data.splits import Split
from daskpar.data.transforms import Examples, undo
from daskpar.nn.layer import Context
from daskpar.tasks.gradient import ignore_float_errors
from daskpar.tasks.infer import ROWS
from daskpar.tasks.load import load_rows
from daskpar.tasks.types import Spec

_MOST_ELEMENTS = 20_000_000  # of the examples that are read, and of the outputs


class Network(NamedTuple):
    """A trained network: its description, the flat buffer of its parameters, and the names of its classes.

    `names` may be characters, for a network of text. `place` describes the file of the parameters, `digest`
    is their SHA-256.
    """

    spec: Spec
    params: Array
    names: Sequence[str] = ()
    place: str = ""
    digest: str = ""

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of the outputs."""
        labels = self.spec.classes.tolist()
        return [str(name) for name in (self.names if len(self.names) == len(labels) else labels)]

    def outputs(self, x: Array) -> np.ndarray:
        """Return the outputs for transformed examples (rows, ...)."""
        views = self.spec.table.views(self.params)
        starts = range(0, max(1, len(x)), ROWS)
        parts = [self.spec.model.run(views, x[i : i + ROWS], Context(backward=False))[0] for i in starts]
        return np.concatenate([to_numpy(part) for part in parts])


@dataclass(frozen=True, eq=False)
class Measured:
    """Rows of a part of the data, with the outputs of a network and the loss of each row.

    Args:
        network: The network.
        part: Name of the part, e.g. "validation".
        total: Number of rows of the part.
        rows: Numbers (rows,) of the rows within the whole data.
        raw: Examples (rows, ...) as they are stored.
        x: Examples (rows, ...) after the transforms.
        y: Targets (rows, ...) as the loss receives them.
        outputs: Outputs (rows, ...) of the network.
        losses: Loss (rows,) of each row.
    """

    network: Network
    part: str
    total: int
    rows: np.ndarray
    raw: np.ndarray
    x: np.ndarray
    y: np.ndarray
    outputs: np.ndarray
    losses: np.ndarray

    @property
    def spec(self) -> Spec:
        """The description of the run."""
        return self.network.spec

    @property
    def task(self) -> str:
        """The kind of the outputs: "classes", "labels" or "numbers"."""
        task: str = self.spec.loss.task
        return task

    @property
    def worst(self) -> np.ndarray:
        """The positions (rows,) of the rows, those with the highest loss first."""
        return np.argsort(-np.nan_to_num(self.losses, nan=np.inf), kind="stable")

    @property
    def counted(self) -> str:
        """The rows in words, e.g. `5,000 of the 6,000 rows of the validation part`."""
        if len(self.rows) == self.total:
            return f"all {self.total:,} rows of the {self.part} part"
        return f"{len(self.rows):,} of the {self.total:,} rows of the {self.part} part"

    def decisions(self) -> tuple[np.ndarray, np.ndarray]:
        """Return true and predicted classes: (rows,), (rows, positions), or 0 and 1 (rows, labels)."""
        predicted = to_numpy(self.spec.loss.decide(self.outputs)).astype(int)
        true = self.y
        if self.task == "classes" and true.ndim == self.outputs.ndim:
            true = true.argmax(axis=-1)
        true = (true > 0.5 if true.dtype.kind == "f" else true).astype(int)
        if self.task == "labels" and predicted.shape[-1] == 1:
            predicted, true = predicted.reshape(-1), true.reshape(-1)
        return true, predicted

    def probability(self, row: int, chosen: np.ndarray) -> float | None:
        """Return the probability of the predicted class of a row; None where there is not one class."""
        if self.task == "numbers" or chosen.ndim:
            return None
        values = to_numpy(self.spec.loss.activate(self.outputs[row : row + 1]))[0].reshape(-1)
        if len(values) == 1:  # of the second of two classes
            values = np.array([1 - values[0], values[0]])
        return float(values[int(chosen)])

    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Return true and predicted numbers (rows, outputs), in the units of the data."""
        sides = []
        for values in (self.y.reshape(self.outputs.shape), self.outputs):
            fitted = self.spec.targets
            if not any(isinstance(each, Examples) for each in fitted):
                values = to_numpy(undo(fitted, values))
            sides.append(np.asarray(values, float).reshape(len(values), -1))
        return sides[0], sides[1]


@ignore_float_errors
def measure(network: Network, split: Split, most: int) -> Measured:
    """Return rows of a split with the network's outputs: at most `most`, at equal distances.

    Raises InputError for data that cannot be read, or do not fit the network.
    """
    split, spec = split.once(), network.spec
    total = split.rows
    size = max(math.prod(split.source.x_shape), math.prod(spec.out_shape), 1)
    count = max(1, min(total, most, _MOST_ELEMENTS // size))
    positions = np.unique(np.linspace(0, total - 1, count).astype(np.int64))
    raw, stored = split.read(positions)
    chunk = load_rows(spec, split, raw, stored)
    x = chunk.x.astype("int32", copy=False) if spec.model.tokens else chunk.x
    outputs, y = network.outputs(x), to_numpy(chunk.y)
    losses = np.array([_loss(spec, outputs[i : i + 1], y[i : i + 1]) for i in range(len(y))])
    rows = np.asarray(split.where(positions))
    return Measured(network, split.name, total, rows, raw, to_numpy(x), y, outputs, losses)


def _loss(spec: Spec, outputs: np.ndarray, y: np.ndarray) -> float:
    """Return the mean loss of one row."""
    loss, weight, *_ = spec.loss(outputs, y)
    return float(loss) / (float(weight) or 1.0)
