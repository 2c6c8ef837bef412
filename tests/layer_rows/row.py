"""A line of the table."""

from typing import NamedTuple

from daskpar.nn import Layer


class Row(NamedTuple):
    """`shape`: of one example. `words`: examples are integers below this. `alone`: no row of a chunk
    influences another while training. `codes`: how many of the last columns are whole numbers, below what."""

    name: str
    layer: Layer
    shape: tuple[int, ...]
    words: int | None = None
    alone: bool = True
    codes: tuple[int, int] | None = None
