"""Base of the estimators: the parameters, training and prediction that classifier and regressor share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from types import NoneType
from typing import ClassVar, NamedTuple, Self

from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from daskpar.backend.array import Array
from daskpar.errors import InputError, shown
from daskpar.estimators.inputs import Allowed, Checked, check_examples, check_training_data, check_validation
from daskpar.estimators.messages import one_line_errors
from daskpar.estimators.network import is_dense, layers, optimizer, precision_of, prepares_columns
from daskpar.estimators.training import further_settings, train, train_an_epoch, trainer_of
from daskpar.estimators.watch import EpochLosses
from daskpar.layout.layout import Layout
from daskpar.optim.gradient import Penalty
from daskpar.train.callbacks import EarlyStopping
from daskpar.train.trainer import Trainer

_FEW_STEPS = 50  # least steps between history records that nothing reads during the training


class Task(NamedTuple):
    """Task of a network: its loss, its number of outputs, and the Trainer settings that the targets require.

    `classes` is the number of outputs that a classifier's `model` must have. It is None for a regressor, for
    which the loss compares shapes.
    """

    loss: object
    outputs: int
    settings: dict[str, object]
    classes: int | None = None


@dataclass(eq=False, repr=False)
class NeuralEstimator(BaseEstimator, ABC):
    """Parameters and methods that `NeuralClassifier` and `NeuralRegressor` share and describe."""

    hidden: object = (64,)
    _: KW_ONLY
    model: object = None
    activation: object = "relu"
    loss: object = None
    optimizer: object = None
    learning_rate: float | None = None
    schedule: object = "constant"
    epochs: int = 50
    batch: int = 200
    l2: float = 0.0
    clip: object = None
    early_stopping: bool = False
    validation: object = None
    n_iter_no_change: int = 10
    tol: float = 1e-4
    random_state: object = None
    warm_start: bool = False
    transforms: Sequence[object] = ()
    metrics: Sequence[object] = ()
    layout: object = None
    precision: str | None = None
    callbacks: Sequence[object] = ()
    folder: object = None
    client: object = None
    verbose: int = 0
    settings: Mapping[str, object] | None = None

    _numbers: ClassVar[bool]
    """True if targets are numbers, False if they are labels."""

    @abstractmethod
    def _targets(self, y: Array) -> Array:
        """Return targets as the network is trained on them, encoded as `_learn_targets` found."""

    @abstractmethod
    def _learn_targets(self, y: Array, classes: object) -> None:
        """Store the properties of the targets that a new network depends on.

        `classes` are all labels, in case some do not occur in `y`.
        """

    @abstractmethod
    def _task(self) -> Task:
        """Return the task of the network for the targets seen by `_learn_targets`."""

    def _fit(
        self,
        X: object,
        y: object,
        sample_weight: object,
        continues: bool,
        one_epoch: bool = False,
        classes: object = None,
    ) -> Self:
        """Train a new network, or continue with the fitted one, for `epochs` or for one epoch."""
        data = check_training_data(self, X, y, sample_weight, self._allowed, reset=not continues)
        if not continues:
            self._learn_targets(data.y, classes)
            self.__dict__.pop("trainer_", None)
        data = data._replace(y=self._targets(data.y))
        held_out = None if one_epoch else self._validation(data)
        before: Trainer | None = self.__dict__.get("trainer_") if continues else None
        watch = EpochLosses(self._task().classes)
        settings = self._settings(watch, before, held_out is not None, data.x)
        trainer = trainer_of(settings, before)
        state = trainer.__dict__.get("state_")
        try:
            if one_epoch:
                train_an_epoch(trainer, data)
            else:
                train(trainer, data, held_out)
        finally:
            trainer.callbacks = self._own_callbacks()
            if trainer.__dict__.get("state_") is not state:  # also after an interrupted training
                self._take(trainer, watch.losses, continues)
        return self

    def _take(self, trainer: Trainer, losses: list[float], continues: bool) -> None:
        self.trainer_, self.history_ = trainer, trainer.history_
        earlier: list[float] = self.__dict__.get("loss_curve_", []) if continues else []
        self.loss_curve_ = [*earlier, *losses]
        self.n_iter_ = len(self.loss_curve_)
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else float("nan")
        self.n_outputs_ = self._task().outputs

    def _settings(
        self, watch: EpochLosses, before: Trainer | None, held_out: bool, x: Array
    ) -> dict[str, object]:
        """Return the keywords for the Trainer."""
        task = self._task()
        callbacks = self._own_callbacks()
        observed = held_out or bool(callbacks) or self.folder is not None
        stopping = [self._stopping()] if held_out and self.early_stopping else []
        settings = {
            "model": layers(self.hidden, self.activation, task.outputs) if self.model is None else self.model,
            "loss": task.loss,
            "optimizer": optimizer(self.optimizer, self.learning_rate),
            "schedule": self.schedule,
            "metrics": self.metrics,
            "layout": Layout(grain="window") if self.layout is None else self.layout,
            "batch": self.batch,
            "epochs": self.epochs,
            "evaluate_every": "1 epoch" if observed else _evaluation_interval(x.shape[0], self.batch),
            "clip": self.clip,
            "penalty": Penalty(l2=self.l2) if self.l2 else None,
            "transforms": self.transforms,
            "precision": self.precision or (precision_of(x) if before is None else before.settings.precision),
            "seed": self._seed(before),
            "callbacks": (watch, *stopping, *callbacks),
            "folder": self.folder,
            "client": self.client,
            "verbose": self.verbose,
            **task.settings,
        }
        return {**settings, **further_settings(self.settings, settings)}

    def _own_callbacks(self) -> tuple[object, ...]:
        if not isinstance(self.callbacks, list | tuple | NoneType):
            raise InputError(f"callbacks={shown(self.callbacks, 80)}: expected a list of callbacks")
        return tuple(self.callbacks or ())

    def _stopping(self) -> EarlyStopping:
        return EarlyStopping("validation.loss", patience=self.n_iter_no_change, min_delta=self.tol)

    def _seed(self, before: Trainer | None) -> int:
        """Return the seed of a Trainer; one that continues without a `random_state` keeps its own."""
        if self.random_state is None and before is not None:
            return before.settings.seed
        with one_line_errors():
            return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _validation(self, data: Checked) -> object:
        """Return the validation data: None, a fraction of the rows, or a pair with encoded targets."""
        validation = 0.1 if self.early_stopping and self.validation is None else self.validation
        if validation is None or isinstance(validation, Real):
            return validation
        held_out = check_validation(self, validation, self._allowed)
        pair = held_out.x, self._targets(held_out.y)
        return pair if held_out.sample_weight is None else (*pair, held_out.sample_weight)

    @property
    def _allowed(self) -> Allowed:
        """Accepted examples: networks of dense layers alone expect rows of finite numbers."""
        axes = self.model is not None or bool(self.transforms) or not is_dense(self.hidden)
        return Allowed(axes, prepares_columns(self.transforms), self._numbers)

    def _predicted(self, X: object, kind: str) -> Array:
        """Return the network's predictions of a kind, lazy for Dask collections."""
        with one_line_errors():
            check_is_fitted(self)
        return self.trainer_.predict(check_examples(self, X, self._allowed), kind)

    def __sklearn_is_fitted__(self) -> bool:
        return "trainer_" in self.__dict__

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = self._allowed.axes
        tags.input_tags.allow_nan = self._allowed.raw
        return tags

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted copy with the same client, because a client cannot be copied."""
        bare = copy(self)
        bare.client = None
        clone = super(NeuralEstimator, bare).__sklearn_clone__()
        clone.client = self.client
        return clone

    def __copy__(self) -> Self:
        """Return a copy for this process, with the same client."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __getstate__(self) -> dict[str, object]:
        """Return all attributes except the client, which belongs to this process."""
        client = self.client if isinstance(self.client, str) else None
        return {**super().__getstate__(), "client": client}


def _evaluation_interval(rows: object, batch: object) -> str:
    """Return the interval of evaluations: whole epochs, and at least a few steps.

    An unknown number of rows counts as many rows.
    """
    if not (isinstance(rows, int) and isinstance(batch, int) and batch > 0):
        return "1 epoch"
    epochs = -(-_FEW_STEPS // max(1, -(-rows // batch)))
    return "1 epoch" if epochs == 1 else f"{epochs} epochs"
