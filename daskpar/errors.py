"""What can go wrong, told in one line: what, where, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from reprlib import Repr

LONGEST_LINE = 480
"""Characters of an error line; what is longer loses its middle."""


class OneLine:
    """An error whose message says it all; in a notebook it is shown without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class InputError(OneLine, ValueError):
    """Something the user gave cannot be used. The command line ends with exit code 2.

    The message is one line of at most `LONGEST_LINE` characters, all of them printable, whatever values it
    was made of.
    """

    def __init__(self, message: object = ""):
        super().__init__(one_line(str(message)))


class ArgumentError(InputError, TypeError):
    """An argument that a function or a block does not have."""


class NotFiniteError(OneLine, ArithmeticError):
    """The loss, a gradient or a parameter became NaN or infinite.

    The message names the step, and the layer or parameter.
    """


class ClusterLostError(OneLine, RuntimeError):
    """The scheduler went away, or a task's workers kept dying. A run can be resumed elsewhere."""


class Interrupted(OneLine, KeyboardInterrupt):
    """Ctrl-C, or an interrupt of the kernel, ended a training; the Trainer has the state of its last step."""


class ServerLostError(RuntimeError):
    """The worker that held the parameters of lanes that do not meet is gone, and they with it."""


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """Return `text` in one line of at most `longest` characters, safe to print on a terminal.

    Lines are joined, and a text that is too long loses its middle: names stand at the beginning of an error
    line, advice at its end.
    """
    text = printable(" ".join(part.strip() for part in text.splitlines()))
    if len(text) <= longest:
        return text
    end = longest // 3
    return f"{text[: longest - end - 3]}...{text[-end:]}"


def printable(text: str) -> str:
    """Return `text` with control characters, lone surrogates and the like as escapes; line ends stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


class _Shown(Repr):
    """A `repr` that looks at the first few items of a few levels only, so that no value makes it long."""

    def repr_int(self, x: int, level: int) -> str:
        """A number of thousands of digits has no `repr` in decimals."""
        return repr(x) if x.bit_length() < 200 else f"a whole number of {x.bit_length()} bits"

    def repr_instance(self, x: object, level: int) -> str:
        return one_line(repr(x), self.maxother)


_shown = _Shown()
_shown.maxlevel = 4
_shown.maxlist = _shown.maxtuple = _shown.maxdict = _shown.maxset = _shown.maxfrozenset = 8
_shown.maxstring = _shown.maxlong = _shown.maxother = 120


def shown(value: object, longest: int = 200) -> str:
    """Return `value` as an error line shows it: its `repr`, shortened to `longest` characters."""
    return one_line(_shown.repr(value), longest)


def unknown(what: str, name: object, known: Iterable[str]) -> InputError:
    """An `InputError` for a name that is not known, with the nearest one that is."""
    names = sorted(known)
    near = get_close_matches(shown(name, 100).strip("'"), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return InputError(f"{what} {shown(name, 100)} is not known; {hint}")


def now_called(section: str, old: str, new: str) -> str:
    """Return the line that refuses the former name of a setting."""
    return f"{section}.{old} is called {section}.{new} now; write {new}"
