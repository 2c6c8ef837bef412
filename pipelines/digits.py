"""Training on scikit-learn's digits from Python, with early stopping and a confusion matrix.

python -m pipelines.digits
python -m pipelines.digits --kind processes --workers 2 --lanes 2
python -m pipelines.digits --kind address --address tcp://127.0.0.1:8786
"""

from __future__ import annotations

import click

from daskpar import (
    Adam,
    Dense,
    Dropout,
    EarlyStopping,
    Flatten,
    InputError,
    Layout,
    ReLU,
    Trainer,
    open_client,
    progress,
)
from daskpar.data import Digits, split

MODEL = [Flatten(), Dense(128), ReLU(), Dropout(0.2), Dense(10)]


@click.command()
@click.option("--kind", default="threads", show_default=True, help="threads, processes or address.")
@click.option("--workers", default=2, show_default=True, help="Number of workers.")
@click.option("--address", help="Address of a scheduler, for --kind address.")
@click.option("--lanes", default=2, show_default=True, help="Shares of each batch.")
@click.option("--epochs", default=40, show_default=True, help="Passes over the data.")
def main(kind: str, workers: int, address: str | None, lanes: int, epochs: int) -> None:
    """Train on digits; print the test accuracy, the confusion matrix and some predictions."""
    train, validation, test = split(Digits(), validation=0.1, test=0.2, seed=7, stratified=True)
    with open_client(kind, workers, address) as client:
        click.echo(f"dashboard {client.dashboard_link}")
        trainer = Trainer(
            MODEL,
            optimizer=Adam(3e-3),
            schedule={"cosine": {"warmup": 20}},
            metrics=["accuracy", "confusion"],
            layout=Layout(data=lanes),
            batch=64,
            epochs=epochs,
            seed=7,
            distribution="stratified",
            callbacks=[EarlyStopping("validation.loss", patience=15), progress()],
            client=client,
        )
        trainer.fit(train, validation=validation)
        scores = trainer.evaluate(test)
    best = f"the best state is that of step {trainer.steps_} of {trainer.steps_run_}"
    click.echo(f"test accuracy {scores['accuracy']:.4f}; {best}")
    for row in scores["confusion"]:
        click.echo(" ".join(f"{n:3d}" for n in row))
    images, classes = test.read(slice(0, 10))
    click.echo(f"true      {classes.tolist()}\npredicted {trainer.predict(images, 'classes').tolist()}")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"digits: {error}") from None
