"""What can go wrong, told in one line: what, where, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Something the user gave cannot be used. The command line ends with exit code 2."""


class NotFiniteError(ArithmeticError):
    """The loss became NaN or infinite. The message names the step and the layer."""


class ClusterLostError(RuntimeError):
    """The scheduler went away, or a task's workers kept dying. A run can be resumed elsewhere."""


class ServerLostError(RuntimeError):
    """The worker that held the parameters of lanes that do not meet is gone, and they with it."""


def unknown(what: str, name: object, known: Iterable[str]) -> InputError:
    """An `InputError` for a name that is not known, with the nearest one that is."""
    names = sorted(known)
    near = get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return InputError(f"{what} {name!r} is not known; {hint}")
