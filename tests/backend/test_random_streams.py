"""Random numbers depend on what is drawn, not on how it is cut."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from daskpar.backend.random import PURPOSES, generator, init_rng, place_id, uniform16, whole_numbers

derandomized = settings(derandomize=True, deadline=None, max_examples=60)


@derandomized
@given(
    seed=st.integers(0, 2**64 - 1),
    step=st.integers(0, 10**9),
    path=st.lists(st.integers(0, 200), max_size=3).map(tuple),
    row=st.integers(0, 2**40),
    columns=st.integers(1, 70),
    pieces=st.lists(st.integers(0, 9), min_size=1, max_size=6),
)
def test_any_split_of_rows_draws_the_same_numbers(seed, step, path, row, columns, pieces):
    whole = uniform16(seed, step, path, row, sum(pieces), columns)
    assert whole.shape == (sum(pieces), columns) and whole.dtype == np.uint16
    starts = itertools.accumulate(pieces, initial=row)
    parts = [uniform16(seed, step, path, at, n, columns) for at, n in zip(starts, pieces, strict=False)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@derandomized
@given(
    seed=st.integers(0, 2**64 - 1),
    step=st.integers(0, 10**9),
    path=st.lists(st.integers(0, 200), max_size=3).map(tuple),
    row=st.integers(0, 2**40),
    below=st.lists(st.integers(1, 2**31), min_size=1, max_size=8).map(tuple),
    pieces=st.lists(st.integers(0, 9), min_size=1, max_size=6),
)
def test_any_split_of_rows_draws_the_same_whole_numbers(seed, step, path, row, below, pieces):
    whole = whole_numbers(seed, step, path, row, sum(pieces), below)
    assert whole.shape == (sum(pieces), len(below)) and whole.dtype == np.int64
    assert (whole >= 0).all() and (whole < below).all()
    starts = itertools.accumulate(pieces, initial=row)
    parts = [whole_numbers(seed, step, path, at, n, below) for at, n in zip(starts, pieces, strict=False)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


BASE = {"seed": 1, "step": 2, "path": (3, 4), "row": 0}
OTHERS = [
    {"seed": 0}, {"seed": 2}, {"seed": 2**63 + 1}, {"step": 1}, {"step": 3}, {"path": (4, 3)}, {"path": (3,)},
    {"path": (3, 4, 0)}, {"path": ()}, {"path": (0, 3, 4)}, {"row": 500},
]  # fmt: skip


@pytest.mark.parametrize("change", OTHERS, ids=str)
def test_another_name_is_another_stream(change):
    one = uniform16(**BASE, rows=50, columns=33).astype(float).ravel()
    other = uniform16(**(BASE | change), rows=50, columns=33).astype(float).ravel()
    assert np.mean(one == other) < 0.01
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


@pytest.mark.parametrize("change", OTHERS, ids=str)
def test_another_name_is_another_stream_of_whole_numbers(change):
    below = (2**30,) * 8
    one = whole_numbers(**BASE, rows=200, below=below).astype(float).ravel()
    other = whole_numbers(**(BASE | change), rows=200, below=below).astype(float).ravel()
    assert np.mean(one == other) < 0.01
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


def test_whole_numbers_are_uniform_and_independent():
    below = (2, 7, 100, 2, 3, 5, 9, 64)
    draws = whole_numbers(5, 7, (1,), 0, 50_000, below)
    for numbers, count in zip(draws.T, below, strict=True):
        expected = len(draws) / count
        found = np.bincount(numbers, minlength=count)
        chi_square = float(((found - expected) ** 2 / expected).sum())
        assert abs(chi_square - (count - 1)) < 4 * np.sqrt(2 * (count - 1)) + 2
    assert np.abs(np.corrcoef(draws.T) - np.eye(8)).max() < 0.02


def test_whole_numbers_are_those_of_philox():
    """What a checkpoint resumes with: these never change."""
    philox = np.random.Philox(
        key=np.array([42, PURPOSES["augment"]], np.uint64),
        counter=np.array([5, 0, place_id((1, 2)), 9], np.uint64),
    )
    halves = [int(w) >> shift & 0xFFFFFFFF for w in philox.random_raw(4) for shift in (0, 32)]
    expected = [half * 1000 >> 32 for half in halves]
    assert whole_numbers(42, 9, (1, 2), 5, 1, (1000,) * 8)[0].tolist() == expected
    assert expected[:3] == [245, 67, 694]


def test_a_ninth_whole_number_is_refused():
    with pytest.raises(TypeError, match="at most eight whole numbers are drawn for a row, got 9"):
        whole_numbers(0, 0, (), 0, 1, (2,) * 9)


def test_rows_of_one_stream_do_not_repeat():
    draws = uniform16(0, 0, (), 0, 1000, 16)
    assert len(np.unique(draws, axis=0)) == 1000


def test_numbers_are_uniform():
    draws = uniform16(5, 7, (1,), 0, 1000, 1000)
    counts = np.bincount(draws.ravel() >> 8, minlength=256)
    expected = draws.size / 256
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert 180 < chi_square < 340  # 255 degrees of freedom: 3.3 standard deviations either way
    assert abs(np.mean(draws >= 19661) - 0.7) < 2e-3
    assert abs(np.mean(draws & 1) - 0.5) < 2e-3


def test_numbers_are_those_of_philox():
    """What a checkpoint resumes with: these never change."""
    philox = np.random.Philox(
        key=np.array([42, PURPOSES["dropout"]], np.uint64),
        counter=np.array([5 * 2, 0, place_id((1, 2)), 9], np.uint64),
    )
    words = philox.random_raw(8)
    expected = [int(w) >> shift & 0xFFFF for w in words for shift in (0, 16, 32, 48)]
    np.testing.assert_array_equal(uniform16(42, 9, (1, 2), 5, 1, 20)[0], expected[:20])
    assert uniform16(42, 9, (1, 2), 5, 1, 3)[0].tolist() == [36973, 1071, 17576]


def test_places_have_numbers_of_their_own():
    paths = [path for depth in range(4) for path in itertools.product(range(12), repeat=depth)]
    assert len({place_id(path) for path in paths}) == len(paths)


DRAWS = [
    (0, "order"), (1, "order"), (0, "split"), (0, "dropout"), (0, "augment"), (0, "order", 1),
    (0, "order", 0, 1), (0, "order", 0, 0, 1), (0, "order", 1, 1), (0, "order", 2, 1, 3),
]  # fmt: skip


def test_generators_are_named_by_seed_purpose_and_index():
    draws = [generator(*draw).random(4).tolist() for draw in DRAWS]
    assert len({tuple(d) for d in draws}) == len(DRAWS)
    assert draws == [generator(*draw).random(4).tolist() for draw in DRAWS]


def test_parents_of_initial_parameters_are_named_by_the_seed():
    def draws(seed):
        return [child.random() for child in init_rng(seed).spawn(3)]

    assert draws(5) == draws(5)
    assert len({*draws(5), *draws(6), *draws(-1)}) == 9


def test_a_fourth_index_is_refused():
    with pytest.raises(TypeError, match=r"at most three indices, got \(1, 2, 3, 4\)"):
        generator(0, "order", 1, 2, 3, 4)
