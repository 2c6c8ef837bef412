"""The Trainer: a model, a loss, an optimizer and a layout, fitted to data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from daskpar.argument_docs import with_settings
from daskpar.data.paths import absolute
from daskpar.errors import ClusterLostError
from daskpar.train.arguments import known_arguments
from daskpar.train.fit import FitArguments, train
from daskpar.train.result import Result
from daskpar.train.run import Run
from daskpar.train.saved import save_file
from daskpar.train.settings import Settings
from daskpar.train.shown import Shown
from daskpar.train.state_files import restored


class Trainer(Shown):
    """Neural network that is trained on data as a Dask task graph.

    All arguments are attributes, too, that can be read and set before the next `fit`.

    Args:
        {settings}

    Attributes:
        history_: Records of the evaluations, a list of dictionaries that is shown as a table (`History`).
        parameters_: Parameters by name, e.g. `parameters_["0.weight"]`: read-only arrays of dtype
            `precision`. An assignment replaces one: predictions and the next `fit` use the new value.
        parameters_sha256_: SHA-256 of the bytes of all parameters, in the order of their names.
        classes_: Labels of the classes (classes,), in the order of the model's outputs.
        names_: Names of the classes, or characters, where the source of the data names them.
        feature_names_in_: Names of the columns of `X` (columns,), where it had names. Later data must have
            the same columns.
        steps_: Number of steps that led to the parameters.
        steps_run_: Number of steps computed, earlier trainings included; more than `steps_` where an earlier
            state was the best.
        steps_planned_: Number of steps without an early end, earlier trainings included.
        resumed_at_: Step at which the last training began.
        seconds_: Seconds of training, earlier trainings included.
        goodput_: Share of the wall time of the last training that was spent in steps that count, from 0 to 1.
        badput_: Seconds of the rest by cause: start, evaluation, checkpoints, recovery, other.
        layout_: Layout of the training, with its open fields filled in.
        trace_: Tasks of the training with their times, with `profile=True`; `trace_.profile()` sums them up.
        blas_: Library and threads of matrix products.
        state_: Parameters and slots of the optimizer, in flat arrays (`State`).
        spec_: Model, loss, optimizer and data as the workers know them (`Spec`).

    Raises:
        InputError: An argument is not known, or has a wrong type or value.

    Example:
        >>> import numpy as np
        >>> from daskpar import Dense, Trainer
        >>> X = np.linspace(-1, 1, 64).reshape(64, 1)
        >>> y = 2 * X + 1
        >>> trainer = Trainer([Dense(1)], loss="mse", optimizer={"sgd": {"lr": 0.1}}, epochs=50)
        >>> trainer = trainer.fit(X, y)
        >>> bool(np.allclose(trainer.predict(X), y, atol=0.01))
        True
        >>> trainer.parameters_["0.weight"].round(2)
        array([[2.]], dtype=float32)
    """

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
        """Train the network on data.

        After an earlier `fit`, `restore`, `load` or an assignment to `parameters_`, training continues from
        there for `epochs` or `steps` more. The schedule starts again; step count, optimizer state and history
        continue. Transforms stay as they were fitted. A training that was interrupted is finished first. With
        `warm_start=False` each call begins with new parameters.

        Args:
            X: Examples (rows, ...): an array, a list, a frame, a sparse matrix, a dask array or dataframe; or
                a source of data, or a split of one, which has the targets, too.
            y: Targets (rows,) or (rows, outputs): labels or numbers. Default: None, where `X` is a source or
                `targets=["inputs"]`.
            validation: Data to evaluate on: a share of the rows, e.g. 0.1, a tuple `(X, y)` or
                `(X, y, sample_weight)`, or a split. The share is drawn at random; of dask arrays it is the
                last rows, unless `distribution` is stratified. Default: None.
            resume: Continue from the last checkpoint in `folder`, if there is one; the layout may be another
                one than before. Default: False.
            fresh_optimizer: Keep the parameters, but reset optimizer state, step count and history.
                Default: False.
            sample_weight: Weights (rows,) of the rows in loss, gradient and metrics, from 0 on: an array, a
                list, a Series or a dask array. Default: None, which weighs all rows alike.

        Returns:
            The fitted Trainer itself.

        Raises:
            InputError: The data cannot be trained on, or do not fit model, loss, layout or an earlier state.
            NotFiniteError: Loss, gradient or parameters became NaN or infinite.
            ClusterLostError: The cluster was lost; the Trainer has the state of the last restart point.
            Interrupted: Ctrl-C was pressed; the Trainer has the state of the last step.

        Example:
            >>> from daskpar import Dense, Trainer
            >>> trainer = Trainer([Dense(2)], batch=8, epochs=3)
            >>> trainer = trainer.fit([[0.0], [1.0]] * 8, ["no", "yes"] * 8)
            >>> trainer.steps_, trainer.classes_.tolist()
            (6, ['no', 'yes'])
            >>> trainer.fit([[0.0], [1.0]] * 8, ["no", "yes"] * 8).steps_
            12
        """
        arguments = FitArguments(X, y, validation, resume, fresh_optimizer, sample_weight)
        self._fit(arguments, self.settings)
        return self

    @known_arguments
    def partial_fit(
        self, X: object, y: object = None, validation: object = None, *, sample_weight: object = None
    ) -> Self:
        """Train for one epoch on some rows, from the current parameters.

        Args:
            X: Examples (rows, ...), as for `fit`.
            y: Targets (rows,) or (rows, outputs), as for `fit`. Default: None.
            validation: Data to evaluate on, as for `fit`. Default: None.
            sample_weight: Weights (rows,) of the rows, as for `fit`. Default: None.

        Returns:
            The fitted Trainer itself.

        Raises:
            InputError: The data cannot be trained on, or do not fit the earlier ones.

        Example:
            >>> from daskpar import Dense, Trainer
            >>> trainer = Trainer([Dense(2)], batch=4)
            >>> for _ in range(3):
            ...     trainer = trainer.partial_fit([[0.0], [1.0]] * 4, [0, 1] * 4)
            >>> trainer.steps_
            6
        """
        once = replace(self.settings, epochs=1, steps=None, warm_start=True)
        self._fit(FitArguments(X, y, validation, sample_weight=sample_weight), once)
        return self

    def _fit(self, arguments: FitArguments, settings: Settings) -> None:
        self.fit_on(self.settings.client, arguments, settings)

    def fit_on(self, client: object, arguments: FitArguments, settings: Settings | None = None) -> None:
        """Train on a given client, and optionally with other settings than this Trainer's.

        Args:
            client: A distributed Client, or "threaded-scheduler".
            arguments: The arguments of `fit`.
            settings: Settings of this training. Default: None, the Trainer's own.
        """
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
        self.__dict__.update(
            result.attributes(), _partial=False
        )  # in one step: another thread may be predicting

    def restore(self, checkpoint: str | Path, strict: bool = True) -> Trainer:
        """Load a saved state, for `predict`, `evaluate`, and `fit`, which continues from it.

        The settings must be those of the saved model; `daskpar.load` reads them from the file instead.

        Args:
            checkpoint: Folder of a run or of a checkpoint, or a file that `save` wrote.
            strict: Refuse a state whose parameters have other names or shapes. With False, parameters that
                match are loaded, the others keep their initial values, a warning names them, and `fit` begins
                at step 0. Default: True.

        Returns:
            The Trainer itself.

        Raises:
            InputError: There is no state at that path, it cannot be read, or it does not fit the model.

        Example:
            >>> import tempfile
            >>> from daskpar import Dense, Trainer
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     _ = Trainer([Dense(2)], folder=folder).fit([[0.0], [1.0]], [0, 1])
            ...     Trainer([Dense(2)]).restore(folder).steps_
            1
        """
        self.__dict__.update(restored(self.settings, Path(absolute(checkpoint, "restore")), strict))
        return self

    def save(self, path: str | Path) -> Path:
        """Save the fitted Trainer as one file, which `daskpar.load` reads.

        The file has the safetensors format. It holds parameters, state of the optimizer, transforms, labels,
        history and settings; nothing in it is pickled. It is written whole or not at all. Blocks that are not
        registered (`register`) and callbacks other than `EarlyStopping` are left out; `load` asks for such
        blocks.

        Args:
            path: File to write; an existing one is replaced.

        Returns:
            The path of the file.

        Raises:
            InputError: The Trainer is not fitted, or the file cannot be written.

        Example:
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
        """Return the attributes of the fitted Trainer; those of the new state within `after_training`."""
        run = self._run
        if run is not None and run.state is not None:
            return run.result().attributes()
        self._check_fitted()
        return self.__dict__.copy()

    def stop(self) -> None:
        """End the training that another thread runs, at its next evaluation."""
        if self._run is not None:
            self._run.stop()


Trainer.__doc__ = with_settings(Trainer.__doc__, Settings)
