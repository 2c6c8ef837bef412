"""Every compiled kernel against its reference in float64, for sizes around those of a vector register."""

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import pairwise
from pkgutil import iter_modules
from threading import Barrier

import numpy as np
import pytest
from device import leaves
from hypothesis import given, settings, strategies as st
from numba.core.dispatcher import Dispatcher

from daskpar.backend import blas, kernels
from daskpar.backend.kernels import Kernels, numba as compiled, reference
from daskpar.backend.kernels.numba.kernel_cache import forget_outdated
from daskpar.backend.kernels.numba.vectors import LANES
from daskpar.backend.kernels.reference import Geometry

CHECKED = settings(max_examples=15, deadline=None, derandomize=True)
SIZES = st.sampled_from([1, 2, LANES - 1, LANES, LANES + 1, 2 * LANES, 3 * LANES, 3 * LANES + 5])
ROWS = st.sampled_from([0, 1, 2, 5])
WIDE = st.sampled_from([LANES, 2 * LANES, 3 * LANES])
CHANNELS = st.sampled_from([1, 3, LANES, 2 * LANES])
PIXELS = st.integers(1, 7)
UPDATED = {"sgd_update": (0,), "momentum_update": (0, 2), "adam_update": (0, 2, 3)}
UPDATED |= {"add_half": (2,)}
SUBTRACTED = {"cross_entropy": 1.0}  # takes numbers as large as this from one another
USED_UP = {
    name: {*places, 1} if name.endswith("_update") else set(places) for name, places in UPDATED.items()
}


@pytest.fixture(autouse=True)
def on_one_core():
    with blas.limit_threads(1):
        yield


