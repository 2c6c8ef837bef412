"""One table drives the tests of every optimizer, against formulas of one tensor at a time."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from device import DeviceArray, convert, download, leaves, upload, without, xp
from hypothesis import given, settings, strategies as st

from daskpar.errors import InputError
from daskpar.nn import ParameterTable
from daskpar.optim import LAMB, LARS, SGD, Adagrad, Adam, AdamW, Optimizer, RMSProp, Tensors
from daskpar.optim.registry import OPTIMIZERS


def sgd(o, decays):
    """A formula holds its own state and returns the parameters after step `t`, which counts from 1."""
    velocity = 0.0

    def after(p, g, t, lr):
        nonlocal velocity
        g = g + decays * o.weight_decay * p
        velocity = o.momentum * velocity + g
        return p - lr * (g + o.momentum * velocity if o.nesterov else velocity)

    return after


def adagrad(o, decays):
    total = 0.0

    def after(p, g, t, lr):
        nonlocal total
        g = g + decays * o.weight_decay * p
        total = total + g**2
        return p - lr * g / (np.sqrt(total) + o.epsilon)

    return after


def rmsprop(o, decays):
    mean = velocity = 0.0

    def after(p, g, t, lr):
        nonlocal mean, velocity
        g = g + decays * o.weight_decay * p
        mean = o.decay * mean + (1 - o.decay) * g**2
        velocity = o.momentum * velocity + g / (np.sqrt(mean) + o.epsilon)
        return p - lr * velocity

    return after


def moments(o):
    """Adam's step for lr = 1."""
    mean = square = 0.0

    def move(g, t):
        nonlocal mean, square
        mean = o.beta1 * mean + (1 - o.beta1) * g
        square = o.beta2 * square + (1 - o.beta2) * g**2
        return mean / (1 - o.beta1**t) / (np.sqrt(square / (1 - o.beta2**t)) + o.epsilon)

    return move


def adam(o, decays):
    move = moments(o)
    return lambda p, g, t, lr: p - lr * move(g + decays * o.weight_decay * p, t)


def adamw(o, decays):
    move = moments(o)
    return lambda p, g, t, lr: p * (1 - decays * lr * o.weight_decay) - lr * move(g, t)


def lamb(o, decays):
    move = moments(o)

    def after(p, g, t, lr):
        r = move(g, t)
        if decays:
            r = r + o.weight_decay * p
            r = r * np.linalg.norm(p) / np.linalg.norm(r)
        return p - lr * r

    return after


def lars(o, decays):
    velocity = 0.0

    def after(p, g, t, lr):
        nonlocal velocity
        if decays:
            size, slope = np.linalg.norm(p), np.linalg.norm(g)
            g = o.trust * size / (slope + o.weight_decay * size) * (g + o.weight_decay * p)
        velocity = o.momentum * velocity + lr * g
        return p - velocity

    return after


TABLE = [
    ("sgd", SGD(), sgd),
    ("sgd decay", SGD(weight_decay=0.1), sgd),
    ("momentum", SGD(momentum=0.9, weight_decay=0.1), sgd),
    ("nesterov", SGD(momentum=0.8, nesterov=True, weight_decay=0.1), sgd),
    ("adagrad", Adagrad(), adagrad),
    ("adagrad decay", Adagrad(epsilon=1e-3, weight_decay=0.1), adagrad),
    ("rmsprop", RMSProp(), rmsprop),
    ("rmsprop momentum", RMSProp(decay=0.9, momentum=0.9, weight_decay=0.1), rmsprop),
    ("adam", Adam(), adam),
    ("adam decay", Adam(beta1=0.8, beta2=0.9, epsilon=1e-3, weight_decay=0.1), adam),
    ("adam without memory", Adam(beta1=0.0, beta2=0.0), adam),
    ("adamw", AdamW(), adamw),
    ("adamw strong", AdamW(weight_decay=0.5, beta1=0.5), adamw),
    ("lamb", LAMB(), lamb),
    ("lamb without decay", LAMB(weight_decay=0.0, beta1=0.5, epsilon=1e-3), lamb),
    ("lars", LARS(), lars),
    ("lars strong", LARS(momentum=0.5, weight_decay=0.1, trust=0.1), lars),
]
BY_TENSOR = (LAMB, LARS)
SHAPES = {
    "small": [(4, 5), (5,), (5, 3), (3,)],
    "past a block": [(200, 300), (300,), (2, 2), (300, 30), (30,)],
}
TABLES = {
    name: ParameterTable.of({str(i): np.empty(shape) for i, shape in enumerate(shapes)})
    for name, shapes in SHAPES.items()
}


@pytest.fixture(params=TABLE, ids=lambda row: row[0])
def row(request):
    return request.param


