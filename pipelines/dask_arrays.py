"""Training on dask arrays, and lazy predictions: the data is never gathered in one process.

python -m pipelines.dask_arrays
python -m pipelines.dask_arrays --rows 2000000
"""

from __future__ import annotations

import click
import dask.array as da

from daskpar import Dense, Layout, Tanh, Trainer, open_client


@click.command()
@click.option("--rows", default=200_000, show_default=True, help="Number of random points.")
@click.option("--workers", default=2, show_default=True, help="Number of workers.")
def main(rows: int, workers: int) -> None:
    """Learn y = sin(3a) + b*c from random points in dask arrays, and predict lazily."""
    rng = da.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(rows, 3), chunks=(20_000, 3))
    y = da.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2]
    with open_client("threads", workers) as client:
        click.echo(f"dashboard {client.dashboard_link}")
        trainer = Trainer(
            [Dense(64, init_weight="glorot"), Tanh(), Dense(64, init_weight="glorot"), Tanh(), Dense(1)],
            loss="mean_squared_error",
            metrics=["r2"],
            optimizer={"adam": 3e-3},
            schedule="cosine",
            layout=Layout(data=workers),
            batch=1000,
            epochs=3,
            client=client,
        )
        trainer.fit(x, y, validation=0.1)
        for record in trainer.history_:
            click.echo(f"epoch {record['epoch']:g}  validation R² {record['validation']['r2']:.4f}")
        predictions = trainer.predict(x)
        click.echo(f"predictions {predictions}")
        click.echo(f"mean squared error {float(((predictions[:, 0] - y) ** 2).mean().compute()):.2e}")


if __name__ == "__main__":
    main()
