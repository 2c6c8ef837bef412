"""profile.html: the time of a run by kind of task, and a timeline of its tasks, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from daskpar.autotune.profile import Profile, TaskRun, blocking_tasks, critical_path
from daskpar.backend.atomic import atomic_write
from daskpar.graph.graph import Key
from daskpar.report.views import View, views

if TYPE_CHECKING:
    from bokeh.models import LayoutDOM

_TASKS = 3_000  # most tasks that are drawn, the last ones
_MARGIN = 0.02  # share of a view that is left free on either side


class Trace(Protocol):
    """The part of a training's trace that is used here."""

    @property
    def ran(self) -> list[TaskRun]:
        """The tasks that ran, with their times."""
        ...

    @property
    def below(self) -> dict[Key, tuple[Key, ...]]:
        """The keys of the tasks that each task depends on."""
        ...


def write_timeline(trace: Trace, profile: Profile, path: Path, title: str, note: str = "") -> None:
    """Write a page with a timeline of the tasks and the tables of a profile.

    Each task is a bar in the row of its thread. Tasks on the critical path have a frame; transfers before a
    task are hatched. The page opens on typical steps, and buttons show others. `note` is HTML below the
    title, e.g. a link to another report of the same tasks.
    """
    from bokeh.embed import file_html
    from bokeh.layouts import column
    from bokeh.models import CustomJS, Div, HoverTool, RadioButtonGroup
    from bokeh.palettes import Category20_20
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    about = "".join(f"<p>{line}</p>" for line in (escape(in_words(profile)), note) if line)
    heading = Div(text=f"<h2>{escape(title)}</h2>{about}")
    parts: list[LayoutDOM] = [heading]
    ran = sorted(trace.ran, key=lambda r: r.start)[-_TASKS:]
    if ran:
        zero = ran[0].start
        threads = {thread: str(i) for i, thread in enumerate(sorted({r.thread for r in ran}))}
        colours = dict(zip(sorted({r.kind for r in ran}), Category20_20 * 9, strict=False))
        blocking = blocking_tasks(trace.ran, trace.below)
        critical = {task.key for task in critical_path(trace.ran, blocking, zero)}
        bars: dict[str, Sequence[float | str]] = {
            "left": [1e3 * (r.start - zero) for r in ran],
            "right": [1e3 * (r.stop - zero) for r in ran],
            "y": [threads[r.thread] for r in ran],
            "kind": [r.kind for r in ran],
            "key": [str(r.key[1:]) for r in ran],
            "ms": [1e3 * (r.stop - r.start) for r in ran],
            "colour": [colours[r.kind] for r in ran],
            "frame": ["black" if r.key in critical else "white" for r in ran],
        }
        sent = [(a, b, r) for r in ran for a, b in r.transfers if a >= zero]
        moves = {
            "left": [1e3 * (a - zero) for a, _, _ in sent],
            "right": [1e3 * (b - zero) for _, b, _ in sent],
            "y": [threads[r.thread] for _, _, r in sent],
        }
        parts_to_see = views(ran)
        windows = [_window(view, zero) for view in parts_to_see]
        plot = figure(
            y_range=sorted(threads.values(), key=int, reverse=True),
            x_range=windows[0],
            height=max(340, 140 + 50 * len(threads)),  # room for the legend
            sizing_mode="stretch_width",
            x_axis_label="ms",
            y_axis_label="thread",
            tools="xpan,xwheel_zoom,xbox_zoom,reset,save",
            active_scroll="xwheel_zoom",
        )
        plot.hbar(
            y="y", left="left", right="right", height=0.2, source=moves, color="#d62728", hatch_pattern="/"
        )
        drawn = plot.hbar(
            y="y",
            left="left",
            right="right",
            height=0.7,
            source=bars,
            fill_color="colour",
            line_color="frame",
            legend_group="kind",
        )
        tooltips = [("task", "@kind @key"), ("ms", "@ms{0.000}")]
        plot.add_tools(HoverTool(renderers=[drawn], tooltips=tooltips))
        plot.add_layout(plot.legend[0], "right")
        buttons = RadioButtonGroup(labels=[view.name for view in parts_to_see], active=0)
        show = "const [start, end] = windows[this.active]; range.setv({start, end})"
        buttons.js_on_change("active", CustomJS(args={"range": plot.x_range, "windows": windows}, code=show))
        legend = "framed: on the critical path; red: transfers; scroll to zoom, drag to move in time"
        parts += [buttons, plot, Div(text=legend)]
    parts.append(Div(text=_table(profile)))
    atomic_write(path, file_html(column(*parts, sizing_mode="stretch_width"), INLINE, title))


def _window(view: View, zero: float) -> tuple[float, float]:
    """Return the ends of a view in milliseconds since `zero`, with a margin."""
    margin = _MARGIN * (view.stop - view.start)
    return 1e3 * (view.start - margin - zero), 1e3 * (view.stop + margin - zero)


def in_words(profile: Profile) -> str:
    """Return a profile in one line."""
    return (
        f"{profile.steps} steps of {1e3 * profile.seconds / max(1, profile.steps):.2f} ms; in "
        f"{profile.scheduling_share:.1%} of the time of {profile.cores} cores no task computed"
    )


def tables(profile: Profile) -> dict[str, list[tuple[str, ...]]]:
    """Return lines by title: kind of task, and per step its tasks and ms of compute, transfer and waiting."""
    each = max(1, profile.steps)
    return {
        title: [
            (kind, f"{t.tasks / each:.3g}", *(f"{1e3 * s / each:.3f}" for s in t[1:]))
            for kind, t in times.items()
        ]
        for title, times in (("all tasks", profile.kinds), ("the step's critical path", profile.path))
    }


COLUMNS = ("tasks a step", "compute, ms", "transfer, ms", "waiting, ms")


def _table(profile: Profile) -> str:
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    out = []
    for name, rows in tables(profile).items():
        lines = "".join(
            f"<tr><td><code>{escape(kind)}</code></td>" + "".join(f"<td align=right>{v}</td>" for v in values)
            for kind, *values in rows
        )
        out.append(f"<table cellpadding=4><tr><th align=left>{name}</th>{head}</tr>{lines}</table>")
    return f"<div style='display: flex; gap: 4em'>{''.join(f'<div>{table}</div>' for table in out)}</div>"
