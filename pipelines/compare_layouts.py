"""One training under each layout: the time of a step, and the distance from the parameters of `{data: 1}`.

python -m pipelines.compare_layouts
python -m pipelines.compare_layouts --kind processes --workers 2 --steps 60
"""

from __future__ import annotations

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from daskpar import InputError, Layout, Trainer, open_client
from daskpar.autotune.candidates import format_layout
from daskpar.data import Digits

MODEL = [
    {"conv2d": {"channels": 16, "padding": "same"}},
    "relu",
    {"conv2d": {"channels": 16, "padding": "same"}},
    "relu",
    {"max_pool": 2},
    "flatten",
    {"dense": 64},
    "relu",
    {"dense": 10},
]
SAME = (
    Layout(),
    Layout(data=2),
    Layout(lanes=(3, 1)),
    Layout(data=2, grain="window"),
    Layout(data=2, grain="layer"),
    Layout(stages=2, microbatches=4),
    Layout(stages=2, microbatches=4, pipeline="gpipe", recompute=True),
    Layout(width=2),
    Layout(tiles=2),
    Layout(data=2, shards=2),
    Layout(data=2, update="stale"),
    Layout(data=2, stages=2, width=2, tiles=2, shards=2, microbatches=2),
)
OTHER = (
    Layout(replicas=2, average_every=8),
    Layout(replicas=2, average_every=8, outer={"sgd": {"lr": 0.7, "momentum": 0.9, "nesterov": True}}),
    Layout(data=2, update="stale", staleness=2),
    Layout(data=2, update="async"),
)


@click.command()
@click.option(
    "--kind", default="threads", show_default=True, help="Kind of the cluster: threads or processes."
)
@click.option("--workers", default=2, show_default=True, help="Number of workers.")
@click.option("--steps", default=48, show_default=True, help="Steps of each training.")
def main(kind: str, workers: int, steps: int) -> None:
    """Train under each layout from the same start, and compare the parameters with those of {data: 1}."""
    x, y = Digits().arrays()
    x = x / 16
    table = Table("layout", box=None, pad_edge=False)
    for name in ("ms a step", "loss", "farthest parameter from {data: 1}"):
        table.add_column(name, justify="right")
    whole: dict[str, np.ndarray] = {}
    with open_client(kind, workers) as client:
        for layout in track((*SAME, *OTHER), "training", transient=True):
            common = dict(
                batch=128, steps=steps, optimizer={"sgd": 0.1}, evaluate_every=f"{steps // 2} steps"
            )
            trainer = Trainer(MODEL, layout=layout, client=client, precision="float64", **common).fit(x, y)
            whole = whole or trainer.parameters_
            apart = max(np.abs(value - whole[name]).max() for name, value in trainer.parameters_.items())
            first, last = trainer.history_[-2:]
            pace = (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])
            loss = np.mean(last["each_step"]["loss"][-8:])
            style = None if layout in SAME else "dim"
            numbers = (f"{pace * 1e3:.1f}", f"{loss:.4f}", f"{apart:.1e}")
            table.add_row(format_layout(layout), *numbers, style=style)
    Console(width=140).print(table)
    click.echo("The last four average replicas or apply gradients late: another training, on purpose.")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"compare_layouts: {error}") from None
