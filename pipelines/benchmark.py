"""Time training steps beside what one would use instead: same data, same initial weights, same batches.

    python -m pipelines.benchmark
    python -m pipelines.benchmark --work mlp-small --against torch --rounds 7 --json out.json --html out.html
    python -m pipelines.benchmark --work cnn --layouts '[{"data": 2}, "auto"]'

Each contestant runs in a fresh process, in turns (A B C A B C); medians, and ratios round by round. A peer
that is not installed (`pip install -e '.[peers]'`) is named and left out. A row whose losses after the timed
steps differ by over 1 % is void. Rates beside the times are those of a plain product in the same process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from pipelines.peers import SETTINGS
from pipelines.results import machine, show, write_chart
from pipelines.works import WORKS, Work, prepare

Contestant = tuple[str, str]
"""(who, setting); of ours the setting is a layout."""


def names(known: Any) -> Any:
    """A check of a comma-separated option."""

    def check(context: Any, option: Any, text: str) -> list[str]:
        found = [name for name in text.split(",") if name]
        for name in found:
            if name not in known:
                raise click.BadParameter(f"{name!r} is not known; use some of {', '.join(known)}")
        return found

    return check


def layouts(context: Any, option: Any, text: str | None) -> list[Any] | None:
    """A JSON list of layouts."""
    try:
        found = json.loads(text) if text else None
    except ValueError as error:
        raise click.BadParameter(f"expected a JSON list of layouts ({error})") from None
    if found is not None and not isinstance(found, list):
        raise click.BadParameter("expected a JSON list of layouts, e.g. '[{\"data\": 2}]'")
    return found


@click.command()
@click.option("--work", default=",".join(WORKS), show_default=True, callback=names(WORKS))
@click.option("--against", default=",".join(SETTINGS), show_default=True, callback=names(SETTINGS))
@click.option("--layouts", "own", callback=layouts, help="Ours, as a JSON list; else those known to be good.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--json", "path", help="Write what was measured to this file.")
@click.option("--html", "chart", help="Write a chart of it to this file.")
def main(
    work: list[str],
    against: list[str],
    own: list[Any] | None,
    rounds: int,
    path: str | None,
    chart: str | None,
) -> None:
    """Run the benchmark, print its table, and write what was measured."""
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # they keep OpenBLAS from the best kernels
        os.environ.pop(name, None)
    console = Console(width=None if sys.stdout.isatty() else 160)
    result: dict[str, Any] = {"machine": machine(), "peak_gflops": None, "rows": []}
    for name in work:
        contestants = [("ours", json.dumps(layout)) for layout in own or WORKS[name].layouts]
        contestants += [(who, how) for who in against if supports(who, name) for how in SETTINGS[who]]
        result["rows"].append(row(name, contestants, rounds, console))
        result["peak_gflops"] = median(rate for found in result["rows"] for rate in found["numpy_gflops"])
        if path:
            Path(path).write_text(json.dumps(result, indent=2) + "\n")
    show(result, console)
    if chart:
        write_chart(result, Path(chart))


def supports(who: str, work: str) -> bool:
    """Whether a peer has such networks at all."""
    return who not in ("sklearn", "dask-ml") or work.startswith("mlp")


def row(name: str, contestants: Sequence[Contestant], rounds: int, console: Console) -> dict[str, Any]:
    """Measure one work: our layouts and every peer in turns."""
    found: dict[Contestant, list[dict[str, Any]]] = {}
    left_out: dict[str, str] = {}
    with TemporaryDirectory() as folder, Progress(console=console, transient=True) as bar:
        prepare(WORKS[name], Path(folder))
        task = bar.add_task(name, total=rounds * len(contestants))
        for _ in range(rounds):
            for who, how in contestants:
                bar.update(task, description=f"{name}: {who} {how}")
                if f"{who} {how}" not in left_out:
                    measured = contest(name, folder, who, how)
                    if isinstance(measured, str):
                        left_out[f"{who} {how}"] = measured
                    else:
                        found.setdefault((who, how), []).append(measured)
                bar.advance(task)
    return {**summary(name, WORKS[name], found), "left_out": left_out}


def summary(name: str, work: Work, found: dict[Contestant, list[dict[str, Any]]]) -> dict[str, Any]:
    """What the rounds come to; every peer by the best of its settings."""
    times = {key: [m["seconds_per_step"] for m in rounds] for key, rounds in found.items()}
    losses = {f"{who} {how}": m["loss"] for (who, how), rounds in found.items() for m in rounds}
    best = {who: min((k for k in times if k[0] == who), key=lambda k: median(times[k])) for who, _ in times}
    if "ours" not in best:
        raise click.ClickException(f"{name}: daskpar itself did not run; see above")
    mine = best.pop("ours")
    each = {who: pairs(times[key], times[mine]) for who, key in best.items()}
    return {
        "work": name,
        "gflop": work.flops() / 1e9,
        "ours": {
            "layout": json.loads(mine[1]),
            **figures(found[mine]),
            "scheduling_share": median(m["scheduling_share"] for m in found[mine]),
        },
        "peers": {who: {**figures(found[key]), "setting": key[1]} for who, key in best.items()},
        "ratio": {who: median(ratios) for who, ratios in each.items()},
        "ratio_spread": {who: [min(ratios), max(ratios)] for who, ratios in each.items()},
        "numpy_gflops": [m["gflops"] for m in found[mine]],
        "all": {f"{who} {how}": values for (who, how), values in times.items()},
        "losses": losses,
        "void": not all(loss <= 1.01 * min(losses.values()) for loss in losses.values()),
    }


def figures(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over rounds, and the spread of the times."""
    times = [m["seconds_per_step"] for m in rounds]
    return {
        "seconds_per_step": median(times),
        "spread": [min(times), max(times)],
        "plain_product_gflops": median(m["gflops"] for m in rounds),
        "peak_bytes": max(m["peak_bytes"] for m in rounds),
    }


def pairs(theirs: list[float], mine: list[float]) -> list[float]:
    """Their time over ours, round by round."""
    return [a / b for a, b in zip(theirs, mine, strict=False)]


def contest(name: str, folder: str, who: str, how: str) -> dict[str, Any] | str:
    """What a contestant measured, or in a line why it did not."""
    command = [sys.executable, "-m", "pipelines.contestant", name, folder, who, how]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
