"""Arguments of blocks at and beyond their edges: a block that works, or one line that names the argument."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import numpy as np
import pytest

from daskpar import Clip, InputError, Layout, Penalty, Trainer
from daskpar.data import Digits, Images, Mnist, Npy, Npz, Split, Text
from daskpar.data.fitted import TRANSFORMS
from daskpar.nn import Context, Dense, Layer, ReLU, Sequential, sizes
from daskpar.nn.registry import LAYERS, LOSSES, METRICS, model
from daskpar.optim.registry import OPTIMIZERS
from daskpar.optim.schedules import SCHEDULES

ODD: list[Any] = [-1, 0, 1, 2, 2**31, 2**62, 2**64, 10**400, -0.5, 0.5, 16.0, 1e-300, 1e300]
ODD += [
    float("nan"),
    float("inf"),
    -float("inf"),
    "1",
    "",
    "same",
    True,
    None,
    (),
    (1, 2),
    (-1, 1),
    ((1, -1), (0, 0)),
]
ODD += [np.int64(2), np.uint64(2**63), np.float32(0.5), np.float16("nan"), np.bool_(True), np.array(2)]
ODD += [np.array([1, 2]), np.array([0.5]), np.longdouble(0.5), np.complex64(1), b"1", {}, [], {1}, object()]
NEEDED: dict[str, Any] = {
    "units": 2,
    "channels": 2,
    "words": 5,
    "features": 2,
    "heads": 1,
    "rate": 0.5,
    "shape": (-1,),
    "rows": 1,
    "columns": 1,
    "pixels": 1,
    "size": 2,
    "mean": 0.0,
    "deviation": 1.0,
    "times": 2,
    "layers": (ReLU(),),
    "source": Digits(),
    "part": "train",
    "path": "data",
    "folder": "data",
    "x": "x.npy",
    "y": "y.npy",
    "block": 4,
}
NEEDED_AFTER_OTHERS = {("embedding", "features"), ("tied_embedding", "features")}
BLOCKS: dict[str, Any] = {
    f"{family} {name}": block
    for family, table in {
        "layer": LAYERS,
        "loss": LOSSES,
        "metric": METRICS,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
        "transform": TRANSFORMS,
    }.items()
    for name, block in table.items()
}
BLOCKS |= {
    block.__name__: block for block in (Layout, Clip, Penalty, Digits, Images, Mnist, Npy, Npz, Split, Text)
}
ROWS = [(name, f.name) for name, block in BLOCKS.items() for f in fields(block)]
SHAPES = [(), (2,), (3, 2), (4, 4, 2), (1, 1, 1)]


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 256 MiB, so that a size which is not refused takes little."""
    monkeypatch.setattr(sizes, "memory", lambda: 2**28)


def line(error: BaseException) -> str:
    text = str(error)
    assert text and "\n" not in text and len(text) < 400
    return text


@pytest.mark.parametrize("name, field", ROWS, ids=[f"{name} {field}" for name, field in ROWS])
def test_an_odd_value_gives_a_block_that_works_or_a_line(name: str, field: str) -> None:
    block = BLOCKS[name]
    needed = {
        f.name: NEEDED[f.name] for f in fields(block) if f.default is MISSING and f.default_factory is MISSING
    }
    if name == "Images":
        needed["size"] = (8, 8)
    for value in ODD:
        try:
            built = block(**needed | {field: value})
        except InputError as error:
            line(error)
            continue
        kept = getattr(built, field)
        assert not isinstance(kept, np.generic | np.ndarray) or block is Split, (value, kept)
        if isinstance(built, Layer):
            for shape in SHAPES:
                tried(Sequential((built, ReLU())), shape)


def tried(network: Sequential, shape: tuple[int, ...]) -> None:
    """Initialise a model and run it both ways; what cannot be initialised is refused in a line."""
    try:
        params, out_shape = network.init(np.random.default_rng(0), shape)
    except InputError as error:
        assert line(error).startswith("layer 0: ")
        return
    assert all(type(size) is int and size > 0 for size in out_shape)
    if np.prod(out_shape, dtype=float) > 1e4:
        return
    x = np.zeros((2, *shape), int) if network.tokens else np.ones((2, *shape))
    with np.errstate(all="ignore"):
        y, saved = network.forward(params, x, Context(training=True))
        assert y.shape == (2, *out_shape)
        dx, _ = network.backward(params, saved, y, Context(training=True))
    assert network.tokens or dx.shape == x.shape


