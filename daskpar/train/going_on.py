"""Continued training: a training that begins with the parameters of an earlier one.

    fit      steps 0 ─ 60       one schedule, spread over 60 steps
    fit      steps 60 ─ 120     another schedule; optimizer state, history and shuffling continue

With the same rows, the order in which they are drawn continues, too: with a constant learning rate, two fits
of two epochs give the same bits as one fit of four. Other rows are drawn from their beginning.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from daskpar.backend.array import to_numpy
from daskpar.data.sampler import Sampler
from daskpar.data.splits import Split
from daskpar.errors import InputError
from daskpar.tasks.load import load_initial
from daskpar.tasks.state_file import tensors_of, write_tensors
from daskpar.tasks.types import Spec, State
from daskpar.train.checkpoint import STATE, Origin
from daskpar.train.history import Record
from daskpar.train.interval import run_length
from daskpar.train.problem import make_order
from daskpar.train.saved_data import described_data
from daskpar.train.settings import Settings
from daskpar.train.tokens import new_token

logger = logging.getLogger("daskpar")

PARAMS = "params/"
_ADVICE = "restore(..., strict=False) loads those that match, warm_start=False trains from scratch"


@dataclass(frozen=True)
class Earlier:
    """Earlier training, as far as the next one needs it.

    `tensors` are by name, as in a state's file. `order` is None for parameters alone; everything else is then
    that of a new training. `unfinished` describes an interrupted run, which is finished first. `folder` is
    that of the run in which the state was saved.
    """

    step: int
    tensors: Mapping[str, np.ndarray]
    meta: Mapping[str, Any] = field(default_factory=dict)
    order: Sampler | None = None
    unfinished: Mapping[str, Any] | None = None
    folder: Path | None = None

    @classmethod
    def parameters(cls, named: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None) -> Earlier:
        """Return an earlier training of parameters alone; optimizer state and step count are reset."""
        return cls(0, {PARAMS + name: value for name, value in named.items()}, meta or {})

    def origin(self, settings: Settings, train: Split, scratch: Callable[[], Path]) -> Origin:
        """Return the start of a run on the rows of `train`. Files are written to `scratch()`."""
        described = self._described(settings, train)
        logger.info("continuing from step %d; warm_start=False trains from scratch", described["step"])
        same_run = settings.folder is not None and self.folder == settings.folder
        return Origin(described, lambda spec: self._written(spec, scratch()), same_run)

    def _described(self, settings: Settings, train: Split) -> dict[str, Any]:
        if self.order is None:
            return {**_nothing_yet(), **self.meta}
        order = _order(settings, train, self.order, self.step)
        if self.unfinished is not None and order == self.order:
            begun = int(self.unfinished["begun"]["step"])
            if begun + run_length(settings.epochs, settings.steps, order.steps) > self.step:
                return dict(self.unfinished)
        first = {"step": self.step, "seconds": self.meta["seconds"], "epoch": self.meta["epoch"]}
        described = {**_nothing_yet(), **self.meta, "order": asdict(order), "begun": first}
        return {**described, "step": self.step, "history": list(self.meta["history"])}

    def _written(self, spec: Spec, folder: Path) -> Path:
        """Write the state to a file for a Spec, and return its path; a state that does not fit is refused."""
        check_same_parameters(spec, self.tensors)
        if self.order is not None and self.meta["optimizer"] != spec.optimizer.kind:
            raise InputError(
                f"the optimizer was {self.meta['optimizer']} and is {spec.optimizer.kind} now, whose state "
                "is another; set it back, or pass fresh_optimizer=True"
            )
        path = folder / f"begin-{new_token()}.safetensors"
        tensors = dict(self.tensors)
        if self.order is None:
            tensors = tensors_of(spec, with_parameters(spec, tensors))
        write_tensors(path, self.step, tensors)
        return path


class Fitted(NamedTuple):
    """Fitted Trainer, as far as a continued training needs it."""

    spec: Spec
    state: State
    names: tuple[str, ...]
    history: list[Record]
    seconds: float
    epoch: float
    unfinished: Mapping[str, Any] | None

    def parameters_only(self, new_targets: bool) -> Earlier:
        """Return the parameters and transforms; optimizer, step count and history are reset.

        With `new_targets` the classes are those of the new data, too.
        """
        meta = self._data()
        if new_targets:
            meta = {name: meta[name] for name in ("schema", "transforms")}
        return Earlier.parameters(self.spec.table.named(to_numpy(self.state.params)), meta)

    def whole(self, saved: Path | None) -> Earlier:
        """Return the whole earlier training. `saved` is the file that the state is stored in."""
        history = [record for record in self.history if record["step"] <= self.state.step]
        meta = {**self._data(), "history": history, "seconds": self.seconds, "epoch": self.epoch}
        tensors = tensors_of(self.spec, self.state)
        folder = saved.parent.parent.parent if saved is not None and saved.name == STATE else None
        return Earlier(self.state.step, tensors, meta, self.spec.order, self.unfinished, folder)

    def _data(self) -> dict[str, Any]:
        """Return the description of the data: fitted transforms, and names of classes."""
        return {
            "optimizer": self.spec.optimizer.kind,
            **described_data(self.spec, self.names),
        }


def _nothing_yet() -> dict[str, Any]:
    """Return the description of a run before its first step."""
    return {
        "step": 0,
        "order": {},
        "seconds": 0.0,
        "history": [],
        "since": [(), {"loss": [], "lr": []}],
        "ended": False,
        "callbacks": [],
    }


def _order(settings: Settings, train: Split, before: Sampler, step: int) -> Sampler:
    """Return the order of the rows: the earlier one, if the rows and their chunks are the same."""
    saved = {"streams": before.streams, "first_step": before.first_step}
    try:
        order = make_order(settings, train.rows, saved, train.source.chunk_rows)
    except InputError:  # the streams do not fit another layout or batch
        order = make_order(settings, train.rows, None, train.source.chunk_rows)
    return order if order == before else replace(order, first_step=step)


def check_same_parameters(spec: Spec, tensors: Mapping[str, np.ndarray]) -> None:
    """Refuse parameters of another model, by the first name that differs."""
    shapes = {PARAMS + entry.name: entry.shape for entry in spec.table.entries}
    for name in dict.fromkeys([*shapes, *(name for name in tensors if name.startswith(PARAMS))]):
        here, there = shapes.get(name), getattr(tensors.get(name), "shape", None)
        if here != there:
            raise InputError(
                f"fit would continue from parameters of another model: {name.removeprefix(PARAMS)} is "
                f"{there or 'missing'} there, and {here or 'missing'} in the model; {_ADVICE}"
            )


def with_parameters(spec: Spec, tensors: Mapping[str, np.ndarray]) -> State:
    """Return the initial state, with the parameters that `tensors` has in the same shape."""
    initial = load_initial(spec).state
    named = dict(spec.table.named(initial.params))
    for name, value in named.items():
        new = tensors.get(PARAMS + name)
        if new is not None and new.shape == value.shape:
            named[name] = spec.xp.asarray(new, dtype=spec.precision)
    params = spec.xp.asarray(spec.table.pack(named, spec.precision))
    return State(0, params, spec.optimizer.init(params))


def left_out(spec: Spec, tensors: Mapping[str, np.ndarray]) -> list[str]:
    """Return the names of parameters that two models do not share, or that differ in shape."""
    shapes = {PARAMS + entry.name: entry.shape for entry in spec.table.entries}
    others = {name: value.shape for name, value in tensors.items() if name.startswith(PARAMS)}
    names = dict.fromkeys([*shapes, *others])
    return [name.removeprefix(PARAMS) for name in names if shapes.get(name) != others.get(name)]
