"""The view of a run: parameters and optimizer state at each moment, fetched when they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskpar import Callback, EarlyStopping, InputError, Layout, Trainer
from daskpar.backend.random import init_rng
from daskpar.cluster.executor import THREADED
from daskpar.nn import registry as nn
from daskpar.train.hooks import NAMES
from daskpar.train.view import RunView

MODEL = [{"dense": 12}, "tanh", {"dense": 4}]
SCHEDULE = {"linear": {"floor": 0.5}}
DILOCO = {"average_every": 3, "outer": {"sgd": {"lr": 0.7, "momentum": 0.9}}}
LAYOUTS = [
    Layout(data=2),
    Layout(data=2, grain="window"),
    Layout(data=2, stages=2, microbatches=2, shards=2),
    Layout(replicas=2, compression="float16", **DILOCO),
]


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((96, 8)), rng.integers(0, 4, 96)


def make(**options: Any) -> Trainer:
    settings: dict[str, Any] = {
        **{"client": THREADED, "batch": 8, "precision": "float64", "schedule": SCHEDULE},
        **{"optimizer": {"sgd": {"lr": 0.1, "momentum": 0.9}}, "evaluate_every": "12 steps", "epochs": 1},
    }
    return Trainer(MODEL, **{**settings, **options})


class Watch(Callback):
    """Keeps what it sees: at each moment, or at evaluations only."""

    def __init__(self, always: bool = True):
        self.always = always
        self.seen: dict[tuple[str, int], dict[str, np.ndarray]] = {}
        self.slots: dict[int, dict[str, dict[str, np.ndarray]]] = {}
        self.rates: dict[int, float] = {}

    def look(self, moment: str, run: RunView) -> None:
        self.rates.setdefault(run.step, run.learning_rate)
        self.seen[moment, run.step] = run.parameters
        self.slots[run.step] = run.optimizer_state

    def before_training(self, run: RunView) -> None:
        self.look("begin", run)

    def after_steps(self, run: RunView, entries: Any) -> None:
        if self.always:
            assert run.step == entries[-1][0] + 1
            self.look("steps", run)

    def after_evaluation(self, run: RunView, record: Any) -> None:
        assert run.step == record["step"]
        self.look("evaluation", run)

    def after_training(self, run: RunView) -> None:
        self.look("end", run)


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all((found[k] == v).all() for k, v in expected.items())


@pytest.mark.parametrize("layout", LAYOUTS, ids=["lanes", "window", "shards", "replicas"])
def test_parameters_are_those_of_the_moment(layout: Layout, threads_client: Any) -> None:
    each = Watch(always=False)
    make(layout=layout, callbacks=[each], evaluate_every="1 steps").fit(*data())
    for client in (THREADED, threads_client)[: 2 if layout.replicas > 1 else 1]:
        watch = Watch()
        fitted = make(layout=layout, callbacks=[watch], client=client).fit(*data())
        assert fitted.steps_ == 12
        between = {step for moment, step in watch.seen if moment == "steps"}
        assert 1 in between and 12 in between and len(between) > 2
        for (moment, step), found in watch.seen.items():
            expected = each.seen["evaluation" if step else "begin", step]
            assert same(found, expected), (moment, step)
            for name, slot in each.slots[step].items():
                assert same(watch.slots[step][name], slot), (name, step)
        assert same(watch.seen["end", 12], fitted.parameters_)
        for step, rate in watch.rates.items():
            assert rate == pytest.approx(0.1 * (1 - 0.5 * max(step - 1, 0) / 12))


def test_a_parameter_server_tells_of_now() -> None:
    watch = Watch()
    fitted = make(layout=Layout(data=2, update="stale"), callbacks=[watch]).fit(*data())
    first = min(step for moment, step in watch.seen if moment == "steps")
    assert first < 12 and watch.slots[first]["momentum"]["2.bias"].any()
    assert same(watch.seen["evaluation", 12], fitted.parameters_)


def test_the_first_parameters_are_those_of_the_seed_or_the_checkpoint(tmp_path: Path) -> None:
    first = Watch()
    before = make(callbacks=[first], folder=tmp_path).fit(*data())
    params, _ = nn.model(MODEL).init(init_rng(0), (8,))
    np.testing.assert_array_equal(first.seen["begin", 0]["0.weight"], params["0"]["weight"])
    assert not any(slot["0.weight"].any() for slot in first.slots[0].values())
    again = Watch()
    make(callbacks=[again], folder=tmp_path, epochs=2).fit(*data(), resume=True)
    assert same(again.seen["begin", 12], before.parameters_)
    assert again.slots[12]["momentum"]["2.bias"].any() and again.rates[12] == pytest.approx(0.1 * 0.75)


def test_they_cannot_be_written_to_and_are_gone_afterwards() -> None:
    views: list[RunView] = []

    class Writes(Callback):
        def after_evaluation(self, run: RunView, record: Any) -> None:
            views.append(run)
            with pytest.raises(ValueError, match="read-only"):
                run.parameters["0.weight"][0] = 1

    class Between(Callback):
        def close(self) -> None:
            assert views[0].parameters.keys() == {"0.weight", "0.bias", "2.weight", "2.bias"}

    make(callbacks=[Writes(), Between()]).fit(*data())


def test_after_the_training_they_are_those_that_are_kept() -> None:
    class Worse(Callback):
        def after_evaluation(self, run: RunView, record: Any) -> None:
            record["train"]["loss"] = float(run.step)

    watch = Watch(always=False)
    stopping = EarlyStopping("train.loss", patience=2)
    make(callbacks=[Worse(), stopping, watch], evaluate_every="2 steps").fit(*data())
    assert ("end", 2) in watch.seen
    assert same(watch.seen["end", 2], watch.seen["evaluation", 2])


@pytest.mark.parametrize("name", [*NAMES, "before_evaluations", "after_stepping", "on_training_end"])
def test_a_moment_that_is_none_is_told(name: str) -> None:
    with pytest.raises(InputError, match=f"Mine.{name} would never be called: ") as told:
        type("Mine", (Callback,), {name: lambda self, *args: None})
    mixin = type("Mixin", (), {name: lambda self, *args: None})
    with pytest.raises(InputError, match=f"Mine.{name} would never be called: "):
        type("Mine", (mixin, Callback), {})
    assert NAMES.get(name, "after_evaluation" if "eval" in name else "") in str(told.value)


def test_own_methods_are_left_alone() -> None:
    methods = {name: lambda self: None for name in ("on_click", "report", "_on_epoch_end", "beforehand")}
    assert isinstance(type("Mine", (Callback,), {**methods, "after": 3, "on_epoch_end": 3})(), Callback)
