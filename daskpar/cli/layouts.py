"""`daskpar plan`, `compare` and `simulate`: the commands that predict layouts, and run some of them."""

from __future__ import annotations

import math
from pathlib import Path

import click

from daskpar.cli.lines import errors_in_one_line, name_if_unwritable
from daskpar.cli.options import ConfigFile, config_command, examples
from daskpar.cli.terminal import err, out, wide
from daskpar.errors import InputError

_FRESH = click.option("--fresh", is_flag=True, help="Measure again instead of using stored measurements.")


@click.command(epilog=examples("daskpar plan configs/digits_mlp.yaml"))
@config_command
@_FRESH
def plan(file: ConfigFile, fresh: bool) -> None:
    """Predict the time and memory of each layout.

    Times each kind of task and the config's cluster, and predicts a step from the graph of each layout.
    Measurements are stored for the next time. Prints a table: the first layout is the one that
    `layout: auto` takes; refused layouts are listed with the reason.
    """
    with errors_in_one_line():
        from daskpar.cli import plan as planning

        choices = planning.plan(file.read(), fresh, _progress)
        wide().print(planning.choices_table(choices))


@click.command(
    epilog=examples("daskpar compare configs/digits_mlp.yaml --layout '{data: 2, shards: 2}' --best 2")
)
@config_command
@click.option(
    "--layout",
    "layouts",
    multiple=True,
    metavar="YAML",
    help="Layout to run as well, e.g. '{data: 2}'. May be given several times.",
)
@click.option(
    "--best",
    default=3,
    show_default=True,
    type=click.IntRange(0),
    help="Number of layouts to run, the best predictions first.",
)
@click.option(
    "--steps",
    default=40,
    show_default=True,
    type=click.IntRange(1),
    help="Steps of each of five timed stretches; the median of all but the first counts.",
)
@click.option(
    "-o", "--output", metavar="FILE", default="compare.html", show_default=True, help="Bar chart to write."
)
@_FRESH
def compare(
    file: ConfigFile,
    layouts: tuple[str, ...],
    best: int,
    steps: int,
    output: str,
    fresh: bool,
) -> None:
    """Run layouts for a while and compare them with predictions.

    Runs the layouts with the best predictions, the config's own layout and those named by --layout. Prints
    measured and predicted milliseconds a step, and writes them as a bar chart.
    """
    with errors_in_one_line():
        from daskpar.cli import plan as planning

        config = file.read()
        comparisons = planning.compare(config, layouts, best, steps, fresh, _progress)
        wide().print(planning.comparison_table(comparisons))
        with name_if_unwritable(output):
            planning.write_comparison(comparisons, Path(output), f"{config.run.name}: layouts")
        out.print(output)


@click.command(epilog=examples("daskpar simulate configs/digits_mlp.yaml --workers 1,8,64 --bandwidth 1e9"))
@config_command
@click.option(
    "--workers",
    metavar="N,N,...",
    default="1,8,64,512,4096",
    show_default=True,
    help="Numbers of workers to simulate.",
)
@click.option(
    "--bandwidth", metavar="BYTES", type=float, help="Bytes a second between workers.  [default: measured]"
)
@click.option(
    "--hop", metavar="SECONDS", type=float, help="Time between dependent tasks.  [default: measured]"
)
@click.option(
    "--scheduler", metavar="SECONDS", type=float, help="Scheduler's time for a task.  [default: measured]"
)
@click.option(
    "-o", "--output", metavar="FILE", default="simulate.html", show_default=True, help="Chart to write."
)
@_FRESH
def simulate(
    file: ConfigFile,
    workers: str,
    bandwidth: float | None,
    hop: float | None,
    scheduler: float | None,
    output: str,
    fresh: bool,
) -> None:
    """Predict training on many workers.

    Times each kind of task on the config's cluster, then simulates the graph of a step on other numbers of
    workers. Also simulates other fan-ins, and replicas that are averaged every 64 steps. Prints milliseconds
    a step, efficiency and the load of the scheduler, and writes a chart.
    """
    with errors_in_one_line():
        from daskpar.cli import plan as planning
        from daskpar.report.scaling import write_scaling

        config, numbers = file.read(), whole_numbers(workers)
        assumed = {"bandwidth": bandwidth, "hop": hop, "scheduler": scheduler}
        for name, value in assumed.items():
            if value is not None and not (0 < value < math.inf or (value == 0 and name != "bandwidth")):
                raise InputError(f"--{name} {value}: expected a number above zero")
        predictions, network = planning.simulate(config, numbers, assumed, fresh, _progress)
        wide().print(planning.scaling_table(predictions, network))
        with name_if_unwritable(output):
            limit = 1 / max(network.scheduler, 1e-9)
            write_scaling(predictions, limit, Path(output), f"{config.run.name}: more workers")
        out.print(output)


def whole_numbers(text: str) -> list[int]:
    """Return the numbers of a text such as `1,8,64`. Raises InputError for anything else."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1 or max(numbers) > 1_000_000:
        raise InputError(f"--workers {text}: expected whole numbers from 1 on, e.g. 1,8,64")
    return numbers


def _progress(line: str) -> None:
    """Print a line about the work that begins."""
    err.print(line, style="dim")
