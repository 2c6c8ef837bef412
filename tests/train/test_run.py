"""A run without a Trainer: its events, its result; the view that callbacks have; one session for a fit."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskpar import Callback, EarlyStopping, InputError, Layout, NotFiniteError, Penalty, Trainer, tasks
from daskpar.autotune.simulate import Cost
from daskpar.cluster.executor import THREADED, ThreadedExecutor
from daskpar.data import Digits, Split
from daskpar.train import plan, session
from daskpar.train.events import Began, Ended, Evaluated, Event, Saved, StepsDone
from daskpar.train.fitting import fit_data
from daskpar.train.scratch import Scratch, Storage
from daskpar.train.settings import Settings
from daskpar.train.training import Training, begin

MODEL = ["flatten", {"dense": 8}, "relu", {"dense": 10}]
KINDS = ("stage", "dense", "flatten", "relu")
STEPS = 15  # of an epoch: 1,797 rows in batches of 128


def settings(**options: Any) -> Settings:
    return Settings(MODEL, **{"batch": 128, "epochs": 2, "client": THREADED, **options})


@pytest.fixture
def executor() -> Any:
    opened = ThreadedExecutor(1)
    yield opened
    opened.close()


def start(executor: ThreadedExecutor, wanted: Settings) -> Training:
    data = fit_data(wanted, Split(Digits()), executor, "0data")
    return begin(wanted, data, None, executor, Storage(executor, Scratch()), "0run")


def test_events_come_in_order_and_the_result_is_a_value(executor: Any, tmp_path: Path) -> None:
    training = start(executor, settings(folder=tmp_path, evaluate_every="10 steps"))
    seen: list[Event] = list(training.run.events())
    assert isinstance(seen[0], Began) and seen[0].step == 0
    steps = [step for event in seen if isinstance(event, StepsDone) for step, _, _ in event.entries]
    assert steps == list(range(2 * STEPS))
    assert [event.record["step"] for event in seen if isinstance(event, Evaluated)] == [10, 20, 30]
    saved = [(event.step, event.folder.name) for event in seen if isinstance(event, Saved)]
    assert saved == [(15, "step-00000015"), (30, "step-00000030"), (30, "final")]
    assert [type(event) for event in seen[-4:]] == [Evaluated, Saved, Ended, Saved]
    result = training.run.result()
    trainer = Trainer(**vars(settings())).fit(Digits())
    np.testing.assert_array_equal(result.state.params, trainer.state_.params)
    assert (result.steps_run, result.steps_planned, result.resumed_at) == (30, 30, 0)
    assert result.history == [event.record for event in seen if isinstance(event, Evaluated)]
    assert not executor._values  # others may work on with the executor


def test_a_run_stops_at_the_evaluation_at_which_it_is_asked_to(executor: Any) -> None:
    training = start(executor, settings())
    for event in training.run.events():
        if isinstance(event, Evaluated):
            training.run.stop()
    assert training.run.result().steps_run == STEPS


def test_a_run_hears_what_it_has_no_state_for(executor: Any) -> None:
    run = start(executor, settings()).run
    with pytest.raises(InputError, match="no state before the first evaluation"):
        run.keep_best()
    with pytest.raises(InputError, match="the run is in progress"):
        run.replace_state(tasks.load_initial(run.spec).state)


@pytest.mark.parametrize("written", [False, True], ids=["no folder", "folder"])
def test_a_last_step_that_overflows_is_refused(executor: Any, tmp_path: Path, written: bool) -> None:
    steep: dict[str, Any] = {"optimizer": {"sgd": 3e38}, "penalty": Penalty(l2=1e4)}
    wanted = settings(epochs=None, steps=1, folder=tmp_path if written else None, **steep)
    run = start(executor, wanted).run
    with pytest.raises(NotFiniteError, match=r"step 1: parameter 1\.weight"):
        list(run.events())
    assert run.state is None and not list(tmp_path.rglob("*.safetensors"))


class Sees(Callback):
    """Notes what each moment shows of the run."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[Any, ...]] = {}

    def _note(self, moment: str, run: Any) -> None:
        steps = run.resumed_at_, run.steps_planned_, run.steps_run_, run.steps_
        self.seen[moment] = (*steps, run.names_, run.layout_, run.folder, run.batch)
        assert run.spec_.order.batch == run.batch and run.blas_ and run.seconds_ >= 0
        assert hasattr(run, "state_") == (moment == "after_training")

    def before_training(self, run: Any) -> None:
        self._note("before_training", run)

    def after_evaluation(self, run: Any, record: Any) -> None:
        self._note("after_evaluation", run)
        assert record is run.history_[-1]

    def after_training(self, run: Any) -> None:
        self._note("after_training", run)


