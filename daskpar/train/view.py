"""The view of a run that its callbacks get."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from daskpar.layout.compression import REMAINDER
from daskpar.layout.layout import Layout
from daskpar.tasks.state_file import named_parameters
from daskpar.tasks.types import Spec, State
from daskpar.train.history_list import History
from daskpar.train.recorder import Recorder


class LiveRun(Protocol):
    """A run as its view reads it. `state` is None until the last step is done."""

    @property
    def spec(self) -> Spec: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def history(self) -> History: ...
    @property
    def state(self) -> State | None: ...
    @property
    def steps_planned(self) -> int: ...
    @property
    def steps_run(self) -> int: ...
    @property
    def resumed_at(self) -> int: ...
    @property
    def same_run(self) -> bool: ...
    @property
    def seconds(self) -> float: ...
    @property
    def blas(self) -> dict[str, Any]: ...
    @property
    def recorder(self) -> Recorder: ...
    @property
    def learning_rate(self) -> float: ...
    def current_state(self) -> State: ...
    def keep_best(self) -> State: ...
    def stop(self) -> None: ...
    def replace_state(self, state: State) -> None: ...


_OF_THE_RUN = {
    "spec_": "spec",
    "layout_": "layout",
    "names_": "names",
    "history_": "history",
    "steps_planned_": "steps_planned",
    "steps_run_": "steps_run",
    "resumed_at_": "resumed_at",
    "same_run_": "same_run",
    "seconds_": "seconds",
    "blas_": "blas",
}


class RunView:
    """The view of a run that a callback has.

    `step`, `learning_rate`, `parameters` and `optimizer_state` are those of the moment. The last two are
    fetched when they are asked for, and only then; after some steps that takes a task or two of its own, at
    an evaluation nothing is computed for them.

    Everything else, such as settings (`run.batch`), `run.predict` and `run.evaluate`, is that of the Trainer:
    until the last step it predicts with the state from before the training. Copies, also pickled ones, are
    copies of the Trainer.
    """

    spec_: Spec
    layout_: Layout
    names_: tuple[str, ...]
    history_: History
    steps_planned_: int
    steps_run_: int
    """Steps that were computed so far, those before a resumption included."""
    resumed_at_: int
    same_run_: bool
    """Tell whether the run goes on in the folder that it was begun in."""
    seconds_: float
    """Seconds of training so far, those before a resumption included."""
    blas_: dict[str, Any]
    state_: State
    """The state after the last step; before that, the state from before the training, if there is one."""
    folder: Path | None

    def __init__(self, run: LiveRun, trainer: object = None):
        self.__dict__.update(_run=run, _trainer=trainer)

    @property
    def steps_(self) -> int:
        """Steps of `state_`; those computed so far, while the training goes on."""
        run: LiveRun = self._run
        return run.steps_run if run.state is None else run.state.step

    @property
    def begun_(self) -> dict[str, float]:
        """The step, and the epochs and seconds of trainings before, from which this training goes on."""
        run: LiveRun = self._run
        return run.recorder.begun

    @property
    def step(self) -> int:
        """The number of steps that have led to `parameters`: those that were computed so far.

        After the training it is that of the state that is kept, e.g. the best.
        """
        return self.steps_

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step, before the factors of groups; at the start, of the first."""
        run: LiveRun = self._run
        return run.learning_rate

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The parameters by full name, after `step` steps: arrays that cannot be written to.

        Before the first step they are the initial ones. Lanes that do not wait for each other may be ahead:
        then it is what the parameter server has now. Raises InputError outside of a callback's methods.
        """
        run: LiveRun = self._run
        return _named(run.spec, run.current_state().params)

    @property
    def optimizer_state(self) -> dict[str, dict[str, np.ndarray]]:
        """The optimizer's slots after `step` steps, each by full name, e.g. `["mean"]["0.weight"]`.

        Those of replicas have slots of their own, e.g. `["replica-0/mean"]`.
        """
        run: LiveRun = self._run
        slots = run.current_state().slots
        return {name: _named(run.spec, slot) for name, slot in slots.items() if REMAINDER not in name}

    def keep_best(self) -> State:
        """Return the state at the evaluation in progress, which is also written to `checkpoints/best`."""
        run: LiveRun = self._run
        return run.keep_best()

    def stop(self) -> None:
        """End the run at its next evaluation, or at the one in progress."""
        self._run.stop()

    def replace_state(self, state: State) -> None:
        """Make another state the run's result. Raises InputError before the last step is done."""
        self._run.replace_state(state)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # e.g. __deepcopy__, which the Trainer would answer for itself
            raise AttributeError(name)
        run: LiveRun = self.__dict__["_run"]
        if name == "state_" and run.state is not None:
            return run.state
        if name in _OF_THE_RUN:
            return getattr(run, _OF_THE_RUN[name])
        return getattr(self.__dict__["_trainer"], name)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "state_":
            assert isinstance(value, State)
            self.replace_state(value)
        else:  # a setting of the Trainer, for its next training
            setattr(self._trainer, name, value)

    def __copy__(self) -> object:
        return copy(self._trainer)

    def __reduce__(self) -> tuple[object, ...]:
        return _itself, (self._trainer,)


def _named(spec: Spec, buffer: np.ndarray) -> dict[str, np.ndarray]:
    """A flat buffer by the names of parameters; tasks may share it, so it cannot be written to."""
    named = named_parameters(spec, buffer)
    for value in named.values():
        value.flags.writeable = False
    return named


def _itself(trainer: object) -> object:
    return trainer
