"""A picture of a task graph as SVG: time runs to the right, each kind of operation has a colour."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from html import escape
from typing import Any, Protocol

from dask.utils import key_split

from daskpar.layout.plan import Kind

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 148, 38, 60, 12, 24
_COLOURS = (
    "#7fb3d5 #f5b041 #82e0aa #f1948a #bb8fce #76d7c4 #f7dc6f #e59866 #aeb6bf #d7bde2 #f9e79f #a3e4d7 "
    "#edbb99 #d5dbdb #c39bd3 #85c1e9 #f0b27a #abebc6 #e6b0aa #d4efdf"
).split()

Key = tuple[object, ...] | str
"""The key of a task: the name of its operation, and numbers that distinguish the tasks of that name."""


class Task(Protocol):
    """The part of the interface of dask's tasks that is used here."""

    @property
    def dependencies(self) -> Collection[Key]:
        """The keys of the tasks that this one depends on."""
        ...


def draw(tasks: Mapping[Any, Task], kinds: Mapping[Any, Kind] | None = None) -> str:
    """Return an SVG of a graph of dask tasks by key; dependencies outside of the graph are left out.

    `kinds`: the kind of operation by key, for names and colours. Tasks without one are named by their key.
    """
    kinds = kinds or {}
    names = {key: kinds[key].name if key in kinds else key_split(key) for key in tasks}
    inside = {
        key: sorted((d for d in task.dependencies if d in tasks), key=_sorted_as)
        for key, task in tasks.items()
    }
    columns = _columns(inside)
    place: dict[Key, tuple[float, float]] = {}
    tallest = max(map(len, columns), default=1)
    for i, column in enumerate(columns):
        ordered = sorted(column, key=lambda k: (_centre(inside[k], place), _sorted_as(k)))
        top = (tallest - len(ordered)) * (_HEIGHT + _GAP_Y) / 2
        for j, key in enumerate(ordered):
            place[key] = (_MARGIN + i * (_WIDTH + _GAP_X), _MARGIN + top + j * (_HEIGHT + _GAP_Y))
    operations = list(dict.fromkeys(names[key] for column in columns for key in column))
    width = 2 * _MARGIN + len(columns) * (_WIDTH + _GAP_X) - _GAP_X
    height = 2 * _MARGIN + tallest * (_HEIGHT + _GAP_Y) - _GAP_Y
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'style="max-width:100%;height:auto" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    parts += [_edge(place[below], place[key]) for key, deps in inside.items() for below in deps]
    parts += [
        _node(names[key], key, kinds.get(key), place[key], operations.index(names[key])) for key in inside
    ]
    return "\n".join([*parts, "</svg>", ""])


def _sorted_as(key: Key) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key by which tasks are in the order of their numbers, 2 before 10."""
    parts = key if isinstance(key, tuple) else (key,)
    return tuple((0, part, "") if isinstance(part, int) else (1, 0, str(part)) for part in parts[1:])


def _numbers(kind: Kind | None, index: tuple[object, ...]) -> str:
    """Return the numbers in a key with the names that the kind of operation has for them."""
    axes = () if kind is None else kind.axes
    names = axes if len(axes) == len(index) else ("step", *axes)
    return ", ".join(f"{name} {value}".strip() for name, value in zip(names, index, strict=False))


def _columns(inside: Mapping[Key, list[Key]]) -> list[list[Key]]:
    """Return the keys in columns by their longest distance from a root.

    A root is drawn one column before the first task that depends on it.
    """
    depth: dict[Key, int] = {}
    waiting = dict(inside)
    while waiting:
        ready = [k for k, deps in waiting.items() if all(d in depth for d in deps)]
        if not ready:
            raise ValueError("the graph has a cycle")
        for key in ready:
            depth[key] = max((depth[d] + 1 for d in waiting.pop(key)), default=0)
    used_at: dict[Key, int] = {}
    for key, deps in inside.items():
        for below in deps:
            used_at[below] = min(used_at.get(below, depth[key]), depth[key])
    for key, deps in inside.items():
        if not deps and key in used_at:
            depth[key] = used_at[key] - 1
    columns: list[list[Key]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for key, level in depth.items():
        columns[level].append(key)
    return columns


def _centre(below: list[Key], place: Mapping[Key, tuple[float, float]]) -> float:
    known = [place[key][1] for key in below if key in place]
    return sum(known) / len(known) if known else 0.0


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    x0, y0, x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT / 2, end[0], end[1] + _HEIGHT / 2
    bend = (x1 - x0) / 2
    path = f"M{x0},{y0:.1f} C{x0 + bend:.1f},{y0:.1f} {x1 - bend:.1f},{y1:.1f} {x1},{y1:.1f}"
    return f'<path d="{path}" fill="none" stroke="#99a3a4" stroke-width="1"/>'


def _node(name: str, key: Key, kind: Kind | None, corner: tuple[float, float], colour: int) -> str:
    x, y = corner
    index = key[1:] if isinstance(key, tuple) else ()
    middle = x + _WIDTH / 2
    return (
        f"<g><title>{escape(f'{name} {index}')}</title>"
        f'<rect x="{x}" y="{y:.1f}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'rx="6" fill="{_COLOURS[colour % len(_COLOURS)]}" stroke="#566573"/>'
        f'<text x="{middle}" y="{y + 16:.1f}" text-anchor="middle" font-weight="bold">'
        f"{escape(name)}</text>"
        f'<text x="{middle}" y="{y + 30:.1f}" text-anchor="middle" font-size="10">'
        f"{escape(_numbers(kind, index))}</text></g>"
    )
