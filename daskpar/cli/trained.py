"""`daskpar evaluate`, `predict` and `sample`: the commands that use a trained network."""

from __future__ import annotations

import click

from daskpar.cli.lines import errors_in_one_line
from daskpar.cli.options import ConfigFile, config_command, examples, restored
from daskpar.cli.terminal import echo, out
from daskpar.errors import InputError


@click.command(epilog=examples("daskpar evaluate configs/digits_mlp.yaml --part validation"))
@config_command
@click.option(
    "--part",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="Part of the data to evaluate on.",
)
def evaluate(file: ConfigFile, part: str) -> None:
    """Print loss and metrics of a trained network as JSON.

    Reads the last checkpoint of the run.
    """
    with errors_in_one_line():
        from daskpar.build import open_data
        from daskpar.train.history import to_json

        config = file.read()
        data = getattr(open_data(config), part)
        if data is None:
            raise InputError(f"{file.path}: data.{part} is 0; there is nothing to evaluate on")
        echo(to_json({part: restored(config).evaluate(data)}) + "\n")


@click.command(
    epilog=examples(
        "daskpar predict configs/digits_mlp.yaml -o predictions.csv",
        "daskpar predict table.yaml --input new.csv --kind probabilities -o new.parquet",
    )
)
@config_command
@click.option(
    "--input",
    "source",
    metavar="FILE",
    help="Examples: a .npy, .csv, .tsv, .parquet, .arrow or .feather file.  [default: the test part]",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default="predictions.npy",
    show_default=True,
    help="File to write: .npy (an array), or .csv, .tsv or .parquet (a table with named columns).",
)
@click.option(
    "--kind",
    type=click.Choice(["outputs", "probabilities", "classes"]),
    default="classes",
    show_default=True,
    help="Outputs of the last layer, probabilities of the classes, or the likeliest class.",
)
@click.option(
    "--fill",
    metavar="CLASS",
    help="Class of rows with NaN or infinite values.  [default: refuse such rows]",
)
def predict(
    file: ConfigFile,
    source: str | None,
    output: str,
    kind: str,
    fill: str | None,
) -> None:
    """Write predictions of a trained network to a file.

    Reads the last checkpoint of the run and the examples. A table must have the columns of the training data,
    in any file format. For a model of numbers, `classes` are its outputs.
    """
    with errors_in_one_line():
        from daskpar.cli.predict import run

        count = run(file.read(), str(file.path), source, output, kind, _as_label(fill))
        out.print(f"{output}: {kind} of {count} examples")


def _as_label(text: str | None) -> int | str | None:
    """Return a label given on the command line: a whole number where it is one."""
    try:
        return None if text is None else int(text)
    except ValueError:
        return text


@click.command(
    epilog=examples("daskpar sample configs/char_gpt.yaml --prompt 'ROMEO:' --length 200 --temperature 0.5")
)
@config_command
@click.option("--prompt", default="", metavar="TEXT", help="Beginning of the text.  [default: a new line]")
@click.option(
    "--length",
    metavar="N",
    type=int,
    default=500,
    show_default=True,
    help="Number of characters to write after the prompt.",
)
@click.option(
    "--temperature",
    metavar="T",
    type=float,
    default=0.8,
    show_default=True,
    help="Divides the logits before sampling: 1 samples from the model's distribution, lower values favour "
    "the likeliest characters, higher values make all characters more alike. Must be above 0.",
)
@click.option(
    "--top-k",
    metavar="K",
    type=int,
    help="Sample among the K likeliest characters only.  [default: among all]",
)
@click.option(
    "--seed",
    metavar="N",
    default=0,
    show_default=True,
    help="Seed of the random draws; same seed, same text.",
)
def sample(
    file: ConfigFile,
    prompt: str,
    length: int,
    temperature: float,
    top_k: int | None,
    seed: int,
) -> None:
    """Write text with a trained model of characters.

    Reads the last checkpoint of a run that was trained with data.source=text. Prints the prompt and then each
    character as soon as it is drawn.
    """
    with errors_in_one_line():
        from daskpar.cli.sample import sampled_text

        trainer = restored(file.read())
        for character in sampled_text(trainer, prompt, length, temperature, top_k, seed):
            echo(character)
        echo("\n")
