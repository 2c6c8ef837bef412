"""Settings given from Python: NumPy's numbers count as Python's, other types are refused in a line."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable as Function
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskpar import (
    SGD,
    Adam,
    Callback,
    Clip,
    Dense,
    EarlyStopping,
    Ensemble,
    InputError,
    Layout,
    Penalty,
    SoftmaxCrossEntropy,
    TopK,
    Trainer,
    open_client,
)
from daskpar.data import Images, Mnist, Npz, Sampler, Split, Text, split, split_text
from daskpar.nn import Conv2d, Dropout, Embedding, Normalise, Reshape, Residual, Sequential
from daskpar.nn.metrics import Accuracy
from daskpar.nn.registry import layer, model
from daskpar.optim import Cosine
from daskpar.train.history import to_json
from daskpar.train.plain_json import for_json
from daskpar.typed import checked

rng = np.random.default_rng(0)
X = rng.standard_normal((96, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")
MODEL = [{"dense": 8}, "relu", {"dense": 2}]


def trained(network: Any = MODEL, kind: type[Trainer] = Trainer, **settings: Any) -> Any:
    common = {"batch": 16, "epochs": 2, "client": "threaded-scheduler"}
    return kind(network, **{**common, **settings}).fit(X, Y)


def line(make: Function[[], Any], *words: str) -> str:
    """The one line that `make` is refused in, which holds the words."""
    with pytest.raises(InputError) as caught:
        make()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 300
    assert all(word in text for word in words), text
    return text


SAME: list[tuple[str, dict[str, Any], Function[[], dict[str, Any]]]] = [
    ("batch", {"batch": 16}, lambda: {"batch": np.int64(16)}),
    ("batch of no axes", {"batch": 16}, lambda: {"batch": np.array(16)}),
    ("epochs", {"epochs": 3}, lambda: {"epochs": np.uint8(3)}),
    ("steps", {"epochs": None, "steps": 7}, lambda: {"epochs": None, "steps": np.int32(7)}),
    ("streams", {"streams": 4}, lambda: {"streams": np.int64(4)}),
    ("chunk_rows", {"chunk_rows": 10}, lambda: {"chunk_rows": np.uint16(10)}),
    ("drop_last", {"drop_last": True}, lambda: {"drop_last": np.bool_(True)}),
    ("accumulate", {"accumulate": 3}, lambda: {"accumulate": np.int8(3)}),
    ("accumulate more than rows", {"accumulate": 16}, lambda: {"accumulate": 2**60}),
    ("seed", {"seed": 7}, lambda: {"seed": np.int64(7)}),
    ("seed of 64 bits", {"seed": 2**64 - 1}, lambda: {"seed": np.uint64(2**64 - 1)}),
    ("seed below zero", {"seed": -3}, lambda: {"seed": np.int8(-3)}),
    ("keep", {}, lambda: {"keep": np.int64(3)}),
    ("cache", {"cache": False}, lambda: {"cache": np.bool_(False)}),
    ("blas_threads", {"blas_threads": 1}, lambda: {"blas_threads": np.int64(1)}),
    ("profile", {}, lambda: {"profile": np.bool_(True)}),
    ("precision", {"precision": "float64"}, lambda: {"precision": np.str_("float64")}),
    ("clip", {"clip": Clip(norm=0.5)}, lambda: {"clip": Clip(norm=np.float64(0.5))}),
    ("lanes", {"layout": Layout(lanes=(1, 3))}, lambda: {"layout": Layout(lanes=np.array([1, 3]))}),
    ("stages", {"layout": Layout(stages=(2, 1))}, lambda: {"layout": Layout(stages=np.array([2, 1]))}),
    ("optimizer built", {"optimizer": SGD(0.25)}, lambda: {"optimizer": SGD(np.float32(0.25))}),
    (
        "class weights",
        {"loss": SoftmaxCrossEntropy(class_weights=(1, 2))},
        lambda: {"loss": {"softmax_cross_entropy": {"class_weights": np.array([1, 2])}}},
    ),
    ("metrics", {"metrics": [TopK(1)]}, lambda: {"metrics": [{"top_k": np.int64(1)}]}),
    ("units", {}, lambda: {"network": [Dense(np.int64(8)), "relu", {"dense": np.uint8(2)}]}),
    ("precision as a type", {"precision": "float64"}, lambda: {"precision": np.float64}),
    ("precision in short", {"precision": "float32"}, lambda: {"precision": "fp32"}),
    ("layout mapping", {"layout": Layout(data=2)}, lambda: {"layout": {"data": 2}}),
    ("layout of none", {}, lambda: {"layout": {}}),
    ("clip mapping", {"clip": Clip(norm=0.5)}, lambda: {"clip": {"norm": 0.5}}),
    ("penalty mapping", {"penalty": Penalty(l2=0.5)}, lambda: {"penalty": {"l2": 0.5}}),
    ("learning rate", {"optimizer": Adam(0.25)}, lambda: {"learning_rate": 0.25}),
    ("learning rate of", {"optimizer": SGD(0.25)}, lambda: {"optimizer": "SGD", "learning_rate": 0.25}),
    ("learning rate twice", {"optimizer": SGD(0.25)}, lambda: {"optimizer": SGD(1), "learning_rate": 0.25}),
    ("one metric", {"metrics": ["accuracy"]}, lambda: {"metrics": "acc"}),
    ("one metric built", {"metrics": ["accuracy"]}, lambda: {"metrics": Accuracy()}),
    ("one metric by name", {"metrics": [TopK(1)]}, lambda: {"metrics": {"top_k": 1}}),
    ("no metrics", {}, lambda: {"metrics": None}),
    ("one transform", {"transforms": ["standardise"]}, lambda: {"transforms": "standardize"}),
    ("one callback", {}, lambda: {"callbacks": Callback()}),
    ("an iterator of layers", {}, lambda: {"network": iter(MODEL)}),
    ("loss", {"loss": "softmax_cross_entropy"}, lambda: {"loss": "CrossEntropyLoss"}),
]


@pytest.mark.parametrize("plain, numpy", [row[1:] for row in SAME], ids=[row[0] for row in SAME])
def test_numbers_of_numpy_are_numbers(
    plain: dict[str, Any], numpy: Function[[], dict[str, Any]], tmp_path: Path
) -> None:
    expected = trained(**plain, folder=str(tmp_path / "plain"))
    found = trained(**numpy(), folder=tmp_path / "numpy")
    assert found.parameters_sha256_ == expected.parameters_sha256_
    states = [
        json.loads((tmp_path / name / "checkpoints" / "final" / "state.json").read_text())
        for name in ("plain", "numpy")
    ]
    assert states[0]["order"] == states[1]["order"]
    for name, value in vars(found).items():
        assert name.endswith("_") or not isinstance(value, np.generic), name


REFUSED: list[tuple[str, Function[[], dict[str, Any]], str]] = [
    ("batch float", lambda: {"batch": 16.0}, "batch=16.0: expected a whole number"),
    ("batch text", lambda: {"batch": "16"}, "batch='16': expected a whole number"),
    ("batch None", lambda: {"batch": None}, "batch=None: expected a whole number"),
    ("batch bool", lambda: {"batch": True}, "batch=True: expected a whole number"),
    ("batch NumPy's bool", lambda: {"batch": np.bool_(True)}, "expected a whole number"),
    ("batch NumPy's float", lambda: {"batch": np.float64(16)}, "expected a whole number"),
    ("batch of an axis", lambda: {"batch": np.array([16])}, "expected a whole number"),
    ("batch NaN", lambda: {"batch": float("nan")}, "batch=nan: expected a whole number"),
    ("epochs", lambda: {"epochs": 1.5}, "epochs=1.5: expected a whole number or None"),
    ("steps", lambda: {"epochs": None, "steps": 12.5}, "steps=12.5: expected a whole number or None"),
    ("streams", lambda: {"streams": 0}, "data.streams=0 must be at least 1"),
    ("streams negative", lambda: {"streams": -4}, "data.streams=-4 must be at least 1"),
    ("chunk_rows", lambda: {"chunk_rows": -1}, "data.chunk_rows=-1 must be at least 1"),
    ("chunk_rows text", lambda: {"chunk_rows": "10"}, "chunk_rows='10': expected"),
    ("drop_last", lambda: {"drop_last": 1}, "drop_last=1: expected True or False"),
    ("accumulate", lambda: {"accumulate": 2.0}, "accumulate=2.0: expected a whole number"),
    ("seed None", lambda: {"seed": None}, "seed=None: expected a whole number"),
    ("seed float", lambda: {"seed": 3.0}, "seed=3.0: expected a whole number"),
    ("seed generator", lambda: {"seed": np.random.default_rng(0)}, "expected a whole number"),
    ("blas_threads", lambda: {"blas_threads": 0}, "cluster.blas_threads=0 must be at least 1"),
    ("blas_threads float", lambda: {"blas_threads": 1.0}, "blas_threads=1.0: expected"),
    ("precision", lambda: {"precision": 64}, "precision=64: expected a text"),
    (
        "float16",
        lambda: {"precision": np.float16},
        "'numpy.float16'> is not known; use one of float32, float64",
    ),
    (
        "bfloat16",
        lambda: {"precision": "bfloat16"},
        "precision 'bfloat16' is not known; use one of float32, ",
    ),
    ("distribution", lambda: {"distribution": 3}, "distribution=3: expected a text"),
    ("folder", lambda: {"folder": 3}, "folder: expected a path, got int"),
    ("cache", lambda: {"cache": "yes"}, "cache='yes': expected True or False"),
    ("profile", lambda: {"profile": None}, "profile=None: expected True or False"),
    ("clip", lambda: {"clip": 1.0}, "clip=1.0: expected a Clip or None"),
    ("clip dict", lambda: {"clip": {"nrm": 1}}, "argument of clip 'nrm' is not known; did you mean 'norm'?"),
    ("penalty", lambda: {"penalty": 0.1}, "penalty=0.1: expected a Penalty or None"),
    ("layout number", lambda: {"layout": 2}, 'layout=2: expected a Layout, e.g. {"data": 2}, or "auto"'),
    (
        "layout dict",
        lambda: {"layout": {"dta": 2}},
        "argument of layout 'dta' is not known; did you mean 'data'",
    ),
    ("layout keys", lambda: {"layout": {2: 2}}, "layout={2: 2}: expected a Layout"),
    ("learning rate", lambda: {"learning_rate": 0}, "train.learning_rate=0 must be above zero"),
    ("metrics", lambda: {"metrics": "acuracy"}, "metric 'acuracy' is not known; did you mean 'accuracy'?"),
    (
        "metrics twice",
        lambda: {"metrics": ["acc", Accuracy()]},
        "metrics: two are called 'accuracy'; give one",
    ),
    ("metrics of another loss", lambda: {"metrics": "r2", "loss": "bce"}, "the targets hold a number"),
    ("transforms", lambda: {"transforms": "scal"}, "transform 'scal' is not known; did you mean 'scale'?"),
    ("callbacks", lambda: {"callbacks": print}, "expected a list, each a Callback"),
    (
        "callbacks class",
        lambda: {"callbacks": [EarlyStopping]},
        "EarlyStopping is a class; write EarlyStopping()",
    ),
    (
        "microbatches",
        lambda: {"layout": Layout(microbatches=10**9)},
        "layout.microbatches=1000000000 is more than the 16",
    ),
    (
        "shards",
        lambda: {"layout": Layout(shards=10**9)},
        "layout.shards=1000000000 is more than the 58 parameters",
    ),
]


@pytest.mark.parametrize("settings, words", [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_settings_of_another_type_are_refused_before_the_first_step(
    settings: Function[[], dict[str, Any]], words: str, tmp_path: Path
) -> None:
    line(lambda: trained(**{"folder": tmp_path / "run", **settings()}), words)
    assert not list(tmp_path.rglob("*.json"))


MADE: list[tuple[str, dict[str, Any], str]] = [
    ("layer", {"network": ["rleu"]}, "layer 'rleu' is not known; did you mean 'relu'?"),
    ("loss", {"loss": "msee"}, "loss 'msee' is not known"),
    ("optimizer", {"optimizer": {"adam": {"learning_rate": 1}}}, "'learning_rate' is called 'lr' here"),
    ("schedule", {"schedule": "cosin"}, "schedule 'cosin' is not known"),
    ("metric", {"metrics": ["accuracy", "topk5"]}, "metric 'topk5' is not known"),
    ("transform", {"transforms": ["normalize"]}, "use standardise (mean 0, variance 1) or scale"),
    ("target", {"targets": ["one_hott"]}, "transform 'one_hott' is not known"),
    ("client", {"client": "tcp://10.0.0.1:8786"}, "is an address; pass distributed.Client("),
    ("no client", {"client": 3}, "client: expected a distributed.Client, got int"),
    ("precision", {"precision": "half"}, "precision 'half' is not known"),
    ("batch_size", {"batch_size": 3}, "argument of Trainer 'batch_size' is called 'batch' here; write batch"),
    ("lr", {"lr": 3}, "argument of Trainer 'lr' is called 'learning_rate' here; write learning_rate"),
    ("max_epochs", {"max_epochs": 3}, "'max_epochs' is called 'epochs' here; write epochs"),
    ("n_epochs", {"n_epochs": 3}, "'n_epochs' is called 'epochs' here; write epochs"),
    ("num_epochs", {"num_epochs": 3}, "'num_epochs' is called 'epochs' here; write epochs"),
    ("random_state", {"random_state": 3}, "'random_state' is called 'seed' here; write seed"),
    ("shuffle", {"shuffle": True}, 'write distribution="random" (shuffled) or distribution="uniform"'),
    ("validation_data", {"validation_data": 3}, "it belongs to fit: fit(X, y, validation=(X_val, y_val))"),
    ("device", {"device": "cuda"}, "it depends on the workers; open a cluster with GPUs"),
    ("unknown", {"bacth": 3}, "argument of Trainer 'bacth' is not known; did you mean 'batch'?"),
]


@pytest.mark.parametrize("settings, words", [row[1:] for row in MADE], ids=[row[0] for row in MADE])
def test_blocks_and_names_are_checked_when_a_trainer_is_made(settings: dict[str, Any], words: str) -> None:
    settings = dict(settings)
    network = settings.pop("network", MODEL)
    line(lambda: Trainer(network, **settings), words)
    line(lambda: Ensemble(network, **settings), words)
    name = "model" if network is not MODEL else next(iter(settings))
    trainer = Trainer(MODEL)
    if hasattr(trainer, name):  # a setting is checked when it is set, too, and stays as it was
        line(lambda: setattr(trainer, name, settings.get(name, network)), words)
        assert getattr(trainer, name) == getattr(Trainer(MODEL), name)


def test_settings_that_do_not_go_together_are_told_when_a_trainer_is_made() -> None:
    line(lambda: Trainer(MODEL, loss="mse", metrics="accuracy"), "accuracy measures classes or labels")
    line(lambda: Trainer(MODEL, epochs=1, steps=1), "train.epochs")
    line(lambda: Trainer(MODEL, layout={"replicas": 2, "outer": "sdg"}), "optimizer 'sdg' is not known")
    trainer = Trainer(MODEL, metrics="accuracy")
    trainer.loss = "mse"  # the other setting may follow
    line(lambda: trainer.fit(X, Y), "accuracy measures classes or labels")


def test_a_sigmoid_before_a_loss_that_has_one_is_told(caplog: pytest.LogCaptureFixture) -> None:
    Trainer([{"dense": 1}], loss="bce"), Trainer([{"dense": 1}, "sigmoid"], loss="mse")
    assert not caplog.messages
    Trainer([{"dense": 1}, "sigmoid"], loss="BCELoss")
    (message,) = caplog.messages
    assert message.startswith("binary_cross_entropy takes the outputs before a sigmoid: leave out the last")


def test_entries_stay_as_they_were_written() -> None:
    settings = {"loss": "cross_entropy", "optimizer": {"Adam": 0.1}, "metrics": ["acc"]}
    trainer = pickle.loads(pickle.dumps(Trainer(["ReLU", {"Linear": 2}], **settings)))
    assert {name: getattr(trainer, name) for name in settings} == settings
    assert trainer.model == ["ReLU", {"Linear": 2}]


FITTED: list[tuple[str, dict[str, Any], str]] = [
    (
        "epochs",
        {"epochs": 3},
        "fit: epochs belongs to the Trainer: Trainer(..., epochs=...), or set trainer.e",
    ),
    (
        "batch_size",
        {"batch_size": 3},
        "fit: batch_size belongs to the Trainer: Trainer(..., batch=...), or set",
    ),
    ("callbacks", {"callbacks": []}, "fit: callbacks belongs to the Trainer: Trainer(..., callbacks=...)"),
    (
        "validation_data",
        {"validation_data": 3},
        "'validation_data' is called 'validation' here; write valida",
    ),
    ("validation_split", {"validation_split": 3}, "'validation_split' is called 'validation' here"),
    ("shuffle", {"shuffle": True}, "argument of fit 'shuffle': write distribution="),
    ("unknown", {"validaton": 3}, "argument of fit 'validaton' is not known; did you mean 'validation'?"),
]


@pytest.mark.parametrize("arguments, words", [row[1:] for row in FITTED], ids=[row[0] for row in FITTED])
def test_arguments_of_fit_are_told_where_they_belong(arguments: dict[str, Any], words: str) -> None:
    line(lambda: Trainer(MODEL).fit(X, Y, **arguments), words)
    line(lambda: Ensemble(MODEL).fit(X, Y, **arguments), words)


def test_settings_pass_the_door_when_they_are_set() -> None:
    trainer = Trainer(MODEL)
    trainer.batch = np.int64(16)
    assert type(trainer.batch) is int
    line(lambda: setattr(trainer, "batch", 16.0), "batch=16.0")
    line(lambda: setattr(trainer, "seed", None), "seed=None")
    assert trainer.batch == 16
    assert copy.copy(trainer).batch == pickle.loads(pickle.dumps(trainer)).batch == 16


BLOCKS: list[tuple[str, Function[[], Any], tuple[str, ...]]] = [
    ("units", lambda: Dense(8.0), ("dense.units=8.0", "whole number")),
    ("units text", lambda: Dense("8"), ("dense.units='8'",)),
    ("bias", lambda: Dense(8, bias=1), ("dense.bias=1", "True or False")),
    ("initialiser", lambda: Dense(8, init_weight=None), ("dense.init_weight=None",)),
    ("kernel", lambda: Conv2d(8, (3, 3.0)), ("conv2d.kernel=(3, 3.0)",)),
    ("padding", lambda: Conv2d(8, padding=None), ("conv2d.padding=None",)),
    ("layers by name", lambda: Residual(("relu", Dense(4))), ("residual.layers=", "Layer")),
    ("one layer", lambda: Sequential(Dense(4)), ("sequential.layers=",)),
    ("mean", lambda: Normalise("0", 1.0), ("normalise.mean='0'",)),
    ("mean NaN", lambda: Normalise((0.0, float("nan")), 1.0), ("normalise.mean=", "finite")),
    ("words", lambda: Embedding(2**64, 4), ("embedding.words=18446744073709551616", "2**63")),
    ("lr text", lambda: Adam("0.1"), ("adam.lr='0.1'", "a number")),
    ("lr None", lambda: Adam(None), ("adam.lr=None",)),
    ("lr infinite", lambda: SGD(float("inf")), ("sgd.lr=inf",)),
    ("lr of an axis", lambda: SGD(np.array([0.1])), ("sgd.lr=array([0.1])",)),
    ("nesterov", lambda: SGD(momentum=0.9, nesterov="yes"), ("sgd.nesterov='yes'",)),
    ("warmup", lambda: Cosine(2.5), ("cosine.warmup=2.5",)),
    ("k", lambda: TopK(2.0), ("top_k.k=2.0",)),
    ("smoothing", lambda: SoftmaxCrossEntropy("0"), ("softmax_cross_entropy.label_smoothing='0'",)),
    (
        "weights",
        lambda: SoftmaxCrossEntropy(class_weights=("1", 2)),
        ("softmax_cross_entropy.class_weights=",),
    ),
    ("weights all zero", lambda: SoftmaxCrossEntropy(class_weights=(0, 0)), ("class_weights=[0.0, 0.0]",)),
    ("norm", lambda: Clip(norm="1"), ("clip.norm='1'", "a number or None")),
    ("norm infinite", lambda: Clip(norm=float("inf")), ("clip.norm=inf",)),
    ("l2", lambda: Penalty(l2=float("nan")), ("l2=nan",)),
    ("data", lambda: Layout(data=2.0), ("layout.data=2.0",)),
    ("lanes", lambda: Layout(lanes=(1, "2")), ("layout.lanes=(1, '2')",)),
    ("stages", lambda: Layout(stages=(1, 2.0)), ("layout.stages=(1, 2.0)",)),
    ("recompute", lambda: Layout(recompute=1), ("layout.recompute=1",)),
    ("text block", lambda: Text("a", 0), ("text.block=0 must be at least 1",)),
    ("text block float", lambda: Text("a", 8.0), ("text.block=8.0",)),
    ("text path", lambda: Text(3, 8), ("text.path=3",)),
    ("images size", lambda: Images("a", (8, 0)), ("images.size=(8, 0)",)),
    ("images size of one", lambda: Images("a", 8), ("images.size=8",)),
    ("images channels", lambda: Images("a", (8, 8), 2), ("images.channels=2",)),
    ("mnist part", lambda: Mnist("a", "validation"), ("part of MNIST 'validation'",)),
    ("max_value", lambda: Npz("a", max_value=0), ("npz.max_value=0 must be above zero",)),
    ("peak", lambda: Npz("a", peak=255), ("npz.peak is called npz.max_value now; write max_value",)),
    ("part", lambda: Split(Npz("a"), low=0.5, high=0.2), ("part.low=0.5 and part.high=0.2",)),
    ("part of a path", lambda: Split("a.npz"), ("split.source='a.npz'",)),
    ("order", lambda: Sampler(100, 10, 0, 10), ("order.streams=0",)),
    ("share", lambda: split(Npz("a"), "0.1", 0.0, 0, False), ("data.validation='0.1'",)),
    ("share of text", lambda: split_text(Text("a", 8), -0.1, 0.0), ("data.validation=-0.1",)),
    ("patience", lambda: EarlyStopping(patience=2.0), ("early_stopping.patience=2.0",)),
    ("monitor", lambda: EarlyStopping(monitor=None), ("early_stopping.monitor=None",)),
    ("min_delta", lambda: EarlyStopping(min_delta=float("nan")), ("early_stopping.min_delta=nan",)),
    ("restore", lambda: EarlyStopping(restore=1), ("early_stopping.restore=1",)),
    ("members", lambda: Ensemble(MODEL, members=2.0), ("members=2.0",)),
    ("members text", lambda: Ensemble(MODEL, members="2"), ("members='2'",)),
    ("member's batch", lambda: Ensemble(MODEL, members=2, batch="16"), ("batch='16'",)),
    ("workers", lambda: open_client("threads", workers=2.0).__enter__(), ("cluster.workers=2.0",)),
    ("no workers", lambda: open_client("threads", workers=0).__enter__(), ("cluster.workers=0",)),
    (
        "port",
        lambda: open_client("threads", dashboard_port="8787").__enter__(),
        ("cluster.dashboard_port='8787'",),
    ),
    (
        "port too large",
        lambda: open_client("threads", dashboard_port=70_000).__enter__(),
        ("=70000 must be",),
    ),
    (
        "validation text",
        lambda: Trainer(MODEL, client="threaded-scheduler").fit(X, Y, "0.1"),
        ("validation='0.1'",),
    ),
    ("validation one", lambda: Trainer(MODEL, client="threaded-scheduler").fit(X, Y, (X,)), ("validation=",)),
]


@pytest.mark.parametrize("make, words", [row[1:] for row in BLOCKS], ids=[row[0] for row in BLOCKS])
def test_blocks_are_refused_in_a_line(make: Function[[], Any], words: tuple[str, ...]) -> None:
    line(make, *words)


PLAIN: list[tuple[Function[[], Any], Any]] = [
    (lambda: Dense(np.int64(8), np.bool_(False)), Dense(8, False)),
    (
        lambda: Conv2d(np.uint8(8), (np.int8(3), 2), padding=[[1, 1], [0, np.int64(1)]]),
        Conv2d(8, (3, 2), padding=((1, 1), (0, 1))),
    ),
    (lambda: Reshape(np.array([2, -1])), Reshape((2, -1))),
    (lambda: Normalise(np.array([0.5, 1]), np.float32(2)), Normalise((0.5, 1.0), 2.0)),
    (lambda: Adam(np.longdouble(0.5)), Adam(0.5)),
    (lambda: Layout(stages=np.array([2, 1])), Layout(stages=(2, 1))),
    (lambda: Images(Path("a"), np.array([8, 9])), Images("a", (8, 9))),
    (lambda: Text(Path("a"), np.int64(8)), Text("a", 8)),
    (lambda: Split(Npz(Path("a")), seed=np.uint64(2**64 - 1)), Split(Npz("a"), seed=2**64 - 1)),
    (lambda: layer({"dense": np.array(8)}), Dense(8)),
    (lambda: layer({"residual": [{"dense": np.int8(4)}]}), Residual((Dense(4),))),
    (lambda: model([{"dropout": np.float16(0.5)}, Dense(np.int16(2))]), Sequential((Dropout(0.5), Dense(2)))),
]


@pytest.mark.parametrize("block, expected", PLAIN, ids=[str(expected)[:40] for _, expected in PLAIN])
def test_blocks_hold_plain_values(block: Function[[], Any], expected: Any) -> None:
    assert block() == expected and repr(block()) == repr(expected)


class Keeps(Callback):
    """Holds what people keep: numbers of NumPy, arrays, paths, and numbers by number."""

    def __init__(self) -> None:
        self.taken: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        best = {
            "best": np.float32(1.5),
            "at": N,
            "seen": np.arange(3),
            "all": {np.int64(3): (np.bool_(True),)},
        }
        return best | {"path": Path("a"), "bad": np.float32("nan")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.taken = state


N = np.int64(3)


def test_states_of_callbacks_are_kept_as_json(tmp_path: Path) -> None:
    trained(callbacks=[Keeps()], folder=tmp_path)
    again = Keeps()
    common = {"batch": 16, "epochs": 3, "folder": tmp_path, "client": "threaded-scheduler"}
    Trainer(MODEL, callbacks=[again], **common).fit(X, Y, resume=True)
    assert again.taken.pop("bad") != again.taken
    assert again.taken == {"best": 1.5, "at": 3, "seen": [0, 1, 2], "all": {"3": [True]}, "path": "a"}


def test_what_json_cannot_carry_is_told_by_its_name(tmp_path: Path) -> None:
    class Bad(Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"lock": object()}

    text = line(lambda: trained(callbacks=[Bad()], folder=tmp_path), "lock", "object")
    assert text.startswith("state.json.callbacks.0.1.lock: ")
    assert not list(tmp_path.glob("checkpoints/*")) and not list(tmp_path.glob("checkpoints/.*"))


def test_records_may_hold_numbers_of_numpy() -> None:
    record = {"step": np.int64(3), "train": {"loss": np.float32(0.5), "each": np.array([1.0, np.nan])}}
    assert json.loads(to_json(record)) == {"step": 3, "train": {"loss": 0.5, "each": [1.0, None]}}
    assert for_json(Layout(outer=SGD(0.5), replicas=2))["layout"]["outer"] == {
        "sgd": {"lr": 0.5, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    }


def test_two_models_with_the_same_bytes_do_not_share_a_file() -> None:
    """What `evaluate` begins with is a file named by the state, which is more than its bytes."""
    y = rng.standard_normal((96, 4)).astype("float32")
    rest = {
        "loss": "mean_squared_error",
        "optimizer": {"sgd": 1e-30},
        "batch": 16,
        "client": "threaded-scheduler",
    }
    for network in (["rms_norm"], ["tanh", "rms_norm"], ["tanh", "tanh", "rms_norm"]):
        assert Trainer(network, **rest).fit(X, y).evaluate(X, y)["loss"] > 0


@pytest.mark.parametrize(
    "hint, value, expected",
    [
        (int, np.int64(3), 3),
        (float, np.float32(0.5), 0.5),
        (float, 1, 1.0),
        (bool, np.bool_(False), False),
        (str, Path("a"), "a"),
        (str | Path | None, Path("a"), Path("a")),
        (tuple[int, ...] | int, np.array([1, 2]), (1, 2)),
    ],
)
def test_the_door_gives_plain_values(hint: Any, value: Any, expected: Any) -> None:
    found = checked("a", value, hint)
    assert found == expected and type(found) is type(expected)
