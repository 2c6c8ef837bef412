"""The arguments of an operation in a plan: values of operations, of earlier steps, and of the step itself.

    Output(3)                    value of operation 3 of the same step
    Carried("state 0")           value that an earlier step left
    Chunks(lane)                 chunks of data that a lane draws from in the step
    Now.RATE                     learning rate of the step

When a plan is stamped for a step, `daskpar.graph.readers` replaces each of them by a value or by the key of a
task. All other arguments are passed to the task function as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import NamedTuple


class Output(NamedTuple):
    """The value of an operation of the same step: the operation's place in the list."""

    number: int


class Carried(NamedTuple):
    """A value from an earlier step: item `item` of a variable, `back` steps ago; None if there is none."""

    variable: str
    item: int = 0
    back: int = 1


class AllCarried(NamedTuple):
    """All items of a variable from an earlier step, each as an argument of its own."""

    variable: str
    back: int = 1


class CountCarried(NamedTuple):
    """The number of items of a variable from the step before."""

    variable: str


class Together(NamedTuple):
    """Several values as one argument, a list."""

    values: tuple[Output | Carried | AllCarried, ...]


class WindowChunks(NamedTuple):
    """All chunks that lanes draw from in a window of steps.

    They become one argument with the (stream, chunk) of each, then one argument for each chunk.
    """

    lanes: range


class Streams(NamedTuple):
    """The streams of data that a lane draws from, as a range."""

    lane: int


class AllStreams(NamedTuple):
    """The streams of several lanes, as a tuple of ranges."""

    lanes: range


class PassId(NamedTuple):
    """The coordinates of a pass: micro-batch `micro` of a track, through branch `branch` of a part.

    Tracks are counted over all replicas.
    """

    track: int
    part: int
    branch: int
    micro: int


class Chunks(NamedTuple):
    """The chunks of data that a lane draws from in a step, each as an argument of its own."""

    lane: int


class Now(IntEnum):
    """An argument whose value is known when a plan is stamped for a step.

    `MODEL`: description of the run. `STEP`: number of the step. `RATE`: learning rate of the step.
    `LAST_RATE`: learning rate of the step before, for gradients that are still to be applied. `RATES`:
    learning rates of all steps of a window. `FRESH`: True if the log of steps starts again. `FILE`: path of
    the file from which a run goes on, or None. `PREFIX`: beginning of the names in that file. `ROUNDS`:
    number of averages so far.
    """

    MODEL = 0
    STEP = 1
    RATE = 2
    LAST_RATE = 3
    RATES = 4
    FRESH = 5
    FILE = 6
    PREFIX = 7
    ROUNDS = 8


Source = Output | Carried


def numbers_read(arguments: Iterable[object]) -> Iterable[int]:
    """Yield the numbers of the operations whose values are among the arguments."""
    for argument in arguments:
        if isinstance(argument, Output):
            yield argument.number
        elif isinstance(argument, Together):
            yield from numbers_read(argument.values)


def reading(argument: object, of: Callable[[Output], Output]) -> object:
    """Return an argument with each output in it replaced by `of(output)`."""
    if isinstance(argument, Output):
        return of(argument)
    if isinstance(argument, Together):
        return Together(tuple(reading(value, of) for value in argument.values))  # type: ignore[misc]
    return argument
