"""How a config's entry becomes a block: a frozen dataclass looked up by name.

An entry is a name (`relu`), a name with its first argument (`dense: 512`), with all of them by name
(`dense: {units: 512, bias: false}`), or with a list of layers (`residual: [...]`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import GenericAlias
from typing import Any, get_type_hints

from daskpar.errors import InputError, shown, unknown
from daskpar.settings import Block, Unfit, fitted, plain

Table = Mapping[str, Callable[..., Any]]


def named(what: str, table: Table, entry: Any) -> Any:
    """Build the block that `entry` names in `table`; anything already built is returned as it is.

    Raises InputError for an unknown name or argument, a value of the wrong type, or a block of another kind.
    """
    if is_dataclass(entry) and not isinstance(entry, type):
        contract = _contract(table)
        if not isinstance(entry, contract):
            raise InputError(f"{what}: expected a {contract.__name__}, got {entry!r}")
        return entry
    if isinstance(entry, str):
        name, given = entry, None
    elif isinstance(entry, Mapping) and len(entry) == 1:
        ((name, given),) = entry.items()
    else:
        raise InputError(f"{what}: expected a name or one `name: arguments`, got {entry!r}")
    if name not in table:
        raise unknown(what, name, table)
    build: Any = table[name]
    arguments = [f.name for f in fields(build)]
    if given is None:
        values: dict[str, Any] = {}
    elif isinstance(given, Mapping) and (arguments or not given):
        values = dict(given)
    elif arguments:
        values = {arguments[0]: given}
    else:
        raise InputError(f"{what} {name!r} takes no arguments, got {given!r}")
    hints = get_type_hints(build)
    parts = GenericAlias(tuple, (_contract(table), ...))  # how a block declares blocks within it
    for key, value in values.items():
        if key not in arguments:
            raise unknown(f"argument of {what} {name!r}", key, arguments)
        if hints[key] == parts:
            if not isinstance(value, list | tuple):
                raise InputError(f"{what} {name!r}: expected a list of layers, got {value!r}")
            values[key] = tuple(named(what, table, part) for part in value)
        else:
            try:
                values[key] = fitted(value, hints[key])
            except Unfit as error:
                raise InputError(f"{what} {name!r}: {key}: {error}, got {shown(plain(value), 80)}") from None
    missing = [f.name for f in fields(build) if f.name not in values and _required(f)]
    if missing:
        raise InputError(f"{what} {name!r} needs {', '.join(missing)}, e.g. `{name}: {{{missing[0]}: ...}}`")
    return build(**values)


def _contract(table: Table) -> type:
    """The class that all blocks of a table derive from, next to `Block`."""
    block: Any = next(iter(table.values()))
    return next(base for base in block.__mro__ if Block in base.__bases__)


def _required(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
