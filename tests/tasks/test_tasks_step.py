"""Tasks that take a state a step on, with numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from specs import spec_of

from daskpar import Clip, Layout, NotFiniteError, Penalty
from daskpar.layout.owners import shard_spans
from daskpar.layout.partition import Span
from daskpar.tasks import step
from daskpar.tasks.types import Gradient, Lane, Logged, Spec, State

SIZE = 624


def spec_with(layout: Layout | None = None, **options: Any) -> Spec:
    return spec_of(layout or Layout(), **{"optimizer": {"sgd": 0.1}, "precision": "float64", **options})


def owner(value: float = 1.0, size: int = SIZE) -> Lane:
    return Lane(State(5, np.full(size, value), {}, (Logged(4, (9.0, 1.0)),)))


def gradient(
    value: float, sums: tuple[float, ...] = (8.0, 4.0), start: int = 0, size: int = SIZE
) -> Gradient:
    return Gradient(np.full(size, value), sums, start)


def test_a_step_is_by_the_mean_over_examples() -> None:
    """Sums of 2 and 6 over 4 + 4 examples are a mean of 1; the step is by 0.1 of it."""
    state = step.update(spec_with(), 0.1, False, owner(), gradient(2.0), gradient(6.0)).state
    np.testing.assert_allclose(state.params, 0.9, rtol=1e-15)
    assert (state.step, state.log) == (6, (Logged(4, (9.0, 1.0)), Logged(5, (16.0, 8.0))))


def test_without_gradients_a_state_stays_and_a_log_may_begin_anew() -> None:
    held = owner()
    assert step.update(spec_with(), 0.1, False, held).state is held.state
    assert step.update(spec_with(), 0.1, True, held).state.log == ()


def test_no_row_counts() -> None:
    state = step.update(spec_with(), 0.1, False, owner(), gradient(0.0, (0.0, 0.0))).state
    assert state.step == 6 and set(state.params) == {1.0}


def test_penalties_come_after_the_mean_and_clipping_after_both() -> None:
    """Mean 1 and penalty 0.5 x 2 on decayed weights; each element is then clipped to 1.5."""
    spec = spec_with(penalty=Penalty(l2=1.0), clip=Clip(value=1.5))
    state = step.update(spec, 0.1, False, owner(), gradient(4.0)).state
    weights, biases = state.params[:512], state.params[512:520]
    np.testing.assert_allclose(weights, 1 - 0.1 * min(1 + 1, 1.5))
    np.testing.assert_allclose(biases, 1 - 0.1 * 1)


def test_parts_add_up_wherever_they_begin() -> None:
    parts = [gradient(4.0, (), 100, SIZE - 100), gradient(8.0, (8.0, 4.0), 0, 100)]
    total, sums = step.total_of(np.zeros(SIZE), None, parts)
    assert sums == (8.0, 4.0) and set(total[:100]) == {8.0} and set(total[100:]) == {4.0}
    shard, _ = step.total_of(np.zeros(50), Span(0, 100, 150), [gradient(4.0, (), 110, 20)])
    assert shard.tolist() == [0.0] * 10 + [4.0] * 20 + [0.0] * 20


def test_the_norm_of_the_whole_is_put_together_from_its_parts() -> None:
    """Two shards of a gradient of ones: each clips by the norm of both."""
    spec = spec_with(Layout(shards=2), clip=Clip(norm=1.0))
    (place,) = spec.partition.places
    spans, sums = shard_spans(place, 0, 2), (1.0, 1.0)
    values = [gradient(1.0, (), s.start, s.stop - s.start) for s in spans]
    owners = [owner(0.0, s.stop - s.start) for s in spans]
    norms = [step.measure_norm(spec, s, o, sums, v) for s, o, v in zip(spans, owners, values, strict=True)]
    assert norms == pytest.approx([np.sqrt(320), np.sqrt(304)])
    for span, held, value in zip(spans, owners, values, strict=True):
        state = step.update_part(spec, span, 0.1, False, held, sums, norms, value).state
        np.testing.assert_allclose(state.params, -0.1 / np.sqrt(SIZE))


@pytest.mark.parametrize(
    "sums, value, message",
    [
        ((), 1.0, r"^step 5: the weights of the batch have no sum$"),
        ((1.0, float("nan")), 1.0, r"^step 5: the weights of the batch have no sum$"),
        (
            (1.0, 1.0),
            float("inf"),
            r"^step 5: the norm of the gradient is inf; that of parameter 1\.weight is not",
        ),
    ],
)
def test_what_is_not_finite_is_named(sums: tuple[float, ...], value: float, message: str) -> None:
    spec = spec_with(clip=Clip(norm=1.0))
    with pytest.raises(NotFiniteError, match=message):
        step.update(spec, 0.1, False, owner(), gradient(value, sums))


@pytest.mark.parametrize(
    "ranges, start, size, expected",
    [
        ([(0, 4), (8, 12)], 0, 20, [(0, 4), (8, 12)]),
        ([(0, 4), (8, 12)], 2, 8, [(0, 2), (6, 8)]),
        ([(0, 4), (8, 12)], 4, 4, []),
    ],
)
def test_ranges_within_a_part(ranges: Any, start: int, size: int, expected: list[tuple[int, int]]) -> None:
    assert step.extents(ranges, start, size) == expected


def test_shards_and_places_are_put_together() -> None:
    shards = [
        Lane(State(5, np.full(n, value), {"mean": np.zeros(n)})) for n, value in ((320, 1.0), (304, 2.0))
    ]
    gathered = step.gather_parameters(*shards).state
    assert gathered.slots == {} and gathered.params.tolist() == [1.0] * 320 + [2.0] * 304
    spec = spec_with(Layout(stages=2))
    spans = [Span(0, 0, 528), Span(1, 0, 96)]
    held = [Lane(State(5, np.full(n, v), {"mean": np.full(n, -v)})) for n, v in ((528, 1.0), (96, 2.0))]
    state = step.gather_state(spec, spans, *held).state
    assert set(state.params[:512]) == {1.0} and set(state.params[528:608]) == {2.0}
    assert set(state.slots["mean"][528:608]) == {-2.0}


def test_logs_of_replicas_are_added_step_by_step() -> None:
    one = Lane(State(2, np.zeros(1), {}, (Logged(0, (1.0, 1.0), (0,)), Logged(1, (2.0, 1.0), (1,)))))
    other = Lane(State(2, np.zeros(1), {}, (Logged(0, (3.0, 1.0), (2,)), Logged(1, (4.0, 1.0), (0,)))))
    assert step.report(one, other) == (Logged(0, (4.0, 2.0), (0, 2)), Logged(1, (6.0, 2.0), (1, 0)))
    assert step.report(one) == one.state.log
