"""An array type of the tests' own that is as strict as CuPy's, on a machine without a GPU.

A `DeviceArray` holds its numbers on a "device". They come there through `xp.asarray(host)` and back through
`x.get()`, and in no other way: NumPy functions and NumPy arrays refuse to meet it, in either order. Like
CuPy it answers `__array_namespace__`, reductions and single elements are arrays without axes, and `where=`
and `initial=` are not known. Numbers are NumPy's, so results can be compared bit by bit.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_FUNCTIONS = frozenset(
    """
    abs absolute add all allclose amax amin any arange arccos arcsin arctan arctan2 argmax argmin
    argpartition argsort around atleast_1d atleast_2d bincount broadcast_to cbrt ceil clip concatenate
    copysign cos cosh count_nonzero cumprod cumsum diag diff divide dot einsum empty empty_like equal exp
    exp2 expand_dims expm1 eye flip floor floor_divide fmax fmin frexp full full_like greater greater_equal
    hypot identity inner invert isfinite isinf isnan kron ldexp less less_equal linspace log log10 log1p log2
    logaddexp logical_and logical_not logical_or logical_xor matmul max maximum mean median min minimum
    moveaxis multiply nan_to_num nanmax nanmean nanmin nansum negative nonzero not_equal ones ones_like outer
    pad partition permute_dims power prod put_along_axis ravel reciprocal remainder repeat reshape result_type
    rint roll rollaxis searchsorted sign sin sinh sort split sqrt square squeeze stack std subtract sum
    swapaxes take take_along_axis tan tanh tensordot tile trace transpose tril triu true_divide unique var
    vdot where zeros zeros_like
    """.split()
)
_AT = frozenset({"add", "subtract", "maximum", "minimum"})
_CONSTANTS = frozenset(
    """
    bool bool_ dtype e float16 float32 float64 floating inf int8 int16 int32 int64 integer nan newaxis pi
    uint8 uint16 uint32 uint64 finfo iinfo
    """.split()
)


_refused: list[np.dtype] = []


@contextmanager
def without(*dtypes: Any) -> Iterator[None]:
    """Raise TypeError where an array of one of `dtypes` is computed on the device, if only on the way."""
    before = list(_refused)
    _refused.extend(map(np.dtype, dtypes))
    try:
        yield
    finally:
        _refused[:] = before


def _host(value: Any) -> Any:
    """What the device's own functions work on."""
    if isinstance(value, DeviceArray):
        return value._held
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"a NumPy array of shape {value.shape} met a device array; upload it with asarray")
    if isinstance(value, list | tuple):
        return type(value)(map(_host, value))
    return value


