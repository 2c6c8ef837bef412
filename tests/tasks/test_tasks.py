"""Task functions: sums, updates, lanes without rows, and losses that are not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daskpar import NotFiniteError, Trainer, tasks
from daskpar.data import Digits, Split
from daskpar.nn.operations import extent
from daskpar.tasks.types import Gradient, Lane, Logged, Spec, State
from daskpar.train.problem import make_order, make_spec


def make(model: Any = None, **options: Any) -> tuple[Spec, Lane]:
    model = model or ["flatten", {"dense": 8}, "relu", {"dense": 10}]
    trainer = Trainer(model, batch=64, metrics=["accuracy"], **options)
    spec = make_spec(trainer.settings, Digits(), make_order(trainer.settings, 1797), [], [])
    return spec, tasks.load_initial(spec)


def gradient_for(spec: Spec, owner: Lane, step: int = 0) -> Gradient:
    streams = range(spec.order.streams)
    epoch, within = divmod(step, spec.order.steps)
    pieces = spec.order.pieces(epoch, within, streams)
    chunks = [tasks.load_data(spec, Split(Digits()), (spec.order, p.stream, p.chunk)) for p in pieces]
    return tasks.grad_model(spec, step, streams, owner, *chunks)


def frozen(gradient: Gradient) -> Gradient:
    gradient.buffer.flags.writeable = False
    return gradient


def test_sums_come_out_in_the_order_given_and_inputs_stay() -> None:
    parts = [
        frozen(Gradient(np.array(values, np.float32), (1.0, 2.0))) for values in ([1e8, 1], [1, 2], [-1e8, 3])
    ]
    total = tasks.reduce_gradient(*parts)
    np.testing.assert_array_equal(total.buffer, np.array([0, 6], np.float32))
    assert total.sums == (3.0, 6.0)
    assert tasks.reduce_gradient(parts[0]) is parts[0]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_update_leaves_its_inputs(count: int) -> None:
    spec, owner = make()
    gradients = [frozen(gradient_for(spec, owner)) for _ in range(count)]
    owner.state.params.flags.writeable = False
    for slot in owner.state.slots.values():
        slot.flags.writeable = False
    state = tasks.update(spec, 0.1, False, owner, *gradients).state
    assert state.step == 1
    assert state.log == (Logged(0, tasks.reduce_gradient(*gradients).sums),)
    assert not np.array_equal(state.params, owner.state.params)
    fresh = tasks.update(spec, 0.1, True, Lane(state), *gradients).state
    assert [entry.step for entry in fresh.log] == [1]


def test_gradients_of_parts_of_the_model_make_up_the_whole() -> None:
    spec, owner = make()
    whole = gradient_for(spec, owner)
    cut = extent(spec.table, spec.partition.program, (0, 2))[1]
    parts = [Gradient(whole.buffer[cut:], whole.sums, cut), Gradient(whole.buffer[:cut], (), 0)]
    a = tasks.update(spec, 0.1, True, owner, whole).state
    b = tasks.update(spec, 0.1, True, owner, *parts).state
    np.testing.assert_array_equal(a.params, b.params)
    assert a.log == b.log


def test_a_lane_without_rows_adds_nothing() -> None:
    spec, owner = make()
    empty = tasks.grad_model(spec, 0, range(0, 1), owner)
    assert empty.sums == ()
    assert not empty.buffer.any()
    full = gradient_for(spec, owner)
    total = tasks.reduce_gradient(full, empty)
    np.testing.assert_array_equal(total.buffer, full.buffer)
    assert total.sums == full.sums


@pytest.mark.parametrize(
    "spoil, message",
    [
        ("1.weight", r"step 0: the loss is nan; parameter 1.weight of layer 1 \(dense\) is not finite"),
        ("3.bias", r"step 0: the loss is nan; parameter 3.bias of layer 3 \(dense\) is not finite"),
    ],
)
def test_names_the_parameter_that_is_not_finite(spoil: str, message: str) -> None:
    spec, owner = make()
    spec.table.named(owner.state.params)[spoil][...] = np.nan
    with pytest.raises(NotFiniteError, match=message):
        gradient_for(spec, owner)


def test_names_the_layer_whose_output_is_not_finite() -> None:
    spec, owner = make()
    spec.table.named(owner.state.params)["3.weight"][...] = 3e38
    with pytest.raises(NotFiniteError, match=r"layer 3 \(dense\) is the first with an output that is not"):
        gradient_for(spec, owner)


def test_float32_steps_hold_no_float64() -> None:
    """Neither values that tasks hand on nor states, for every optimizer."""
    for optimizer in (
        "sgd",
        {"sgd": {"momentum": 0.9}},
        "adam",
        "adamw",
        "rmsprop",
        "adagrad",
        "lamb",
        "lars",
    ):
        spec, owner = make(
            ["flatten", {"dense": 8}, "gelu", {"dropout": 0.5}, {"dense": 10}], optimizer=optimizer
        )
        gradient = gradient_for(spec, owner)
        state = tasks.update(spec, 0.1, False, owner, gradient).state
        arrays = [gradient.buffer, state.params, *state.slots.values()]
        assert {a.dtype for a in arrays} == {np.dtype(np.float32)}


def test_window_equals_single_steps() -> None:
    spec, owner = make(optimizer="adam")
    streams = range(spec.order.streams)
    places = [(g, 0) for g in streams]
    chunks = [tasks.load_data(spec, Split(Digits()), (spec.order, *place)) for place in places]
    together = tasks.train_window(spec, (0.1, 0.05, 0.02), (streams,), 4, True, owner, places, *chunks).state
    one = owner
    for step, lr in enumerate((0.1, 0.05, 0.02)):
        one = tasks.update(spec, lr, False, one, gradient_for(spec, one, step))
    np.testing.assert_array_equal(together.params, one.state.params)
    assert together.log == one.state.log
    assert isinstance(owner.state, State) and owner.state.step == 0
