"""How a config's entry becomes a block, and what is said of one that cannot."""

import subprocess
import sys
from dataclasses import dataclass, fields

import pytest

from daskpar import EarlyStopping, register
from daskpar.aliases import ARGUMENTS, BLOCKS, VALUES, Advice, value_name
from daskpar.cluster import CLUSTERS, ClusterKind
from daskpar.data import SOURCES, Source
from daskpar.data.fitted import FITTED, TRANSFORMS, Fitted, Transform
from daskpar.data.transforms import Pixels, Scale, Standardise, from_json, to_json, transform
from daskpar.errors import InputError
from daskpar.layout.layout import Layout
from daskpar.nn import (
    LSTM,
    R2,
    RMSE,
    Accuracy,
    BatchNorm,
    BinaryCrossEntropy,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    Huber,
    Layer,
    Loss,
    MaxPool,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    RandomFlip,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    TopK,
)
from daskpar.nn.initialisers import INITIALISERS
from daskpar.nn.registry import LAYERS, LOSSES, METRICS, layer, loss, metric, model
from daskpar.optim import (
    SGD,
    Adam,
    AdamW,
    Clip,
    Constant,
    Cosine,
    Optimizer,
    Penalty,
    ReduceOnPlateau,
    Schedule,
    Step,
)
from daskpar.optim.registry import OPTIMIZERS, optimizer, schedule
from daskpar.optim.schedules import SCHEDULES
from daskpar.registry import named
from daskpar.tasks import PREDICTIONS

GOOD = [
    (layer, "relu", ReLU()),
    (layer, {"relu": None}, ReLU()),
    (layer, {"flatten": {}}, Flatten()),
    (layer, {"dense": 512}, Dense(512)),
    (layer, {"dense": {"units": 5, "bias": False, "init_weight": "lecun"}}, Dense(5, False, "lecun")),
    (layer, {"dropout": 0}, Dropout(0.0)),
    (layer, {"residual": [{"dense": 4}, "relu"]}, Residual((Dense(4), ReLU()))),
    (layer, {"residual": {"layers": [{"residual": ["relu"]}]}}, Residual((Residual((ReLU(),)),))),
    (layer, {"sequential": ("relu", Dense(3))}, Sequential((ReLU(), Dense(3)))),
    (layer, Dense(7), Dense(7)),
    (model, ["flatten", {"dense": 3}], Sequential((Flatten(), Dense(3)))),
    (model, Sequential((ReLU(),)), Sequential((ReLU(),))),
    (loss, "softmax_cross_entropy", SoftmaxCrossEntropy()),
    (loss, {"softmax_cross_entropy": 0.1}, SoftmaxCrossEntropy(0.1)),
    (loss, {"softmax_cross_entropy": {"class_weights": [1, 2.5]}}, SoftmaxCrossEntropy(0.0, (1.0, 2.5))),
    (loss, {"softmax_cross_entropy": {"class_weights": None}}, SoftmaxCrossEntropy()),
    (loss, {"huber": 2}, Huber(2.0)),
    (metric, "accuracy", Accuracy()),
    (metric, {"top_k": 3}, TopK(3)),
    (optimizer, {"sgd": 0.5}, SGD(0.5)),
    (optimizer, {"sgd": {"momentum": 0.9, "nesterov": True}}, SGD(momentum=0.9, nesterov=True)),
    (optimizer, {"adamw": {"weight_decay": 0}}, AdamW(weight_decay=0.0)),
    (schedule, "constant", Constant()),
    (schedule, {"constant": {"warmup": 10}}, Constant(10)),
    (schedule, {"cosine": {"warmup": 5, "floor": 0.1}}, Cosine(5, 0.1)),
    (schedule, {"step": {"every": 3}}, Step(every=3)),
    (layer, "ReLU", ReLU()),
    (layer, {"Linear": 4}, Dense(4)),
    (layer, {"fully-connected": {"units": 4}}, Dense(4)),
    (layer, {"Conv2D": 8}, Conv2d(8)),
    (layer, {"MaxPooling2D": 3}, MaxPool(3)),
    (layer, "BatchNorm2d", BatchNorm()),
    (layer, "batchnorm", BatchNorm()),
    (layer, {"LSTM": 5}, LSTM(5)),
    (layer, {"maxpool": {"size": 2}}, MaxPool(2)),
    (layer, "RandomVerticalFlip", RandomFlip(False, True)),
    (loss, "mse", MeanSquaredError()),
    (loss, "MSELoss", MeanSquaredError()),
    (loss, "mae", MeanAbsoluteError()),
    (loss, "bce", BinaryCrossEntropy()),
    (loss, "BCEWithLogitsLoss", BinaryCrossEntropy()),
    (loss, {"HuberLoss": 2}, Huber(2.0)),
    *[
        (loss, name, SoftmaxCrossEntropy())
        for name in """cross_entropy crossentropy CrossEntropyLoss categorical_crossentropy NLLLoss nll
        sparse_categorical_crossentropy""".split()
    ],
    (metric, "acc", Accuracy()),
    (metric, "exact_accuracy", Accuracy(exact=True)),
    (metric, "top3", TopK(3)),
    (metric, "r2_score", R2()),
    (metric, "root_mean_squared_error", RMSE()),
    (optimizer, "Adam", Adam()),
    (optimizer, {"AdamW": {"lr": 0.1}}, AdamW(0.1)),
    (optimizer, {"SGD": {"momentum": 0.9}}, SGD(momentum=0.9)),
    (schedule, "CosineAnnealingLR", Cosine()),
    (schedule, "ReduceLROnPlateau", ReduceOnPlateau()),
    (transform, "standardize", Standardise()),
    (transform, "MinMaxScaler", Scale()),
]


