"""From a config to its data and its trainer: nothing that a config says is lost on the way."""

import gzip
import struct
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from daskpar.build import make_trainer, open_data
from daskpar.cli.prepare import prepare
from daskpar.cluster.kind import THREADED
from daskpar.config import Config
from daskpar.data import Digits, Mnist, Npy, Npz
from daskpar.errors import InputError
from daskpar.optim import Clip, Penalty
from daskpar.tasks import load_data
from daskpar.train import Callback, EarlyStopping


def config(**sections):
    return Config.model_validate({"model": ["flatten", {"dense": 10}], **sections})


def arrays(folder, rows=40):
    x, y = np.arange(rows * 3.0).reshape(rows, 3), np.arange(rows) % 2
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    np.savez(folder / "a.npz", x=x, y=y)


def mnist(folder, rows=(40, 20)):
    for prefix, n in zip(("train", "t10k"), rows, strict=True):
        images, labels = np.zeros((n, 28, 28), np.uint8), np.arange(n, dtype=np.uint8) % 10
        for name, a in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
            head = b"\0\0\x08" + bytes([a.ndim]) + struct.pack(f">{a.ndim}I", *a.shape)
            (folder / f"{name}.gz").write_bytes(gzip.compress(head + a.tobytes()))


@pytest.mark.parametrize(
    "data, source, rows",
    [
        ({"source": "digits"}, Digits, (1258, 180, 359)),
        ({"source": "digits", "validation": 0, "test": 0}, Digits, (1797, None, None)),
        ({"source": "npz", "path": "{}/a.npz", "validation": 0.25, "test": 0.25}, Npz, (20, 10, 10)),
        (
            {"source": "npy", "x": "{}/x.npy", "y": "{}/y.npy", "validation": 0.5, "test": 0},
            Npy,
            (20, 20, None),
        ),
        ({"source": "mnist", "path": "{}", "test": 0.9}, Mnist, (36, 4, 20)),
    ],
    ids=["digits", "digits-whole", "npz", "npy", "mnist"],
)
@pytest.mark.parametrize("distribution", ["random", "stratified", "uniform"])
def test_parts(tmp_path, data, source, rows, distribution):
    arrays(tmp_path)
    mnist(tmp_path)
    given = {k: v.format(tmp_path) if isinstance(v, str) else v for k, v in data.items()}
    parts = open_data(config(data={**given, "distribution": distribution}, train={"seed": 5}))
    assert tuple(part and part.rows for part in parts) == rows
    for name, part in parts._asdict().items():
        if part is None:
            continue
        assert (part.name, type(part.source)) == (name, source)
        if not (source is Mnist and name == "test"):
            assert (part.seed, part.stratified) == (5, distribution == "stratified")
        assert len(part.read(slice(0, part.rows))[0]) == part.rows
    if source is Mnist:  # it has test data of its own, which data.test says nothing about
        assert parts.test.source.part == "test" and parts.train.source.part == "train"


@pytest.mark.parametrize(
    "data, message",
    [
        ({"source": "npz"}, "data.source=npz needs data.path, a file with arrays x and y"),
        ({"source": "npy", "x": "x.npy"}, "data.source=npy needs data.x and data.y, two .npy files"),
        ({"source": "npy", "y": "y.npy"}, "data.source=npy needs data.x and data.y, two .npy files"),
        (
            {"source": "npz", "path": "none.npz"},
            "{folder}/none.npz: no such file; expected a .npz file with arrays x and y",
        ),
        (
            {"source": "npy", "x": "none.npy", "y": "y.npy"},
            "{folder}/none.npy: no such file; expected a .npy file",
        ),
        (
            {"source": "images"},
            "data.source=images needs data.path, a folder of classes, and data.size, e.g. [32, 32]",
        ),
        (
            {"source": "images", "path": "pets"},
            "data.source=images needs data.path, a folder of classes, and data.size, e.g. [32, 32]",
        ),
        (
            {"source": "text"},
            "data.source=text needs data.path, a text in UTF-8; or set DASKPAR_DATA to a folder that holds "
            "tinyshakespeare.txt",
        ),
        (
            {"source": "text", "path": "none.txt"},
            "{folder}/none.txt: no such file; expected a text file in UTF-8",
        ),
        (
            {"source": "text", "path": "a", "distribution": "stratified"},
            "data.distribution=stratified is not for data.source=text; leave it out",
        ),
        (
            {"source": "text", "path": "a", "transforms": ["scale"]},
            "data.transforms=['scale'] is not for data.source=text; leave it out",
        ),
        (
            {"source": "text", "path": "a", "max_value": 2},
            "data.max_value=2.0 is not for data.source=text; leave it out",
        ),
        (
            {"validation": 0.6, "test": 0.5},
            "data.validation=0.6 and data.test=0.5 leave no rows for training",
        ),
        ({"validation": 1e-5}, "data.validation has zero rows of 1797; give it a larger share"),
    ],
)
def test_data_refused(data, message, monkeypatch):
    monkeypatch.delenv("DASKPAR_DATA", raising=False)
    with pytest.raises(InputError) as error:
        open_data(config(data=data))
    assert str(error.value) == message.replace("{folder}", str(Path.cwd()))


