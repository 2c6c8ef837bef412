"""The run that a report shows: its files, and its network, data and step as far as they can be had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from daskpar.autotune.summary import summarise
from daskpar.build import make_trainer, open_data
from daskpar.cli.graph import graph_of
from daskpar.config import Config, config_class, load_config
from daskpar.data import Split
from daskpar.errors import InputError, one_line, printable
from daskpar.graph.graph import Graph
from daskpar.layout.layout import Layout
from daskpar.report.run.folder import Recorded, mapping, read_run
from daskpar.report.run.measured import Measured, Network, measure
from daskpar.report.run.settings import flat_settings
from daskpar.report.run.subject import Subject
from daskpar.train import Trainer
from daskpar.train.fitting import FittedData
from daskpar.train.loading import load
from daskpar.train.problem import pose
from daskpar.train.run_config import ARRAYS
from daskpar.train.saved import checkpoint_in

T = TypeVar("T")

_MOST_FLOPS = 2e11  # of the evaluation of rows; a few seconds on a core
_LONG_FLOPS = 2e10  # an evaluation that is announced
_FEWEST = 16  # rows


def restored_runs(
    folders: Sequence[str], imports: Sequence[str], rows: int, announce: Callable[[str], None]
) -> list[Subject]:
    """Return runs with their networks, outputs for at most `rows` rows, and graphs of a step.

    A folder that is named twice counts once. Runs with the same name are told apart by their folders. What
    cannot be restored is left out, with the reason. `announce` is called with a line before a long
    evaluation. Raises InputError for a folder that is not the folder of a run, before anything is evaluated.
    """
    once = {Path(folder).resolve(): Path(folder) for folder in folders}
    each = [read_run(folder) for folder in once.values()]
    names = Counter(recorded.name for recorded in each)
    each = [replace(r, name=printable(str(r.folder))) if names[r.name] > 1 else r for r in each]
    return [_restored(recorded, imports, rows, announce) for recorded in each]


def _restored(
    recorded: Recorded, imports: Sequence[str], rows: int, announce: Callable[[str], None]
) -> Subject:
    reasons: dict[str, str] = {}
    config = _attempt(reasons, "config", lambda: _config(recorded, tuple(imports)))
    network = _attempt(reasons, "network", lambda: _network(recorded.folder))
    missing = reasons.get("config") or reasons.get("network")
    run = Subject(recorded, network, reasons=reasons)
    if config is None or network is None:
        reasons |= {"measured": missing or "", "graph": missing or ""}
    else:
        measured = _attempt(reasons, "measured", lambda: _measured(recorded, config, network, rows, announce))
        graph = _attempt(reasons, "graph", lambda: _graph(config, network, run.layout))
        run = replace(run, measured=measured, graph=graph)
    if network is not None:
        larger = tuple(metric.name for metric in network.spec.metrics if metric.larger_is_better)
        run = replace(run, larger=larger)
    return run if config is None else replace(run, defaults=_defaults(config))


def _attempt(reasons: dict[str, str], name: str, function: Callable[[], T]) -> T | None:
    """Return the value of a function; where it fails, None, and the reason is noted under a name."""
    try:
        return function()
    except Exception as error:  # blocks of a user's own may raise anything
        text = str(error) if isinstance(error, InputError | OSError) else f"{type(error).__name__}: {error}"
        reasons[name] = one_line(text)
        return None


def _config(recorded: Recorded, imports: tuple[str, ...]) -> Config:
    if mapping(recorded.config.get("data")).get("source") == ARRAYS:
        raise InputError("the data were arrays in the memory of a program")
    return load_config(str(recorded.folder / "config.yaml"), (), imports)


def _network(folder: Path) -> Network:
    checkpoint = checkpoint_in(folder)
    if checkpoint is None:
        raise InputError("the run has no checkpoint")
    trainer = load(checkpoint)
    if not isinstance(trainer, Trainer):
        raise InputError("an ensemble; give the folders of its members")
    place = f"{checkpoint.relative_to(folder)}, step {trainer.steps_:,}"
    state = trainer.state_
    return Network(trainer.spec_, state.params, trainer.names_, place, trainer.parameters_sha256_)


def _measured(
    recorded: Recorded, config: Config, network: Network, rows: int, announce: Callable[[str], None]
) -> Measured:
    if not rows:
        raise InputError("no rows were evaluated (--rows=0)")
    parts = open_data(config)
    part: Split = parts.validation or parts.test or parts.train
    spec = network.spec
    layers = summarise(spec.model, spec.in_shape, spec.table, measured=False)
    flops = sum(row.flops for row in layers if row.depth == 0) or 1
    most = min(rows, max(_FEWEST, int(_MOST_FLOPS / flops)))
    if flops * min(most, part.rows) > _LONG_FLOPS:
        announce(f"{recorded.name}: evaluating {min(most, part.rows):,} rows of the {part.name} part")
    return measure(network, part, most)


def _graph(config: Config, network: Network, layout: Layout | None) -> Graph:
    """Return the graph of a step with the run's layout and fitted transforms, so that no data are read."""
    settings, spec = make_trainer(config).settings, network.spec
    part = open_data(config).train
    fitted = FittedData(part, spec.transforms, spec.targets, spec.sizes)
    settings = replace(settings, layout=layout or settings.fixed_layout, class_weight=None)
    return graph_of(pose(settings, fitted, None).spec, part, config)


def _defaults(config: Config) -> dict[str, object]:
    """Return the defaults of settings by full keys; the model, the name and the kind of data have none."""
    kinds = {"data": {"source": config.data.source}, "cluster": {"kind": config.cluster.kind}}
    model = config_class(config.data.source, config.cluster.kind)
    values = model.model_validate({"model": config.model, **kinds}).model_dump()
    own = ("model", "run.name", "data.source")
    return {key: value for key, value in flat_settings(values) if not key.startswith(own)}
