"""Errors whose messages are one line: what is wrong, where, what was expected, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from reprlib import Repr

LONGEST_LINE = 480
"""Number of characters of an error message. A longer one loses its middle."""


class OneLine:
    """Base class of errors whose message is complete. A notebook shows it without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class InputError(OneLine, ValueError):
    """An argument, a config or data that cannot be used. The command line exits with code 2.

    Args:
        message: The message. It is joined to one line of at most `LONGEST_LINE` (480) printable characters.
            Default: "".

    Example:
        >>> from daskpar import Dense, InputError
        >>> try:
        ...     Dense(units=0)
        ... except InputError as error:
        ...     print(error)
        dense.units=0 must be above zero
    """

    def __init__(self, message: object = ""):
        super().__init__(one_line(str(message)))


class ArgumentError(InputError, TypeError):
    """An argument that a function or a block does not have."""


class NotFiniteError(OneLine, ArithmeticError):
    """A loss, a gradient or a parameter that became NaN or infinite.

    The message names the step, and the layer or the parameter. A smaller learning rate or `Clip` often helps.

    Args:
        message: The message. Default: "".

    Example:
        >>> import numpy as np
        >>> from daskpar import Clip, NotFiniteError
        >>> try:
        ...     Clip(norm=1.0).apply(np.array([1.0, np.nan]))
        ... except NotFiniteError as error:
        ...     print(error)
        the norm of the gradient is nan
    """

    def __init__(self, message: str = ""):
        super().__init__(message)


class ClusterLostError(OneLine, RuntimeError):
    """Loss of the scheduler, or repeated loss of a task's workers. The run can be resumed elsewhere.

    The message says where the last state was saved. The command line exits with code 1.

    Args:
        message: The message. Default: "".

    Example:
        >>> from daskpar import ClusterLostError
        >>> isinstance(ClusterLostError("the scheduler is gone"), RuntimeError)
        True
    """

    def __init__(self, message: str = ""):
        super().__init__(message)


class ClusterStartError(InputError):
    """A cluster that did not start or answer in time. It may be there later: the command line exits with 1.

    Args:
        message: The message, as for InputError. Default: "".

    Example:
        >>> from daskpar import ClusterStartError, InputError
        >>> isinstance(ClusterStartError("no worker came"), InputError)
        True
    """


class Interrupted(OneLine, KeyboardInterrupt):
    """Interruption of a training by Ctrl-C or the kernel. The Trainer holds the state of the last step."""


class ServerLostError(RuntimeError):
    """Loss of the worker with the parameter server of asynchronous lanes, and of the parameters with it."""


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """Return `text` as one line of at most `longest` characters that is safe to print on a terminal.

    Lines are joined. A text that is too long loses its middle, because names stand at the beginning of an
    error message and advice at its end.
    """
    text = printable(" ".join(part.strip() for part in text.splitlines()))
    if len(text) <= longest:
        return text
    end = longest // 3
    return f"{text[: longest - end - 3]}...{text[-end:]}"


def printable(text: str) -> str:
    """Return `text` with control characters, lone surrogates and the like as escapes. Line ends are kept."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


class _Shown(Repr):
    """A `repr` of the first few items of a few levels, so that no value makes it long."""

    def repr_int(self, x: int, level: int) -> str:
        """Return the `repr` of an integer. Python refuses to convert thousands of digits to decimals."""
        return repr(x) if x.bit_length() < 200 else f"a whole number of {x.bit_length()} bits"

    def repr_instance(self, x: object, level: int) -> str:
        return one_line(repr(x), self.maxother)


_shown = _Shown()
_shown.maxlevel = 4
_shown.maxlist = _shown.maxtuple = _shown.maxdict = _shown.maxset = _shown.maxfrozenset = 8
_shown.maxstring = _shown.maxlong = _shown.maxother = 120


def shown(value: object, longest: int = 200) -> str:
    """Return `value` for an error message: its `repr`, shortened to `longest` characters."""
    return one_line(_shown.repr(value), longest)


def unknown(what: str, name: object, known: Iterable[str]) -> InputError:
    """Return an `InputError` for an unknown name. It suggests the nearest of the `known` names."""
    names = sorted(known)
    near = get_close_matches(shown(name, 100).strip("'"), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return InputError(f"{what} {shown(name, 100)} is not known; {hint}")


def now_called(section: str, old: str, new: str) -> str:
    """Return the message that refuses the former name of a setting."""
    return f"{section}.{old} is called {section}.{new} now; write {new}"
