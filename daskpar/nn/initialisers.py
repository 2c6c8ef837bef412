"""Initial values of parameters: a variance chosen so that signals keep their size from layer to layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from daskpar.aliases import value_name
from daskpar.nn.sizes import require_room

Initialiser = Callable[[np.random.Generator, tuple[int, ...], int, int], np.ndarray]


def _sized(initialise: Initialiser) -> Initialiser:
    """Refuse parameters that there is no memory for, before any are drawn."""

    @wraps(initialise)
    def refusing(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
        require_room("parameters", shape)
        return initialise(rng, shape, fan_in, fan_out)

    return refusing


@_sized
def zeros(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    return np.zeros(shape)


@_sized
def glorot(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Uniform with variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010, eq. 16)."""
    limit = np.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape)


@_sized
def he(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Normal with variance 2 / fan_in, for rectifiers (He et al. 2015, eq. 10)."""
    return rng.standard_normal(shape) * np.sqrt(2 / fan_in)


@_sized
def lecun(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Normal with variance 1 / fan_in (LeCun et al., "Efficient BackProp", 1998, sec. 4.6)."""
    return rng.standard_normal(shape) * np.sqrt(1 / fan_in)


@_sized
def normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Normal with deviation 0.02, as in GPT (Radford et al. 2018, sec. 4.1)."""
    return rng.standard_normal(shape) * 0.02


INITIALISERS: dict[str, Initialiser] = {
    "zeros": zeros,
    "glorot": glorot,
    "he": he,
    "lecun": lecun,
    "normal": normal,
}


def initialiser(name: str) -> Initialiser:
    """The initialiser of this name. Raises InputError for one that is not known."""
    return INITIALISERS[value_name("initialiser", name, INITIALISERS)]
