"""Initial values of parameters, with a variance that keeps the size of signals from layer to layer.

An initialiser is a function of four arguments: a random generator, the shape of the parameter, and the number
of inputs (`fan_in`) and outputs (`fan_out`) of a unit. It returns float64 values of that shape.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from daskpar.aliases import value_name
from daskpar.nn.sizes import require_room

Initialiser = Callable[[np.random.Generator, tuple[int, ...], int, int], np.ndarray]


def _sized(initialise: Initialiser) -> Initialiser:
    """Refuse parameters that do not fit in memory, before any are drawn."""

    @wraps(initialise)
    def refusing(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
        require_room("parameters", shape)
        return initialise(rng, shape, fan_in, fan_out)

    return refusing


@_sized
def zeros(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Return zeros."""
    return np.zeros(shape)


@_sized
def glorot(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Return uniform values of mean 0 and variance 2 / (fan_in + fan_out).

    For layers followed by tanh or sigmoid.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values = glorot(rng, (100, 300), fan_in=100, fan_out=300)  # 2 / 400 = 0.005
        >>> round(float(values.var()), 4)
        0.005

    Reference:
        Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks",
        equation 16. https://proceedings.mlr.press/v9/glorot10a.html
    """
    limit = np.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape)


@_sized
def he(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Return normal values of mean 0 and variance 2 / fan_in.

    For layers followed by ReLU, which sets half of the values to zero.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values = he(rng, (100, 300), fan_in=100, fan_out=300)  # 2 / 100 = 0.02
        >>> round(float(values.var()), 3)
        0.02

    Reference:
        He et al. 2015, "Delving deep into rectifiers: Surpassing human-level performance on ImageNet
        classification", equation 10. https://arxiv.org/abs/1502.01852
    """
    return rng.standard_normal(shape) * np.sqrt(2 / fan_in)


@_sized
def lecun(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Return normal values of mean 0 and variance 1 / fan_in.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values = lecun(rng, (100, 300), fan_in=100, fan_out=300)  # 1 / 100 = 0.01
        >>> round(float(values.var()), 3)
        0.01

    Reference:
        LeCun et al. 1998, "Efficient BackProp", section 4.6.
    """
    return rng.standard_normal(shape) * np.sqrt(1 / fan_in)


@_sized
def normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Return normal values of mean 0 and standard deviation 0.02, as in GPT.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values = normal(rng, (100, 300), fan_in=100, fan_out=300)
        >>> round(float(values.std()), 3)
        0.02

    Reference:
        Radford et al. 2018, "Improving language understanding by generative pre-training", section 4.1.
    """
    return rng.standard_normal(shape) * 0.02


INITIALISERS: dict[str, Initialiser] = {
    "zeros": zeros,
    "glorot": glorot,
    "he": he,
    "lecun": lecun,
    "normal": normal,
}


def initialiser(name: str) -> Initialiser:
    """Return the initialiser of a name. Raises InputError if the name is unknown.

    Other libraries' names are known, too:

    >>> initialiser("kaiming_normal") is he
    True
    """
    return INITIALISERS[value_name("initialiser", name, INITIALISERS)]
