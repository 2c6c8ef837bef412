"""Exclusive or, learnt by a small network on Dask's threaded scheduler: no cluster, no dashboard.

python -m pipelines.xor
"""

from __future__ import annotations

import click
import numpy as np

from daskpar import Dense, Tanh, Trainer


@click.command()
def main() -> None:
    """Learn exclusive or from its four rows."""
    x = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    y = np.array([0, 1, 1, 0])
    trainer = Trainer(
        [Dense(8), Tanh(), Dense(1)],
        loss="binary_cross_entropy",
        optimizer={"adam": 0.05},
        batch=4,
        epochs=200,
        evaluate_every="50 epochs",
        client="threaded-scheduler",
    ).fit(x, y)
    for record in trainer.history_:
        click.echo(f"step {record['step']}  loss {record['train']['loss']:.4f}")
    click.echo(f"{y.tolist()} is predicted as {trainer.predict(x, 'classes').ravel().tolist()}")


if __name__ == "__main__":
    main()
