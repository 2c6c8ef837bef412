"""The parameters of a Trainer by name: read as a dictionary, changed by assignment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping

import numpy as np

from daskpar.errors import InputError, shown, unknown


class Parameters(MutableMapping[str, np.ndarray]):
    """Parameters by name, e.g. `"1.weight"`: arrays of the host that are read-only.

    An assignment replaces an array. The new one must have the same shape and is converted to the same dtype.
    `replace(named)` is called with all parameters after each assignment.

    Raises:
        InputError: An assigned value has another shape, or values that are not finite.

    Example:
        >>> from daskpar import Dense, Trainer
        >>> trainer = Trainer([Dense(2)], batch=2, client="threaded-scheduler")
        >>> trainer = trainer.fit([[0.0], [1.0]], [0, 1])
        >>> trainer.parameters_["0.bias"] = [0.0, 1.0]
        >>> trainer.parameters_["0.bias"]
        array([0., 1.], dtype=float32)
    """

    def __init__(self, named: Mapping[str, np.ndarray], replace: Callable[[Mapping[str, np.ndarray]], None]):
        self._named = {name: _read_only(value) for name, value in named.items()}
        self._replace = replace

    def __getitem__(self, name: str) -> np.ndarray:
        return self._named[name]

    def __setitem__(self, name: str, value: object) -> None:
        changed = changed_parameters(self._named, {name: value})
        self._replace(changed)
        self._named = {key: _read_only(array) for key, array in changed.items()}

    def __delitem__(self, name: str) -> None:
        raise InputError(f"parameters_: {name!r} cannot be removed; change the model instead")

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)

    def __repr__(self) -> str:
        return "\n".join(f"{name}  {value.dtype} {value.shape}" for name, value in self._named.items())


def changed_parameters(
    before: Mapping[str, np.ndarray], changes: Mapping[str, object]
) -> dict[str, np.ndarray]:
    """Return the parameters with some of them replaced.

    Raises InputError for an unknown name, another shape, and values that are not finite.
    """
    named = dict(before)
    for name, value in changes.items():
        if name not in before:
            raise unknown("parameter", name, before)
        try:
            array = np.array(value, dtype=before[name].dtype)
        except (TypeError, ValueError):
            raise InputError(f"parameters_[{name!r}]: expected numbers, got {shown(value, 80)}") from None
        if array.shape != before[name].shape:
            raise InputError(
                f"parameters_[{name!r}] is of shape {array.shape}; expected {before[name].shape}"
            )
        if not np.isfinite(array).all():
            raise InputError(f"parameters_[{name!r}] has values that are not finite; give numbers")
        named[name] = array
    return named


def _read_only(value: np.ndarray) -> np.ndarray:
    view = value.view()
    view.flags.writeable = False
    return view
