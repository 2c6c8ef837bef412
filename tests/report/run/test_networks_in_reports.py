"""Parts of a report that look into a network: filters, attention, mistakes in a text, residuals."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskpar import Trainer
from daskpar.data import SOURCES, parts_of
from daskpar.report.run.attention import attention
from daskpar.report.run.examples import mistakes
from daskpar.report.run.filters import filters
from daskpar.report.run.measured import Measured, Network, measure
from daskpar.report.run.residuals import largest, scatter

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(32, 6, 6, 3))


def network(trainer: Trainer) -> Network:
    return Network(trainer.spec_, trainer.state_.params, trainer.names_)


def on_images(model: list[Any], x: np.ndarray) -> Network:
    trainer = Trainer(model, epochs=1, batch=16, client="threaded-scheduler")
    return network(trainer.fit(x, np.arange(32) % 2))


@pytest.mark.parametrize("channels", [1, 3])
def test_filters(channels: int) -> None:
    trained = on_images([{"conv2d": 5}, "flatten", {"dense": 2}], IMAGES[..., :channels])
    html = filters(trained)
    assert html is not None
    assert "5 filters of 3 × 3, layer 0 (conv2d)" in html and html.count("<img") == 5
    assert ("Blue is" in html) == (channels == 1)


def test_no_convolution() -> None:
    assert filters(on_images(["flatten", {"dense": 2}], IMAGES)) is None


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A small transformer on a text with a tag in it."""
    path: Path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("<b>abc</b>\n" * 60)
    source = SOURCES["text"].from_keys({"path": str(path), "block": 8})
    parts = parts_of(source, 0.2, 0.0, 0, False)
    words = len(source.names)
    layers = ["learned_positions", {"transformer_block": 2}, {"transformer_block": 2}]
    model = [{"tied_embedding": {"words": words, "features": 8, "layers": layers}}]
    trainer = Trainer(model, epochs=1, batch=16, client="threaded-scheduler").fit(parts.train)
    assert parts.validation is not None
    return measure(network(trainer), parts.validation, 10)


def test_attention(text: Measured) -> None:
    html = attention(text)
    assert html is not None
    assert html.count("<img") == 4 and len(re.findall("<h4>layer", html)) == 2
    assert "<b>" not in html and "&lt;" in html


def test_mistakes_in_a_text(text: Measured) -> None:
    html = mistakes(text, 24)
    assert html.count('<figure class="text">') == 6 and html.count("<span ") == 6 * 8
    assert "<b>" not in html and "↵" in html


def test_images_and_their_reconstructions() -> None:
    part = parts_of(SOURCES["digits"].from_keys({}), 0.1, 0.0, 0, False).train
    model = ["flatten", {"dense": 8}, {"dense": 64}, {"reshape": [8, 8, 1]}]
    trainer = Trainer(model, loss="mse", targets=["inputs"], epochs=1, client="threaded-scheduler").fit(part)
    measured = measure(network(trainer), part, 40)
    plots, worst = scatter(measured), largest(measured, 3)
    assert plots.count("<svg") == 4 and "The first 4 of 64 outputs." in plots
    assert worst.count("<img") == 6 and "output for row" in worst
    first = int(measured.worst[0])
    expected = float(((measured.outputs - measured.y.reshape(measured.outputs.shape))[first] ** 2).mean())
    assert measured.losses[first] == pytest.approx(expected, rel=1e-5)
    assert measured.losses[first] == measured.losses.max()
