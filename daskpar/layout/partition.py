"""A model cut by a layout: the parts that are tasks, and who holds which parameters.

    stage 0                              stage 1
    [ norm | attention part 0 | join ]   [ ... ]        places (stage, branch), each with parameters of its
           | attention part 1 |                         own in one contiguous buffer

A branch is a part in width, or a tile, or both. Tiles all hold what they need, which is the same. Whatever is
cut neither way is done, and held, by branch 0 of its stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
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
    """One place of work of a lane, and the parameters it holds, with their names in the whole model.

    `shares`: which share of a parameter, where it is not all of it. `copied`: how many elements at the start
    of its buffer are those of branch 0, too.
    """

    stage: int
    branch: int
    table: ParameterTable
    shares: dict[str, Share | None]
    copied: int = 0

    @property
    def tensors(self) -> Tensors:
        return Tensors(self.table.ranges, self.table.decayed, self.table.groups)

    def take(self, whole: ParameterTable, buffer: Array, into: Array) -> Array:
        """Fill `into`, the place's own buffer, from a buffer of the whole model."""
        theirs, ours = whole.named(buffer), self.table.named(into)
        for name, value in ours.items():
            share = self.shares[name]
            value[...] = theirs[name] if share is None else theirs[name][share.place]
        return into

    def put(self, whole: ParameterTable, own: Array, into: Array) -> None:
        """Write the place's own buffer to where it belongs in one of the whole model."""
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
    """Operations `first` to `stop` as one task, or as several side by side: one for each part in width where
    there is a `section`, and for each tile where there are `strips` of rows.

    `spans`: for each of these tasks where its gradients belong, first those of its own place; then those
    of parameters that another place holds (an embedding's table at the other end of the model).
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
    """All parts of a model in order, all places of a track, and the program as each branch has it.

    `programs`: for each share of an example that tracks of a lane work on, the program of each branch.
    `splits_loss`: the outputs stay in parts, and the loss is worked out across them.
    """

    program: tuple[Operation, ...]
    programs: tuple[tuple[tuple[Operation, ...], ...], ...]
    parts: tuple[Part, ...]
    places: tuple[Place, ...]
    first_trained: int
    splits_loss: bool

    def operations(self, track: int, branch: int) -> tuple[Operation, ...]:
        """The program as a branch of a track has it."""
        return self.programs[track % len(self.programs)][branch]

    def ring(self, part: int) -> Positions | None:
        """The ring by which a part looks at other tracks of a lane; None where it does not."""
        return ring_at(self.program, self.parts[part].first) if len(self.programs) > 1 else None

    def views(self, part: int, branch: int, buffers: Sequence[Array]) -> Params:
        """The parameters of a part, from the buffers of the places that its `spans` name."""
        found: Params = {}
        for span, buffer in zip(self.parts[part].spans[branch], buffers, strict=True):
            merge(found, self.places[span.place].table.views(buffer))
        return found


def partition(
    model: Any,
    table: ParameterTable,
    in_shape: Shape,
    layout: Cuts,
    costs: Sequence[float] | None = None,
    splits_loss: bool = False,
) -> Partition:
    """Cut a model as a layout has it.

    `costs`: of each operation, to balance stages by (`operation_costs`). `splits_loss`: whether the loss
    takes outputs in parts. Raises InputError where there are fewer units to share out than stages, or none
    for the width.
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
            f"layout.tiles={layout.tiles}: no layer of this model can be cut by rows of pixels; what can is "
            f"convolutions, pooling and the like on images of at least {layout.tiles} rows, batch_norm only "
            "with sync: true"
        )
    found = sections(program, table, layout.width) if layout.width > 1 else []
    found = [s for s in found if tiled is None or s.stop <= tiled.first or s.first >= tiled.stop]
    if layout.width > 1 and not found:
        raise InputError(
            f"layout.width={layout.width}: no layer of this model can be cut into so many equal parts; "
            "columns, heads, channels or words must be a multiple of it"
        )
    ends = stage_ends(program, found, table, in_shape, layout, costs)
    wide = [cut_program(program, found, table, k, layout.width) for k in range(layout.width)]
    branches = [own for own, _ in wide] + [program] * (layout.breadth - layout.width)
    if tiled is not None:
        for t in range(layout.tiles):
            branches[t] = tile_program(branches[t], around, tiled, t, layout.tiles)
    places = _places(program, tiled, table, ends, layout, [shares for _, shares in wide])
    parts = _parts(program, found, tiled, around, places, ends, layout)
    last = parts[-1].section
    apart = splits_loss and last is not None and not last.sums
    programs = [
        [share_program(own, in_shape[0], share, shares) for own in branches] if shares > 1 else branches
        for share in range(shares)
    ]
    trained = first_trained(table, program, passes_frozen=shares == 1)
    return Partition(program, tuple(map(tuple, programs)), parts, places, trained, apart)


