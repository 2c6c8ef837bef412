"""How parameters begin."""

import math

import numpy as np
import pytest

from daskpar.errors import InputError
from daskpar.nn import Dense
from daskpar.nn.initialisers import INITIALISERS, initialiser

FANS = [(300, 200), (50, 1000)]
VARIANCES = {
    "zeros": lambda fan_in, fan_out: 0.0,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
    "normal": lambda fan_in, fan_out: 0.02**2,
}


@pytest.mark.parametrize("fans", FANS, ids=str)
@pytest.mark.parametrize("name", INITIALISERS)
def test_variance(name, fans):
    values = initialiser(name)(np.random.default_rng(0), fans, *fans)
    assert values.shape == fans and values.dtype == np.float64
    expected = VARIANCES[name](*fans)
    np.testing.assert_allclose(np.var(values), expected, rtol=0.03)
    assert abs(np.mean(values)) <= 5 * math.sqrt(expected / values.size)


@pytest.mark.parametrize("fans", FANS, ids=str)
def test_glorot_is_uniform_within_its_limit(fans):
    values = initialiser("glorot")(np.random.default_rng(0), fans, *fans)
    limit = math.sqrt(6 / sum(fans))
    assert 0.999 * limit < np.max(np.abs(values)) <= limit
    counts = np.histogram(values, bins=10, range=(-limit, limit))[0]
    np.testing.assert_allclose(counts, values.size / 10, rtol=0.06)


@pytest.mark.parametrize("name", ["he", "lecun", "normal"])
def test_normal_tails(name):
    values = initialiser(name)(np.random.default_rng(0), (400, 500), 400, 500)
    beyond = np.mean(np.abs(values) > 2 * np.std(values))
    assert abs(beyond - 0.0455) < 0.003


@pytest.mark.parametrize("name", INITIALISERS)
def test_dense_begins_with_it(name):
    layer = Dense(200, init_weight=name)
    params, _ = layer.init(np.random.default_rng(3), (300,))
    expected = initialiser(name)(np.random.default_rng(3), (300, 200), 300, 200)
    np.testing.assert_array_equal(params["weight"], expected)
    assert not params["bias"].any()


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(InputError, match=r"^initialiser 'glorrot' is not known; did you mean 'glorot'\?$"):
        initialiser("glorrot")
