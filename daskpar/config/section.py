"""Sections of a config, derived from the dataclasses that they describe.

    rows: int = setting(1, "rows of a window", at_least=1)     a field of a `Block`
    rows: Annotated[int, Field(ge=1)] = 1                      the key of a section

Type, default, bounds and help of a key are written once, in the field. A list in YAML is a tuple in Python,
and an `object` is a block by name.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from functools import cache
from types import GenericAlias, NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import pydantic
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, create_model
from pydantic_core import PydanticCustomError

from daskpar.aliases import SETTINGS
from daskpar.settings import Block, Bounds, PathText, key_in_section

Entry = str | dict[str, Any]
"""A block by name: `relu`, `dense: 512` or `dense: {units: 512}`."""


def as_path(text: str) -> str:
    """Return a path as Python writes it, also where file names are not in UTF-8.

    Raises PydanticCustomError for a text that no path can have.
    """
    try:
        if "\0" not in text:
            return os.fsdecode(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        pass
    raise PydanticCustomError("path", "value should be a path without NUL and other unusable characters")


PathKey = Annotated[str, AfterValidator(as_path)]


class Section(BaseModel):
    """Base of all sections, which refuses unknown keys, values of another type, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    renamed: ClassVar[Mapping[str, str]] = {}
    """Former names of keys, and their names today."""
    other_names: ClassVar[Mapping[str, tuple[str, ...]]] = SETTINGS
    """Names that other libraries use for keys."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return the value of a key: keys are derived, so a type checker does not know them."""


class Key(NamedTuple):
    """A key of a section: its name, the type of its values in YAML, its default, and its help."""

    name: str
    type: object
    default: object
    help: str | None


def section(name: str, keys: Sequence[Key]) -> type[Section]:
    """Return a new section with these keys."""
    declared: dict[str, Any] = {
        key.name: (key.type, pydantic.Field(key.default, description=key.help)) for key in keys
    }
    return create_model(name, __base__=Section, **declared)


@cache
def section_of(block: type[Block]) -> type[Section]:
    """Return the section whose keys are all settings of a block."""
    made = section(f"{block.__name__}Section", tuple(keys_of(block)))
    made.renamed, made.other_names = block.renamed, block.other_names
    return made


def keys_of(block: type[Block], within: str | None = None, leave_out: type | None = None) -> Iterator[Key]:
    """Yield the settings of a block as keys. A setting without a default is a key that may be left out.

    `within`: only the settings that stand in this section. `leave_out`: a base class whose settings are left
    out.
    """
    hints = get_type_hints(block, include_extras=True)
    inherited = {f.name for f in fields(cast(Any, leave_out))} if leave_out else set()
    for field in fields(cast(Any, block)):
        if "help" not in field.metadata or field.name in inherited:
            continue
        if within is not None and field.metadata["section"] != within:
            continue
        yield _key(field, hints[field.name])


def _key(field: Field[object], hint: object) -> Key:
    name = key_in_section(field).rpartition(".")[2] if field.metadata.get("section") else field.name
    kind: object = as_key_type(hint, field.metadata["bounds"])
    if field.metadata.get("in_config"):
        kind = Annotated[kind, BeforeValidator(field.metadata["in_config"])]
    default = field.default
    if default is MISSING or default is None:
        kind, default = with_none(kind), None
    elif isinstance(default, tuple):
        default = list(default)
    return Key(field.metadata.get("key") or name, kind, default, field.metadata["help"])


def as_key_type(hint: Any, bounds: Bounds) -> Any:
    """Return the type of values in YAML, as pydantic checks it, for a field's hint and bounds."""
    if hint == PathText:
        return PathKey
    if hint is object or hint is Any:
        return Entry
    if isinstance(hint, type) and issubclass(hint, Block):
        return section_of(cast(Hashable, hint))
    origin, parts = get_origin(hint), get_args(hint)
    if origin is dict:
        return object  # checked by the `convert` of its setting, whose messages name the entries
    if origin in (Union, UnionType):
        return Union[tuple(as_key_type(part, bounds) for part in parts)]  # noqa: UP007
    if origin is tuple:
        return _list(parts, bounds)
    if origin is Sequence:
        return GenericAlias(list, as_key_type(parts[0], bounds))
    if hint in (str, int) and bounds.choices:
        return Literal[bounds.choices]
    return _number(hint, bounds) if hint in (int, float) else hint


def _list(parts: tuple[object, ...], bounds: Bounds) -> object:
    """Return the type of a list: of any length, or with as many values as the tuple has."""
    values = GenericAlias(list, as_key_type(parts[0], bounds))
    if parts[1] is ...:
        return values
    return Annotated[values, pydantic.Field(min_length=len(parts), max_length=len(parts))]


def _number(hint: Any, bounds: Bounds) -> Any:
    """Return the type of a number within bounds, which may also have a least value above its limit."""
    least, above = bounds.at_least, bounds.above
    limits = {"gt": above, "lt": bounds.below, "le": bounds.at_most, "ge": least if above is None else None}
    named: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None}
    number: Any = Annotated[hint, pydantic.Field(**named)] if named else hint
    if least is None or above is None:
        return number

    def not_tiny(value: float) -> float:
        if value < least:
            raise PydanticCustomError("tiny", cast(Any, f"value should be at least {least}"))
        return value

    return Annotated[number, AfterValidator(not_tiny)]


def with_none(kind: object) -> object:
    """Return the union of a type and None."""
    return Union[kind, NoneType]  # noqa: UP007


def joined(keys: Sequence[tuple[str, Key]]) -> list[Key]:
    """Join the keys of several blocks, given with the blocks' names, into those of one section.

    Where several blocks have the same key, the first one's type and default hold. Its help names the blocks,
    unless all have the same help.
    """
    by_name: dict[str, list[tuple[str, Key]]] = {}
    for name, key in keys:
        by_name.setdefault(key.name, []).append((name, key))
    return [_one(alike) for alike in by_name.values()]


def _one(alike: Sequence[tuple[str, Key]]) -> Key:
    first = alike[0][1]
    owners: dict[str | None, list[str]] = {}
    for name, key in alike:
        owners.setdefault(key.help, []).append(name)
    if len(alike) > 1 and len(owners) == 1:
        return first
    return first._replace(help="; ".join(_owned(names, help or "") for help, names in owners.items()))


def _owned(names: Sequence[str], help: str) -> str:
    """Return the help of a key that these blocks have, with their names unless it has them itself."""
    return help if "for kind" in help else f"{', '.join(names)}: {help}"
