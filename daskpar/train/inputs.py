"""Conversion of the data that `fit` and `evaluate` get to splits of sources."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real

import numpy as np

from daskpar.cluster.storage import workers_read
from daskpar.data.dask_arrays import DaskArrays, from_dask, is_dask
from daskpar.data.in_memory import Given, hold
from daskpar.data.records import Features, check_features
from daskpar.data.source import Source
from daskpar.data.splits import Split
from daskpar.errors import InputError, shown
from daskpar.train.fitting import learns_inputs
from daskpar.train.scratch import Storage
from daskpar.train.settings import Settings

logger = logging.getLogger("daskpar")

_MOST_SENT = 1e9  # bytes of rows that travel with the tasks: the scheduler keeps them while the run goes on


@dataclass(frozen=True)
class Inputs:
    """Makes splits of arrays, dask arrays, sources and splits, for the executor of a storage.

    Workers in other processes read arrays from files in the storage's folder, until the executor is closed.
    Where they do not see it, and where they cannot open the files of a source, the rows are sent to them.
    """

    settings: Settings
    storage: Storage

    def part(
        self, x: object, y: object, name: str, known: Features = (), sample_weight: object = None
    ) -> Split:
        """Return the split `name`. Raises InputError for data that cannot be trained on.

        `known` has the columns of training, which the columns of these data must equal.
        """
        if isinstance(x, Split | Source):
            if sample_weight is not None:
                raise InputError(
                    f"{name} data: sample_weight is for arrays; a source has weights of its own, e.g. an "
                    "array `weights` in the file of Npz"
                )
            part = x if isinstance(x, Split) else Split(x, name)
            part = replace(part, source=part.source.like(known))
            check_features(known, part.source.features, f"{name} data")
            if part.source.y_shape == (0,) and not learns_inputs(self.settings.targets):
                raise InputError(
                    f"{name} data: targets are missing; name the column to predict, e.g. "
                    'Csv("data.csv", target="price")'
                )
            return reachable(part, self.storage)
        if y is None and learns_inputs(self.settings.targets):
            y = x
        if y is None:
            raise InputError(f"{name} data: targets are missing; pass X and y, or a Part of a source")

        sent = not self.storage.shared

        def in_reach(x: object, y: object, weights: object = None) -> Given:
            in_memory = self.storage.executor.in_process or sent
            folder = None if in_memory else self.storage()
            source = hold(x, y, folder, name, known, weights)
            self.storage.executor.at_close(source.release)
            return source

        if is_dask(x) or is_dask(y) or is_dask(sample_weight):
            source = from_dask(x, y, None if sent else in_reach, name, known, sample_weight)
            return Split(source, name, shuffled=False)
        return sendable(Split(in_reach(x, y, sample_weight), name, sent=sent))

    def parts(
        self, x: object, y: object, validation: object, sample_weight: object = None
    ) -> tuple[Split, Split | None]:
        """Return the splits for training and for validation, which may be a share of the first."""
        train = self.part(x, y, "train", sample_weight=sample_weight)
        if not isinstance(x, Split):
            stratified = self.settings.distribution == "stratified"
            train = replace(train, seed=self.settings.seed, stratified=stratified)
        if isinstance(validation, Real) or getattr(validation, "shape", None) == ():
            return train.split(validation)  # type: ignore[arg-type]  # `split` checks its argument
        known = train.source.features
        if validation is None:
            return train, None
        if isinstance(validation, Split):
            return train, self.part(validation, None, "validation", known)
        if not isinstance(validation, list | tuple) or len(validation) not in (2, 3):
            raise InputError(
                f"validation={shown(validation, 80)}: expected a share, e.g. 0.1, a pair of arrays, or a Part"
            )
        return train, self.part(validation[0], validation[1], "validation", known, *validation[2:])


def reachable(part: Split, storage: Storage) -> Split:
    """Return a split whose rows the workers can have: they are sent if workers cannot open the source.

    Raises InputError if there are too many rows to send.
    """
    if part.sent or storage.shared or isinstance(part.source, DaskArrays):
        return part
    try:
        read = partial(part.read, slice(0, min(1, part.rows)))
        if workers_read(storage.executor, read):
            return part
        read()
    except OSError:
        return part  # neither can read it, and the first task says why
    logger.info("%s data: the workers cannot open %s; its rows are sent to them", part.name, part.source)
    return sendable(replace(part, sent=True))


def sendable(part: Split) -> Split:
    """Return a split; raise InputError if its rows are to be sent and are too many for that."""
    source = part.source
    row = sum(
        math.prod(shape) * np.dtype(dtype).itemsize
        for shape, dtype in ((source.x_shape, source.x_dtype), (source.y_shape, source.y_dtype))
    )
    if part.sent and part.rows * row > _MOST_SENT:
        raise InputError(
            f"{part.name} data: the workers do not see the files of this machine, and "
            f"{part.rows * row / 1e9:.1f} GB are too much to send with the tasks (at most "
            f"{_MOST_SENT / 1e9:g} GB); put the data on storage that they see, or pass dask arrays"
        )
    return part
