"""Frozen parameters and factors of learning rates, by layers and by patterns over parameter names.

>>> import numpy as np
>>> from daskpar.nn import Dense, Sequential
>>> model = Sequential((Dense(3, trainable=False), Dense(2)))
>>> params, _ = model.init(np.random.default_rng(0), (4,))
>>> _, table = arranged(model, ParameterTable.of(params), ["*.bias"], {"1.*": 10.0})
>>> [(entry.name, entry.frozen, entry.rate) for entry in table.entries]
[('0.weight', True, 1.0), ('0.bias', True, 1.0), ('1.weight', False, 10.0), ('1.bias', True, 10.0)]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from daskpar.errors import InputError, shown
from daskpar.nn.layer import Layer, Place
from daskpar.nn.layers.sequential import Sequential
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.parts import within


def arranged(
    model: Sequential, table: ParameterTable, patterns: Sequence[str], rates: Mapping[str, float]
) -> tuple[Sequential, ParameterTable]:
    """Return the model and its table with frozen parameters and factors of learning rates.

    A layer whose parameters are all frozen has `trainable=False` in the model that is returned.

    Args:
        model: Model. Its layers with `trainable=False` are frozen in any case.
        table: Table of its parameters.
        patterns: Patterns of names of parameters to freeze, for example "*.bias".
        rates: Factors of the learning rate by pattern. If several match a name, the last one counts.

    Raises:
        InputError: A pattern matches no name, or nothing is left to train.
    """
    names = [entry.name for entry in table.entries]
    places = frozenset(_frozen_places(model, ()))
    frozen = {name for name in names if _is_within(name, places)}
    for pattern in patterns:
        frozen.update(matching("train.frozen", pattern, names))
    factors: dict[str, float] = {}
    for pattern, factor in rates.items():
        factors |= dict.fromkeys(matching("train.learning_rates", pattern, names), factor)
    if not frozen and not factors:
        return model, table
    if frozen:
        model = model.freeze(_whole(names, frozen))
        _refuse_single_statistics(model, frozen)
    entries = tuple(
        replace(entry, frozen=entry.name in frozen, rate=factors.get(entry.name, 1.0))
        for entry in table.entries
    )
    table = ParameterTable(entries, table.size)
    if frozen and not table.ranges:
        raise InputError(
            "all parameters of the model are frozen, there is nothing to train; leave some out of "
            "train.frozen, or set trainable: true on a layer"
        )
    return model, table


def matching(where: str, pattern: str, names: Sequence[str]) -> list[str]:
    """Return the names that match a pattern of `fnmatch`. `*` also matches dots.

    Raises:
        InputError: No name matches. The message lists the nearest names, and begins with `where`.
    """
    matches = [name for name in names if fnmatchcase(name, pattern)]
    if not matches:
        near = get_close_matches(pattern, names, n=3, cutoff=0.4) or names[:3]
        nested = [name for name in names if name.startswith(f"{pattern}.")]
        hint = f"did you mean {pattern + '.*'!r}?" if nested else f"the nearest: {', '.join(near)}"
        raise InputError(f"{where}: {shown(pattern, 80)} matches no parameter; {hint}")
    return matches


def _whole(names: Sequence[str], frozen: Set[str]) -> Set[Place]:
    """Return the places of layers whose parameters are all frozen."""
    moved = {place for name in names if name not in frozen for place in _around(name)}
    return {place for name in frozen for place in _around(name)} - moved


def _around(name: str) -> list[Place]:
    """Return the places of the layers around a parameter, from the outermost, without the model itself."""
    path: list[Place] = []
    for part in name.split(".")[:-1]:
        if not part.isdigit():
            break
        path.append((*(path[-1] if path else ()), int(part)))
    return path


def _is_within(name: str, places: Set[Place]) -> bool:
    return () in places or any(place in places for place in _around(name))


def _frozen_places(layer: Layer, place: Place) -> Iterator[Place]:
    """Yield the places of layers that are not trainable, only the outermost of nested ones.

    Raises InputError for a frozen layer within a layer that has no `children`.
    """
    if not layer.trainable:
        yield place
        return
    children = layer.children()
    if not children:
        inner = next((part for part in within(layer) if not part.trainable), None)
        if inner is not None:
            raise InputError(
                f"{layer.kind}: the {inner.kind} within it cannot be frozen alone; set trainable: false on "
                f"{layer.kind}, or name its parameters in train.frozen"
            )
    for child in children:
        if child.role == "run" and not child.shallow:
            yield from _frozen_places(child.layer, (*place, *child.path))


def _refuse_single_statistics(model: Layer, frozen: Set[str]) -> None:
    """Raise InputError for frozen running statistics of a layer that is itself not frozen."""
    places = frozenset(_frozen_places(model, ()))
    for name in sorted(frozen):
        layer, _, leaf = name.rpartition(".")
        if leaf.startswith("running_") and not _is_within(name, places):
            raise InputError(
                f"train.frozen: {name} is a running statistic, frozen only with the whole of its layer; use "
                f"{layer + '.*'!r}, or set trainable: false on the layer or on the block around it"
            )
