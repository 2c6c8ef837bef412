"""The picture of a layout in a notebook: its slots as boxes of an SVG image.

         stage 0    stage 1
lane 0   [ slot 0 ] [ slot 1 ]      a row for each lane and branch, a column for each stage;
lane 1   [ slot 2 ] [ slot 3 ]      the boxes of a lane have the same colour
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from daskpar.layout.cuts import Cuts

_MOST_ROWS, _MOST_STAGES = 16, 12  # drawn; the rest is only counted
_LETTER, _WIDE, _HIGH, _GAP, _LINE = 7, 92, 26, 6, 18  # pixels
_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#9d755d", "#eeca3b")


class Row(NamedTuple):
    """The slots of one track and branch, a slot for each stage."""

    label: str
    lane: int
    branch: int
    slots: tuple[int, ...]

    @property
    def colour(self) -> str:
        """The colour of the lane."""
        return _COLOURS[self.lane % len(_COLOURS)]


def layout_svg(layout: Cuts) -> str:
    """Return the slots of a layout as an inline SVG image, which needs no other file.

    Rows are lanes (and their shares of the positions, parts in width or tiles), columns are stages. Large
    layouts are cut short, and the image says by how much.
    """
    count = layout.replicas * layout.tracks * layout.breadth
    stages = min(layout.depth, _MOST_STAGES)
    rows = [row for _, row in zip(range(_MOST_ROWS), layout_rows(layout, stages), strict=False)]
    left = max(len(row.label) for row in rows) * _LETTER + _GAP
    shapes = [_text(left + s * (_WIDE + _GAP), _LINE - 4, f"stage {s}") for s in range(stages)]
    for number, row in enumerate(rows):
        top = _LINE + number * (_HIGH + _GAP)
        shapes.append(_text(0, top + _LINE, row.label))
        for stage, slot in enumerate(row.slots):
            shapes.append(_box(left + stage * (_WIDE + _GAP), top, row.colour, f"slot {slot}"))
    left_out = _left_out(count - len(rows), layout.depth - stages)
    bottom = _LINE + len(rows) * (_HIGH + _GAP)
    if left_out:
        shapes.append(_text(0, bottom + _LINE - 4, left_out))
        bottom += _LINE
    wide = max(left + stages * (_WIDE + _GAP), len(left_out) * _LETTER)
    title = f"{layout.replicas * layout.lane_slots} slots of {layout!r}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{wide}" height="{bottom}" '
        f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title>{"".join(shapes)}</svg>'
    )


def layout_rows(layout: Cuts, stages: int) -> Iterator[Row]:
    """Yield the rows of slots of a layout, each with its first `stages` slots."""
    for track in range(layout.replicas * layout.tracks):
        lane, share = divmod(track, layout.tracks_per_lane)
        for branch in range(layout.breadth):
            slots = tuple(layout.slot(track, stage, branch) for stage in range(stages))
            yield Row(_label(layout, lane, share, branch), lane, branch, slots)


def _label(layout: Cuts, lane: int, share: int, branch: int) -> str:
    """Return the name of a row, as far as the layout has more than one of a kind."""
    replica, own = divmod(lane, layout.data)
    words = [f"replica {replica}"] if layout.replicas > 1 else []
    words.append(f"lane {own}")
    if layout.tracks_per_lane > 1:
        words.append(f"share {share}")
    if layout.breadth > 1:
        kinds = [kind for kind, number in (("part", layout.width), ("tile", layout.tiles)) if branch < number]
        words.append(f"{' and '.join(k for k in kinds if _several(layout, k))} {branch}")
    return ", ".join(words)


def _several(layout: Cuts, kind: str) -> bool:
    return (layout.width if kind == "part" else layout.tiles) > 1


def _left_out(rows: int, stages: int) -> str:
    counted = [f"{n} more {name}" for n, name in ((rows, "rows"), (stages, "stages")) if n > 0]
    return "and " + " and ".join(counted) if counted else ""


def _text(left: int, baseline: int, text: str) -> str:
    return f'<text x="{left}" y="{baseline}" fill="currentColor">{escape(text)}</text>'


def _box(left: int, top: int, colour: str, text: str) -> str:
    return (
        f'<rect x="{left}" y="{top}" width="{_WIDE}" height="{_HIGH}" rx="4" fill="{colour}" '
        f'fill-opacity="0.35" stroke="{colour}"/>' + _text(left + 10, top + _LINE, text)
    )
