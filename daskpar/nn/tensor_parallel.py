"""Tensor parallelism: a model is cut in width, by columns, heads, channels or words.

A *section* is a sequence of operations whose parts are independent of each other. Every part receives the
whole input. At the end of the section, the outputs are summed or concatenated:

                 ┌─ dense columns 0 ─ relu ─ dense rows 0 ─┐
    x (whole) ───┤                                         ├─ sum ─ y (whole)
                 └─ dense columns 1 ─ relu ─ dense rows 1 ─┘

A section costs one tree of tasks forward and one backward. Only its own part needs a parameter.

Reference:
    Shoeybi et al. 2019, "Megatron-LM: Training multi-billion parameter language models using model
    parallelism", section 3. https://arxiv.org/abs/1909.08053
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
    """Operations from `first` to before `stop` that are cut in width.

    `sums` is true if the outputs of the parts are summed, false if they are concatenated.
    """

    first: int
    stop: int
    sums: bool


class Share(NamedTuple):
    """Elements from `start` to before `stop` of a tensor along an axis."""

    axis: int
    start: int
    stop: int

    @property
    def place(self) -> tuple[slice, ...]:
        """The share as an index into the tensor."""
        return (*(slice(None),) * self.axis, slice(self.start, self.stop))


def sections(program: Program, table: ParameterTable, parts: int) -> list[Section]:
    """Return the sections of a program in order, for a cut into `parts` equal parts.

    Operations in no section are not cut.
    """
    result, i = [], 0
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
        result.append(Section(i, stop, sums))
        i = stop
    return result


def _divides(operation: Operation, width: Width, table: ParameterTable, parts: int) -> bool:
    """Return whether an operation can be cut into equal parts."""
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
    """Return the operations of a section for one part, and its share of each parameter.

    A share of None is the whole parameter. Parameters that the part does not need are left out.
    """
    operations: list[Operation] = []
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
        operations.append(replace(operation, layer=layer, absent=tuple(absent)))
    return operations, shares


def share_shape(shape: Shape, share: Share | None) -> Shape:
    """Return the shape of a share of a tensor."""
    if share is None:
        return shape
    return (*shape[: share.axis], share.stop - share.start, *shape[share.axis + 1 :])


def cut_program(
    program: Program, cuts: Sequence[Section], table: ParameterTable, part: int, parts: int
) -> tuple[tuple[Operation, ...], dict[str, Share | None]]:
    """Return the program of one part, and its shares of the parameters of the sections.

    Within sections it has the operations of the part, all else is unchanged.
    """
    operations = list(program)
    shares: dict[str, Share | None] = {}
    for section in cuts:
        part_operations, part_shares = branch(program, section, table, part, parts)
        operations[section.first : section.stop] = part_operations
        shares |= part_shares
    return tuple(operations), shares
