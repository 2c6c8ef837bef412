"""The Trainer: a model, a loss, an optimizer and a layout, fitted to data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from daskpar.data.paths import absolute
from daskpar.errors import ClusterLostError, InputError
from daskpar.layout.layout import Layout
from daskpar.tasks.state_file import digest, named_parameters
from daskpar.tasks.types import Lane, Spec, State
from daskpar.train.arguments import known_arguments
from daskpar.train.blocks import check_blocks, check_together, warn_of_sigmoids
from daskpar.train.checkpoint import SavedState
from daskpar.train.evaluate import evaluate_part, kind_of_prediction, predict
from daskpar.train.fit import FitArguments, train
from daskpar.train.history import Record
from daskpar.train.inputs import Inputs
from daskpar.train.result import Result
from daskpar.train.run import Run
from daskpar.train.scratch import Scratch, check_workers_see
from daskpar.train.session import session
from daskpar.train.settings import FIELDS, Settings, keywords
from daskpar.train.state_files import restored, state_file
from daskpar.train.tokens import new_token
from daskpar.train.trace import Trace


class Trainer:
    """Trains a network as a task graph.

    Parameters
    ----------
    model : list of layers, by name (`{"dense": 10}`) or built (`Dense(10)`), or a Sequential.
    loss, optimizer, schedule, metrics : by name, `{name: arguments}`, or built. `learning_rate` : in place of
        the optimizer's own.
    layout : how a step is cut; see `Layout`. `auto` measures, predicts, and takes the fastest that fits.
    batch : rows of a global batch, whatever the layout.
    epochs, steps : how long to train, in passes over the training data or in batches; one epoch if neither.
    distribution : `random`, `uniform` (in order) or `stratified`.
    streams, chunk_rows : how the rows are cut; see `daskpar.data.sampler`. None chooses.
    accumulate : slices in which a lane works through its rows, to bound memory.
    clip, penalty : limits and penalties on gradients.
    transforms, targets : prepared data, e.g. `["standardise"]`; fitted on the training part only. Predictions
        come back in the units, or labels, that `y` has. With `targets=["inputs"]` the examples themselves are
        learnt, as by an autoencoder.
    precision : float32 or float64. seed : of everything random.
    evaluate_every, checkpoint_every : "1 epoch", "200 steps"; checkpoints need a `folder`.
    callbacks : see `Callback`. cache : whether workers keep the chunks they have loaded.
    client : a distributed Client, or "threaded-scheduler"; None takes the current one, or else that, which
        is also what it takes within a task of Dask. See `daskpar.cluster.clients`.
    blas_threads : for each matrix product; None shares the cores among the lanes.
    profile : whether to record every task, for `trace_`: some microseconds a task, and memory for them all.

    All of these are `settings`, and attributes that can be set. After `fit`: `state_` (parameters and slots,
    after `steps_` steps), `history_` (a record an evaluation), `steps_run_` of `steps_planned_`, `seconds_`,
    `layout_`, `spec_`, `blas_`, `parameters_`, `parameters_sha256_`, `classes_` (the labels, in the order of
    a classifier's outputs), `names_` (of the classes, or characters, where the data name them), `trace_`
    (with `profile`: what ran when; `trace_.profile()` tells where the time went).
    Raises InputError for what cannot be trained, NotFiniteError when the loss becomes NaN or infinite.
    """

    settings: Settings
    spec_: Spec
    state_: State
    history_: list[Record]
    steps_: int
    steps_run_: int
    steps_planned_: int
    names_: tuple[str, ...]
    seconds_: float
    blas_: dict[str, Any]
    resumed_at_: int
    trace_: Trace
    saved_: SavedState | None = None
    _layout: Layout | None = None
    _run: Run | None = None
    _without_value: frozenset[str] = frozenset()  # scores that `fit` has told of

    def __init__(self, *args: Any, **settings: Any) -> None:
        self.settings = Settings(*args, **settings)
        check_blocks(self.settings)
        check_together(self.settings)
        warn_of_sigmoids(self.settings)

    __init__.__signature__ = keywords()  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        if name in FIELDS and "settings" in self.__dict__:
            return getattr(self.settings, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; a setting passes through the door (`daskpar.settings`) first."""
        if name in FIELDS:
            changed: dict[str, Any] = {name: value}
            settings = replace(self.settings, **changed)
            check_blocks(settings, [name])
            name, value = "settings", settings
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *FIELDS})

    @property
    def layout_(self) -> Layout:
        """The layout of the run, with what it left open filled in."""
        return self._run.layout if self._run else self._layout or self.settings.fixed_layout

    @known_arguments
    def fit(self, X: object, y: object = None, validation: object = None, resume: bool = False) -> Trainer:
        """Train. `X`, `y`: NumPy arrays, dask arrays or dataframes, or a `Part` of a source.

        `validation`: a share of the rows (0.1), a pair of arrays, or a Part. The share is drawn at random; of
        dask arrays, which are not shuffled, it is the last rows, unless `distribution` is stratified.
        With `resume` the run goes on from the last checkpoint in `folder`, under any layout.
        """
        self.fit_on(self.settings.client, FitArguments(X, y, validation, resume))
        return self

    def fit_on(self, client: object, arguments: FitArguments) -> None:
        """Train on a client that is not set as this Trainer's own."""
        with self._training_alone():
            settings = replace(self.settings, client=client)
            try:
                self._take(train(settings, arguments, self._scratch, self, self._begun))
            except ClusterLostError:
                run = self._run
                if run is not None and run.state is not None and not self._is_fitted:
                    self._take(run.result())
                raise

    def _begun(self, run: Run) -> None:
        self._run = run

    def _take(self, result: Result) -> None:
        self.__dict__.update(result.attributes())  # at once: other threads may be predicting

    @known_arguments
    def evaluate(self, X: object, y: object = None) -> dict[str, Any]:
        """Loss and metrics over data, given as to `fit`."""
        with session(replace(self.settings, layout=self.layout_)) as (executor, settings):
            part = Inputs(settings, executor, self._scratch).part(X, y, "test").once()
            rows = settings.chunk_rows or part.source.chunk_rows
            spec, owners = self._fitted()
            files = self._state_files(spec, owners)
            if "_folder" in self.__dict__:  # a state may lie where nobody may write
                check_workers_see(executor, self._scratch)
            return evaluate_part(spec, files, part, executor, new_token(), rows, self._without_value)

    @known_arguments
    def predict(self, X: object, kind: str = "outputs", fill: object = None) -> Any:
        """Predictions for examples: an array for an array, a lazy dask array for a dask array.

        `kind`: `outputs` of the model, `probabilities`, or `classes`: labels as `fit` was given them. Numbers
        come in the units of `y`, also behind `targets=["standardise"]`. A row with NaN or infinite values has
        NaN for outputs and probabilities; for `classes` it is refused, or becomes `fill` where that is given.
        Raises InputError for examples that `fit` would refuse.
        """
        kind = kind_of_prediction(kind)
        spec, owners = self._fitted()
        return predict(spec, owners, lambda: self._state_files(spec, owners), X, kind, fill)

    def restore(self, checkpoint: str | Path) -> Trainer:
        """Take up the state in a checkpoint's folder, for `evaluate` and `predict`."""
        self.__dict__.update(restored(self.settings, Path(absolute(checkpoint, "restore"))))
        return self

    @property
    def classes_(self) -> np.ndarray:
        """The labels of a classifier's classes, in the order of its outputs, as predictions name them."""
        self._check_fitted()
        return self.spec_.classes

    @property
    def parameters_(self) -> dict[str, np.ndarray]:
        """The parameters by full name."""
        self._check_fitted()
        return named_parameters(self.spec_, self.state_.params)

    @property
    def parameters_sha256_(self) -> str:
        """SHA-256 over the bytes of all parameters in name order."""
        return digest(self.spec_, self.state_)

    def stop(self) -> None:
        """End a run that another thread is in, at its next evaluation."""
        if self._run is not None:
            self._run.stop()

    @property
    def _is_fitted(self) -> bool:
        return "state_" in self.__dict__

    def _check_fitted(self) -> None:
        if not self._is_fitted:
            raise InputError("this Trainer is not fitted yet; call fit or restore first")

    @contextmanager
    def _training_alone(self) -> Iterator[None]:
        """Refuse a second `fit` meanwhile. Predictions are by the state from before it, if there is one."""
        token = os.getpid(), object()  # a child that is forked meanwhile is not training
        running = self.__dict__.setdefault("_training", token)
        if running is not token and running[0] == token[0]:
            raise InputError(
                "this Trainer is training already, e.g. in another thread; wait for it, or train a copy "
                "(copy.deepcopy)"
            )
        self._training = token
        try:
            yield
        finally:
            self.__dict__.pop("_run", None)
            self.__dict__.pop("_training", None)

    def __getstate__(self) -> dict[str, Any]:
        """All but what belongs to this process: its client, its folders and files, a run in progress."""
        state = self._shareable(self.client if isinstance(self.client, str) else None)
        state.pop("saved_", None)  # elsewhere another run may have such a file
        return state

    def __copy__(self) -> Trainer:
        """A copy for this process, with the same client."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self._shareable(self.client))
        return other

    def _shareable(self, client: object) -> dict[str, Any]:
        live = ("_training", "_run", "_folder")
        state = {name: value for name, value in self.__dict__.copy().items() if name not in live}
        return {**state, "settings": replace(self.settings, client=client)}

    def _scratch(self) -> Path:
        """A folder of this Trainer's own, which workers see if they see the run's folder."""
        folder: Scratch = self.__dict__.setdefault("_folder", Scratch(self.settings.folder))
        return folder()

    def _fitted(self) -> tuple[Spec, tuple[Lane, ...]]:
        """The spec and the states that predictions are made with, as of now."""
        run = self._run
        if run is not None and run.state is not None:  # after the last step, predictions are by the new state
            return run.spec, (Lane(run.state),)
        self._check_fitted()
        spec, state = itemgetter("spec_", "state_")(self.__dict__)  # at once: another thread may be training
        return spec, (Lane(state),)

    def _state_files(self, spec: Spec, owners: tuple[Lane, ...]) -> list[Path]:
        return [state_file(spec, owner.state, self.saved_) for owner in owners]
