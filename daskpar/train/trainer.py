"""The Trainer: a model, a loss, an optimizer and a layout, fitted to data."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

from daskpar.data.paths import absolute
from daskpar.errors import ClusterLostError
from daskpar.layout.layout import Layout
from daskpar.tasks.types import Lane, Spec
from daskpar.train.arguments import known_arguments
from daskpar.train.evaluate import evaluate_part, kind_of_prediction, predict
from daskpar.train.fit import FitArguments, train
from daskpar.train.inputs import Inputs
from daskpar.train.learnt import Learnt
from daskpar.train.result import Result
from daskpar.train.run import Run
from daskpar.train.saved import save_file
from daskpar.train.scratch import check_workers_see
from daskpar.train.session import session
from daskpar.train.settings import Settings
from daskpar.train.shown import Shown
from daskpar.train.state_files import restored, state_file
from daskpar.train.tokens import new_token


class Trainer(Learnt, Shown):
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
    frozen : patterns of parameters that keep their bits, e.g. `["0.*", "*.bias"]`, as `fnmatch` has it; so do
        those of layers with `trainable=False`. A layer frozen as a whole keeps its running statistics, too.
    learning_rates : factors of the learning rate by pattern, e.g. `{"0.*": 0.1}`; the last match counts.
    class_weight : "balanced", or a mapping from labels to weights; for the rows to train on.
    clip, penalty : limits and penalties on gradients.
    transforms, targets : prepared data, e.g. `["impute", "standardise", "encode"]` for a table with gaps and
        texts; fitted on the training part only. The last `dense` may leave its units to the data. Predictions
        come back in the units, or labels, that `y` has. With `targets=["inputs"]` the examples themselves are
        learnt, as by an autoencoder.
    precision : float32 or float64. seed : of everything random.
    evaluate_every, checkpoint_every : "1 epoch", "200 steps"; checkpoints need a `folder`.
    warm_start : `fit` goes on from the parameters there are, those of an earlier `fit` or `restore`, or those
        assigned to `parameters_`. False trains anew each time; None goes on, and True too.
    callbacks : see `Callback`. cache : whether workers keep the chunks they have loaded.
    client : a distributed Client, or "threaded-scheduler"; None takes the current one, or else that, which
        is also what it takes within a task of Dask. See `daskpar.cluster.clients`.
    blas_threads : for each matrix product; None shares the cores among the lanes.
    verbose : show progress; None where a person looks (a terminal, a notebook), 0 never, 1 anywhere, 2 in
        plain lines.
    profile : whether to record every task, for `trace_`: some microseconds a task, and memory for them all.

    All of these are `settings`, and attributes that can be set. After `fit`: `state_` (parameters and slots,
    after `steps_` steps), `history_` (a record an evaluation), `steps_run_` of `steps_planned_`, `seconds_`,
    `layout_`, `spec_`, `blas_`, `parameters_`, `parameters_sha256_`, `classes_` (the labels, in the order of
    a classifier's outputs), `names_` (of the classes, or characters, where the data name them),
    `feature_names_in_` (of the columns, which later data are compared with), `trace_`
    (with `profile`: what ran when; `trace_.profile()` tells where the time went).
    Raises InputError for what cannot be trained, NotFiniteError when the loss becomes NaN or infinite.
    """

    _layout: Layout | None = None
    _run: Run | None = None

    @property
    def layout_(self) -> Layout:
        """The layout of the run, with what it left open filled in."""
        return self._run.layout if self._run else self._layout or self.settings.fixed_layout

    @known_arguments
    def fit(
        self,
        X: object,
        y: object = None,
        validation: object = None,
        resume: bool = False,
        *,
        fresh_optimizer: bool = False,
        sample_weight: object = None,
    ) -> Self:
        """Train, or go on training where there are parameters to go on from.

        `X`, `y`: arrays, frames, dask arrays or dataframes; or a source or a `Part` of one, without `y`.
        `validation`: a share of the rows (0.1), a pair of arrays, or a Part. The share is drawn at random; of
        dask arrays, which are not shuffled, it is the last rows, unless `distribution` is stratified.
        With `resume` the run goes on from the last checkpoint in `folder`, under any layout.
        `sample_weight` (rows,): how much each row counts, in the loss, the gradient and the metrics; an
        array, a list, a Series or a dask array. A pair for validation may have weights as a third part.

        After `fit`, `restore` or an assignment to `parameters_` the training goes on for `epochs` or `steps`,
        with a schedule of its own: optimizer state, step count and history go on. `fresh_optimizer` begins
        them anew with the parameters there are. A training that was interrupted is finished first.
        `warm_start=False` begins with new parameters. Transforms stay as they were fitted.
        """
        arguments = FitArguments(X, y, validation, resume, fresh_optimizer, sample_weight)
        self._fit(arguments, self.settings)
        return self

    @known_arguments
    def partial_fit(
        self, X: object, y: object = None, validation: object = None, *, sample_weight: object = None
    ) -> Self:
        """Train for one epoch on some rows, from the parameters there are; arguments as for `fit`."""
        once = replace(self.settings, epochs=1, steps=None, warm_start=True)
        self._fit(FitArguments(X, y, validation, sample_weight=sample_weight), once)
        return self

    def _fit(self, arguments: FitArguments, settings: Settings) -> None:
        self.fit_on(self.settings.client, arguments, settings)

    def fit_on(self, client: object, arguments: FitArguments, settings: Settings | None = None) -> None:
        """Train on a client, and with settings, that are not set as this Trainer's own."""
        with self._training_alone():
            settings = replace(settings or self.settings, client=client)
            if settings.warm_start is not False:
                arguments = replace(arguments, earlier=self._earlier(arguments.fresh_optimizer))
            try:
                self._take(train(settings, arguments, self._scratch, self, self._begun))
            except (ClusterLostError, KeyboardInterrupt):
                run = self._run
                if run is not None and run.state is not None:
                    self._take(run.result())
                raise

    def _begun(self, run: Run) -> None:
        self._run = run

    def _take(self, result: Result) -> None:
        self.__dict__.update(result.attributes(), _partial=False)  # at once: others may be predicting

    @known_arguments
    def evaluate(self, X: object, y: object = None, sample_weight: object = None) -> dict[str, Any]:
        """Loss and metrics over data, given as to `fit`."""
        with session(replace(self.settings, layout=self.layout_)) as (executor, settings):
            spec, owners = self._fitted()
            inputs = Inputs(settings, executor, self._scratch)
            part = inputs.part(X, y, "test", spec.schema.features, sample_weight).once()
            rows = settings.chunk_rows or part.source.chunk_rows
            files = self._state_files(spec, owners)
            if "_folder" in self.__dict__:  # a state may lie where nobody may write
                check_workers_see(executor, self._scratch)
            token, said, verbose = new_token(), self._without_value, self.settings.verbose
            return evaluate_part(spec, files, part, executor, token, rows, said, verbose)

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
        files, verbose = partial(self._state_files, spec, owners), self.settings.verbose
        return predict(spec, owners, files, X, kind, fill, verbose)

    def restore(self, checkpoint: str | Path, strict: bool = True) -> Trainer:
        """Take up a saved state, for `evaluate` and `predict`, and for `fit` to go on.

        `checkpoint`: the folder of a checkpoint or of a run, or a file of `save`. The settings must be those
        of the saved model; `daskpar.load` takes them from there. With `strict=False` the model may differ:
        parameters of the same name and shape are taken, and a warning names the others, which stay as the
        seed makes them. `fit` then begins at step 0.
        """
        self.__dict__.update(restored(self.settings, Path(absolute(checkpoint, "restore")), strict))
        return self

    def save(self, path: str | Path) -> Path:
        """Save all that was learnt as one file, which `daskpar.load` makes a Trainer of.

        The file is safetensors: parameters, the optimizer's state, transforms, labels, history and settings.
        It appears whole or not at all, and nothing in it is pickled. A block that is not registered
        (`register`) is left out, and `load` asks for it; so are callbacks, but for `EarlyStopping`.
        Returns the path. Raises InputError before `fit`, and where the file cannot be written.

        >>> import numpy as np, tempfile, daskpar
        >>> x = np.random.default_rng(0).normal(size=(64, 4))
        >>> y = np.where(x[:, 0] > 0, "yes", "no")
        >>> trainer = daskpar.Trainer([{"dense": 2}], transforms=["standardise"]).fit(x, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     loaded = daskpar.load(trainer.save(f"{folder}/model.safetensors"))
        >>> bool((loaded.predict(x, "classes") == trainer.predict(x, "classes")).all())
        True
        """
        target = Path(absolute(path, "save"))
        save_file(target, self._attributes())
        return target

    def _attributes(self) -> dict[str, Any]:
        """The attributes of the fitted Trainer; within `after_training`, of the one that it becomes."""
        run = self._run
        if run is not None and run.state is not None:
            return run.result().attributes()
        self._check_fitted()
        return self.__dict__.copy()

    def stop(self) -> None:
        """End a run that another thread is in, at its next evaluation."""
        if self._run is not None:
            self._run.stop()

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
