"""Every layout computes what a plain loop in one process computes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import reference

from daskpar import Layout, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.data import Sampler
from daskpar.errors import InputError
from daskpar.nn import (
    GELU,
    GRU,
    LSTM,
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAvgPool,
    LayerNorm,
    LearnedPositions,
    Masking,
    MaxPool,
    MeanSquaredError,
    MultiHeadAttention,
    RandomShift,
    ReLU,
    Reshape,
    Residual,
    RMSNorm,
    Sequential,
    SoftmaxCrossEntropy,
    SpatialDropout,
    Tanh,
    TiedEmbedding,
    TransformerBlock,
)

MODEL = Sequential((Dense(12), Tanh(), Dropout(0.3), Residual((Dense(12), Tanh())), Dense(4)))
SHARED = BatchNorm(sync=True)
BOTTLENECK = Residual(
    (
        Conv2d(6, stride=2, bias=False, padding="same"),
        SHARED,
        ReLU(),
        Conv2d(6, padding=1, bias=False),
        SHARED,
    ),
    (Conv2d(6, kernel=1, stride=2, bias=False), SHARED),
)
MODELS = {
    "cnn": Sequential((Conv2d(4, padding=1), Tanh(), MaxPool(2), SpatialDropout(0.2), Flatten(), Dense(4))),
    "resnet": Sequential(
        (
            *(RandomShift(1), Conv2d(4, padding=1, bias=False), SHARED, ReLU(), Residual((SHARED, Tanh()))),
            *(BOTTLENECK, Sequential((Residual((Conv2d(6, padding=1, bias=False), SHARED)), ReLU()))),
            *(GlobalAvgPool(), Dense(4)),
        )
    ),
    "normalised": Sequential((SHARED, Flatten(), Dense(6), Tanh(), SHARED, Dense(4))),
    "lstm": Sequential((Reshape((4, 4)), LSTM(5, sequences=True), GRU(4), Dense(4))),
    "gpt": Sequential(
        (
            TiedEmbedding(
                7, 8, layers=(LearnedPositions(), TransformerBlock(2, dropout=0.1, remat=True), LayerNorm())
            ),
        )
    ),
    "wide gpt": Sequential(
        (
            TiedEmbedding(
                8,
                8,
                layers=(
                    LearnedPositions(),
                    TransformerBlock(4),
                    TransformerBlock(4, rotary=True),
                    LayerNorm(),
                ),
            ),
        )
    ),
    "classifier": Sequential(
        (Embedding(7, 8, padding=0), TransformerBlock(2, causal=False), GlobalAvgPool(), Dense(4))
    ),
}
LAYOUTS = [
    Layout(data=1),
    Layout(data=4),
    Layout(data=4, fan_in=2),
    Layout(data=8, fan_in=3),
    Layout(data=2, grain="stage"),
    Layout(data=1, grain="layer"),
    Layout(data=4, grain="layer", fan_in=2),
    Layout(grain="window"),
    Layout(data=4, grain="window"),
    Layout(data=8, grain="window", fan_in=3),
    Layout(stages=2),
    Layout(stages=3, microbatches=4),
    Layout(stages=3, microbatches=4, pipeline="gpipe"),
    Layout(stages=2, microbatches=4, recompute=True, balance="parameters"),
    Layout(stages=3, balance="time"),
    Layout(microbatches=3),
    Layout(width=2),
    Layout(width=2, grain="layer"),
    Layout(width=4, fan_in=2),
    Layout(shards=3),
    Layout(data=2, shards=2, balance="bytes"),
    Layout(tiles=2),
    Layout(tiles=2, grain="layer", recompute=True, fan_in=2),
]
COMPOSED = [
    Layout(data=2, stages=2),
    Layout(data=2, stages=2, microbatches=3, pipeline="gpipe"),
    Layout(data=2, stages=2, microbatches=2, shards=2),
    Layout(data=4, width=2),
    Layout(data=2, width=2, shards=2),
    Layout(stages=2, width=2, microbatches=2),
    Layout(stages=2, grain="layer", microbatches=2),
    Layout(data=8, shards=40, fan_in=2),
    Layout(data=2, stages=2, width=2, microbatches=2, shards=2),
    Layout(data=2, stages=3, shards=3, microbatches=5, recompute=True, fan_in=3),
    Layout(data=2, tiles=2, stages=2),
    Layout(data=2, tiles=2, width=4, stages=2, microbatches=2, shards=2),
]


def told(layout: Layout) -> str:
    """What of a layout is not the default."""
    default = vars(Layout())
    return ",".join(f"{k}={v}" for k, v in vars(layout).items() if v != default[k]) or "whole"


def blobs(rows: int, dtype: Any = float) -> tuple[np.ndarray, np.ndarray]:
    """Four overlapping clouds of points in eight dimensions."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, rows)
    return (rng.standard_normal((rows, 8)) + np.eye(4, 8)[y] * 2).astype(dtype), y


