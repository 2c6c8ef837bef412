"""The part of a Trainer that uses a fitted network: predictions and evaluations."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from daskpar.errors import InputError
from daskpar.layout.layout import Layout
from daskpar.tasks.state_file import StateFile
from daskpar.tasks.types import Lane, Spec
from daskpar.train.arguments import known_arguments
from daskpar.train.evaluate import evaluate_part, kind_of_prediction, predict
from daskpar.train.inputs import Inputs
from daskpar.train.learnt import Learnt
from daskpar.train.run import Run
from daskpar.train.scratch import Storage
from daskpar.train.session import session
from daskpar.train.state_files import state_file
from daskpar.train.tokens import new_token


class Predicting(Learnt):
    """Base of the Trainer: `predict` and `evaluate`, with the state of the moment."""

    _layout: Layout | None = None
    _run: Run | None = None

    @property
    def layout_(self) -> Layout:
        """The layout of the training, with its open fields filled in."""
        return self._run.layout if self._run else self._layout or self.settings.fixed_layout

    @known_arguments
    def evaluate(self, X: object, y: object = None, sample_weight: object = None) -> dict[str, Any]:
        """Return the loss and the metrics of the network on data.

        Args:
            X: Examples (rows, ...), as for `fit`; a dask array is evaluated on the workers.
            y: Targets (rows,) or (rows, outputs), as for `fit`. Default: None, where `X` is a source.
            sample_weight: Weights (rows,) of the rows, from 0 on. Default: None, which weighs all rows alike.

        Returns:
            Scores by name, `loss` first: means over the rows. NaN for a score that has no value on these
            data.

        Raises:
            InputError: The Trainer is not fitted, or the data do not fit those of the training.

        Example:
            >>> from daskpar import Dense, Trainer
            >>> X, y = [[-1.0], [1.0]] * 32, [0, 1] * 32
            >>> trainer = Trainer([Dense(2)], metrics=["accuracy"], learning_rate=0.1, epochs=20)
            >>> trainer = trainer.fit(X, y)
            >>> scores = trainer.evaluate(X, y)
            >>> list(scores), scores["accuracy"]
            (['loss', 'accuracy'], 1.0)
        """
        with session(replace(self.settings, layout=self.layout_)) as (executor, settings):
            spec, owners = self._fitted()
            storage = Storage(executor, self._scratch)
            inputs = Inputs(settings, storage)
            part = inputs.part(X, y, "test", spec.schema.features, sample_weight).once()
            rows = settings.chunk_rows or part.source.chunk_rows
            files = [storage.seen(file) for file in self._state_files(spec, owners)]
            token, reported, verbose = new_token(), self._without_value, self.settings.verbose
            return evaluate_part(spec, files, part, executor, token, rows, reported, verbose)

    @known_arguments
    def predict(self, X: object, kind: str = "outputs", fill: object = None) -> Any:
        """Return predictions for examples.

        Numbers are in the units of `y`, also with `targets=["standardise"]`.

        Args:
            X: Examples (rows, ...), as for `fit`.
            kind: "outputs" of the model, "probabilities" of the classes, or "classes": the labels that `fit`
                was given. Default: "outputs".
            fill: Label for rows with NaN or infinite values, with `kind="classes"`. Default: None, which
                refuses such rows. Their outputs and probabilities are NaN.

        Returns:
            An array of the host, or a lazy dask array for a dask array or dataframe: (rows, outputs),
            (rows, classes) for probabilities, (rows,) for classes. The dtype is `precision`, or that of the
            labels.

        Raises:
            InputError: The Trainer is not fitted, or the examples do not fit those of the training.

        Example:
            >>> from daskpar import Dense, Trainer
            >>> trainer = Trainer([Dense(2)], learning_rate=0.1, epochs=20)
            >>> trainer = trainer.fit([[-1.0], [1.0]] * 32, ["no", "yes"] * 32)
            >>> trainer.predict([[-2.0], [2.0]], "classes").tolist()
            ['no', 'yes']
            >>> trainer.predict([[-2.0], [2.0]], "probabilities").shape
            (2, 2)
        """
        kind = kind_of_prediction(kind)
        spec, owners = self._fitted()
        files, verbose = partial(self._files_for_tasks, spec, owners), self.settings.verbose
        return predict(spec, owners, files, X, kind, fill, verbose)

    def _fitted(self) -> tuple[Spec, tuple[Lane, ...]]:
        """Return the Spec and the current states for predictions: one, or those of an ensemble's members."""
        run = self._run
        if run is not None and run.state is not None:  # after the last step, predictions use the new state
            return run.spec, (Lane(run.state),)
        self._check_fitted()
        spec, state = itemgetter("spec_", "state_")(self.__dict__)  # together: another thread may be training
        return spec, (Lane(state),)

    def _files_for_tasks(self, spec: Spec, owners: tuple[Lane, ...]) -> list[StateFile]:
        """Return the files of the states for the workers of the current client, or their contents."""
        files = self._state_files(spec, owners)
        try:
            with session(replace(self.settings, layout=self.layout_)) as (executor, _):
                storage = Storage(executor, self._scratch)
                return [storage.seen(file) for file in files]
        except InputError:  # a client that is closed: another one may compute the prediction
            return [str(file) for file in files]

    def _state_files(self, spec: Spec, owners: tuple[Lane, ...]) -> list[Path]:
        return [state_file(spec, owner.state, self.saved_) for owner in owners]
