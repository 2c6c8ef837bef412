"""`daskpar predict`: from a file of examples to a file of predictions."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from daskpar.build import open_data
from daskpar.cli.lines import writing
from daskpar.cli.options import restored
from daskpar.config import Config
from daskpar.data.check import as_array
from daskpar.data.files import open_npy
from daskpar.data.records import check_features
from daskpar.data.sparse import Stored
from daskpar.data.table_files import require_pyarrow
from daskpar.data.tables import Arrow, Csv, Parquet, Table
from daskpar.errors import InputError
from daskpar.train import Trainer

_TABLES: dict[str, type[Table]] = {
    ".csv": Csv,
    ".tsv": Csv,
    ".parquet": Parquet,
    ".arrow": Arrow,
    ".feather": Arrow,
}
_WRITTEN = ".npy", ".csv", ".tsv", ".parquet"


def run(
    config: Config,
    where: str,
    source: str | None,
    output: str,
    kind: str,
    fill: int | str | None,
) -> int:
    """Write predictions for the examples in the file `source`, or for the test part; return their number.

    `where`: the config's file, for messages. Raises InputError for files that cannot be read or written, and
    for examples that do not fit the model.
    """
    ending = Path(output).suffix.lower()
    if ending and ending not in _WRITTEN:
        raise InputError(f"{output}: expected a file that ends with {', '.join(_WRITTEN)}")
    test = _test_part(config, where) if source is None else None  # refused before the model is loaded
    trainer = restored(config)
    x = test if source is None else read_examples(source, config, trainer)
    try:
        predictions = trainer.predict(x, kind, fill)
    except InputError as error:
        raise InputError(str(error).replace("predict:", f"{source or where}:", 1)) from None
    columns = {} if ending in ("", ".npy") else named_columns(predictions, kind, config, trainer, output)
    with writing(output) as file:
        if ending == ".parquet":
            _write_parquet(file, columns)
        elif ending in (".csv", ".tsv"):
            _write_csv(file, columns, "\t" if ending == ".tsv" else ",")
        else:
            np.save(file, predictions)
    return len(predictions)


def _test_part(config: Config, where: str) -> np.ndarray:
    test = open_data(config).test
    if test is None:
        raise InputError(f"{where}: data.test is 0; give examples with --input")
    return test.read(slice(0, test.rows))[0]


def read_examples(path: str, config: Config, trainer: Trainer) -> Stored:
    """Return the examples of a `.npy` file or a table, after a check that a table has training's columns.

    The target columns, and those that training dropped, are left out where the table has them.
    """
    table = _TABLES.get(Path(path).suffix.lower())
    if table is None:
        return as_array(open_npy(path), path)
    known = trainer.spec_.schema.features
    opened = table(path, known=known)
    if isinstance(opened, Csv):
        opened = replace(opened, separator="\t" if path.lower().endswith(".tsv") else config.data.separator)
    names = opened.names_of_columns()
    opened = replace(
        opened,
        drop=tuple(name for name in (*_targets(config), *config.data.drop) if name in names),
        columns=tuple(name for name in config.data.columns if name in names),
    )
    check_features(known, opened.features, path)
    return opened.arrays()[0]


def _targets(config: Config) -> tuple[str, ...]:
    target = config.data.target
    return (target,) if isinstance(target, str) else tuple(target)


def named_columns(
    predictions: np.ndarray, kind: str, config: Config, trainer: Trainer, output: str
) -> dict[str, np.ndarray]:
    """Return predictions as named columns (rows,): one of classes, or a column of probabilities a class."""
    if predictions.ndim > 2:
        raise InputError(
            f"{output}: predictions of shape {predictions.shape[1:]} for each example do not fit into a "
            "table; write a .npy file"
        )
    spec, targets = trainer.spec_, _targets(config)
    classes = [str(label) for label in _class_names(trainer)]
    if kind == "classes" and spec.loss.task != "numbers" and predictions.ndim == 1:
        labels = predictions
        if trainer.names_ and labels.dtype.kind in "iu" and not spec.model.tokens:
            labels = np.array(trainer.names_)[labels]
        return {targets[0] if len(targets) == 1 else "class": labels}
    values = predictions.reshape(len(predictions), -1)
    if kind == "probabilities" and spec.loss.task == "labels" and len(classes) == 2 and values.shape[1] == 1:
        values = np.concatenate([1 - values, values], axis=1)
    names: Sequence[str] = targets
    if spec.loss.task != "numbers":
        names = classes
    if len(set(names)) != values.shape[1]:
        names = ["output"] if values.shape[1] == 1 else [f"output_{i}" for i in range(values.shape[1])]
    return {name: values[:, i] for i, name in enumerate(names)}


def _class_names(trainer: Trainer) -> Sequence[object]:
    names = trainer.names_
    return names if len(names) == len(trainer.classes_) else list(trainer.classes_.tolist())


def _write_csv(file: IO[bytes], columns: Mapping[str, np.ndarray], separator: str) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.astype(str).tolist() for values in columns.values()), strict=True))
    text.flush()
    text.detach()


def _write_parquet(file: IO[bytes], columns: Mapping[str, np.ndarray]) -> None:
    arrow = require_pyarrow("parquet")
    from pyarrow import parquet

    parquet.write_table(arrow.table({name: values.tolist() for name, values in columns.items()}), file)
