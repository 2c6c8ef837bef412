"""Groups of Zarr: chunked, compressed arrays in a folder; only the chunks that are needed are read."""

from __future__ import annotations

import os
from dataclasses import MISSING, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from daskpar.data.check import check_pair
from daskpar.data.paths import absolute
from daskpar.data.reading import Stamp, decoding, stamp
from daskpar.data.source import Source, class_numbers
from daskpar.data.sparse import Index, Stored
from daskpar.errors import InputError
from daskpar.registry import register
from daskpar.settings import PathText, setting

if TYPE_CHECKING:
    from zarr import Array

_SMALL = 64 << 20  # bytes of targets up to which all of them are read to find the labels
_FILES = "zarr.json", ".zarray", ".zattrs", ".zgroup"


class ZarrRows:
    """An array (rows, ...) of Zarr with the interface of NumPy's; indexing reads the chunks of those rows."""

    def __init__(self, array: Array):
        self.array = array
        self.shape, self.dtype, self.ndim = tuple(array.shape), np.dtype(array.dtype), array.ndim

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Index) -> np.ndarray:
        return np.asarray(self.array[rows] if isinstance(rows, slice) else self.array.oindex[rows])


@register("zarr")
@dataclass(frozen=True)
class Zarr(Source):
    """A group of Zarr, in a folder or a `.zip` file, with an array of examples and one of targets.

    Reading rows reads and decompresses the chunks of the arrays that contain them, so chunks of whole rows
    are best. Nothing is kept in memory but the open group, for the last 8 groups in each process. Reading
    needs zarr (`pip install 'daskpar[zarr]'`).

    Args:
        path: The folder or `.zip` file of the group.
        x: Name of the array of examples (rows, ...), numbers. Default: "x".
        y: Name of the array of targets (rows, ...). Default: "y".
        max_value: Largest raw value of the examples; training uses `x / max_value`. None: as they are.
            Keyword only. Default: None.

    Raises:
        InputError: The group is missing or damaged, an array is not there, or the arrays have different
            numbers of rows or other dtypes.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import zarr
        >>> from daskpar.data import Zarr
        >>> folder = tempfile.TemporaryDirectory()
        >>> group = zarr.open_group(f"{folder.name}/line.zarr", mode="w")
        >>> _ = group.create_array("x", data=np.arange(8.0).reshape(4, 2), chunks=(2, 2))
        >>> _ = group.create_array("y", data=np.array([0, 1, 0, 1]), chunks=(2,))
        >>> source = Zarr(f"{folder.name}/line.zarr")
        >>> source.rows, source.x_shape
        (4, (2,))
        >>> source.read(slice(1, 2))
        (array([[2., 3.]]), array([1]))
        >>> folder.cleanup()
    """

    path: PathText = setting(MISSING, "the folder or .zip file of a group of Zarr")
    x: str = setting("x", "name of the array of examples")
    y: str = setting("y", "name of the array of targets")
    needs: ClassVar[str] = "data.path, a group with arrays x and y"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "path", absolute(self.path, "Zarr(path=...)"))

    @property
    def version(self) -> Stamp:
        places = [Path(self.path, *part) for part in ((), (self.x,), (self.y,))]
        files = [place for folder in places for place in (folder, *(folder / name for name in _FILES))]
        return tuple(number for file in files for number in stamp(file))

    def arrays(self) -> tuple[Stored, np.ndarray]:
        return _open_group(self.path, self.x, self.y, self.version, os.getpid())

    def labels(self) -> np.ndarray:
        return class_numbers(self.arrays()[1][:])

    def plain_targets(self) -> np.ndarray | None:
        y = self.arrays()[1]
        return y[:] if y.dtype.itemsize * np.prod(y.shape) <= _SMALL else None


@lru_cache(maxsize=8)
def _open_group(path: str, x: str, y: str, version: Stamp, process: int) -> tuple[Stored, np.ndarray]:
    try:
        import zarr
    except ImportError:
        raise InputError("data.source=zarr needs Zarr; pip install 'daskpar[zarr]'") from None

    if not os.path.exists(path):
        raise InputError(f"{path}: no such folder or file; expected a group of Zarr with arrays {x} and {y}")
    with decoding(path, "a group of Zarr"):
        group = zarr.open_group(path, mode="r")
        names = sorted(name for name, _ in group.arrays())
        for name in (x, y):
            if name not in names:
                listed = ", ".join(names[:10]) or "no arrays"
                raise InputError(f"{path}: holds {listed}; expected arrays {x} and {y}")
        pair = ZarrRows(group[x]), ZarrRows(group[y])
    x_rows, y_rows = cast("tuple[Stored, np.ndarray]", pair)
    check_pair(x_rows, y_rows, path)
    return x_rows, y_rows
