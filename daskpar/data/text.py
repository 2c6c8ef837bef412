"""A text file as windows of characters, for models that continue a text.

text      F i r s t   C i t i z e n        block 4
examples  [F i r s]                        training begins a window at every character;
targets     [i r s t]                      evaluation lays windows side by side
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
    """A text as numbers: `tokens` (characters,) are places in `vocabulary`, the sorted characters."""

    tokens: np.ndarray
    vocabulary: str


@register("text")
@dataclass(frozen=True)
class Text(Source):
    """Windows of `block` characters (rows, block), and the characters that follow each (rows, block).

    They are drawn from the share `low` to `high` of a text and begin `every` characters apart. The text is
    in UTF-8, or in UTF-16 or UTF-32 with a byte order mark; its lines end with \\n (see `decode`). A
    character's number is its place among the characters of the whole file, sorted (as nanoGPT prepares
    shakespeare_char). Training windows overlap in memory: they are views of one array of bytes.
    """

    path: PathText = setting(MISSING, "a file")
    block: int = setting(64, "characters of an example", at_least=1)
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
                f"the text are too few for {self.block} and the one that follows; use a smaller data.block"
            )
        windows = np.lib.stride_tricks.sliding_window_view(within, self.block + 1)[:: self.every]
        return windows[:, :-1], windows[:, 1:]

    @property
    def names(self) -> tuple[str, ...]:
        """The characters, by number."""
        return tuple(read_text(self.path, stamp(self.path)).vocabulary)

    @property
    def tokens(self) -> bool:
        return True

    @property
    def chunk_rows(self) -> int:
        # A stream's rows in one chunk: their order is drawn over all of them, so that a run much shorter than
        # an epoch sees the whole text, and windows that are views cost nothing. Side by side they are
        # evaluated, where more chunks are more tasks at once.
        return self.rows if self.every == 1 else 512

    def once(self) -> Text:
        return replace(self, every=self.block)

    def divided(self, validation: float, test: float) -> Divided:
        """One after the other in the text: what is held out was never read."""
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
                source.arrays()  # refuses what is too short
        return Divided(*sources)

    def split(self, share: float) -> tuple[Text, Text]:
        at = self.high - share * (self.high - self.low)
        return replace(self, high=at), replace(self, low=at).once()


@checked_arguments("data.")
def find_text(path: str | None) -> str:
    """The file given, or `$DASKPAR_DATA/tinyshakespeare.txt`."""
    folder = os.environ.get("DASKPAR_DATA")
    if path is None and folder is None:
        raise InputError(
            "data.source=text needs data.path, a text in UTF-8; or set DASKPAR_DATA to a folder that holds "
            f"{_SHAKESPEARE}"
        )
    return path if path is not None else str(Path(folder or "") / _SHAKESPEARE)


@lru_cache(maxsize=4)
def read_text(path: str, stamped: Stamp) -> Encoded:
    """The characters of a file as numbers. Raises InputError for what is no text."""
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
