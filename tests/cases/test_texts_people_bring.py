"""Texts in many encodings, and prompts: the characters, or one line that names the file."""

from __future__ import annotations

import codecs
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from daskpar.data import Text
from daskpar.errors import InputError
from daskpar.train.sample import encode

PLAIN = "the quick brown fox jumps over the lazy dog\n" * 20
GREEK = "αβγδ εζηθ\nικλμ\n" * 20
UTF8 = codecs.BOM_UTF8


def spelt(folder: Path, raw: bytes) -> str:
    """The text as a model sees it, through the windows that it is cut into."""
    (folder / "a.txt").write_bytes(raw)
    source = Text(str(folder / "a.txt"), 8)
    x, y = source.read(slice(0, source.rows))
    return "".join(source.names[t] for t in [*x[0], *y[:, -1]])


def refusal(folder: Path, raw: bytes) -> str:
    with pytest.raises(InputError) as error:
        spelt(folder, raw)
    line = str(error.value)
    assert line.startswith(f"{folder / 'a.txt'}: ") and "\n" not in line
    return line


@pytest.mark.parametrize(
    "raw, right",
    [
        (UTF8 + PLAIN.encode(), PLAIN),
        (UTF8 * 2 + GREEK.encode(), GREEK),
        (UTF8 + PLAIN.encode() + UTF8 + PLAIN.encode(), PLAIN * 2),
        (PLAIN.encode() + UTF8, PLAIN),
        (codecs.BOM_UTF16_LE + PLAIN.encode("utf-16-le"), PLAIN),
        (codecs.BOM_UTF16_BE + GREEK.encode("utf-16-be"), GREEK),
        (codecs.BOM_UTF16_LE + (PLAIN + "𝒜").encode("utf-16-le"), PLAIN + "𝒜"),
        (codecs.BOM_UTF32_LE + PLAIN.encode("utf-32-le"), PLAIN),
        (codecs.BOM_UTF32_BE + GREEK.encode("utf-32-be"), GREEK),
        (codecs.BOM_UTF16_LE + PLAIN.replace("\n", "\r\n").encode("utf-16-le"), PLAIN),
    ],
    ids=[
        *("utf-8 mark", "two marks", "mark in the middle", "mark at the end", "utf-16-le", "utf-16-be"),
        *("utf-16 pair", "utf-32-le", "utf-32-be", "utf-16 and windows lines"),
    ],
)
def test_marks_are_no_characters(tmp_path: Path, raw: bytes, right: str) -> None:
    assert spelt(tmp_path, raw) == right


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
@pytest.mark.parametrize("mark", [b"", UTF8], ids=["plain", "marked"])
def test_line_ends(tmp_path: Path, end: str, mark: bytes) -> None:
    assert spelt(tmp_path, mark + PLAIN.replace("\n", end).encode()) == PLAIN


@pytest.mark.parametrize("kept", ["tab\tfeed\fv\v", "\x1b[31mred\x1b[0m", "é\u00a0—\u2028", "\ufffd"])
def test_characters_that_stay(tmp_path: Path, kept: str) -> None:
    assert spelt(tmp_path, (PLAIN + kept).encode()) == PLAIN + kept


