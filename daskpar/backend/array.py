"""Which array module a value belongs to.

Block operations never name NumPy for data: they ask the array for its own module, so a chunk that lies on
a GPU stays there. NumPy (>= 2) and CuPy (>= 14) arrays both answer `__array_namespace__`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

T = TypeVar("T")
Array = Any
"""A NumPy or CuPy array: anything that answers `__array_namespace__` with a NumPy-like module."""
ArrayModule = Any
"""`numpy`, `cupy` or another module of the array API. They share no static type: CuPy has no stubs."""
Reduced = tuple[Callable[..., object], tuple[object, ...]]
"""What `__reduce__` returns: a function, and the arguments to call it with where the value arrives."""


def array_module(x: Array) -> ArrayModule:
    """The module whose functions take `x`: `numpy`, `cupy`, ...

    Raises TypeError for a value that is not an array.
    """
    try:
        return x.__array_namespace__()
    except AttributeError:
        raise TypeError(f"expected an array, got {type(x).__name__}") from None


PROCESS_DEFAULT = "here"
"""Stands for the module that this process computes with, where workers are of different kinds."""
_here = "numpy"


def use(name: str) -> None:
    """Say which module this process computes with; arrays that come from elsewhere become its own."""
    global _here
    _here = name


def module_named(name: str) -> ArrayModule:
    """`numpy` or `cupy`, imported only when asked for; `here` for that of this process."""
    name = _here if name == PROCESS_DEFAULT else name
    if name == "numpy":
        return np
    import importlib

    return importlib.import_module(name)


def to_numpy(x: Array) -> np.ndarray:
    """`x` on the host; a CuPy array is copied, a NumPy array returned as it is."""
    return x.get() if hasattr(x, "get") else np.asarray(x)


def is_floating(x: Array) -> bool:
    """Return whether `x` holds floating point numbers, on any device."""
    return np.dtype(x.dtype).kind == "f"


def each_array(function: Callable[[Array], Array], value: T) -> T:
    """`value` with `function` of every array within it, in lists, tuples and dicts."""
    if hasattr(value, "__array_namespace__") and not isinstance(value, np.generic):
        return function(value)
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return value._make(each_array(function, part) for part in value)
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return cast(T, type(value)(each_array(function, part) for part in value))
    if isinstance(value, dict) and type(value) is dict:
        return cast(T, {name: each_array(function, part) for name, part in value.items()})
    return value


def pickle_via_host(parts: tuple[object, ...]) -> Reduced:
    """How a named tuple is pickled (its `__reduce__`): by way of the host.

    Its arrays arrive as those of the module that the receiver computes with, and aligned: arrays that came
    over a network begin wherever their message had room. NumPy copies such operands of a matrix product into
    another order, and the product's last bits then tell where a task happened to run.
    """
    return _arrived, (type(parts), tuple(each_array(to_numpy, part) for part in parts))


def _arrived(kind: Callable[..., T], parts: tuple[object, ...]) -> T:
    return kind(*(each_array(_landed, part) for part in parts))


def native(array: Array) -> Array:
    """Return an array in the byte order of this machine: compiled kernels know no other."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def aligned(array: Array) -> Array:
    """Return an array that begins where its dtype may: one that came over a network may begin anywhere."""
    return array if not isinstance(array, np.ndarray) or array.flags.aligned else array.copy()


def _landed(array: np.ndarray) -> Array:
    array = aligned(array)
    return array if _here == "numpy" else module_named(_here).asarray(array)