BAD: list[tuple[Any, str]] = [
    ([{"conv2d": {"channels": 4, "padding": -1}}], "layer 0: conv2d.padding=-1 must not be negative"),
    (
        [{"conv2d": {"channels": 4, "padding": [[1, -1], [0, 0]]}}],
        "layer 0: conv2d.padding=((1, -1), (0, 0))",
    ),
    ([{"avg_pool": {"padding": -1}}], "layer 0: avg_pool.padding=-1 must not be negative"),
    ([{"max_pool": {"padding": [0, -1]}}], "layer 0: max_pool.padding=(0, -1) must not be negative"),
    ([{"max_pool": {"padding": "smae"}}], "layer 0: max_pool.padding='smae' is not known"),
    (
        ["tanh", {"conv_transpose2d": {"channels": 4, "padding": -1}}],
        "layer 1: conv_transpose2d.padding=-1 must",
    ),
    (
        [{"conv2d": 2**64}],
        "layer 0: conv2d.channels=18446744073709551616: expected whole numbers below 2**63",
    ),
    ([{"conv2d": 2**62}], "layer 0: conv2d: parameters of shape (3, 3, 2, 4611686018427387904) would take "),
    (["flatten", {"dense": 10**13}], "layer 1: dense: parameters of shape (32, 10000000000000) would take "),
    (
        [{"pad": {"rows": 10**9, "columns": 10**9}}],
        "layer 0: pad: an output of shape (2000000004, 2000000004, 2)",
    ),
    ([{"repeat": {"times": 10**9, "layers": ["tanh"]}}], "layer 0: a model of 1,000,000,000 layers or more"),
    ([{"conv2d": {"channels": 4, "kernel": 7}}], "layer 0: conv2d: a kernel of (7, 7) does not fit into"),
    ([{"conv2d": {"channels": 4, "stride": 0}}], "layer 0: conv2d.stride=0 must be above zero"),
    ([{"conv2d": {"channels": 4, "stride": [1, 0]}}], "layer 0: conv2d.stride=0 must be above zero"),
    ([{"conv2d": {"channels": 4, "groups": 3}}], "layer 0: conv2d: groups=3 does not divide channels=4"),
    ([{"conv2d": {"channels": 3, "groups": 3}}], "layer 0: conv2d: groups=3 does not divide the 2 channels"),
    (["tanh", {"embedding": [5, 2]}], "layer"),
    (
        [{"embedding": {"words": 5, "features": 2}}, {"embedding": {"words": 5, "features": 2}}],
        "layer 1: embedding: expects integers",
    ),
    (
        ["flatten", {"tied_embedding": {"words": 5, "features": 2}}],
        "layer 1: tied_embedding: expects integers",
    ),
    (
        [{"residual": [{"embedding": {"words": 5, "features": 2}}]}],
        "layer 0: residual: embedding expects integers",
    ),
    (
        ["tanh", {"sequential": [{"embedding": {"words": 5, "features": 2}}]}],
        "layer 1: sequential: expects integers",
    ),
    ([{"reshape": [-2, -16]}], "layer"),
    ([{"reshape": {"shape": [-2, -16]}}], "layer 0: reshape.shape=(-2, -16): expected sizes"),
    (["flatten", {"dropout": float("nan")}], "layer 1: dropout.rate=nan must be at least 0 and below 1"),
    (["flatten", {"dense": -3}], "layer 1: dense.units=-3 must be above zero"),
    ([{"random_crop": {"rows": 2, "columns": 2, "padding": 2**40}}], "layer 0: random_crop.padding="),
    ("dense", "model='dense': expected a list of layers"),
    (Dense(2), "model=Dense(units=2"),
    ({"dense": 2}, "model={'dense': 2}: expected a list of layers"),
    (None, "model=None: expected a list of layers"),
    (3, "model=3: expected a list of layers"),
]


@pytest.mark.parametrize("entries, message", BAD, ids=[str(entries)[:60] for entries, _ in BAD])
def test_a_model_is_refused_in_a_line(entries: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        model(entries).init(np.random.default_rng(0), (4, 4, 2))
    assert line(caught.value).startswith(message)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (4, 4, 0)], ids=str)
@pytest.mark.parametrize("kind", sorted(set(LAYERS) - {"repeat"}))  # which stands for its layers
def test_examples_without_numbers_are_refused(kind: str, shape: tuple[int, ...]) -> None:
    block = LAYERS[kind]
    needed = {
        f.name: NEEDED[f.name]
        for f in fields(block)
        if (f.default is MISSING and f.default_factory is MISSING) or (kind, f.name) in NEEDED_AFTER_OTHERS
    }
    with pytest.raises(InputError, match=rf"^layer 0: {kind}: .*have no elements"):
        Sequential((block(**needed),)).init(np.random.default_rng(0), shape)


@pytest.mark.parametrize("transforms", [(), ("standardise",), ("scale",)], ids=str)
def test_no_columns_are_refused_before_the_first_step(transforms: Any) -> None:
    x, y = np.zeros((20, 0), "float32"), np.arange(20) % 2
    trainer = Trainer([{"dense": 2}], batch=10, transforms=list(transforms), client="threaded-scheduler")
    with pytest.raises(InputError, match=r"layer 0: dense: examples of shape \(0,\) have no elements"):
        trainer.fit(x, y)
