"""The form of the tables of other names."""

from __future__ import annotations


class Advice(str):
    """A line that says what to write in place of a name that has no counterpart."""


Entry = str | dict[str, dict[str, object]]
"""A block by its registered name, or by that with arguments."""


def key_of(name: str) -> str:
    """Return a name in lower case, without `_`, `-` and spaces."""
    return "".join(c for c in name.lower() if c.isalnum())


def block_table(names: str, **others: str | Entry) -> dict[str, Entry]:
    """Return a table of lines `registered name: other names`, and of names with advice or arguments."""
    table: dict[str, Entry] = {}
    for line in names.strip().splitlines():
        name, _, aliases = line.partition(":")
        table |= {key_of(alias): name.strip() for alias in aliases.split()}
    return table | {key_of(alias): entry for alias, entry in others.items()}


def argument_table(lines: str, **advice: Advice) -> dict[str, tuple[str, ...]]:
    """Return our names of arguments by other names, in order. A name without a counterpart has advice."""
    table: dict[str, tuple[str, ...]] = {}
    for line in lines.strip().splitlines():
        name, _, others = line.partition(":")
        for other in others.split():
            table[key_of(other)] = (*table.get(key_of(other), ()), name)
    for name, text in advice.items():
        table[key_of(name)] = (*table.get(key_of(name), ()), text)
    return table


SHAPES = Advice("leave it out: shapes follow from the data")
