"""Settings as people write them: one value for a list, a mapping for a Layout, a type for its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from daskpar.errors import InputError, shown
from daskpar.layout.layout import Layout
from daskpar.settings import Block
from daskpar.train.callbacks import Callback

PRECISIONS = ("float32", "float64")
_PRECISIONS = {
    "float32": "fp32 f32 f4 single float",
    "float64": "fp64 f64 f8 double",
}
_PRECISION_OF = {other: name for name, others in _PRECISIONS.items() for other in others.split()}


def one_or_several(value: Any) -> Any:
    """A list or a tuple as it is, nothing for None, and anything else as the one value of a list."""
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def several_in_config(value: Any) -> Any:
    """As `one_or_several`, in lists, which YAML has."""
    return list(one_or_several(value))


def kept(value: object) -> object:
    """A value that can be read more than once: what an iterator gives is kept."""
    return tuple(value) if isinstance(value, Iterator) else value


def layout(value: object) -> object:
    """A Layout from the mapping of its fields. Raises InputError for what is neither, nor `auto`."""
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        fields = dict(value)
        return "auto" if fields.pop("auto", False) else Layout(**fields)
    if not (value is None or value == "auto" or isinstance(value, Layout)):
        raise InputError(f'layout={shown(value, 80)}: expected a Layout, e.g. {{"data": 2}}, or "auto"')
    return value


def block_of(block: type[Block]) -> Callable[[object], object]:
    """A function that makes a block of the mapping of its fields, and returns anything else as it is."""

    def convert(value: object) -> object:
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return block(**value)
        return value

    return convert


def precision_name(value: Any) -> Any:
    """The name of a precision that is given as a dtype or called otherwise; anything else as it is."""
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
    """The name of a precision. Raises InputError for one that there is not."""
    name = precision_name(value)
    if isinstance(name, str) and name not in PRECISIONS:
        raise InputError(
            f"precision {shown(value, 80)} is not known; use one of {', '.join(PRECISIONS)} (gradients "
            'alone may be sent in half precision: layout={"compression": "float16"})'
        )
    return name


def callbacks(value: object) -> object:
    """A list of callbacks. Raises InputError, naming the first that is none."""
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
