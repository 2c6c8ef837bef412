"""The Trainer: a model, a loss, an optimizer and a layout, fitted to data."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from numbers import Real
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np

from daskpar import tasks
from daskpar.cluster.clients import current_client, worker_count
from daskpar.cluster.executor import Executor, choose_executor
from daskpar.cluster.storage import check_shared
from daskpar.data.check import as_array
from daskpar.data.dask_arrays import checked_blocks, from_dask, is_dask
from daskpar.data.held import hold
from daskpar.data.order import Order
from daskpar.data.part import Part
from daskpar.data.paths import OwnFolder, absolute, lasting_folder
from daskpar.data.reading import stamp
from daskpar.data.source import Source
from daskpar.errors import InputError, shown, unknown
from daskpar.layout.layout import Layout
from daskpar.optim.gradient import Clip, Penalty
from daskpar.plan.candidates import told
from daskpar.settings import arguments, at_least_one, checked
from daskpar.tasks.state_file import digest, named_parameters, read_state, write_state
from daskpar.tasks.types import Lane, Spec, State
from daskpar.train.callbacks import Callback
from daskpar.train.checkpoint import STATE, read_meta, saved_as
from daskpar.train.evaluate import evaluate_part, predict_in_chunks, predict_lazily
from daskpar.train.fit import Fit, new_token
from daskpar.train.fitting import learns_inputs, saved_transforms
from daskpar.train.history import Record
from daskpar.train.plan import Planner
from daskpar.train.prepare import bare_spec
from daskpar.train.trace import Trace, trace

logger = logging.getLogger("daskpar")


class Trainer:
    """Trains a network as a task graph.

    Parameters
    ----------
    model : list of layers, by name (`{"dense": 10}`) or built (`Dense(10)`), or a Sequential.
    loss, optimizer, schedule, metrics : by name, `{name: arguments}`, or built.
    layout : how a step is cut; see `Layout`. `auto` measures, predicts, and takes the fastest that fits.
    batch : rows of a global batch, whatever the layout.
    epochs, steps : how long to train, in passes over the training data or in batches; one epoch if neither.
    distribution : `random`, `uniform` (in order) or `stratified`.
    streams, chunk_rows : how the rows are cut; see `daskpar.data.order`. None chooses.
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

    After `fit`: `state_` (parameters and slots, after `steps_` steps), `history_` (a record an evaluation),
    `steps_run_` of `steps_planned_`, `seconds_`, `spec_`, `blas_`, `parameters_`, `parameters_sha256_`,
    `classes_` (the labels, in the order of a classifier's outputs), `names_` (of the classes, or characters,
    where the data name them), `trace_` (with `profile`: what ran
    when; `trace_.profile()` tells where the time went).
    Raises InputError for what cannot be trained, NotFiniteError when the loss becomes NaN or infinite.
    """

    def __init__(
        self,
        model: Any,
        *,
        loss: Any = "softmax_cross_entropy",
        optimizer: Any = "adam",
        metrics: Sequence[Any] = (),
        schedule: Any = "constant",
        layout: Layout | str | None = None,
        batch: int = 32,
        epochs: int | None = None,
        steps: int | None = None,
        distribution: str = "random",
        streams: int | None = None,
        chunk_rows: int | None = None,
        drop_last: bool = False,
        accumulate: int = 1,
        clip: Clip | None = None,
        penalty: Penalty | None = None,
        transforms: Sequence[Any] = (),
        targets: Sequence[Any] = (),
        precision: str = "float32",
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
        evaluate_every: str = "1 epoch",
        checkpoint_every: str = "1 epoch",
        keep: int = 3,
        folder: str | Path | None = None,
        cache: bool = True,
        client: Any = None,
        blas_threads: int | None = None,
        profile: bool = False,
    ):
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = metrics
        self.schedule = schedule
        self.layout = layout
        self.batch = batch
        self.epochs = epochs
        self.steps = steps
        self.distribution = distribution
        self.streams = streams
        self.chunk_rows = chunk_rows
        self.drop_last = drop_last
        self.accumulate = accumulate
        self.clip = clip
        self.penalty = penalty
        self.transforms = transforms
        self.targets = targets
        self.precision = precision
        self.seed = seed
        self.callbacks = callbacks
        self.evaluate_every = evaluate_every
        self.checkpoint_every = checkpoint_every
        self.keep = keep
        self.folder = folder
        self.cache = cache
        self.client = client
        self.blas_threads = blas_threads
        self.profile = profile

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; where it is a setting it passes through the door (`daskpar.settings`) first."""
        super().__setattr__(name, _setting(name, value) if name in _SETTINGS else value)

    _chosen: Layout | None = None
    _without_value: frozenset[str] = frozenset()  # scores that `fit` has told of
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
    saved_: tuple[State, Path, tuple[int, ...]] | None = None
    served_: tuple[Spec, State] | None = None
    trace_: Trace

    @property
    def layout_(self) -> Layout:
        """The layout of the run, with what it left open filled in."""
        given = None if isinstance(self.layout, str) else self.layout
        return self._chosen or given or Layout()

    def fit(self, X: Any, y: Any = None, validation: Any = None, resume: bool = False) -> Trainer:
        """Train. `X`, `y`: NumPy arrays, dask arrays or dataframes, or a `Part` of a source.

        `validation`: a share of the rows (0.1), a pair of arrays, or a Part. The share is drawn at random; of
        dask arrays, which are not shuffled, it is the last rows, unless `distribution` is stratified.
        With `resume` the run goes on from the last checkpoint in `folder`, under any layout.
        """
        with self._training_alone():
            self._fit_alone(X, y, validation, resume)
        return self

    def _fit_alone(self, X: Any, y: Any, validation: Any, resume: bool) -> None:
        self._chosen = None
        if self.layout == "auto":
            with self._session() as executor:
                train, _ = self._parts(X, y, validation, executor)
                planner = Planner(self, train, current_client(self.client), executor, tell=logger.info)
                self._chosen = planner.best()
                logger.info("layout %s", told(self._chosen))
        with self._session() as executor:
            train, held_out = self._parts(X, y, validation, executor)
            self._check_workers_see(executor)
            self.blas_ = executor.describe()
            record = executor.record() if self.profile else None
            self._fit = Fit(self, executor, train, held_out, self._scratch, resume)
            try:
                self._fit.run()
            finally:
                for callback in self._fit.callbacks:
                    callback.close()
                del self._fit
            if record is not None:
                self.trace_ = trace(self, record, executor)

    def evaluate(self, X: Any, y: Any = None) -> dict[str, Any]:
        """Loss and metrics over data, given as to `fit`."""
        with self._session() as executor:
            part = self._part(X, y, "test", executor).once()
            rows = self.chunk_rows or part.source.chunk_rows
            spec, owners = self._fitted()
            files = self._state_files(spec, owners)
            if hasattr(self, "_folder"):  # a state may lie where nobody may write
                self._check_workers_see(executor)
            return evaluate_part(spec, files, part, executor, new_token(), rows, self._without_value)

    def predict(self, X: Any, kind: str = "outputs", fill: Any = None) -> Any:
        """Predictions for examples: an array for an array, a lazy dask array for a dask array.

        `kind`: `outputs` of the model, `probabilities`, or `classes`: labels as `fit` was given them. Numbers
        come in the units of `y`, also behind `targets=["standardise"]`. A row with NaN or infinite values has
        NaN for outputs and probabilities; for `classes` it is refused, or becomes `fill` where that is given.
        Raises InputError for examples that `fit` would refuse.
        """
        if kind not in tasks.PREDICTIONS:
            raise unknown("kind of prediction", kind, tasks.PREDICTIONS)
        spec, owners = self._fitted()
        if is_dask(X):
            files = self._state_files(spec, owners)
            return predict_lazily(spec, files, checked_blocks(X, "predict"), kind, new_token(), fill)
        x = as_array(X, "predict")
        if not x.shape:
            raise InputError("predict: examples must have an axis of rows, got a single value")
        return predict_in_chunks(spec, owners[0] if len(owners) == 1 else owners, x, kind, fill)

    def restore(self, checkpoint: str | Path) -> Trainer:
        """Take up the state in a checkpoint's folder, for `evaluate` and `predict`."""
        folder = Path(absolute(checkpoint, "restore"))
        meta = read_meta(folder)
        self.spec_ = bare_spec(self, meta["in_shape"], Order(**meta["order"]), *saved_transforms(meta))
        self.state_ = read_state(self.spec_, str(folder / STATE))
        self.saved_ = saved_as(self.state_, folder / STATE)
        self.history_, self.steps_ = meta["history"], self.state_.step
        self.names_ = tuple(meta.get("names", ()))
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

    def keep_best(self) -> State:
        """For callbacks at an evaluation: the state there, which is also written to `checkpoints/best`."""
        return self._fit.keep_best()

    def stop(self) -> None:
        """End a run that another thread is in, at its next evaluation."""
        if hasattr(self, "_fit"):
            self._fit.ended = True

    def choose(self, layout: Layout) -> None:
        """Fill in what the layout has left open."""
        self._chosen = layout

    def _check_fitted(self) -> None:
        if not hasattr(self, "state_"):
            raise InputError("this Trainer is not fitted yet; call fit or restore first")

    @contextmanager
    def _session(self) -> Iterator[Executor]:
        client = current_client(self.client)
        if self.layout_.lanes == "auto" and self.layout_.data == 1:
            self._chosen = replace(self.layout_, data=worker_count(client))
        executor = choose_executor(client, self.layout_.places, self.blas_threads)
        try:
            yield executor
        finally:
            executor.close()

    def _part(self, X: Any, y: Any, name: str, executor: Executor) -> Part:
        if isinstance(X, Part):
            return X
        if isinstance(X, Source):
            return Part(X, name)
        if y is None and learns_inputs(self.targets):
            y = X
        if y is None:
            raise InputError(f"{name} data: targets are missing; pass X and y, or a Part of a source")

        def held(x: Any, targets: Any) -> Source:
            source = hold(x, targets, None if executor.in_process else self._scratch(), name)
            executor.at_close(source.release)
            return source

        if is_dask(X) or is_dask(y):
            return Part(from_dask(X, y, held, name), name, shuffled=False)
        return Part(held(X, y), name)

    def _parts(self, X: Any, y: Any, validation: Any, executor: Executor) -> tuple[Part, Part | None]:
        train = self._part(X, y, "train", executor)
        if not isinstance(X, Part):
            train = replace(train, seed=self.seed, stratified=self.distribution == "stratified")
        if isinstance(validation, Real) or getattr(validation, "shape", None) == ():
            return train.split(validation)
        if validation is None or isinstance(validation, Part):
            return train, validation
        if not isinstance(validation, list | tuple) or len(validation) != 2:
            raise InputError(
                f"validation={shown(validation, 80)}: expected a share, e.g. 0.1, a pair of arrays, or a Part"
            )
        x, labels = validation
        return train, self._part(x, labels, "validation", executor)

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
        before = {name: value for name, value in self.__dict__.items() if name.endswith("_")}
        if "state_" in before:
            self.served_ = self.spec_, self.state_
        try:
            yield
        except BaseException:
            if "state_" in before:  # what is half new would predict wrongly
                self.__dict__.update(before)
            raise
        finally:
            self.served_ = None
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

    def _shareable(self, client: Any) -> dict[str, Any]:
        live = ("_training", "_fit", "_folder", "served_")
        state = {name: value for name, value in self.__dict__.copy().items() if name not in live}
        if self.served_ is not None:
            state["spec_"], state["state_"] = self.served_
        return {**state, "client": client}

    def _scratch(self) -> Path:
        """A folder of this Trainer's own, which workers see if they see the run's folder."""
        folder: OwnFolder | None = getattr(self, "_folder", None)
        if folder is None or not folder.is_ours:
            folder = OwnFolder(None if self.folder is None else Path(self.folder) / ".scratch")
            finalize(self, folder.remove)
            self._folder = folder
        return folder.path

    def _check_workers_see(self, executor: Executor) -> None:
        """Refuse workers that cannot share files with this process; those of a run are in its folder."""
        if not executor.in_process:
            advice = "put folder= (run.dir in a config) on storage that all workers share"
            check_shared(executor, self._scratch(), advice)

    def _fitted(self) -> tuple[Spec, tuple[Lane, ...]]:
        """The spec and the states that predictions are made with, as of now."""
        self._check_fitted()
        spec, state = self.served_ or (self.spec_, self.state_)
        return spec, (Lane(state),)

    def _state_files(self, spec: Spec, owners: tuple[Lane, ...]) -> list[Path]:
        return [self._state_file(spec, owner.state) for owner in owners]

    def _state_file(self, spec: Spec, state: State) -> Path:
        """A fitted state as a file, for tasks to begin with; a lazy prediction may outlive this Trainer."""
        if self.saved_ is not None:
            saved, path, stamped = self.saved_
            if saved is state and stamped and stamp(str(path)) == stamped:
                return path
        described = f"{digest(spec, state)} {state.step} {spec.table}"
        path = lasting_folder() / f"state-{sha256(described.encode()).hexdigest()[:16]}.safetensors"
        if not path.exists():
            write_state(spec, state, path)
        return path


_SETTINGS = {
    name: hint
    for name, hint in arguments(Trainer.__init__).items()
    if not name.endswith("_every")  # intervals are read when the length of an epoch is known
}
_COUNTS = {"streams": "data", "chunk_rows": "data", "keep": "checkpoint", "blas_threads": "cluster"}
_COUNTS |= dict.fromkeys(("batch", "epochs", "steps", "accumulate"), "train")
"""Settings that are counts, and the section of a config in which each stands."""


def _setting(name: str, value: Any) -> Any:
    if name == "layout" and not (value is None or value == "auto" or isinstance(value, Layout)):
        raise InputError(f"layout={shown(value, 80)}: expected a Layout, or auto")
    if name == "folder" and value is not None:
        value = Path(absolute(value, name))
    value = checked(name, value, _SETTINGS[name])
    if name in _COUNTS:
        at_least_one(f"{_COUNTS[name]}.{name}", value)
    return value
