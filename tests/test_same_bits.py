"""The same layout and seed give the same bits wherever they run, and after an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import workers_in_this_process
from distributed import Client

from daskpar import Callback, Layout, Trainer, open_client
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits, Split, split

MODEL = ["flatten", {"dense": 32}, "relu", {"dropout": 0.2}, {"dense": 10}]
LAYOUTS = [
    Layout(data=1),
    Layout(data=2),
    Layout(data=4, fan_in=2),
    Layout(data=2, grain="stage"),
    Layout(data=2, grain="layer"),
    Layout(grain="window"),
    Layout(data=2, stages=2, microbatches=2, width=2, shards=2),
    Layout(data=2, stages=3, microbatches=3, recompute=True),
    Layout(data=2, tiles=3, shards=2),
    Layout(data=4, fan_in=2, compression="float16"),
    Layout(data=2, tiles=2, shards=2, compression="float16"),
    Layout(data=2, grain="layer", compression="float16"),
    Layout(data=2, sequence=2, shards=2, compression="float16"),
    Layout(stages=2, microbatches=2, width=2, sequence=3),
]
LONG = LAYOUTS[10], LAYOUTS[13]
TEXT = [
    {"embedding": {"words": 10, "features": 8, "padding": 0}},
    "learned_positions",
    {"transformer_block": {"heads": 2, "dropout": 0.1}},
    {"transformer_block": {"heads": 2, "rotary": True, "causal": False}},
    {"dense": 10},
]
IMAGES = [{"conv2d": {"channels": 3, "stride": 2, "padding": "same"}}, "relu", {"conv2d": 3}, *MODEL]


def digits() -> tuple[Split, Split | None]:
    train, validation, _ = split(Digits(), 0.1, 0.2, seed=0, stratified=False)
    return train, validation


def sequences() -> tuple[np.ndarray, np.ndarray]:
    """Ids of words (rows, 7), of which 0 is padding, and those that follow."""
    words = np.random.default_rng(0).integers(0, 10, (200, 8))
    return words[:, :-1], words[:, 1:]


def trained(client: Any = THREADED, layout: Layout | None = None, **options: Any) -> Trainer:
    train, validation = digits()
    settings: dict[str, Any] = {"batch": 64, "epochs": 1, "seed": 5, "optimizer": {"adam": 3e-3}, **options}
    resume = settings.pop("resume", False)
    model = IMAGES if layout and layout.tiles > 1 else MODEL
    if layout and layout.sequence > 1:
        model = TEXT
    trainer = Trainer(model, layout=layout, client=client, metrics=["accuracy"], **settings)
    if layout and layout.sequence > 1:
        return trainer.fit(*sequences(), resume=resume)
    return trainer.fit(train, validation=validation, resume=resume)


@pytest.fixture(scope="module")
def hashes() -> dict[str, str]:
    """The hash of each layout on Dask's threaded scheduler."""
    return {repr(layout): trained(THREADED, layout).parameters_sha256_ for layout in LAYOUTS}


@pytest.mark.parametrize(
    "layout",
    [pytest.param(layout, marks=pytest.mark.slow) if layout in LONG else layout for layout in LAYOUTS],
    ids=repr,
)
def test_threads_and_processes(
    hashes: dict[str, str], layout: Layout, threads_client: Any, processes_client: Any
) -> None:
    assert trained(threads_client, layout).parameters_sha256_ == hashes[repr(layout)]
    assert trained(processes_client, layout).parameters_sha256_ == hashes[repr(layout)]


@pytest.mark.parametrize("lanes, fan_in", [(2, 4), (8, 3)])
def test_lanes_of_a_window_are_lanes_of_steps(lanes: int, fan_in: int) -> None:
    steps, window = (Layout(lanes, grain=grain, fan_in=fan_in) for grain in ("step", "window"))
    assert trained(layout=window).parameters_sha256_ == trained(layout=steps).parameters_sha256_


