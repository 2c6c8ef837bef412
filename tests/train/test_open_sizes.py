"""Sizes that a model leaves to the data: words, outputs, categories of columns."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest

from daskpar import InputError, Layout, Trainer
from daskpar.data import Text
from daskpar.nn import Dense, Embedding, Residual, Sequential
from daskpar.nn.open_sizes import Sizes, fill, open_in

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4)).astype("f4")
WORDS = RNG.integers(0, 30, (60, 5))
WORDS[7, 2] = 29
CLASSES = np.arange(60) % 3
TEXT = "Съешь ещё этих мягких французских булок, да выпей чаю. Café 漢字 👍🏽\n" * 20
CHARACTERS = len(set(TEXT))


def trained(model, x, y=None, **how):
    return Trainer(model, steps=2, batch=12, client="threaded-scheduler", **how).fit(x, y)


@pytest.fixture
def text(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    return Text(tmp_path / "a.txt", block=8)


@pytest.mark.parametrize("last", ["dense", {"dense": None}, Dense()])
def test_a_text_says_words_and_outputs(text, last):
    left = trained([{"embedding": {"features": 6}}, last], text)
    told = trained([{"embedding": {"words": CHARACTERS, "features": 6}}, {"dense": CHARACTERS}], text)
    assert left.spec_.out_shape == (8, CHARACTERS)
    assert left.parameters_sha256_ == told.parameters_sha256_
    assert left.spec_.model == told.spec_.model


def test_a_tied_embedding(text):
    left = trained([{"tied_embedding": {"features": 6, "layers": ["layer_norm"]}}], text)
    assert left.spec_.out_shape == (8, CHARACTERS)


MODELS = {
    "words": (
        [{"embedding": {"words": 20, "features": 6}}, "dense"],
        "numbers from 0 to 44 for an embedding of 20",
    ),
    "outputs": (
        [{"embedding": {"features": 6}}, {"dense": 20}],
        "characters, the model 20 outputs; give the last",
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_wrong_number_is_refused_before_training(case, text):
    model, message = MODELS[case]
    with pytest.raises(InputError) as error:
        trained(model, text)
    assert message in str(error.value) and f"the text has {CHARACTERS} characters" in str(error.value)


OUTPUTS = {
    "classes": (CLASSES, {}, 3),
    "labels": (np.array(["a", "b", "c", "d"])[np.arange(60) % 4], {}, 4),
    "numbers of classes": (CLASSES * 10 + 5, {}, 3),
    "one-hot": (np.eye(5, dtype=int)[np.arange(60) % 5], {}, 5),
    "bools": (CLASSES > 0, {}, 2),
    "one of two": (CLASSES > 0, {"loss": "binary_cross_entropy"}, 1),
    "names of two": (np.where(CLASSES, "a", "b"), {"loss": "binary_cross_entropy"}, 1),
    "several yes and no": (np.eye(3)[CLASSES], {"loss": "binary_cross_entropy"}, 3),
    "a number": (X[:, 0], {"loss": "mean_squared_error"}, 1),
    "numbers": (X[:, :2], {"loss": "huber"}, 2),
    "blocks": (da.from_array(CLASSES, chunks=20), {}, 3),
    "inputs": (None, {"loss": "mean_squared_error", "targets": ["inputs"]}, 4),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_targets_say_the_outputs(case):
    y, how, outputs = OUTPUTS[case]
    left = trained([{"dense": 6}, "relu", "dense"], X, y, **how)
    assert left.spec_.out_shape == (outputs,)
    told = trained([{"dense": 6}, "relu", {"dense": outputs}], X, y, **how)
    assert left.parameters_sha256_ == told.parameters_sha256_


@pytest.mark.parametrize(
    "kind", [np.asarray, lambda x: da.from_array(x, chunks=(20, 5))], ids=["array", "blocks"]
)
def test_whole_numbers_say_the_words(kind):
    left = trained([{"embedding": {"features": 4}}, "flatten", "dense"], kind(WORDS), kind(WORDS)[:, 0] % 3)
    assert left.spec_.model.layers[0].words == 30


def test_rows_that_are_held_out_count(tmp_path):
    x, y = np.zeros((60, 5), int), np.zeros(60, int)
    x[-1], y[-1] = 9, 3
    how = {"distribution": "uniform", "steps": 1, "batch": 12, "client": "threaded-scheduler"}
    left = Trainer([{"embedding": {"features": 4}}, "flatten", "dense"], **how)
    left.fit(da.from_array(x, chunks=(20, 5)), da.from_array(y, chunks=20), validation=0.1)
    assert left.spec_.model.layers[0].words == 10 and left.spec_.out_shape == (4,)


def test_a_checkpoint_knows_the_sizes(tmp_path, text):
    model = [{"embedding": {"features": 6}}, "dense"]
    first = trained(model, text, folder=tmp_path)
    again = Trainer(model, client="threaded-scheduler").restore(tmp_path / "checkpoints" / "final")
    np.testing.assert_array_equal(again.predict(np.zeros((1, 8), int)), first.predict(np.zeros((1, 8), int)))
    Trainer(model, steps=3, batch=12, folder=tmp_path, client="threaded-scheduler").fit(text, resume=True)


@pytest.mark.parametrize(
    "layout",
    [Layout(data=2), Layout(width=2), Layout(stages=2, microbatches=2), Layout(data=2, shards=2)],
    ids=str,
)
def test_layouts_cut_what_is_filled_in(layout):
    how = {"layout": layout, "loss": "softmax_cross_entropy"}
    y = np.arange(60) % 4
    left = trained([{"dense": 6}, "relu", "dense"], X, y, **how)
    assert (
        left.parameters_sha256_
        == trained([{"dense": 6}, "relu", {"dense": 4}], X, y, **how).parameters_sha256_
    )


REFUSED = {
    "two open": (
        [Dense(), Dense()],
        X,
        CLASSES,
        "several layers of the model have no `units`; only the last one",
    ),
    "floats": ([Dense()], X, X[:, 0], "dense.units is not set, and the data do not determine it"),
    "no features": ([{"embedding": 30}], WORDS, CLASSES, "layer 'embedding' needs features"),
    "no codes": (
        ["embed_columns", "dense"],
        X,
        CLASSES,
        "no column holds codes of categories; use the transform",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    model, x, y, message = REFUSED[case]
    with pytest.raises(InputError) as error:
        trained(model, x, y)
    assert message in str(error.value)


def test_what_is_closed_stays_the_same_object():
    model = Sequential((Dense(3), Residual((Dense(3),))))
    assert fill(model, Sizes(outputs=5)) is model and open_in(model) == []
    inner = Sequential((Embedding(4, 3), Residual((Dense(3), Dense()))))
    assert fill(inner, Sizes(outputs=3)).layers[1].layers[1].units == 3


TABLE = pd.DataFrame(
    {
        "age": RNG.normal(40, 10, 60),
        "town": RNG.choice(["Lyon", "Oslo"], 60),
        "size": RNG.choice(["S", "M", "L"], 60),
    }
)


@pytest.mark.parametrize(
    "layout",
    [None, Layout(data=2), Layout(width=2), Layout(stages=2), Layout(data=2, shards=2, grain="layer")],
    ids=str,
)
def test_vectors_for_categories(layout):
    how = {"transforms": ["standardise", {"encode": "embed"}], "layout": layout}
    y = np.where(TABLE["town"] == "Oslo", "yes", "no")
    left = trained(["embed_columns", {"dense": 6}, "relu", "dense"], TABLE, y, **how)
    first = left.spec_.model.layers[0]
    assert first.categories == (3, 4) and left.parameters_["0.weight1"].shape == (4, 2)
    strange = left.predict(TABLE.assign(town="Rome"))
    np.testing.assert_array_equal(strange, left.predict(TABLE.assign(town="Paris")))
    alone = trained(["embed_columns", {"dense": 6}, "relu", "dense"], TABLE, y, transforms=how["transforms"])
    np.testing.assert_allclose(left.predict(TABLE), alone.predict(TABLE), atol=1e-4)


def test_nothing_changes_the_numbers_of_categories():
    with pytest.raises(InputError, match="standardise comes after encode, whose numbers of categories"):
        trained(["embed_columns", "dense"], TABLE, CLASSES, transforms=[{"encode": "embed"}, "standardise"])
