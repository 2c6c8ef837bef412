"""Pictures in a folder, one folder within it for each class.

pets/cat/1.jpg   pets/cat/2.png   pets/dog/1.jpg        classes: cat 0, dog 1
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from daskpar.data.paths import absolute
from daskpar.data.source import Rows, Source
from daskpar.errors import InputError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp")


@dataclass(frozen=True)
class Images(Source):
    """Pictures (rows, height, width, channels) of bytes and classes (rows,), in the order of their names.

    Those of another size are resized to `size` (height, width), those of another mode become RGB
    (3 `channels`) or grey (1). Only the rows that are read are decoded, by whoever reads them.
    """

    path: str
    size: tuple[int, int]
    channels: int = 3
    peak: float | None = field(default=255.0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", absolute(self.path, "Images(path=...)"))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return self.read(slice(0, self.rows))

    @property
    def rows(self) -> int:
        return len(self.labels())

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (*self.size, self.channels)

    @property
    def x_dtype(self) -> Any:
        return np.dtype(np.uint8)

    @property
    def y_shape(self) -> tuple[int, ...]:
        return ()

    @property
    def y_dtype(self) -> Any:
        return np.dtype(np.int32)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes: the names of their folders, sorted."""
        return find_images(self.path)[0]

    def labels(self) -> np.ndarray:
        return find_images(self.path)[2]

    def read(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        _, files, labels = find_images(self.path)
        wanted = np.arange(len(files))[rows]
        x = np.empty((len(wanted), *self.x_shape), dtype=np.uint8)
        for i, row in enumerate(wanted):
            x[i] = read_image(Path(files[row]), self.size, self.channels)
        return x, labels[rows]


@lru_cache(maxsize=4)
def find_images(path: str) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """(classes, files, class of each file). Raises InputError for a folder that does not hold any."""
    _pillow()
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(f"{path}: no such folder; expected one with a folder of pictures for each class")
    classes = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise InputError(f"{path}: no folders of classes in it; expected e.g. {folder / 'cat' / '1.png'}")
    files: list[str] = []
    labels: list[int] = []
    for number, name in enumerate(classes):
        found = sorted(str(p) for p in (folder / name).iterdir() if p.suffix.lower() in ENDINGS)
        if not found:
            raise InputError(
                f"{folder / name}: no pictures in it; expected files such as {', '.join(ENDINGS)}"
            )
        files += found
        labels += [number] * len(found)
    return tuple(classes), tuple(files), np.array(labels, dtype=np.int32)


def read_image(path: Path, size: tuple[int, int], channels: int) -> np.ndarray:
    """A picture as bytes (height, width, channels). Raises InputError that names a damaged file."""
    image, operations = _pillow()
    try:
        with image.open(path) as opened:
            if opened.mode[0] in "IF":  # 16 or 32 bits a pixel, which Pillow would cut off at 255
                raise InputError(f"{path}: {opened.mode} pixels; expected pictures of 8 bits a channel")
            picture = operations.exif_transpose(opened).convert("RGB" if channels == 3 else "L")
    except (OSError, SyntaxError, ValueError, image.DecompressionBombError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable picture ({error})") from None
    height, width = size
    if picture.size != (width, height):
        picture = picture.resize((width, height), image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.uint8).reshape(height, width, channels)


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise InputError("data.source=images needs Pillow: pip install 'daskpar[images]'") from None
    return Image, ImageOps
