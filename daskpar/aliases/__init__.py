"""Other names of blocks and of their arguments: those of PyTorch, Keras and scikit-learn, and short forms.

Two rules hold everywhere, in Python as in YAML:

- A block may be named by another name if it means the same: `mse`, `MSELoss`, `Adam`, `Conv2D`. Capitals,
`_`,
  `-` and spaces are ignored.
- An argument must have our name, so that a program has one spelling of each. Another library's name is
refused
  with ours: the error for `Dense(out_features=4)` says `units`.

A name without a counterpart is refused with advice. All names are in this package, one table a contract.

>>> block_name("loss", "MSELoss")
'mean_squared_error'
>>> argument_name("out_features", ["units", "bias"])
'units'
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from daskpar.aliases.arguments import ARGUMENTS, SETTINGS
from daskpar.aliases.blocks import BLOCKS, VALUES
from daskpar.aliases.table import Advice, Entry, key_of
from daskpar.errors import ArgumentError, InputError, unknown

__all__ = [
    "ARGUMENTS",
    "BLOCKS",
    "SETTINGS",
    "VALUES",
    "Advice",
    "argument_name",
    "block_name",
    "value_name",
    "written_otherwise",
    "wrong_argument",
]


def block_name(contract: str, name: str) -> Entry | None:
    """Return the entry that another name of a block means.

    An `Advice` if there is no such block, None if the name is unknown. `contract` is the name of the block's
    table, e.g. "layer".
    """
    table, key = BLOCKS.get(contract, {}), key_of(name)
    if contract == "loss" and key not in table:
        key = key.removesuffix("loss")
    return table.get(key)


def value_name(what: str, name: object, known: Collection[str]) -> str:
    """Return the one of the `known` values that is meant. The InputError for others suggests the nearest.

    >>> value_name("initialiser", "xavier_uniform", ["glorot", "he"])
    'glorot'
    """
    if isinstance(name, str):
        if name in known:
            return name
        right = written_otherwise(name, known) or VALUES[what].get(key_of(name))
        if isinstance(right, Advice):
            raise InputError(f"{what} {name!r}: {right}")
        if isinstance(right, str) and right in known:
            return right
    raise unknown(what, name, known)


def written_otherwise(name: str, known: Collection[str]) -> str | None:
    """Return the one of the `known` names that differs in capitals, `_` and the like only, or None."""
    key = key_of(name)
    return next((each for each in known if key_of(each) == key or key_of(each) + "loss" == key), None)


def argument_name(
    name: str, known: Collection[str], table: Mapping[str, tuple[str, ...]] = ARGUMENTS
) -> str | None:
    """Return our name of an argument, one of `known`; an `Advice` if there is none, None if unknown."""
    same = written_otherwise(name, known)
    right = table.get(key_of(name), ())
    return same or next((each for each in right if each in known or isinstance(each, Advice)), None)


def wrong_argument(
    where: str, name: object, known: Collection[str], table: Mapping[str, tuple[str, ...]] = ARGUMENTS
) -> ArgumentError:
    """Return the error for an unknown argument, with our name, advice, or the nearest name."""
    right = argument_name(name, known, table) if isinstance(name, str) else None
    if isinstance(right, Advice):
        return ArgumentError(f"{where} {name!r}: {right}")
    if right is not None:
        return ArgumentError(f"{where} {name!r} is called {right!r} here; write {right}")
    return ArgumentError(unknown(where, name, known))
