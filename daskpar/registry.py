"""Blocks by name: `@register("name")` puts a frozen dataclass into the table of its contract.

Each contract (layer, loss, optimizer, source, ...) has one `Table`. Our own modules register their blocks
when their package is first searched for a name. A user's modules register theirs when they are imported.
`named` builds a block from an entry of a config:

    relu                                       a name
    dense: 512                                 a name and its first argument
    dense: {units: 512, bias: false}           a name and arguments by name
    residual: [...]                            a name and a list of layers
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from types import GenericAlias
from typing import TYPE_CHECKING, Generic, TypeVar, cast, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

from daskpar.aliases import Advice, block_name, written_otherwise, wrong_argument
from daskpar.errors import InputError, now_called, shown, unknown
from daskpar.settings import Block
from daskpar.typed import Unfit, fitted, options_of, plain

C = TypeVar("C", bound="DataclassInstance")


class Table(Mapping[str, type[C]], Generic[C]):
    """The blocks of one contract by name.

    Args:
        what: Name of the contract in messages, e.g. "layer".
        contract: Base class of its blocks.
        package: Package whose modules hold our own blocks. They are imported when a name is first looked up.
    """

    def __init__(self, what: str, contract: type[C], package: str):
        self.what, self.contract, self.package = what, contract, package
        self.blocks: dict[str, type[C]] = {}
        self._walked = False
        _TABLES[contract] = cast("Table[DataclassInstance]", self)

    def add(self, name: str, block: type[C]) -> None:
        """Put a block into the table. Raises InputError if another class has the name."""
        before = self.blocks.get(name)
        if before is not None and origin(before) != origin(block):
            raise InputError(
                f"{self.what} {name!r} is registered twice, by {full_name(before)} and by "
                f"{full_name(block)}; choose another name"
            )
        self.blocks[name] = block

    def __getitem__(self, name: str) -> type[C]:
        self._walk()
        return self.blocks[name]

    def __iter__(self) -> Iterator[str]:
        self._walk()
        return iter(self.blocks)

    def __len__(self) -> int:
        self._walk()
        return len(self.blocks)

    def _walk(self) -> None:
        """Import all modules of the package, once."""
        if self._walked:
            return
        self._walked = True  # before the imports, because those modules may look names up
        package = import_module(self.package)
        for module in walk_packages(package.__path__, f"{self.package}."):
            import_module(module.name)


_TABLES: dict[type, Table[DataclassInstance]] = {}


def register(name: str) -> Callable[[type[C]], type[C]]:
    """Register a class under a name, so that configs and Trainers can use it by that name.

    The base class decides the kind of block: `Layer`, `Loss`, `Metric`, `Optimizer`, `Schedule`, `Transform`,
    `Source`, ... The name becomes the attribute `kind` of the class. A class may be registered again, e.g.
    when its module is reloaded. Workers in other processes must be able to import its module.

    Args:
        name: The name, e.g. "halves".

    Returns:
        A decorator of classes, to be written above `@dataclass(frozen=True)`.

    Raises:
        InputError: The class is not a dataclass of a known kind, or another class has the name.

    Example:
        >>> from dataclasses import dataclass
        >>> from daskpar import Schedule, register
        >>> @register("halves")
        ... @dataclass(frozen=True)
        ... class Halves(Schedule):
        ...     every: int = 1
        ...     def _after(self, step, total):
        ...         return 0.5 ** (step // self.every)

        A Trainer now accepts it by name, `Trainer(model, schedule={"halves": {"every": 2}})`, and so does a
        config:

        >>> from daskpar.optim.registry import schedule
        >>> schedule({"halves": {"every": 2}}).factor(step=6, total=10)
        0.125
    """

    def decorate(block: type[C]) -> type[C]:
        table = table_of(block)
        if table is None or "__dataclass_fields__" not in vars(block):
            contracts = ", ".join(sorted(contract.__name__ for contract in _TABLES))
            raise InputError(
                f"register({name!r}): expected a frozen dataclass derived from one of {contracts}, "
                f"got {full_name(block)}"
            )
        table.add(name, block)
        block.kind = name  # type: ignore[attr-defined]
        return block

    return decorate


def table_of(block: type) -> Table[DataclassInstance] | None:
    """Return the table of the contract that a class derives from, whether it is registered or not."""
    return next((_TABLES[base] for base in block.__mro__ if base in _TABLES), None)


def origin(block: type) -> tuple[str, str]:
    """Return the file and the name of a class. They stay the same when its module is imported again."""
    module = sys.modules.get(block.__module__)
    return getattr(module, "__file__", None) or block.__module__, block.__qualname__


def full_name(block: type) -> str:
    """Return the name of a class with that of its module."""
    return f"{block.__module__}.{block.__qualname__}"


def named(table: Table[C], entry: object) -> C:
    """Return the block that `entry` names in `table`. A block is returned as it is.

    Raises:
        InputError: A name or an argument is unknown, a value has the wrong type, or a block is of another
            kind.
    """
    what = table.what
    if is_dataclass(entry) and not isinstance(entry, type):
        if not isinstance(entry, table.contract):
            meant = _class_in(table, type(entry).__name__)
            hint = f"; that {what} is called {meant}" if meant else ""
            raise InputError(f"{what}: expected a {table.contract.__name__}, got {entry!r}{hint}")
        return entry
    name, arguments = _named_in(table, *_name_and_arguments(what, entry))
    block = table[name]
    values = _by_name(what, name, block, arguments)
    hints = _hints(block)
    for key, value in values.items():
        values[key] = _fitting(table, name, key, value, hints[key])
    missing = [f.name for f in fields(block) if f.init and f.name not in values and _required(f)]
    if missing:
        raise InputError(f"{what} {name!r} needs {', '.join(missing)}, e.g. `{name}: {{{missing[0]}: ...}}`")
    return block(**values)


@cache
def _hints(block: type) -> dict[str, object]:
    return get_type_hints(block)


def _name_and_arguments(what: str, entry: object) -> tuple[object, object]:
    if isinstance(entry, str):
        return entry, None
    if isinstance(entry, Mapping) and len(entry) == 1:
        return next(iter(entry.items()))
    hint = f"; write {entry.__name__}(...)" if isinstance(entry, type) and is_dataclass(entry) else ""
    raise InputError(f"{what}: expected a name or one `name: arguments`, got {entry!r}{hint}")


def _named_in(table: Table[C], name: object, arguments: object) -> tuple[str, object]:
    """Return the registered name of a block and its arguments, for a name that may be another library's.

    Raises InputError for an unknown name.
    """
    if not isinstance(name, str):
        raise unknown(table.what, name, table)
    if name in table:
        return name, arguments
    other = written_otherwise(name, table) or block_name(table.what, name)
    if isinstance(other, Advice):
        raise InputError(f"{table.what} {name!r}: {other}")
    if other is None:
        raise unknown(table.what, name, table)
    if isinstance(other, str):
        return other, arguments
    (other, defaults), *_ = other.items()
    if arguments is not None and not isinstance(arguments, Mapping):
        raise InputError(f"{table.what} {name!r} is {other} with {defaults}; write {other} and its arguments")
    return other, {**defaults, **(arguments or {})}


def class_called(name: str) -> str | None:
    """Return the name of the class that a name means, ours or another library's; None if unknown.

    >>> class_called("CrossEntropyLoss")
    'SoftmaxCrossEntropy'
    """
    classes = (_class_in(table, name) for table in _TABLES.values())
    return next((name for name in classes if name is not None), None)


def _class_in(table: Table[C], name: str) -> str | None:
    try:
        return table[_named_in(table, name, None)[0]].__name__
    except InputError:
        return None


def _by_name(what: str, name: object, block: type[DataclassInstance], arguments: object) -> dict[str, object]:
    """Return the arguments of a block by name, after a check of the names."""
    known = [f.name for f in fields(block) if f.init]
    positional = [f.name for f in fields(block) if f.init and not f.kw_only]
    if arguments is None:
        return {}
    if isinstance(arguments, Mapping) and (positional or arguments.keys() <= set(known)):
        for key in arguments:
            if issubclass(block, Block) and key in block.renamed:
                raise InputError(now_called(str(name), key, block.renamed[key]))
            if key not in known:
                raise wrong_argument(f"argument of {what} {name!r}", key, known)
        return dict(arguments)
    if not positional:
        raise InputError(f"{what} {name!r} takes no arguments, got {arguments!r}")
    return {positional[0]: arguments}


def _fitting(table: Table[C], name: object, key: str, value: object, hint: object) -> object:
    """Return an argument as a value of the type that the block declares."""
    if hint == GenericAlias(tuple, (table.contract, ...)):  # the hint of blocks within a block
        if not isinstance(value, list | tuple):
            raise InputError(f"{table.what} {name!r}: expected a list of layers, got {value!r}")
        return tuple(named(table, part) for part in value)
    inner = _contract_in(hint)
    if inner is not None and isinstance(value, str | Mapping):
        return named(inner, value)
    try:
        return fitted(value, hint)
    except Unfit as error:
        got = shown(plain(value), 80)
        raise InputError(f"{table.what} {name!r}: {key}: {error}, got {got}") from None


def _contract_in(hint: object) -> Table[DataclassInstance] | None:
    """Return the table of the block type that a hint declares, as `Layer` and `Layer | None` do."""
    options = options_of(hint)
    tables = [table_of(option) for option in options if isinstance(option, type)]
    return None if str in options else next((table for table in tables if table is not None), None)


def _required(field: Field[object]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
