"""A training in progress: windows of steps, evaluations, checkpoints, the final state."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from daskpar.cluster.executor import Executor
from daskpar.errors import ClusterLostError, InputError, Interrupted
from daskpar.nn.parameters import check_finite
from daskpar.tasks import begin_state
from daskpar.tasks.state_file import read_state, read_whole
from daskpar.tasks.types import State
from daskpar.train.callback_states import CallbackStates
from daskpar.train.checkpoint import STATE, Checkpoints, Origin
from daskpar.train.driver import Milestone
from daskpar.train.evaluate import collected, evaluated
from daskpar.train.events import Began, Ended, Evaluated, Event, Saved, StepsDone
from daskpar.train.goodput import CHECKPOINTS, Goodput, booked
from daskpar.train.history_list import History
from daskpar.train.interrupt import first_interrupt
from daskpar.train.launch import make_driver, warm_up
from daskpar.train.posed import Posed
from daskpar.train.problem import Problem
from daskpar.train.recorder import BEGUN, Recorder
from daskpar.train.rescue import snapshot_of
from daskpar.train.result import Result
from daskpar.train.run_files import RunFiles
from daskpar.train.saved import meta_of
from daskpar.train.scratch import Storage
from daskpar.train.timetable import Timetable


class Run(Posed):
    """Training of a problem on an executor, from its first step or from an `origin`.

    `storage` is for the files of restart points, which workers read. `state` is None until
    the last step is done. `unfinished` describes a run that was interrupted. `goodput` is the account of the
    time since the data were prepared; None begins one.
    """

    def __init__(
        self,
        problem: Problem,
        timetable: Timetable,
        executor: Executor,
        token: str,
        storage: Storage,
        memory: CallbackStates | None = None,
        origin: Origin | None = None,
        goodput: Goodput | None = None,
    ):
        settings = problem.settings
        super().__init__(problem)
        self.timetable, self.executor = timetable, executor
        self.memory = memory
        self.goodput = goodput or Goodput()
        self.blas = executor.describe()
        checkpoints = Checkpoints.within(settings.folder, settings.keep)
        self.files = RunFiles(problem.spec, checkpoints, storage)
        self.recorder = Recorder(problem.spec)
        self.state: State | None = None
        self.unfinished: dict[str, Any] | None = None
        self.steps_run, self.ended = 0, False
        self._origin: Path | None = None
        self.same_run = False
        self._cut: Milestone | None = None
        self._rate: float | None = None  # of the last step
        self._fetched: tuple[int, State] | None = None
        self._earlier = 0.0  # seconds before a resumption
        if origin is not None:
            self._take_up(origin)
        self.resumed_at = self.steps_run
        self._started: float | None = None
        self._seconds: float | None = None
        warm_up(problem, executor)
        self.driver = make_driver(problem, executor, token, timetable.next_cut, timetable.rate)

    @property
    def history(self) -> History:
        """The records so far."""
        return self.recorder.history

    @property
    def steps_planned(self) -> int:
        """The number of steps without an early end."""
        return self.timetable.total

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step, or of the first one before it."""
        return self.timetable.rate(self.steps_run) if self._rate is None else self._rate

    def current_state(self) -> State:
        """Return the state after `steps_run` steps; it is fetched once, at the first call.

        Raises InputError while the run is between two events.
        """
        if self.state is not None:
            return self.state
        if self._fetched is None or self._fetched[0] != self.steps_run:
            begins = self._rate is None
            path = None if self._origin is None else str(self._origin)
            state = begin_state(self.spec, path).state if begins else self.driver.state()
            self._fetched = self.steps_run, state
        return self._fetched[1]

    @property
    def workers(self) -> tuple[int, int] | None:
        """The numbers of workers alive now, and at most so far; None without a cluster."""
        return self.executor.workers_alive()

    @property
    def seconds(self) -> float:
        """The seconds of training so far, earlier trainings included."""
        return self._elapsed() if self._seconds is None else self._seconds

    def train(self, hear: Callable[[Event], object] = lambda event: None) -> Result:
        """Train to the end, or until the run is stopped, and call `hear` with each event.

        Raises:
            ClusterLostError: The cluster was lost; `state` is that of the last restart point.
            Interrupted: Ctrl-C was pressed; `state` is that of the last step.
        """
        try:
            with first_interrupt(self.driver.interrupt):
                for event in self.events():
                    try:
                        hear(event)
                    except KeyboardInterrupt:  # raised in a callback, or between two of them
                        self.driver.interrupt()
        except Interrupted:
            raise
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted; {self._salvage()[0]}") from None
        except ClusterLostError as error:
            raise ClusterLostError("; ".join((str(error), *self._salvage()))) from None
        finally:
            self.files.close()
        return self.result()

    def _salvage(self) -> tuple[str, str]:
        """Make the last state that exists the run's, and return a phrase for its place, and advice."""
        if self.state is not None:
            return "the last step was done", "`fit` continues from there"
        self.state, kept, advice = self.files.rescue()
        if self.state is not None:
            self.steps_run, self._seconds = self.state.step, self._elapsed()
        return kept, advice

    def events(self) -> Iterator[Event]:
        """Train, and yield each event; the run continues when the caller asks for the next one."""
        return booked(self._events(), self.goodput, self.driver, beside=self.workers is not None)

    def _events(self) -> Generator[Event, None, None]:
        self._started = time.perf_counter() - self._earlier
        yield Began(self.steps_run)
        self.files.begin(self._origin, self.resumed_at if self.same_run else None)
        stop = self.steps_run if self.ended else self.timetable.total
        try:
            state = None
            origin = None if self._origin is None else self.files.storage.for_workers(self._origin)
            for window in self.driver.run(self.steps_run, origin, stop):
                if not isinstance(window, Milestone):
                    entries = self.recorder.add(window, self.timetable.rate)
                    if entries:
                        self.steps_run, self._rate = entries[-1][0] + 1, entries[-1][2]
                        yield StepsDone(entries, window)
                    continue
                self._cut = window
                if window.interrupted:
                    self._keep_interrupted(window)
                yield from self._at_cut(window)
                if self.ended or window.step == self.timetable.total:
                    state = self._state_at(window)
                    break
            yield from self._end(state)
        finally:
            self.driver.close()

    def _end(self, state: State | None) -> Iterator[Event]:
        if state is None:  # resumed after its last step, or after an early end
            state = self._checked(read_state(self.spec, str(self._origin)))
        self.state, self.steps_run, self._seconds = state, state.step, self._elapsed()
        yield Ended(state)
        final = self.files.final(self.state, self._meta())
        if final is not None:
            yield Saved(self.state.step, final)

    def result(self) -> Result:
        """Return the result, after the last step."""
        assert self.state is not None, "the run is in progress"
        return Result(
            spec=self.spec,
            layout=self.layout,
            state=self.state,
            history=self.history,
            names=self.names,
            description=self.description,
            steps_planned=self.steps_planned,
            steps_run=self.steps_run,
            resumed_at=self.resumed_at,
            seconds=self.seconds,
            blas=self.blas,
            goodput=self.goodput,
            saved=self.files.saved,
            epoch=self.recorder.epoch(self.state.step),
            unfinished=self.unfinished,
            without_value=self.recorder.without_value,
        )

    def _keep_interrupted(self, cut: Milestone) -> None:
        """Make the state of the last step the run's, and raise Interrupted."""
        state = self._state_at(cut) if cut.state else None
        if state is None and self.driver.restart_point is not None:
            state = read_whole(self.spec, self.driver.restart_point)
        if state is None:
            raise Interrupted("interrupted before the first step; the Trainer is unchanged")
        self.state, self.steps_run, self._seconds = state, state.step, self._elapsed()
        self.unfinished = {**snapshot_of(self._meta()), "step": state.step}
        saved = "the Trainer has the state of that step"
        if self.files.checkpoints:
            saved = f"{self.files.checkpoint(state, self._meta())} is kept"
        raise Interrupted(
            f"interrupted at step {state.step} of {self.steps_planned}; {saved}; `fit` continues from there"
        )

    def stop(self) -> None:
        """End the run at its next evaluation, or at this one; any thread may call it."""
        self.ended = True

    def keep_best(self) -> State:
        """Return the state at this evaluation, and write it to `checkpoints/best` if there is a folder."""
        if self._cut is None:
            raise InputError("keep_best: there is no state before the first evaluation")
        state = self._state_at(self._cut)
        self.files.best(state, self._meta())
        return state

    def replace_state(self, state: State) -> None:
        """Make another state the result. Raises InputError before the last step is done."""
        if self.state is None:
            raise InputError("replace_state: the run is in progress; replace its state in after_training")
        self.state = state

    def _at_cut(self, cut: Milestone) -> Iterator[Event]:
        if cut.evaluate:
            seconds = self._elapsed()
            sums = yield from collected(self.executor, cut.scores)
            validation = evaluated(self.spec, sums, "validation")
            yield Evaluated(self.recorder.record(cut.step, seconds, validation))
            self.recorder.begin_next()
            if self.executor.in_process:  # by reference: no state is sent
                self.files.note(self.executor.result(cut.state).state, self._meta())
        if (cut.save or self.ended) and self.files.checkpoints:
            folder = self.files.checkpoint(self._state_at(cut), self._meta())
            self.driver.restart_point = self.files.storage.for_workers(folder / STATE)
            yield Saved(cut.step, folder)
        elif cut.restart_point and not self.ended:
            self.driver.restart_point = self.files.restart_point(self._state_at(cut), self._meta())
            self.goodput.spend(CHECKPOINTS)

    def _state_at(self, cut: Milestone) -> State:
        return self._checked(self.executor.result(cut.state).state)

    def _checked(self, state: State) -> State:
        """Return a state. Raises NotFiniteError for parameters and slots that are not finite."""
        check_finite(self.spec.table, state.step, state.params, state.slots)
        return state

    def _elapsed(self) -> float:
        return self._earlier if self._started is None else time.perf_counter() - self._started

    def _meta(self) -> dict[str, Any]:
        return {
            **meta_of(self.spec, self.names, self.description),
            "seconds": self._elapsed(),
            "history": self.history,
            "since": self.recorder.since,
            "ended": self.ended,
            "callbacks": self.memory.states() if self.memory else [],
            "begun": self.recorder.begun,
            "goodput": self.goodput.totals(),
        }

    def _take_up(self, origin: Origin) -> None:
        meta = origin.meta
        self.steps_run, self._earlier = meta["step"], meta["seconds"]
        self._origin = origin.state(self.spec)
        read_state(self.spec, str(self._origin))  # another model's state is refused here, not on a worker
        self.recorder.take_up(meta["history"], meta["since"], meta.get("begun", BEGUN))
        self.ended, self.same_run = meta["ended"], origin.same_run
        if self.same_run:
            self.goodput.take_up(meta.get("goodput", {}))
        if self.memory:
            self.memory.take_up(meta["callbacks"], self.files.best_of)
