"""Images of a report: arrays as PNG within the page, written with the standard library alone."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from html import escape

import numpy as np

from daskpar.report.run.html import Html

_LARGEST = 64  # pixels of a side; larger images are reduced
_STOPS = np.array([[13, 8, 60], [106, 23, 110], [187, 55, 84], [249, 142, 9], [252, 255, 200]], float)
_NEGATIVE, _ZERO, _POSITIVE = np.array([[33, 102, 172], [247, 247, 247], [178, 24, 43]], float)


def png(pixels: np.ndarray) -> bytes:
    r"""Return a PNG file of pixels (height, width) or (height, width, 3), uint8.

    Reference:
        ISO/IEC 15948, "Portable Network Graphics (PNG)".

    >>> png(np.zeros((1, 1), np.uint8))[:8]
    b'\x89PNG\r\n\x1a\n'
    """
    height, width = pixels.shape[:2]
    lines = np.zeros((height, 1 + pixels[0].size), np.uint8)  # each line begins with its filter: none
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def picture(pixels: np.ndarray, text: str, width: int = 96) -> Html:
    """Return pixels (height, width) or (height, width, 3), uint8, as an image with a text for readers.

    Args:
        pixels: The pixels.
        text: A description, which also shows under the mouse.
        width: Width on the page, in pixels of the screen. Default: 96.
    """
    source = b64encode(png(pixels)).decode()
    height = max(1, round(width * pixels.shape[0] / pixels.shape[1]))
    text = escape(text)
    return Html(
        f'<img class="pixels" width="{width}" height="{height}" alt="{text}" title="{text}" '
        f'src="data:image/png;base64,{source}">'
    )


def is_image(shape: tuple[int, ...]) -> bool:
    """Return whether examples of this shape are images, grey or in colour."""
    return len(shape) == 3 and shape[2] in (1, 3) and min(shape[:2]) >= 3


def value_range(x: np.ndarray) -> tuple[float, float]:
    """Return the values of black and of white for images (rows, height, width, channels)."""
    if x.dtype == np.uint8 and x.size and x.max() > 127:
        return 0.0, 255.0
    finite = x[np.isfinite(x)] if x.dtype.kind == "f" else x
    if not finite.size:
        return 0.0, 1.0
    return min(0.0, float(finite.min())), float(finite.max())


def as_pixels(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return pixels, uint8, of an image (height, width, 1 or 3); `low` is black, `high` is white."""
    step = -(-max(image.shape[:2]) // _LARGEST)
    if step > 1:
        height, width = (size // step * step or size for size in image.shape[:2])
        blocks = image[:height, :width].astype(float)
        blocks = blocks.reshape(height // step, step, width // step, step, image.shape[2])
        image = blocks.mean(axis=(1, 3))
    pixels = _bytes(image.astype(float), low, high)
    return pixels[..., 0] if image.shape[2] == 1 else pixels


def _bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        share = np.nan_to_num((values - low) / ((high - low) or 1.0))
    return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def heat(values: np.ndarray, high: float) -> np.ndarray:
    """Return pixels (height, width, 3) of values (height, width): 0 is dark, `high` is light."""
    share = np.nan_to_num(np.clip(values / (high or 1.0), 0, 1)) * (len(_STOPS) - 1)
    below = np.minimum(share.astype(int), len(_STOPS) - 2)
    part = (share - below)[..., None]
    return np.rint(_STOPS[below] * (1 - part) + _STOPS[below + 1] * part).astype(np.uint8)


def signed(values: np.ndarray, most: float) -> np.ndarray:
    """Return pixels (height, width, 3) of values (height, width): -`most` is blue, 0 white, `most` red."""
    share = np.nan_to_num(np.clip(values / (most or 1.0), -1, 1))[..., None]
    end = np.where(share < 0, _NEGATIVE, _POSITIVE)
    return np.rint(_ZERO + (end - _ZERO) * np.abs(share)).astype(np.uint8)
