"""Tables in files: CSV, Parquet and Arrow, with columns of numbers and of texts, and a column to predict.

Small tables are read into memory. Larger ones are converted once into `.npy` files in this user's cache
folder (`~/.cache/daskpar/tables`), which are mapped: a table may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING as REQUIRED
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, NamedTuple, Self

import numpy as np

from daskpar.data.paths import absolute
from daskpar.data.reading import Stamp, stamp
from daskpar.data.records import NUMBER, TEXT, Column, Features, is_records, names_of
from daskpar.data.source import Source
from daskpar.data.table_files import Found, TableFile, survey, too_long, values_of
from daskpar.data.table_store import Store
from daskpar.errors import InputError, unknown
from daskpar.registry import register
from daskpar.settings import PathText, setting


class Opened(NamedTuple):
    """A table as arrays: examples (rows, columns) or records (rows,), targets, the columns of examples."""

    x: np.ndarray
    y: np.ndarray
    features: Features


@dataclass(frozen=True)
class Table(Source):
    """A file of a table, a folder of such files, or a pattern such as `part-*.csv`.

    `target`: the column to predict, or several. `columns`: those that are examples, in the order of the
    file; all but the targets if left out. `drop`: columns to leave out. `known`: the columns that a model was
    trained on; what they hold does not follow from what it looks like in this file then.
    """

    path: PathText = setting(REQUIRED, "a file, a folder of files, or a pattern")
    target: str | tuple[str, ...] = setting((), "the column to predict, or several")
    columns: tuple[str, ...] = setting((), "columns of the examples; all but the target if left out")
    drop: tuple[str, ...] = setting((), "columns to leave out")
    known: Features = ()
    format: ClassVar[str] = ""
    unfit: ClassVar[tuple[str, ...]] = ("max_value",)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "path", absolute(self.path, f"{type(self).__name__}(path=...)"))
        if isinstance(self.target, str):
            object.__setattr__(self, "target", (self.target,))

    @classmethod
    def from_keys(cls, keys: Mapping[str, object]) -> Self:
        source = super().from_keys(keys)
        targets = keys.get("targets")
        if not source.target and not (isinstance(targets, list) and "inputs" in targets):
            names = ", ".join(map(repr, source.names_of_columns()[:12]))
            raise InputError(
                f"data.source={cls.kind} needs data.target, the column to predict; {source.path} has {names}"
            )
        return source

    @property
    def _file(self) -> TableFile:
        return TableFile(self.path, self.format, getattr(self, "separator", ","))

    def names_of_columns(self) -> list[str]:
        """Return the names of all columns of the file, in order."""
        return self._file.names()

    @property
    def version(self) -> Stamp:
        return tuple(number for file in self._file.files() for number in stamp(file))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return self._opened[:2]

    @property
    def features(self) -> Features:
        return self._opened.features

    @property
    def _opened(self) -> Opened:
        return _open(self, self.version)

    def plain_targets(self) -> np.ndarray:
        return self.arrays()[1]

    def like(self, features: Features) -> Source:
        return replace(self, known=features) if features else self


@register("csv")
@dataclass(frozen=True)
class Csv(Table):
    """A text file of a table, with names of columns in its first line.

    A column holds whole numbers, numbers, bools, or else texts, by all of its values; empty ones, `NA`, `NaN`
    and `null` are missing. Codes such as 00123 are texts.
    """

    format: ClassVar[str] = "csv"
    needs: ClassVar[str] = "data.path, a file with names of columns in its first line"
    separator: str = setting(",", "what stands between values")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.separator) != 1:
            raise InputError(f"csv.separator={self.separator!r}: expected one character, e.g. ',' or ';'")


@register("parquet")
@dataclass(frozen=True)
class Parquet(Table):
    """A Parquet file, or a folder of them."""

    format: ClassVar[str] = "parquet"
    needs: ClassVar[str] = "data.path, a .parquet file"


@register("arrow")
@dataclass(frozen=True)
class Arrow(Table):
    """A file of Arrow's IPC format, or Feather."""

    format: ClassVar[str] = "ipc"
    needs: ClassVar[str] = "data.path, an .arrow or .feather file"


