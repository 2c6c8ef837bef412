"""Progress as it looks: on terminals of any width, in logs, and in a notebook's block."""

from __future__ import annotations

import io
import re
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from daskpar import Callback, Ensemble, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.nn.metrics import Accuracy
from daskpar.terminal import Terminal
from daskpar.train.labels import Scale, clock, score
from daskpar.train.progress import counter, progress
from daskpar.train.progress.audience import SCREEN
from daskpar.train.progress.bar import Bar, BarProgress
from daskpar.train.progress.counter import counting
from daskpar.train.progress.lines import LineProgress
from daskpar.train.progress.meter import Meter, Throttle
from daskpar.train.progress.notebook import NotebookProgress

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((96, 4)).astype("float32"), rng.integers(0, 2, 96)
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def free_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that fails half-way leaves nothing to the next."""
    monkeypatch.setattr(SCREEN, "_owner", None)


def console(width: int) -> Terminal:
    return Terminal(file=Tty(), width=width, force_terminal=True, color_system=None)


def fitted(shown: Callback, **settings: Any) -> Trainer:
    common: dict[str, Any] = {"batch": 16, "metrics": ["accuracy"], "client": THREADED}
    return Trainer([{"dense": 2}], **{**common, **settings}, callbacks=[shown]).fit(X, Y, validation=0.25)


def lines(terminal: Terminal) -> list[str]:
    text = CODES.sub("", terminal.file.getvalue())  # type: ignore[attr-defined]
    return [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]


def screen_is_free() -> bool:
    me = object()
    free = SCREEN.claim(me)
    SCREEN.release(me)
    return free


class FakeRun(SimpleNamespace):
    """A run of two epochs of five steps, as far as progress looks at it."""

    def __init__(self) -> None:
        order = SimpleNamespace(steps=5, first_step=0, drawn=lambda step: 16 * step)
        spec = SimpleNamespace(order=order, out_shape=(1,), metrics=(), units=None)
        super().__init__(steps_planned_=10, steps_run_=0, steps=None, seconds_=1.0, spec_=spec)
        self.workers_: tuple[int, int] | None = None
        self.history_: list[dict[str, Any]] = []
        self.begun_ = {"step": 0, "epoch": 0.0}

    def steps_done(self, shown: Any, *steps: int) -> None:
        for step in steps:
            shown.after_steps(self, [(step - 1, (0.5, 1.0), 0.1)])

    def evaluated(self, shown: Any, step: int, loss: float) -> None:
        scores = {"train": {"loss": loss}, "validation": {}}
        self.history_.append({"step": step, "epoch": step / 5, "examples_per_second": 8.0, **scores})
        shown.after_evaluation(self, self.history_[-1])


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_a_line_of_a_terminal_is_enough(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = console(width)
    fitted(BarProgress(terminal), epochs=3)
    shown = lines(terminal)
    assert max(map(len, shown)) <= width
    assert max(len(line) for line in shown if line.startswith("epoch ")) <= min(width, 120)


def test_a_table_with_one_head_and_aligned_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = console(80)
    trainer = fitted(BarProgress(terminal), epochs=12)
    shown = lines(terminal)
    heads = [line for line in shown if line.lstrip().startswith("epoch ") and "time" in line]
    rows = [line for line in shown if re.match(r" *\d+/12 ", line)]
    assert len(heads) == 1 and heads[0].split() == "epoch loss accuracy loss accuracy examples/s time".split()
    assert len(rows) == 12 and {len(row) for row in rows} == {len(heads[0])}
    assert len({tuple(m.end() for m in re.finditer(r"\S+", row)) for row in rows}) == 1
    record = trainer.history_[-1]
    wanted = [record[part][name] for part in ("train", "validation") for name in ("loss", "accuracy")]
    assert rows[-1].split()[:5] == ["12/12", *map(score, wanted)]


def test_the_bar_moves_within_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BarProgress, "seconds_between_updates", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    terminal, run = console(80), FakeRun()
    shown = BarProgress(terminal)
    shown.before_training(run)  # type: ignore[arg-type]
    run.steps_done(shown, 1, 5, 6, 10)
    shown.close()
    wanted = re.compile(r"(epoch \d/2) +\S+ +(\d/5)  loss 0.5000")
    bars = [wanted.match(line) for line in lines(terminal)]
    places = list(dict.fromkeys((bar[1], bar[2]) for bar in bars if bar))
    assert places == [("epoch 1/2", "1/5"), ("epoch 1/2", "5/5"), ("epoch 2/2", "1/5"), ("epoch 2/2", "5/5")]
    assert re.search(r" [\d,]+ examples/s  0:00 left$", lines(terminal)[-1])
    terminal.file.truncate(0)
    run.steps_done(shown, 10)
    assert lines(terminal) == [], "nothing moves after the end"


@pytest.mark.parametrize(
    "settings, first, bar",
    [
        ({"steps": 3}, "3/3", "step 3/3"),
        ({"steps": 12, "evaluate_every": "6 steps"}, "6/12", "step 12/12"),
        ({"epochs": 2}, "1/2", "epoch 2/2"),
        ({"epochs": 2, "evaluate_every": "2 steps"}, "2/10", "epoch 2/2"),
    ],
    ids=["less than an epoch", "steps", "epochs", "epochs evaluated by steps"],
)
def test_a_run_is_counted_as_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], first: str, bar: str
) -> None:
    monkeypatch.setattr(BarProgress, "seconds_between_updates", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    terminal, log = console(80), Terminal(file=io.StringIO(), width=80)
    fitted(BarProgress(terminal), **settings)
    fitted(LineProgress(log), **settings)
    unit = "epoch" if first == "1/2" else "step"
    assert any(re.match(rf" *{first} ", line) for line in lines(terminal))
    assert any(line.startswith(f"{bar} ") for line in lines(terminal))
    assert lines(log)[0].startswith(f"{unit} {first}  {'step' if unit == 'epoch' else 'epoch'} ")
    assert not any("0/0" in line for line in lines(log) + lines(terminal))


def test_a_line_in_a_log_is_complete() -> None:
    log = Terminal(file=io.StringIO(), width=80)
    trainer = fitted(LineProgress(log), epochs=2)
    loss = trainer.history_[0]["validation"]["loss"]
    shown = lines(log)
    assert len(shown) == 2 and shown[0].startswith("epoch 1/2  step 5/10  train.loss ")
    assert f"validation.loss {loss:.4f}" in shown[0] and shown[0].endswith(" examples/s")


class Clock:
    """A clock that is set by hand."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Waits(Callback):
    """Lets a clock go on at each evaluation."""

    def __init__(self, clock: Clock, seconds: float):
        self.clock, self.seconds = clock, seconds

    def after_evaluation(self, run: Any, record: Any) -> None:
        self.clock.seconds += self.seconds


