"""The drawing of curves in a browser, for curves.html, the report of a run and the page on the dashboard.

`charts.js` defines the class `Board` and nothing else. A page passes it curves and marks at any time:

    const board = new Board(document.querySelector("main"), {memory: "my page", linked: true});
    board.set({
      charts: [{name: "loss", unit: "", log: false, wide: true,
                curves: [{label: "train", kind: "train", x: [1, 2], y: [2.3, null]}]}],
      marks: [{x: 120, kind: "checkpoint", text: "checkpoint at step 120"}],
      axis: {name: "step", per_epoch: 84},
    });

`kind` is a colour of `charts.css`: train, validation, steps, smooth, rate, pace or run0 to run9. A second
word changes the line: `run3 raw` is faint, `run3 validation` is dashed. `axis.name` is step, epoch or time.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

__all__ = ["script", "style"]


def script() -> str:
    """Return `charts.js`, which may stand in a page's `<script>`."""
    return _read("charts.js")


def style() -> str:
    """Return `charts.css`, which may stand in a page's `<style>`."""
    return _read("charts.css")


@cache
def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")
