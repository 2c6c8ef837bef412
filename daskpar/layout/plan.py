"""The plan of a step as data: operations, the slots they run on, the values each reads, and from which step.

Two lanes on two processes at `grain: step`. A dotted arrow is a value that is carried from one step to the
next, an edge with an offset of 1:

    step t                                                step t + 1
    update, lane 0 ──> grad, lane 0 ┄┐                 ┌┄> update, lane 0 ──> grad, lane 0
                                     ├┄ "gradient 0" ┄┄┤
    update, lane 1 ──> grad, lane 1 ┄┘                 └┄> update, lane 1 ──> grad, lane 1

An update also reads its lane's state of the step before. The same as data:

    operation   slot   reads                                                      its value
    update      0      ..., Carried("state 0", item 0), AllCarried("gradient 0")  Output(0)
    update      1      ..., Carried("state 0", item 1), AllCarried("gradient 0")  Output(1)
    grad        0      ..., Output(0), Chunks(lane 0)                             Output(2)
    grad        1      ..., Output(1), Chunks(lane 1)                             Output(3)

    results     "state 0": Output(0), Output(1)      "gradient 0": Output(2), Output(3)

A plan is compiled once a run and stamped for each step (`daskpar.graph.emit`): only step numbers, learning
rates and chunks of data change. Other modules read about an operation in the plan; nobody parses its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from daskpar.layout.arguments import (
    AllCarried,
    AllStreams,
    Carried,
    Chunks,
    CountCarried,
    Now,
    Output,
    PassId,
    Source,
    Streams,
    Together,
    WindowChunks,
    numbers_read,
    reading,
)

Index = tuple[int | str, ...]


class Kind(NamedTuple):
    """The kind of an operation: everything that operations of one name have in common.

    Args:
        name: Name on the dashboard, e.g. `forward-dense`.
        verb: Class of operations, e.g. `forward`.
        axes: Names of the numbers in an operation's coordinates.
        urgent: The operation is short and others depend on it, so workers run it first. Default: False.
        steps: The operation belongs to a step, and its key begins with the step's number. Default: True.
        actor: The value is an object that stays on one worker. Default: False.
    """

    name: str
    verb: str
    axes: tuple[str, ...] = ()
    urgent: bool = False
    steps: bool = True
    actor: bool = False


FROM_FILE, FROM_SEED = "from a file", "from the seed"
SNAPSHOT = "snapshot"


class Op(NamedTuple):
    """One operation of a step.

    Args:
        kind: Name and class of the operation.
        function: Name of a task function in `daskpar.tasks`.
        coordinates: Numbers that distinguish it from others of its kind, as the axes of the kind name them.
        slot: Slot on which it runs; None for any.
        arguments: Arguments of the function, in the terms of this module or as they are.
        needs: Variable without which it is left out; or `FROM_FILE` or `FROM_SEED`, for operations at the
            beginning of a run. Default: "", it is never left out.
        instead: Value that its readers read if it is left out. Default: None.
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
        """The operations of the same step that it reads, by number."""
        return list(numbers_read(self.arguments))


@dataclass
class Section:
    """Operations, each behind those that it reads, and the variables that later steps read."""

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
        """Add an operation and return its output. The arguments are those of `Op`."""
        self.ops.append(Op(kind, function, index, slot, arguments, needs, instead))
        output = Output(len(self.ops) - 1)
        self._once[kind.name, index] = output
        return output

    def output_of(self, kind: Kind, index: Index) -> Output | None:
        """Return the output of an operation that was added already, or None."""
        return self._once.get((kind.name, index))

    def slot(self, value: Output) -> int | None:
        """Return the slot of the operation that computes a value."""
        return self.ops[value.number].slot

    def scoped(self, scope: str, prefix: str, slots: int, lanes: int, tracks: int) -> Section:
        """Return the section for another replica.

        Args:
            scope: Name of the replica, in the coordinates of operations and in variables.
            prefix: Beginning of the names of its state in a file.
            slots: Number that is added to slots.
            lanes: Number that is added to lanes.
            tracks: Number that is added to tracks.
        """

        def renamed(argument: object) -> object:
            if isinstance(argument, Carried | AllCarried | CountCarried):
                return argument._replace(variable=f"{scope} {argument.variable}")
            if argument is Now.PREFIX:
                return prefix
            if isinstance(argument, WindowChunks | AllStreams):
                first, stop = argument.lanes.start + lanes, argument.lanes.stop + lanes
                return argument._replace(lanes=range(first, stop))
            if isinstance(argument, Together):
                return Together(tuple(renamed(value) for value in argument.values))  # type: ignore[misc]
            if isinstance(argument, Chunks | Streams):
                return argument._replace(lane=argument.lane + lanes)
            if isinstance(argument, PassId):
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
        """Add the operations and results of another section; return the number of its first operation."""
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
    """The operations of a run, in sections that are stamped as often as they are needed.

    Args:
        start: Load the state with which the run begins.
        step: One training step.
        snapshot: Turn the state of a step into a value of its own, in the variable `SNAPSHOT`.
        logs: Values whose logs describe the steps since a window began.
        average: Average the replicas between two steps. Default: None.
        back: Number of steps for which a variable is kept, for those that are kept longer than one.
        whole_windows: True if `step` stands for all steps of a window. Default: False.
    """

    start: Section
    step: Section
    snapshot: Section
    logs: tuple[Carried | AllCarried, ...]
    average: Section | None = None
    back: Mapping[str, int] = field(default_factory=dict)
    whole_windows: bool = False