@pytest.fixture
def optimizer(row):
    return row[1]


@pytest.fixture(params=TABLES)
def table(request):
    return TABLES[request.param]


def arrays(table, dtype=np.float64):
    """A flat buffer of parameters, and a gradient for each of four steps."""
    rng = np.random.default_rng(7)
    buffers = [{e.name: rng.standard_normal(e.shape) for e in table.entries} for _ in range(5)]
    params, *gradients = (table.pack(named, dtype) for named in buffers)
    return params, gradients


def tensors_of(table, start=0, stop=None):
    """Where the tensors lie in elements `start` to `stop` of the buffer."""
    stop = table.size if stop is None else stop

    def inside(ranges):
        cut = ((max(a, start) - start, min(b, stop) - start) for a, b in ranges)
        return tuple((a, b) for a, b in cut if a < b)

    return Tensors(inside(table.ranges), inside(table.decayed))


def rate(optimizer, step):
    return optimizer.lr * (1 - 0.1 * step)


def run(optimizer, params, gradients, tensors, donate=False):
    """(params, slots) after a step for each gradient."""
    slots = optimizer.init(params)
    for step, grads in enumerate(gradients):
        params, slots = optimizer.update(
            params, grads, slots, step, rate(optimizer, step), tensors, donate=donate
        )
    return params, slots


