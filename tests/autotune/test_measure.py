"""Times of operations, by a clock that a test moves, and the weights of lanes that follow from them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from specs import spec_of

from daskpar import Layout
from daskpar.autotune import measure
from daskpar.autotune.measure import lane_weights, operation_times
from daskpar.nn import operations as program


def clock(monkeypatch: pytest.MonkeyPatch, ticks: list[float]) -> list[str]:
    """Let each pass through an operation take the next of these times; returns the passes as they come."""
    now, passes = [0.0], []

    def passing(verb: str) -> None:
        original = getattr(program, verb)

        def timed(*arguments: Any, **more: Any) -> Any:
            passes.append(f"{verb} {arguments[1][0]}")
            now[0] += ticks[(len(passes) - 1) % len(ticks)]
            return original(*arguments, **more)

        monkeypatch.setattr(measure.program, verb, timed)

    passing("forward")
    passing("backward")
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    return passes


def test_an_operation_takes_its_forward_and_its_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(Layout())
    passes = clock(monkeypatch, [1.0, 2.0, 3.0, 4.0, 50.0, 60.0, 70.0, 80.0])
    assert operation_times(spec, spec.partition.program, 4) == [81.0, 72.0, 63.0, 54.0]
    round_of = [*(f"forward {i}" for i in range(4)), *(f"backward {i}" for i in (3, 2, 1, 0))]
    assert passes == 5 * round_of


def test_the_best_of_the_rounds_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(Layout())
    slow, fast = [9.0] * 8, [1.0] * 8
    clock(monkeypatch, [*slow, *slow, *fast, *slow, *slow])
    assert operation_times(spec, spec.partition.program, 4) == [2.0] * 4


def test_a_model_of_characters_is_measured_too() -> None:
    spec = spec_of(Layout(), ["flatten", {"dense": 4}, {"dense": 10}])
    times = operation_times(spec, spec.partition.program, 3)
    assert len(times) == 3 and min(times) >= 0


@pytest.mark.parametrize(
    "layout, seconds, expected",
    [
        (Layout(data=2), [0.1, 0.3], (3.0, 1.0)),
        (Layout(data=4), [0.1, 0.1], (1.0, 1.0, 1.0, 1.0)),
        (Layout(data=4), [0.1, 0.2], (2.0, 2.0, 1.0, 1.0)),  # two lanes a worker
        (Layout(data=3), [0.1, 0.1], (1.0, 1.0, 2.0)),  # the second worker has one lane, at its whole speed
        (Layout(data=1), [0.5], (1.0,)),
    ],
)
def test_weights_are_speeds_shared_by_the_lanes_of_a_worker(
    layout: Layout, seconds: list[float], expected: tuple[float, ...]
) -> None:
    assert lane_weights(layout, seconds) == expected
