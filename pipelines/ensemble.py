"""An ensemble: several networks trained at once on scikit-learn's digits, whose predictions are averaged.

python -m pipelines.ensemble
python -m pipelines.ensemble --members 8 --kind processes
"""

from __future__ import annotations

import click

from daskpar import Dense, Ensemble, Flatten, InputError, ReLU, open_client
from daskpar.data import Digits, split


@click.command()
@click.option("--members", default=5, show_default=True, help="Number of networks.")
@click.option("--kind", default="threads", show_default=True, help="threads or processes.")
@click.option("--workers", default=2, show_default=True, help="Number of workers.")
@click.option("--epochs", default=15, show_default=True, help="Passes over the data.")
def main(members: int, kind: str, workers: int, epochs: int) -> None:
    """Train the networks of an ensemble; print the scores of each, and of all together."""
    train, validation, test = split(Digits(), validation=0.1, test=0.2, seed=7, stratified=True)
    with open_client(kind, workers) as client:
        click.echo(f"dashboard {client.dashboard_link}")
        ensemble = Ensemble(
            [Flatten(), Dense(64), ReLU(), Dense(10)],
            members=members,
            optimizer={"adam": 3e-3},
            metrics=["accuracy"],
            batch=64,
            epochs=epochs,
            distribution="stratified",
            client=client,
        )
        ensemble.fit(train, validation=validation)
        for number, member in enumerate(ensemble.members_):
            scores = member.evaluate(test)
            click.echo(f"member {number}  loss {scores['loss']:.4f}  accuracy {scores['accuracy']:.4f}")
        scores = ensemble.evaluate(test)
    click.echo(f"together  loss {scores['loss']:.4f}  accuracy {scores['accuracy']:.4f}")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"ensemble: {error}") from None
