"""Which rows serve training, validation and test: disjoint, covering, seeded."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from daskpar.data import Split, split
from daskpar.data.source import Source
from daskpar.errors import InputError


@dataclass(frozen=True)
class Counted(Source):
    """Examples that are the numbers of their rows, in `classes` classes of unequal size."""

    n: int
    classes: int = 3

    def arrays(self):
        x = np.arange(self.n)
        return x, np.minimum(x % (2 * self.classes), self.classes - 1)


def rows_of(part):
    return part.read(slice(0, part.rows))[0]


known = settings(max_examples=60, deadline=None, derandomize=True)
shares = st.sampled_from([0.0, 0.01, 0.1, 0.15, 0.2, 1 / 3, 0.45, 0.7])


@known
@given(st.integers(1, 300), shares, shares, st.integers(0, 3), st.booleans(), st.booleans())
def test_parts_cover_and_are_disjoint(n, validation, test, seed, stratified, shuffled):
    assume(validation + test < 1)
    try:
        parts = split(Counted(n), validation, test, seed, stratified, shuffled)
    except InputError as error:
        assert f"has zero rows of {n}; give it" in str(error) or f"leave none of {n} rows" in str(error)
        assert min(s for s in (validation, test, 1 - validation - test) if s) * n <= 1
        return
    assert [p is None for p in parts] == [False, not validation, not test]
    given_parts = [p for p in parts if p is not None]
    rows = [rows_of(p) for p in given_parts]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(n))
    assert [len(r) for r in rows] == [p.rows for p in given_parts]
    wanted = [share for share in (1 - validation - test, validation, test) if share]
    assert all(abs(len(r) - share * n) <= 1 for r, share in zip(rows, wanted, strict=True))


@pytest.mark.parametrize("stratified", [False, True])
def test_seeded(stratified):
    def drawn(seed):
        return [rows_of(part).tolist() for part in split(Counted(100), 0.2, 0.2, seed, stratified)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn(1)[2] != list(range(80, 100))


def test_unshuffled_parts_are_slices():
    parts = split(Counted(100), 0.1, 0.2, 0, stratified=False, shuffled=False)
    assert [part.where(slice(0, part.rows)) for part in parts] == [
        slice(0, 70),
        slice(70, 80),
        slice(80, 100),
    ]
    assert parts[1].where(np.array([0, 3])).tolist() == [70, 73]


def test_the_whole_is_read_as_it_lies():
    part = Split(Counted(10))
    assert part.rows == 10
    assert part.where(slice(2, 5)) == slice(2, 5)
    np.testing.assert_array_equal(part.where(np.array([4, 1])), [4, 1])


def test_shuffled_parts_are_read_in_order():
    """Reading a file front to back is cheaper, and the order of drawing shuffles anyway."""
    for part in split(Counted(100), 0.2, 0.2, 0, stratified=False):
        assert (np.diff(rows_of(part)) > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_stratified_parts_hold_the_classes_in_proportion(seed):
    source = Counted(600)
    share = np.bincount(source.labels()) / 600
    for part in split(source, 0.1, 0.2, seed, stratified=True):
        labels = part.read(slice(0, part.rows))[1]
        assert np.abs(np.bincount(labels) - share * part.rows).max() <= 2
        for start in range(0, part.rows - 30, 30):  # and so does every stretch
            stretch = np.bincount(labels[start : start + 30], minlength=3)
            assert np.abs(stretch - share * 30).max() <= 4


@pytest.mark.parametrize(
    "validation, test, message",
    [
        (1.0, 0.0, "data.validation=1.0 must be at least 0 and below 1"),
        (-0.1, 0.0, "data.validation=-0.1 must be at least 0 and below 1"),
        (0.0, 1.5, "data.test=1.5 must be at least 0 and below 1"),
        (0.5, 0.5, "data.validation=0.5 and data.test=0.5 leave no rows for training"),
        (0.01, 0.1, "data.validation has zero rows of 20; give it a larger share"),
        (0.1, 0.01, "data.test has zero rows of 20; give it a larger share"),
        (0.49, 0.5, "data.validation=0.49 and data.test=0.5 leave none of 20 rows for training"),
    ],
)
def test_splits_refused(validation, test, message):
    with pytest.raises(InputError) as error:
        split(Counted(20), validation, test, 0, False)
    assert str(error.value) == message


def test_stratified_needs_classes():
    @dataclass(frozen=True)
    class Numbers(Counted):
        def arrays(self):
            x, y = super().arrays()
            return x, y.astype(float)

    part = split(Numbers(20), 0.1, 0.1, 0, stratified=True)[0]
    with pytest.raises(
        InputError, match="distribution stratified needs integer classes, one a row; the targ"
    ):
        part.read(slice(0, 2))


def test_only_the_description_travels():
    part = split(Counted(100_000), 0.1, 0.1, 0, stratified=False)[0]
    part.read(slice(0, 5))
    packed = pickle.dumps(part)
    assert len(packed) < 600 and pickle.loads(packed) == part