@pytest.mark.parametrize("rows", [128, 100], ids=["even", "last batch partial"])
@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize("layout", [each for each in (*LAYOUTS, *COMPOSED) if each.tiles == 1], ids=told)
def test_every_layout_equals_a_plain_loop(
    layout: Layout, precision: str, tolerance: float, rows: int
) -> None:
    x, y = blobs(rows, precision)
    order = Sampler(rows, 32, 8, 1000, "random", seed=3)
    expected = reference.train(MODEL, x, y, order, epochs=2, lr=1e-2, seed=3)
    trainer = Trainer(
        MODEL,
        client=THREADED,
        optimizer={"adam": 1e-2},
        batch=32,
        epochs=2,
        streams=8,
        seed=3,
        layout=layout,
        precision=precision,
    )
    found = trainer.fit(x, y).parameters_
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == precision
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance, err_msg=name)


def examples(name: str, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    if name in ("gpt", "wide gpt", "classifier"):
        x = rng.integers(0, 7, (52, 6)).astype(np.int32)
        return x, rng.integers(0, 4, 52) if name == "classifier" else rng.integers(0, 7, (52, 6))
    return rng.standard_normal((52, 4, 4, 1)).astype(dtype), rng.integers(0, 4, 52)


def refusal(name: str, layout: Layout) -> str | None:
    """Return the pattern of the error that a network in a layout is refused with; None where it trains."""
    if name in ("resnet", "normalised"):
        shared = "cannot be had .*with batch_norm: {sync: true}"
        if layout.microbatches > 1:
            return rf"layout\.microbatches={layout.microbatches} {shared}"
        if layout.width > 1:
            return rf"layout\.width={layout.width} {shared}"
        if layout.grain == "window" and layout.lane_count > 1:
            return rf"layout\.grain=window {shared}"
    if layout.tiles > 1 and name not in ("cnn", "resnet"):
        return rf"layout\.tiles={layout.tiles}: no layer of this model can be cut by rows of pixels"
    if name == "gpt" and layout.width > 1:
        parts = layout.width
        return rf"layout\.width={parts}: no layer of this model can be cut into {parts} equal parts"
    return None


NETWORKS = [(layout, name) for layout in (Layout(), *LAYOUTS[2:], *COMPOSED) for name in MODELS]
TRAINED = [(layout, name) for layout, name in NETWORKS if refusal(name, layout) is None]
REFUSED = [(layout, name) for layout, name in NETWORKS if refusal(name, layout) is not None]


@pytest.mark.parametrize(
    "layout, name", REFUSED, ids=lambda value: value if isinstance(value, str) else told(value)
)
def test_cuts_that_a_network_does_not_allow_are_refused(layout: Layout, name: str) -> None:
    x, y = examples(name, "float64")
    trainer = Trainer(MODELS[name], client=THREADED, batch=16, streams=8, layout=layout)
    with pytest.raises(InputError, match=refusal(name, layout)):
        trainer.fit(x, y)


@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-10), ("float32", 1e-4)])
@pytest.mark.parametrize(
    "layout, name", TRAINED, ids=lambda value: value if isinstance(value, str) else told(value)
)
def test_every_network_in_every_layout_equals_a_plain_loop(
    layout: Layout, name: str, precision: str, tolerance: float
) -> None:
    x, y = examples(name, precision)
    order = Sampler(len(x), 16, 8, 8192, "random", seed=3)
    expected = plain(name, precision)
    trainer = Trainer(
        MODELS[name],
        client=THREADED,
        optimizer={"adam": 1e-3},
        batch=16,
        epochs=2,
        streams=8,
        seed=3,
        layout=layout,
        precision=precision,
    )
    found = trainer.fit(x, y).parameters_
    assert trainer.spec_.order == order and found.keys() == expected.keys()
    losses = [loss for record in trainer.history_ for loss in record["each_step"]["loss"]]
    assert trainer.steps_ == len(losses) == 2 * order.steps
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=0, atol=tolerance, err_msg=key)