@pytest.mark.parametrize(
    "raw, words",
    [
        (PLAIN.encode("utf-16-le"), "null character"),
        (PLAIN.encode("utf-16-be"), "null character"),
        (PLAIN.encode("utf-32-le"), "null character"),
        (PLAIN.encode("utf-32-be"), "null character"),
        ((PLAIN + "Ā").encode("utf-16-be"), "null character"),
        (("привет" * 20).encode("utf-16-le"), "control characters"),
        (("АБВГД" * 20).encode("utf-16-be"), "control characters"),
        (PLAIN.encode() + b"\0", "character 880"),
        (bytes(range(1, 32)) * 4, "control characters"),
        (("日本語のテキスト\n" * 9).encode("iso2022_jp"), "ISO-2022"),
        (("한국어\n" * 9).encode("iso2022_kr"), "ISO-2022"),
        (b"caf\xe9 and more of it", "byte 3: 0xe9"),
        (UTF8 + b"caf\xe9 and more of it", "byte 6: 0xe9"),
        ("«Привет»".encode("cp1251"), "UTF-8 (invalid start byte at byte 0: 0xab)"),
        (PLAIN.encode()[:40] + "日".encode("shift_jis"), "at byte 40"),
        (codecs.BOM_UTF16_LE + PLAIN.encode("utf-16-le")[:-1], "UTF-16-LE"),
        (codecs.BOM_UTF16_BE + b"\xd8\x00\x00a", "UTF-16-BE"),
        (codecs.BOM_UTF32_LE + b"\xff\xff\xff\xff", "UTF-32-LE"),
        (PLAIN.encode() + "é".encode()[:1], "unexpected end of data at byte 880"),
        (b"", "holds 0 different characters"),
        (UTF8, "holds 0 different characters"),
        (codecs.BOM_UTF32_BE, "holds 0 different characters"),
        (b"\r\n" * 40, "holds 1 different characters"),
    ],
    ids=lambda v: v[:24] if isinstance(v, str) else "",
)
def test_refused(tmp_path: Path, raw: bytes, words: str) -> None:
    assert words in refusal(tmp_path, raw)


@pytest.mark.parametrize("what, words", [("pipe", "is a named pipe"), ("folder", "is a folder")])
def test_what_is_no_file(tmp_path: Path, what: str, words: str) -> None:
    path = tmp_path / "a.txt"
    os.mkfifo(path) if what == "pipe" else path.mkdir()
    with pytest.raises(InputError, match=words):
        Text(str(path), 8).arrays()


@pytest.mark.parametrize("name", ["a\0b", "n" * 300, "line\nbreak.txt"], ids=["null", "long", "line break"])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as error:
        Text(str(tmp_path / name), 8).arrays()
    assert str(error.value).isprintable()


def test_more_than_there_is_memory_for(tmp_path: Path) -> None:
    with open(tmp_path / "a.txt", "wb") as file:
        file.truncate(1 << 42)  # of which the disk holds nothing
    with pytest.raises(InputError, match=r"a\.txt: its content takes 43,980\.5 GB of memory"):
        Text(str(tmp_path / "a.txt"), 8).arrays()


def test_written_anew_within_a_moment(tmp_path: Path) -> None:
    """With as many bytes, in the same file, and with the time of the old one."""
    first, second, third = PLAIN, PLAIN.replace("q", "Q"), PLAIN.replace("j", "J")
    assert spelt(tmp_path, first.encode()) == first
    old = os.stat(tmp_path / "a.txt")
    assert spelt(tmp_path, second.encode()) == second
    (tmp_path / "a.txt").write_bytes(third.encode())
    os.utime(tmp_path / "a.txt", ns=(old.st_atime_ns, old.st_mtime_ns))
    assert Text(str(tmp_path / "a.txt"), 8).names == tuple(sorted(set(third)))


@pytest.mark.parametrize(
    "prompt, right",
    [
        ("ab\r\na", [1, 2, 0, 1]),
        ("a\rb", [1, 0, 2]),
        ("\ufeffab", [1, 2]),
        ("a\n\rb", [1, 0, 0, 2]),
        ("", []),
    ],
)
def test_prompts_are_read_as_texts_are(prompt: str, right: list[int]) -> None:
    assert encode(prompt, "\nab") == right


@pytest.mark.parametrize("prompt", ["".join(map(chr, range(300, 3000))), "\udce9t\udce9", "a\0"])
def test_prompts_refused(prompt: str) -> None:
    with pytest.raises(InputError) as error:
        encode(prompt, "abct")
    assert len(str(error.value)) < 250 and str(error.value).isprintable()


@settings(derandomize=True, max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    raw=st.one_of(
        st.binary(max_size=60),
        st.text(max_size=40).flatmap(
            lambda t: st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be"]).map(
                lambda e: t.encode(e, "ignore")
            )
        ),
    )
)
def test_any_bytes(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / f"{threading.get_ident()}.txt"
    path.write_bytes(raw)
    try:
        source = Text(str(path), 2)
        x, _ = source.arrays()
    except InputError as error:
        assert str(error).startswith(f"{path}: ") and str(error).isprintable()
    else:
        assert x.dtype == np.uint8 and not {"\0", "\r", "\ufeff"} & set(source.names)
