"""The learning-rate finder: what it trains, what it suggests, its picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from daskpar import Callback, InputError, Layout, Trainer, find_learning_rate
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits


def make(**options: Any) -> Trainer:
    settings: dict[str, Any] = {"client": THREADED, "batch": 64, "optimizer": "sgd"}
    return Trainer(["flatten", {"dense": 10}], **{**settings, **options})


def numbers(rows: int = 128, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return scale * rng.standard_normal((rows, 3)), rng.standard_normal((rows, 1))


@pytest.mark.parametrize("layout", [Layout(), Layout(data=2, grain="window"), Layout(stages=2)], ids=repr)
def test_rates_grow_by_equal_factors(layout: Layout) -> None:
    trainer = Trainer(
        ["flatten", {"dense": 16}, "relu", {"dense": 10}],
        client=THREADED,
        optimizer={"sgd": {"momentum": 0.5}},
        schedule="cosine",
        layout=layout,
        batch=64,
    )
    found = find_learning_rate(trainer, Digits(), low=1e-4, high=1.0, steps=50)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 1.0, 50), rtol=1e-9)
    assert found.losses.shape == found.smoothed.shape == (50,)
    assert found.suggestion in found.rates and 3e-3 < found.suggestion < 0.5
    assert found.losses[:10].mean() > 2 > found.losses.min()


def test_the_trainer_stays_as_it_is(tmp_path: Path) -> None:
    heard: list[str] = []

    class Hears(Callback):
        def after_evaluation(self, run: Any, record: Any) -> None:
            heard.append("evaluation")

    trainer = make(
        folder=tmp_path / "run",
        callbacks=[Hears()],
        schedule={"reduce_on_plateau": {"monitor": "train.loss"}},
    )
    before = trainer.settings
    find_learning_rate(trainer, Digits(), steps=20)
    assert trainer.settings is before and "state_" not in vars(trainer) and heard == []
    assert not list(tmp_path.rglob("*.safetensors"))
    trainer.fit(Digits())
    fitted, digest = dict(vars(trainer)), trainer.parameters_sha256_
    one, other = (find_learning_rate(trainer, Digits(), steps=20) for _ in range(2))
    assert vars(trainer).items() >= fitted.items() and trainer.parameters_sha256_ == digest
    np.testing.assert_array_equal(one.losses, other.losses)
    assert heard == ["evaluation"]


def test_it_ends_when_the_loss_runs_away() -> None:
    trainer = Trainer([{"dense": 1}], loss="mean_squared_error", optimizer="sgd", client=THREADED)
    found = find_learning_rate(trainer, *numbers(scale=10), low=1e-5, high=100.0, steps=200)
    assert 20 < len(found.losses) < 150 and found.rates[-1] < 1
    assert found.smoothed[-1] > 4 * found.smoothed.min() or not np.isfinite(found.losses[-1])


@pytest.mark.parametrize("seed", range(4))
def test_no_suggestion_where_nothing_can_be_learnt(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((640, 4)), rng.integers(0, 4, 640)
    options: dict[str, Any] = {"client": THREADED, "batch": 16, "seed": seed}
    found = find_learning_rate(Trainer([{"dense": 4}], **options), x, y, low=1e-9, high=1e-4)
    assert found.suggestion is None and "none, the loss does not fall" in repr(found)
    y = (x @ rng.standard_normal((4, 4))).argmax(1)
    assert find_learning_rate(Trainer([{"dense": 4}], **options), x, y).suggestion is not None


@pytest.mark.parametrize(
    "trainer, options, message",
    [
        ("adam", {}, "trainer='adam': expected a Trainer"),
        (make(), {"low": 0}, "low=0.0, high=1.0: expected 0 < low < high"),
        (make(), {"low": 1, "high": 0.1}, "expected 0 < low < high"),
        (make(), {"steps": 9}, "steps=9 must be at least 10"),
        (make(), {"steps": "many"}, "find_learning_rate: steps='many': expected a whole number"),
    ],
)
def test_refusals(trainer: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        find_learning_rate(trainer, Digits(), **options)


def test_a_loss_that_is_not_finite_at_once_is_told() -> None:
    trainer = Trainer([{"dense": 1}], loss="mean_squared_error", optimizer="sgd", client=THREADED)
    with pytest.raises(InputError, match="not finite at a rate of 1e-06 already"):
        find_learning_rate(trainer, *numbers(scale=1e30))


def test_the_picture(tmp_path: Path) -> None:
    found = find_learning_rate(make(), Digits(), low=1e-3, high=10.0, steps=40)
    root = ElementTree.parse(found.plot(tmp_path / "rate.svg")).getroot()
    svg = "{http://www.w3.org/2000/svg}"
    raw, smoothed = (line.get("points", "").split() for line in root.findall(f"{svg}polyline"))
    assert len(raw) == len(smoothed) == len(found.losses)
    x, y = zip(*(map(float, point.split(",")) for point in smoothed), strict=True)
    assert list(x) == sorted(x) and max(y) <= 320 and min(y) >= 0
    texts = [text.text for text in root.findall(f"{svg}text")]
    assert f"suggestion {found.suggestion:.2g}" in texts and {"1e-3", "1e-2", "1e-1", "1"} <= set(texts)
    page = found.plot(tmp_path / "rate.html").read_text()
    assert page.startswith("<!doctype html>") and found._repr_html_() in page and len(page) < 20_000
    assert f"{found.suggestion:.2g}" in repr(found)
    with pytest.raises(InputError, match=r"expected a file that ends in \.svg or \.html"):
        found.plot(tmp_path / "rate.png")
