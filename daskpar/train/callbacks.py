"""Callbacks: methods of one's own that are called at five moments of a run, as in XGBoost.

    before_training ─ before_epoch ─ after_steps … ─ after_evaluation ─ … ─ after_training

They run in the client's process, in the order of the steps, while workers may already compute later steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from daskpar.argument_docs import with_settings
from daskpar.optim.schedules import ReduceOnPlateau
from daskpar.settings import Block, setting
from daskpar.tasks.types import State
from daskpar.train.events import Entry
from daskpar.train.history import Record, improves, monitored
from daskpar.train.hooks import refuse_unknown_hooks
from daskpar.train.view import RunView


class Callback:
    """Base of callbacks: objects whose methods a Trainer calls at moments of a run.

    Derive a class and override the methods of the moments you need. Each gets the run as a `RunView`:
    `run.step`, `run.learning_rate`, `run.parameters` and `run.optimizer_state` of that moment, and the
    attributes of a Trainer, e.g. `run.history_`, `run.layout_`, `run.folder`. A callback with `monitor`, the
    name of a score such as "validation.loss", is refused before the first step if there is no such score.

    Raises:
        InputError: A derived class has a method named like a moment that is none, e.g. `on_epoch_end`.

    Example:
        >>> import numpy as np
        >>> from daskpar import Callback, Trainer
        >>> class Weights(Callback):
        ...     def after_evaluation(self, run, record):
        ...         print(run.step, run.learning_rate, run.parameters["0.weight"].shape)
        >>> trainer = Trainer([{"dense": 3}], batch=3, callbacks=[Weights()], client="threaded-scheduler")
        >>> _ = trainer.fit(np.eye(6, dtype="float32"), np.arange(6) % 3)
        2 0.001 (6, 3)
        >>> class Losses(Callback):
        ...     def before_training(self, run):
        ...         self.values = []
        ...     def after_evaluation(self, run, record):
        ...         self.values.append(record["train"]["loss"])
        ...         return self.values[-1] < 0.01  # True ends the training
        >>> losses = Losses()
        >>> trainer = Trainer([{"dense": 1}], loss="mse", epochs=2, callbacks=losses)
        >>> trainer = trainer.fit([[0.0], [1.0]] * 32, [0.0, 1.0] * 32)
        >>> len(losses.values)
        2
    """

    monitor: str | None = None

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        derived = [base for base in cls.__mro__ if base not in Callback.__mro__]  # mixed-in classes, too
        methods = sorted({name for base in derived for name, value in vars(base).items() if callable(value)})
        refuse_unknown_hooks(cls.__name__, methods, (name for name in vars(Callback) if name[0] != "_"))

    def reset(self) -> None:
        """Forget an earlier run. Called first of all, before a checkpoint's `load_state_dict`."""

    def before_training(self, run: RunView) -> None:
        """Act before the first step.

        Args:
            run: The run, with its initial parameters, or those that it continues from.
        """

    def before_epoch(self, run: RunView, epoch: int) -> None:
        """Act before the first steps of an epoch are reported.

        Args:
            run: The run.
            epoch: Number of the epoch; the first is 0.
        """

    def after_steps(self, run: RunView, entries: list[Entry]) -> None:
        """Act after a window of steps: one step or up to some hundreds, about 0.3 seconds of them.

        Args:
            run: The run, with the parameters after the last of these steps.
            entries: A tuple `(step, sums, learning_rate)` for each step; the first step is 0. The sums are
                over the rows of the batch. The first two are those of the loss and of the weights, so the
                mean loss is `sums[0] / sums[1]`.
        """

    def after_evaluation(self, run: RunView, record: Record) -> bool | None:
        """Act after an evaluation, which happens every `evaluate_every` and after the last step.

        Args:
            run: The run, with the parameters that were evaluated.
            record: The last record of `run.history_`: `record["validation"]["loss"]`, `record["step"]`, ...

        Returns:
            True to end the training, anything else to continue.
        """

    def after_training(self, run: RunView) -> None:
        """Act after the last step, also where the training was ended early. It is not called after an error.

        Args:
            run: The run, with its final state, which `run.replace_state` may replace.
        """

    def close(self) -> None:
        """Act at the very end, after errors and interruptions, too. Release files and displays here."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state to keep in checkpoints, as values that JSON can hold. Default: an empty one."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from a checkpoint, when a run is resumed.

        Args:
            state: The value that `state_dict` returned.
        """


@dataclass(eq=False)
class EarlyStopping(Block, Callback):
    """Callback that ends the training when a score has stopped improving.

    A score without a value (NaN) is no improvement.

    Args:
        {settings}

    Attributes:
        best_value: The best value so far; None before the first.
        best_step: Number of steps that led to it.
        waited: Evaluations since then.

    Example:
        >>> from daskpar import Dense, EarlyStopping, Trainer
        >>> stopping = EarlyStopping("train.loss", patience=2, min_delta=10.0)
        >>> trainer = Trainer([Dense(1)], loss="mse", epochs=50, callbacks=[stopping])
        >>> trainer = trainer.fit([[0.0], [1.0]] * 16, [0.0, 1.0] * 16)
        >>> len(trainer.history_), stopping.best_step, trainer.steps_
        (3, 1, 1)
    """

    kind: ClassVar[str] = "early_stopping"
    monitor: str = setting(
        "validation.loss", "score to watch, by part and name, e.g. train.loss or validation.accuracy"
    )
    patience: int = setting(5, "evaluations in a row without an improvement before the end", at_least=1)
    min_delta: float = setting(0.0, "least improvement that counts, in units of the score", at_least=0)
    restore: bool = setting(True, "keep the state of the best evaluation. False keeps the last one")

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.best_value: float | None = None
        self.best_step = 0
        self.waited = -1  # the first evaluation does not count, even if its score has no value
        self.best_state: State | None = None

    def after_evaluation(self, run: RunView, record: Record) -> bool | None:
        value = monitored(record, self.monitor)
        if improves(run.spec_, self.monitor, value, self.best_value, self.min_delta):
            self.best_value, self.best_step, self.waited = value, record["step"], 0
            if self.restore:
                self.best_state = run.keep_best()
            return None
        self.waited += 1
        return self.waited >= self.patience

    def after_training(self, run: RunView) -> None:
        if self.restore and self.best_state is not None:
            run.replace_state(self.best_state)

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value, "best_step": self.best_step, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best_value, self.best_step, self.waited = (
            state["best_value"],
            state["best_step"],
            state["waited"],
        )


class Plateau(Callback):
    """Callback of the schedule `reduce_on_plateau`: lowers the learning rate when a score stops improving.

    `factor` multiplies the learning rates of later steps. A score without a value (NaN) is no improvement.
    """

    def __init__(self, schedule: ReduceOnPlateau):
        self.schedule = schedule
        self.monitor: str = schedule.monitor
        self.factor = 1.0
        self.best: float | None = None
        self.waited = -1  # as in EarlyStopping

    def after_evaluation(self, run: RunView, record: Record) -> bool | None:
        value = monitored(record, self.monitor)
        if improves(run.spec_, self.monitor, value, self.best):
            self.best, self.waited = value, 0
            return None
        self.waited += 1
        if self.waited >= self.schedule.patience:
            self.factor = max(self.schedule.floor, self.factor * self.schedule.factor_each)
            self.waited = 0
        return None

    def state_dict(self) -> dict[str, Any]:
        return {"factor": self.factor, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.factor, self.best, self.waited = state["factor"], state["best"], state["waited"]


EarlyStopping.__doc__ = with_settings(EarlyStopping.__doc__, EarlyStopping)
