"""What is done to a gradient before the optimizer sees it."""

import numpy as np
import pytest
from device import upload, without

from daskpar.errors import InputError
from daskpar.optim import Clip, Penalty, Tensors

TENSORS = Tensors(((0, 4), (16, 18)), ((0, 4),))
PARAMS = [1.0, -2.0, 0.0, 4.0, *[0.0] * 12, 5.0, -6.0]
GRADS = [3.0, 0.0, -4.0, 0.0, *[0.0] * 12, 0.0, 12.0]  # norm 13


def padded(*head, tail=(0.0, 12.0)):
    return [*head, *[0.0] * 12, *tail]


PENALTIES = [
    (Penalty(), GRADS),
    (Penalty(l2=0.5), padded(3.5, -1.0, -4.0, 2.0)),
    (Penalty(l1=0.25), padded(3.25, -0.25, -4.0, 0.25)),
    (Penalty(l1=0.25, l2=0.5), padded(3.75, -1.25, -4.0, 2.25)),
]
CLIPS = [
    (Clip(), GRADS),
    (Clip(norm=13.0), GRADS),
    (Clip(norm=100.0), GRADS),
    (Clip(norm=6.5), [g / 2 for g in GRADS]),
    (Clip(value=20.0), GRADS),
    (Clip(value=3.5), padded(3.0, 0.0, -3.5, 0.0, tail=(0.0, 3.5))),
    (Clip(value=4.0, norm=100.0), padded(3.0, 0.0, -4.0, 0.0, tail=(0.0, 4.0))),
    (Clip(value=3.0, norm=27**0.5 / 4), padded(0.75, 0.0, -0.75, 0.0, tail=(0.0, 0.75))),
]
CASES = [(lambda g, p, c=c: c.apply(g), e, str(c)) for c, e in CLIPS] + [
    (lambda g, p, c=c: c.apply(g, p, TENSORS), e, str(c)) for c, e in PENALTIES
]


@pytest.fixture(params=CASES, ids=[name for *_, name in CASES])
def case(request):
    return request.param[:2]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_in_place_and_exact(case, dtype):
    apply, expected = case
    params, grads = np.array(PARAMS, dtype), np.array(GRADS, dtype)
    params.flags.writeable = False
    apply(grads, params)
    assert grads.dtype == dtype
    np.testing.assert_allclose(grads, expected, rtol=1e-7 if dtype == "f4" else 1e-15)


def test_the_same_on_a_device(case):
    apply, _ = case
    params, grads = np.array(PARAMS, "f4"), np.array(GRADS, "f4")
    there = upload(grads)
    with without("f8"):
        apply(there, upload(params))
    apply(grads, params)
    np.testing.assert_array_equal(there.get(), grads)


def test_past_a_block_is_no_different():
    rng = np.random.default_rng(0)
    params, grads = rng.standard_normal(100_000), rng.standard_normal(100_000)
    tensors = Tensors(((0, 100_000),), ((1000, 90_000),))
    expected = grads.copy()
    expected[1000:90_000] += 0.2 * params[1000:90_000]
    expected[1000:90_000] += 0.1 * np.sign(params[1000:90_000])
    Penalty(l1=0.1, l2=0.2).apply(grads, params, tensors)
    np.testing.assert_array_equal(grads, expected)


def test_a_zero_gradient_is_not_scaled():
    grads = np.zeros(4, "f4")
    Clip(value=1.0, norm=1.0).apply(grads)
    assert not grads.any()


REFUSED = [
    (lambda: Clip(value=0.0), "clip.value=0.0 must be above zero"),
    (lambda: Clip(norm=-1.0), "clip.norm=-1.0 must be above zero"),
    (lambda: Clip(norm=float("nan")), "clip.norm=nan must be above zero"),
    (lambda: Penalty(l1=-1.0), "regularisation.l1=-1.0 must not be negative"),
    (lambda: Penalty(l2=-0.5), "regularisation.l2=-0.5 must not be negative"),
]


@pytest.mark.parametrize("make, message", REFUSED, ids=[message for _, message in REFUSED])
def test_refuses(make, message):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == message
