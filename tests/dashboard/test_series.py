"""Series keep extremes, in bounded memory, and tell a reader what is new."""

from __future__ import annotations

import math

from hypothesis import given, strategies as st

from daskpar.dashboard.series import Series

values = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(st.lists(values, min_size=1, max_size=300), st.integers(2, 20))
def test_extremes_and_the_last_point_stay_exact(curve: list[float], most: int) -> None:
    series = Series(most)
    for step, value in enumerate(curve, 1):
        series.add(step, value, step)
    points = series.since(-1)
    assert points is not None and len(series) <= most and len(points.x) <= 2 * most + 1
    assert points.x == sorted(set(points.x)) and points.x[-1] == len(curve)
    for step, value in zip(points.x, points.y, strict=True):
        exact = curve[step - 1]
        assert value == exact if math.isfinite(exact) else value is None
    finite = [value for value in curve if math.isfinite(value)]
    if finite:
        shown = [value for value in points.y if value is not None]
        assert min(shown) == min(finite) and max(shown) == max(finite)


@given(st.lists(values, min_size=1, max_size=200), st.integers(2, 12), st.integers(1, 17))
def test_a_reader_who_polls_has_what_a_new_reader_gets(curve: list[float], most: int, every: int) -> None:
    series, seen, version = Series(most), {}, -1
    for step, value in enumerate(curve, 1):
        series.add(step, value, step)
        if step % every == 0 or step == len(curve):
            points = series.since(version)
            assert points is not None
            seen = {x: y for x, y in seen.items() if x < points.since_step}
            seen |= dict(zip(points.x, points.y, strict=True))
            version = step
    fresh = series.since(-1)
    assert fresh is not None and seen == dict(zip(fresh.x, fresh.y, strict=True))
    assert series.since(version) is None


def test_steps_that_are_repeated_replace_those_before() -> None:
    series = Series()
    for version, (step, value) in enumerate([(1, 5.0), (2, 4.0), (3, 3.0), (2, 9.0), (3, 8.0)]):
        series.add(step, value, version)
    points = series.since(-1)
    assert points is not None and (points.x, points.y) == ([1, 2, 3], [5.0, 9.0, 8.0])


def test_steps_far_apart_have_room() -> None:
    series = Series(most=4)
    for step in range(0, 10_000, 1000):
        series.add(step, float(step), step)
    assert len(series) <= 4 and series.since(-1).y[-1] == 9000.0