@pytest.mark.parametrize("build, entry, block", GOOD, ids=[str(entry) for _, entry, _ in GOOD])
def test_builds(build, entry, block):
    assert build(entry) == block


def test_entries_are_left_as_they_are():
    entry = {"residual": {"layers": [{"dense": {"units": 4}}]}}
    layer(entry)
    assert entry == {"residual": {"layers": [{"dense": {"units": 4}}]}}


ONE = "expected a name or one `name: arguments`, got"
BAD = [
    (layer, "desne", "layer 'desne' is not known; did you mean 'dense'?"),
    (layer, {"reul": None}, "layer 'reul' is not known; did you mean 'relu'?"),
    (layer, "xyzzy", "layer 'xyzzy' is not known; known: avg_pool, batch_norm, conv1d, "),
    (layer, {3: 4}, "layer 3 is not known; known: "),
    (layer, None, f"layer: {ONE} None"),
    (layer, 5, f"layer: {ONE} 5"),
    (layer, ["relu"], f"layer: {ONE} ['relu']"),
    (layer, {}, f"layer: {ONE} {{}}"),
    (layer, {"dense": 1, "relu": None}, f"layer: {ONE} {{'dense': 1, 'relu': None}}"),
    (layer, ReLU, f"layer: {ONE} <class 'daskpar.nn.layers.activations.ReLU'>; write ReLU(...)"),
    (layer, "conv2d", "layer 'conv2d' needs channels, e.g. `conv2d: {channels: ...}`"),
    (layer, {"conv2d": {"bias": False}}, "layer 'conv2d' needs channels, e.g. `conv2d: {channels: ...}`"),
    (layer, "dropout", "layer 'dropout' needs rate, e.g. `dropout: {rate: ...}`"),
    (layer, {"residual": None}, "layer 'residual' needs layers"),
    (layer, {"dense": {"unit": 4}}, "argument of layer 'dense' 'unit' is not known; did you mean 'units'?"),
    (layer, {"dense": {"units": 4, "?": 1}}, "argument of layer 'dense' '?' is not known; known: bias"),
    (layer, {"dense": {"kind": "relu"}}, "argument of layer 'dense' 'kind' is not known; known: bias, "),
    (layer, {"relu": 3}, "layer 'relu' takes no arguments, got 3"),
    (layer, {"relu": {"slope": 3}}, "layer 'relu' takes no arguments, got {'slope': 3}"),
    (layer, {"dense": "many"}, "layer 'dense': units: input should be a valid integer, got 'many'"),
    (layer, {"dense": 4.0}, "layer 'dense': units: input should be a valid integer, got 4.0"),
    (layer, {"dense": True}, "layer 'dense': units: input should be a valid integer, got True"),
    (layer, {"dense": [4, False]}, "layer 'dense': units: input should be a valid integer, got (4, False)"),
    (layer, {"gru": {"units": None}}, "layer 'gru': units: input should be a valid integer, got None"),
    (layer, {"dense": {"units": 4, "bias": 1}}, "layer 'dense': bias: input should be a valid boolean, got"),
    (layer, {"dense": {"units": 4, "init_bias": 0}}, "layer 'dense': init_bias: input should be a valid str"),
    (layer, {"dense": {"units": 4, "init_weight": "hee"}}, "initialiser 'hee' is not known; did you mean"),
    (layer, {"dense": -4}, "dense.units=-4 must be above zero"),
    (layer, {"dropout": "5e-1"}, "layer 'dropout': rate: input should be a valid number, got '5e-1'"),
    (layer, {"dropout": 1}, "dropout.rate=1.0 must be at least 0 and below 1"),
    (layer, {"residual": 5}, "layer 'residual': expected a list of layers, got 5"),
    (layer, {"residual": "relu"}, "layer 'residual': expected a list of layers, got 'relu'"),
    (layer, {"residual": {"layers": None}}, "layer 'residual': expected a list of layers, got None"),
    (layer, {"residual": ["relu", {"dens": 4}]}, "layer 'dens' is not known; did you mean 'dense'?"),
    (layer, {"sequential": []}, "a model needs at least one layer"),
    (model, [], "a model needs at least one layer"),
    (model, ["relu", "rleu"], "layer 'rleu' is not known; did you mean 'relu'?"),
    (loss, "cross_entropi", "loss 'cross_entropi' is not known; did you mean 'binary_cross_entropy'?"),
    (loss, {"huber": 0}, "huber.delta=0.0 must be above zero"),
    (loss, {"mean_squared_error": 1}, "loss 'mean_squared_error' takes no arguments, got 1"),
    (loss, {"softmax_cross_entropy": {"class_weights": ["a"]}}, "loss 'softmax_cross_entropy': class_w"),
    (metric, "acuracy", "metric 'acuracy' is not known; did you mean 'accuracy'?"),
    (metric, {"top_k": 0}, "top_k.k=0 must be above zero"),
    (optimizer, "adamx", "optimizer 'adamx' is not known; did you mean 'adam"),
    (optimizer, {"sgd": "1e-3"}, "optimizer 'sgd': lr: input should be a valid number, got '1e-3'"),
    (optimizer, {"sgd": {"momentun": 0.9}}, "argument of optimizer 'sgd' 'momentun' is not known; did"),
    (optimizer, {"sgd": {"slots": 1}}, "argument of optimizer 'sgd' 'slots' is not known; "),
    (optimizer, {"sgd": {"lr": -1}}, "sgd.lr=-1.0 must be above zero"),
    (optimizer, {"sgd": {"nesterov": True}}, "sgd.nesterov needs a momentum, e.g. `sgd: {momentum: 0.9"),
    (schedule, "cosin", "schedule 'cosin' is not known; did you mean 'cosine'?"),
    (schedule, {"constant": {"warmup": 1.5}}, "schedule 'constant': warmup: input should be a valid integer"),
    (schedule, {"step": {"every": 0}}, "schedule step.every=0 must be at least 1"),
    (layer, "softmax", "layer 'softmax': leave it out: softmax_cross_entropy expects the outputs before sof"),
    (layer, {"dense": {"out_features": 4}}, "argument of layer 'dense' 'out_features' is called 'units' her"),
    (layer, {"linear": {"Units": 4}}, "argument of layer 'dense' 'Units' is called 'units' here; write unit"),
    (layer, {"lstm": {"hidden_size": 4}}, "argument of layer 'lstm' 'hidden_size' is called 'units' here"),
    (layer, {"conv2d": {"kernel_size": 3}}, "argument of layer 'conv2d' 'kernel_size' is called 'kernel' he"),
    (layer, {"max_pool": {"kernel_size": 3}}, "argument of layer 'max_pool' 'kernel_size' is called 'size'"),
    (layer, {"dropout": {"p": 0.5}}, "argument of layer 'dropout' 'p' is called 'rate' here; write rate"),
    (layer, {"dense": {"activation": "relu"}}, "argument of layer 'dense' 'activation': an activation is"),
    (layer, {"dense": {"in_features": 3}}, "argument of layer 'dense' 'in_features': leave it out: shapes f"),
    (metric, {"top5": 3}, "metric 'top5' is top_k with {'k': 5}; write top_k and its arguments"),
    (metric, "mse", "metric 'mse': use rmse, its square root"),
    (optimizer, {"adam": {"learning_rate": 1}}, "argument of optimizer 'adam' 'learning_rate' is called 'lr"),
    (optimizer, {"adam": {"betas": [0, 0]}}, "argument of optimizer 'adam' 'betas': write beta1 and beta2"),
    (optimizer, {"rmsprop": {"alpha": 1}}, "argument of optimizer 'rmsprop' 'alpha' is called 'decay' here"),
    (schedule, {"step": {"gamma": 0.5}}, "argument of schedule 'step' 'gamma' is called 'factor_each' here"),
    (transform, "normalize", "transform 'normalize': use standardise (mean 0, variance 1) or scale"),
]  # fmt: skip