@pytest.mark.parametrize(
    "seconds, epochs", [(0.1, [1, 40]), (1.0, [*range(1, 41, 5), 40]), (5.0, range(1, 41))]
)
def test_evaluations_have_at_most_a_line_in_five_seconds(seconds: float, epochs: Any) -> None:
    log, clock = Terminal(file=io.StringIO(), width=80), Clock()
    callbacks = [Waits(clock, seconds), LineProgress(log, clock)]
    trainer = Trainer([{"dense": 2}], epochs=40, batch=96, client=THREADED, callbacks=callbacks).fit(X, Y)
    assert [line.split("  ")[0] for line in lines(log)] == [f"epoch {k}/40" for k in epochs]
    assert len(trainer.history_) == 40


def test_the_last_line_is_there_when_a_run_ends_early() -> None:
    class Stops(Callback):
        def after_evaluation(self, run: Any, record: Any) -> bool:
            return record["step"] == 12

    log = Terminal(file=io.StringIO(), width=80)
    callbacks = [Stops(), LineProgress(log, Clock())]
    Trainer([{"dense": 2}], epochs=9, batch=24, client=THREADED, callbacks=callbacks).fit(X, Y)
    assert [line.split("  ")[0] for line in lines(log)] == ["epoch 1/9", "epoch 3/9"]


