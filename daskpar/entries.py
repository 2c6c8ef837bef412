"""Entries: blocks as configs name them, e.g. `{"dense": {"units": 10}}`. The inverse of `registry.named`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

from daskpar.errors import InputError
from daskpar.registry import full_name, origin, table_of
from daskpar.typed import PLAIN_TYPES, plain


def name_of(block: object) -> str | None:
    """Return the registered name of a block's class, or None.

    A subclass that is not registered has no name, although it inherits the `kind` of its base.
    """
    table = table_of(type(block))
    names = [] if table is None else [n for n, b in table.blocks.items() if origin(b) == origin(type(block))]
    kind = getattr(block, "kind", None)
    return kind if kind in names else next(iter(names), None)


def entry_of(block: DataclassInstance) -> dict[str, object]:
    """Return the entry that names a block, with all its arguments: the inverse of `named`.

    Blocks within the block become entries, and tuples become lists. JSON and YAML can hold the result.

    Raises InputError if a class is not registered, or if an argument is a function, an array or the like.

    >>> from daskpar.optim.sgd import SGD
    >>> entry_of(SGD(0.1))
    {'sgd': {'lr': 0.1, 'momentum': 0.0, 'nesterov': False, 'weight_decay': 0.0}}
    """
    name = name_of(block)
    if name is None:
        function = getattr(block, "function", None)
        if isinstance(function, FunctionType):
            raise InputError(f"the function {function.__name__} has no entry, as registered classes have")
        raise InputError(f"{full_name(type(block))} is not registered; put @register before the class")
    arguments: dict[str, object] = {}
    for field in fields(block):
        if field.init:
            arguments[field.name] = _written(getattr(block, field.name), f"{name}.{field.name}")
    return {name: arguments}


def _written(value: object, where: str) -> object:
    """Return an argument of a block, or a part of it, in a form that JSON and YAML can hold."""
    if is_dataclass(value) and not isinstance(value, type):
        return entry_of(value)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _written(part, where) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_written(part, where) for part in value]
    value = plain(value) if getattr(value, "shape", ()) == () else value
    if not isinstance(value, PLAIN_TYPES):
        kind = f"function {value.__name__}" if isinstance(value, FunctionType) else type(value).__name__
        raise InputError(f"{where} is a {kind}, which cannot be written as text")
    return value


def blocks_within(block: object) -> Iterator[object]:
    """Yield a block, and all blocks in its arguments."""
    if isinstance(block, list | tuple):
        for part in block:
            yield from blocks_within(part)
    elif is_dataclass(block) and not isinstance(block, type):
        yield block
        for field in fields(block):
            yield from blocks_within(getattr(block, field.name))
