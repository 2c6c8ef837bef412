"""The order in which rows are drawn: every row once an epoch, the same batches for any number of lanes."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from daskpar.data import sampler as module
from daskpar.data.chunk import Chunk, draw
from daskpar.data.sampler import KINDS, Sampler, choose_streams, stratify
from daskpar.errors import InputError
from daskpar.layout.layout import Layout

known = settings(max_examples=60, deadline=None, derandomize=True)


def divisors(n):
    return [d for d in range(1, n + 1) if n % d == 0]


@st.composite
def orders(draw_from, kinds=KINDS, drop_last=None):
    rows = draw_from(st.integers(1, 160))
    batch = draw_from(st.integers(1, rows))
    return Sampler(
        rows,
        batch,
        draw_from(st.sampled_from(divisors(batch))),
        draw_from(st.integers(1, rows)),
        draw_from(st.sampled_from(kinds)),
        draw_from(st.integers(0, 3)),
        draw_from(st.booleans()) if drop_last is None else drop_last,
    )


def labels_of(rows, classes=3):
    return np.random.default_rng(rows).integers(0, classes, rows)


def batch(order, epoch, step, streams=None, labels=None):
    """The numbers of the rows in a batch, drawn as the tasks draw them."""
    labels = labels_of(order.rows) if labels is None else labels
    numbers = np.arange(order.rows)
    pieces = order.pieces(epoch, step, streams or range(order.streams))
    chunks = [Chunk(numbers[where], labels[where]) for where in (order.positions(*p[:2]) for p in pieces)]
    if not chunks:
        return numbers[:0]
    drawn = draw(order, epoch, pieces, chunks)
    np.testing.assert_array_equal(drawn.y, labels[drawn.x])
    return drawn.x


def epoch_of(order, epoch, **how):
    return [batch(order, epoch, step, **how) for step in range(order.steps)]


def forget():
    """So that a second draw is a second draw."""
    module._chunk_order.cache_clear()
    module._row_orders.clear()


@known
@given(orders(drop_last=False), st.integers(0, 3))
def test_every_row_once_an_epoch(order, epoch):
    batches = epoch_of(order, epoch)
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(order.rows))
    assert [len(b) for b in batches[:-1]] == [order.batch] * (order.steps - 1)
    assert 0 < len(batches[-1]) <= order.batch


@known
@given(orders(drop_last=True), st.integers(0, 3))
def test_without_the_last_batch_no_row_twice(order, epoch):
    batches = epoch_of(order, epoch)
    drawn = np.concatenate(batches)
    assert [len(b) for b in batches] == [order.batch] * (order.rows // order.batch)
    assert len(np.unique(drawn)) == len(drawn)


@known
@given(orders(), st.integers(0, 2), st.data())
def test_lanes_share_the_batch(order, epoch, data):
    layout = Layout(data=data.draw(st.sampled_from(divisors(order.streams))))
    step = data.draw(st.integers(0, order.steps - 1))
    shares = [layout.streams(lane, order.streams) for lane in range(layout.data)]
    assert [s for share in shares for s in share] == list(range(order.streams))
    parts = [batch(order, epoch, step, share) for share in shares]
    np.testing.assert_array_equal(np.concatenate(parts), batch(order, epoch, step))
    assert [order.count(step, share) for share in shares] == [len(part) for part in parts]
    assert order.count(step, range(order.streams)) == sum(map(len, parts))


@known
@given(orders())
def test_chunks_cut_the_rows(order):
    places = [
        (stream, chunk) for stream in range(order.streams) for chunk in range(len(order.bounds(stream)) - 1)
    ]
    chunks = [np.arange(order.rows)[order.positions(*place)] for place in places]
    np.testing.assert_array_equal(np.sort(np.concatenate(chunks)), np.arange(order.rows))
    sizes = [len(chunk) for chunk in chunks]
    assert max(sizes) <= order.chunk_rows
    for stream in range(order.streams):
        own = [n for n, place in zip(sizes, places, strict=True) if place[0] == stream]
        assert sum(own) == order.size(stream) and max(own) - min(own) <= 1


@known
@given(orders(kinds=["uniform"]), st.integers(0, 2))
def test_uniform_is_in_order(order, epoch):
    for step, rows in enumerate(epoch_of(order, epoch)):
        first = step * order.batch
        np.testing.assert_array_equal(rows, np.arange(first, min(first + order.batch, order.rows)))


@pytest.mark.parametrize("kind", ["random", "stratified"])
@pytest.mark.parametrize("chunk_rows", [1, 7, 1000], ids=["order of chunks", "both", "order of rows"])
def test_shuffled_anew_each_epoch_and_the_same_again(kind, chunk_rows):
    def run(seed):
        forget()
        order = Sampler(120, 12, 4, chunk_rows, kind, seed)
        return [np.concatenate(epoch_of(order, epoch)).tolist() for epoch in range(3)]

    one, again, other = run(seed=1), run(seed=1), run(seed=2)
    assert one == again
    assert len({tuple(rows) for rows in [*one, *other, list(range(120))]}) == 7


def test_an_epoch_of_its_own_asks_nothing_of_those_before():
    order = Sampler(90, 9, 3, 10, "random", 5)
    forget()
    alone = batch(order, 7, 4)
    forget()
    for epoch in range(8):
        epoch_of(order, epoch)
    np.testing.assert_array_equal(batch(order, 7, 4), alone)


def test_row_orders_do_not_pile_up():
    order = Sampler(64, 8, 8, 1, "random")
    for epoch in range(20):
        epoch_of(order, epoch)
    assert len(module._row_orders) <= 512


@known
@given(st.integers(1, 200), st.integers(1, 6), st.integers(0, 5), st.data())
def test_every_stretch_holds_the_classes_in_proportion(rows, classes, seed, data):
    labels = np.random.default_rng(seed).integers(0, classes, rows) ** 2
    found = stratify(labels, np.random.default_rng(seed + 1))
    np.testing.assert_array_equal(np.sort(found), np.arange(rows))
    start = data.draw(st.integers(0, rows))
    stretch = labels[found][start : data.draw(st.integers(start, rows))]
    present, counts = np.unique(labels, return_counts=True)
    for value, count in zip(present, counts, strict=True):
        share = count / rows
        assert abs((stretch == value).sum() - share * len(stretch)) <= 2 * (1 + share * len(present))


@pytest.mark.parametrize("streams, bound", [(1, 3), (4, 5), (16, 8)])
def test_stratified_batches(streams, bound):
    """Within `bound` rows of 64 of every class's share, and closer than at random."""
    labels = np.repeat([0, 1, 2, 3], [700, 200, 80, 44])
    labels = labels[stratify(labels, np.random.default_rng(0))]  # as a stratified Part hands them on
    share = np.bincount(labels) / len(labels)

    def far(kind):
        order = Sampler(1024, 64, streams, 100, kind, 3)
        counts = [np.bincount(labels[b], minlength=4) for b in epoch_of(order, 0, labels=labels)]
        return np.abs(np.array(counts) - 64 * share)

    assert far("stratified").max() <= bound
    assert far("stratified").mean() < 0.75 * far("random").mean()