@lru_cache(maxsize=8)
def _open(table: Table, version: Stamp) -> Opened:
    file = table._file
    targets, examples = _roles(table, file.names())
    store = Store((table.path, table.format, file.separator, targets, examples, table.known), version)
    kept = store.read()
    if kept is not None:
        x, y, columns = kept
        return Opened(x, y, tuple(Column(*column) for column in columns))
    found = survey(file, (*examples, *targets), names_of(table.known, TEXT))
    features = tuple(Column(name, _kind(table, name, found[name])) for name in examples)
    rows = found[examples[0]].rows
    if not rows:
        raise InputError(f"{table.path}: zero rows; expected at least one example")
    dtypes = {name: column.dtype for name, column in found.items()}
    _check_targets(table, targets, found)
    x, y = store.empty([_dtype(examples, dtypes), _dtype(targets, dtypes, target=True)], rows)
    start = 0
    for batch in file.batches((*examples, *targets)):
        stop = start + batch.num_rows
        for into, names in ((x, examples), (y, targets)):
            for i, name in enumerate(names):
                values = values_of(batch.column(name), dtypes[name])
                if is_records(into.dtype):
                    into[name][start:stop] = values
                elif into.ndim == 1:
                    into[start:stop] = values
                else:
                    into[start:stop, i] = values
        start = stop
    x, y = store.finish(x, y, [list(column) for column in features])
    return Opened(x, y, features)


def _roles(table: Table, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the targets and of the columns of examples."""
    targets = table.target
    for key, chosen in (("target", targets), ("columns", table.columns), ("drop", table.drop)):
        for name in chosen:
            if name not in names:
                raise unknown(f"{table.path}: data.{key}: column", name, names)
    left_out = {*targets, *table.drop}
    examples = tuple(n for n in names if n not in left_out and n in (table.columns or names))
    if not examples:
        raise InputError(f"{table.path}: data.target and data.drop leave no columns of examples")
    return tuple(targets), examples


def _kind(table: Table, name: str, found: Found) -> str:
    """Return the kind of a column; refuse dates, lists and texts that are no categories."""
    kind = found.kind
    if kind not in (NUMBER, TEXT):
        advice = "give numbers, e.g. days since the first" if kind == "dates" else "give numbers or texts"
        raise InputError(f"{table.path}: column {name!r} holds {kind}; {advice}, or data.drop: [{name}]")
    if kind == TEXT and too_long(found):
        raise InputError(
            f"{table.path}: column {name!r} holds texts of up to {found.longest:,} characters, which are no "
            f"categories; data.drop: [{name}]"
        )
    return kind


def _check_targets(table: Table, targets: Sequence[str], found: Mapping[str, Found]) -> None:
    for name in targets:
        kind = _kind(table, name, found[name])
        if kind == TEXT and len(targets) > 1:
            raise InputError(
                f"{table.path}: target {name!r} holds texts; of several targets each is a number"
            )
        if found[name].gaps:
            raise InputError(
                f"{table.path}: target {name!r} is missing in {found[name].gaps} of {found[name].rows} rows; "
                "leave those rows out"
            )


def _dtype(
    names: Sequence[str], dtypes: Mapping[str, np.dtype], target: bool = False
) -> tuple[np.dtype, tuple[int, ...]]:
    """Return the dtype and the shape of a row of an array of some columns, which may be records."""
    held = [dtypes[name] for name in names]
    if target and len(names) == 1:
        return held[0], ()
    if any(dtype.kind == "U" for dtype in held):
        return np.dtype([(name, dtypes[name]) for name in names]), ()
    return np.result_type(*held) if held else np.dtype(np.float32), (len(names),)
