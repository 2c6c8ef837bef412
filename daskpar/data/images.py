"""Images in a folder that has a folder for each class.

pets/cat/1.jpg   pets/cat/2.png   pets/dog/1.jpg        classes: cat 0, dog 1

An image is turned as its EXIF orientation says; other metadata are ignored. Of several frames the first is
used. Transparency is dropped. Grey images of 16 bits a pixel are refused, and so are damaged files.
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
_TURNS = {  # EXIF orientation: Pillow's name of the operation that undoes it
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_LARGEST = 65_535
"""Most pixels along a side of a resized image."""


def _checked_size(size: object) -> object:
    sides = size if isinstance(size, list | tuple) else ()
    if any(isinstance(side, int) and not 1 <= side <= _LARGEST for side in sides):
        raise InputError(f"images.size={size}: height and width must be from 1 to {_LARGEST}")
    return size


@register("images")
@dataclass(frozen=True)
class Images(Source):
    """Image files in a folder that has a folder for each class.

    Examples (rows, height, width, channels) are uint8 from 0 to 255, targets (rows,) are int32: the indices
    of the sorted names of the folders. Files end with .png, .jpg, .jpeg, .bmp, .ppm or .webp.

    Files are decoded when their rows are read, on the worker that reads them. Images of another size are
    resized (bilinear, without keeping the ratio of the sides); images of another mode are converted. Only the
    list of files is kept in each process, until a folder changes. Reading needs Pillow
    (`pip install 'daskpar[images]'`).

    Args:
        path: The folder that has a folder for each class.
        size: Height and width in pixels, each from 1 to 65,535.
        channels: 3 for RGB, 1 for grey. Default: 3.
        max_value: Largest raw value of a pixel; training uses `x / max_value`. Keyword only. Default: 255.

    Raises:
        InputError: The folder is missing or has no folders with images, a file is damaged, or Pillow is not
            installed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import PIL.Image
        >>> from daskpar.data import Images
        >>> folder = tempfile.TemporaryDirectory()
        >>> for name, grey in (("cat", 0), ("dog", 255)):
        ...     Path(folder.name, name).mkdir()
        ...     PIL.Image.new("L", (4, 4), grey).save(Path(folder.name, name, "1.png"))
        >>> source = Images(folder.name, size=(2, 2), channels=1)
        >>> source.names, source.rows, source.x_shape
        (('cat', 'dog'), 2, (2, 2, 1))
        >>> x, y = source.read(slice(1, 2))
        >>> x.ravel().tolist(), y.tolist()
        ([255, 255, 255, 255], [1])
        >>> folder.cleanup()
    """

    path: PathText = setting(MISSING, "a folder that has a folder of images for each class")
    size: tuple[int, int] = setting(
        MISSING, "height and width in pixels, to which images are resized", at_least=1, convert=_checked_size
    )
    channels: int = setting(3, "channels of an image: 1 for grey, 3 for RGB", choices=(1, 3))
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
        """The names of the classes: those of the folders, sorted."""
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
        _pillow()  # refuses before a large folder is listed
        return find_images(self.path)


def read_image(path: Path, size: tuple[int, int], channels: int) -> np.ndarray:
    """Return an image as uint8 (height, width, channels). Raises InputError for a damaged file."""
    image = _pillow()
    raw = read_bytes(path, "an image")
    with decoding(path, "an image"):
        opened = _open(image, raw, path)
        if opened.mode[0] in "IF":  # 16 or 32 bits a pixel: Pillow would clip at 255
            raise InputError(f"{path}: {opened.mode} pixels; expected images of 8 bits a channel")
        check_memory(path, 8 * opened.width * opened.height, "the image")
        opened.load()
        turn = _TURNS.get(orientation(opened.info))
        opened.info.pop("transparency", None)  # is dropped, like a fourth channel
        picture = opened.convert("RGB" if channels == 3 else "L")
        if turn is not None:
            picture = picture.transpose(image.Transpose[turn])
        height, width = size
        if picture.size != (width, height):
            picture = picture.resize((width, height), image.Resampling.BILINEAR)
        return np.asarray(picture, dtype=np.uint8).reshape(height, width, channels)


def _open(image: ModuleType, raw: bytes, path: Path) -> Picture:
    """Return Pillow's image after reading its header, without warnings about metadata."""
    with without_warnings(module=r"PIL\b"):
        try:
            try:
                return image.open(io.BytesIO(raw))
            except Exception:
                if not raw.startswith(b"\xff\xd8") or _EXIF not in raw:
                    raise
            # Pillow reads the resolution of a JPEG from its EXIF, and fails on some values.
            opened = image.open(io.BytesIO(raw.replace(_EXIF, b"Left\0\0")))
            opened.info["exif"] = raw[raw.index(_EXIF) :]
            return opened
        except image.UnidentifiedImageError:
            raise InputError(f"{path}: not a readable image (its format is not known)") from None


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise InputError("data.source=images needs Pillow: pip install 'daskpar[images]'") from None
    return Image
