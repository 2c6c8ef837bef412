"""Callbacks: five moments of a run at which one's own code may act, after XGBoost's.

    before_training ─ before_epoch ─ after_steps … ─ after_evaluation ─ … ─ after_training

All run on the client, in the order of the steps, while later windows may already be computing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from daskpar.optim.schedules import ReduceOnPlateau
from daskpar.settings import Block, setting
from daskpar.tasks.types import State
from daskpar.train.events import Entry
from daskpar.train.history import Record, improves, monitored
from daskpar.train.hooks import refuse_unknown_hooks
from daskpar.train.view import RunView


class Callback:
    """Override what you need. What `state_dict` returns lies in checkpoints, as JSON.

    Each moment gets a view of the run: `run.step`, `run.learning_rate`, `run.parameters` and
    `run.optimizer_state` of that moment (see `RunView`), and the names of a Trainer: `run.spec_`,
    `run.history_`, `run.layout_`, `run.resumed_at_`, `run.folder`, ... `monitor` is the value that a callback
    goes by, if any; it is checked before the first step.
    Raises InputError for a class with a method that is named like a moment, but is none.

    >>> import numpy as np
    >>> from daskpar import Trainer
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
        own = [base for base in cls.__mro__ if base not in Callback.__mro__]  # also those that are mixed in
        methods = sorted({name for base in own for name, value in vars(base).items() if callable(value)})
        refuse_unknown_hooks(cls.__name__, methods, (name for name in vars(Callback) if name[0] != "_"))

    def reset(self) -> None:
        """Forget what an earlier run has left, before a run takes up its checkpoint or begins."""

    def before_training(self, run: RunView) -> None:
        """Before the first step."""

    def before_epoch(self, run: RunView, epoch: int) -> None:
        """Before the steps of an epoch are reported, the first being 0."""

    def after_steps(self, run: RunView, entries: list[Entry]) -> None:
        """After each window of steps."""

    def after_evaluation(self, run: RunView, record: Record) -> bool | None:
        """After each evaluation; True ends the training."""

    def after_training(self, run: RunView) -> None:
        """After the last step, also when the training was ended early."""

    def close(self) -> None:
        """After everything, however the run has ended."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` returned."""


@dataclass(eq=False)
class EarlyStopping(Block, Callback):
    """Ends the training when `monitor` has not improved for `patience` evaluations.

    `min_delta` is what counts as an improvement; NaN never does. With `restore` the best state becomes the
    model's; where no evaluation had a value, the last one is.
    """

    kind: ClassVar[str] = "early_stopping"
    monitor: str = setting("validation.loss", "the loss or metric that is watched, and of which part")
    patience: int = setting(5, "evaluations without an improvement before the end", at_least=1)
    min_delta: float = setting(0.0, "what counts as an improvement", at_least=0)
    restore: bool = setting(True, "whether the best state becomes the model's")

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.best_value: float | None = None
        self.best_step = 0
        self.waited = -1  # the first evaluation waits for nothing, whether it has a value or not
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
    """Lowers the learning rate when a metric stands still; `factor` multiplies the rates of later steps.

    A metric that has no value (NaN) stands still.
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
