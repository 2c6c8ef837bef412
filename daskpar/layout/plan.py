"""The plan of a step as data: operations, the slots they run on, what each reads, and from which step.

Two lanes at `grain: step`; a dotted arrow comes from the step before, so it is an edge with an offset of 1:

    state 0  ┄┄> update 0 ──> grad 0 ──┬─> gradient ┄┄> both updates of the next step
    gradient ┄┄┘                       │
    state 1  ┄┄> update 1 ──> grad 1 ──┘

A plan is made once a run and stamped for each step (`daskpar.graph.emit`): only step numbers, learning rates
and the chunks of the data change. Whoever wants to know about an operation asks the plan, never its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

Index = tuple[int | str, ...]


class Kind(NamedTuple):
    """Operations of one name.

    `name`: as the dashboard shows it, e.g. `forward-dense`. `verb`: the class of operation, e.g. `forward`.
    `axes`: the names of the numbers in an index. `urgent`: short, and others wait for it, so a worker does
    it first. `steps`: whether it belongs to a step, whose number its key begins with. `actor`: whether its
    value is an object that lives on with a worker.
    """

    name: str
    verb: str
    axes: tuple[str, ...] = ()
    urgent: bool = False
    steps: bool = True
    actor: bool = False


class Output(NamedTuple):
    """The value of an operation of the same step: its place in the list of operations."""

    number: int


class Carried(NamedTuple):
    """A value from an earlier step: item `item` of a variable, `back` steps ago. None where there is none."""

    variable: str
    item: int = 0
    back: int = 1


class AllCarried(NamedTuple):
    """All items of a variable from an earlier step, as so many arguments."""

    variable: str
    back: int = 1


class CountCarried(NamedTuple):
    """The number of items of a variable from the step before."""

    variable: str


class Together(NamedTuple):
    """Several values as one argument, a list."""

    values: tuple[Output | Carried | AllCarried, ...]


class WindowChunks(NamedTuple):
    """All chunks that lanes draw from in a window: first their (stream, chunk), then each as an argument."""

    lanes: range


class Streams(NamedTuple):
    """The streams of data that a lane draws from, a range."""

    lane: int


class AllStreams(NamedTuple):
    """The streams of several lanes, a tuple of ranges."""

    lanes: range


class At(NamedTuple):
    """The part and the rows of a pass: micro-batch `micro` of a track, through part number `part` as branch
    number `branch` has it. Tracks are counted over all replicas."""

    track: int
    part: int
    branch: int
    micro: int


class Chunks(NamedTuple):
    """The chunks of data that a lane draws from in a step, as so many arguments."""

    lane: int


class Now(IntEnum):
    """An argument that is another one at each step.

    `MODEL`: the run's description. `STEP`: the number of the step. `RATE`: its learning rate; `LAST_RATE`:
    that of the step before, for gradients that wait to be applied; `RATES`: those of all steps of a window.
    `FRESH`: whether the log of steps begins anew. `FILE`: the file that a run goes on from, or None; `PART`:
    the part of that file which is meant. `ROUNDS`: the averages there have been before.
    """

    MODEL = 0
    STEP = 1
    RATE = 2
    LAST_RATE = 3
    RATES = 4
    FRESH = 5
    FILE = 6
    PART = 7
    ROUNDS = 8


Source = Output | Carried
FROM_FILE, FROM_SEED = "from a file", "from the seed"
LOOK = "look"


class Op(NamedTuple):
    """One operation of a step.

    `function`: of `daskpar.tasks`. `coordinates`: the numbers that tell it from others
    of its kind, as the axes of the kind name them. `slot`: the place of work,
    None for any. `needs`: a variable without which it is left out, or `FROM_FILE` or `FROM_SEED` for
    operations that begin a run; its readers then read `instead`.
    """

    kind: Kind
    function: str
    coordinates: Index
    slot: int | None
    arguments: tuple[object, ...]
    needs: str = ""
    instead: Source | None = None

    @property
    def reads(self) -> list[int]:
        """The operations of the same step that it reads."""
        return list(_numbers(self.arguments))


def _numbers(arguments: Iterable[object]) -> Iterable[int]:
    for argument in arguments:
        if isinstance(argument, Output):
            yield argument.number
        elif isinstance(argument, Together):
            yield from _numbers(argument.values)


def reading(argument: object, of: Callable[[Output], Output]) -> object:
    """An argument that reads other operations of its step: `of` each output, the one to read instead."""
    if isinstance(argument, Output):
        return of(argument)
    if isinstance(argument, Together):
        return Together(tuple(reading(value, of) for value in argument.values))  # type: ignore[misc]
    return argument


@dataclass
class Section:
    """Operations in an order in which they can be done, and the variables that they leave to later steps."""

    ops: list[Op] = field(default_factory=list)
    results: dict[str, tuple[Source, ...]] = field(default_factory=dict)
    _once: dict[tuple[str, Index], Output] = field(default_factory=dict)

    def add(
        self,
        kind: Kind,
        function: str,
        index: Index,
        slot: int | None,
        *arguments: object,
        needs: str = "",
        instead: Source | None = None,
    ) -> Output:
        """Add an operation; returns its output."""
        self.ops.append(Op(kind, function, index, slot, arguments, needs, instead))
        output = Output(len(self.ops) - 1)
        self._once[kind.name, index] = output
        return output

    def there(self, kind: Kind, index: Index) -> Output | None:
        """The output of an operation that was added already, or None."""
        return self._once.get((kind.name, index))

    def slot(self, value: Output) -> int | None:
        """The slot of the operation that makes a value."""
        return self.ops[value.number].slot

    def scoped(self, scope: str, part: str, slots: int, lanes: int, tracks: int) -> Section:
        """The same for another replica: its name in the index and in variables, its own slots, lanes and
        tracks.

        `part`: of a file that a run goes on from, the part with its state.
        """

        def renamed(argument: object) -> object:
            if isinstance(argument, Carried | AllCarried | CountCarried):
                return argument._replace(variable=f"{scope} {argument.variable}")
            if argument is Now.PART:
                return part
            if isinstance(argument, WindowChunks | AllStreams):
                first, stop = argument.lanes.start + lanes, argument.lanes.stop + lanes
                return argument._replace(lanes=range(first, stop))
            if isinstance(argument, Together):
                return Together(tuple(renamed(value) for value in argument.values))  # type: ignore[misc]
            if isinstance(argument, Chunks | Streams):
                return argument._replace(lane=argument.lane + lanes)
            if isinstance(argument, At):
                return argument._replace(track=argument.track + tracks)
            return argument

        def moved(op: Op) -> Op:
            return op._replace(
                kind=op.kind._replace(axes=("replica", *op.kind.axes)),
                coordinates=(scope, *op.coordinates),
                slot=None if op.slot is None else op.slot + slots,
                arguments=tuple(map(renamed, op.arguments)),
                needs=op.needs if op.needs in ("", FROM_FILE, FROM_SEED) else f"{scope} {op.needs}",
                instead=None if op.instead is None else renamed(op.instead),  # type: ignore[arg-type]
            )

        results = {
            f"{scope} {name}": tuple(renamed(source) for source in sources)
            for name, sources in self.results.items()
        }
        return Section([moved(op) for op in self.ops], results)  # type: ignore[arg-type]

    def include(self, other: Section) -> int:
        """Add the operations and results of another section behind these; returns where they begin."""
        shift = len(self.ops)

        def shifted(argument: object) -> object:
            return reading(argument, lambda output: Output(output.number + shift))

        self.ops += [
            op._replace(
                arguments=tuple(map(shifted, op.arguments)),
                instead=shifted(op.instead),  # type: ignore[arg-type]
            )
            for op in other.ops
        ]
        for name, sources in other.results.items():
            self.results[name] = tuple(shifted(source) for source in sources)  # type: ignore[misc]
        return shift


@dataclass(frozen=True)
class Plan:
    """All that a run submits: what begins it, each step, averages between steps, and a look at the state.

    `look` leaves its state in the variable `LOOK`. `logs`: values whose logs tell of the steps since a window
    began. `back`: how many steps a variable is remembered, where that is more than one. `whole_windows`:
    whether `step` stands for many steps at once.
    """

    start: Section
    step: Section
    look: Section
    logs: tuple[Carried | AllCarried, ...]
    average: Section | None = None
    back: Mapping[str, int] = field(default_factory=dict)
    whole_windows: bool = False