@pytest.mark.parametrize("build, entry, message", BAD, ids=[str(entry) for _, entry, _ in BAD])
def test_says_what_is_wrong(build, entry, message):
    with pytest.raises(InputError) as caught:
        build(entry)
    assert str(caught.value).startswith(message)


PYTHON = [
    (lambda: Dense(unit=4), "argument of dense 'unit' is not known; did you mean 'units'?"),
    (lambda: Dense(4, activation="relu"), "argument of dense 'activation': an activation is a layer"),
    (lambda: Conv2d(4, kernel_size=3), "argument of conv2d 'kernel_size' is called 'kernel' here; write ker"),
    (lambda: LSTM(hidden_size=3), "argument of lstm 'hidden_size' is called 'units' here; write units"),
    (lambda: Adam(learning_rate=1), "argument of adam 'learning_rate' is called 'lr' here; write lr"),
    (lambda: Layout(dta=2), "argument of layout 'dta' is not known; did you mean 'data'?"),
    (lambda: Layout(workers=2), "argument of layout 'workers' is called 'data' here; write data"),
    (lambda: Layout(tensor_parallel=2), "argument of layout 'tensor_parallel' is called 'width' here"),
]  # fmt: skip


@pytest.mark.parametrize("make, message", PYTHON, ids=[message for _, message in PYTHON])
def test_arguments_in_python_are_told_alike(make, message):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, TypeError)  # as Python has it


