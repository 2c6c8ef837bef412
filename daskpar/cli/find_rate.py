"""`daskpar find-lr`: the learning-rate finder on a config."""

from __future__ import annotations

import click

from daskpar.cli.lines import errors_in_one_line, name_if_unwritable
from daskpar.cli.options import ConfigFile, config_command, examples
from daskpar.cli.terminal import out


@click.command("find-lr", epilog=examples("daskpar find-lr configs/digits_mlp.yaml -o learning-rate.svg"))
@config_command
@click.option(
    "--low", metavar="RATE", default=1e-6, show_default=True, help="Learning rate of the first step."
)
@click.option(
    "--high", metavar="RATE", default=1.0, show_default=True, help="Learning rate of the last step."
)
@click.option("--steps", metavar="N", default=100, show_default=True, help="Number of steps to train.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default="learning-rate.svg",
    show_default=True,
    help="Picture to write: .svg or .html.",
)
def find_rate(file: ConfigFile, low: float, high: float, steps: int, output: str) -> None:
    """Suggest a learning rate from a short training.

    Trains from the initial parameters while the learning rate grows by equal factors, and ends early when the
    loss diverges. Writes a picture of the loss over the rate and prints the suggestion. The folder of the run
    stays as it is.
    """
    with errors_in_one_line():
        from daskpar.build import check, make_trainer, open_cluster, open_data
        from daskpar.train.learning_rate import find_learning_rate

        config = file.read()
        check(config)
        data = open_data(config)
        with open_cluster(config) as client:
            rates = find_learning_rate(make_trainer(config, client), data.train, None, low, high, steps)
        with name_if_unwritable(output):
            rates.plot(output)
        suggestion = "none: the loss does not fall" if rates.suggestion is None else f"{rates.suggestion:.2g}"
        out.print(f"{output}: {len(rates.rates)} steps up to {rates.rates[-1]:.2g}; suggestion {suggestion}")