@pytest.mark.parametrize(
    "seconds, marks", [(5.0, ["", "best loss so far", "best loss 0.3000 in epoch 1"]), (1.0, [""])]
)
def test_lines_name_the_best_so_far(seconds: float, marks: list[str]) -> None:
    """Also where the best evaluation had no line."""
    log, clock, run = Terminal(file=io.StringIO(), width=80), Clock(), FakeRun()
    shown = LineProgress(log, clock)
    shown.before_training(run)  # type: ignore[arg-type]
    for step, loss in ((2, 0.5), (5, 0.3), (8, 0.4)):
        run.evaluated(shown, step, loss)
        clock.seconds += seconds
    found = [re.split(r"examples/s *", line)[1] for line in lines(log)]
    assert found == marks
    run.evaluated(shown, 10, 0.35)
    assert lines(log)[-1].endswith(
        "examples/s  best loss 0.3000 in epoch 1" if seconds < 5 else " in epoch 1"
    )


def test_a_long_epoch_has_lines_within_it() -> None:
    log, clock, run = Terminal(file=io.StringIO(), width=80), Clock(), FakeRun()
    shown = LineProgress(log, clock)
    shown.before_training(run)  # type: ignore[arg-type]
    for step, seconds in ((1, 20), (2, 10), (3, 20), (4, 20)):
        clock.seconds += seconds
        run.steps_done(shown, step)
    clock.seconds += 20
    run.evaluated(shown, 5, 0.4)
    clock.seconds += 20
    run.steps_done(shown, 6)
    shown.evaluating(1, 3)
    clock.seconds += 20
    shown.evaluating(2, 3)
    shown.close()
    assert lines(log) == [
        "epoch 1/2  step 2/10  loss 0.5000  2 examples/s  1:20 left",
        "epoch 1/2  step 4/10  loss 0.5000  1 examples/s  1:40 left",
        "epoch 1/2  step 5/10  train.loss 0.4000  8 examples/s",
        "evaluate 2/3  1:12 left",
    ]


def test_a_run_without_progress_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for verbose in (None, 0, False):
        Trainer([{"dense": 2}], client=THREADED, verbose=verbose).fit(X, Y)
    assert capfd.readouterr() == ("", "")
    Trainer([{"dense": 2}], client=THREADED, verbose=1).fit(X, Y)
    assert capfd.readouterr().out.startswith("epoch 1/1  step 3/3  train.loss ")


def test_what_others_print_stays_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Talks(Callback):
        def after_evaluation(self, run: Any, record: Any) -> None:
            sys.stdout.write("a word\n")

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Tty())
    terminal = Terminal(force_terminal=True, width=80, color_system=None)
    Trainer([{"dense": 2}], client=THREADED, callbacks=[Talks(), BarProgress(terminal)]).fit(X, Y)
    assert "a word" in lines(terminal) and screen_is_free()


def test_the_screen_is_free_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fails(Callback):
        def after_steps(self, run: Any, entries: Any) -> None:
            raise RuntimeError

    monkeypatch.setenv("TERM", "xterm")
    before = sys.stdout
    with pytest.raises(RuntimeError):
        Trainer([{"dense": 2}], client=THREADED, callbacks=[BarProgress(console(80)), Fails()]).fit(X, Y)
    assert sys.stdout is before and screen_is_free()


