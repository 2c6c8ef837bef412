"""Every way to cut a step as a table: its tasks by name, their number and the hops, counted on real graphs.

A row names a config, and perhaps a layout in place of the config's own. Its graph is built twice, the second
time for one period more: a step, or all steps from one average of replicas to the next. The difference is the
cost of a period.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

from daskpar.autotune.count import Counts, count
from daskpar.cli.graph import step_graph
from daskpar.config import Config, load_config
from guides.generated import table

CONFIGS = Path(__file__).parents[2] / "configs"
HEAD = ("layout", "what is cut", "tasks a step, by name", "tasks", "hops", "for", "config")


class Row(NamedTuple):
    """A row of the table: a config, what its layout cuts and is for, and a layout in place of its own."""

    config: str
    cut: str
    purpose: str
    layout: str = ""


ROWS = (
    Row("digits_mlp", "nothing", "one worker; matrix products use all cores", "{data: 1}"),
    Row("digits_mlp", "the batch, by rows (data parallelism)", "steps of 10 ms and more", "{data: 2}"),
    Row(
        "digits_mlp",
        "the same; a tree adds the gradients of `fan_in` lanes a task",
        "many workers",
        "{data: 8}",
    ),
    Row(
        "layout_lanes",
        "the batch, in unequal shares: by weights or, with `auto`, by measured speed",
        "workers of unequal speed",
        "{lanes: [3, 1]}",
    ),
    Row(
        "digits_mlp",
        "time: one task runs many steps, its lanes are threads",
        "short steps on one machine",
        "{data: 2, grain: window}",
    ),
    Row(
        "digits_mlp",
        "each lane's pass into forward, loss and backward",
        "seeing the halves of a step",
        "{data: 2, grain: stage}",
    ),
    Row("digits_mlp", "each lane's pass into layers", "seeing every operation", "{data: 2, grain: layer}"),
    Row("layout_pipeline", "the model, by depth (pipeline parallelism, 1F1B)", "models larger than a worker"),
    Row(
        "layout_gpipe",
        "the same in GPipe's order: all micro-batches forward, then all backward",
        "models larger than a worker",
    ),
    Row(
        "layout_width",
        "layers, by columns, heads, channels (tensor parallelism, Megatron)",
        "layers larger than a worker",
    ),
    Row("layout_tiles", "images, by rows of pixels (spatial parallelism)", "images larger than a worker"),
    Row(
        "layout_sequence",
        "text, by positions (context parallelism, ring attention)",
        "sequences longer than a worker",
    ),
    Row("layout_shards", "parameters and optimizer state (ZeRO)", "optimizer states larger than a worker"),
    Row("layout_compression", "the bytes of gradients, in half (error feedback)", "networks below 0.7 GB/s"),
    Row(
        "layout_stale",
        "the order of updates: a parameter server, lanes at most `staleness` steps apart",
        "workers that are late at times",
    ),
    Row("layout_async", "the order of updates: no lane waits for another", "workers that are late at times"),
    Row("layout_local_sgd", "time: replicas train alone and are averaged (local SGD)", "slow networks"),
    Row(
        "layout_diloco",
        "the same, and an outer optimizer steps from average to average (DiLoCo)",
        "slow networks",
    ),
    Row("layout_composed", "several things at once", "large models on many workers"),
)


def layout_table(text: Path) -> str:
    """Return the table. `text`: a file of characters, for the configs that train on text."""
    return table(HEAD, [_cells(row, text) for row in ROWS])


def _cells(row: Row, text: Path) -> tuple[str, ...]:
    overrides = [f"layout={row.layout}"] if row.layout else []
    if "sequence" in row.config:
        overrides.append(f"data.path={text}")
    config = load_config(str(CONFIGS / f"{row.config}.yaml"), tuple(overrides))
    layout = row.layout or as_flow(yaml.safe_load((CONFIGS / f"{row.config}.yaml").read_text())["layout"])
    period = config.layout.average_every if config.layout.replicas > 1 else 1
    link = f"[`{row.config}`]({row.config}.yaml)"
    return f"`{layout}`", row.cut, *_counted(config, period), row.purpose, link


def _counted(config: Config, period: int) -> tuple[str, str, str]:
    """Return the tasks of a step by name, their number, and the hops."""
    if config.layout.grain == "window":
        (name,) = [operation for operation in _count(config, 4).tasks if operation.startswith("train-")]
        return f"1 `{name}` for all steps of a window", "< 1", "< 1"
    begin = config.layout.synchronous_until + period  # the first steps also load the state
    before, after = _count(config, begin), _count(config, begin + period)
    tasks = {name: number - before.tasks.get(name, 0) for name, number in after.tasks.items()}
    names = ", ".join(f"{number} `{name}`" for name, number in tasks.items() if number)
    if period > 1:
        names += f" in {period} steps"
    return names, _share(sum(tasks.values()), period), _share(after.hops - before.hops, period)


def _count(config: Config, steps: int) -> Counts:
    return count(step_graph(config, steps))


def _share(number: int, period: int) -> str:
    return f"{number / period:.3g}"


def as_flow(value: object) -> str:
    """Return a value of a config on one line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000).strip()
