"""Training on a text: the same bits everywhere, what is evaluated, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bigram import Bigram

from daskpar import InputError, Layout, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits, Text, split_text

TEXT = "how much wood would a woodchuck chuck if a woodchuck could chuck wood? " * 30
KNOWN = len(set(TEXT))


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "a.txt").write_text(TEXT)
    return str(tmp_path / "a.txt")


def make(**options: Any) -> Trainer:
    settings: dict[str, Any] = {"batch": 32, "steps": 40, "optimizer": {"adam": 0.05}, "client": THREADED}
    return Trainer([Bigram(KNOWN)], **{**settings, **options})


def test_layouts_and_clusters_agree(path: str, threads_client: Any, processes_client: Any) -> None:
    train, validation, _ = split_text(Text(path, 8), 0.1, 0.0)
    expected = make(layout=Layout(data=2)).fit(train, validation=validation)
    for client in (threads_client, processes_client):
        found = make(layout=Layout(data=2), client=client).fit(train, validation=validation)
        assert found.parameters_sha256_ == expected.parameters_sha256_
        assert found.history_[-1]["validation"] == expected.history_[-1]["validation"]
    for layout in (Layout(), Layout(grain="window"), Layout(data=4, grain="layer")):
        found = make(layout=layout).fit(train, validation=validation)
        np.testing.assert_allclose(found.state_.params, expected.state_.params, atol=1e-5)


def test_it_learns_which_character_follows(path: str) -> None:
    trainer = make(steps=150).fit(Text(path, 8), validation=0.1)
    losses = [trainer.history_[-1][part]["loss"] for part in ("train", "validation")]
    pairs = np.zeros((KNOWN, KNOWN))
    tokens = np.searchsorted(sorted(set(TEXT)), list(TEXT))
    np.add.at(pairs, (tokens[:-1], tokens[1:]), 1)
    chances = pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1)
    best = -np.sum(pairs[pairs > 0] * np.log(chances[pairs > 0])) / pairs.sum()
    assert losses[1] == pytest.approx(best, abs=0.05)


def test_a_short_run_sees_all_of_the_text(path: str) -> None:
    trainer = make(steps=1, batch=16).fit(Text(path, 8))
    order = trainer.spec_.order
    assert [len(order.bounds(stream)) - 1 for stream in range(order.streams)] == [1] * 16
    assert order.chunk_rows == order.rows  # however long the text is
    assert make(steps=1, chunk_rows=50).fit(Text(path, 8)).spec_.order.chunk_rows == 50


def test_training_text_is_evaluated_side_by_side(path: str) -> None:
    """By hand: every character once, not once a window that it lies in."""
    trainer = make(metrics=["accuracy"]).fit(Text(path, 8))
    x, y = Text(path, 8).once().arrays()
    right = trainer.predict(x, "classes") == y
    assert trainer.evaluate(Text(path, 8))["accuracy"] == pytest.approx(right.mean(), abs=1e-12)


def test_characters_travel_with_the_weights(path: str, tmp_path: Path) -> None:
    trainer = make(folder=tmp_path / "run").fit(Text(path, 8))
    Path(path).rename(tmp_path / "moved.txt")
    again = make().restore(tmp_path / "run" / "checkpoints" / "final")
    assert again.names_ == trainer.names_ == tuple(sorted(set(TEXT)))


def test_other_characters_are_not_resumed(path: str, tmp_path: Path) -> None:
    make(folder=tmp_path / "run").fit(Text(path, 8))
    Path(path).write_text(TEXT.replace("?", "!"))
    with pytest.raises(InputError, match="made with other characters or classes than the data have now"):
        make(folder=tmp_path / "run", steps=50).fit(Text(path, 8), resume=True)


def test_refused(path: str) -> None:
    with pytest.raises(InputError) as error:
        Trainer(["flatten", {"dense": 3}], client=THREADED).fit(Text(path, 8))
    assert str(error.value) == (
        "layer 0: flatten: the examples are numbers of characters; begin the model with a layer that takes "
        "those, such as embedding"
    )
    with pytest.raises(InputError, match="distribution stratified needs integer classes, one a row"):
        make(distribution="stratified", steps=1).fit(Text(path, 8))
    with pytest.raises(InputError, match="the text has 14 characters, the model 5 outputs"):
        Trainer([Bigram(5)], client=THREADED).fit(Text(path, 8))
    assert Digits().names == () and not Digits().tokens