@cache
def plain(name: str, precision: str) -> dict[str, np.ndarray]:
    x, y = examples(name, precision)
    order = Sampler(len(x), 16, 8, 8192, "random", seed=3)
    return reference.train(MODELS[name], x, y, order, epochs=2, lr=1e-3, seed=3, precision=precision)


TEXTS = {
    "causal": MODELS["wide gpt"],
    "dropout": Sequential(
        (
            Embedding(8, 8, padding=0),
            *(LearnedPositions(), Dropout(0.2), SpatialDropout(0.1)),
            *(TransformerBlock(2, dropout=0.2), TransformerBlock(2, causal=False, dropout=0.2)),
            *(RMSNorm(), Dense(8)),
        )
    ),
    "padded": Sequential(
        (
            Embedding(8, 8, padding=0),
            *(TransformerBlock(2, causal=False, rotary=True), TransformerBlock(4, causal=False), GELU()),
            *(MultiHeadAttention(2, causal=True), Dense(8)),
        )
    ),
    "attention first": Sequential((MultiHeadAttention(2, bias=False), Dense(6), MultiHeadAttention(3))),
    "masked": Sequential((Masking(), Dense(8), MultiHeadAttention(2, rotary=True), Dense(6))),
}
SHARES = [
    Layout(sequence=2),
    Layout(sequence=3),
    pytest.param(Layout(sequence=4), marks=pytest.mark.slow),
    Layout(sequence=3, grain="layer"),
    pytest.param(Layout(sequence=2, grain="stage", recompute=True), marks=pytest.mark.slow),
    Layout(data=2, sequence=2),
    pytest.param(Layout(data=4, sequence=3, fan_in=2, grain="layer"), marks=pytest.mark.slow),
    Layout(stages=2, microbatches=2, sequence=2),
    pytest.param(
        Layout(stages=2, microbatches=3, sequence=3, recompute=True, pipeline="gpipe"), marks=pytest.mark.slow
    ),
    Layout(width=2, sequence=2, shards=2),
    Layout(data=2, stages=2, width=2, microbatches=2, sequence=2, shards=3),
]