def test_pixels_of_a_file(tmp_path):
    """Bytes of an npz file are numbers like others, unless the config says that 255 is white."""
    np.savez(tmp_path / "a.npz", x=np.full((40, 2, 2, 1), 51, np.uint8), y=np.arange(40) % 2)
    for max_value, seen in ((None, 51), (255.0, 0.2)):
        data = {"source": "npz", "path": str(tmp_path / "a.npz"), "max_value": max_value}
        found = prepare(config(data=data, model=["flatten", {"dense": 2}], train={"batch": 4}))
        chunk = load_data(found.spec, found.part, (0, 3))
        assert chunk.x.dtype == np.float32 and np.allclose(chunk.x, seen)


@pytest.mark.parametrize("given", [{"path": None}, {"path": "{}/tinyshakespeare.txt"}])
def test_text(tmp_path, monkeypatch, given):
    (tmp_path / "tinyshakespeare.txt").write_text("so shaken as we are, so wan with care. " * 10)
    monkeypatch.setenv("DASKPAR_DATA", str(tmp_path) if given["path"] is None else "elsewhere")
    path = given["path"] and given["path"].format(tmp_path)
    parts = open_data(config(data={"source": "text", "path": path, "block": 8}))
    assert [part and (part.name, part.rows) for part in parts] == [
        ("train", 351 - 8),
        ("validation", 4),
        None,
    ]
    parts = open_data(config(data={"source": "text", "path": path, "block": 8, "test": 0.2}))
    assert [part.rows for part in parts] == [273 - 8, 4, 9]


EVERYTHING = config(
    run={"name": "all", "dir": "elsewhere"},
    data={
        "distribution": "stratified",
        "streams": 4,
        "chunk_rows": 99,
        "transforms": ["standardise"],
        "targets": ["one_hot"],
        "cache": False,
    },
    loss={"softmax_cross_entropy": {"label_smoothing": 0.1}},
    metrics=["accuracy"],
    optimizer={"sgd": {"lr": 0.5}},
    schedule={"cosine": {"warmup": 3}},
    regularisation={"l1": 0.25, "l2": 0.5},
    train={
        "epochs": 3,
        "batch": 20,
        "seed": 11,
        "precision": "float64",
        "accumulate": 2,
        "frozen": ["1.bias"],
        "learning_rates": {"1.*": 0.5},
        "drop_last": True,
        "class_weight": {0: 1, "7": 2.5},
        "evaluate_every": "5 steps",
        "layer_norms": "6 steps",
        "clip": {"norm": 2.0},
        "early_stopping": {"monitor": "train.loss", "patience": 2, "min_delta": 0.5, "restore": False},
    },
    layout={"data": 2, "grain": "layer", "fan_in": 3},
    cluster={"blas_threads": 1},
    checkpoint={"every": "7 steps", "keep": 2},
)


def test_trainer():
    mine = Callback()
    trainer = make_trainer(EVERYTHING, THREADED, [mine])
    expected = {
        "model": ["flatten", {"dense": 10}],
        "loss": {"softmax_cross_entropy": {"label_smoothing": 0.1}},
        "optimizer": {"sgd": {"lr": 0.5}},
        "learning_rate": None,
        "metrics": ["accuracy"],
        "schedule": {"cosine": {"warmup": 3}},
        "batch": 20,
        "epochs": 3,
        "steps": None,
        "distribution": "stratified",
        "streams": 4,
        "chunk_rows": 99,
        "drop_last": True,
        "accumulate": 2,
        "frozen": ["1.bias"],
        "learning_rates": {"1.*": 0.5},
        "class_weight": {0: 1.0, "7": 2.5},
        "clip": Clip(norm=2.0),
        "penalty": Penalty(l1=0.25, l2=0.5),
        "transforms": ["standardise"],
        "targets": ["one_hot"],
        "precision": "float64",
        "seed": 11,
        "evaluate_every": "5 steps",
        "layer_norms": "6 steps",
        "checkpoint_every": "7 steps",
        "keep": 2,
        "folder": Path.cwd() / EVERYTHING.folder,
        "cache": False,
        "client": THREADED,
        "blas_threads": 1,
        "profile": False,
        "verbose": None,
        "warm_start": None,
    }
    given = {k: v for k, v in vars(trainer.settings).items() if k not in ("layout", "callbacks")}
    assert given == expected
    assert (trainer.layout.data, trainer.layout.grain, trainer.layout.fan_in) == (2, "layer", 3)
    stopping, last = trainer.callbacks
    assert isinstance(stopping, EarlyStopping) and last is mine
    found = stopping.monitor, stopping.patience, stopping.min_delta, stopping.restore
    assert found == ("train.loss", 2, 0.5, False)


def test_what_is_not_asked_for_is_left_out():
    trainer = make_trainer(config())
    assert (trainer.clip, trainer.penalty, list(trainer.callbacks), trainer.client) == (None, None, [], None)


@pytest.mark.parametrize("section, kind", [("train.clip", Clip), ("regularisation", Penalty)])
def test_sections_name_the_fields_of_what_they_build(section, kind):
    found = Config
    for part in section.split("."):
        annotation = found.model_fields[part].annotation
        found = next(
            o for o in (annotation, *getattr(annotation, "__args__", ())) if hasattr(o, "model_fields")
        )
    assert set(found.model_fields) <= {field.name for field in fields(kind)}
