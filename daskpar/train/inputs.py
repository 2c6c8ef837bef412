"""Conversion of the data that `fit` and `evaluate` get to splits of sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path

from daskpar.cluster.executor import Executor
from daskpar.data.dask_arrays import from_dask, is_dask
from daskpar.data.in_memory import Given, hold
from daskpar.data.records import Features, check_features
from daskpar.data.source import Source
from daskpar.data.splits import Split
from daskpar.errors import InputError, shown
from daskpar.train.fitting import learns_inputs
from daskpar.train.settings import Settings


@dataclass(frozen=True)
class Inputs:
    """Makes splits of arrays, dask arrays, sources and splits, for one executor.

    Workers in other processes read arrays from files in the folder `scratch()`, until the executor is closed.
    """

    settings: Settings
    executor: Executor
    scratch: Callable[[], Path]

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
            return part
        if y is None and learns_inputs(self.settings.targets):
            y = x
        if y is None:
            raise InputError(f"{name} data: targets are missing; pass X and y, or a Part of a source")

        def in_reach(x: object, y: object, weights: object = None) -> Given:
            folder = None if self.executor.in_process else self.scratch()
            source = hold(x, y, folder, name, known, weights)
            self.executor.at_close(source.release)
            return source

        if is_dask(x) or is_dask(y) or is_dask(sample_weight):
            source = from_dask(x, y, in_reach, name, known, sample_weight)
            return Split(source, name, shuffled=False)
        return Split(in_reach(x, y, sample_weight), name)

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
