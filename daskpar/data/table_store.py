"""Storage of a table's arrays: in memory, or as `.npy` files in this user's cache folder.

    ~/.cache/daskpar/tables/<hash of path and options>-<hash of the files' stamps>/x.npy, y.npy, columns.json

Files are written to a temporary folder that is renamed when it is complete, so another process never sees
half a table.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import numpy as np

from daskpar.data.files import open_npy
from daskpar.data.reading import Stamp
from daskpar.errors import InputError

LARGE = 256 << 20
"""Bytes of the arrays of a table above which they are stored in files."""


Kept = tuple[np.ndarray, np.ndarray, list[list[str]]]
"""Examples, targets, and [name, kind] of each column."""


class Store:
    """The arrays of one table in its present version; files of earlier versions are removed.

    `table`: the table and how it is read, as a value whose `repr` is unique. `version`: the stamps of its
    files.
    """

    def __init__(self, table: object, version: Stamp):
        self._name = sha256(repr(table).encode()).hexdigest()[:24]
        self._version = sha256(repr(version).encode()).hexdigest()[:16]
        self._partial: Path | None = None

    def _folder(self) -> Path:
        import pooch  # imported late: it is slow, and small tables do not need it

        return Path(pooch.os_cache("daskpar")) / "tables"

    @property
    def _target(self) -> Path:
        return self._folder() / f"{self._name}-{self._version}"

    def read(self) -> Kept | None:
        """Return the arrays and their columns if they were converted before, else None."""
        try:
            described = json.loads((self._target / "columns.json").read_text())
            return self._mapped(self._target, described)
        except (OSError, ValueError):
            return None

    def _mapped(self, folder: Path, described: list[list[str]]) -> Kept:
        return open_npy(str(folder / "x.npy")), open_npy(str(folder / "y.npy")), described

    def empty(self, kinds: Sequence[tuple[np.dtype, tuple[int, ...]]], rows: int) -> list[np.ndarray]:
        """Return arrays (rows, ...) to be filled; `kinds`: dtype and shape of a row, for each.

        Above `LARGE` bytes they are mapped from files. Raises InputError if these cannot be written.
        """
        size = sum(dtype.itemsize * int(np.prod(shape)) * rows for dtype, shape in kinds)
        if size <= LARGE:
            return [np.empty((rows, *shape), dtype) for dtype, shape in kinds]
        folder = self._folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._partial = Path(mkdtemp(prefix=".partial-", dir=folder))
            paths = (self._partial / f"{name}.npy" for name in "xy")
            return [
                np.lib.format.open_memmap(path, "w+", dtype, (rows, *shape))
                for path, (dtype, shape) in zip(paths, kinds, strict=True)
            ]
        except OSError as error:
            raise InputError(
                f"{folder}: {size / 1e9:,.1f} GB of a table cannot be written ({error.strerror or error})"
            ) from None

    def finish(
        self, x: np.ndarray, y: np.ndarray, described: list[list[str]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the filled arrays; those in files are moved into the cache first."""
        if self._partial is None:
            return x, y
        for array in (x, y):
            if isinstance(array, np.memmap):
                array.flush()
        (self._partial / "columns.json").write_text(json.dumps(described))
        for old in self._folder().glob(f"{self._name}-*"):
            if old != self._target:
                rmtree(old, ignore_errors=True)
        try:
            os.replace(self._partial, self._target)
        except OSError:  # another process has converted the same table
            rmtree(self._partial, ignore_errors=True)
        return self._mapped(self._target, described)[:2]
