"""The parameters that are trained, and their rates: frozen layers, and patterns over the names of parameters.

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
    """The model, and the table of its parameters, with frozen parameters and factors of learning rates.

    `patterns`: of names of parameters that are frozen, besides those of layers that are not `trainable`.
    `rates`: factors by pattern; where several match, the last one counts. A layer whose parameters are all
    frozen is not `trainable` in the model that is returned.
    Raises InputError for a pattern that no name matches, and where nothing is left to train.
    """
    names = [entry.name for entry in table.entries]
    places = frozenset(_frozen_places(model, ()))
    still = {name for name in names if _lies_in(name, places)}
    for pattern in patterns:
        still.update(matching("train.frozen", pattern, names))
    factors: dict[str, float] = {}
    for pattern, factor in rates.items():
        factors |= dict.fromkeys(matching("train.learning_rates", pattern, names), factor)
    if not still and not factors:
        return model, table
    if still:
        model = model.freeze(_whole(names, still))
        _refuse_single_statistics(model, still)
    entries = tuple(
        replace(entry, frozen=entry.name in still, rate=factors.get(entry.name, 1.0))
        for entry in table.entries
    )
    table = ParameterTable(entries, table.size)
    if still and not table.ranges:
        raise InputError(
            "all parameters of the model are frozen, there is nothing to train; leave some out of "
            "train.frozen, or set trainable: true on a layer"
        )
    return model, table


def matching(where: str, pattern: str, names: Sequence[str]) -> list[str]:
    """The names that a pattern matches, as `fnmatch` has it: `*` also stands for dots.

    Raises InputError where it matches none; the message has the nearest names.
    """
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        near = get_close_matches(pattern, names, n=3, cutoff=0.4) or names[:3]
        within_it = [name for name in names if name.startswith(f"{pattern}.")]
        hint = f"did you mean {pattern + '.*'!r}?" if within_it else f"the nearest: {', '.join(near)}"
        raise InputError(f"{where}: {shown(pattern, 80)} matches no parameter; {hint}")
    return found


def _whole(names: Sequence[str], still: Set[str]) -> Set[Place]:
    """The places of layers all of whose parameters are frozen."""
    moved = {place for name in names if name not in still for place in _around(name)}
    return {place for name in still for place in _around(name)} - moved


def _around(name: str) -> list[Place]:
    """The places of the layers that a parameter lies in, the model's own left out."""
    path: list[Place] = []
    for part in name.split(".")[:-1]:
        if not part.isdigit():
            break
        path.append((*(path[-1] if path else ()), int(part)))
    return path


def _lies_in(name: str, places: Set[Place]) -> bool:
    return () in places or any(place in places for place in _around(name))


def _frozen_places(layer: Layer, place: Place) -> Iterator[Place]:
    """The places of layers that are not trainable; of those within one another the outermost.

    Raises InputError for one within a layer that does not say where its parameters lie.
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


def _refuse_single_statistics(model: Layer, still: Set[str]) -> None:
    """Refuse running statistics that are frozen while their layer is not, which would go on to use others."""
    places = frozenset(_frozen_places(model, ()))
    for name in sorted(still):
        layer, _, own = name.rpartition(".")
        if own.startswith("running_") and not _lies_in(name, places):
            raise InputError(
                f"train.frozen: {name} is a running statistic, frozen only with the whole of its layer; use "
                f"{layer + '.*'!r}, or set trainable: false on the layer or on the block around it"
            )
