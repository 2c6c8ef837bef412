"""Trainers, models, layouts and histories as people look at them, in text and in HTML."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskpar import (
    Adam,
    Callback,
    Clip,
    Dense,
    Dropout,
    EarlyStopping,
    Ensemble,
    Flatten,
    InputError,
    Layout,
    ReLU,
    Residual,
    Sequential,
    Trainer,
)
from daskpar.cluster.executor import THREADED
from daskpar.nn.layer import Layer
from daskpar.train.checkpoint import Checkpoints
from daskpar.train.history import to_json
from daskpar.train.history_list import History

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((96, 4)).astype("float32"), rng.integers(0, 2, 96)
MODEL: list[Any] = [{"dense": 8}, "relu", {"dense": 2}]


@pytest.fixture(scope="module")
def trained() -> Trainer:
    settings: dict[str, Any] = {"batch": 16, "epochs": 2, "metrics": ["accuracy"], "client": THREADED}
    return Trainer(MODEL, **settings).fit(X, Y, validation=0.25)


@dataclass(frozen=True)
class Mine(Layer):
    """A layer of somebody's own."""

    units: int
    bias: bool = True


@pytest.mark.parametrize(
    "thing, text",
    [
        (Layout(), "Layout()"),
        (Layout(data=2, grain="layer"), "Layout(data=2, grain='layer')"),
        (Dense(16), "Dense(units=16)"),
        (Adam(lr=0.1), "Adam(lr=0.1)"),
        (EarlyStopping(patience=3), "EarlyStopping(patience=3)"),
        (Mine(3, bias=False), "Mine(3, bias=False)"),
        (
            Sequential([Flatten(), Dense(8), Residual([ReLU(), Dropout(0.5)])]),
            "Sequential([Flatten(), Dense(units=8), Residual([ReLU(), Dropout(0.5)])])",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_block_is_the_call_that_makes_it(thing: Any, text: str) -> None:
    assert repr(thing) == text
    assert type(thing).__name__ in thing._repr_html_()
    assert repr(eval(text)) == text


def test_html_of_blocks_tells_what_fields_mean() -> None:
    html = Layout(data=2)._repr_html_()
    assert "<code>2</code>" in html and "lanes" in html and "stages" not in html
    html = Sequential([Dense(8), ReLU()])._repr_html_()
    assert html.count("<tr>") == 2 and "<code>Dense(units=8)</code>" in html


def test_a_trainer_shows_what_is_not_as_usual() -> None:
    assert repr(Trainer(MODEL)) == "Trainer([{'dense': 8}, 'relu', {'dense': 2}])"
    assert repr(Trainer(Sequential([Dense(2)]), batch=8)) == "Trainer([Dense(units=2)], batch=8)"
    assert repr(Ensemble(["relu"], members=3, seed=1)) == "Ensemble(['relu'], members=3, seed=1)"


def test_a_long_trainer_takes_a_few_lines() -> None:
    class Own(Callback):
        pass

    layers = [Dropout(k / 40) for k in range(40)]
    settings: dict[str, Any] = {"layout": Layout(data=2), "clip": Clip(norm=1.0), "epochs": 100}
    trainer = Trainer(layers, callbacks=[Own()], folder=Path("/runs/a"), **settings)
    lines = repr(trainer).splitlines()
    assert 1 < len(lines) < 5 and max(map(len, lines)) <= 110
    text = " ".join(line.strip() for line in lines)
    assert "Dropout(0.025), ... 37 more, Dropout(0.975)]" in text
    assert "layout=Layout(data=2)" in text and "callbacks=[Own(...)]" in text and "folder='/runs/a'" in text


def test_html_of_a_trainer(trained: Trainer) -> None:
    html = trained._repr_html_()
    assert "after 10 steps" in html and ">dense units=8<" in html and "seed" not in html
    assert "not fitted yet" in Trainer(MODEL)._repr_html_()
    assert "<i>" not in Trainer(MODEL, folder="<i>")._repr_html_()


def test_a_history_is_a_table(trained: Trainer) -> None:
    lines = repr(trained.history_).splitlines()
    assert lines[0].split() == ["train", "validation"]
    assert lines[1].split() == "epoch step loss accuracy loss accuracy examples/s time".split()
    assert [line.split()[:2] for line in lines[2:4]] == [["1", "5"], ["2", "10"]]
    assert lines[-1] == "2 evaluations; the values of all 10 steps are in .each_step"
    assert max(map(len, lines)) <= 80
    html = trained.history_._repr_html_()
    assert html is not None and html.count("<tr>") == 4 and "10 steps" in html
    assert f"{trained.history_[-1]['validation']['loss']:.4f}" in html


def test_a_history_is_a_list_of_records(trained: Trainer) -> None:
    history = trained.history_
    plain = list(history)
    assert history == plain and plain == history and isinstance(history, list)
    assert json.loads(json.dumps(history)) == plain == json.loads(to_json(history))
    for other in (pickle.loads(pickle.dumps(history)), copy.deepcopy(history), history[:], history.copy()):
        assert isinstance(other, History) and other == history and repr(other) == repr(history)
    assert isinstance(history[-1], dict) and type(list(history)) is list
    assert repr(History()) == "[]" and History()._repr_html_() is None
    assert repr(History([{"a": 1}])) == "[{'a': 1}]" and History([{"a": 1}])._repr_html_() is None


def test_values_of_steps_stand_apart(trained: Trainer) -> None:
    steps = trained.history_.each_step
    assert steps["step"] == list(range(1, 11))
    assert steps["loss"] == [loss for record in trained.history_ for loss in record["each_step"]["loss"]]
    assert len(steps["lr"]) == 10
    assert trained.history_[1:].each_step["step"] == list(range(6, 11))


def test_a_long_history_shows_its_ends(trained: Trainer) -> None:
    record = trained.history_[0]
    history = History([{**record, "step": k, "epoch": float(k), "each_step": {}} for k in range(1, 101)])
    lines = repr(history).splitlines()
    assert len(lines) == 2 + 31 + 1 and lines[17] == "..."
    assert lines[16].split()[0] == "15" and lines[18].split()[0] == "86"
    html = history._repr_html_()
    assert html is not None and html.count("<tr>") == 2 + 31


def test_histories_are_tables_after_a_resumption_and_from_a_checkpoint(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"batch": 16, "folder": tmp_path, "client": THREADED}
    Trainer(MODEL, epochs=1, **settings).fit(X, Y)
    resumed = Trainer(MODEL, epochs=2, **settings).fit(X, Y, resume=True)
    assert isinstance(resumed.history_, History) and len(resumed.history_) == 2
    final = Checkpoints(tmp_path / "checkpoints").named("final")
    assert final is not None
    restored = Trainer(MODEL, **settings).restore(final)
    assert isinstance(restored.history_, History) and restored.history_ == resumed.history_


def test_summary(trained: Trainer) -> None:
    summary = trained.summary()
    assert (
        summary.total["parameters"] == 4 * 8 + 8 + 8 * 2 + 2 == Trainer(MODEL).summary(4).total["parameters"]
    )
    assert repr(summary) == repr(Trainer(MODEL).summary([4]))
    text, html = repr(summary), summary._repr_html_()
    for word in ("input 4", "dense units=8", "relu", "total", "58", "bytes kept"):
        assert word in text and word in html
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    "shape, line",
    [
        (None, "summary: give the shape of an example"),
        ("4", "summary.in_shape='4': expected a list, each a whole number"),
        ((0,), "summary.in_shape=0 must be at least 1"),
    ],
)
def test_summaries_that_are_refused(shape: Any, line: str) -> None:
    with pytest.raises(InputError, match=line):
        Trainer(MODEL).summary(shape)


def test_plot(trained: Trainer, tmp_path: Path) -> None:
    curves = trained.plot(tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    assert text == curves.html() and '"name":"accuracy"' in text and len(text) < 400_000
    assert "iframe" in curves._repr_html_() and "after step 10" in repr(curves)
    assert tuple(curves.larger) == ("accuracy",)
    with pytest.raises(InputError, match="cannot be written"):
        trained.plot(tmp_path / "none" / "a.html")
    with pytest.raises(InputError, match="plot: there is no evaluation yet"):
        Trainer(MODEL).plot()


def test_plot_while_the_training_goes_on() -> None:
    class Plots(Callback):
        steps: list[str] = []  # noqa: RUF012

        def after_evaluation(self, run: Any, record: Any) -> None:
            self.steps.append(repr(run.plot()))

    Trainer(MODEL, batch=16, epochs=2, client=THREADED, callbacks=[Plots()]).fit(X, Y)
    assert ["after step 6" in Plots.steps[0], "after step 12" in Plots.steps[1]] == [True, True]
