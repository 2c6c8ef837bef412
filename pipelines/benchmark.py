"""A benchmark: the time of training steps in daskpar and in other libraries, on the same data and weights.

    python -m pipelines.benchmark
    python -m pipelines.benchmark --work mlp-small --against torch --rounds 7 --json out.json --html out.html
    python -m pipelines.benchmark --work cnn --layouts '[{"data": 2}, "auto"]'

Each contestant runs in a fresh process, in turns (A B C A B C). Times are medians; ratios are taken round by
round. A peer that is not installed (`pip install -e '.[peers]'`) is named and left out. A row is void if the
losses after the timed steps differ by over 1 %. The column "plain product" is the rate of a matrix product,
measured by the same process right after its steps.
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
"""The library and its setting; the setting of daskpar is a layout."""


def names(known: Any) -> Any:
    """Return a check of a comma-separated option against the known names."""

    def check(context: Any, option: Any, text: str) -> list[str]:
        found = [name for name in text.split(",") if name]
        for name in found:
            if name not in known:
                raise click.BadParameter(f"{name!r} is not known; use some of {', '.join(known)}")
        return found

    return check


def layouts(context: Any, option: Any, text: str | None) -> list[Any] | None:
    """Parse the option of layouts: a JSON list."""
    try:
        found = json.loads(text) if text else None
    except ValueError as error:
        raise click.BadParameter(f"expected a JSON list of layouts ({error})") from None
    if found is not None and not isinstance(found, list):
        raise click.BadParameter("expected a JSON list of layouts, e.g. '[{\"data\": 2}]'")
    return found


@click.command()
@click.option(
    "--work", default=",".join(WORKS), show_default=True, callback=names(WORKS), help="Networks to train."
)
@click.option(
    "--against",
    default=",".join(SETTINGS),
    show_default=True,
    callback=names(SETTINGS),
    help="Libraries to run.",
)
@click.option(
    "--layouts",
    "own",
    callback=layouts,
    help="Layouts of daskpar to try, as a JSON list.  [default: a few good ones of each network]",
)
@click.option(
    "--rounds", default=5, show_default=True, type=click.IntRange(1), help="Runs of each contestant."
)
@click.option("--json", "path", help="JSON file for all measurements.")
@click.option("--html", "chart", help="HTML file for a chart.")
def main(
    work: list[str],
    against: list[str],
    own: list[Any] | None,
    rounds: int,
    path: str | None,
    chart: str | None,
) -> None:
    """Time training steps in daskpar and in other libraries, and print a table."""
    for name in (
        "OPENBLAS_CORETYPE",
        "OPENBLAS_L2_SIZE",
    ):  # they prevent OpenBLAS from choosing the best kernels
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
    """Return whether a peer has such networks at all."""
    return who not in ("sklearn", "dask-ml") or work.startswith("mlp")


def row(name: str, contestants: Sequence[Contestant], rounds: int, console: Console) -> dict[str, Any]:
    """Measure one network: our layouts and every peer in turns."""
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
    """Summarise the rounds of a network; each library counts by the best of its settings."""
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
    """Return the medians over rounds, and the spread of the times."""
    times = [m["seconds_per_step"] for m in rounds]
    return {
        "seconds_per_step": median(times),
        "spread": [min(times), max(times)],
        "plain_product_gflops": median(m["gflops"] for m in rounds),
        "peak_bytes": max(m["peak_bytes"] for m in rounds),
    }


def pairs(theirs: list[float], mine: list[float]) -> list[float]:
    """Return their time over ours, round by round."""
    return [a / b for a, b in zip(theirs, mine, strict=False)]


def contest(name: str, folder: str, who: str, how: str) -> dict[str, Any] | str:
    """Run a contestant; return its measurements, or the last line of its error."""
    command = [sys.executable, "-m", "pipelines.contestant", name, folder, who, how]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
