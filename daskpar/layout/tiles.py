"""Spatial parallelism: images are cut by rows of pixels, in layers that need no more than a halo.

Rows of an image of 8 rows for a 3 x 3 convolution, `tiles: 4`. A tile owns the rows `#`; the rows `+`, its
halo, come from its neighbours:

    row      0 1 2 3 4 5 6 7
    tile 0   # # +
    tile 1     + # # +
    tile 2         + # # +
    tile 3             + # #

The tasks of two convolutions in a row, `tiles: 2`:

    load-batch                   images
                           ┌───────┴───────┐
    pick-rows           tile 0          tile 1          with the halo of the first convolution
    forward-stage       tile 0          tile 1
    halo-activation        ├─ last row ──> │            the halo of the second convolution
                           │ <── first row ┤
    forward-stage       tile 0          tile 1
                           └───────┬───────┘
    join-activation              images

Backward, `halo-gradient` tasks return the gradients of the halo to the tiles that own the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daskpar.layout.arguments import Output
from daskpar.layout.boundary import Mover
from daskpar.layout.cut import Cut
from daskpar.layout.draft import Draft, MicrobatchId, StageInput
from daskpar.layout.pipeline_schedule import BACKWARD, FORWARD
from daskpar.layout.plan import Index, Kind
from daskpar.nn.spatial import Rows, overlap
from daskpar.settings import setting

_PICK = Kind("pick-rows", "pick", (), urgent=True)
_HALO = {
    FORWARD: Kind("halo-activation", "halo", ("lane", "part", "micro", "from", "to"), urgent=True),
    BACKWARD: Kind("halo-gradient", "halo", ("lane", "part", "micro", "from", "to"), urgent=True),
}
_AXES = ("lane", "part", "pass", "micro")
_JOIN = {
    FORWARD: Kind("join-activation", "join", _AXES, urgent=True),
    BACKWARD: Kind("join-gradient", "join", _AXES, urgent=True),
}


@dataclass(frozen=True)
class Tiles(Cut):
    """Spatial parallelism: tiles of an image, one below the other."""

    tiles: int = setting(
        1, "tiles that images are cut into by rows of pixels (spatial parallelism)", at_least=1
    )


class Strips(Mover):
    """The mover of a part that is cut into tiles."""

    def begin(self, draft: Draft, part: int, track: int, batch: Output) -> list[StageInput]:
        needs = [strip.input for strip in draft.partition.parts[part].strips]
        return _scattered(draft, batch, ("lane",), (track,), needs)

    def scatter(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, whole: Output
    ) -> list[StageInput]:
        strips = draft.partition.parts[part].strips
        wanted = [strip.input if verb == FORWARD else strip.output for strip in strips]
        return _scattered(draft, whole, _AXES, (rows.track, part, verb, rows.micro), wanted)

    def gather(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, into: Output, branches: Sequence[Output]
    ) -> Output:
        """Return the tiles as one image. Backward, the gradients of rows that overlap are summed."""
        slot = draft.slot(rows.track, part)
        what = "activation" if verb == FORWARD else "gradient"
        values = [draft.send(value, slot, what) for value in branches]
        index = (rows.track, part, verb, rows.micro)
        if verb == FORWARD:
            return draft.section.add(_JOIN[verb], "stack_forward", index, slot, *values)
        strips = draft.partition.parts[part].strips
        height, needs = strips[-1].owned.stop, [strip.input for strip in strips]
        return draft.section.add(_JOIN[verb], "stack_backward", index, slot, height, needs, *values)

    def exchange(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, branches: Sequence[Output]
    ) -> list[StageInput] | None:
        """Return the value of each tile, with the rows that its neighbours send."""
        parts, forward = draft.partition.parts, verb == FORWARD
        before = part - 1 if forward else part + 1
        strips = parts[part if forward else before].strips
        if not (parts[before].strips and strips):
            return None
        if all(strip.input == strip.owned for strip in strips):
            return [StageInput(value) for value in branches]
        inputs = []
        for t, strip in enumerate(strips):
            edges = []
            for u, other in enumerate(strips):
                has, wanted = (other.owned, strip.input) if forward else (other.input, strip.owned)
                shared = overlap(has, wanted)
                if u != t and shared.start < shared.stop:
                    index = (rows.track, before, rows.micro, u, t)
                    slot = draft.section.slot(branches[u])
                    edges.append(
                        draft.section.add(_HALO[verb], "halo", index, slot, branches[u], has.start, shared)
                    )
            inputs.append(StageInput(branches[t], tuple(edges)))
        return inputs


def _scattered(
    draft: Draft, whole: Output, axes: tuple[str, ...], index: Index, rows: Sequence[Rows]
) -> list[StageInput]:
    """Return the rows of pixels of each tile, cut out of a whole value."""
    slot, kind = draft.section.slot(whole), _PICK._replace(axes=(*axes, "tile"))
    picked = [
        draft.section.add(kind, "pick_rows", (*index, t), slot, whole, wanted)
        for t, wanted in enumerate(rows)
    ]
    draft.small.update(picked)
    return [StageInput(value) for value in picked]
