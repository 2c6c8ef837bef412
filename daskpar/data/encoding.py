"""The encodings of text files: bytes become a text, unless they were probably meant as something else.

mark at the beginning   EF BB BF   FF FE       FE FF       FF FE 00 00   00 00 FE FF
encoding                UTF-8      UTF-16-LE   UTF-16-BE   UTF-32-LE     UTF-32-BE

Without a mark a text is in UTF-8. Other encodings may decode as UTF-8 without an error, and are recognised:

* UTF-16 and UTF-32 without a mark have null characters between ASCII letters;
* UTF-16 of other alphabets, and binary data, have more than 1 % of control characters;
* ISO-2022 (Japanese, Korean and Chinese in 7 bits) has escapes.
"""

from __future__ import annotations

import codecs
import logging
import re

from daskpar.errors import InputError

logger = logging.getLogger("daskpar.data")

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARK = "\ufeff"
_CONTROL = re.compile("[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")  # all but \t \n \v \f \r and escape


def decode(raw: bytes, name: str) -> str:
    r"""Return the text of some bytes, without byte order marks and with lines that end with \n.

    `name`: the file, for messages. Marks within the text, which are left where files were joined, are dropped
    as well. Raises InputError for bytes that are no text in a known encoding.
    """
    mark, encoding = next(((m, e) for m, e in _MARKS if raw.startswith(m)), (b"", "utf-8"))
    try:
        text = raw[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        at = error.start + len(mark)
        raise InputError(
            f"{name}: not a text file in {encoding.upper()} ({error.reason} at byte {at}: "
            f"0x{raw[at]:02x}); save it in UTF-8"
        ) from None
    _check_meant(text, name)
    marks = text.count(_MARK)
    if marks:
        logger.info("%s: left out %d byte order marks within the text", name, marks)
    return plain(text)


def plain(text: str) -> str:
    r"""Return a text or a prompt without byte order marks, and with \n for \r\n and \r."""
    return text.replace(_MARK, "").replace("\r\n", "\n").replace("\r", "\n")


def _check_meant(text: str, name: str) -> None:
    null = text.find("\0")
    if null >= 0:
        raise InputError(
            f"{name}: not a text file in UTF-8 (a null character is character {null}; UTF-16 and UTF-32 "
            "need a byte order mark); save it in UTF-8"
        )
    if "\x1b$" in text:
        raise InputError(
            f"{name}: not a text file in UTF-8 (character {text.find(chr(27) + '$')} begins an escape of "
            "ISO-2022); save it in UTF-8"
        )
    first = _CONTROL.search(text)
    if first is None:
        return
    count = sum(1 for _ in _CONTROL.finditer(text))
    if 100 * count > len(text):
        raise InputError(
            f"{name}: not a text file in UTF-8 ({count} of {len(text)} characters are control characters, "
            f"the first {first.group()!r}); save it in UTF-8"
        )
