"""NumPy arrays given from Python.

Arrays never travel inside a graph. Where workers are threads of this process the graph carries a token, and
the arrays stay where they are; for workers elsewhere they are written once to `.npy` files, which every
worker maps into memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from daskpar.data.files import Npy
from daskpar.data.source import Source, check_pair
from daskpar.errors import InputError

_held: dict[str, tuple[np.ndarray, np.ndarray]] = {}


@dataclass(frozen=True)
class Held(Source):
    """Arrays of this process, by token."""

    token: str

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        try:
            return _held[self.token]
        except KeyError:
            raise InputError("these arrays were released, or belong to another process") from None

    def release(self) -> None:
        _held.pop(self.token, None)


@dataclass(frozen=True)
class Spilled(Npy):
    """Arrays of this process, written to files for workers elsewhere."""

    def release(self) -> None:
        for path in (self.x, self.y):
            Path(path).unlink(missing_ok=True)


def hold(x: Any, y: Any, folder: Path | None = None, where: str = "fit") -> Held | Spilled:
    """A source over arrays given from Python; with `folder`, through files in it."""
    same = x is y
    x, y = np.asarray(x), np.asarray(y)
    check_pair(x, y, where)
    token = uuid4().hex
    if folder is None:
        _held[token] = (x, y)
        return Held(token)
    paths = folder / f"{token}-x.npy", folder / f"{token}-{'x' if same else 'y'}.npy"
    for path, array in zip(paths, (x, y), strict=True):
        if not path.exists():
            np.save(path, array)
    return Spilled(*map(str, paths))
