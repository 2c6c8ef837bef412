"""The simulation of 1 to 8 workers, compared with real runs on this machine.

python -m pipelines.check_simulation
python -m pipelines.check_simulation --kind processes --rows 1024
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from daskpar import InputError, Layout, open_client
from daskpar.autotune.predict import predict_at_scale
from daskpar.cluster.executor import choose_executor
from daskpar.data import Npz, Split
from daskpar.train.fitting import fit_data
from daskpar.train.plan import Planner, run_for_a_while
from daskpar.train.scratch import Scratch
from daskpar.train.settings import Settings
from daskpar.train.tokens import new_token

MODEL = [{"dense": 512}, "relu", {"dense": 512}, "relu", {"dense": 10}]
LAYOUT = Layout(data=2)


def settings(client: object, rows: int, lanes: int) -> Settings:
    """Return the settings of a run in which each lane has this number of rows."""
    return Settings(MODEL, optimizer={"sgd": 0.01}, batch=rows * lanes, client=client, blas_threads=1)


@click.command()
@click.option(
    "--kind", default="threads", show_default=True, help="Kind of the cluster: threads or processes."
)
@click.option("--rows", default=1024, show_default=True, help="Rows of each lane.")
@click.option("--steps", default=24, show_default=True, help="Steps of each of five timed stretches.")
def main(kind: str, rows: int, steps: int) -> None:
    """Measure tasks and the cluster on two workers, predict one to eight workers, and run them."""
    table = Table(
        "workers", "predicted, ms", "measured, ms", "predicted / measured", box=None, pad_edge=False
    )
    with TemporaryDirectory() as folder:
        path, rng = Path(folder) / "noise.npz", np.random.default_rng(0)
        x = rng.standard_normal((16 * rows, 64)).astype(np.float32)
        np.savez(path, x=x, y=rng.integers(0, 10, len(x)))
        part = Split(Npz(path))
        with open_client(kind, 2) as client:
            executor = choose_executor(client, 2, 1)
            wanted, scratch = settings(client, rows, 2), Scratch()
            data = fit_data(wanted, part, executor, new_token())
            planner = Planner(wanted, data, client, executor, scratch, fresh=True, tell=click.echo)
            spec, network = planner.spec(LAYOUT), planner.network
            costs = planner.costs(spec)
            executor.close()
        for workers in (1, 2, 4, 8):
            found = predict_at_scale(spec, costs, workers, network, planner.across_processes)
            with open_client(kind, workers) as client:
                layout = Layout(data=workers)
                measured = run_for_a_while(settings(client, rows, workers), part, layout, steps)
            numbers = (found.seconds * 1e3, measured * 1e3, found.seconds / measured)
            table.add_row(str(workers), *(f"{n:.{d}f}" for n, d in zip(numbers, (1, 1, 2), strict=True)))
    Console().print(table)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"check_simulation: {error}") from None
