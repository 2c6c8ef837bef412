"""The view of a run that callbacks get."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from daskpar.layout.compression import REMAINDER
from daskpar.layout.layout import Layout
from daskpar.tasks.state_file import named_parameters
from daskpar.tasks.types import Spec, State
from daskpar.train.goodput import Goodput
from daskpar.train.history_list import History
from daskpar.train.recorder import Recorder


class _LiveRun(Protocol):
    """Protocol of a run as its view reads it. `state` is None until the last step is done."""

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
    def goodput(self) -> Goodput: ...
    @property
    def workers(self) -> tuple[int, int] | None: ...
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
    "workers_": "workers",
}


class RunView:
    """Run of a training, as its callbacks see it.

    `step`, `learning_rate`, `parameters` and `optimizer_state` are those of the moment. The last two are
    fetched from the workers only when they are read. After a window of steps that costs a task or two; at an
    evaluation it costs nothing but the transfer.

    All other names are those of the Trainer: settings such as `run.batch`, and `run.predict` and
    `run.evaluate`, which use the state from before the training until the last step is done. Copies and
    pickles are those of the Trainer.

    Attributes:
        history_: Records of the evaluations so far (`History`).
        steps_run_: Number of steps computed so far, earlier trainings included.
        steps_planned_: Number of steps without an early end.
        resumed_at_: Step at which this training began.
        same_run_: True where the training continues in the folder that it was begun in.
        seconds_: Seconds of training so far, earlier trainings included.
        layout_: Layout of the run, with its open fields filled in.
        names_: Names of classes or characters, where the source of the data names them.
        state_: State after the last step; before that, the state from before the training, if there is one.
        folder: Folder of the run, or None.
        blas_: Library and threads of matrix products.
        workers_: Numbers of workers now and at most so far, e.g. (3, 4); None without a cluster.
        spec_: Model, loss, optimizer and data as the workers know them (`Spec`).

    Example:
        >>> from daskpar import Callback, Dense, Trainer
        >>> class Mean(Callback):
        ...     def after_evaluation(self, run, record):
        ...         print(run.step, run.batch, run.parameters["0.bias"].shape)
        >>> trainer = Trainer([Dense(2)], batch=2, epochs=2, callbacks=[Mean()], client="threaded-scheduler")
        >>> _ = trainer.fit([[0.0], [1.0]], [0, 1])
        1 2 (2,)
        2 2 (2,)
    """

    spec_: Spec
    layout_: Layout
    names_: tuple[str, ...]
    history_: History
    steps_planned_: int
    steps_run_: int
    resumed_at_: int
    same_run_: bool
    seconds_: float
    blas_: dict[str, Any]
    workers_: tuple[int, int] | None
    state_: State
    folder: Path | None

    def __init__(self, run: _LiveRun, trainer: object = None):
        self.__dict__.update(_run=run, _trainer=trainer)

    @property
    def steps_(self) -> int:
        """The number of steps that led to `state_`; during the training, of the steps computed so far."""
        run: _LiveRun = self._run
        return run.steps_run if run.state is None else run.state.step

    @property
    def begun_(self) -> dict[str, float]:
        """The step, epochs and seconds at which this training began, by name: those of earlier trainings."""
        run: _LiveRun = self._run
        return run.recorder.begun

    @property
    def goodput_(self) -> float | None:
        """The share of the wall time so far that was spent in steps that count."""
        run: _LiveRun = self._run
        return run.goodput.share

    @property
    def badput_(self) -> dict[str, float]:
        """The other seconds so far by cause."""
        run: _LiveRun = self._run
        return dict(run.goodput.badput)

    @property
    def step(self) -> int:
        """The number of steps that led to `parameters`: those computed so far.

        After the training it is that of the final state, which may be the best one.
        """
        return self.steps_

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step, or of the first before it; without factors by pattern."""
        run: _LiveRun = self._run
        return run.learning_rate

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The parameters after `step` steps by name: read-only arrays of the host.

        Before the first step they are the initial ones. With `update` stale or async they are those of
        the parameter server at this moment, which may be ahead. Raises InputError outside of a callback's
        methods.
        """
        run: _LiveRun = self._run
        return _named(run.spec, run.current_state().params)

    @property
    def optimizer_state(self) -> dict[str, dict[str, np.ndarray]]:
        """The optimizer's slots after `step` steps: arrays by slot and name, e.g. `["mean"]["0.weight"]`.

        Each replica has slots of its own, e.g. `["replica-0/mean"]`.
        """
        run: _LiveRun = self._run
        slots = run.current_state().slots
        return {name: _named(run.spec, slot) for name, slot in slots.items() if REMAINDER not in name}

    def keep_best(self) -> State:
        """Return the state at this evaluation, and write it to `checkpoints/best` where there is a folder.

        Raises InputError before the first evaluation.
        """
        run: _LiveRun = self._run
        return run.keep_best()

    def stop(self) -> None:
        """End the training at the next evaluation, or at this one."""
        self._run.stop()

    def replace_state(self, state: State) -> None:
        """Make another state the result of the run.

        Args:
            state: Parameters and slots, e.g. from `keep_best`.

        Raises:
            InputError: The last step is not done yet.
        """
        self._run.replace_state(state)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # e.g. __deepcopy__, which the Trainer would answer for itself
            raise AttributeError(name)
        run: _LiveRun = self.__dict__["_run"]
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
    """Return read-only views of a flat buffer by the names of parameters; tasks may share the buffer."""
    named = named_parameters(spec, buffer)
    for value in named.values():
        value.flags.writeable = False
    return named


def _itself(trainer: object) -> object:
    return trainer
