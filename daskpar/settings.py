"""Validation of settings that are given in Python: each becomes a plain Python value of its declared type.

Blocks (layers, optimizers, layouts, sources, ...) are checked when they are made, before their own checks of
ranges. The arguments of a Trainer are checked when they are set, those of functions by `checked_arguments`.
Values in YAML are checked by `daskpar.registry`, with the same rules. The rules are in `daskpar.typed`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, field, fields
from functools import cache, wraps
from typing import (
    Annotated,
    Any,
    ClassVar,
    NamedTuple,
    Self,
    TypeVar,
    get_type_hints,
)

from daskpar.aliases import ARGUMENTS, wrong_argument
from daskpar.errors import InputError, now_called
from daskpar.reprs import block_html, short_repr
from daskpar.typed import LARGEST, checked, is_ours, plain_types, within

F = TypeVar("F", bound=Callable[..., Any])
PathText = Annotated[str, "path"]
"""A text that is a path. A config may contain any path that the system allows."""


class Bounds(NamedTuple):
    """Limits of a setting; None is no limit. For a list they limit each of its numbers."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: tuple[str | int, ...] = ()


def setting(
    default: Any,
    help: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: Sequence[str | int] = (),
    section: str | None = None,
    convert: Callable[[Any], object] | None = None,
    in_config: Callable[[Any], object] | None = None,
    key: str | None = None,
) -> Any:
    """Return a field of a `Block`, with its default, a line of help and its bounds.

    The bounds are checked when the block is made. The keys of the YAML config and their help texts are
    derived from the field.

    Args:
        default: Default value.
        help: One line for people.
        at_least: Smallest value allowed.
        above: Value that must be exceeded.
        at_most: Largest value allowed.
        below: Value that must not be reached.
        choices: Texts allowed.
        section: Section of the config that holds the field; "" for the top level, None for none (see
            `key_in_section`).
        convert: Function that is applied to a value before its type is checked.
        in_config: Function that is applied likewise to a value from a config.
        key: Name of the key, if it is not that of the field.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Window(Block):
        ...     rows: int = setting(1, "rows of a window", at_least=1)
        >>> Window(rows=0)
        Traceback (most recent call last):
        daskpar.errors.InputError: window.rows=0 must be at least 1
    """
    bounds = Bounds(at_least, above, at_most, below, tuple(choices))
    metadata = {"help": help, "bounds": bounds, "section": section, "convert": convert, "key": key}
    metadata["in_config"] = in_config
    return field(default=default, metadata=metadata)


def key_in_section(field: Field[Any]) -> str:
    """Return the full key of a field in a config, e.g. `checkpoint.every` for `checkpoint_every`."""
    section = field.metadata["section"]
    return f"{section}.{field.name.removeprefix(section + '_')}" if section else field.name


class Block:
    """Base class of the frozen dataclasses that users configure. Fields are checked against their type hints.

    Attributes:
        renamed: Former names of fields, with their names today. The error for a former name says the new one.
        other_names: Names that other libraries use for fields. The error for them says ours.

    Raises:
        InputError: A field has another type, or a number is not finite.
        ArgumentError: An argument is not a field.
    """

    renamed: ClassVar[Mapping[str, str]] = {}
    other_names: ClassVar[Mapping[str, tuple[str, ...]]] = ARGUMENTS

    def __new__(cls, *_: object, **named: object) -> Self:
        for old in cls.renamed.keys() & named.keys():
            raise InputError(now_called(called(cls), old, cls.renamed[old]))
        if not named.keys() <= cls.__dict__.get("__dataclass_fields__", {}).keys():
            _check_arguments(cls, named)
        return super().__new__(cls)

    def _repr_html_(self) -> str:
        return block_html(self)

    def _name_in_messages(self, field: str) -> str:
        """Return the name of a field for messages."""
        return f"{called(self)}.{field}"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = short_repr  # type: ignore[method-assign]  # `dataclass` keeps it
        post_init = cls.__dict__.get("__post_init__")
        if post_init is None:
            return

        @wraps(post_init)
        def checked_post_init(self: Block) -> None:
            _check_types(self)
            _check_bounds(self)
            post_init(self)
            _check_finite(self)

        cls.__post_init__ = checked_post_init  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        _check_types(self)
        _check_bounds(self)
        _check_finite(self)


def _check_arguments(block: type[Block], named: Mapping[str, object]) -> None:
    """Refuse an argument that `__init__` does not have. The error suggests the right name."""
    parameters = inspect.signature(block.__init__).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    known = [name for name in parameters if name != "self"]
    for name in named:
        if name not in known:
            raise wrong_argument(f"argument of {called(block)}", name, known, block.other_names)