def _device(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return DeviceArray(np.asarray(value))
    if isinstance(value, list | tuple):
        return type(value)(map(_device, value))
    return value


def _operand(value: Any) -> Any:
    if not isinstance(value, DeviceArray | bool | int | float | complex | np.generic | np.ndarray):
        raise TypeError(f"unsupported operand {type(value).__name__} for a device array")
    return _host(value)


def _key(key: Any) -> tuple[Any, ...]:
    keys = key if isinstance(key, tuple) else (key,)
    if any(isinstance(k, list | np.ndarray) for k in keys):
        raise TypeError("a device array is indexed by device arrays, slices and integers")
    whole = () if any(k is Ellipsis for k in keys) else (Ellipsis,)  # so that an element stays an array
    return (*map(_host, keys), *whole)


def _call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if {"where", "initial"} & kwargs.keys():
        raise TypeError("CuPy takes no where= and no initial=")
    out = kwargs.pop("out", None)
    given = {name: _host(value) for name, value in kwargs.items()}
    if out is None:
        return _device(function(*map(_host, args), **given))
    if not isinstance(out, DeviceArray):
        raise TypeError(f"out= must be a device array, got {type(out).__name__}")
    function(*map(_host, args), out=out._held, **given)
    return out


class _Function:
    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _call(getattr(np, self.name), args, kwargs)

    def at(self, array: DeviceArray, indices: Any, values: Any) -> None:
        if self.name not in _AT:
            raise AttributeError(f"CuPy's {self.name} has no at")
        if not isinstance(array, DeviceArray):
            raise TypeError(f"expected a device array, got {type(array).__name__}")
        getattr(np, self.name).at(array._held, _key(indices), _operand(values))


class DeviceModule:
    """What `cupy` is to a CuPy array."""

    def __getattr__(self, name: str) -> Any:
        if name in _CONSTANTS:
            return getattr(np, name)
        if name in _FUNCTIONS:
            return _Function(name)
        raise AttributeError(f"the tests' device has no {name!r}; if CuPy has it, add it to tests/device.py")

    @property
    def ndarray(self) -> type:
        return DeviceArray

    def array(self, value: Any, dtype: Any = None) -> DeviceArray:
        """A copy on the device, of a host's or a device's array."""
        return DeviceArray(np.array(value._held if isinstance(value, DeviceArray) else value, dtype=dtype))

    def asarray(self, value: Any, dtype: Any = None) -> DeviceArray:
        """`value` on the device; itself where it is there already."""
        if isinstance(value, DeviceArray) and dtype in (None, value.dtype):
            return value
        return self.array(value, dtype)

    def ascontiguousarray(self, value: Any, dtype: Any = None) -> DeviceArray:
        return DeviceArray(np.ascontiguousarray(self.asarray(value, dtype)._held))

    def asnumpy(self, value: DeviceArray) -> np.ndarray:
        return value.get()


xp = DeviceModule()


class DeviceArray:
    """An array whose numbers only the functions of `xp` can reach."""

    __slots__ = ("_held",)
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, held: np.ndarray) -> None:
        if held.dtype.kind not in "biufc":
            raise TypeError(f"a device holds no {held.dtype}")
        if held.dtype in _refused and held.base is None:
            raise TypeError(f"an array of {held.dtype} came up, shape {held.shape}")
        self._held = held

    def __array_namespace__(self, *, api_version: str | None = None) -> DeviceModule:
        return xp

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError("implicit conversion to a NumPy array; call .get()")

    def __array_function__(self, function: Any, *args: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} was called on a device array")

    def get(self) -> np.ndarray:
        """A copy on the host."""
        return self._held.copy()

    def item(self, *index: int) -> Any:
        return self._held.item(*index)

    def tolist(self) -> Any:
        return self._held.tolist()

    def astype(self, dtype: Any, copy: bool = True) -> DeviceArray:
        return self if not copy and self.dtype == dtype else DeviceArray(self._held.astype(dtype))

    def __getitem__(self, key: Any) -> DeviceArray:
        return DeviceArray(self._held[_key(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._held[_key(key)] = _operand(value)

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[DeviceArray]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._held)

    def __float__(self) -> float:
        return float(self._held[()])

    def __int__(self) -> int:
        return int(self._held[()])

    def __index__(self) -> int:
        return operator.index(self._held)

    def __repr__(self) -> str:
        return f"DeviceArray({self._held!r})"


def _method(name: str) -> Any:
    return lambda self, *args, **kwargs: _call(getattr(self._held, name), args, kwargs)


def _attribute(name: str) -> Any:
    return property(lambda self: _device(getattr(self._held, name)))


def _unary(function: Any) -> Any:
    return lambda self: _device(function(self._held))


def _forward(function: Any) -> Any:
    return lambda self, other: _device(function(self._held, _operand(other)))


def _reflected(function: Any) -> Any:
    return lambda self, other: _device(function(_operand(other), self._held))


def _in_place(function: Any) -> Any:
    def apply(self: DeviceArray, other: Any) -> DeviceArray:
        self._held = function(self._held, _operand(other))
        return self

    return apply


for _name in """
    all any argmax argmin argsort clip copy cumsum diagonal dot fill flatten max mean min nonzero prod ravel
    repeat reshape round sort squeeze std sum swapaxes take trace transpose var view
""".split():
    setattr(DeviceArray, _name, _method(_name))
for _name in ("T", "dtype", "shape", "ndim", "size", "nbytes", "itemsize", "strides"):
    setattr(DeviceArray, _name, _attribute(_name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    setattr(DeviceArray, f"__{_name}__", _forward(getattr(operator, f"__{_name}__")))
    setattr(DeviceArray, f"__r{_name}__", _reflected(getattr(operator, f"__{_name}__")))
    setattr(DeviceArray, f"__i{_name}__", _in_place(getattr(operator, f"__i{_name}__")))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(DeviceArray, f"__{_name}__", _forward(getattr(operator, f"__{_name}__")))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(DeviceArray, f"__{_name}__", _unary(getattr(operator, f"__{_name}__")))


def leaves(tree: Any) -> Iterator[Any]:
    """What nested dicts, lists and tuples hold, in order."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        for part in tree:
            yield from leaves(part)
    else:
        yield tree


def convert(tree: Any, kind: type, function: Any) -> Any:
    """`tree` with `function` applied to each of its leaves of type `kind`."""
    if isinstance(tree, dict):
        return {name: convert(part, kind, function) for name, part in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)([convert(part, kind, function) for part in tree])
    return function(tree) if isinstance(tree, kind) else tree


def upload(tree: Any) -> Any:
    """Nested NumPy arrays, as device arrays."""
    return convert(tree, np.ndarray, xp.array)


def download(tree: Any) -> Any:
    """Nested device arrays, as NumPy arrays."""
    return convert(tree, DeviceArray, DeviceArray.get)
