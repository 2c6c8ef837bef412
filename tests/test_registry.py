"""How a config's entry becomes a block, and what is said of one that cannot."""

import pytest

from daskpar.errors import InputError
from daskpar.nn import (
    Accuracy,
    Dense,
    Dropout,
    Flatten,
    Huber,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    TopK,
)
from daskpar.nn.registry import LAYERS, LOSSES, METRICS, layer, loss, metric, model
from daskpar.optim import SGD, AdamW, Constant, Cosine, Step
from daskpar.optim.registry import OPTIMIZERS, optimizer, schedule
from daskpar.optim.schedules import SCHEDULES

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
    (layer, ReLU, f"layer: {ONE} <class 'daskpar.nn.layers.activations.ReLU'>"),
    (layer, "dense", "layer 'dense' needs units, e.g. `dense: {units: ...}`"),
    (layer, {"dense": {"bias": False}}, "layer 'dense' needs units, e.g. `dense: {units: ...}`"),
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
    (layer, {"dense": {"units": None}}, "layer 'dense': units: input should be a valid integer, got None"),
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
    (loss, "cross_entropy", "loss 'cross_entropy' is not known; did you mean 'binary_cross_entropy'?"),
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
]  # fmt: skip


@pytest.mark.parametrize("build, entry, message", BAD, ids=[str(entry) for _, entry, _ in BAD])
def test_says_what_is_wrong(build, entry, message):
    with pytest.raises(InputError) as caught:
        build(entry)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "table",
    [LAYERS, LOSSES, METRICS, OPTIMIZERS, SCHEDULES],
    ids=["layers", "losses", "metrics", "optimizers", "schedules"],
)
def test_blocks_are_registered_under_their_kind(table):
    for name, block in table.items():
        assert block.kind == name and isinstance(block, type)
