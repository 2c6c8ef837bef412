"""Which array module a value belongs to.

Block operations never name NumPy for data: they ask the array for its own module, so a chunk that lies on
a GPU stays there. NumPy (>= 2) and CuPy (>= 14) arrays both answer `__array_namespace__`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any
"""A NumPy or CuPy array: anything that answers `__array_namespace__` with a NumPy-like module."""


def array_module(x: Array) -> Any:
    """The module whose functions take `x`: `numpy`, `cupy`, ...

    Raises TypeError for a value that is not an array.
    """
    try:
        return x.__array_namespace__()
    except AttributeError:
        raise TypeError(f"expected an array, got {type(x).__name__}") from None


def module_named(name: str) -> Any:
    """`numpy` or `cupy`, imported only when asked for."""
    if name == "numpy":
        return np
    import importlib

    return importlib.import_module(name)


def to_numpy(x: Array) -> np.ndarray:
    """`x` on the host; a CuPy array is copied, a NumPy array returned as it is."""
    return x.get() if hasattr(x, "get") else np.asarray(x)


def is_floating(x: Array) -> bool:
    """Whether `x` holds floating point numbers, on any device."""
    return np.dtype(x.dtype).kind == "f"


def aligned(value: Any) -> Any:
    """`value` with every array of the host within it (in lists, tuples, dicts) at an address of its own kind.

    Arrays that came over a network begin wherever their message had room. NumPy copies such operands of a
    matrix product into another order, and the product's last bits then tell where a task happened to run.
    """
    if isinstance(value, np.ndarray):
        return value if value.flags.aligned else value.copy()
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return value._make(map(aligned, value))
    if type(value) in (list, tuple):
        return type(value)(map(aligned, value))
    if type(value) is dict:
        return {name: aligned(part) for name, part in value.items()}
    return value


def travelling(parts: tuple[Any, ...]) -> Any:
    """How a named tuple is pickled (its `__reduce__`) so that its arrays arrive aligned."""
    return _arrived, (type(parts), tuple(parts))


def _arrived(kind: Any, parts: tuple[Any, ...]) -> Any:
    return kind(*map(aligned, parts))