def test_callbacks_see_the_run() -> None:
    sees = Sees()
    trainer = Trainer(**vars(settings(callbacks=[sees], layout=Layout(data=2), epochs=1)))
    trainer.fit(Digits())
    same = ((), Layout(data=2), None, 128)
    assert sees.seen["before_training"] == (0, STEPS, 0, 0, *same)
    assert sees.seen["after_evaluation"] == sees.seen["after_training"] == (0, STEPS, STEPS, STEPS, *same)


def test_nothing_is_written_on_a_trainer_before_its_run_has_ended() -> None:
    meanwhile: list[dict[str, Any]] = []

    class Looks(Callback):
        def after_training(self, run: Any) -> None:
            meanwhile.append({k: v for k, v in vars(trainer).items() if k.endswith("_")})
            np.testing.assert_array_equal(run.predict(x), run.predict(x))

    x = Digits().arrays()[0][:4]
    trainer = Trainer(**vars(settings(callbacks=[Looks()], epochs=1)))
    trainer.fit(Digits())
    before = {k: v for k, v in vars(trainer).items() if k.endswith("_")}
    trainer.fit(Digits())
    assert meanwhile == [{}, before]


def test_a_callback_may_replace_the_state_at_the_end() -> None:
    class Zeros(Callback):
        def __init__(self, write: Callable[[Any, Any], None]):
            self.write = write

        def after_training(self, run: Any) -> None:
            self.write(run, run.state_._replace(params=run.state_.params * 0))
            assert not run.predict(np.zeros((1, 8, 8, 1))).any()

    def assign(run: Any, state: Any) -> None:
        run.state_ = state

    for write in (lambda run, state: run.replace_state(state), assign):
        trainer = Trainer(**vars(settings(callbacks=[Zeros(write)], epochs=1))).fit(Digits())
        assert not trainer.state_.params.any() and trainer.steps_run_ == STEPS


def test_copies_of_a_view_are_copies_of_the_trainer() -> None:
    copies: list[Any] = []

    class Copies(Callback):
        def after_evaluation(self, run: Any, record: Any) -> None:
            run.callbacks = []
            copies.extend([copy.copy(run), copy.deepcopy(run), pickle.loads(pickle.dumps(run))])

    trainer = Trainer(**vars(settings(callbacks=[Copies()], epochs=1))).fit(Digits())
    assert [type(other) for other in copies] == [Trainer] * 3
    assert all(other is not trainer and not hasattr(other, "state_") for other in copies)
    assert {other.fit(Digits()).parameters_sha256_ for other in copies} == {trainer.parameters_sha256_}


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """The lanes of each executor that was opened or set anew; tasks have known speeds."""
    lanes: list[int] = []

    class Counted(ThreadedExecutor):
        def __init__(self, places: int, threads: int | None = None):
            super().__init__(places, threads)
            lanes.append(places)

        def set_lanes(self, places: int) -> None:
            super().set_lanes(places)
            lanes.append(-places)

    def measured(spec: Any, part: Split, workers: int, across_processes: bool) -> Any:
        layout = spec.layout
        ways = [f"{way}-{kind}" for way in ("forward", "backward") for kind in KINDS]
        parts = {(name, part): Cost(2.0) for name in ways for part in range(9)}
        return parts | {("grad",): Cost(1.0 / layout.data), ("train-window",): Cost(64.0)}

    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / name)
    monkeypatch.setattr(plan, "measure_tasks", measured)
    monkeypatch.setattr(plan, "worker_count", lambda client: 2)
    monkeypatch.setattr(session, "choose_executor", lambda client, places, threads: Counted(places, threads))
    return lanes


def test_auto_opens_one_session_and_prepares_the_data_once(
    sessions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[str] = []
    submit = ThreadedExecutor.submit

    def counted(self: ThreadedExecutor, graph: Any, keys: Any, lanes: int, done: Any = None) -> None:
        passes.extend(operation for operation in graph.tasks if operation == "measure-data")
        submit(self, graph, keys, lanes, done)

    monkeypatch.setattr(ThreadedExecutor, "submit", counted)
    common: dict[str, Any] = {"epochs": 1, "transforms": ["standardise"], "profile": True}
    auto = Trainer(**vars(settings(layout="auto", **common))).fit(Digits())
    assert (auto.layout_, auto.layout) == (Layout(data=2), "auto")
    assert sessions == [1, -2] and passes == ["measure-data"]
    assert {"grad", "reduce"} & {ran.kind for ran in auto.trace_.ran}
    by_hand = Trainer(**vars(settings(layout=Layout(data=2), **common))).fit(Digits())
    assert by_hand.parameters_sha256_ == auto.parameters_sha256_
    assert auto.evaluate(Digits()) == by_hand.evaluate(Digits())
    assert sessions == [1, -2, 2, 2, 2]


def test_early_stopping_works_on_a_run_without_a_trainer(executor: Any) -> None:
    stopping = EarlyStopping("train.loss", patience=1, min_delta=100.0)
    result = start(executor, settings(callbacks=[stopping], epochs=5)).complete()
    assert result.steps_run == 2 * STEPS and result.state.step == STEPS