class Declared(NamedTuple):
    """A field: its name, its type hint, its default, and the plain types that need no conversion."""

    name: str
    hint: Any
    default: Any
    plain: tuple[type, ...]


def _check_types(block: Block) -> None:
    for name, convert in _converted(type(block)):  # type: ignore[arg-type]
        object.__setattr__(block, name, convert(getattr(block, name)))
    for name, hint, default, plain in _declared(type(block)):  # type: ignore[arg-type]
        value = getattr(block, name)
        if value is default or (type(value) in plain and (type(value) is not int or abs(value) < LARGEST)):
            continue
        object.__setattr__(block, name, checked(block._name_in_messages(name), value, hint))


def _check_bounds(block: Block) -> None:
    for name, key, bounds in _bounded(type(block)):  # type: ignore[arg-type]
        check_bounds(key or block._name_in_messages(name), getattr(block, name), bounds)


@cache
def _bounded(block: Any) -> tuple[tuple[str, str, Bounds], ...]:
    """Return name, key in a config, and bounds of the fields that were declared with `setting`."""
    declared = [f for f in fields(block) if "bounds" in f.metadata]
    return tuple(
        (f.name, f.metadata["section"] and key_in_section(f), f.metadata["bounds"]) for f in declared
    )


@cache
def _converted(block: Any) -> tuple[tuple[str, Callable[[Any], object]], ...]:
    """Return name and conversion of the fields whose values are converted first."""
    return tuple((f.name, f.metadata["convert"]) for f in fields(block) if f.metadata.get("convert"))


def check_bounds(where: str, value: Any, bounds: Bounds) -> None:
    """Refuse a value out of its bounds; None is accepted. The InputError begins with `where`."""
    if isinstance(value, str) and bounds.choices and value not in bounds.choices:
        raise InputError(f"{where}={value!r} is not known; use one of {', '.join(map(str, bounds.choices))}")
    for number in within(value, int | float):
        if isinstance(number, bool):
            continue
        if bounds.above is not None and not number > bounds.above:
            raise InputError(f"{where}={number} must be above {bounds.above or 'zero'}")
        if bounds.at_least is not None and not number >= bounds.at_least:
            limit = f"be at least {bounds.at_least}" if bounds.at_least else "not be negative"
            raise InputError(f"{where}={number} must {limit}")
        if bounds.at_most is not None and not number <= bounds.at_most:
            raise InputError(f"{where}={number} must be at most {bounds.at_most}")
        if bounds.below is not None and not number < bounds.below:
            raise InputError(f"{where}={number} must be below {bounds.below}")


def _check_finite(block: Any) -> None:
    for name, *_ in _declared(type(block)):  # type: ignore[arg-type]
        value = getattr(block, name)
        if isinstance(value, float | tuple) and not all(map(math.isfinite, within(value, float))):
            raise InputError(f"{called(block)}.{name}={value}: expected a finite number")


@cache
def _declared(block: Any) -> tuple[Declared, ...]:
    """Return the fields of a block that are checked; none if its type hints cannot be resolved."""
    try:
        hints = get_type_hints(block)
    except (NameError, TypeError):
        return ()
    # keyword-only fields come last: a metric's default name depends on the others
    positional_first = sorted(fields(block), key=lambda f: bool(f.kw_only))
    return tuple(
        Declared(f.name, hints[f.name], f.default, plain_types(hints[f.name]))
        for f in positional_first
        if f.init and is_ours(hints[f.name])
    )


def called(block: Any) -> str:
    """Return the name of a block, or of a class of blocks, for messages."""
    owner = block if isinstance(block, type) else type(block)
    kind = getattr(block, "kind", None)
    return kind if kind and isinstance(kind, str) else owner.__name__.lower()


def checked_arguments(where: str = "") -> Callable[[F], F]:
    """Return a decorator that checks a function's arguments against its type hints.

    Messages put `where` before the name of an argument.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        named = [name for name, parameter in signature.parameters.items() if parameter.kind not in variadic]

        @wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            bound = signature.bind(*args, **options)
            hints = arguments(function)
            for name in named:
                if name in bound.arguments and name in hints:
                    bound.arguments[name] = checked(where + name, bound.arguments[name], hints[name])
            return function(*bound.args, **bound.kwargs)

        return call  # type: ignore[return-value]

    return decorate


@cache
def arguments(function: Any) -> dict[str, Any]:
    """Return the type hints of a function's arguments."""
    return {name: hint for name, hint in get_type_hints(function).items() if name != "return"}


def at_least_one(where: str, value: int | None) -> None:
    """Refuse a count below 1. Raises InputError."""
    if value is not None and value < 1:
        raise InputError(f"{where}={value} must be at least 1")
