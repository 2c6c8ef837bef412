"""The orientation of an image, from its EXIF or XMP.

EXIF is a small TIFF file: a byte order (II or MM), the number 42, and the offset of a directory of entries of
12 bytes (tag, type, count, value). Cameras and editors write malformed values into the other entries, and
libraries fail on them. So only the entry of the orientation is read.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

_TAG = 0x0112
_FORMATS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # types of whole numbers
_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)\s*([1-8])")


def orientation(info: Mapping[str, object]) -> int:
    """Return the orientation, 1 to 8, in Pillow's `info` of an image; 1 if there is none.

    EXIF comes first, then XMP, as in Pillow's `exif_transpose`. Damaged metadata count as missing.
    """
    exif = info.get("exif")
    if exif is None:
        exif = _from_text(info.get("Raw profile type exif"))
    value = _in_exif(exif) if isinstance(exif, bytes) else None
    if value is None:
        value = _in_xmp(info.get("XML:com.adobe.xmp") or info.get("xmp"))
    return value if value is not None and 1 <= value <= 8 else 1


def _in_exif(raw: bytes) -> int | None:
    """Return the value of the orientation's entry; None if there is no such entry."""
    while raw.startswith(b"Exif\0\0"):
        raw = raw[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(raw[:4])
    if order is None or len(raw) < 8:
        return None
    (start,) = struct.unpack_from(f"{order}I", raw, 4)
    if start + 2 > len(raw):
        return None
    (entries,) = struct.unpack_from(f"{order}H", raw, start)
    value = None
    for place in range(start + 2, min(start + 2 + 12 * entries, len(raw) - 11), 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", raw, place)
        if tag == _TAG and count == 1 and kind in _FORMATS:
            (value,) = struct.unpack_from(f"{order}{_FORMATS[kind]}", raw, place + 8)
    return value


def _in_xmp(packet: object) -> int | None:
    if isinstance(packet, str):
        packet = packet.encode("utf-8", "replace")
    match = _XMP.search(packet) if isinstance(packet, bytes) else None
    return None if match is None else int(match[1])


def _from_text(profile: object) -> bytes | None:
    """Return EXIF from the hexadecimal text that ImageMagick writes into PNG: three lines, then digits."""
    if not isinstance(profile, str):
        return None
    try:
        return bytes.fromhex("".join(profile.split("\n")[3:]))
    except ValueError:
        return None
