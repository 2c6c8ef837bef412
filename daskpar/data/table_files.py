"""Reading files of tables batch by batch, with pyarrow: CSV, Parquet and Arrow (Feather).

A file is read twice. `survey` finds the kind of each column, its missing values and its longest text. The
second pass (`daskpar.data.table_arrays`) copies the values. Neither needs the whole file in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from daskpar.data.reading import check_file, decoding
from daskpar.data.records import MISSING, NUMBER, TEXT
from daskpar.errors import InputError

if TYPE_CHECKING:
    from pyarrow import ChunkedArray, DataType as ArrowType, RecordBatch
    from pyarrow.csv import CSVStreamingReader

_ROWS = 65_536  # rows of a batch
_LONGEST = 1_000  # characters of a text that may be a category
_ENDINGS = {
    "csv": (".csv", ".tsv", ".txt"),
    "parquet": (".parquet", ".pq"),
    "ipc": (".arrow", ".feather", ".ipc"),
}
_TRIED = "int64", "double", "bool", "timestamp[us]"  # types to try for a column of a CSV file, in this order
_NUMERIC = _TRIED[:2]
_CODES = r"^[+-]?0\d"  # e.g. postcodes: as numbers they would lose their zeros


@dataclass(frozen=True)
class TableFile:
    """A file, a folder of files, or a pattern such as `part-*.csv`, of one format."""

    path: str
    format: str
    separator: str = ","

    def files(self) -> list[str]:
        """Return the paths of the files, sorted. Raises InputError if there are none."""
        path = Path(self.path)
        endings = _ENDINGS[self.format]
        if path.is_dir():
            files = sorted(str(p) for p in path.iterdir() if p.suffix.lower() in endings)
        elif any(c in self.path for c in "*?["):
            files = sorted(glob(self.path))
        else:
            files = [self.path]
        if not files:
            raise InputError(f"{self.path}: no files that end with {', '.join(endings)}")
        for file in files:
            check_file(file, f"a {self.format} file")
        return files

    def names(self) -> list[str]:
        """Return the names of the columns, in order.

        Raises InputError if two columns of a file have one name, or if files have different columns.
        """
        first, *others = self.files()
        names = self._names(first)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{first}: two columns are called {twice!r}; rename one")
        for file in others:
            if self._names(file) != names:
                raise InputError(
                    f"{file}: its columns are not those of {first}; all files need the same ones"
                )
        return names

    def _names(self, file: str) -> list[str]:
        require_pyarrow(self.format)
        with decoding(file, f"a {self.format} file"):
            if self.format == "csv":
                with self._open_csv(file) as reader:
                    return [str(name) for name in reader.schema.names]
            from pyarrow import dataset

            return [str(name) for name in dataset.dataset(file, format=self.format).schema.names]

    def batches(self, columns: Sequence[str]) -> Iterator[RecordBatch]:
        """Yield batches of rows of these columns; the columns of a CSV file are texts."""
        for file in self.files():
            with decoding(file, f"a {self.format} file"):
                if self.format == "csv":
                    with self._open_csv(file, columns) as reader:
                        yield from reader
                else:
                    from pyarrow import dataset

                    source = dataset.dataset(file, format=self.format)
                    yield from source.to_batches(columns=list(columns), batch_size=_ROWS)

    def _open_csv(self, file: str, columns: Sequence[str] = ()) -> CSVStreamingReader:
        arrow = require_pyarrow(self.format)
        from pyarrow import csv

        texts = csv.ConvertOptions(
            column_types={name: arrow.string() for name in columns},
            include_columns=list(columns),
            strings_can_be_null=True,
        )
        parse = csv.ParseOptions(delimiter=self.separator, newlines_in_values=True)
        return csv.open_csv(file, parse_options=parse, convert_options=texts)


def require_pyarrow(what: str) -> ModuleType:
    """Return pyarrow. Raises InputError with the command that installs it."""
    try:
        import pyarrow
    except ImportError:
        raise InputError(f"{what} files need pyarrow; pip install 'daskpar[dataframe]'") from None
    return pyarrow


@dataclass
class ColumnSurvey:
    """The content of a column so far: rows, missing values, longest text, and the types that still fit.

    `gaps`: the number of missing values. `other`: the name of a type that is neither numbers nor texts.
    """

    rows: int = 0
    gaps: int = 0
    longest: int = len(MISSING)
    types: tuple[str, ...] = ()
    other: str = ""

    @property
    def kind(self) -> str:
        """The kind of the column: `number` or `text`, or the name of a type that is neither."""
        if self.other or (self.types and self.types[0].startswith("timestamp")):
            return self.other or "dates"
        return NUMBER if self.types else TEXT

    @property
    def dtype(self) -> np.dtype:
        """The NumPy dtype that can represent the column."""
        if self.kind == TEXT:
            return np.dtype(f"U{self.longest}")
        return np.dtype(np.float64 if self.gaps else self.types[0])


def survey(file: TableFile, columns: Sequence[str], texts: Sequence[str] = ()) -> dict[str, ColumnSurvey]:
    """Return the survey of each column by name, after reading all files.

    `texts`: columns that hold texts even if all their values look like numbers.
    """
    guessed = set(columns) - set(texts) if file.format == "csv" else set()
    surveys = {name: ColumnSurvey(types=_TRIED if name in guessed else ()) for name in columns}
    for batch in file.batches(columns):
        for name in columns:
            _add_batch(surveys[name], batch.column(name))
    return surveys


def _add_batch(survey: ColumnSurvey, column: ChunkedArray) -> None:
    """Extend the survey of a column by a batch of it."""
    import pyarrow as pa
    from pyarrow import compute

    column = _plain(column)
    kind: ArrowType = column.type
    survey.rows += len(column)
    survey.gaps += column.null_count
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        survey.longest = max(survey.longest, compute.max(compute.utf8_length(column)).as_py() or 0)
        if survey.types and column.null_count < len(column):
            values = compute.utf8_trim_whitespace(column.drop_null())
            coded = compute.any(compute.match_substring_regex(values, _CODES)).as_py()
            survey.types = tuple(
                t for t in survey.types if _casts(values, t) and not (coded and t in _NUMERIC)
            )
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        survey.types = ("bool" if pa.types.is_boolean(kind) else str(np.dtype(kind.to_pandas_dtype())),)
    elif pa.types.is_decimal(kind) or pa.types.is_null(kind):
        survey.types = ("double",)
    else:
        survey.other = "dates" if pa.types.is_temporal(kind) else str(kind)


def _casts(values: ChunkedArray, kind: str) -> bool:
    import pyarrow as pa
    from pyarrow import compute

    try:
        compute.cast(values, pa.type_for_alias(kind))
    except pa.ArrowInvalid:
        return False
    return True


def _plain(column: ChunkedArray) -> ChunkedArray:
    """Return a column with the values of its categories instead of their codes."""
    import pyarrow as pa

    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def values_of(column: ChunkedArray, dtype: np.dtype) -> np.ndarray:
    """Return a column of a batch as a NumPy array (rows,) of the dtype of its survey."""
    import pyarrow as pa
    from pyarrow import compute

    column = _plain(column)
    if dtype.kind == "U":
        if not pa.types.is_string(column.type):
            column = compute.cast(column, pa.string())
        return np.asarray(column.fill_null(MISSING).to_numpy(zero_copy_only=False), dtype=dtype)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        alias = {"i": "int64", "b": "bool"}.get(dtype.kind, "double")
        trimmed = compute.utf8_trim_whitespace(column)
        if alias == "double" and not _casts(trimmed.drop_null(), "double"):
            trimmed = compute.cast(trimmed, pa.bool_())
        column = compute.cast(trimmed, pa.type_for_alias(alias))
    if pa.types.is_decimal(column.type) or (column.null_count and not pa.types.is_floating(column.type)):
        column = compute.cast(column, pa.float64()) if not pa.types.is_boolean(column.type) else column
    if pa.types.is_boolean(column.type) and dtype.kind == "f":
        column = compute.cast(compute.cast(column, pa.int8()), pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=dtype)


def too_long(survey: ColumnSurvey) -> bool:
    """Return whether the longest text of a column is too long for a category."""
    return survey.longest > _LONGEST
