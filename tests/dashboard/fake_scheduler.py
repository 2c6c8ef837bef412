"""A server with the page's files and made-up runs, for tests of the page without a scheduler.

`python tests/dashboard/fake_scheduler.py` serves runs that go on, to look at: http://localhost:8899/daskpar
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import product
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

import daskpar
from daskpar.report import charts

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
TYPES = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "ico": "image/x-icon",
}
START = 1_764_129_000.0
WINDOW = 10  # steps between values of a window
SCORES = ("loss", "accuracy")


def noise(seed: float) -> float:
    """Return a number between -1 and 1 that always is the same for a seed."""
    value = math.sin(seed * 12.9898) * 43758.5453
    return 2 * (value - math.floor(value)) - 1


@dataclass
class FakeRun:
    """A run that is at `step`; all its values follow from that."""

    id: str
    name: str
    step: int = 120
    steps: int = 1000
    state: str = "running"
    reason: str = ""
    lanes: int = 2
    stages: int = 1
    branches: int = 1
    workers: tuple[str, ...] = ("0", "1")
    layers: tuple[str, ...] = ("0 conv2d", "3 conv2d", "7 dense", "9 dense")
    metric: str = "accuracy"
    difficulty: float = 1.0
    stale: bool = False
    folder: str | None = "/home/me/runs/digits"
    marks: list[dict[str, Any]] = field(default_factory=list)
    at_version: dict[int, int] = field(default_factory=dict)

    def time(self, step: float) -> float:
        """Return the time at which a step ended."""
        return START + 60 * (ord(self.id[0]) - 97) + step * 0.05

    def score(self, name: str, step: float, offset: float = 0.0) -> float:
        """Return a score after a step."""
        loss = self.difficulty * (2.3 * math.exp(-step / 220) + 0.06) + offset
        return loss if name == "loss" else 1 - loss / 2.6

    def noisy(self, name: str, step: int) -> float | None:
        """Return a score of one batch; one of them is not finite."""
        value = self.score(name, step)
        return None if step == 57 else value * (1 + 0.18 * noise(step * self.difficulty))

    def series(self, since_step: int) -> list[dict[str, Any]]:
        """Return the points from a step on."""
        every = max(1, self.step // 2000) if not since_step else 1
        each = [s for s in range(max(1, since_step), self.step + 1) if s % every == 0]
        windows = [s for s in each if s % WINDOW == 0]
        tests = [s for s in each if s % 50 == 0]

        def points(name: str, part: str, kind: str, x: list[int], y: Any) -> dict[str, Any]:
            values = [value if value is None else float(f"{value:.6g}") for value in map(y, x)]
            return {
                "name": name, "part": part, "each": kind, "since_step": since_step, "x": x, "y": values
            }  # fmt: skip

        def rate(step: int) -> float:
            return 0.01 * min(1, step / 50) * (1 - step / 2 / self.steps)

        def norm(step: int) -> float:
            return 1.5 * self.score("loss", step) + 0.2 * noise(step + 1)

        metric = self.metric
        found = [
            points("loss", "train", "step", each, lambda s: self.noisy("loss", s)),
            points("loss", "train", "evaluation", tests, lambda s: self.score("loss", s)),
            points("loss", "validation", "evaluation", tests, lambda s: self.score("loss", s, 0.08)),
            points(metric, "train", "window", windows, lambda s: self.noisy("accuracy", s)),
            points(metric, "train", "evaluation", tests, lambda s: self.score("accuracy", s)),
            points(metric, "validation", "evaluation", tests, lambda s: self.score("accuracy", s, 0.1)),
            points("learning_rate", "", "step", each, rate),
            points("examples_per_second", "", "window", windows, lambda s: 34_500 * (1 + 0.05 * noise(s))),
            points("gradient_norm", "", "watched", windows, norm),
        ]
        seconds = points("seconds", "", "window", windows, lambda s: 0.0)
        found.append({**seconds, "y": [self.time(s) for s in windows]})
        if self.stale:
            found.append(points("staleness", "mean", "window", windows, lambda s: 1.2 + 0.4 * noise(s)))
            found.append(points("staleness", "max", "window", windows, lambda s: 3))
        return found

    def layer_rows(self) -> dict[str, Any]:
        """Return norms of the layers at some steps."""
        steps = list(range(50, self.step + 1, max(50, self.step // 150)))

        def value(base: float, slope: float, step: int, layer: int) -> float:
            return base * (1 + layer) * (1 + slope * step / self.steps) * (1 + 0.1 * noise(step + layer))

        def rows(base: float, slope: float) -> list[list[float]]:
            return [[value(base, slope, step, k) for k, _ in enumerate(self.layers)] for step in steps]

        ratios = rows(0.0006, 1.0)
        for row in ratios:
            row[-1] *= 12
        return {
            "names": list(self.layers), "steps": steps, "gradient_norm": rows(0.3, -0.6),
            "weight_norm": rows(4.0, 0.3), "update_ratio": ratios,
        }  # fmt: skip

    def places(self) -> list[tuple[int, int, int]]:
        """Return lane, stage and branch of each slot."""
        return list(product(range(self.lanes), range(self.stages), range(self.branches)))

    def slots(self) -> list[dict[str, Any]]:
        """Return where each slot is, and what it does now."""
        doing = [("forward", "forward-dense"), ("backward", "backward-dense"), ("", ""), ("update", "update"),
                 ("grad", "grad"), ("reduce", "reduce-gradient"), ("load", "load-batch")]  # fmt: skip
        found = []
        for slot, (lane, stage, branch) in enumerate(self.places()):
            verb, name = doing[(slot * 3 + self.step) % len(doing)] if self.state == "running" else ("", "")
            found.append(
                {
                    "slot": slot, "row": f"lane {lane}", "stage": stage, "branch": branch, "lane": lane,
                    "worker": self.workers[slot % len(self.workers)], "doing": verb, "name": name,
                    "step": self.step + 1,
                }
            )  # fmt: skip
        return found

    def strip(self) -> dict[str, Any]:
        """Return bars of the last steps: 50 ms a step, one slot a little later than the one before."""
        names = [
            "load-batch",
            "forward-dense",
            "backward-dense",
            "send-activation",
            "reduce-gradient",
            "update",
        ]
        shape = [(0, 2, 0, 0), (2, 14, 0, 1), (16, 19, 1, 3), (19, 38, 0, 2), (38, 42, 0, 4), (42, 45, 0, 5)]
        bars: list[list[float]] = []
        for step in range(max(1, self.step - 40), self.step + 1):
            zero = (step - max(1, self.step - 40)) * 50.0
            for slot, (_, stage, branch) in enumerate(self.places()):
                late = 3.0 * stage + branch
                bars.extend(
                    [slot, zero + late + start, zero + late + stop + noise(step + slot), what, name, step]
                    for start, stop, what, name in shape
                )
        return {"from": self.time(max(1, self.step - 40)) - 0.05, "names": names, "bars": bars[-2000:]}

    def header(self) -> dict[str, Any]:
        """Return what is known without the series."""
        tested = self.step - self.step % 50
        parts = {"train": 0.0, "validation": 0.08}
        scores = {
            part: {(self.metric if n == "accuracy" else n): self.score(n, tested, offset) for n in SCORES}
            for part, offset in parts.items()
        }
        layout = {"data": self.lanes, "stages": self.stages, "width": self.branches}
        running = self.state == "running"
        return {
            "id": self.id, "name": self.name, "state": self.state, "reason": self.reason,
            "started": self.time(0), "ended": None if running else self.time(self.step),
            "seconds": self.time(self.step) - self.time(0), "step": self.step, "steps": self.steps,
            "resumed_at": 0, "epoch": {"steps": 84, "from": 0, "before": 0.0}, "batch": 32, "rows": 2688,
            "parameters": 1_234_567, "model": "Conv2D(8) > ReLU > Flatten > Dense(10)",
            "optimizer": f"Adam(lr={0.01 * self.difficulty:g})", "loss": "softmax_cross_entropy",
            "folder": self.folder, "files": ["report.html", "profile.html"], "layout": layout,
            "layout_text": ", ".join(f"{key}: {value}" for key, value in layout.items() if value > 1),
            "processes": True, "larger_is_better": [self.metric], "scores": scores if tested else {},
            "last": {
                "loss": self.score("loss", self.step), "learning_rate": 0.0096, "gradient_norm": 1.234,
                "examples_per_second": 34_567.8, "seconds_per_step": 0.00212,
            },
        }  # fmt: skip

    def whole(self, since: int) -> dict[str, Any]:
        """Return all of the run, and of the series the points that are new since a version."""
        since_step = max(0, self.at_version[since] - 3) if since in self.at_version else 0
        shares = [
            {"slot": slot, "compute": 0.78 - 0.02 * slot, "transfer": 0.06, "wait": 0.16 + 0.02 * slot}
            for slot, _ in enumerate(self.places())
        ]
        data = {"chunks": 12, "in_memory": 12, "bytes": 1_234_567, "loads": 12, "kept": True}
        return {
            **self.header(), "series": self.series(since_step), "layers": self.layer_rows(),
            "marks": self.marks, "slots": self.slots(), "strip": self.strip(), "shares": shares, "data": data,
        }  # fmt: skip


def mark(run: FakeRun, step: int, kind: str, text: str) -> dict[str, Any]:
    """Return a mark on the time axis of a run."""
    return {"time": run.time(step), "step": step, "kind": kind, "text": text}


class FakeScheduler:
    """A server on a free port of this machine, in a thread of its own; `with` stops it."""

    def __init__(self, runs: list[FakeRun], prefix: str = "", port: int = 0):
        self.runs, self.prefix, self.version = runs, prefix, 1
        self.requests: list[str] = []
        self.broken = False
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._sockets = bind_sockets(port, "127.0.0.1")
        self.url = f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}{prefix}/daskpar"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.advance(0)

    def advance(self, steps: int) -> None:
        """Let all runs that are running go on."""
        self.version += 1
        for run in self.runs:
            if run.state == "running":
                run.step = min(run.steps, run.step + steps)
            run.at_version[self.version] = run.step

    def metrics(self, run: str | None, since: int) -> Mapping[str, Any]:
        """Return the reply of the route."""
        names = dict.fromkeys(name for r in self.runs for name in r.workers)
        workers = [
            {"name": name, "address": f"tcp://127.0.0.1:{5000 + k}", "threads": 1, "memory": 123_456_789 + k,
             "cpu": 93.0, "running": 1}
            for k, name in enumerate(names)
        ]  # fmt: skip
        runs = [r.whole(since) if run in (None, r.id) else r.header() for r in self.runs]
        return {
            "schema": 1, "version": self.version, "time": START, "workers": workers, "runs": runs,
            "dask_pages": ["status", "workers", "tasks", "system", "profile", "graph", "groups", "info"],
        }  # fmt: skip

    def file(self, name: str) -> bytes | None:
        """Return a file of the page."""
        if name in ("charts.js", "charts.css"):
            return (charts.script() if name == "charts.js" else charts.style()).encode()
        path = files(daskpar).joinpath("dashboard", "static", name)
        return path.read_bytes() if path.is_file() else None

    async def _serve(self) -> None:
        scheduler = self

        class Handler(RequestHandler):
            def get(self, name: str = "page.html") -> None:
                scheduler.requests.append(self.request.uri or "")
                self.set_header("Content-Security-Policy", POLICY)
                self.set_header("X-Content-Type-Options", "nosniff")
                if name == "metrics.json":
                    if scheduler.broken:
                        self.send_error(503)
                        return
                    since = int(self.get_argument("since", "0"))
                    self.write(dict(scheduler.metrics(self.get_argument("run", None), since)))
                    return
                text = scheduler.file(name)
                if text is None:
                    self.send_error(404)
                    return
                self.set_header("Content-Type", TYPES[name.rsplit(".")[-1]])
                self.write(text)

            def log_exception(self, *error: Any) -> None:
                """Say nothing of requests that are refused."""

        class Image(RequestHandler):
            def get(self, name: str) -> None:
                self.set_header("Content-Type", TYPES[name.rsplit(".")[-1]])
                self.write(files("distributed.http.static.images").joinpath(name).read_bytes())

        routes = [
            (f"{self.prefix}/daskpar", Handler),
            (rf"{self.prefix}/daskpar/([\w.]+)", Handler),
            (rf"{self.prefix}/statics/images/([\w.-]+)", Image),
        ]
        server = HTTPServer(Application(routes, log_function=lambda handler: None))
        server.add_sockets(self._sockets)
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._stop.wait()
        server.stop()
        await server.close_all_connections()

    def __enter__(self) -> FakeScheduler:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


def example_runs() -> list[FakeRun]:
    """Return runs of several states and layouts, the newest first."""
    reason = "the loss is not finite after step 310; lower the learning rate"
    four = ("0", "1", "2", "3")
    runs = [
        FakeRun("e1", "digits_cnn", step=420, lanes=3, stages=2, branches=2, workers=four[:3]),
        FakeRun("d1", "gpt, asynchronous", step=640, stale=True, difficulty=1.3, lanes=4, workers=four),
        FakeRun("c1", "digits_mlp", step=1000, state="finished", difficulty=0.8, lanes=1, workers=("0",)),
        FakeRun("b1", "too fast", step=310, state="failed", reason=reason, difficulty=1.7),
        FakeRun("a1", "first try", step=200, state="stopped", reason="stopped by Ctrl-C", difficulty=1.1),
    ]
    for run in runs:
        run.marks = [mark(run, s, "checkpoint", f"checkpoint at step {s}") for s in range(100, run.step, 100)]
    runs[0].marks += [
        mark(runs[0], 180, "worker lost", "worker 1 lost; its tasks run again on worker 0"),
        mark(runs[0], 181, "restart", "restart from step 100"),
        mark(runs[0], 260, "worker joined", "worker 2 joined"),
    ]
    return runs


if __name__ == "__main__":
    import time

    with FakeScheduler(example_runs(), port=8899) as scheduler:
        print(scheduler.url)
        while True:
            time.sleep(1)
            scheduler.advance(3)