@pytest.mark.parametrize(
    "kind, workers",
    [
        ("threads", 1),
        ("threads", 4),
        *(pytest.param("processes", count, marks=pytest.mark.slow) for count in (1, 4)),
    ],
)
def test_any_number_of_workers(hashes: dict[str, str], kind: str, workers: int) -> None:
    with open_client(kind, workers, dashboard_port=0) as client:
        for layout in (*LAYOUTS[1:3], LAYOUTS[6], LAYOUTS[8]):
            assert trained(client, layout).parameters_sha256_ == hashes[repr(layout)]


def test_several_workers_that_are_threads(hashes: dict[str, str]) -> None:
    cluster = workers_in_this_process(3)
    with cluster, Client(cluster) as client:
        for layout in LAYOUTS[1:3]:
            assert trained(client, layout).parameters_sha256_ == hashes[repr(layout)]


class Interrupted(Exception):
    """Stands for a run that is killed."""


class Interrupt(Callback):
    def __init__(self, step: int):
        self.step = step

    def after_evaluation(self, trainer: Trainer, record: dict[str, Any]) -> None:
        if record["step"] >= self.step:
            raise Interrupted


@pytest.mark.parametrize("options", [{}, {"schedule": {"cosine": {"warmup": 5}}, "cache": False}])
@pytest.mark.parametrize("resumed_under", [LAYOUTS[1], LAYOUTS[4], Layout(data=2, stages=2)], ids=repr)
def test_a_resumed_run_ends_with_the_bits_of_an_unbroken_one(
    tmp_path: Path, options: dict[str, Any], resumed_under: Layout, threads_client: Any
) -> None:
    layout = Layout(data=2)
    unbroken = trained(threads_client, layout, epochs=4, **options)
    common: dict[str, Any] = dict(epochs=4, folder=tmp_path, checkpoint_every="7 steps", **options)
    with pytest.raises(Interrupted):
        trained(threads_client, layout, callbacks=[Interrupt(45)], **common)
    resumed = trained(threads_client, resumed_under, resume=True, **common)
    assert resumed.parameters_sha256_ == unbroken.parameters_sha256_
    assert [r["step"] for r in resumed.history_] == [r["step"] for r in unbroken.history_]
    for a, b in zip(resumed.history_, unbroken.history_, strict=True):
        assert (a["validation"], a["train"]) == (b["validation"], b["train"])
        assert a["each_step"] == b["each_step"]


@pytest.mark.parametrize(
    "layout",
    [
        LAYOUTS[9],
        Layout(data=2, stages=2, width=2, shards=2, compression="float16"),
        Layout(replicas=2, data=2, average_every=3, compression="float16"),
    ],
    ids=repr,
)
def test_what_rounding_left_out_outlives_a_run(tmp_path: Path, layout: Layout) -> None:
    """What lanes and the nodes of their tree have yet to hand on is in the file that a run goes on from."""
    unbroken = trained(THREADED, layout, epochs=2, checkpoint_every="7 steps", folder=tmp_path / "unbroken")
    common: dict[str, Any] = dict(epochs=2, folder=tmp_path / "broken", checkpoint_every="7 steps")
    with pytest.raises(Interrupted):
        trained(THREADED, layout, callbacks=[Interrupt(20)], **common)
    resumed = trained(THREADED, layout, resume=True, **common)
    assert resumed.parameters_sha256_ == unbroken.parameters_sha256_


def test_a_run_goes_on_under_another_number_of_lanes(tmp_path: Path) -> None:
    common: dict[str, Any] = dict(epochs=4, precision="float64")
    unbroken = trained(THREADED, Layout(data=1), **common)
    common |= {"folder": tmp_path, "checkpoint_every": "7 steps"}
    with pytest.raises(Interrupted):
        trained(THREADED, Layout(data=1), callbacks=[Interrupt(45)], **common)
    resumed = trained(THREADED, Layout(data=4), resume=True, **common)
    for name, value in unbroken.parameters_.items():
        np.testing.assert_allclose(resumed.parameters_[name], value, rtol=0, atol=1e-12, err_msg=name)
