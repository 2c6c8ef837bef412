"""From settings and data to a run that has begun, with the callbacks that hear of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from daskpar.cluster.executor import Executor
from daskpar.data.splits import Split
from daskpar.tasks.types import Spec
from daskpar.train.callback_list import CallbackList
from daskpar.train.checkpoint import Checkpoint
from daskpar.train.events import Event
from daskpar.train.first_loss import FirstLoss
from daskpar.train.fitting import FittedData, fit_data, saved_data
from daskpar.train.history import pace
from daskpar.train.launch import with_measured_lanes
from daskpar.train.problem import all_of, make_order, pose
from daskpar.train.refusals import check_names
from daskpar.train.result import Result
from daskpar.train.run import Run
from daskpar.train.settings import Settings
from daskpar.train.timetable import Timetable
from daskpar.train.tokens import new_token
from daskpar.train.view import RunView

logger = logging.getLogger("daskpar")


@dataclass(frozen=True)
class Training:
    """A run, and the callbacks that hear its events."""

    run: Run
    callbacks: CallbackList

    def complete(self, trainer: object = None) -> Result:
        """Run to the end. Callbacks see `trainer` through their view, for what the run does not know."""
        view = RunView(self.run, trainer)
        first_loss = FirstLoss(self.run.problem)

        def hear(event: Event) -> None:
            first_loss.hear(event)
            self.callbacks.hear(view, event)

        try:
            return self.run.train(hear)
        finally:
            self.callbacks.close()


def prepare_data(
    settings: Settings, part: Split, executor: Executor, token: str, checkpoint: Checkpoint | None
) -> FittedData:
    """Fit the transforms on the training part, or take those of a checkpoint."""
    if checkpoint is not None:
        check_names(part.source.names, checkpoint.meta.get("names", []))
    saved = None if checkpoint is None else checkpoint.meta["order"]
    order = make_order(settings, part.rows, saved, part.source.chunk_rows)  # refuses before there is work
    if order.batch < settings.batch:
        logger.info("train.batch=%d is more than the data have: a batch is %s", settings.batch, all_of(order))
    if checkpoint is not None:
        return saved_data(settings, part, checkpoint.meta, executor, token)
    return fit_data(settings, part, executor, token)


def begin(
    settings: Settings,
    data: FittedData,
    validation: Split | None,
    executor: Executor,
    scratch: Callable[[], Path],
    token: str,
    checkpoint: Checkpoint | None = None,
) -> Training:
    """Pose the problem, and start its run. `scratch()`: a folder that the workers see.

    Raises InputError for what cannot be trained.
    """
    saved = None if checkpoint is None else checkpoint.meta["order"]
    problem = with_measured_lanes(pose(settings, data, validation, saved), executor)
    timetable = Timetable.of(problem)
    plateau = [] if timetable.plateau is None else [timetable.plateau]
    callbacks = CallbackList([*settings.callbacks, *plateau], problem.spec.order.steps)
    callbacks.reset(problem.spec, validation is not None)
    return Training(Run(problem, timetable, executor, token, scratch, callbacks, checkpoint), callbacks)


_STRETCHES = 5


def seconds_a_step(
    settings: Settings, data: FittedData, executor: Executor, scratch: Callable[[], Path], steps: int
) -> tuple[float, Spec]:
    """Train for some stretches of so many steps; returns the median seconds of a step, and the Spec."""
    interval = f"{steps} steps"
    settings = replace(
        settings,
        folder=None,
        callbacks=(),
        epochs=None,
        steps=_STRETCHES * steps,
        evaluate_every=interval,
        checkpoint_every=interval,
    )
    result = begin(settings, data, None, executor, scratch, new_token()).complete()
    return pace(result.history, steps), result.spec
