"""Pictures in a folder, one folder within it for each class.

pets/cat/1.jpg   pets/cat/2.png   pets/dog/1.jpg        classes: cat 0, dog 1

A picture is turned as its EXIF says, and nothing else of its metadata matters. Of several frames the first
counts; transparency is dropped. Pictures of 16 bits a grey pixel are refused, as is what cannot be decoded.
"""

from __future__ import annotations

import io
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from daskpar.data.folders import Listing, find_images, folder_version
from daskpar.data.orientation import orientation
from daskpar.data.paths import absolute
from daskpar.data.reading import check_memory, decoding, read_bytes, without_warnings
from daskpar.data.source import MAX_VALUE, Rows, Source
from daskpar.errors import InputError
from daskpar.registry import register
from daskpar.settings import PathText, setting

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_EXIF = b"Exif\0\0"
_TURNS = {  # orientations of EXIF, as Pillow names what undoes them
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_LARGEST = 65_535
"""Pixels along a side that pictures are resized to."""


def _checked_size(size: object) -> object:
    sides = size if isinstance(size, list | tuple) else ()
    if any(isinstance(side, int) and not 1 <= side <= _LARGEST for side in sides):
        raise InputError(f"images.size={size}: height and width must be from 1 to {_LARGEST}")
    return size


@register("images")
@dataclass(frozen=True)
class Images(Source):
    """Pictures (rows, height, width, channels) of bytes and classes (rows,), in the order of their names.

    Those of another size are resized to `size` (height, width), those of another mode become RGB
    (3 `channels`) or grey (1). Only the rows that are read are decoded, by whoever reads them.
    """

    path: PathText = setting(MISSING, "a folder")
    size: tuple[int, int] = setting(
        MISSING, "height and width that they are resized to", at_least=1, convert=_checked_size
    )
    channels: int = setting(3, "1 for grey, 3 for colours", choices=(1, 3))
    max_value: float | None = field(default=255.0, kw_only=True, metadata=MAX_VALUE)
    needs: ClassVar[str] = "data.path, a folder of classes, and data.size, e.g. [32, 32]"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels not in (1, 3):
            raise InputError(f"images.channels={self.channels} must be 1, for grey, or 3, for colours")
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
    def x_dtype(self) -> np.dtype:
        return np.dtype(np.uint8)

    @property
    def y_shape(self) -> tuple[int, ...]:
        return ()

    @property
    def y_dtype(self) -> np.dtype:
        return np.dtype(np.int32)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes: the names of their folders, sorted."""
        return self._listing().classes

    @property
    def version(self) -> tuple[int, ...]:
        return tuple(n for stamp in folder_version(self.path) for n in stamp)

    def labels(self) -> np.ndarray:
        return self._listing().labels

    def read(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        _, files, labels = self._listing()
        wanted = np.arange(len(files))[rows]
        x = np.empty((len(wanted), *self.x_shape), dtype=np.uint8)
        for i, row in enumerate(wanted):
            x[i] = read_image(Path(files[row]), self.size, self.channels)
        return x, labels[rows]

    def read_targets(self, rows: Rows) -> np.ndarray:
        return self.labels()[rows]

    def _listing(self) -> Listing:
        _pillow()  # before a folder is listed for nothing
        return find_images(self.path)


def read_image(path: Path, size: tuple[int, int], channels: int) -> np.ndarray:
    """A picture as bytes (height, width, channels). Raises InputError that names a damaged file."""
    image = _pillow()
    raw = read_bytes(path, "a picture")
    with decoding(path, "a picture"):
        opened = _open(image, raw, path)
        if opened.mode[0] in "IF":  # 16 or 32 bits a pixel, which Pillow would cut off at 255
            raise InputError(f"{path}: {opened.mode} pixels; expected pictures of 8 bits a channel")
        check_memory(path, 8 * opened.width * opened.height, "the picture")
        opened.load()
        turn = _TURNS.get(orientation(opened.info))
        opened.info.pop("transparency", None)  # which is dropped, as the fourth channel of others is
        picture = opened.convert("RGB" if channels == 3 else "L")
        if turn is not None:
            picture = picture.transpose(image.Transpose[turn])
        height, width = size
        if picture.size != (width, height):
            picture = picture.resize((width, height), image.Resampling.BILINEAR)
        return np.asarray(picture, dtype=np.uint8).reshape(height, width, channels)


def _open(image: ModuleType, raw: bytes, path: Path) -> Picture:
    """Pillow's picture, of which the header is read. Warnings about metadata are of no use here."""
    with without_warnings(module=r"PIL\b"):
        try:
            try:
                return image.open(io.BytesIO(raw))
            except Exception:
                if not raw.startswith(b"\xff\xd8") or _EXIF not in raw:
                    raise
            # Pillow looks for the resolution of a JPEG in its EXIF, and fails on some values.
            opened = image.open(io.BytesIO(raw.replace(_EXIF, b"Left\0\0")))
            opened.info["exif"] = raw[raw.index(_EXIF) :]
            return opened
        except image.UnidentifiedImageError:
            raise InputError(f"{path}: not a readable picture (of no format that is known)") from None


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise InputError("data.source=images needs Pillow: pip install 'daskpar[images]'") from None
    return Image
