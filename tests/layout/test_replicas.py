"""Replicas against what they are defined to compute, written out step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskpar import Callback, Layout, Trainer, tasks
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits, Split
from daskpar.errors import InputError
from daskpar.nn import Dense, Dropout, Flatten, ReLU, Sequential
from daskpar.optim import SGD
from daskpar.tasks.types import Lane, Spec, State

MODEL = Sequential((Flatten(), Dense(12), ReLU(), Dropout(0.2), Dense(10)))
STEPS = 11
DATA = Split(Digits())


def trained(layout: Layout, optimizer: Any = "sgd", **options: Any) -> Trainer:
    settings: dict[str, Any] = {"batch": 200, "steps": STEPS, "streams": 8, "precision": "float64", **options}
    resume = settings.pop("resume", False)
    trainer = Trainer(MODEL, optimizer=optimizer, layout=layout, client=THREADED, seed=4, **settings)
    return trainer.fit(DATA, resume=resume)


def close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float = 1e-12) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance, err_msg=name)


def by_hand(spec: Spec, replicas: int, every: int, until: int = 0, outer: Any = None) -> np.ndarray:
    """The mean of the replicas after STEPS steps; every replica is one lane."""
    states = [tasks.load_initial(spec).state for _ in range(replicas)]
    anchor, slots, rounds = states[0].params, outer and outer.init(states[0].params), 0
    for step in range(STEPS):
        epoch, within = divmod(step, spec.order.steps)
        for r in range(replicas):
            streams = range(8 * r // replicas, 8 * (r + 1) // replicas)
            pieces = spec.order.pieces(epoch, within, streams)
            chunks = [tasks.load_data(spec, DATA, (spec.order, p.stream, p.chunk)) for p in pieces]
            gradient = tasks.grad_model(spec, step, streams, Lane(states[r]), *chunks)
            states[r] = tasks.update(spec, spec.optimizer.lr, False, Lane(states[r]), gradient).state
        if step < until or (every and (step + 1 - until) % every == 0):
            mean: np.ndarray = np.mean([state.params for state in states], axis=0)
            if outer is not None:
                mean, slots = outer.update(anchor, anchor - mean, slots, rounds, outer.lr, spec.tensors)
            anchor, rounds = mean, rounds + 1
            states = [state._replace(params=mean) for state in states]
    return np.mean([state.params for state in states], axis=0)


CUTS: list[dict[str, Any]] = [{"grain": grain} for grain in ("step", "window", "stage", "layer")]
CUTS += [{"stages": 2, "microbatches": 2}, {"width": 2}, {"shards": 2}]


@pytest.mark.parametrize("cut", [*CUTS, {"data": 2}, {"data": 2, "shards": 2}], ids=repr)
def test_averaged_at_each_step_replicas_are_lanes(cut: dict[str, Any]) -> None:
    """Plain SGD from a mean is the mean of SGD from it, where batches are even: the last is not."""
    lanes = trained(Layout(data=4), drop_last=True)
    replicas = trained(Layout(replicas=4 // cut.get("data", 1), **cut), drop_last=True)
    close(replicas.parameters_, lanes.parameters_)


@pytest.mark.parametrize("cut", CUTS, ids=repr)
@pytest.mark.parametrize(
    "how",
    [
        {"replicas": 2, "average_every": 3},
        {"replicas": 4, "average_every": 4, "fan_in": 2},
        {"replicas": 2, "average_every": 0},
        {"replicas": 2, "average_every": 3, "synchronous_until": 4},
        {"replicas": 2, "average_every": 3, "outer": {"sgd": {"lr": 0.7, "momentum": 0.9, "nesterov": True}}},
    ],
    ids=repr,
)
def test_replicas_compute_what_they_are_defined_to(how: dict[str, Any], cut: dict[str, Any]) -> None:
    trainer = trained(Layout(**how, **cut), {"sgd": {"lr": 0.1, "momentum": 0.5}})
    outer = SGD(lr=0.7, momentum=0.9, nesterov=True) if "outer" in how else None
    plan = (how["replicas"], how["average_every"], how.get("synchronous_until", 0), outer)
    expected = by_hand(trainer.spec_, *plan)
    np.testing.assert_allclose(trainer.state_.params, expected, rtol=0, atol=1e-12)
    losses = [loss for record in trainer.history_ for loss in record["each_step"]["loss"]]
    assert len(losses) == STEPS and trainer.steps_ == STEPS


class Interrupt(Callback):
    def after_evaluation(self, trainer: Trainer, record: Any) -> None:
        if record["step"] >= 5:
            raise KeyboardInterrupt


@pytest.mark.parametrize("outer", [None, {"sgd": {"lr": 0.7, "momentum": 0.9, "nesterov": True}}], ids=str)
@pytest.mark.parametrize("cut", [{}, {"stages": 2}], ids=repr)
def test_a_run_goes_on_between_two_averages(tmp_path: Path, outer: Any, cut: dict[str, Any]) -> None:
    layout = Layout(replicas=2, average_every=4, outer=outer, **cut)
    options: dict[str, Any] = {"checkpoint_every": "3 steps", "evaluate_every": "3 steps"}
    unbroken = trained(layout, "adam", **options)
    with pytest.raises(KeyboardInterrupt):
        trained(layout, "adam", folder=tmp_path, callbacks=[Interrupt()], **options)
    resumed = trained(layout, "adam", folder=tmp_path, resume=True, **options)
    assert resumed.resumed_at_ in (3, 6)
    assert resumed.parameters_sha256_ == unbroken.parameters_sha256_


def test_a_run_without_replicas_goes_on_from_their_mean(tmp_path: Path) -> None:
    options: dict[str, Any] = {"folder": tmp_path, "checkpoint_every": "4 steps"}
    mean = trained(Layout(replicas=2, average_every=3), "adam", **options, steps=8)
    again = trained(Layout(data=2), "adam", resume=True, **options)
    assert mean.steps_ == 8 and again.resumed_at_ == 8 and again.steps_ == STEPS


def test_slots_stay_a_replicas_own() -> None:
    state: State = trained(Layout(replicas=2, average_every=0), "adam").state_
    one, other = (state.slots[f"replica-{r}/mean"] for r in range(2))
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(state.slots["mean"], (one + other) / 2)


@pytest.mark.parametrize(
    "layout, message",
    [
        ({"average_every": 2}, "layout.average_every, synchronous_until and outer are for several replicas"),
        ({"replicas": 2, "average_every": -1}, "layout.average_every=-1 must not be negative"),
        ({"replicas": 0}, "layout.replicas=0 must be at least 1"),
    ],
)
def test_refused(layout: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Layout(**layout)


def test_outer_optimizers_of_whole_tensors_are_refused() -> None:
    with pytest.raises(InputError, match=r"layout\.outer: lamb needs whole tensors"):
        trained(Layout(replicas=2, outer="lamb"))
    with pytest.raises(InputError, match="replicas=3 with data=1 does not divide the 8 streams"):
        trained(Layout(replicas=3))
