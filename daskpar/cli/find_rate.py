"""`daskpar find-lr`: the learning-rate finder on a config."""

from __future__ import annotations

import click

from daskpar.cli.lines import told_in_one_line, told_of
from daskpar.cli.options import ConfigFile, config_command
from daskpar.cli.terminal import out


@click.command("find-lr")
@config_command
@click.option("--low", default=1e-6, show_default=True, help="The first learning rate.")
@click.option("--high", default=1.0, show_default=True, help="The last one.")
@click.option("--steps", default=100, show_default=True, help="Steps from one to the other.")
@click.option(
    "-o", "--output", default="learning-rate.svg", show_default=True, help="The .svg or .html file to write."
)
def find_rate(file: ConfigFile, low: float, high: float, steps: int, output: str) -> None:
    """Train for some steps while the learning rate grows, and suggest one."""
    with told_in_one_line():
        from daskpar.build import check, make_trainer, open_cluster, open_data
        from daskpar.train.learning_rate import find_learning_rate

        config = file.read()
        check(config)
        data = open_data(config)
        with open_cluster(config) as client:
            found = find_learning_rate(make_trainer(config, client), data.train, None, low, high, steps)
        with told_of(output):
            found.plot(output)
        told = "none: the loss does not fall" if found.suggestion is None else f"{found.suggestion:.2g}"
        out.print(f"{output}: {len(found.rates)} steps up to {found.rates[-1]:.2g}; suggestion {told}")