def test_of_an_ensemble_one_member_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = Ensemble([{"dense": 2}], members=3, client=THREADED, verbose=1).fit(X, Y)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("member 1/3  epoch 1/1  step 3/3  train.loss ")
    assert trainer.verbose == 1
    monkeypatch.setattr(sys, "stdout", Tty())
    monkeypatch.setenv("TERM", "xterm")
    Ensemble([{"dense": 2}], members=3, client=THREADED).fit(X, Y)
    assert "member 1/3, epoch 1/1" in CODES.sub("", sys.stdout.getvalue())  # type: ignore[attr-defined]


def test_a_dumb_terminal_has_rows_and_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = console(80)
    fitted(BarProgress(terminal), epochs=2)
    assert len(lines(terminal)) == 9 and "\x1b" not in terminal.file.getvalue()  # type: ignore[attr-defined]


# a notebook


class Display:
    """A notebook that remembers its outputs; an output that is brought up to date stays one."""

    def __init__(self) -> None:
        self.outputs: list[list[Any]] = []

    def display(self, block: Any, display_id: bool) -> Any:
        assert display_id
        output = [block]
        self.outputs.append(output)
        return SimpleNamespace(update=output.append)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Display:
    notebook = Display()
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=notebook.display))
    return notebook


def test_a_notebook_has_one_live_block(notebook: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotebookProgress, "seconds_between_updates", 0.0)
    trainer = Trainer([{"dense": 2}], batch=16, epochs=20, client=THREADED).fit(X, Y)
    assert len(notebook.outputs) == 1 and len(notebook.outputs[0]) > 20
    html = [block._repr_html_() for block in notebook.outputs[0]]
    assert "epoch 1/20" in html[0] and "<table" not in html[0]
    assert "20/20" in html[-1] and score(trainer.history_[-1]["train"]["loss"]) in html[-1]
    assert "120 steps in" in html[-1] and "5 earlier evaluations" in html[-1]
    assert html[-1].count("<tr>") == 2 + 15, "the block does not grow for ever"
    text = repr(notebook.outputs[0][-1])
    assert max(map(len, text.splitlines())) <= 80 and "120 steps in" in text.splitlines()[-1]


def test_the_bar_of_a_notebook_moves_within_the_epoch(
    notebook: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NotebookProgress, "seconds_between_updates", 0.0)
    shown, run = NotebookProgress(), FakeRun()
    shown.before_training(run)  # type: ignore[arg-type]
    run.steps_done(shown, 1, 5, 6)
    (output,) = notebook.outputs
    widths = [re.findall(r"width:([\d.]+)%;", block._repr_html_())[0] for block in output]
    assert widths == ["0.0", "20.0", "100.0", "20.0"] and "epoch 2/2" in repr(output[-1])
    shown.close()


def test_a_notebook_is_silent_on_demand(notebook: Display) -> None:
    Trainer([{"dense": 2}], client=THREADED, verbose=0).fit(X, Y)
    assert notebook.outputs == []


def test_a_block_tells_that_a_run_was_stopped(notebook: Display) -> None:
    class Fails(Callback):
        def after_steps(self, run: Any, entries: Any) -> None:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        Trainer([{"dense": 2}], batch=16, client=THREADED, callbacks=[Fails()]).fit(X, Y)
    assert re.search(r"stopped after step \d of 6", repr(notebook.outputs[0][-1]))
    assert screen_is_free()


def test_names_in_a_block_are_escaped(notebook: Display) -> None:
    run, shown = FakeRun(), NotebookProgress()
    shown.before_training(run)  # type: ignore[arg-type]
    record = {
        "step": 2,
        "epoch": 1.0,
        "seconds": 1.0,
        "examples_per_second": 2.0,
        "train": {"<b>": 1.0},
        "validation": {},
    }
    shown.after_evaluation(run, record)  # type: ignore[arg-type]
    shown.close()
    html = notebook.outputs[0][-1]._repr_html_()
    assert "<b>" not in html and "&lt;b&gt;" in html


