"""The arrays of a table: the roles of its columns, their dtypes, and their values, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from daskpar.data.reading import Stamp
from daskpar.data.records import NUMBER, TEXT, Column, Features, is_records, names_of
from daskpar.data.table_files import ColumnSurvey, TableFile, survey, too_long, values_of
from daskpar.data.table_store import Store
from daskpar.errors import InputError, unknown


class Opened(NamedTuple):
    """A table as arrays: examples (rows, columns) or records (rows,), targets, and columns of examples."""

    x: np.ndarray
    y: np.ndarray
    features: Features


class Choice(NamedTuple):
    """The columns of a table that are used, by name; see `daskpar.data.tables.Table` for the fields."""

    target: tuple[str, ...]
    columns: tuple[str, ...]
    drop: tuple[str, ...]
    known: Features


@lru_cache(maxsize=8)
def open_table(file: TableFile, choice: Choice, version: Stamp) -> Opened:
    """Return the arrays of a table, read or mapped; the last 8 tables are kept in each process.

    `version`: the stamps of its files. Raises InputError for columns that cannot be used.
    """
    path = file.path
    targets, examples = _roles(path, choice, file.names())
    store = Store((path, file.format, file.separator, targets, examples, choice.known), version)
    kept = store.read()
    if kept is not None:
        x, y, columns = kept
        return Opened(x, y, tuple(Column(*column) for column in columns))
    surveys = survey(file, (*examples, *targets), names_of(choice.known, TEXT))
    features = tuple(Column(name, _kind(path, name, surveys[name])) for name in examples)
    rows = surveys[examples[0]].rows
    if not rows:
        raise InputError(f"{path}: zero rows; expected at least one example")
    dtypes = {name: column.dtype for name, column in surveys.items()}
    _check_targets(path, targets, surveys)
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


def _roles(path: str, choice: Choice, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the targets and of the columns of examples."""
    targets = choice.target
    for key, chosen in (("target", targets), ("columns", choice.columns), ("drop", choice.drop)):
        for name in chosen:
            if name not in names:
                raise unknown(f"{path}: data.{key}: column", name, names)
    left_out = {*targets, *choice.drop}
    examples = tuple(n for n in names if n not in left_out and n in (choice.columns or names))
    if not examples:
        raise InputError(f"{path}: data.target and data.drop leave no columns of examples")
    return targets, examples


def _kind(path: str, name: str, column: ColumnSurvey) -> str:
    """Return the kind of a column, `number` or `text`; refuse dates, lists and long texts."""
    kind = column.kind
    if kind not in (NUMBER, TEXT):
        advice = "give numbers, e.g. days since the first" if kind == "dates" else "give numbers or texts"
        raise InputError(f"{path}: column {name!r} holds {kind}; {advice}, or data.drop: [{name}]")
    if kind == TEXT and too_long(column):
        raise InputError(
            f"{path}: column {name!r} holds texts of up to {column.longest:,} characters, which are no "
            f"categories; data.drop: [{name}]"
        )
    return kind


def _check_targets(path: str, targets: Sequence[str], surveys: Mapping[str, ColumnSurvey]) -> None:
    for name in targets:
        kind = _kind(path, name, surveys[name])
        if kind == TEXT and len(targets) > 1:
            raise InputError(f"{path}: target {name!r} holds texts; of several targets each is a number")
        gaps, rows = surveys[name].gaps, surveys[name].rows
        if gaps:
            raise InputError(
                f"{path}: target {name!r} is missing in {gaps} of {rows} rows; leave those rows out"
            )


def _dtype(
    names: Sequence[str], dtypes: Mapping[str, np.dtype], target: bool = False
) -> tuple[np.dtype, tuple[int, ...]]:
    """Return the dtype and the shape of a row of an array, or of records, with these columns."""
    columns = [dtypes[name] for name in names]
    if target and len(names) == 1:
        return columns[0], ()
    if any(dtype.kind == "U" for dtype in columns):
        return np.dtype([(name, dtypes[name]) for name in names]), ()
    return np.result_type(*columns) if columns else np.dtype(np.float32), (len(names),)
