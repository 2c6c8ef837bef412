"""A model cut by a layout: the parts that become tasks, and the places that store parameters.

The model `flatten, dense, relu, dense, layer_norm, dense` with `stages: 2, width: 2`:

    stage      0                                1
    part       0         1                      2            3
    branch 0   flatten   dense, relu, dense     layer_norm   dense           places (0, 0) and (1, 0)
    branch 1             dense, relu, dense                  dense           places (0, 1) and (1, 1)

A *part* is a run of operations that becomes one task, or one task for each branch. A *branch* is a part in
width, or a tile, or both. A *place* is a stage and a branch: it stores its parameters in one contiguous
buffer. Tiles have copies of the same parameters. Operations that are not cut run in branch 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from daskpar.backend.array import Array
from daskpar.errors import InputError
from daskpar.layout.cuts import Cuts
from daskpar.layout.stages import stage_ends
from daskpar.nn.layer import Params, Shape
from daskpar.nn.operations import (
    Operation,
    Program,
    boundaries,
    differentiated,
    first_trained,
    holder,
    merge,
    operations,
    shapes,
)
from daskpar.nn.parameters import ALIGN, ParameterTable
from daskpar.nn.partition_rules import Positions
from daskpar.nn.positions import ring_at, rings, share_program, why_not
from daskpar.nn.spatial import Around, Region, Strip, exchanges, region, strips, tile_program
from daskpar.nn.tensor_parallel import Section, Share, cut_program, sections, share_shape
from daskpar.optim.optimizer import Tensors


@dataclass(frozen=True)
class Place:
    """A stage and a branch of a lane, and the parameters that it stores.

    Args:
        stage, branch: Numbers of the stage and of the branch.
        table: Names of the parameters in the whole model, and their places in this buffer.
        shares: Share of each parameter that is cut; None for a whole one.
        copied: Elements at the start of the buffer that branch 0 stores, too. Default: 0.
    """

    stage: int
    branch: int
    table: ParameterTable
    shares: dict[str, Share | None]
    copied: int = 0

    @property
    def tensors(self) -> Tensors:
        """The extents of parameters in the buffer, for the optimizer."""
        return Tensors(self.table.ranges, self.table.decayed, self.table.groups)

    def take(self, whole: ParameterTable, buffer: Array, into: Array) -> Array:
        """Fill `into`, a buffer of this place, from a buffer of the whole model. Returns `into`."""
        theirs, ours = whole.named(buffer), self.table.named(into)
        for name, value in ours.items():
            share = self.shares[name]
            value[...] = theirs[name] if share is None else theirs[name][share.place]
        return into

    def put(self, whole: ParameterTable, own: Array, into: Array) -> None:
        """Write a buffer of this place into a buffer of the whole model."""
        theirs = whole.named(into)
        for name, value in self.table.named(own).items():
            share = self.shares[name]
            theirs[name][... if share is None else share.place] = value


class Span(NamedTuple):
    """Elements `start` to `stop` of the buffer of place number `place`."""

    place: int
    start: int
    stop: int


@dataclass(frozen=True)
class Part:
    """A run of operations that becomes one task, or one task for each branch.

    Args:
        name: Name on the dashboard, after `forward-` or `backward-`.
        first, stop: First operation, and the one behind the last.
        stage, section: Stage of the part, and its cut in width or None.
        spans: Parameters whose gradients each branch computes: first those of its own place, then those that
            another place stores (the table of a tied embedding).
        strips: Rows of pixels of each tile. Default: none.
    """

    name: str
    first: int
    stop: int
    stage: int
    section: Section | None
    spans: tuple[tuple[Span, ...], ...]
    strips: tuple[Strip, ...] = ()


@dataclass(frozen=True)
class Partition:
    """All parts of a model in order, and all places of a track.

    Args:
        program: Operations of the whole model.
        programs: For each share of the positions, the program of each branch.
        parts, places: The parts in order, the places by stage and branch.
        first_trained: First operation with trained parameters. Earlier ones need no backward pass.
        splits_loss: The outputs stay in parts, and the loss is computed across them.
    """

    program: tuple[Operation, ...]
    programs: tuple[tuple[tuple[Operation, ...], ...], ...]
    parts: tuple[Part, ...]
    places: tuple[Place, ...]
    first_trained: int
    splits_loss: bool

    def operations(self, track: int, branch: int) -> tuple[Operation, ...]:
        """Return the program of a branch of a track."""
        return self.programs[track % len(self.programs)][branch]

    def ring(self, part: int) -> Positions | None:
        """Return the positions that a part reads from other tracks of its lane; None if it reads none."""
        return ring_at(self.program, self.parts[part].first) if len(self.programs) > 1 else None

    def views(self, part: int, branch: int, buffers: Sequence[Array]) -> Params:
        """Return the parameters of a part, as views of the buffers of the places that its `spans` name."""
        views: Params = {}
        for span, buffer in zip(self.parts[part].spans[branch], buffers, strict=True):
            merge(views, self.places[span.place].table.views(buffer))
        return views


def partition(
    model: Any,
    table: ParameterTable,
    in_shape: Shape,
    layout: Cuts,
    costs: Sequence[float] | None = None,
    splits_loss: bool = False,
) -> Partition:
    """Return a model cut by a layout.

    Args:
        model: The model.
        table: Table of its parameters.
        in_shape: Shape of one example.
        layout: The layout.
        costs: Cost of each operation, by which stages are balanced (`operation_costs`). Default: None.
        splits_loss: The loss accepts outputs in parts. Default: False.

    Raises:
        InputError: The model has too few layers for the stages, or none that can be cut as the layout says.
    """
    program = cut_operations(model, layout)
    shares = layout.tracks_per_lane
    reason = why_not(program, in_shape, shares) if shares > 1 else None
    if reason is not None:
        raise InputError(f"layout.sequence={shares}: {reason}")
    around = shapes(program, in_shape) if layout.tiles > 1 else []
    tiled = region(program, around, layout.tiles) if layout.tiles > 1 else None
    if layout.tiles > 1 and tiled is None:
        raise InputError(
            f"layout.tiles={layout.tiles}: no layer of this model can be cut by rows of pixels; "
            "convolutions, pooling and element-wise layers can, on images of at least "
            f"{layout.tiles} rows, batch_norm only with sync: true"
        )
    wide = sections(program, table, layout.width) if layout.width > 1 else []
    wide = [s for s in wide if tiled is None or s.stop <= tiled.first or s.first >= tiled.stop]
    if layout.width > 1 and not wide:
        raise InputError(
            f"layout.width={layout.width}: no layer of this model can be cut into {layout.width} equal "
            f"parts; columns, heads, channels or words must be a multiple of {layout.width}"
        )
    ends = stage_ends(program, wide, table, in_shape, layout, costs)
    cut = [cut_program(program, wide, table, k, layout.width) for k in range(layout.width)]
    branches = [branch for branch, _ in cut] + [program] * (layout.breadth - layout.width)
    if tiled is not None:
        for t in range(layout.tiles):
            branches[t] = tile_program(branches[t], around, tiled, t, layout.tiles)
    places = _places(program, tiled, table, ends, layout, [shares for _, shares in cut])
    parts = _parts(program, wide, tiled, around, places, ends, layout)
    last = parts[-1].section
    loss_in_parts = splits_loss and last is not None and not last.sums
    programs = [
        [share_program(branch, in_shape[0], share, shares) for branch in branches] if shares > 1 else branches
        for share in range(shares)
    ]
    trained = first_trained(table, program, passes_frozen=shares == 1)
    return Partition(program, tuple(map(tuple, programs)), parts, places, trained, loss_in_parts)


def cut_operations(model: Any, layout: Cuts) -> tuple[Operation, ...]:
    """Return the operations of a model, with containers opened as far as a layout needs it."""
    return operations(model, layout.opens_containers, layout.reduces_statistics)


def _places(
    program: Program,
    tiled: Region | None,
    table: ParameterTable,
    ends: Sequence[int],
    layout: Cuts,
    shares: Sequence[dict[str, Share | None]],
) -> tuple[Place, ...]:
    """Return the places of a lane: all branches of each stage. Tied parameters belong to the first stage."""
    places, taken = [], set()
    entries = {e.name: e for e in table.entries}
    in_tiles = set(filter(holder(program[slice(*tiled)]), entries)) if tiled else set()
    for stage, (first, stop) in enumerate(pairwise([0, *ends])):
        names = [name for name in filter(holder(program[first:stop]), entries) if name not in taken]
        names.sort(key=lambda name: name not in in_tiles)  # first, and so at the same place in all buffers
        taken |= set(names)
        for branch in range(layout.breadth):
            own = shares[branch] if branch < len(shares) else {}
            mine = [n for n in names if n in own or (branch == 0 and n not in shares[0])]
            copies = [n for n in names if n in in_tiles and 0 < branch < layout.tiles]
            stored = {n: own.get(n) for n in [*copies, *mine]}
            shapes = ((n, share_shape(entries[n].shape, s)) for n, s in stored.items())
            laid = ParameterTable.laid_out(shapes, entries)
            copied = laid.extent(in_tiles.__contains__)[1] if copies else 0
            places.append(Place(stage, branch, laid, stored, copied))
    return tuple(places)


def _parts(
    program: Program,
    wide: Sequence[Section],
    tiled: Region | None,
    around: Around,
    places: Sequence[Place],
    ends: Sequence[int],
    layout: Cuts,
) -> tuple[Part, ...]:
    layered = boundaries(program, True)
    cuts = {*boundaries(program, False)} if layout.reduces_statistics else {0}
    if layout.grain == "layer":
        inside = {i for section in wide for i in range(section.first + 1, section.stop)}
        cuts |= {i for i in layered if i not in inside}
    if layout.tracks_per_lane > 1:
        cuts |= {edge for i in rings(program) for edge in (i, i + 1)}
    cuts |= {0, *ends, *(edge for section in wide for edge in (section.first, section.stop))}
    if tiled is not None:
        cuts |= {*tiled, *exchanges(program, around, tiled, layout.tiles)}
    by_extent = {(section.first, section.stop): section for section in wide}
    parts = []
    edges = sorted(cuts)
    if program[0].shares and layout.reduces_statistics:
        edges.insert(0, 0)  # a part that only gathers
    for first, stop in pairwise(edges):
        stage = next(s for s, end in enumerate(ends) if first < end)
        section = by_extent.get((first, stop))
        rows: tuple[Strip, ...] = ()
        if tiled is not None and tiled.first <= first < tiled.stop:
            rows = strips(program, around, (first, stop), layout.tiles)
        count = layout.width if section else max(1, len(rows))
        spans = tuple(_spans(program, (first, stop), places, stage, branch) for branch in range(count))
        name = _name(program[first:stop], section, layout)
        parts.append(Part(name, first, stop, stage, section, spans, rows))
    return tuple(parts)


def _name(program: Program, section: Section | None, layout: Cuts) -> str:
    """Return the name of a part on the dashboard, after `forward-` or `backward-`."""
    if section is None and layout.grain != "layer" and not (layout.tracks_per_lane > 1 and rings(program)):
        return "stage"
    runs = [operation.layer.kind for operation in program if operation.role == "run"]
    return runs[0].replace("_", "-") if runs else "stage"


def _spans(
    program: Program, span: tuple[int, int], places: Sequence[Place], stage: int, branch: int
) -> tuple[Span, ...]:
    """Return the spans of a part's parameters, those of its own place first."""
    first, stop = differentiated(program, span)
    holds = holder(program[first:stop])
    spans = []
    for number, place in enumerate(places):
        entries = [e for e in place.table.entries if holds(e.name)]
        own = (place.stage, place.branch) == (stage, branch)
        if own or (entries and place.branch == branch):
            start = entries[0].start if entries else 0
            end = -(-entries[-1].stop // ALIGN) * ALIGN if entries else 0
            spans.append((not own, Span(number, start, end)))
    return tuple(span for _, span in sorted(spans))
