"""The pictures of a step: the layout's slots, and the graph of its tasks."""

from __future__ import annotations

from daskpar.layout.picture import layout_svg
from daskpar.report.picture import draw
from daskpar.report.run.html import Html, counted, note
from daskpar.report.run.subject import Subject

_MOST_TASKS = 250


def layout(run: Subject) -> Html:
    """Return the slots of a run's layout."""
    if run.layout is None:
        return note("The layout is known when the run has a summary.")
    slots = run.layout.slots
    one = " All of the step is computed in one place." if slots == 1 else ""
    text = note(f"{counted(slots, 'slot')}, the places where tasks run.{one}")
    return Html(f'{text}<div class="scroll">{layout_svg(run.layout)}</div>')


def graph(run: Subject) -> Html:
    """Return the graph of a training step; a large one is only counted."""
    if run.graph is None:
        return note(f"The graph of a step is not drawn: {run.reason('graph')}")
    tasks = run.graph.flat()
    if len(tasks) > _MOST_TASKS:
        return note(f"A step is {len(tasks):,} tasks, too many to read here; `daskpar graph` draws them.")
    text = note(f"A step is {counted(len(tasks), 'task')}, with the loading of data. Time runs to the right.")
    return Html(f'{text}<div class="scroll graph">{draw(tasks, run.graph.kinds)}</div>')