def assert_same(one, other):
    for a, b in zip(leaves(one), leaves(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_every_registered_optimizer_is_in_the_table():
    assert set(OPTIMIZERS.values()) == {type(optimizer) for _, optimizer, _ in TABLE}


def test_is_its_formula(row, table):
    _, optimizer, formula = row
    params, gradients = arrays(table)
    found = table.named(run(optimizer, params, gradients, tensors_of(table))[0])
    for entry in table.entries:
        expected, after = table.named(params)[entry.name], formula(optimizer, float(entry.decays))
        for step, grads in enumerate(gradients):
            expected = after(expected, table.named(grads)[entry.name], step + 1, rate(optimizer, step))
        np.testing.assert_allclose(found[entry.name], expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes(optimizer, table, dtype):
    params, gradients = arrays(table, dtype)
    slots = optimizer.init(params)
    assert not any(slot.any() for slot in slots.values())
    updated, after = run(optimizer, params, gradients, tensors_of(table))
    assert after.keys() == slots.keys()
    for array in (updated, *slots.values(), *after.values()):
        assert array.shape == params.shape and array.dtype == dtype


def test_gaps_stay_zero(optimizer, table):
    params, gradients = arrays(table)
    gap = np.ones(table.size, bool)
    for start, stop in table.ranges:
        gap[start:stop] = False
    for array in leaves(run(optimizer, params, gradients, tensors_of(table))):
        assert not array[gap].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inputs_are_not_written_to(optimizer, dtype):
    table = TABLES["small"]
    params, gradients = arrays(table, dtype)
    _, slots = run(optimizer, params, gradients, tensors_of(table))
    given = params, gradients[0], slots
    before = convert(given, np.ndarray, np.copy)
    for array in leaves(given):
        array.flags.writeable = False
    results = optimizer.update(*given, 4, 0.1, tensors_of(table))
    assert_same(given, before)
    assert not any(np.shares_memory(a, b) for a in leaves(results) for b in leaves(given))


def test_what_is_donated_is_overwritten_with_the_same_result(optimizer, table):
    params, gradients = arrays(table, np.float32)
    expected = run(optimizer, params, gradients, tensors_of(table))
    own = params.copy()
    found = run(optimizer, own, [g.copy() for g in gradients], tensors_of(table), donate=True)
    assert_same(found, expected)
    assert found[0] is own


ELEMENTWISE = [row[:2] for row in TABLE if not isinstance(row[1], BY_TENSOR)]


@pytest.mark.parametrize("name, optimizer", ELEMENTWISE, ids=[name for name, _ in ELEMENTWISE])
def test_nothing_of_their_size_is_allocated_for_what_is_donated(name, optimizer):
    params, grads = np.ones(2**20, np.float32), np.ones(2**20, np.float32)
    slots, tensors = optimizer.init(params), Tensors(((0, 2**20),), ((0, 2**20),))
    tracemalloc.start()
    try:
        optimizer.update(params, grads, slots, 0, 0.1, tensors, donate=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < params.nbytes / 4


@settings(derandomize=True, deadline=None, max_examples=25)
@given(data=st.data())
@pytest.mark.parametrize("name", [name for name, optimizer, _ in TABLE])
def test_a_shard_alone_is_its_slice_of_the_whole(name, data):
    optimizer = next(row[1] for row in TABLE if row[0] == name)
    table = TABLES["small"]
    params, gradients = arrays(table, np.float32)
    places = [e.start for e in table.entries] if isinstance(optimizer, BY_TENSOR) else range(table.size)
    cuts = sorted(data.draw(st.sets(st.sampled_from(places), max_size=4), label="cuts") - {0})
    whole = run(optimizer, params, gradients, tensors_of(table))
    for start, stop in pairwise((0, *cuts, table.size)):
        shard = slice(start, stop)
        pieces = [g[shard] for g in gradients]
        alone = run(optimizer, params[shard], pieces, tensors_of(table, start, stop))
        assert_same(alone, convert(whole, np.ndarray, lambda array, at=shard: array[at]))


def test_a_long_shard_alone_is_its_slice_of_the_whole(optimizer):
    table = TABLES["past a block"]
    params, gradients = arrays(table, np.float32)
    cut = table.entries[2].start if isinstance(optimizer, BY_TENSOR) else 33_333
    whole = run(optimizer, params, gradients, tensors_of(table))
    alone = run(optimizer, params[cut:], [g[cut:] for g in gradients], tensors_of(table, cut))
    assert_same(alone, convert(whole, np.ndarray, lambda array: array[cut:]))


@pytest.mark.parametrize("module", [np, xp], ids=["numpy", "device"])
def test_an_empty_shard_stays_empty(optimizer, module):
    empty = module.empty(0, dtype=np.float32)
    for array in leaves(run(optimizer, empty, [empty], Tensors((), ()))):
        assert array.shape == (0,)


@pytest.mark.usefixtures("reference_kernels")
@pytest.mark.parametrize("dtype, other", [(np.float32, np.float64), (np.float64, np.float32)])
@pytest.mark.parametrize("donate", [False, True], ids=["kept", "donated"])
def test_state_stays_on_its_device_in_its_dtype(optimizer, table, dtype, other, donate):
    params, gradients = arrays(table, dtype)
    expected = run(optimizer, params, gradients, tensors_of(table))
    with without(other):
        found = run(optimizer, upload(params), upload(gradients), tensors_of(table), donate)
    assert all(isinstance(array, DeviceArray) for array in leaves(found))
    assert_same(download(found), expected)


@pytest.mark.parametrize("params, grads", [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_zeros_are_finite(optimizer, params, grads):
    ones, tensors = np.ones(16, np.float32), Tensors(((0, 16),), ((0, 16),))
    for array in leaves(run(optimizer, params * ones, [grads * ones] * 3, tensors)):
        assert np.isfinite(array).all()


@pytest.mark.parametrize(
    "optimizer, params, grads, expected",
    [
        (LARS(lr=0.5, weight_decay=0.0), 0.0, 1.0, -0.5),
        (LARS(lr=0.5, weight_decay=0.1), 1.0, 0.0, 0.95),
        (LAMB(lr=0.5, weight_decay=0.0, epsilon=1e-12), 0.0, 2.0, -0.5),
        (LAMB(lr=0.5, weight_decay=0.1), 1.0, 0.0, 0.5),
    ],
    ids=repr,
)
def test_without_a_size_or_a_slope_the_rate_is_the_plain_one(optimizer, params, grads, expected):
    ones, tensors = np.ones(16), Tensors(((0, 16),), ((0, 16),))
    found, _ = run(optimizer, params * ones, [grads * ones], tensors)
    np.testing.assert_allclose(found, expected)


REFUSED = [
    (lambda: SGD(lr=0), "sgd.lr=0 must be above zero"),
    (lambda: Adam(lr=float("nan")), "adam.lr=nan must be above zero"),
    (lambda: SGD(momentum=1.0), "sgd.momentum=1.0 must be at least 0 and below 1"),
    (lambda: SGD(nesterov=True), "sgd.nesterov needs a momentum"),
    (lambda: SGD(weight_decay=-0.1), "sgd.weight_decay=-0.1 must be at least 0 and below 1"),
    (lambda: Adam(beta1=1.0), "adam.beta1=1.0 must be at least 0 and below 1"),
    (lambda: AdamW(beta2=-1.0), "adamw.beta2=-1.0 must be at least 0 and below 1"),
    (lambda: RMSProp(decay=2.0), "rmsprop.decay=2.0 must be at least 0 and below 1"),
    (lambda: Adagrad(epsilon=0.0), "adagrad.epsilon=0.0 must be above zero"),
    (lambda: LAMB(epsilon=-1.0), "lamb.epsilon=-1.0 must be above zero"),
]


@pytest.mark.parametrize("make, message", REFUSED, ids=[message for _, message in REFUSED])
def test_refuses_hyper_parameters(make, message):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_the_contract_itself_updates_nothing():
    with pytest.raises(TypeError, match=r"^Optimizer does not define _in_place$"):
        run(Optimizer(), np.ones(2), [np.ones(2)], Tensors((), ()))