def cut_operations(model: Any, layout: Cuts) -> tuple[Operation, ...]:
    """A model taken apart as far as a layout needs it."""
    return operations(model, layout.opens_containers, layout.reduces_statistics)


def _places(
    program: Program,
    tiled: Region | None,
    table: ParameterTable,
    ends: Sequence[int],
    layout: Cuts,
    shares: Sequence[dict[str, Share | None]],
) -> tuple[Place, ...]:
    """The places of a lane: for each stage all branches. Tied parameters belong to the first stage."""
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
            held = {n: own.get(n) for n in [*copies, *mine]}
            shapes = ((n, share_shape(entries[n].shape, s)) for n, s in held.items())
            laid = ParameterTable.laid_out(shapes, entries)
            copied = laid.extent(in_tiles.__contains__)[1] if copies else 0
            places.append(Place(stage, branch, laid, held, copied))
    return tuple(places)


def _parts(
    program: Program,
    found: Sequence[Section],
    tiled: Region | None,
    around: Around,
    places: Sequence[Place],
    ends: Sequence[int],
    layout: Cuts,
) -> tuple[Part, ...]:
    layered = boundaries(program, True)
    cuts = {*boundaries(program, False)} if layout.reduces_statistics else {0}
    if layout.grain == "layer":
        inside = {i for section in found for i in range(section.first + 1, section.stop)}
        cuts |= {i for i in layered if i not in inside}
    if layout.tracks_per_lane > 1:
        cuts |= {edge for i in rings(program) for edge in (i, i + 1)}
    cuts |= {0, *ends, *(edge for section in found for edge in (section.first, section.stop))}
    if tiled is not None:
        cuts |= {*tiled, *exchanges(program, around, tiled, layout.tiles)}
    at = {(section.first, section.stop): section for section in found}
    parts = []
    edges = sorted(cuts)
    if program[0].shares and layout.reduces_statistics:
        edges.insert(0, 0)  # a part that only gathers
    for first, stop in pairwise(edges):
        stage = next(s for s, end in enumerate(ends) if first < end)
        section = at.get((first, stop))
        rows: tuple[Strip, ...] = ()
        if tiled is not None and tiled.first <= first < tiled.stop:
            rows = strips(program, around, (first, stop), layout.tiles)
        count = layout.width if section else max(1, len(rows))
        spans = tuple(_spans(program, (first, stop), places, stage, branch) for branch in range(count))
        name = _name(program[first:stop], section, layout)
        parts.append(Part(name, first, stop, stage, section, spans, rows))
    return tuple(parts)


def _name(program: Program, section: Section | None, layout: Cuts) -> str:
    """The name of a part on the dashboard, after `forward-` or `backward-`."""
    if section is None and layout.grain != "layer" and not (layout.tracks_per_lane > 1 and rings(program)):
        return "stage"
    runs = [operation.layer.kind for operation in program if operation.role == "run"]
    return runs[0].replace("_", "-") if runs else "stage"


def _spans(
    program: Program, span: tuple[int, int], places: Sequence[Place], stage: int, branch: int
) -> tuple[Span, ...]:
    first, stop = differentiated(program, span)
    holds = holder(program[first:stop])
    found = []
    for number, place in enumerate(places):
        held = [e for e in place.table.entries if holds(e.name)]
        own = (place.stage, place.branch) == (stage, branch)
        if own or (held and place.branch == branch):
            start = held[0].start if held else 0
            end = -(-held[-1].stop // ALIGN) * ALIGN if held else 0
            found.append((not own, Span(number, start, end)))
    return tuple(span for _, span in sorted(found))


def shard_spans(place: Place, number: int, shards: int) -> list[Span]:
    """A place's buffer in so many slices of about the same length.

    A layer with running statistics stays in one, for it needs all of them at once.
    """
    size = place.table.size
    ends = [-(-k * size // shards // ALIGN) * ALIGN for k in range(1, shards)]
    for name in {e.name.rpartition(".")[0] for e in place.table.entries if e.is_statistic}:
        start, stop = place.table.extent(partial(_is_in, name))
        ends = [stop if start < end < stop else end for end in ends]
    return [Span(number, a, b) for a, b in pairwise([0, *(min(end, size) for end in ends), size])]


def _is_in(layer: str, name: str) -> bool:
    """Return whether a parameter is directly one of a layer's."""
    return name.rpartition(".")[0] == layer
