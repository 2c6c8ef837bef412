"""The commands. Bad input ends with one line and exit code 2, a run that failed with 1."""

from __future__ import annotations

import json
import math
from pathlib import Path

import click

from daskpar.cli.find_rate import find_rate
from daskpar.cli.lines import told_in_one_line, told_of, writing
from daskpar.cli.options import ConfigFile, config_command, config_options, restored
from daskpar.cli.terminal import Commands, echo, err, out, wide
from daskpar.errors import InputError


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="daskpar")
def main() -> None:
    """Neural networks trained as Dask task graphs."""


@main.command()
@config_command
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint of this run.")
@click.option(
    "--from", "start", metavar="PATH", help="Begin with the state of a run, a checkpoint or a file."
)
@click.option("--fresh-optimizer", is_flag=True, help="With --from: take the parameters only.")
@click.option("--not-strict", is_flag=True, help="With --from: take the parameters that fit the model.")
@click.option("--profile", is_flag=True, help="Record every task: profile.json, profile.html, and a table.")
@click.option(
    "--no-final-evaluation", is_flag=True, help="End after the last step; `daskpar evaluate` can follow."
)
def train(
    file: ConfigFile,
    resume: bool,
    start: str | None,
    fresh_optimizer: bool,
    not_strict: bool,
    profile: bool,
    no_final_evaluation: bool,
) -> None:
    """Train a network, and leave what it learnt in runs/<name>/."""
    with told_in_one_line():
        from daskpar.cli.start import Start
        from daskpar.cli.train import run

        first = Start(resume, start, fresh_optimizer, not not_strict)
        run(file.read(), first, out, profile, not no_final_evaluation)


@main.command()
@config_command
@click.option("--part", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True)
def evaluate(file: ConfigFile, part: str) -> None:
    """Loss and metrics of a trained network, as JSON."""
    with told_in_one_line():
        from daskpar.build import open_data
        from daskpar.train.history import to_json

        config = file.read()
        data = getattr(open_data(config), part)
        if data is None:
            raise InputError(f"{file.path}: data.{part} is 0; there is nothing to evaluate on")
        echo(to_json({part: restored(config).evaluate(data)}) + "\n")


@main.command()
@config_command
@click.option("--input", "source", help="Examples: .npy, .csv, .parquet, .arrow; the test part if left out.")
@click.option(
    "-o", "--output", default="predictions.npy", show_default=True, help="A .npy, .csv or .parquet file."
)
@click.option(
    "--kind", type=click.Choice(["outputs", "probabilities", "classes"]), default="classes", show_default=True
)
@click.option("--fill", help="The class of rows with NaN or infinite values; refused if left out.")
def predict(
    file: ConfigFile,
    source: str | None,
    output: str,
    kind: str,
    fill: str | None,
) -> None:
    """Predictions of a trained network for examples; in tables with the names of classes."""
    with told_in_one_line():
        from daskpar.cli.predict import run

        count = run(file.read(), str(file.path), source, output, kind, _as_label(fill))
        out.print(f"{output}: {kind} of {count} examples")


def _as_label(text: str | None) -> int | str | None:
    """Return a label given on the command line: a whole number where it is one."""
    try:
        return None if text is None else int(text)
    except ValueError:
        return text


@main.command()
@config_command
@click.option("--prompt", default="", metavar="TEXT", help="What the text begins with.")
@click.option("--length", default=500, show_default=True, help="How many characters to write.")
@click.option("--temperature", default=0.8, show_default=True, help="Below 1 likelier, above 1 wilder.")
@click.option("--top-k", type=int, help="Choose among the k likeliest only.")
@click.option("--seed", default=0, show_default=True)
def sample(
    file: ConfigFile,
    prompt: str,
    length: int,
    temperature: float,
    top_k: int | None,
    seed: int,
) -> None:
    """Text from a trained model of characters, as it is written."""
    with told_in_one_line():
        from daskpar.cli.sample import written

        trainer = restored(file.read())
        for character in written(trainer, prompt, length, temperature, top_k, seed):
            echo(character)
        echo("\n")


@main.command()
@config_command
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON instead.")
def model(file: ConfigFile, as_json: bool) -> None:
    """A network's layers: shapes, parameters, operations, memory."""
    with told_in_one_line():
        from daskpar.cli.prepare import prepare
        from daskpar.report.model import ModelSummary

        spec = prepare(file.read()).spec
        found = ModelSummary(spec.model, spec.in_shape, spec.table)
        if as_json:
            echo(json.dumps(found.as_dict(), indent=2) + "\n")
        else:
            wide().print(found.table())


