"""The work of `daskpar plan`, `compare` and `simulate`: predictions of layouts, and short runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from daskpar.autotune.candidates import format_layout
from daskpar.autotune.predict import Prediction, predict_at_scale
from daskpar.autotune.simulate import Network
from daskpar.autotune.timing import Costs
from daskpar.build import check, make_layout, make_trainer, open_cluster, open_data
from daskpar.cli.terminal import err
from daskpar.cli.track import track
from daskpar.cluster.executor import choose_executor
from daskpar.config import Config, read_layout
from daskpar.errors import InputError
from daskpar.layout.layout import Layout
from daskpar.tasks.types import Spec
from daskpar.train.fitting import fit_data
from daskpar.train.inputs import reachable
from daskpar.train.plan import Choice, Comparison, Planner, run_for_a_while
from daskpar.train.scratch import Scratch, Storage
from daskpar.train.tokens import new_token


@contextmanager
def planning(config: Config, fresh: bool, announce: Any) -> Iterator[Planner]:
    """Yield a planner on the cluster of a config. `fresh`: ignore stored measurements."""
    check(config)
    part = open_data(config).train
    with open_cluster(config) as client:
        executor = choose_executor(client, 1, config.cluster.blas_threads)
        try:
            settings = make_trainer(config, client).settings
            storage = Storage(executor, Scratch(settings.folder))
            data = fit_data(settings, reachable(part, storage), executor, new_token())
            yield Planner(settings, data, client, executor, storage, fresh, announce)
        finally:
            executor.close()


def plan(config: Config, fresh: bool, announce: Any) -> list[Choice]:
    """Return every layout with its prediction or refusal, the best first."""
    with planning(config, fresh, announce) as planner:
        return planner.choices(_own(config), _track)


def compare(
    config: Config, named: Sequence[str], best: int, steps: int, fresh: bool, announce: Any
) -> list[Comparison]:
    """Run the `best` predictions, the config's own layout and the named ones; return the fastest first.

    `named`: layouts as YAML. `steps`: of each timed stretch. Raises InputError for a layout that is refused.
    """
    wanted = [*_own(config), *(Layout(**read_layout(text)) for text in named)]
    with planning(config, fresh, announce) as planner:
        choices = planner.choices(wanted, _track)
        refused = next((c for c in choices if c.layout in wanted and c.prediction is None), None)
        if refused is not None:
            raise InputError(f"{format_layout(refused.layout)}: {refused.why}")
        chosen = [c for i, c in enumerate(choices) if c.prediction and (i < best or c.layout in wanted)]
        comparisons = []
        for choice in track(chosen, err, lambda choice: f"running {format_layout(choice.layout)}"):
            planner.announce(f"running {format_layout(choice.layout)}")
            seconds = run_for_a_while(planner.settings, planner.data.part, choice.layout, steps)
            comparisons.append(Comparison(choice, seconds))
    return sorted(comparisons, key=lambda comparison: comparison.measured)


class _Play(NamedTuple):
    """A layout to simulate on a number of workers."""

    layout: str
    spec: Spec
    costs: Costs
    workers: int


def simulate(
    config: Config, workers: Sequence[int], assumed: dict[str, Any], fresh: bool, announce: Any
) -> tuple[dict[str, list[tuple[int, Prediction]]], Network]:
    """Simulate the config's layout, and variants of it, on these numbers of workers.

    `assumed`: values of the network in place of the measured ones, by name; None keeps the measured one.
    Returns pairs of workers and prediction by layout, and the network that was assumed.
    """
    with planning(config, fresh, announce) as planner:
        (base,) = _own(config) or [Layout(data=max(2, planner.workers))]
        network = planner.network._replace(cores=None)
        network = network._replace(**{name: value for name, value in assumed.items() if value is not None})
        plays: list[_Play] = []
        for layout in _track(variants(base)):
            try:
                spec = planner.spec(layout)
            except InputError as error:
                if layout == base:
                    raise
                announce(f"{format_layout(layout)}: left out ({error})")
                continue
            alike = replace(layout, fan_in=base.fan_in) == base  # the same tasks, in another tree
            costs = planner.costs(planner.spec(base) if alike else spec)
            counts = [n for n in workers if n > 1 or layout.replicas == 1]
            plays += [_Play(format_layout(layout), spec, costs, n) for n in counts]
        announce(f"simulating {len({play.layout for play in plays})} layouts")
        predictions: dict[str, list[tuple[int, Prediction]]] = {play.layout: [] for play in plays}
        for play in track(plays, err, lambda play: f"{play.layout} on {play.workers:,} workers"):
            prediction = predict_at_scale(play.spec, play.costs, play.workers, network, True)
            predictions[play.layout].append((play.workers, prediction))
    return predictions, network


def _track(layouts: Sequence[Layout]) -> Iterator[Layout]:
    return track(layouts, err, format_layout)


def variants(base: Layout) -> list[Layout]:
    """Return a layout, the same with other fan-ins, and replicas that are averaged every 64 steps."""
    layouts = [base]
    if base.update == "sync" and base.grain != "window":
        layouts += [replace(base, fan_in=n) for n in (2, 16) if n != base.fan_in]
    if base.replicas == 1 and base.update == "sync" and not base.cuts_model and base.shards == 1:
        layouts.append(Layout(replicas=max(2, base.data), average_every=64, grain="window"))
    return layouts


def _own(config: Config) -> list[Layout]:
    layout = make_layout(config)
    return [] if isinstance(layout, str) else [layout]


def choices_table(choices: Sequence[Choice]) -> Table:
    """Return a table of layouts with their predictions, in this order; refused ones have the reason only."""
    table = Table("layout", box=None, pad_edge=False)
    for name in ("ms a step", "MB a worker", "MB moved", "tasks"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for choice in choices:
        prediction = choice.prediction
        if prediction is None:
            table.add_row(format_layout(choice.layout), "-", "-", "-", "-", choice.why, style="dim")
            continue
        numbers = (
            prediction.seconds * 1e3,
            prediction.memory / 1e6,
            prediction.moved / 1e6,
            prediction.tasks,
        )
        table.add_row(format_layout(choice.layout), *(f"{number:.1f}" for number in numbers), choice.why)
    return table


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """Return a table of measured and predicted milliseconds a step."""
    table = Table("layout", box=None, pad_edge=False)
    for name in ("measured, ms", "predicted, ms", "predicted / measured"):
        table.add_column(name, justify="right")
    for choice, measured in comparisons:
        assert choice.prediction is not None
        seconds = choice.prediction.seconds
        numbers = (f"{measured * 1e3:.2f}", f"{seconds * 1e3:.2f}", f"{seconds / measured:.2f}")
        table.add_row(format_layout(choice.layout), *numbers)
    return table


def scaling_table(predictions: dict[str, list[tuple[int, Prediction]]], network: Network) -> Table:
    """Return a table of step time, efficiency and the scheduler's load by layout and workers.

    Rows in which the scheduler is busy for over 90 % of the time are red.
    """
    table = Table("layout", box=None, pad_edge=False)
    for name in ("workers", "ms a step", "efficiency", "tasks a second", "scheduler busy"):
        table.add_column(name, justify="right")
    for layout, points in predictions.items():
        for workers, p in points:
            busy = p.load * network.scheduler
            numbers = (f"{p.seconds * 1e3:,.1f}", f"{p.efficiency:.0%}", f"{p.load:,.0f}", f"{busy:.0%}")
            table.add_row(layout, f"{workers:,}", *numbers, style="red" if busy > 0.9 else None)
            layout = ""
    return table


def write_comparison(comparisons: Sequence[Comparison], path: Path, title: str) -> None:
    """Write a bar chart of predicted and measured milliseconds a step."""
    from daskpar.report.bars import write_bars

    bars = [
        (format_layout(c.layout), c.prediction.seconds * 1e3, measured * 1e3)
        for c, measured in comparisons
        if c.prediction
    ]
    write_bars(bars, path, title)