def test_a_real_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[Any] = []
    monkeypatch.setattr(display, "display", lambda block, display_id: shown.append(block) or Handle())

    class Handle:
        def update(self, block: Any) -> None:
            shown.append(block)

    fitted(NotebookProgress(), epochs=2)
    formatter = pytest.importorskip("IPython.core.formatters").HTMLFormatter()
    assert "<table" in formatter(shown[-1])


# counting


def test_a_count_that_takes_a_while_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "_PATIENCE", 0.0)
    monkeypatch.setattr(counter, "Throttle", lambda seconds: Throttle(0.0))
    monkeypatch.setattr(sys, "stdout", Tty())
    monkeypatch.setenv("TERM", "xterm")
    x = np.repeat(X, 10, axis=0)
    trainer = Trainer([{"dense": 2}], client=THREADED, verbose=0, chunk_rows=100).fit(X, Y)
    wanted = trainer.evaluate(x, np.repeat(Y, 10))
    assert sys.stdout.getvalue() == ""  # type: ignore[attr-defined]
    trainer.verbose = None
    assert trainer.evaluate(x, np.repeat(Y, 10)) == wanted
    shown = CODES.sub("", sys.stdout.getvalue())  # type: ignore[attr-defined]
    assert "evaluate test" in shown and "10/10" in shown
    trainer.verbose = 0
    wanted = trainer.predict(x)
    assert "predict" not in sys.stdout.getvalue()  # type: ignore[attr-defined]
    trainer.verbose = None
    np.testing.assert_array_equal(trainer.predict(x), wanted)
    shown = CODES.sub("", sys.stdout.getvalue())  # type: ignore[attr-defined]
    assert "predict" in shown and "4/4" in shown, "960 rows are four times 256"


def test_a_quick_count_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Tty())
    with counting("evaluate test", range(3), None) as count:
        assert count is not None
        for thing in (0, 0, 1, 2, 7):
            count(thing)
    assert sys.stdout.getvalue() == ""  # type: ignore[attr-defined]


def test_a_count_in_a_notebook(notebook: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "_PATIENCE", 0.0)
    monkeypatch.setattr(counter, "Throttle", lambda seconds: Throttle(0.0))
    with counting("evaluate <test>", range(3), None) as count:
        assert count is not None
        for thing in range(3):
            count(thing)
    (output,) = notebook.outputs
    assert "evaluate &lt;test&gt;" in output[0]._repr_html_() and "3/3" in repr(output[-1])


# its parts


def test_a_throttle_lets_few_through() -> None:
    moments = iter([0.0, 0.05, 0.09, 0.1, 0.15, 0.3])
    due = Throttle(0.1, lambda: next(moments))
    assert [due() for _ in range(6)] == [True, False, False, True, False, True]


def test_the_time_left_is_by_the_pace_of_late() -> None:
    moments = iter([10.0, 11.0, 13.0])
    meter = Meter(total=10, now=lambda: next(moments))
    meter.reach(2)
    assert meter.left is None
    meter.reach(4)
    assert meter.left == 3.0
    meter.reach(6)
    assert meter.left == 3.0


