"""Array modules: NumPy or CuPy, chosen by the array itself.

Operations on data never name NumPy. They ask an array for its module, so a chunk on a GPU stays there. Arrays
of NumPy (>= 2) and CuPy (>= 14) both have `__array_namespace__`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

T = TypeVar("T")
Array = Any
"""A NumPy or CuPy array: any object whose `__array_namespace__` returns a module like NumPy."""
ArrayModule = Any
"""`numpy`, `cupy` or another module of the array API. They have no common static type: CuPy has no stubs."""
Reduced = tuple[Callable[..., object], tuple[object, ...]]
"""Return value of `__reduce__`: a function, and the arguments that the receiver calls it with."""


def array_module(x: Array) -> ArrayModule:
    """Return the module of an array: `numpy`, `cupy` or another.

    Raises TypeError for a value that is not an array.
    """
    try:
        return x.__array_namespace__()
    except AttributeError:
        raise TypeError(f"expected an array, got {type(x).__name__}") from None


PROCESS_DEFAULT = "here"
"""Name for the array module of each process, for workers with different modules."""
_here = "numpy"


def use(name: str) -> None:
    """Set the array module of this process, to which arrays from other processes are converted."""
    global _here
    _here = name


def module_named(name: str) -> ArrayModule:
    """Import and return the array module of a name; `here` is the module of this process."""
    name = _here if name == PROCESS_DEFAULT else name
    if name == "numpy":
        return np
    import importlib

    return importlib.import_module(name)


def to_numpy(x: Array) -> np.ndarray:
    """Return `x` as a NumPy array; a CuPy array is copied to the host, a NumPy array is not copied."""
    return x.get() if hasattr(x, "get") else np.asarray(x)


def is_floating(x: Array) -> bool:
    """Return whether an array has a floating-point dtype, on any device."""
    return np.dtype(x.dtype).kind == "f"


def each_array(function: Callable[[Array], Array], value: T) -> T:
    """Apply `function` to every array in nested lists, tuples and dicts, and return the same structure."""
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
    """Return the `__reduce__` value of a named tuple: it is pickled as NumPy arrays.

    The receiver converts the arrays to its own module and aligns them. Arrays from a network may start at any
    address. NumPy copies unaligned operands of a matrix product into another order, so that the last bits of
    the product would depend on the machine that ran the task.
    """
    return _rebuild, (type(parts), tuple(each_array(to_numpy, part) for part in parts))


def _rebuild(kind: Callable[..., T], parts: tuple[object, ...]) -> T:
    return kind(*(each_array(_to_own_module, part) for part in parts))


def native(array: Array) -> Array:
    """Return an array in the byte order of this machine, which compiled kernels need."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def aligned(array: Array) -> Array:
    """Return an array at an address that is aligned for its dtype; arrays from a network may be unaligned."""
    return array if not isinstance(array, np.ndarray) or array.flags.aligned else array.copy()


def _to_own_module(array: np.ndarray) -> Array:
    array = aligned(array)
    return array if _here == "numpy" else module_named(_here).asarray(array)