@main.command()
@config_command
@click.option("-o", "--output", default="step.svg", show_default=True, help="The SVG file to write.")
@click.option("--steps", default=1, show_default=True, type=click.IntRange(1, 16))
def graph(file: ConfigFile, output: str, steps: int) -> None:
    """Draw the task graph of a training step."""
    with told_in_one_line():
        from daskpar.autotune.count import count
        from daskpar.cli.graph import step_graph
        from daskpar.report.picture import draw

        built = step_graph(file.read(), steps)
        with writing(output) as target:
            target.write(draw(built.flat(), built.kinds).encode())
        counts = count(built)
        tasks = ", ".join(f"{n} {operation}" for operation, n in sorted(counts.tasks.items()))
        out.print(f"{output}: {tasks}; {counts.hops} tasks on the longest path")


@main.command()
@config_command
@click.option("--fresh", is_flag=True, help="Measure anew what was measured before.")
def plan(file: ConfigFile, fresh: bool) -> None:
    """Predict each layout on the config's cluster, and say why; the one that `auto` takes first."""
    with told_in_one_line():
        from daskpar.cli import plan as planning

        choices = planning.plan(file.read(), fresh, _meanwhile)
        wide().print(planning.choices_table(choices))


@main.command()
@config_command
@click.option("--layout", "layouts", multiple=True, metavar="YAML", help="Run this one, too.")
@click.option(
    "--best", default=3, show_default=True, type=click.IntRange(0), help="How many of the best to run."
)
@click.option(
    "--steps", default=40, show_default=True, type=click.IntRange(1), help="Of each of five stretches."
)
@click.option("-o", "--output", default="compare.html", show_default=True, help="The chart to write.")
@click.option("--fresh", is_flag=True, help="Measure anew what was measured before.")
def compare(
    file: ConfigFile,
    layouts: tuple[str, ...],
    best: int,
    steps: int,
    output: str,
    fresh: bool,
) -> None:
    """Run the best layouts, the config's own and named ones for a while, and set measured by predicted."""
    with told_in_one_line():
        from daskpar.cli import plan as planning

        config = file.read()
        found = planning.compare(config, layouts, best, steps, fresh, _meanwhile)
        wide().print(planning.comparison_table(found))
        with told_of(output):
            planning.write_comparison(found, Path(output), f"{config.run.name}: layouts")
        out.print(output)


@main.command()
@config_command
@click.option("--workers", default="1,8,64,512,4096", show_default=True, help="Numbers of workers.")
@click.option("--bandwidth", type=float, help="Bytes a second from worker to worker; else as measured.")
@click.option("--hop", type=float, help="Seconds from task to task; else as measured.")
@click.option("--scheduler", type=float, help="Seconds of the scheduler for a task; else as measured.")
@click.option("-o", "--output", default="simulate.html", show_default=True, help="The chart to write.")
@click.option("--fresh", is_flag=True, help="Measure anew what was measured before.")
def simulate(
    file: ConfigFile,
    workers: str,
    bandwidth: float | None,
    hop: float | None,
    scheduler: float | None,
    output: str,
    fresh: bool,
) -> None:
    """Play the graph of a step through on many workers, with measured times of its tasks."""
    with told_in_one_line():
        from daskpar.cli import plan as planning
        from daskpar.report.scaling import write_scaling

        config, numbers = file.read(), whole_numbers(workers)
        given = {"bandwidth": bandwidth, "hop": hop, "scheduler": scheduler}
        for name, value in given.items():
            if value is not None and not (0 < value < math.inf or (value == 0 and name != "bandwidth")):
                raise InputError(f"--{name} {value}: expected a number above zero")
        found, network = planning.simulate(config, numbers, given, fresh, _meanwhile)
        wide().print(planning.scaling_table(found, network))
        with told_of(output):
            limit = 1 / max(network.scheduler, 1e-9)
            write_scaling(found, limit, Path(output), f"{config.run.name}: more workers")
        out.print(output)


@main.command()
@click.argument("config_path", metavar="[CONFIG]", required=False)
@config_options
@click.option("--schema", is_flag=True, help="Print the JSON schema of configs instead.")
def config(file: ConfigFile, schema: bool) -> None:
    """Print a config with every default written out, or the JSON schema of all."""
    with told_in_one_line():
        if schema:
            from daskpar.config import schema as schema_of

            echo(json.dumps(schema_of(file.imports), indent=2) + "\n")
        else:
            echo(file.read().as_yaml())


main.add_command(find_rate)


def whole_numbers(text: str) -> list[int]:
    """`1,8,64` as numbers."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1 or max(numbers) > 1_000_000:
        raise InputError(f"--workers {text}: expected whole numbers from 1 on, e.g. 1,8,64")
    return numbers


def _meanwhile(line: str) -> None:
    err.print(line, style="dim")