def numbers(draw, *shape, sizes=(1e-6, 1e-2, 1.0, 1e3)):
    """Normal numbers of a size that is drawn, all of one size or of many."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = draw(st.sampled_from(sizes)) * rng.standard_normal(shape)
    if draw(st.booleans()):
        values *= 10.0 ** rng.uniform(-3, 0, shape)
    return values.astype(np.float32)


def integers(draw, below, *shape):
    return np.random.default_rng(draw(st.integers(0, 2**32))).integers(0, below, shape)


def activation(count):
    def arguments(draw):
        shape = (draw(ROWS), draw(SIZES))
        return [numbers(draw, *shape) for _ in range(count)]

    return arguments


def halves(draw):
    """Numbers of which halves leave nothing out; what they do leave out has a test of its own."""
    x = numbers(draw, draw(SIZES), sizes=(1e-2, 1.0)).astype(np.float16).astype(np.float32)
    return [x, np.zeros_like(x) if draw(st.booleans()) else None]


def add_half(draw):
    size = draw(SIZES)
    half = numbers(draw, size, sizes=(1e-2, 1.0)).astype(np.float16)
    return [half, draw(st.sampled_from([2.0**-20, 1.0, 2.0**9])), numbers(draw, size)]


def relu_backward(draw):
    x, dy = activation(2)(draw)
    return [np.maximum(x, 0), dy]


def layer_norm(draw):
    rows, features = draw(ROWS), draw(SIZES)
    return [numbers(draw, rows, 2, features), *(numbers(draw, features) for _ in range(2)), 1e-5]


def layer_norm_backward(draw):
    x, scale, shift, epsilon = layer_norm(draw)
    _, normal, inverse = reference.layer_norm(x, scale, shift, epsilon)
    return [numbers(draw, *x.shape), normal, inverse, scale]


def softmax_rows(draw):
    scores = numbers(draw, draw(ROWS), 2, draw(st.integers(1, 4)), draw(SIZES), sizes=(1e-6, 1.0, 10.0))
    mask = None if draw(st.booleans()) else integers(draw, 2, scores.shape[0], scores.shape[3]) == 1
    return [scores, draw(st.sampled_from([1.0, 0.125])), draw(st.booleans()), mask]


def softmax_backward(draw):
    scores, factor, causal, mask = softmax_rows(draw)
    return [reference.softmax_rows(scores, factor, causal, mask), numbers(draw, *scores.shape), factor]


def attention(draw):
    positions = draw(st.sampled_from([1, LANES, 2 * LANES, 2 * LANES + 3, 4 * LANES]))
    size, heads, rows = draw(st.sampled_from([6, 2 * LANES])), draw(st.integers(1, 3)), draw(ROWS)
    mask = integers(draw, 2, rows, positions) == 1 if draw(st.booleans()) else None
    drop = None
    if draw(st.booleans()):
        drop = 2.0 * integers(draw, 2, rows, heads, positions, positions).astype(np.float32)
    z = numbers(draw, rows, positions, 3, heads, size, sizes=(1e-3, 1.0))
    return [z, draw(st.sampled_from([1.0, 0.125])), draw(st.booleans()), mask, drop]


def attention_backward(draw):
    z, factor, causal, mask, drop = attention(draw)
    weights, merged = reference.attention(z, factor, causal, mask, drop)
    return [z, weights, numbers(draw, *merged.shape), factor, causal, drop]


def cross_entropy(draw):
    outputs = numbers(draw, draw(ROWS), draw(st.integers(1, 3)), draw(SIZES) + 1, sizes=(1e-6, 1.0, 10.0))
    return [
        outputs,
        integers(draw, outputs.shape[-1], *outputs.shape[:-1]),
        draw(st.sampled_from([0.0, 0.1])),
    ]


def scatter_rows(draw):
    shape, rows = (draw(ROWS), draw(st.integers(1, 6))), draw(st.integers(1, 9))
    return [integers(draw, rows, *shape), numbers(draw, *shape, draw(SIZES)), rows]


def geometry(draw, image, kernel, strides=((1, 1), (2, 1), (3, 4)), dilations=((1, 1),)):
    """A way to move over an image that gives an output."""
    dilation = draw(st.sampled_from(dilations))
    kernel = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    padding = draw(st.tuples(*[st.tuples(*[st.integers(0, (k - 1) // 2)] * 2) for k in kernel]))
    missing = [max(0, k - n - sum(pad)) for k, n, pad in zip(kernel, image, padding, strict=True)]
    padding = tuple((before + more, after) for (before, after), more in zip(padding, missing, strict=True))
    return Geometry(draw(st.sampled_from(strides)), padding, dilation)


def conv2d(draw):
    winograd = draw(st.booleans())
    kernel = (3, 3) if winograd else draw(st.sampled_from([(3, 3), (1, 2)]))
    channels, units = draw(st.tuples(WIDE, WIDE) if winograd else st.tuples(CHANNELS, CHANNELS))
    x = numbers(draw, draw(ROWS), draw(PIXELS), draw(PIXELS), channels)
    moves = {"strides": [(1, 1)]} if winograd else {"dilations": [(1, 1), (2, 1), (1, 3)]}
    how = geometry(draw, x.shape[1:3], kernel, **moves)
    bias = numbers(draw, units) if draw(st.booleans()) else None
    return [x, numbers(draw, *kernel, channels, units), bias, how, draw(st.booleans())]


def conv2d_backward(draw):
    x, weight, _, how, rectified = conv2d(draw)
    out = how.output(x.shape[1:3], weight.shape[:2])
    dy = numbers(draw, x.shape[0], *out, weight.shape[3])
    return [x, weight, dy, how, draw(st.booleans()), rectified]


def max_pool(draw):
    x = numbers(draw, draw(ROWS), draw(PIXELS), draw(PIXELS), draw(CHANNELS))
    if draw(st.booleans()):
        x = np.round(x)  # many are equal: the first of them counts
    size = draw(st.sampled_from([(2, 2), (3, 2), (1, 1)]))
    return [x, size, geometry(draw, x.shape[1:3], size)]


def max_pool_backward(draw):
    x, size, how = max_pool(draw)
    y, where = reference.max_pool(x, size, how)
    return [numbers(draw, *y.shape), where, x.shape[1:3], size, how]


def update(slots, *rest):
    def arguments(draw):
        size = draw(SIZES) * draw(st.sampled_from([1, 100]))
        arrays = [numbers(draw, size) for _ in range(2 + slots)]
        return [*arrays[:-1], abs(arrays[-1]), *rest] if slots == 2 else [*arrays, *rest]

    return arguments


def product(draw):
    """Sizes around those of a tile and of a panel of it; operands that lie by rows or by columns."""
    rows, columns = (draw(st.sampled_from([1, 7, 8, 9, 31, 33, 80])) for _ in range(2))
    inner = draw(st.sampled_from([3, LANES, LANES + 1, 100, 1025]))
    a, b = (
        numbers(draw, *shape) if draw(st.booleans()) else numbers(draw, *shape[::-1]).T
        for shape in ((rows, inner), (inner, columns))
    )
    bias = numbers(draw, columns) if draw(st.booleans()) else None
    where = numbers(draw, rows, columns) if draw(st.booleans()) else None
    return [a, b, None, bias, draw(st.booleans()), where]


def chain(draw):
    """(rows, sizes of the layers), and weights and biases for them."""
    rows = draw(st.sampled_from([1, 8, 19]))
    sizes = [draw(st.sampled_from([1, 10, LANES, 40])) for _ in range(draw(st.integers(2, 4)))]
    weights = [numbers(draw, a, b, sizes=[0.1, 1.0]) for a, b in pairwise(sizes)]
    biases = [numbers(draw, n, sizes=[1.0]) if draw(st.booleans()) else None for n in sizes[1:]]
    return rows, sizes, weights, biases, [draw(st.booleans()) for _ in weights]


def dense_chain(draw):
    rows, sizes, weights, biases, rectify = chain(draw)
    return [numbers(draw, rows, sizes[0]), weights, biases, rectify]


def dense_chain_backward(draw):
    rows, sizes, weights, biases, rectify = chain(draw)
    inputs = [numbers(draw, rows, n) for n in sizes[:-1]]
    into = [(None, None if b is None else np.empty(len(b), np.float32)) for b in biases]
    return [numbers(draw, rows, sizes[-1]), inputs, weights, rectify, into, draw(st.booleans())]


ARGUMENTS = {
    "product": product,
    "dense_chain": dense_chain,
    "dense_chain_backward": dense_chain_backward,
    "relu_backward": relu_backward,
    "gelu": activation(1),
    "gelu_with_slope": activation(1),
    "conv2d": conv2d,
    "conv2d_backward": conv2d_backward,
    "max_pool": max_pool,
    "max_pool_backward": max_pool_backward,
    "layer_norm": layer_norm,
    "layer_norm_backward": layer_norm_backward,
    "attention": attention,
    "attention_backward": attention_backward,
    "softmax_rows": softmax_rows,
    "softmax_backward": softmax_backward,
    "cross_entropy": cross_entropy,
    "scatter_rows": scatter_rows,
    "to_half": halves,
    "left_by_half": halves,
    "add_half": add_half,
    "sgd_update": update(0, 0.1),
    "momentum_update": update(1, 0.1, 0.9, True),
    "adam_update": update(2, 1e-2, 1.5, 0.9, 0.999, 1e-8),
}


@CHECKED
@given(st.data())
def test_halves_and_what_they_leave_out_have_the_reference_s_bits(data):
    size = data.draw(SIZES)
    x, rest = numbers(data.draw, size), numbers(data.draw, size)
    for given_ in ((x,), (x, rest)):
        for name in ("to_half", "left_by_half"):
            assert_same_bits(call(compiled, name, given_), call(reference, name, given_))
        half, scale = compiled.to_half(*given_)
        whole = compiled.left_by_half(*given_)
        compiled.add_half(half, scale, whole)
        np.testing.assert_array_equal(whole, sum(given_))


def test_every_kernel_is_in_the_table():
    assert ARGUMENTS.keys() == compiled._WHERE.keys() <= set(reference.__all__)
    assert {name for name in vars(Kernels) if name[0] != "_"} == set(reference.__all__) - {"Geometry"}
    for name in reference.__all__:
        assert (getattr(compiled, name) is getattr(reference, name)) == (name not in ARGUMENTS)


def each(function, arguments):
    """The arguments with a function applied to those that are arrays, or lists of arrays."""
    nested = (list, tuple)
    if isinstance(arguments, np.ndarray):
        return function(arguments)
    return type(arguments)(each(function, a) for a in arguments) if type(arguments) in nested else arguments


def call(module, name, arguments):
    """What a kernel returns, or the arrays that it updates; the rest of the arguments must stay."""
    given = each(np.copy, arguments)
    for place, value in enumerate(given):
        if isinstance(value, np.ndarray) and place not in USED_UP.get(name, ()):
            value.flags.writeable = False
    result = getattr(module, name)(*given)
    for place, (before, after) in enumerate(zip(arguments, given, strict=True)):
        if place not in USED_UP.get(name, ()) and isinstance(before, np.ndarray):
            np.testing.assert_array_equal(after, before)
    return [given[place] for place in UPDATED[name]] if name in UPDATED else result


def assert_same_bits(one, other):
    for a, b in zip(leaves(one), leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)


def double(value):
    return value.astype(np.float64) if value.dtype == np.float32 else value


def nudged(seed):
    """Changes numbers by what float32 rounds away, a few times over."""
    rng = np.random.default_rng(seed)

    def nudge(value):
        signs = rng.choice([-1.0, 1.0], value.shape)
        return value * (1 + 2.0**-22 * signs) if value.dtype == np.float64 else value

    return nudge


def assert_close(name, found, arguments):
    """Within 1e-6 of the largest magnitude, and of what inputs that are rounded otherwise would give."""
    arguments = each(double, arguments)
    variants = [arguments, *(each(nudged(seed), arguments) for seed in range(4))]
    results = zip(*(leaves(call(reference, name, variant)) for variant in variants), strict=True)
    for a, (b, *others) in zip(leaves(found), results, strict=True):
        if b is None or (isinstance(b, np.ndarray) and b.dtype.kind != "f"):
            np.testing.assert_array_equal(a, b)
            continue
        assert isinstance(a, float) or a.dtype == (np.float16 if b.dtype == np.float16 else np.float32)
        assert np.shape(a) == np.shape(b)
        if np.size(b):
            largest = max(np.max(np.abs(b)), SUBTRACTED.get(name, 1e-20))
            bound = 1e-6 * largest + max(np.max(np.abs(b - c)) for c in others)
            error = np.max(np.abs(a - b))
            assert error <= bound, f"{name}: an error of {error:.1e}, {error / bound:.1f} times the bound"


@pytest.mark.parametrize("name", ARGUMENTS)
@CHECKED
@given(data=st.data())
def test_a_kernel_is_its_reference_and_writes_to_no_input(name, data):
    arguments = ARGUMENTS[name](data.draw)
    assert_close(name, call(compiled, name, arguments), arguments)


def scattered(value):
    """The same numbers, not side by side in memory."""
    space = np.zeros((*value.shape[:-1], 2 * value.shape[-1]), value.dtype)[..., ::2]
    space[...] = value
    return space


@pytest.mark.parametrize("name", ARGUMENTS)
@settings(CHECKED, max_examples=12)
@given(data=st.data())
def test_arrays_need_not_be_contiguous(name, data):
    arguments = ARGUMENTS[name](data.draw)
    found = getattr(compiled, name)(*(apart := each(scattered, arguments)))
    assert_close(name, [apart[place] for place in UPDATED[name]] if name in UPDATED else found, arguments)


@pytest.mark.parametrize("name", ARGUMENTS)
@settings(CHECKED, max_examples=3)
@given(data=st.data())
def test_the_same_bits_on_every_call_and_from_threads_at_once(name, data):
    arguments = ARGUMENTS[name](data.draw)
    together = Barrier(2)

    def repeat(_):
        together.wait()
        return [call(compiled, name, arguments) for _ in range(3)]

    with ThreadPoolExecutor(2) as pool:
        results = [result for found in pool.map(repeat, range(2)) for result in found]
    expected = call(compiled, name, arguments)
    for result in results:
        assert_same_bits(result, expected)


@pytest.mark.skipif(LANES < 16, reason="without AVX-512 products are BLAS's")
def test_which_products_are_the_kernel_s(monkeypatch):
    """All that are told how many cores to use; on one core but for narrow ones, which BLAS does as well."""
    matrix = import_module("daskpar.backend.kernels.numba.matrix")
    a, b, narrow = (np.ones(shape, np.float32) for shape in ((64, 64), (64, 64), (64, 10)))
    calls = []
    monkeypatch.setattr(matrix, "packed_product", lambda *given: calls.append("kernel"))
    monkeypatch.setattr(reference, "product", lambda *given: calls.append("blas"))
    for left, right in ((a, b), (a[:4], b), (a, narrow)):
        matrix.product(left, right)
    with blas.limit_threads(2):
        matrix.product(a, narrow)
    monkeypatch.setattr(blas, "threads_in_force", lambda: None)
    monkeypatch.setattr(blas, "on_one_core", lambda: False)
    matrix.product(a, b)
    assert calls == ["kernel", "blas", "blas", "kernel", "blas"]


@pytest.mark.skipif(LANES < 16, reason="without AVX-512 products are BLAS's")
@pytest.mark.parametrize("shape", [(256, 784, 256), (97, 1100, 130), (8, 600, 1100)], ids=str)
def test_helpers_change_no_bit_of_a_product(shape):
    rows, inner, columns = shape
    rng = np.random.default_rng(0)
    a, b, where = (
        rng.standard_normal(s).astype(np.float32) for s in ((rows, inner), (inner, columns), (rows, columns))
    )
    bias, product = b[0].copy(), compiled.product
    turned = np.ascontiguousarray(a.T).T
    alone = product(a, b, None, bias, True, where)
    for threads in (2, 3):
        with blas.limit_threads(threads), ThreadPoolExecutor(3) as pool:
            found = list(pool.map(lambda left: product(left, b, None, bias, True, where), [a, turned] * 10))
        for other in found:
            np.testing.assert_array_equal(other, alone)


@pytest.mark.parametrize(
    "name, shapes",
    {
        "whole tiles": ("product", ((64, 96), (96, 64))),
        "edges": ("product", ((61, 96), (96, 50))),
        "winograd": ("conv2d", ((2, 8, 8, 16), (3, 3, 16, 16))),
        "few taps": ("conv2d", ((2, 8, 8, 1), (3, 3, 1, 16))),
    }.values(),
)
def test_a_rectifier_lets_nan_through(name, shapes):
    """What is not a number must show in the loss."""
    a, b = (np.ones(shape, np.float32) for shape in shapes)
    b[..., 0, 3] = np.nan
    rest = (None, None, True) if name == "product" else (None, Geometry(), True)
    with blas.limit_threads(1):
        y, expected = (getattr(make, name)(a, b, *rest) for make in (compiled, reference))
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    assert np.isnan(y).any() and not np.isnan(y).all()


def test_kernels_lie_on_the_disk_and_let_go_of_the_lock():
    found = []
    for info in iter_modules(compiled.__path__):
        module = import_module(f"{compiled.__name__}.{info.name}")
        for name, value in vars(module).items():
            if isinstance(value, Dispatcher) and value.targetoptions.get("inline") != "always":
                assert value.targetoptions["nogil"], f"{info.name}.{name}"
                assert value.stats.cache_path, f"{info.name}.{name}"
                found.append(info.name)
    assert set(compiled._WHERE.values()) - {"convolution"} | {"winograd", "direct"} <= set(found)


def test_kernels_of_other_sources_are_forgotten(tmp_path):
    """Numba would keep a kernel whose own file is as it was, but whose inner loops are not."""
    sources, kept = tmp_path / "sources", tmp_path / "kept"
    sources.mkdir(), kept.mkdir()
    for module in ("kernel", "inner"):
        (sources / f"{module}.py").write_text("before")
    own = [kept / f"kernel.f-1.py311.{kind}" for kind in ("nbi", "1.nbc")]
    other = kept / "somebody.f-1.py311.nbi"

    def left():
        for path in (*own, other):
            path.touch()
        forget_outdated(sources, kept)
        assert other.exists()
        return [path.exists() for path in own]

    assert left() == [False, False]  # nobody knows what they were compiled from
    assert left() == [True, True]
    (sources / "inner.py").write_text("after")
    assert left() == [False, False]
    assert left() == [True, True]


def test_where_numba_is_missing_the_reference_serves(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(kernels, "_compiled", kernels._compiled.__wrapped__)
    assert kernels.kernels(np.ones(3, np.float32)) is reference


def test_compiled_kernels_are_for_float32_on_the_host():
    assert kernels.kernels(np.ones(3, np.float32)) is compiled
    assert kernels.kernels(np.ones(3)) is reference
