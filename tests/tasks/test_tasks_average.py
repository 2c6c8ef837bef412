"""Averages of replicas, against their definitions written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from specs import spec_of

from daskpar import Layout
from daskpar.optim.registry import optimizer
from daskpar.tasks.average import (
    add_parameters,
    average,
    begin_outer,
    gather_replicas,
    load_average,
    load_trained_average,
)
from daskpar.tasks.types import Lane, Logged, Spec, State

SIZE = 624


@pytest.fixture(scope="module")
def spec() -> Spec:
    return spec_of(Layout(replicas=2, average_every=2))


def lane(value: float, step: int = 4, **slots: float) -> Lane:
    arrays = {name: np.full(SIZE, number) for name, number in slots.items()}
    params = np.full(SIZE, value)
    params.flags.writeable = False
    return Lane(State(step, params, arrays, (Logged(step - 1, (value, 1.0)),)))


def test_the_mean_of_sums(spec: Spec) -> None:
    """Three replicas, the first two of which a tree has added."""
    pair = add_parameters(lane(1.0), lane(2.0))
    assert pair.state.params[0] == 3 and pair.state.slots == {} and pair.state.log == ()
    found = average(spec, None, 3, 0, None, pair, lane(6.0))
    assert (found.state.step, set(found.state.params)) == (4, {3.0})


def test_an_outer_optimizer_goes_from_the_last_average_towards_the_mean(spec: Spec) -> None:
    """SGD with rate 0.5: half of the way from 10 to the mean, 2. Its slots begin with zeros."""
    outer = replace(spec, outer=optimizer({"sgd": {"lr": 0.5, "momentum": 0.9}}))
    anchor = begin_outer(outer, lane(10.0))
    assert anchor.state.params[0] == 10 and not anchor.state.slots["momentum"].any()
    first = average(outer, None, 2, 0, anchor, lane(1.0), lane(3.0))
    assert first.state.params[0] == 10 - 0.5 * (10 - 2)
    second = average(outer, None, 2, 1, first, lane(4.0), lane(6.0))
    velocity = 0.9 * (10 - 2) + (6 - 5)
    assert second.state.params[0] == pytest.approx(6 - 0.5 * velocity)
    assert not anchor.state.slots["momentum"].any()  # what flowed in stays as it was


def test_a_replica_takes_the_parameters_and_keeps_its_slots(spec: Spec) -> None:
    found = load_average(lane(1.0, mean=5.0), lane(2.0))
    assert found.state.params[0] == 2 and found.state.slots["mean"][0] == 5
    assert found.state.log == (Logged(3, (1.0, 1.0)),)


def test_frozen_parameters_keep_their_bits() -> None:
    spec = spec_of(Layout(replicas=2, average_every=2), frozen=["1.weight"])
    found = load_trained_average(spec, None, lane(1.0), lane(2.0)).state.params
    assert set(found[:512]) == {1.0} and set(found[512:]) == {2.0}  # 64 x 8 weights come first


def test_what_is_saved_is_the_mean_with_all_replicas_beside_it(spec: Spec) -> None:
    outer = Lane(State(4, np.full(SIZE, 9.0), {"momentum": np.full(SIZE, 7.0)}))
    state = gather_replicas(spec, 2, lane(1.0, mean=2.0), lane(3.0, mean=6.0), outer).state
    assert state.params[0] == 2 and state.slots["mean"][0] == 4
    values = {name: slot[0] for name, slot in state.slots.items()}
    assert values == {
        "mean": 4,
        **{"replica-0/params": 1, "replica-0/mean": 2, "replica-1/params": 3, "replica-1/mean": 6},
        **{"outer/params": 9, "outer/momentum": 7},
    }
    assert state.log == (Logged(3, (4.0, 2.0)),)  # sums over both
