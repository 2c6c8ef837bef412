"""One training run: data to the workers, windows of steps, evaluations, checkpoints, the final state."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from daskpar import tasks
from daskpar.cluster.executor import Executor
from daskpar.data.dask_arrays import DaskArrays
from daskpar.data.part import Part
from daskpar.data.transforms import to_json
from daskpar.errors import ClusterLostError, InputError
from daskpar.graph.emit import Emitter
from daskpar.graph.graph import Graph
from daskpar.graph.load import add_part, add_training_data
from daskpar.layout.partition import cut_operations
from daskpar.nn.parameters import check_finite
from daskpar.optim import registry as optim
from daskpar.optim.schedules import ReduceOnPlateau
from daskpar.plan.measure import lane_weights, operation_times
from daskpar.tasks import add_sums
from daskpar.tasks.state_file import read_state, write_state
from daskpar.tasks.types import Log, State, Sums
from daskpar.train.callbacks import Callback, EarlyStopping, Entry, Plateau
from daskpar.train.checkpoint import STATE, Checkpoints, read_meta, saved_as
from daskpar.train.driver import Cut, Driver
from daskpar.train.evaluate import evaluated
from daskpar.train.every import Every, run_length
from daskpar.train.fitting import fit_targets, fit_transforms, saved_transforms
from daskpar.train.history import Record, check_monitor, scores, without_value
from daskpar.train.prepare import make_order, make_spec
from daskpar.train.rescue import Rescue

if TYPE_CHECKING:
    from daskpar.train.trainer import Trainer

logger = logging.getLogger("daskpar")


def new_token() -> str:
    """A name for the tasks of one run; begins with a digit, so that no dashboard takes it for a word."""
    return f"0{uuid4().hex[:12]}"


class Fit:
    """A run in progress. `scratch()`: a folder that the workers see, for states that lineages begin with."""

    _sums: Sums
    _each: dict[str, list[Any]]

    def __init__(
        self,
        trainer: Trainer,
        executor: Executor,
        train: Part,
        validation: Part | None,
        scratch: Callable[[], Path],
        resume: bool,
    ):
        self.trainer, self.executor, self.scratch = trainer, executor, scratch
        self.token = new_token()
        self.checkpoints = (
            Checkpoints(Path(trainer.folder) / "checkpoints", trainer.keep) if trainer.folder else None
        )
        found = self.checkpoints.latest() if resume and self.checkpoints else None
        meta = read_meta(found) if found else None
        self.names = train.source.names
        if meta and meta.get("names", []) != list(self.names):
            raise InputError(
                "the checkpoint was made with other characters or classes than the data have now; "
                "set the data back, or train anew"
            )
        order = make_order(trainer, train.rows, meta and meta["order"], train.source.chunk_rows)
        if meta:
            transforms, targets = saved_transforms(meta)
        else:
            pass_over = (train, executor, self.token, order.chunk_rows)
            transforms = fit_transforms(trainer.transforms, *pass_over, "x")
            targets = fit_targets(trainer, transforms, *pass_over)
        self.spec = trainer.spec_ = make_spec(trainer, train.source, order, transforms, targets)
        self._measure_lanes()
        self.schedule = optim.schedule(trainer.schedule)
        self.callbacks: list[Callback] = list(trainer.callbacks)
        self.plateau: Plateau | None = None
        if isinstance(self.schedule, ReduceOnPlateau):
            self.plateau = Plateau(self.schedule)
            self.callbacks.append(self.plateau)
        for callback in self.callbacks:
            callback.reset()
            if callback.monitor is not None:
                check_monitor(self.spec, callback.monitor, validation is not None)
        trainer.names_ = self.names
        self.total = trainer.steps_planned_ = run_length(trainer.epochs, trainer.steps, order.steps)
        self.evaluate_every = Every.parse(trainer.evaluate_every, "train.evaluate_every").steps(order.steps)
        self.save_every = Every.parse(trainer.checkpoint_every, "checkpoint.every").steps(order.steps)
        self.step, self.seconds = 0, 0.0
        self.root: Path | None = None
        self.ended = False
        trainer.history_, trainer._without_value = [], frozenset()
        self._begin_record()
        if found and meta:
            self._take_up(found, meta)
        self._rehearse(train)
        self.driver = self._make_driver(train, validation)

    def run(self) -> State:
        """Train to the end, or to where a callback ends it; returns the final state."""
        trainer = self.trainer
        trainer.resumed_at_ = self.step
        self._started = time.perf_counter() - self.seconds
        for callback in self.callbacks:
            callback.before_training(trainer)
        if self.checkpoints:
            self.checkpoints.begin(resume=self.root is not None)
        self._epoch = -1
        self.rescue = Rescue(self.root)
        try:
            state = self._drive()
        except ClusterLostError as error:
            raise ClusterLostError(f"{error}; {self.rescue.save(self)}") from None
        if state is None:  # resumed after its last step, or after a callback had ended it
            state = self._checked(read_state(self.spec, str(self.root)))
        trainer.state_, trainer.steps_run_ = state, state.step
        trainer.served_ = None  # from here on predictions are by the new state
        trainer.seconds_ = time.perf_counter() - self._started
        for callback in self.callbacks:
            callback.after_training(trainer)
        trainer.steps_ = trainer.state_.step
        if self.checkpoints:
            final = self.checkpoints.save(self.spec, trainer.state_, self._meta(), "final")
            trainer.saved_ = saved_as(trainer.state_, final / STATE)
        return trainer.state_

    def _drive(self) -> State | None:
        """Train until the run ends; returns the state there, or None where there was nothing left to do."""
        stop = self.step if self.ended else self.total
        for event in self.driver.run(self.step, self.root, stop):
            if not isinstance(event, Cut):
                self._report(event)
                continue
            self.cut = event
            self._at_cut(event)
            if self.ended or event.step == self.total:
                return self._state(event)
        return None

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        factor = self.schedule.factor(step, self.total)
        return self.spec.optimizer.lr * factor * (self.plateau.factor if self.plateau else 1.0)

    def plan(self, step: int) -> Cut:
        """The next cut after a step."""
        evaluation = _multiple_after(step, self.evaluate_every)
        saving = _multiple_after(step, self.save_every) if self.checkpoints else self.total
        at = min(evaluation, saving, self.total)
        last = at == self.total
        evaluate = at == evaluation or last
        return Cut(
            at, evaluate, bool(self.checkpoints) and (at == saving or last), evaluate and bool(self.plateau)
        )

    def keep_best(self) -> State:
        """The state at the cut in progress; written to `checkpoints/best` where there is a folder."""
        state = self._state(self.cut)
        if self.checkpoints:
            self.checkpoints.save(self.spec, state, self._meta(), "best")
        return state

    def _measure_lanes(self) -> None:
        """Cut lanes by the speed of their workers, where the layout leaves that open."""
        trainer, layout = self.trainer, self.trainer.layout_
        if layout.lanes != "auto":
            return
        spec = replace(self.spec, module=self.executor.module)
        what = (spec, cut_operations(spec.model, layout), -(-spec.order.batch // layout.lane_count))
        seconds = [sum(times) for times in self.executor.on_each(operation_times, *what)]
        trainer.choose(replace(layout, lanes=lane_weights(layout, seconds)))
        self.spec = trainer.spec_ = replace(self.spec, layout=trainer.layout_)

    def _rehearse(self, train: Part) -> None:
        """Have kernels compiled, or loaded, before the first step, here and on workers that are elsewhere."""
        if isinstance(train.source, DaskArrays) or self.executor.module != "numpy":
            return
        tasks.rehearse(self.spec, train)
        self.executor.everywhere(tasks.rehearse, self.spec, train)

    def _make_driver(self, train: Part, validation: Part | None) -> Driver:
        graph, layout = Graph(self.token), self.trainer.layout_
        spec = replace(self.spec, module=self.executor.module)
        model = graph.add("load-model", (), tasks.load_model, spec)
        chunks = add_training_data(graph, model, train, spec)
        evaluated = add_part(graph, model, validation, self._rows_of_chunk(validation)) if validation else []
        held = [model, *chunks.values(), *evaluated] if self.trainer.cache else [model]
        sources = {} if self.trainer.cache else graph.flat()
        sources.pop(model, None)
        self.executor.submit(graph, held, layout.places)
        builder = Emitter(spec, model, chunks, across_processes=not self.executor.in_process)
        return Driver(self.executor, builder, self.token, self.plan, self.rate, evaluated, sources)

    def _rows_of_chunk(self, part: Part) -> int:
        return self.trainer.chunk_rows or part.source.chunk_rows

    def _report(self, log: Log) -> None:
        entries: list[Entry] = [(step, sums, self.rate(step)) for step, sums, _ in log]
        for step, sums, lr in entries:
            epoch = step // self.spec.order.steps
            if epoch > self._epoch:
                self._epoch = epoch
                for callback in self.callbacks:
                    callback.before_epoch(self.trainer, epoch)
            self._sums = add_sums(self._sums, sums)
            self._each["loss"].append(sums[0] / sums[1])
            self._each["lr"].append(lr)
        stale = [list(entry.staleness) for entry in log if entry.staleness]
        if stale:
            self._each.setdefault("staleness", []).extend(stale)  # a number for each lane
        if entries:
            for callback in self.callbacks:
                callback.after_steps(self.trainer, entries)

    def _at_cut(self, cut: Cut) -> None:
        if cut.evaluate:
            self._record(cut)
            record = self.trainer.history_[-1]
            for callback in self.callbacks:
                self.ended = bool(callback.after_evaluation(self.trainer, record)) or self.ended
            self._begin_record()
        if (cut.save or self.ended) and self.checkpoints:
            state = self._state(cut)
            self.driver.root = self.checkpoints.save(self.spec, state, self._meta()) / STATE
            self.rescue.note(self.driver.root)
        elif cut.root and not self.ended:
            before, self.driver.root = self.driver.root, self.scratch() / f"root-{cut.step}.safetensors"
            write_state(self.spec, self._state(cut), self.driver.root)
            self.rescue.note(self.driver.root, self._meta())
            if before is not None and before.parent == self.scratch():
                before.unlink(missing_ok=True)  # nothing in flight refers to it any more

    def _state(self, cut: Cut) -> State:
        return self._checked(self.executor.result(cut.state).state)

    def _checked(self, state: State) -> State:
        """Return a state, looked at: neither parameters nor slots that overflowed go unsaid into a file."""
        check_finite(self.spec.table, state.step, state.params, state.slots)
        return state

    def _begin_record(self) -> None:
        self._sums, self._each = (), {"loss": [], "lr": []}

    def _record(self, cut: Cut) -> None:
        seconds = time.perf_counter() - self._started
        record: Record = {
            "step": cut.step,
            "epoch": cut.step / self.spec.order.steps,
            "lr": self._each["lr"][-1] if self._each["lr"] else None,
            "train": scores(self.spec, self._sums),
            "validation": evaluated(self.spec, self.executor, cut.scores, "validation"),
            "seconds": round(seconds, 3),
            "examples_per_second": round(self.spec.order.drawn(cut.step) / seconds, 1),
            "each_step": self._each,
        }
        self.trainer.history_.append(record)
        for part in ("train", "validation"):
            for name, line in without_value(self.spec, part, record[part]).items():
                if name not in self.trainer._without_value:
                    logger.warning("step %d: %s; it counts as no improvement", cut.step, line)
                    self.trainer._without_value |= {name}

    def _meta(self) -> dict[str, Any]:
        return {
            "order": asdict(self.spec.order),
            "names": list(self.names),  # here, beside the weights that they number: data may move
            "in_shape": self.spec.in_shape,
            "transforms": [to_json(t) for t in self.spec.transforms],
            "targets": [to_json(t) for t in self.spec.targets],
            "seconds": time.perf_counter() - self._started,
            "history": self.trainer.history_,
            "since": [self._sums, self._each],
            "ended": self.ended,
            "callbacks": [[type(c).__name__, c.state_dict()] for c in self.callbacks],
        }

    def _take_up(self, folder: Path, meta: dict[str, Any]) -> None:
        self.step, self.seconds, self.root = meta["step"], meta["seconds"], folder / STATE
        read_state(self.spec, str(self.root))  # another model's state is refused here, not on a worker
        self.trainer.history_ = meta["history"]
        sums, self._each = meta["since"]
        self._sums = tuple(sums)
        self.ended = meta["ended"]
        saved = list(meta["callbacks"])
        for callback in self.callbacks:
            match = next((pair for pair in saved if pair[0] == type(callback).__name__), None)
            if match is None:
                continue
            saved.remove(match)
            callback.load_state_dict(match[1])
            best = self.checkpoints.named("best") if self.checkpoints else None
            if isinstance(callback, EarlyStopping) and callback.best_value is not None and best:
                if read_meta(best)["step"] == callback.best_step:  # else of steps that are yet to come
                    callback.best_state = read_state(self.spec, str(best / STATE))


def _multiple_after(step: int, every: int) -> int:
    return (step // every + 1) * every
