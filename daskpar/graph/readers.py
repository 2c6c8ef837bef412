"""The readers of a plan's arguments: they turn each argument into arguments of a Dask task.

Output(3)        ──>  key of the task of operation 3
Carried(...)     ──>  key of a task of an earlier step
Chunks(lane)     ──>  keys of the chunks of data that the lane draws from, several arguments
Now.RATE         ──>  the learning rate itself
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from daskpar.graph.dask_api import List, TaskRef
from daskpar.graph.graph import Key
from daskpar.graph.state import StepState
from daskpar.layout.arguments import (
    AllCarried,
    AllStreams,
    Carried,
    Chunks,
    CountCarried,
    Now,
    Output,
    Source,
    Streams,
    Together,
    WindowChunks,
)
from daskpar.tasks.types import Spec

Places = tuple[tuple[int, int], ...]
"""The (stream, chunk) of several chunks."""


class TrainingChunks:
    """The chunks of the training data, whose tasks have the `keys` by (stream, chunk)."""

    def __init__(self, spec: Spec, keys: Mapping[tuple[int, int], Key]):
        self.order = spec.order
        self.streams = [spec.streams(lane) for lane in range(spec.layout.lane_count)]
        self._chunks = {place: TaskRef(key) for place, key in keys.items()}

    def __len__(self) -> int:
        return len(self._chunks)

    def of_step(self, step: int, lane: int) -> list[TaskRef]:
        """Return the chunks that a lane draws from in a step."""
        order = self.order
        pieces = order.pieces(*order.place(step), self.streams[lane])
        return [self._chunks[piece[0], piece[1]] for piece in pieces]

    def of_window(self, step: int, count: int, lanes: range) -> tuple[Places, list[TaskRef]]:
        """Return the (stream, chunk) of the chunks that lanes draw from in `count` steps, and the chunks.

        Each chunk is listed once.
        """
        streams = range(self.streams[lanes.start].start, self.streams[lanes.stop - 1].stop)
        order, places = self.order, dict[tuple[int, int], None]()
        for number in range(step, step + count):
            for piece in order.pieces(*order.place(number), streams):
                places[piece.stream, piece.chunk] = None
        return tuple(places), [self._chunks[place] for place in places]


class Frame:
    """A section while it is being stamped.

    `now` are the arguments that are numbered by `Now`. `values` has the value of each operation so far, or
    the value that is read instead of it.
    """

    __slots__ = ("chunks", "now", "state", "values")

    def __init__(self, chunks: TrainingChunks, state: StepState, now: Sequence[object]):
        self.chunks, self.state, self.now = chunks, state, now
        self.values: list[TaskRef | None] = []


def source_of(source: Source | None, frame: Frame) -> TaskRef | None:
    """Return the reference to the value of a source; None if there is no such value."""
    if type(source) is Output:
        return frame.values[source.number]
    if type(source) is Carried:
        refs = frame.state.read(source.variable, source.back)
        return refs[source.item] if source.item < len(refs) else None
    return None


def _read_output(argument: Output, frame: Frame, arguments: list[object]) -> None:
    arguments.append(frame.values[argument.number])


def _read_now(argument: Now, frame: Frame, arguments: list[object]) -> None:
    arguments.append(frame.now[argument])


def _read_carried(argument: Carried, frame: Frame, arguments: list[object]) -> None:
    arguments.append(source_of(argument, frame))


def _read_all(argument: AllCarried, frame: Frame, arguments: list[object]) -> None:
    arguments += frame.state.read(argument.variable, argument.back)


def _read_count(argument: CountCarried, frame: Frame, arguments: list[object]) -> None:
    arguments.append(len(frame.state.read(argument.variable)))


def _read_together(argument: Together, frame: Frame, arguments: list[object]) -> None:
    inner: list[object] = []
    for value in argument.values:
        READERS[type(value)](value, frame, inner)
    present = [reference for reference in inner if reference is not None]
    arguments.append(List(*present) if present else None)


def _read_streams(argument: Streams, frame: Frame, arguments: list[object]) -> None:
    arguments.append(frame.chunks.streams[argument.lane])


def _read_all_streams(argument: AllStreams, frame: Frame, arguments: list[object]) -> None:
    arguments.append(tuple(frame.chunks.streams[lane] for lane in argument.lanes))


def _read_chunks(argument: Chunks, frame: Frame, arguments: list[object]) -> None:
    arguments += frame.chunks.of_step(frame.state.step, argument.lane)


def _read_window(argument: WindowChunks, frame: Frame, arguments: list[object]) -> None:
    count = len(frame.now[Now.RATES])  # type: ignore[arg-type]
    places, chunks = frame.chunks.of_window(frame.state.step, count, argument.lanes)
    arguments += [places, *chunks]


Reader = Callable[[Any, Frame, list[object]], None]

READERS: dict[type, Reader] = {
    Output: _read_output,
    Now: _read_now,
    Carried: _read_carried,
    AllCarried: _read_all,
    CountCarried: _read_count,
    Together: _read_together,
    Streams: _read_streams,
    AllStreams: _read_all_streams,
    Chunks: _read_chunks,
    WindowChunks: _read_window,
}
"""The readers by type of argument. Arguments of other types are passed to the task as they are."""