def texts(name: str, length: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Sequences and their targets; some positions at the end of each are padding, all of the first."""
    rng = np.random.default_rng(2)
    x = rng.integers(1, 8, (44, length))
    x[np.arange(length) >= rng.integers(1, length + 1, (44, 1))] = 0
    x[0] = 0
    if name in ("attention first", "masked"):
        values = rng.standard_normal((44, length, 6)).astype(dtype)
        return values * (x > 0)[..., None], rng.standard_normal((44, length, 6)).astype(dtype)
    return x.astype(np.int32), rng.integers(0, 8, (44, length))


@cache
def plain_text(name: str, length: int, precision: str) -> dict[str, np.ndarray]:
    x, y = texts(name, length, precision)
    order, options = Sampler(len(x), 16, 8, 8192, "random", seed=3), {"precision": precision}
    loss = SoftmaxCrossEntropy() if x.ndim == 2 else MeanSquaredError()
    return reference.train(TEXTS[name], x, y, order, epochs=2, lr=1e-3, seed=3, loss=loss, **options)


@pytest.mark.parametrize(
    "precision, tolerance, length", [("float64", 1e-10, 6), ("float64", 1e-10, 7), ("float32", 1e-4, 7)]
)
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("layout", SHARES, ids=told)
def test_shares_of_sequences_equal_a_plain_loop(
    layout: Layout, name: str, precision: str, tolerance: float, length: int
) -> None:
    x, y = texts(name, length, precision)
    trainer = Trainer(
        TEXTS[name],
        client=THREADED,
        optimizer={"adam": 1e-3},
        loss="softmax_cross_entropy" if x.ndim == 2 else "mean_squared_error",
        batch=16,
        epochs=2,
        streams=8,
        seed=3,
        layout=layout,
        precision=precision,
    )
    found, expected = trainer.fit(x, y).parameters_, plain_text(name, length, precision)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=0, atol=tolerance, err_msg=key)


@pytest.mark.parametrize("layout", [Layout(sequence=3), Layout(data=2, sequence=2, grain="layer")], ids=told)
def test_sums_over_shares_are_those_of_whole_sequences(layout: Layout) -> None:
    for name in ("padded", "masked"):
        x, y = texts(name, 7, "float64")
        metrics = ["accuracy", {"top_k": 2}, "confusion"] if x.ndim == 2 else ["rmse", "r2"]
        loss = "softmax_cross_entropy" if x.ndim == 2 else "mean_squared_error"
        options: dict[str, Any] = {"loss": loss, "metrics": metrics, "batch": 16, "epochs": 1, "seed": 3}
        whole, cut = (
            Trainer(TEXTS[name], client=THREADED, precision="float64", layout=each, **options).fit(x, y)
            for each in (Layout(), layout)
        )
        for one, other in zip(whole.history_, cut.history_, strict=True):
            for measure, value in one["train"].items():
                np.testing.assert_allclose(other["train"][measure], value, rtol=1e-9, err_msg=measure)
            np.testing.assert_allclose(other["each_step"]["loss"], one["each_step"]["loss"], rtol=1e-9)


def test_slices_cannot_share_statistics() -> None:
    x, y = examples("cnn", "float64")
    trainer = Trainer(MODELS["resnet"], client=THREADED, batch=16, accumulate=2)
    with pytest.raises(InputError, match=r"train\.accumulate=2 does not work with batch_norm"):
        trainer.fit(x, y)


def test_recomputed_blocks_cannot_share_statistics() -> None:
    x, y = examples("cnn", "float64")
    model = Sequential((Flatten(), Residual((SHARED, Tanh()), remat=True), Dense(4)))
    with pytest.raises(InputError, match="residual: a layer with sync: true cannot be inside it"):
        Trainer(model, client=THREADED, batch=16, layout=Layout(data=2)).fit(x, y)
    Trainer(model, client=THREADED, batch=16).fit(x, y)


@pytest.mark.parametrize("distribution", ["uniform", "random", "stratified"])
def test_slices_and_chunk_sizes_do_not_change_what_is_computed(distribution: str) -> None:
    x, y = blobs(96)
    common: dict[str, Any] = dict(
        client=THREADED, batch=24, epochs=2, distribution=distribution, precision="float64", seed=1
    )
    whole = Trainer(MODEL, **common).fit(x, y).parameters_
    sliced = Trainer(MODEL, accumulate=5, layout=Layout(data=2), **common).fit(x, y).parameters_
    for name, value in whole.items():
        np.testing.assert_allclose(sliced[name], value, rtol=0, atol=1e-12, err_msg=name)


def test_usual_numbers_of_lanes_draw_the_same_batches() -> None:
    x, y = blobs(96)
    common: dict[str, Any] = dict(client=THREADED, batch=32, epochs=1, precision="float64")
    losses = [
        Trainer(MODEL, layout=Layout(data=lanes), **common).fit(x, y).history_[0]["each_step"]["loss"]
        for lanes in (1, 2, 4, 8, 16)
    ]
    for other in losses[1:]:
        np.testing.assert_allclose(other, losses[0], rtol=1e-13)
