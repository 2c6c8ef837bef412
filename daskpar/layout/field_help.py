"""The `Args:` section of a block's docstring, written from the help of its fields."""

from __future__ import annotations

from dataclasses import fields
from inspect import cleandoc
from textwrap import fill
from typing import Any

_WIDTH = 105  # of a line of a docstring, after its indentation
_BEHIND = "\nRaises:\n"


def with_arguments(block: Any) -> str:
    """Return the docstring of a dataclass with an `Args:` section before its `Raises:` section.

    Each field is described by its `help` and its default.
    """
    entries = [_entry(f.name, f.metadata["help"], f.default) for f in fields(block)]
    section = "\nArgs:\n" + "\n".join(entries) + "\n"
    return cleandoc(block.__doc__).replace(_BEHIND, section + _BEHIND, 1)


def _entry(name: str, help: str, default: object) -> str:
    text = f"{name}: {help[0].upper()}{help[1:]}. Default: {default!r}."
    return fill(text, _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8, break_on_hyphens=False)
