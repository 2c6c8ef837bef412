"""Tables in files: CSV, Parquet and Arrow, with columns of numbers and of texts, and a column to predict.

A table whose arrays take up to 256 MiB is read into memory, once in each process. A larger one is converted
once into `.npy` files in this user's cache folder (`~/.cache/daskpar/tables` on Linux). These are mapped into
memory, so a table may be larger than memory. They are replaced when the table's files change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING as REQUIRED, dataclass, replace
from typing import ClassVar, Self

import numpy as np

from daskpar.data.paths import absolute
from daskpar.data.reading import Stamp, stamp
from daskpar.data.records import Features
from daskpar.data.source import Source
from daskpar.data.table_arrays import Choice, Opened, open_table
from daskpar.data.table_files import TableFile
from daskpar.errors import InputError
from daskpar.registry import register
from daskpar.settings import PathText, setting


@dataclass(frozen=True)
class Table(Source):
    """A table in a file, in the files of a folder, or in all files that match a pattern.

    Examples (rows, columns) have the common dtype of their columns. With a column of texts among them they
    are records (rows,) (`daskpar.data.records`), and a Trainer needs `transforms=["encode"]`. Targets of one
    column have the shape (rows,) and may be texts. Those of several columns have the shape (rows, targets).

    Several files are read in the order of their names and need the same columns.

    Args:
        path: A file, a folder of files, or a pattern such as "part-*.csv".
        target: Name of the column to predict, or names of several. (): no targets, as for an autoencoder
            (`targets=["inputs"]`) or for prediction. Default: ().
        columns: Names of the columns of the examples, which are used in the order of the file. (): all but
            the target. Default: ().
        drop: Names of columns to leave out. Default: ().
        known: Names and kinds of the columns that a model was trained on. A column of a CSV file is then read
            with that kind; see `like`. Default: (), the values of a column decide.
        max_value: None; tables have no pixels.

    Raises:
        InputError: A file is missing or damaged, a name is no column, a column holds dates, lists or long
            texts, or a target is missing in some rows.
    """

    path: PathText = setting(REQUIRED, "a file, a folder of files, or a pattern such as part-*.csv")
    target: str | tuple[str, ...] = setting((), "name of the column to predict, or a list of names")
    columns: tuple[str, ...] = setting(
        (), "names of the columns of the examples (default: all but the target)"
    )
    drop: tuple[str, ...] = setting((), "names of columns to leave out")
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
    def file(self) -> TableFile:
        """The files of the table, with their format."""
        return TableFile(self.path, self.format, getattr(self, "separator", ","))

    def names_of_columns(self) -> list[str]:
        """Return the names of all columns of the file, in order. Raises InputError if it cannot be read."""
        return self.file.names()

    @property
    def version(self) -> Stamp:
        return tuple(number for file in self.file.files() for number in stamp(file))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return self._opened[:2]

    @property
    def features(self) -> Features:
        return self._opened.features

    @property
    def _opened(self) -> Opened:
        target = (self.target,) if isinstance(self.target, str) else self.target
        return open_table(self.file, Choice(target, self.columns, self.drop, self.known), self.version)

    def plain_targets(self) -> np.ndarray:
        return self.arrays()[1]

    def like(self, features: Features) -> Source:
        return replace(self, known=features) if features else self


@register("csv")
@dataclass(frozen=True)
class Csv(Table):
    r"""A table in text files of comma-separated values, with the names of the columns in the first line.

    All values of a column decide what it holds: int64, float64, bools, or else texts. Empty values, `NA`,
    `NaN` and `null` are missing: NaN in float64, or a missing text. Codes such as 00123 are texts. Dates are
    refused. With a column of texts among the examples, a Trainer needs `transforms=["encode"]`.

    Files of a folder end with .csv, .tsv or .txt, and are read in the order of their names. Reading needs
    pyarrow (`pip install 'daskpar[dataframe]'`).

    The table is read into memory once in each process. Above 256 MiB it is converted once into files in the
    cache folder of this user, `~/.cache/daskpar/tables` on Linux, and mapped from there.

    Args:
        path: A file, a folder of files, or a pattern such as "part-*.csv".
        target: Name of the column to predict, or names of several. Default: ().
        columns: Names of the columns of the examples. Default: (), all but the target.
        drop: Names of columns to leave out. Default: ().
        known: Names and kinds of the columns in training; see `like`. Default: ().
        max_value: None; tables have no pixels.
        separator: The character between values, e.g. ";". Default: ",".

    Raises:
        InputError: A file is missing or damaged, a name is no column, a column holds dates or long texts, a
            target is missing in some rows, or `separator` is not one character.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from daskpar.data import Csv
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name, "flats.csv")
        >>> _ = path.write_text("rooms,city,price\n3,Lyon,250\n2,Nice,\n,Lyon,180\n")
        >>> source = Csv(path, target="rooms", drop=["city"])
        >>> source.names_of_columns()
        ['rooms', 'city', 'price']
        >>> x, y = Csv(path, target="city").arrays()
        >>> x
        array([[  3., 250.],
               [  2.,  nan],
               [ nan, 180.]])
        >>> y.tolist()
        ['Lyon', 'Nice', 'Lyon']
        >>> folder.cleanup()
    """

    format: ClassVar[str] = "csv"
    needs: ClassVar[str] = "data.path, a file with names of columns in its first line"
    separator: str = setting(",", "one character between values, e.g. a comma or a semicolon")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.separator) != 1:
            raise InputError(f"csv.separator={self.separator!r}: expected one character, e.g. ',' or ';'")


@register("parquet")
@dataclass(frozen=True)
class Parquet(Table):
    """A table in Parquet files.

    Columns have the dtypes of the file; whole numbers with missing values become float64. Files of a folder
    end with .parquet or .pq. Reading needs pyarrow (`pip install 'daskpar[dataframe]'`). What is kept in
    memory and in the cache folder is as for `Csv`.

    Args:
        path: A file, a folder of files, or a pattern such as "part-*.parquet".
        target: Name of the column to predict, or names of several. Default: ().
        columns: Names of the columns of the examples. Default: (), all but the target.
        drop: Names of columns to leave out. Default: ().
        known: Names and kinds of the columns in training. Default: ().
        max_value: None; tables have no pixels.

    Raises:
        InputError: A file is missing or damaged, a name is no column, a column holds dates, lists or long
            texts, or a target is missing in some rows.

    Example:
        >>> import tempfile
        >>> import pandas
        >>> from daskpar.data import Parquet
        >>> frame = pandas.DataFrame({"width": [1.0, 2.0], "height": [3.0, 4.0], "kind": ["a", "b"]})
        >>> folder = tempfile.TemporaryDirectory()
        >>> frame.to_parquet(f"{folder.name}/shapes.parquet")
        >>> source = Parquet(folder.name, target="kind")
        >>> source.rows, source.x_shape, source.features[0].name
        (2, (2,), 'width')
        >>> folder.cleanup()
    """

    format: ClassVar[str] = "parquet"
    needs: ClassVar[str] = "data.path, a .parquet file"


@register("arrow")
@dataclass(frozen=True)
class Arrow(Table):
    """A table in files of Arrow's IPC format, also known as Feather.

    Columns have the dtypes of the file; whole numbers with missing values become float64. Files of a folder
    end with .arrow, .feather or .ipc. Reading needs pyarrow (`pip install 'daskpar[dataframe]'`). What is
    kept in memory and in the cache folder is as for `Csv`.

    Args:
        path: A file, a folder of files, or a pattern such as "part-*.arrow".
        target: Name of the column to predict, or names of several. Default: ().
        columns: Names of the columns of the examples. Default: (), all but the target.
        drop: Names of columns to leave out. Default: ().
        known: Names and kinds of the columns in training. Default: ().
        max_value: None; tables have no pixels.

    Raises:
        InputError: A file is missing or damaged, a name is no column, a column holds dates, lists or long
            texts, or a target is missing in some rows.

    Example:
        >>> import tempfile
        >>> import pandas
        >>> from daskpar.data import Arrow
        >>> frame = pandas.DataFrame({"x": [1.0, 2.0, 3.0], "y": [2.0, 4.0, 6.0]})
        >>> folder = tempfile.TemporaryDirectory()
        >>> frame.to_feather(f"{folder.name}/line.feather")
        >>> Arrow(f"{folder.name}/line.feather", target="y").read(slice(0, 2))
        (array([[1.],
               [2.]]), array([2., 4.]))
        >>> folder.cleanup()
    """

    format: ClassVar[str] = "ipc"
    needs: ClassVar[str] = "data.path, an .arrow or .feather file"
