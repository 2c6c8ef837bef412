"""Learning rate factors at chosen steps."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from daskpar.errors import InputError
from daskpar.optim import Constant, Cosine, Exponential, Linear, OneCycle, ReduceOnPlateau, Step
from daskpar.optim.schedules import SCHEDULES

ROOT = math.sqrt(0.5)
TABLE = [
    (Constant(), 100, {0: 1.0, 50: 1.0, 99: 1.0}),
    (Linear(), 100, {0: 1.0, 25: 0.75, 50: 0.5, 99: 0.01, 100: 0.0, 150: 0.0}),
    (Linear(floor=0.2), 10, {0: 1.0, 5: 0.6, 9: 0.28, 10: 0.2, 99: 0.2}),
    (Step(every=10, factor_each=0.5), 40, {0: 1.0, 9: 1.0, 10: 0.5, 19: 0.5, 20: 0.25, 39: 0.125}),
    (Step(), 5000, {999: 1.0, 1000: 0.1, 2000: 0.01}),
    (Exponential(every=10, factor_each=0.25), 40, {0: 1.0, 5: 0.5, 10: 0.25, 15: 0.125, 20: 0.0625}),
    (Cosine(), 100, {0: 1.0, 25: (1 + ROOT) / 2, 50: 0.5, 75: (1 - ROOT) / 2, 100: 0.0, 200: 0.0}),
    (Cosine(floor=0.5), 100, {0: 1.0, 50: 0.75, 100: 0.5, 200: 0.5}),
    (
        OneCycle(peak_at=0.25, start=0.1, floor=0.0),
        80,
        {0: 0.1, 10: 0.55, 20: 1.0, 35: (1 + ROOT) / 2, 50: 0.5, 65: (1 - ROOT) / 2, 80: 0.0, 99: 0.0},
    ),
    (OneCycle(), 10, {0: 0.04, 3: 1.0, 10: 1e-5}),
    (OneCycle(peak_at=0.0, floor=0.5), 10, {0: 1.0, 5: 0.75, 10: 0.5}),
    (OneCycle(peak_at=1.0, start=0.0), 10, {0: 0.0, 5: 0.5, 10: 1.0}),
    (ReduceOnPlateau(), 10, {0: 1.0, 9: 1.0}),
    (Constant(warmup=4), 10, {0: 0.2, 1: 0.4, 2: 0.6, 3: 0.8, 4: 1.0, 9: 1.0}),
    (Linear(warmup=10), 30, {0: 1 / 11, 9: 10 / 11, 10: 1.0, 20: 0.5, 30: 0.0}),
    (Cosine(warmup=1), 3, {0: 0.5, 1: 1.0, 2: 0.5, 3: 0.0}),
    (Step(warmup=5, every=10, factor_each=0.5), 40, {4: 5 / 6, 5: 1.0, 14: 1.0, 15: 0.5}),
    (Linear(warmup=10), 5, {0: 1 / 11, 4: 5 / 11, 10: 1.0, 11: 0.0}),
]
CASES = [(schedule, total, step, value) for schedule, total, at in TABLE for step, value in at.items()]


def test_every_registered_schedule_is_in_the_table():
    assert set(SCHEDULES.values()) == {type(schedule) for schedule, *_ in TABLE}


@pytest.mark.parametrize("schedule, total, step, value", CASES, ids=str)
def test_factor(schedule, total, step, value):
    assert schedule.factor(step, total) == pytest.approx(value, rel=1e-12, abs=1e-15)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(step=st.integers(0, 300), total=st.integers(1, 200), warmup=st.integers(0, 50))
@pytest.mark.parametrize("kind", SCHEDULES)
def test_factors_are_from_0_to_1_and_warmup_shifts(kind, step, total, warmup):
    plain = SCHEDULES[kind]()
    warm = replace(plain, warmup=warmup)
    assert 0 <= warm.factor(step, total) <= 1
    assert warm.factor(step + warmup, total + warmup) == plain.factor(step, total)
    rise = [warm.factor(i, total) for i in range(warmup)]
    assert rise == sorted(rise) and all(0 < f < 1 for f in rise)


REFUSED = [
    (lambda: Linear(warmup=-1), "schedule linear.warmup=-1 must not be negative"),
    (lambda: Linear(floor=1.5), "schedule linear.floor=1.5 must be from 0 to 1"),
    (lambda: Step(every=0), "schedule step.every=0 must be at least 1"),
    (lambda: Exponential(factor_each=-0.1), "schedule exponential.factor_each=-0.1 must be from 0 to 1"),
    (lambda: OneCycle(peak_at=2.0), "schedule one_cycle.peak_at=2.0 must be from 0 to 1"),
    (lambda: OneCycle(start=-1.0), "schedule one_cycle.start=-1.0 must be from 0 to 1"),
    (lambda: ReduceOnPlateau(patience=0), "schedule reduce_on_plateau.patience=0 must be at least 1"),
]


@pytest.mark.parametrize("make, message", REFUSED, ids=[message for _, message in REFUSED])
def test_refuses(make, message):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == message
