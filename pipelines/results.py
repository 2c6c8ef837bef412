"""The results of the benchmark as a table and as a chart."""

from __future__ import annotations

import json
import platform
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from daskpar.backend import blas
from daskpar.backend.atomic import atomic_write
from daskpar.backend.processor import processor
from daskpar.train.summary import versions

COLUMNS = ("work", "who", "ms a step", "from - to", "GFLOP/s", "plain product", "their time / ours", "MB")
COLOURS = {
    "daskpar": "#1f77b4",
    "torch": "#aec7e8",
    "sklearn": "#c7c7c7",
    "dask-ml": "#dbdb8d",
    "jax": "#e7ba52",
}


def machine() -> dict[str, Any]:
    """Describe the machine and the versions that figures are measured with."""
    return {
        "system": platform.platform(),
        "processor": processor(),
        "cores": blas.cores(),
        "threads": blas.cores(),
        "blas": blas.describe(),
        "versions": versions("torch", "scikit-learn", "dask-ml", "jax"),
    }


def rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows of the table as texts."""
    out = []
    for found in result["rows"]:
        name = found["work"] + (" (void: losses differ)" if found["void"] else "")
        ours = [("daskpar " + json.dumps(found["ours"]["layout"]), found["ours"], "")]
        for who, peer in found["peers"].items():
            low, high = found["ratio_spread"][who]
            ours.append(
                (f"{who} ({peer['setting']})", peer, f"{found['ratio'][who]:.2f} ({low:.2f}-{high:.2f})")
            )
        for who, its, ratio in ours:
            low, high = its["spread"]
            out.append(
                (
                    name,
                    who,
                    f"{its['seconds_per_step'] * 1e3:.2f}",
                    f"{low * 1e3:.2f} - {high * 1e3:.2f}",
                    f"{found['gflop'] / its['seconds_per_step']:.0f}",
                    f"{its['plain_product_gflops']:.0f}",
                    ratio,
                    f"{its['peak_bytes'] / 1e6:.0f}",
                )
            )
            name = ""
    return out


def notes(result: dict[str, Any]) -> list[str]:
    """Return the lines below the table: the machine, and each network's share of peak and scheduling."""
    its = result["machine"]
    lib = ", ".join(f"{b['library']} {b['version']} ({b['architecture']})" for b in its["blas"])
    named = ", ".join(f"{name} {version}" for name, version in its["versions"].items())
    out = [f"{its['processor']}, {its['cores']} cores, {its['system']}; NumPy with {lib}; {named}"]
    for found in result["rows"]:
        share = found["gflop"] / found["ours"]["seconds_per_step"] / result["peak_gflops"]
        out.append(
            f"{found['work']}: {share:.0%} of the peak of {result['peak_gflops']:.0f} GFLOP/s; in "
            f"{found['ours']['scheduling_share']:.1%} of the cores' time no task computed"
        )
        out += [f"{found['work']}: {who} left out: {why}" for who, why in found["left_out"].items()]
    return out


def show(result: dict[str, Any], console: Console) -> None:
    """Print the table and its notes."""
    table = Table()
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in COLUMNS[:2] else "right")
    for row in rows(result):
        if row[0] and table.rows:
            table.add_section()
        table.add_row(*row)
    console.print(table)
    for line in notes(result):
        console.print(line, highlight=False)


def write_chart(result: dict[str, Any], path: Path) -> None:
    """Write a page of bar charts of milliseconds a step, with the table; it opens without a network."""
    from bokeh.embed import file_html
    from bokeh.layouts import column, gridplot
    from bokeh.models import Div
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    plots = []
    for found in result["rows"]:
        bars = {"daskpar": found["ours"], **found["peers"]}
        ms = [its["seconds_per_step"] * 1e3 for its in bars.values()]
        plot = figure(
            y_range=list(bars)[::-1],
            height=80 + 36 * len(bars),
            width=560,
            title=f"{found['work']}: ms a step",
            tools="save",
        )
        plot.hbar(y=list(bars), right=ms, height=0.7, color=[COLOURS[who] for who in bars])
        labels = [f" {value:.3g}" for value in ms]
        plot.text(x=ms, y=list(bars), text=labels, text_baseline="middle", text_font_size="12px")
        plot.x_range.start, plot.x_range.end = 0, 1.15 * max(ms)
        plots.append(plot)
    head = "".join(f"<th align=left>{name}</th>" for name in COLUMNS)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows(result)
    )
    below = "".join(f"<p>{escape(line)}</p>" for line in notes(result))
    parts = [gridplot(plots, ncols=2, toolbar_location=None)]
    parts.append(Div(text=f"<table cellpadding=5><tr>{head}</tr>{lines}</table>{below}"))
    atomic_write(path, file_html(column(*parts), INLINE, "daskpar: benchmark"))
