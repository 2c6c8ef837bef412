"""The `Args:` section of a docstring, derived from the help and the defaults of a block's settings.

Each setting is described once, by the `help` of its field. The docstring of the class that has the settings
as its arguments names the place with `{settings}`, alone in a line of its `Args:` section.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from textwrap import fill

from daskpar.settings import Block

_MARK = "{settings}"
_WIDTH = 110


def with_settings(text: str | None, block: type[Block]) -> str:
    r"""Return a class's docstring with the settings of a block in place of the mark `{settings}`.

    >>> from dataclasses import dataclass
    >>> from daskpar.settings import setting
    >>> @dataclass(frozen=True)
    ... class Window(Block):
    ...     rows: int = setting(1, "rows of a window", at_least=1)
    >>> print(with_settings("A window.\n\n    Args:\n        {settings}\n    ", Window))
    A window.
    <BLANKLINE>
        Args:
            rows: Rows of a window. Default: 1.
    <BLANKLINE>
    """
    text = text or ""  # none under `python -OO`
    line = next((line for line in text.splitlines() if line.strip() == _MARK), "")
    indent = line.removesuffix(_MARK)
    entries = [_entry(field, indent) for field in fields(block) if field.init]  # type: ignore[arg-type]
    return text.replace(line, "\n".join(entries)) if line else text


def _entry(field: Field[object], indent: str) -> str:
    """Return the lines that describe one setting."""
    help: str = field.metadata["help"]
    text = f"{field.name}: {help[0].upper()}{help[1:]}.{_default(field)}"
    return fill(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + 4 * " ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _default(field: Field[object]) -> str:
    if field.default is MISSING:
        return ""
    text = f'"{field.default}"' if isinstance(field.default, str) else repr(field.default)
    return f" Default: {text}."
