"""Time training steps beside what one would use instead: same data, same initial weights, same batches.

    python -m pipelines.benchmark
    python -m pipelines.benchmark --work mlp-small --against torch --rounds 7 --json out.json

Each contestant runs in a fresh process, in turns; medians and ratios pair by pair. A peer that is not
installed is named and left out (`pip install torch==2.13.0`). A row whose losses differ by over 1 % is void.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from daskpar.backend import blas
from pipelines.works import WORKS, prepare

PEERS = {"torch": ("threads", "compile"), "sklearn": ("default",)}


@click.command()
@click.option("--work", default="mlp-large,mlp-small,cnn,gpt", show_default=True)
@click.option("--against", default="torch,sklearn", show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--json", "path", help="Write what was measured to this file.")
def main(work: str, against: str, rounds: int, path: str | None) -> None:
    """Run the benchmark and print its table."""
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # they keep OpenBLAS from the best kernels
        os.environ.pop(name, None)
    console = Console()
    peers = [(who, how) for who in against.split(",") if who for how in PEERS[who]]
    result: dict[str, Any] = {"machine": machine(), "peak_gflops": peak(), "rows": []}
    for name in work.split(","):
        result["rows"].append(row(name, peers, rounds, console))
    show(result, console)
    if path:
        Path(path).write_text(json.dumps(result, indent=2) + "\n")


def row(name: str, peers: list[tuple[str, str]], rounds: int, console: Console) -> dict[str, Any]:
    """Measure one work: our layouts and every peer in turns."""
    work = WORKS[name]
    contestants = [("ours", json.dumps(layout)) for layout in work.layouts]
    contestants += [peer for peer in peers if peer[0] != "sklearn" or name.startswith("mlp")]
    times: dict[tuple[str, str], list[float]] = {}
    losses: dict[tuple[str, str], float] = {}
    peaks: dict[tuple[str, str], int] = {}
    with TemporaryDirectory() as folder, Progress(console=console, transient=True) as bar:
        prepare(work, Path(folder))
        task = bar.add_task(name, total=rounds * len(contestants))
        for _ in range(rounds):
            for who, how in list(contestants):
                found = contest(name, folder, who, how)
                bar.advance(task)
                if isinstance(found, str):
                    console.print(f"{name}: {who} ({how}) left out: {found}", highlight=False)
                    contestants.remove((who, how))
                    continue
                times.setdefault((who, how), []).append(found["seconds_per_step"])
                losses[who, how] = found["loss"]
                peaks[who, how] = max(peaks.get((who, how), 0), found["peak_bytes"])
    best = {who: min((k for k in times if k[0] == who), key=lambda k: median(times[k])) for who, _ in times}
    mine = times[best["ours"]]
    return {
        "work": name,
        "gflop": work.flops() / 1e9,
        "ours": {"layout": json.loads(best["ours"][1]), "seconds_per_step": median(mine)},
        "peers": {
            who: {"seconds_per_step": median(times[key]), "setting": key[1]}
            for who, key in best.items()
            if who != "ours"
        },
        "ratio": {
            who: median(theirs / own for theirs, own in zip(times[key], mine, strict=True))
            for who, key in best.items()
            if who != "ours"
        },
        "all": {f"{who} {how}": values for (who, how), values in times.items()},
        "losses": {f"{who} {how}": value for (who, how), value in losses.items()},
        "peak_bytes": {f"{who} {how}": value for (who, how), value in peaks.items()},
        "void": max(losses.values()) > 1.01 * min(losses.values()),
    }


def contest(name: str, folder: str, who: str, how: str) -> dict[str, Any] | str:
    """What a contestant measured, or in a line why it did not."""
    command = [sys.executable, "-m", "pipelines.contestant", name, folder, who, how]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return json.loads(done.stdout.strip().splitlines()[-1])


def peak() -> float:
    """GFLOP/s of a plain float32 matrix product on all cores, NumPy's."""
    a = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / median(times) / 1e9


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {"system": platform.platform(), "cores": blas.cores(), "blas": blas.describe()}


def show(result: dict[str, Any], console: Console) -> None:
    """The result as a table."""
    table = Table(title=f"peak {result['peak_gflops']:.0f} GFLOP/s on {result['machine']['cores']} cores")
    for column in ("work", "who", "ms a step", "GFLOP/s", "their time / ours", "peak MB"):
        table.add_column(column)
    for found in result["rows"]:
        name = found["work"] + (" (void: losses differ)" if found["void"] else "")
        mine = found["ours"]
        rows = [("ours " + json.dumps(mine["layout"]), mine["seconds_per_step"], "")]
        for who, peer in found["peers"].items():
            rows.append((f"{who} {peer['setting']}", peer["seconds_per_step"], f"{found['ratio'][who]:.2f}"))
        for who, seconds, ratio in rows:
            rate, peak = f"{found['gflop'] / seconds:.0f}", f"{found['peak_bytes'][who] / 1e6:.0f}"
            table.add_row(name, who, f"{seconds * 1e3:.2f}", rate, ratio, peak)
    console.print(table)


if __name__ == "__main__":
    main()
