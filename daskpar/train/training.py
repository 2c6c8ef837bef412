"""The start of a run from settings and data, with its callbacks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from daskpar.cluster.executor import Executor
from daskpar.data.records import check_features
from daskpar.data.splits import Split
from daskpar.tasks.types import Spec
from daskpar.train.callback_list import CallbackList
from daskpar.train.checkpoint import Origin
from daskpar.train.events import Event
from daskpar.train.first_loss import FirstLoss
from daskpar.train.fitting import FittedData, fit_data
from daskpar.train.goodput import Goodput
from daskpar.train.history import pace
from daskpar.train.launch import with_measured_lanes
from daskpar.train.problem import all_of, make_order, pose
from daskpar.train.progress import progress_for
from daskpar.train.publisher import Publisher
from daskpar.train.recorder import BEGUN
from daskpar.train.refusals import check_names
from daskpar.train.result import Result
from daskpar.train.run import Run
from daskpar.train.run_config import program_folder
from daskpar.train.saved_data import SavedData
from daskpar.train.scratch import Storage
from daskpar.train.settings import Settings
from daskpar.train.timetable import Timetable
from daskpar.train.tokens import new_token
from daskpar.train.view import RunView

logger = logging.getLogger("daskpar")


@dataclass(frozen=True)
class Training:
    """Run, and the callbacks that get its events."""

    run: Run
    callbacks: CallbackList

    def complete(self, trainer: object = None) -> Result:
        """Train to the end, and return the result; the scheduler's training page shows the run.

        Callbacks see the attributes of `trainer`, too.
        """
        view = RunView(self.run, trainer)
        with Publisher(self.run, view) as publisher:
            return self._complete(view, publisher.hear)

    def measure(self) -> Result:
        """Train to the end, for measurements; no page shows it."""
        return self._complete(RunView(self.run), lambda event: None)

    def _complete(self, view: RunView, publish: Callable[[Event], None]) -> Result:
        first_loss = FirstLoss(self.run.problem)

        def hear(event: Event) -> None:
            first_loss.hear(event)
            publish(event)
            self.callbacks.hear(view, event)

        try:
            return self.run.train(hear)
        finally:
            self.callbacks.close()


def prepare_data(
    settings: Settings, part: Split, executor: Executor, token: str, origin: Origin | None
) -> FittedData:
    """Return the data with transforms fitted on them, or with those of the run's origin."""
    meta: dict[str, Any] = {"order": None} if origin is None else origin.meta
    saved = SavedData.of(meta)
    if "names" in meta:
        check_names(part.source.names, meta["names"])
    if saved.schema is not None:
        check_features(saved.schema.features, part.source.features, "train data")
    order = make_order(settings, part.rows, meta["order"], part.source.chunk_rows)  # refuses early
    if order.batch < settings.batch:
        logger.info("train.batch=%d is more than the data have: a batch is %s", settings.batch, all_of(order))
    return fit_data(settings, part, executor, token, saved)


def begin(
    settings: Settings,
    data: FittedData,
    validation: Split | None,
    executor: Executor,
    storage: Storage,
    token: str,
    origin: Origin | None = None,
    goodput: Goodput | None = None,
) -> Training:
    """Return a run that has begun, with its callbacks. `storage` is for files that workers read.

    Raises InputError for settings and data that cannot be trained.
    """
    saved = None if origin is None else origin.meta["order"]
    problem = with_measured_lanes(pose(settings, data, validation, saved), executor)
    begun = (None if origin is None else origin.meta.get("begun")) or BEGUN
    timetable = Timetable.of(problem, int(begun["step"]))
    plateau = [] if timetable.plateau is None else [timetable.plateau]
    folder = program_folder(settings, data.part, validation)
    others = [*settings.callbacks, *plateau, *progress_for(settings)]
    callbacks = CallbackList(others, problem.spec.order, first=folder)
    callbacks.reset(problem.spec, validation is not None)
    run = Run(problem, timetable, executor, token, storage, callbacks, origin, goodput)
    return Training(run, callbacks)


_STRETCHES = 5


def seconds_a_step(
    settings: Settings, data: FittedData, executor: Executor, storage: Storage, steps: int
) -> tuple[float, Spec]:
    """Train for some stretches of `steps` steps, and return the median seconds of a step, and the Spec."""
    interval = f"{steps} steps"
    settings = replace(
        settings,
        folder=None,
        callbacks=(),
        verbose=0,
        epochs=None,
        steps=_STRETCHES * steps,
        evaluate_every=interval,
        checkpoint_every=interval,
    )
    result = begin(settings, data, None, executor, storage, new_token()).measure()
    return pace(result.history, steps), result.spec
