"""Conversions of settings from the forms in which people write them.

One value stands for a list of it, a mapping for a Layout, a type for the name of a precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from daskpar.errors import InputError, shown
from daskpar.layout.layout import Layout
from daskpar.settings import Block
from daskpar.train.callbacks import Callback
from daskpar.typed import plain

PRECISIONS = ("float32", "float64")
_PRECISIONS = {
    "float32": "fp32 f32 f4 single float",
    "float64": "fp64 f64 f8 double",
}
_PRECISION_OF = {other: name for name, others in _PRECISIONS.items() for other in others.split()}


def one_or_several(value: Any) -> Any:
    """Return a list or tuple unchanged, () for None, and any other value as a tuple of one."""
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def several_in_config(value: Any) -> Any:
    """Return the values of `one_or_several` as a list, for YAML."""
    return list(one_or_several(value))


def kept(value: object) -> object:
    """Return the values of an iterator as a tuple, which can be read again, and other values unchanged."""
    return tuple(value) if isinstance(value, Iterator) else value


def layout(value: object) -> object:
    """Return the Layout that a mapping of its fields describes; a Layout, None or "auto" is unchanged.

    Raises InputError for any other value.
    """
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        fields = dict(value)
        return "auto" if fields.pop("auto", False) else Layout(**fields)
    if not (value is None or value == "auto" or isinstance(value, Layout)):
        raise InputError(f'layout={shown(value, 80)}: expected a Layout, e.g. {{"data": 2}}, or "auto"')
    return value


def block_of(block: type[Block]) -> Callable[[object], object]:
    """Return a function that makes a block from a mapping of its fields; other values are unchanged."""

    def convert(value: object) -> object:
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return block(**value)
        return value

    return convert


def precision_name(value: Any) -> Any:
    """Return the name of a precision that is given as a dtype or by another name; others are unchanged."""
    if isinstance(value, np.dtype | type):
        try:
            value = np.dtype(value).name
        except TypeError:
            return value
    name = str(value).lower().removeprefix("torch.") if _is_a_name(value) else value
    return _PRECISION_OF.get(name, name) if isinstance(name, str) else name


def _is_a_name(value: object) -> bool:
    return isinstance(value, str) or str(value).startswith("torch.")


def precision(value: object) -> object:
    """Return the name of a precision. Raises InputError for one that is not known."""
    name = precision_name(value)
    if isinstance(name, str) and name not in PRECISIONS:
        raise InputError(
            f"precision {shown(value, 80)} is not known; use one of {', '.join(PRECISIONS)} (gradients "
            'alone may be sent in half precision: layout={"compression": "float16"})'
        )
    return name


def callbacks(value: object) -> object:
    """Return a list of callbacks. Raises InputError, which names the first value that is none."""
    several = one_or_several(value)
    for callback in several:
        if isinstance(callback, type) and issubclass(callback, Callback):
            raise InputError(f"callbacks: {callback.__name__} is a class; write {callback.__name__}()")
        if not isinstance(callback, Callback):
            raise InputError(
                f"callbacks={shown(callback, 80)}: expected a list, each a Callback, e.g. EarlyStopping(), "
                "or an object of your own class"
            )
    return several


def patterns(value: object) -> object:
    """Return one pattern as a tuple of it, and several unchanged."""
    return (value,) if isinstance(value, str) else value


def factors(value: object) -> object:
    """Return a mapping from patterns to factors above zero; anything else is refused."""
    if value is None:
        return None
    factors = {k: plain(v) for k, v in value.items()} if isinstance(value, Mapping) else {}
    right = all(
        isinstance(k, str) and isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < math.inf
        for k, v in factors.items()
    )
    if not isinstance(value, Mapping) or not right:
        raise InputError(
            f"train.learning_rates={shown(value, 80)}: expected factors above zero by pattern, e.g. "
            '{"0.*": 0.1}; to keep parameters as they are, name them in train.frozen'
        )
    return factors
