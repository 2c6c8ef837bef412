"""Folders as cameras, systems and accidents leave them: the pictures, or one line that names the file."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from daskpar import Trainer
from daskpar.data import Images, Split, split
from daskpar.data.images import read_image
from daskpar.errors import InputError

Image = pytest.importorskip("PIL.Image", reason="needs the images extra")

PIXELS = np.zeros((16, 32, 3), np.uint8)
PIXELS[:, :16, 0], PIXELS[:, 16:, 2] = 255, 255  # red beside blue; red above blue once it is turned by 6
TURN = (0x0112, 3, 1, struct.pack("<H", 6))


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF of entries (tag, type, count, data), little-endian."""
    start, fields, rest = 8 + 2 + 12 * len(entries) + 4, b"", b""
    for tag, kind, count, data in entries:
        place = data.ljust(4, b"\0")
        if len(data) > 4:
            place, rest = struct.pack("<I", start + len(rest)), rest + data
        fields += struct.pack("<HHI", tag, kind, count) + place
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + fields + struct.pack("<I", 0) + rest


def saved(path: Path, **options: Any) -> Path:
    best = {".jpg": {"quality": 95}, ".webp": {"lossless": True}}.get(path.suffix, {})
    Image.fromarray(PIXELS).save(path, **best, **options)
    return path


def is_turned(path: Path) -> bool:
    x = read_image(path, (32, 16), 3)
    return bool(x[2, 8, 0] > 200 and x[-3, 8, 2] > 200)


