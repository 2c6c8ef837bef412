"""The commands. Bad input ends with one line and exit code 2, a run that failed with 1.

Each command's function imports its modules itself, so that `--help` and refusals are fast.
"""

from __future__ import annotations

import json

import click

from daskpar.cli.compile import compile
from daskpar.cli.find_rate import find_rate
from daskpar.cli.kubernetes import kubernetes
from daskpar.cli.layouts import compare, plan, simulate
from daskpar.cli.lines import errors_in_one_line, writing
from daskpar.cli.options import ConfigFile, config_command, config_options, examples
from daskpar.cli.report import report
from daskpar.cli.runs import runs
from daskpar.cli.terminal import Commands, echo, out, wide
from daskpar.cli.trained import evaluate, predict, sample


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "daskpar train configs/digits_mlp.yaml",
        "daskpar predict configs/digits_mlp.yaml -o predictions.csv",
        "daskpar COMMAND --help",
    ),
)
@click.version_option(package_name="daskpar")
def main() -> None:
    """Train neural networks as Dask task graphs.

    A CONFIG is a YAML file that describes one run: data, model, training, layout and cluster.
    configs/README.md in the repository lists all its keys.
    """


@main.command(
    epilog=examples(
        "daskpar train configs/digits_mlp.yaml --set train.epochs=3",
        "daskpar train configs/digits_mlp.yaml --resume",
        "daskpar train configs/digits_mlp.yaml --set run.name=tuned --from runs/digits_mlp",
    )
)
@config_command
@click.option("--resume", is_flag=True, help="Continue this run from its last checkpoint.")
@click.option(
    "--resume-or-start",
    is_flag=True,
    help="Continue this run if it has a checkpoint, else begin. Do nothing if it is finished. For jobs that "
    "are started again.",
)
@click.option(
    "--from",
    "start",
    metavar="PATH",
    help="Begin with the parameters, optimizer state and history of a run's folder, a checkpoint or a file "
    "of Trainer.save.",
)
@click.option(
    "--fresh-optimizer",
    is_flag=True,
    help="With --from: begin with its parameters only, at step 0 and with a new optimizer state.",
)
@click.option(
    "--not-strict",
    is_flag=True,
    help="With --from: take the parameters whose names and shapes fit the model; a warning names the others.",
)
@click.option(
    "--profile",
    is_flag=True,
    help="Record every task; print a table of where the time went, write profile.json and profile.html, and "
    "performance.html, which is Dask's own report.",
)
@click.option(
    "--keep-cluster",
    is_flag=True,
    help="Leave a cluster of pods at the end, as cluster.keep_cluster=true does.",
)
@click.option(
    "--no-final-evaluation",
    is_flag=True,
    help="Do not evaluate on all parts of the data after the last step.",
)
def train(
    file: ConfigFile,
    resume: bool,
    resume_or_start: bool,
    start: str | None,
    fresh_optimizer: bool,
    not_strict: bool,
    profile: bool,
    keep_cluster: bool,
    no_final_evaluation: bool,
) -> None:
    """Train a network and write the folder of the run.

    Starts the config's cluster, prints the address of its dashboard, trains, and evaluates. Writes
    config.yaml, history.jsonl, summary.json, curves.html and checkpoints/ to runs/NAME, where NAME is
    run.name or the name of the config's file. An earlier run in that folder is moved to runs/NAME.1.

    Exit codes: 0 the run is finished, 1 it failed, 2 bad input, 130 after Ctrl-C, 143 after SIGTERM.
    """
    with errors_in_one_line():
        from daskpar.cli.start import Start
        from daskpar.cli.train import run
        from daskpar.errors import InputError

        first = Start(resume, start, fresh_optimizer, not not_strict, resume_or_start)
        if keep_cluster:
            file = file._replace(overrides=(*file.overrides, "cluster.keep_cluster=true"))
        config = file.read()
        if keep_cluster and config.cluster.kind != "kubernetes":
            raise InputError(f"--keep-cluster is for cluster.kind=kubernetes, not {config.cluster.kind}")
        run(config, first, out, profile, not no_final_evaluation)


@main.command(epilog=examples("daskpar model configs/digits_cnn.yaml"))
@config_command
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def model(file: ConfigFile, as_json: bool) -> None:
    """Print the layers of a network.

    The table has each layer's output shape and its number of parameters. For one example, it also has the
    floating-point operations of the forward pass and the bytes kept for the backward pass.
    """
    with errors_in_one_line():
        from daskpar.cli.prepare import prepare
        from daskpar.report.model import ModelSummary

        spec = prepare(file.read()).spec
        summary = ModelSummary(spec.model, spec.in_shape, spec.table)
        if as_json:
            echo(json.dumps(summary.as_dict(), indent=2) + "\n")
        else:
            wide().print(summary.table())


@main.command(epilog=examples("daskpar graph configs/digits_mlp.yaml --set layout.data=8 --steps 2"))
@config_command
@click.option(
    "-o", "--output", metavar="FILE", default="step.svg", show_default=True, help="SVG file to write."
)
@click.option(
    "--steps", default=1, show_default=True, type=click.IntRange(1, 16), help="Number of steps to draw."
)
def graph(file: ConfigFile, output: str, steps: int) -> None:
    """Draw the task graph of a training step.

    Builds the graph that training would submit, with the config's layout, and writes it as a picture. Also
    prints the number of tasks by name and the length of the longest path.
    """
    with errors_in_one_line():
        from daskpar.autotune.count import count
        from daskpar.cli.graph import step_graph
        from daskpar.report.picture import draw

        built = step_graph(file.read(), steps)
        with writing(output) as target:
            target.write(draw(built.flat(), built.kinds).encode())
        counts = count(built)
        tasks = ", ".join(f"{n} {operation}" for operation, n in sorted(counts.tasks.items()))
        out.print(f"{output}: {tasks}; {counts.hops} tasks on the longest path")


@main.command(
    epilog=examples("daskpar config configs/digits_mlp.yaml > full.yaml", "daskpar config --schema")
)
@click.argument("config_path", metavar="[CONFIG]", required=False)
@config_options
@click.option("--schema", is_flag=True, help="Print the JSON schema of all configs instead.")
def config(file: ConfigFile, schema: bool) -> None:
    """Print a config with every default written out."""
    with errors_in_one_line():
        if schema:
            from daskpar.config import schema as schema_of

            echo(json.dumps(schema_of(file.imports), indent=2) + "\n")
        else:
            echo(file.read().as_yaml())


for command in (
    evaluate,
    predict,
    sample,
    find_rate,
    plan,
    compare,
    simulate,
    runs,
    report,
    kubernetes,
    compile,
):
    main.add_command(command)