def test_a_block_may_have_an_init_of_its_own():
    class Own(Loss):
        def __init__(self, activation):
            object.__setattr__(self, "activation", activation)

    assert Own(activation="relu").activation == "relu"
    with pytest.raises(
        InputError, match="argument of loss 'activatoin' is not known; did you mean 'activation"
    ):
        Own(activatoin="relu")


VALUES_OF = {"initialiser": INITIALISERS, "kind of prediction": PREDICTIONS}


@pytest.mark.parametrize("what", VALUES)
def test_other_names_of_values(what):
    known = VALUES_OF[what]
    for other, name in VALUES[what].items():
        assert other not in known
        if isinstance(name, Advice):
            with pytest.raises(InputError, match=f"^{what} '{other}': use"):
                value_name(what, other, known)
        else:
            assert value_name(what, other.capitalize(), known) == name in known
    with pytest.raises(InputError, match=f"^{what} 'xyz' is not known; known: "):
        value_name(what, "xyz", known)


def test_other_names_are_none_of_ours():
    """No alias hides a block, and each stands for one that there is."""
    tables = {t.what: t for t in (LAYERS, LOSSES, METRICS, OPTIMIZERS, SCHEDULES, TRANSFORMS)}
    assert tables.keys() == BLOCKS.keys()
    for what, aliases in BLOCKS.items():
        assert not {"".join(name.split("_")) for name in tables[what]} & aliases.keys()
        for entry in aliases.values():
            if not isinstance(entry, Advice):
                ((name, arguments),) = entry.items() if isinstance(entry, dict) else [(entry, {})]
                assert arguments.keys() <= {field.name for field in fields(tables[what][name])}
    every = {field.name for table in tables.values() for block in table.values() for field in fields(block)}
    every |= {field.name for block in (Layout, EarlyStopping, Clip, Penalty) for field in fields(block)}
    for names in ARGUMENTS.values():
        assert all(name in every or isinstance(name, Advice) for name in names), names


