"""One training, from the arguments of `fit` to a Result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from daskpar.train.blocks import check_together
from daskpar.train.checkpoint import Checkpoints, to_resume_from
from daskpar.train.going_on import Earlier
from daskpar.train.goodput import Goodput
from daskpar.train.inputs import Inputs
from daskpar.train.plan import choose_layout
from daskpar.train.result import Result
from daskpar.train.run import Run
from daskpar.train.scratch import Storage
from daskpar.train.session import session
from daskpar.train.settings import Settings
from daskpar.train.tokens import new_token
from daskpar.train.trace import trace
from daskpar.train.training import begin, prepare_data


@dataclass(frozen=True)
class FitArguments:
    """Arguments of `fit`, and the earlier state that the training continues from."""

    x: object
    y: object = None
    validation: object = None
    resume: bool = False
    fresh_optimizer: bool = False
    sample_weight: object = None
    earlier: Earlier | None = None


def train(
    settings: Settings,
    arguments: FitArguments,
    scratch: Callable[[], Path],
    trainer: object,
    begun: Callable[[Run], object],
) -> Result:
    """Train with one executor; the data are prepared once, also where the layout is chosen first.

    `scratch()` returns a folder for files that workers read. Callbacks see the attributes of `trainer`
    besides the run. `begun` is called with the run before its first step.
    """
    goodput = Goodput()
    check_together(settings)
    with session(settings) as (executor, settings):
        storage = Storage(executor, scratch)
        inputs = Inputs(settings, storage)
        train, validation = inputs.parts(
            arguments.x, arguments.y, arguments.validation, arguments.sample_weight
        )
        chooses = settings.layout == "auto"
        record = executor.record() if settings.profile and not chooses else None
        origin = to_resume_from(Checkpoints.within(settings.folder, settings.keep), arguments.resume)
        if origin is None and arguments.earlier is not None:
            origin = arguments.earlier.origin(settings, train, scratch)
        token = new_token()
        data = prepare_data(settings, train, executor, token, origin)
        if chooses:
            settings = choose_layout(settings, data, executor, storage)
            record = executor.record() if settings.profile else None  # without the tasks of measuring
        training = begin(settings, data, validation, executor, storage, token, origin, goodput)
        begun(training.run)
        result = training.complete(trainer)
        if record is not None:
            tasks = trace(record, executor, result.layout, result.resumed_at, result.steps_run)
            result = replace(result, trace=tasks)
        return result
