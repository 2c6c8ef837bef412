"""A model cut in width: which operations work on a share of the columns, heads, channels or words each.

A *section* is a run of operations whose parts do not need each other (Shoeybi et al. 2019, "Megatron-LM",
sec. 3). Every part gets the whole input; at the section's end the outputs are summed, or laid side by side:

                 ┌─ dense columns 0 ─ relu ─ dense rows 0 ─┐
    x (whole) ───┤                                         ├─ sum ─ y (whole)
                 └─ dense columns 1 ─ relu ─ dense rows 1 ─┘

One tree forward and one backward for each section; a part's parameters are needed by nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from daskpar.nn.layer import Shape
from daskpar.nn.operations import Operation, Program
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.partition_rules import Width


class Section(NamedTuple):
    """Operations `first` to `stop`, cut in width. `sums`: whether the parts' outputs are summed."""

    first: int
    stop: int
    sums: bool


class Share(NamedTuple):
    """Elements `start` to `stop` of a tensor along an axis."""

    axis: int
    start: int
    stop: int

    @property
    def place(self) -> tuple[slice, ...]:
        """The share as an index into the tensor."""
        return (*(slice(None),) * self.axis, slice(self.start, self.stop))


def sections(program: Program, table: ParameterTable, parts: int) -> list[Section]:
    """The sections of a program in order, for a cut into so many equal parts; what is in none stays whole."""
    found, i = [], 0
    while i < len(program):
        width = program[i].layer.width() if program[i].role == "run" else None
        if width is None or width.unit == "each" or not _divides(program[i], width, table, parts):
            i += 1
            continue
        stop, sums = i + 1, width.sums
        while not sums and stop < len(program) and program[stop].role == "run":
            layer = program[stop].layer
            between, joins = layer.width(), layer.joins()
            if joins is not None and _divides(program[stop], joins, table, parts):
                sums = True
            elif between is None or between.unit != "each" or program[stop].shares:
                break
            stop += 1
        found.append(Section(i, stop, sums))
        i = stop
    return found


def _divides(operation: Operation, width: Width, table: ParameterTable, parts: int) -> bool:
    """Tell whether there are as many things to share out as make equal parts."""
    if width.count is not None:
        return width.count % parts == 0
    sizes = {_leaf(entry.name): entry.shape for entry in table.entries if operation.holds(entry.name)}
    name, axis = width.axes[0]
    return sizes[name][axis] % parts == 0


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def branch(
    program: Program, section: Section, table: ParameterTable, part: int, parts: int
) -> tuple[list[Operation], dict[str, Share | None]]:
    """The operations of a section as one part has them, and which share of each parameter it holds.

    None stands for all of a parameter; those that the part does without are left out.
    """
    found: list[Operation] = []
    shares: dict[str, Share | None] = {}
    for i in range(section.first, section.stop):
        operation = program[i]
        joins = section.sums and i == section.stop - 1 and i > section.first
        width = (operation.layer.joins() if joins else operation.layer.width()) or Width("each")
        axes, absent = dict(width.axes), []
        for entry in table.entries:
            if not operation.holds(entry.name):
                continue
            name = _leaf(entry.name)
            if name in axes:
                each = entry.shape[axes[name]] // parts
                shares[entry.name] = Share(axes[name], part * each, (part + 1) * each)
            elif name in width.once and part:
                absent.append((name, entry.shape))
            else:
                shares[entry.name] = None
        layer = operation.layer if joins else operation.layer.part(part, parts)
        found.append(replace(operation, layer=layer, absent=tuple(absent)))
    return found, shares


def share_shape(shape: Shape, share: Share | None) -> Shape:
    """The shape of a share of a tensor."""
    if share is None:
        return shape
    return (*shape[: share.axis], share.stop - share.start, *shape[share.axis + 1 :])


def cut_program(
    program: Program, found: Sequence[Section], table: ParameterTable, part: int, parts: int
) -> tuple[tuple[Operation, ...], dict[str, Share | None]]:
    """The whole program as one part sees it: its own operations within sections, the rest as it was.

    The shares are those of the sections' parameters.
    """
    operations = list(program)
    shares: dict[str, Share | None] = {}
    for section in found:
        operations[section.first : section.stop], own = branch(program, section, table, part, parts)
        shares |= own
    return tuple(operations), shares