@pytest.mark.parametrize(
    "table",
    [LAYERS, LOSSES, METRICS, OPTIMIZERS, SCHEDULES],
    ids=["layers", "losses", "metrics", "optimizers", "schedules"],
)
def test_blocks_are_registered_under_their_kind(table):
    assert len(table) >= 5
    for name, block in table.items():
        assert block.kind == name and isinstance(block, type)


CONTRACTS = {
    "layer": (Layer, LAYERS),
    "loss": (Loss, LOSSES),
    "metric": (Metric, METRICS),
    "optimizer": (Optimizer, OPTIMIZERS),
    "schedule": (Schedule, SCHEDULES),
    "transform": (Transform, TRANSFORMS),
    "fitted transform": (Fitted, FITTED),
    "data.source": (Source, SOURCES),
    "cluster.kind": (ClusterKind, CLUSTERS),
}


def block_of(contract, name="Own"):
    """A frozen dataclass of a contract, with one field."""
    return dataclass(frozen=True)(type(name, (contract,), {"__annotations__": {"size": int}, "size": 3}))


@pytest.fixture(params=CONTRACTS)
def table(request, monkeypatch):
    """A contract and its table, which forgets what a test registers."""
    contract, table = CONTRACTS[request.param]
    monkeypatch.setattr(table, "blocks", dict(table.items()))
    assert table.what == request.param
    return contract, table


def test_a_block_of_one_s_own(table):
    contract, blocks = table
    own = register("own")(block_of(contract))
    assert blocks["own"] is own and own.kind == "own"
    assert named(blocks, "own") == own() and named(blocks, {"own": {"size": 5}}) == own(size=5)
    assert named(blocks, own(size=6)) == own(size=6)
    with pytest.raises(InputError, match=f"{blocks.what} 'owm' is not known; did you mean 'own'?"):
        named(blocks, "owm")
    with pytest.raises(
        InputError, match=f"{blocks.what} 'own': size: input should be a valid integer, got 'x'"
    ):
        named(blocks, {"own": {"size": "x"}})


def test_a_name_is_taken_once(table):
    contract, blocks = table
    register("own")(block_of(contract))
    again = register("own")(block_of(contract))  # as when its module is loaded again
    assert blocks["own"] is again
    with pytest.raises(
        InputError, match=f"{blocks.what} 'own' is registered twice, by .*Own and by .*Other; choose"
    ):
        register("own")(block_of(contract, "Other"))
    ours = next(iter(blocks))
    with pytest.raises(InputError, match=f"{ours!r} is registered twice, by daskpar"):
        register(ours)(block_of(contract))
    assert blocks["own"] is again


@pytest.mark.parametrize("thing", [type("Own", (), {}), type("Own", (Layer,), {}), int])
def test_what_is_no_block_is_refused(thing):
    with pytest.raises(
        InputError, match=r"register\('own'\): expected a frozen dataclass derived from one of Clus"
    ):
        register("own")(thing)


def test_a_table_looks_at_its_package_when_it_is_asked():
    """Nobody has imported the layers before."""
    program = "from daskpar.cluster.kind import CLUSTERS as c; print(len(c.blocks), 'kubernetes' in c)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "0 True\n"


def test_a_fitted_transform_that_is_not_registered_cannot_be_kept():
    with pytest.raises(
        InputError, match=r"transforms: Own is not registered; put @register\('own'\) before it"
    ):
        to_json(block_of(Fitted)())
    assert from_json({"transform": "Pixels", "max_value": 2.0}) == Pixels(2.0)  # as written formerly