@pytest.mark.parametrize(
    "value, text",
    [
        (0.0, "0.0000"),
        (0.12345, "0.1235"),
        (9999.5, "9999.5000"),
        (12345.6, "1.235e+04"),
        (-12345.6, "-1.23e+04"),
        (-1e-9, "-1.00e-09"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_a_score_keeps_to_its_column(value: float, text: str) -> None:
    assert score(value) == text and len(text) <= 9


def test_times_and_positions() -> None:
    assert [clock(s) for s in (0, 5.4, 65, 3723)] == ["0:00", "0:05", "1:05", "1:02:03"]
    scale = Scale(first=0, steps=12, per_epoch=5)
    assert [scale.position(step) for step in (0, 5, 6, 12)] == [
        ("epoch 1/3", 0, 5),
        ("epoch 1/3", 5, 5),
        ("epoch 2/3", 1, 5),
        ("epoch 3/3", 2, 2),
    ]


def test_positions_of_a_run_that_goes_on() -> None:
    other_data = Scale(first=12, steps=22, per_epoch=5, epochs_from=12, epochs_before=3.0)
    again = Scale(first=10, steps=20, per_epoch=5)
    assert again.position(10) == ("epoch 3/4", 0, 5) and again.position(15) == ("epoch 3/4", 5, 5)
    assert other_data.position(12) == ("epoch 4/5", 0, 5) and other_data.position(22) == ("epoch 5/5", 5, 5)
    assert other_data.of_record({"epoch": 4.0}) == "4/5"
    in_steps = Scale(first=100, steps=110, per_epoch=5, in_steps=True, rows_in_steps=True)
    assert in_steps.position(101) == ("step 101/110", 1, 10)


def test_a_fit_that_goes_on_is_counted_from_there() -> None:
    log = Terminal(file=io.StringIO(), width=80)
    shown = LineProgress(log)
    trainer = fitted(shown, epochs=2)
    trainer.fit(X, Y)
    trainer.fit(X[:48], Y[:48])
    epochs = [line.split("  ")[0] for line in lines(log)]
    assert epochs == ["epoch 1/2", "epoch 2/2"] + [f"epoch {k}/4" for k in (3, 4)] + [
        "epoch 5/6",
        "epoch 6/6",
    ]


def test_an_evaluation_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BarProgress, "seconds_between_updates", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    terminal = console(80)
    fitted(BarProgress(terminal), chunk_rows=8)
    bars = [re.match(r"evaluate +\S+ +(\d/3)\b", line) for line in lines(terminal)]
    assert {"1/3", "2/3", "3/3"} <= {bar[1] for bar in bars if bar}


def test_notes_without_room_stand_below_the_bar_or_are_left_out() -> None:
    notes = {"rate": "1,000 examples/s", "loss": "loss 0.1234", "count": "3/9", "left": "0:10 left"}
    texts = []
    for width in (80, 60, 50, 24, 12):
        terminal = console(width)
        terminal.print(Bar("epoch 1/2", 3, 9, notes))
        shown = lines(terminal)
        assert max(map(len, shown)) <= width
        texts.append([[name for name, note in notes.items() if note in line] for line in shown])
    assert texts == [
        [["rate", "loss", "count", "left"]],
        [["count", "left"], ["rate", "loss"]],
        [["count", "left"], ["rate", "loss"]],
        [[], ["count", "left"]],
        [[]],
    ]


def test_beside_the_bar_are_the_first_metric_and_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BarProgress, "seconds_between_updates", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    terminal, run, clock = console(120), FakeRun(), Clock()
    run.spec_.metrics = (Accuracy(), Accuracy(name="another"))
    shown = BarProgress(terminal, clock)
    shown.before_training(run)  # type: ignore[arg-type]
    for step, workers in enumerate([(4, 4), (3, 4), None]):
        run.workers_ = workers
        entries = [
            (2 * step, (0.4, 2.0, 1.0, 2.0, 0, 1), 0.1),
            (2 * step + 1, (0.6, 2.0, 2.0, 2.0, 0, 1), 0.1),
        ]
        shown.after_steps(run, entries)  # type: ignore[arg-type]
        clock.seconds += 2.0
    shown.close()
    bars = list(dict.fromkeys(line.split("/5  ")[1] for line in lines(terminal) if "loss" in line))
    assert bars == [
        "loss 0.2500  accuracy 0.7500  4/4 workers",
        "loss 0.2500  accuracy 0.7500       16 examples/s  3/4 workers  0:06 left",
        "loss 0.2500  accuracy 0.7500       16 examples/s  0:04 left",
    ]
    shown.workers = (3, 4)
    assert [*shown.notes][-2:] == ["workers", "left"], "that a worker is missing is more important"


def test_progress_goes_where_its_console_does() -> None:
    assert isinstance(progress(console(80)), BarProgress)
    assert isinstance(progress(Terminal(file=io.StringIO())), LineProgress)