def test_stratified_by_one_hot_targets():
    labels = labels_of(60)
    order = Sampler(60, 12, 2, 30, "stratified")
    plain = epoch_of(order, 1, labels=labels)
    hot = epoch_of(order, 1, labels=np.eye(3)[labels])
    np.testing.assert_array_equal(np.concatenate(plain), np.concatenate(hot))


@pytest.mark.parametrize(
    "batch, by_lanes",
    [
        (64, {1: 16, 2: 16, 4: 16, 8: 16, 16: 16, 32: 32}),
        (48, {1: 16, 2: 16, 3: 12, 4: 16, 6: 12, 8: 16}),
        (60, {1: 12, 2: 12, 3: 12, 4: 12, 5: 10, 6: 12}),
        (100, {1: 4, 2: 4, 4: 4, 5: 10, 20: 20}),
        (50, {1: 10, 2: 10, 5: 10}),
        (75, {1: 15, 3: 15, 5: 15}),
        (7, {1: 7, 7: 7}),
        (17, {1: 1, 17: 17}),
        (1, {1: 1}),
    ],
)
def test_streams_by_batch_and_lanes(batch, by_lanes):
    assert {lanes: choose_streams(batch, lanes) for lanes in by_lanes} == by_lanes


@known
@given(st.integers(1, 600), st.integers(0, 4))
def test_streams_are_the_same_for_lanes_by_twos(batch, twos):
    lanes = 2**twos
    assume(batch % lanes == 0)
    streams = choose_streams(batch, lanes)
    assert streams == choose_streams(batch, 1)
    assert batch % streams == 0 and streams % lanes == 0 and streams <= 16


@pytest.mark.parametrize(
    "batch, lanes, near",
    [(128, 3, "1, 2, 4, 8"), (64, 48, "8, 16, 32, 64"), (7, 2, "1, 7"), (1, 2, "1"), (100, 7, "2, 4, 5, 10")],
)
def test_lanes_that_cannot_share_a_batch(batch, lanes, near):
    with pytest.raises(InputError) as error:
        choose_streams(batch, lanes)
    assert str(error.value) == f"layout.data={lanes} does not divide train.batch={batch}; use e.g. {near}"


def test_a_batch_larger_than_the_data():
    with pytest.raises(InputError, match=r"^train.batch=11 is larger than the 10 rows of training data$"):
        Sampler(10, 11, 1, 10)


def test_steps():
    for rows, size, drop_last, steps in [
        (10, 3, False, 4),
        (10, 3, True, 3),
        (9, 3, False, 3),
        (5, 5, True, 1),
    ]:
        assert Sampler(rows, size, 1, 10, drop_last=drop_last).steps == steps
        assert steps == (rows // size if drop_last else math.ceil(rows / size))