FIELDS = {
    "XResolution -1/0": (0x011A, 10, 1, struct.pack("<ii", -1, 0)),
    "XResolution a text": (0x011A, 2, 3, b"72\0"),
    "XResolution not a number": (0x011A, 11, 1, struct.pack("<f", float("nan"))),
    "XResolution of nothing": (0x011A, 5, 0, b""),
    "ImageWidth a text": (0x0100, 2, 3, b"72\0"),
    "DocumentName a number": (0x010D, 11, 1, struct.pack("<f", 1.0)),
    "StripOffsets 2**63": (0x0111, 16, 1, struct.pack("<Q", 2**63)),
    "YResolution bytes": (0x011B, 7, 4, b"\xff\0\1\2"),
    "Artist not UTF-8": (0x013B, 2, 9, b"\xff\xfeabcdef\0"),
    "ExifIFD to itself": (0x8769, 4, 1, b"\x08\0\0\0"),
    "GPS a text": (0x8825, 2, 4, b"abc\0"),
    "more values than there are": (0x0213, 5, 2**28, b"abcd"),
    "a type that is not known": (0x0213, 99, 1, b"abcd"),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_one_field_of_exif_is_broken(tmp_path: Path, field: str, ending: str) -> None:
    for i, entries in enumerate([(TURN, FIELDS[field]), (FIELDS[field], TURN)]):
        assert is_turned(saved(tmp_path / f"{i}.{ending}", exif=exif(*entries)))


@pytest.mark.parametrize(
    "raw, turned",
    [
        (b"Exif\0\0", False),
        (b"Exif\0\0II*\0" + b"\xff" * 4, False),
        (b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHH", 1, 0x0112, 3, 1, 6, 0), True),
        (b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 65535) + exif(TURN)[16:28], True),
        (exif(TURN)[:-8], False),
        (exif((0x0112, 2, 2, b"6\0")), False),
        (exif((0x0112, 4, 1, struct.pack("<I", 6))), True),
        (exif((0x0112, 3, 1, struct.pack("<H", 9))), False),
        (b"Exif\0\0" * 2 + exif(TURN)[6:], True),
    ],
    ids=["empty", "far", "big-endian", "many entries", "cut", "a text", "long", "nine", "named twice"],
)
def test_exif_itself_is_broken(tmp_path: Path, raw: bytes, turned: bool) -> None:
    assert is_turned(saved(tmp_path / "1.jpg", exif=raw)) == turned


@pytest.mark.parametrize("value", range(1, 9))
def test_all_eight_orientations(tmp_path: Path, value: int) -> None:
    from PIL import ImageOps

    rng = np.random.default_rng(value)
    plain = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    plain.save(tmp_path / "1.png", exif=exif((0x0112, 3, 1, struct.pack("<H", value))))
    with Image.open(tmp_path / "1.png") as opened:
        right = np.asarray(ImageOps.exif_transpose(opened))
    np.testing.assert_array_equal(read_image(tmp_path / "1.png", right.shape[:2], 3), right)


def made(mode: str, ending: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, ending, **options)
    return file.getvalue()


def frames(ending: str) -> bytes:
    file = io.BytesIO()
    first, others = Image.fromarray(PIXELS), [Image.new("RGB", (32, 16), "green")] * 2
    first.save(file, ending, save_all=True, append_images=others, lossless=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "raw",
    [
        made("P", "png", transparency=bytes(range(256))),
        made("P", "png", transparency=0),
        made("RGB", "png", transparency=(255, 0, 0)),
        made("RGBA", "webp", lossless=True),
        made("CMYK", "jpeg", quality=95),
        frames("png"),
        frames("webp"),
        made("RGB", "jpeg", quality=95, progressive=True),
    ],
    ids=[
        "palette alphas",
        "palette clear",
        "clear colour",
        "rgba",
        "cmyk",
        "apng",
        "webp frames",
        "progressive",
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_modes_and_frames(tmp_path: Path, raw: bytes, channels: int) -> None:
    (tmp_path / "1.png").write_bytes(raw)
    x = read_image(tmp_path / "1.png", (16, 32), channels).astype(int)
    right = PIXELS if channels == 3 else np.asarray(Image.fromarray(PIXELS).convert("L"))[..., None]
    assert np.abs(x - right)[:, [2, 8, 24, 30]].max() < 12


def large(side: int) -> bytes:
    """A PNG whose header says that it is of this size."""
    raw = bytearray(made("RGB", "png"))
    raw[16:24] = struct.pack(">II", side, side)
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    return bytes(raw)


@pytest.mark.parametrize(
    "raw, words",
    [
        (large(20_000), "not a readable image (Image size"),
        (large(2**31 - 1), "not a readable image ("),
        (large(9_600), "not a readable image ("),
        (made("RGB", "png")[:-30], "not a readable image ("),
        (made("RGB", "jpeg")[:-80], "not a readable image ("),
        (made("RGB", "webp")[:-80], "not a readable image ("),
        (b"P6 9 9 255\n", "not a readable image ("),
        (b"", "not a readable image ("),
        (b"<svg/>", "not a readable image ("),
    ],
    ids=["bomb", "of 4 billion", "warned of", "png", "jpeg", "webp", "ppm", "empty", "svg"],
)
def test_damaged(tmp_path: Path, raw: bytes, words: str) -> None:
    (tmp_path / "1.png").write_bytes(raw)
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "1.png", (4, 4), 3)
    assert str(error.value).startswith(f"{tmp_path / '1.png'}: {words}") and str(error.value).isprintable()


@pytest.mark.parametrize(
    "error", [AttributeError, struct.error, KeyError, RuntimeError, UserWarning, MemoryError]
)
def test_whatever_a_decoder_raises_names_the_file(tmp_path: Path, monkeypatch: Any, error: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error("two\nlines")

    path = saved(tmp_path / "1.png")
    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(InputError) as refused:
        read_image(path, (4, 4), 3)
    assert str(refused.value).startswith(f"{path}: ") and str(refused.value).isprintable()
    assert "memory" in str(refused.value) or "(two)" in str(refused.value) or "('two" in str(refused.value)


def test_an_interruption_stays_one(tmp_path: Path, monkeypatch: Any) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    path = saved(tmp_path / "1.png")
    monkeypatch.setattr(Image.Image, "convert", interrupt)
    with pytest.raises(KeyboardInterrupt):
        read_image(path, (4, 4), 3)


# --- folders


def pets(folder: Path) -> Images:
    for colour, kind in ((40, "cat"), (200, "dog")):
        (folder / kind).mkdir()
        for i in range(4):
            Image.fromarray(np.full((8, 8, 3), colour + i, np.uint8)).save(folder / kind / f"{i}.png")
    return Images(str(folder), (8, 8))


DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(40)
LEFT = {
    "._0.png": "cat/._0.png",
    "hidden and empty": "cat/.x.webp",
    "__MACOSX": "__MACOSX/cat/._0.png",
    "__MACOSX with a picture": "__MACOSX/._0.png",
    "__MACOSX in a class": "dog/__MACOSX/0.png",
    "DS_Store": "cat/.DS_Store",
    "DS_Store above": ".DS_Store",
    "Thumbs.db": "cat/Thumbs.db",
    "thumbs.db": "dog/thumbs.db",
    "desktop.ini": "desktop.ini",
    "recycle bin": "$RECYCLE.BIN/0.png",
    "thumbnails of a disk station": "@eaDir/0.jpg/thumb.png",
    "notebooks": ".ipynb_checkpoints/0-checkpoint.png",
    "lost+found": "lost+found/x.png",
}


@pytest.mark.parametrize("left", LEFT)
def test_left_in_folders(tmp_path: Path, caplog: Any, left: str) -> None:
    source = pets(tmp_path)
    (tmp_path / LEFT[left]).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / LEFT[left]).write_bytes(DOUBLE)
    Trainer(["flatten", {"dense": 2}], batch=4, client="threaded-scheduler").fit(Split(source))
    assert (source.names, source.rows) == (("cat", "dog"), 8)
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("daskpar.data")]
    assert len(lines) == 1 and lines[0].startswith(
        f"{tmp_path}: 8 images; passed over 1 × a hidden or system"
    )


def test_what_is_passed_over_is_counted(tmp_path: Path, caplog: Any) -> None:
    source = pets(tmp_path)
    for name in ("cat/.a", "cat/.b.png", "dog/Thumbs.db", "dog/notes.txt"):
        (tmp_path / name).write_bytes(DOUBLE)
    (tmp_path / "dog" / "puppies.png").mkdir()
    saved(tmp_path / "stray.PNG")
    (tmp_path / "labels.csv").write_text("not told: no picture is lost for it")
    assert source.rows == 8 and source.rows == 8
    (record,) = [r for r in caplog.records if r.name.startswith("daskpar.data")]
    assert record.getMessage() == (
        f"{tmp_path}: 8 images; passed over 1 × an image outside the folders of classes "
        f"({tmp_path}/stray.PNG), 3 × a hidden or system entry ({tmp_path}/cat/.a), "
        f"1 × a folder within a class ({tmp_path}/dog/puppies.png), "
        f"1 × a file of another ending ({tmp_path}/dog/notes.txt)"
    )


def test_clean_folders_are_not_talked_about(tmp_path: Path, caplog: Any) -> None:
    assert pets(tmp_path).rows == 8 and not caplog.records


@pytest.mark.parametrize(
    "left, said", [(".DS_Store", "hidden"), ("pups/1.png", "folder within"), ("a.gif", "ending")]
)
def test_a_class_of_nothing_else(tmp_path: Path, left: str, said: str) -> None:
    source = pets(tmp_path)
    (tmp_path / "eel" / left).parent.mkdir(parents=True)
    (tmp_path / "eel" / left).write_bytes(DOUBLE)
    with pytest.raises(InputError, match=rf"eel: no images in it; expected .*; it holds 1 × .*{said}"):
        source.labels()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    server, here = socket.socket(socket.AF_UNIX), os.getcwd()
    os.chdir(path.parent)  # a socket's path has at most 100 characters
    try:
        server.bind(path.name)
    finally:
        os.chdir(here)
        server.close()


def to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def to_nothing(path: Path) -> None:
    path.symlink_to("moved-away.png")


@pytest.mark.parametrize(
    "put, said",
    [
        (pipe, "is a named pipe"),
        (unix_socket, "is a socket"),
        (to_nothing, "a link to a file that is not there"),
        (to_itself, "Too many levels of symbolic links"),
    ],
)
def test_what_is_no_file_is_refused_by_name(tmp_path: Path, put: Callable[[Path], None], said: str) -> None:
    source = pets(tmp_path)
    put(tmp_path / "cat" / "3a.png")
    with pytest.raises(InputError, match=rf"cat/3a\.png: {said}"):
        source.read(slice(0, 8))
    with pytest.raises(InputError, match=rf"3a\.png: {said}"):
        read_image(tmp_path / "cat" / "3a.png", (4, 4), 3)


def test_links_to_pictures_and_folders(tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    source = pets(tmp_path / "pets")
    saved(tmp_path / "other.png")
    (tmp_path / "pets" / "cat" / "9.png").symlink_to(tmp_path / "other.png")
    (tmp_path / "pets" / "eel").symlink_to(tmp_path / "pets" / "dog")
    assert (source.names, source.rows) == (("cat", "dog", "eel"), 13)


def test_a_folder_that_changes_is_listed_anew(tmp_path: Path) -> None:
    source = pets(tmp_path)
    assert source.rows == 8
    saved(tmp_path / "cat" / "9.png")
    assert source.labels().tolist() == [0] * 5 + [1] * 4
    (tmp_path / "ant").mkdir()
    saved(tmp_path / "ant" / "1.png")
    assert source.names == ("ant", "cat", "dog") and source.labels().tolist() == [0] + [1] * 5 + [2] * 4
    (tmp_path / "cat" / "0.png").unlink()
    assert source.rows == 9 and len(source.read(slice(0, 9))[0]) == 9
    (tmp_path / "dog").rename(tmp_path / "hound")
    assert source.names == ("ant", "cat", "hound")


def test_parts_of_a_folder_that_changes(tmp_path: Path) -> None:
    """The rows of a part are drawn anew: they are of the new listing."""
    source = pets(tmp_path)
    train, validation, _ = split(source, 0.25, 0.0, seed=0, stratified=True)
    assert validation is not None and train.rows + validation.rows == 8
    train.read(slice(0, train.rows))
    for kind in ("cat", "dog"):
        for i in range(4, 8):
            saved(tmp_path / kind / f"{i}.png")
    rows = [part.where(slice(0, part.rows)) for part in (train, validation)]
    assert sorted(np.concatenate(rows)) == list(range(16))


def test_workers_that_live_longer_list_anew(tmp_path: Path, processes_client: Any) -> None:
    source = pets(tmp_path)
    for rows in (8, 9):
        trainer = Trainer(["flatten", {"dense": 3}], batch=3, client=processes_client).fit(Split(source))
        assert trainer.evaluate(Split(source))["loss"] > 0 and source.rows == rows
        (tmp_path / "ant").mkdir(exist_ok=True)
        saved(tmp_path / "ant" / "1.png")


# --- bytes that were changed on the way

WHOLE = {name: made("RGB", name, exif=exif(TURN)) for name in ("png", "jpeg", "webp")}


@settings(derandomize=True, max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(sorted(WHOLE)),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=4),
    share=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_flipped_and_cut(tmp_path: Path, name: str, changes: list[tuple[float, int]], share: float) -> None:
    raw = bytearray(WHOLE[name])
    for place, value in changes:
        raw[int(place * len(raw))] = value
    path = tmp_path / "1.png"
    path.write_bytes(raw[: int(share * len(raw))])
    try:
        assert read_image(path, (4, 6), 3).shape == (4, 6, 3)
    except InputError as error:
        assert str(error).startswith(f"{path}: ") and str(error).isprintable()
