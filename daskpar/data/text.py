"""A text file as windows of characters, for models that continue a text.

text      F i r s t   C i t i z e n        block 4
example   [F i r s]                        in training, a window begins at every character;
target      [i r s t]                      in evaluation, windows do not overlap
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple, Self, cast

import numpy as np

from daskpar.data.encoding import decode
from daskpar.data.paths import absolute
from daskpar.data.reading import Stamp, read_bytes, stamp
from daskpar.data.source import Divided, Source
from daskpar.errors import InputError
from daskpar.registry import register
from daskpar.settings import PathText, at_least_one, checked_arguments, setting

_SHAKESPEARE = "tinyshakespeare.txt"
_EXPECTED = "a text file in UTF-8"


class Encoded(NamedTuple):
    """A text as numbers: `tokens` (characters,) are indices into `vocabulary`, the sorted characters."""

    tokens: np.ndarray
    vocabulary: str


@register("text")
@dataclass(frozen=True)
class Text(Source):
    r"""Windows of a text file, for models that predict the next character.

    An example is a window of `block` characters, its target the same window one character later. Both are
    numbers (rows, block) in the smallest unsigned dtype that can represent the vocabulary. A character's
    number is its index among the sorted characters of the whole file.

    Training begins a window at every character. These windows are views that overlap in memory. For
    validation, test and evaluation, windows do not overlap; see `once`. The parts follow each other in the
    text: training first, then validation, then test.

    The file is in UTF-8, or in UTF-16 or UTF-32 with a byte order mark. Line ends \r\n and \r become \n. The
    numbers of the last 4 texts are kept in memory in each process.

    Args:
        path: The file. A config that leaves out `data.path` uses `$DASKPAR_DATA/tinyshakespeare.txt`.
        block: Characters of a window. Default: 64.
        low: Beginning of the used part of the text, as a share from 0 to 1. Default: 0.
        high: End of the used part of the text, as a share from 0 to 1. Default: 1.
        every: Characters between the beginnings of two windows. Default: 1.
        max_value: None; characters are not scaled.

    Raises:
        InputError: The file is missing, is no text, has fewer than two different characters, or is too short
            for a window; or a number is out of range.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from daskpar.data import Text
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name, "abc.txt")
        >>> _ = path.write_text("abcabcab")
        >>> source = Text(path, block=3)
        >>> source.names
        ('a', 'b', 'c')
        >>> x, y = source.read(slice(0, 2))
        >>> x.tolist(), y.tolist()
        ([[0, 1, 2], [1, 2, 0]], [[1, 2, 0], [2, 0, 1]])
        >>> source.rows, source.once().rows
        (5, 2)
        >>> folder.cleanup()

    Reference:
        The numbers are those of nanoGPT's `shakespeare_char`. https://github.com/karpathy/nanoGPT
    """

    path: PathText = setting(MISSING, "a text file (default: $DASKPAR_DATA/tinyshakespeare.txt)")
    block: int = setting(64, "characters of a window", at_least=1)
    low: float = 0.0
    high: float = 1.0
    every: int = 1
    unfit: ClassVar[tuple[str, ...]] = ("distribution", "transforms", "targets", "max_value")

    @classmethod
    def from_keys(cls, keys: Mapping[str, object]) -> Self:
        return super().from_keys({**keys, "path": find_text(cast("str | None", keys.get("path")))})

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "path", absolute(self.path, "Text(path=...)"))
        at_least_one("text.every", self.every)
        if not 0 <= self.low <= self.high <= 1:
            raise InputError(
                f"text.low={self.low} and text.high={self.high} must be from 0 to 1, low not above high"
            )

    @property
    def version(self) -> Stamp:
        return stamp(self.path)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        tokens = read_text(self.path, stamp(self.path)).tokens
        within = tokens[int(self.low * len(tokens)) : int(self.high * len(tokens))]
        if len(within) <= self.block:
            raise InputError(
                f"{self.path}: {len(within)} characters from {self.low:.0%} to {self.high:.0%} of "
                f"the text are too few for windows of {self.block}; use a smaller data.block"
            )
        windows = np.lib.stride_tricks.sliding_window_view(within, self.block + 1)[:: self.every]
        return windows[:, :-1], windows[:, 1:]

    @property
    def names(self) -> tuple[str, ...]:
        """The characters in the order of their numbers."""
        return tuple(read_text(self.path, stamp(self.path)).vocabulary)

    @property
    def tokens(self) -> bool:
        return True

    @property
    def chunk_rows(self) -> int:
        # The training windows of a stream are one chunk and are shuffled together, so that a run much shorter
        # than an epoch sees all of the text. As views they take no memory. Evaluation uses windows that do
        # not overlap, in smaller chunks, which are more tasks at once.
        return self.rows if self.every == 1 else 512

    def once(self) -> Text:
        return replace(self, every=self.block)

    def divided(self, validation: float, test: float) -> Divided:
        """Return sources that follow each other in the text, so no character is in two of them."""
        for name, share in (("validation", validation), ("test", test)):
            if not 0 <= share < 1:
                raise InputError(f"data.{name}={share} must be at least 0 and below 1")
        first, second = 1 - validation - test, 1 - test
        if first <= 0:
            raise InputError(f"data.validation={validation} and data.test={test} leave no text for training")
        held_out = replace(self, low=first, high=second).once() if validation else None
        sources = replace(self, high=first), held_out, replace(self, low=second).once() if test else None
        for source in sources:
            if source is not None:
                source.arrays()  # refuses a part that is too short
        return Divided(*sources)

    def split(self, share: float) -> tuple[Text, Text]:
        at = self.high - share * (self.high - self.low)
        return replace(self, high=at), replace(self, low=at).once()


@checked_arguments("data.")
def find_text(path: str | None) -> str:
    """Return the path of a text: the given one, or `$DASKPAR_DATA/tinyshakespeare.txt`.

    Args:
        path: The file, or None. It is not checked that it is there.

    Raises:
        InputError: `path` is None, and `DASKPAR_DATA` is not set.

    Example:
        >>> from daskpar.data import find_text
        >>> find_text("poems.txt")
        'poems.txt'
    """
    folder = os.environ.get("DASKPAR_DATA")
    if path is None and folder is None:
        raise InputError(
            "data.source=text needs data.path, a text in UTF-8; or set DASKPAR_DATA to a folder that holds "
            f"{_SHAKESPEARE}"
        )
    return path if path is not None else str(Path(folder or "") / _SHAKESPEARE)


@lru_cache(maxsize=4)
def read_text(path: str, stamped: Stamp) -> Encoded:
    """Return the characters of a file as numbers. Raises InputError if it is no text.

    `stamped`: the stamp of the file, which is part of the cache's key.
    """
    raw = read_bytes(path, _EXPECTED, copies=10)
    text = decode(raw, path)
    codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    used = np.zeros(sys.maxunicode + 1, dtype=bool)
    used[codes] = True
    known = np.flatnonzero(used)
    if len(known) < 2:
        raise InputError(f"{path}: holds {len(known)} different characters; expected a text")
    number = np.zeros(len(used), dtype=np.min_scalar_type(len(known) - 1))
    number[known] = np.arange(len(known))
    return Encoded(number[codes], "".join(map(chr, known)))
