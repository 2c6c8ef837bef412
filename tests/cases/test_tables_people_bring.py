"""Tables with gaps, texts, categories and names of columns, from a frame to predictions."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest

from daskpar import Ensemble, InputError, Layout, Trainer
from daskpar.data.encode import Encode
from daskpar.data.impute import Impute
from daskpar.data.transforms import from_json, to_json

THREADED = "threaded-scheduler"
RNG = np.random.default_rng(0)
ROWS = 120
FRAME = pd.DataFrame(
    {
        "age": RNG.normal(40, 10, ROWS),
        "town": RNG.choice(["Lyon", "Rome", "Oslo"], ROWS),
        "member": RNG.random(ROWS) > 0.5,
        "visits": pd.array(RNG.integers(0, 9, ROWS), dtype="Int64"),
        "grade": pd.Categorical(RNG.choice([1, 2, 3], ROWS)),
        "paid": pd.array(RNG.random(ROWS) > 0.3, dtype="boolean"),
    }
)
FRAME.loc[::9, "age"] = np.nan
FRAME.loc[3, "town"] = None
FRAME.loc[5, ["visits", "paid"]] = pd.NA
Y = np.where((FRAME["town"] == "Lyon") | (FRAME["age"] > 45), "yes", "no")
STEPS = ["impute", "standardise", "encode"]
NUMBERS = FRAME[["age", "visits", "paid"]]


def made(kind=Trainer, **how):
    how = {
        "transforms": STEPS,
        "batch": 24,
        "epochs": 12,
        "optimizer": {"adam": 0.03},
        "client": THREADED,
    } | how
    return kind([{"dense": 12}, "relu", {"dense": 2}], **how)


@pytest.fixture(scope="module")
def trained():
    return made(metrics=["accuracy"]).fit(FRAME, Y)


def by_hand(frame):
    """What the transforms make of a frame, in plain NumPy."""
    numbers = frame[["age", "member", "visits", "paid"]].astype("float64")
    numbers = numbers.fillna(numbers.mean())
    numbers = (numbers - numbers.mean()) / numbers.std(ddof=0)
    towns, grades = frame["town"].fillna("\uffff"), frame["grade"].astype(str)
    hot = [np.array([towns == t for t in sorted(set(towns))]), np.array([grades == g for g in "123"])]
    columns = [numbers["age"], *hot[0], numbers["member"], numbers["visits"], *hot[1], numbers["paid"]]
    return np.column_stack(columns)


def test_a_mixed_frame_is_learnt_as_its_numbers(trained):
    assert trained.evaluate(FRAME, Y)["accuracy"] > 0.9
    assert trained.spec_.in_shape == (11,)
    x = by_hand(FRAME)
    bare = made(transforms=[], metrics=["accuracy"]).fit(x, Y)
    np.testing.assert_allclose(bare.predict(x), trained.predict(FRAME), atol=1e-4)
    assert set(trained.predict(FRAME, "classes")) == {"yes", "no"}
    assert np.isfinite(trained.predict(FRAME)).all()


@pytest.mark.parametrize(
    "layout", [Layout(data=2), Layout(data=2, shards=2, grain="layer"), Layout(stages=2)], ids=str
)
def test_same_bits_for_a_frame_as_for_its_array_under_layouts(layout, trained):
    values = trained.spec_.transforms
    x = records()
    for fitted in values:
        x = fitted.apply(x)
    frame = made(layout=layout, epochs=2).fit(FRAME, Y)
    array = made(layout=layout, epochs=2, transforms=[]).fit(x, Y)
    assert frame.parameters_sha256_ == array.parameters_sha256_


def records():
    from daskpar.data.check import as_array

    return as_array(FRAME, "test")


def test_workers_elsewhere_read_the_same_table(processes_client, trained):
    there = made(client=processes_client, layout=Layout(data=2), epochs=2).fit(FRAME, Y)
    here = made(layout=Layout(data=2), epochs=2).fit(FRAME, Y)
    assert there.parameters_sha256_ == here.parameters_sha256_


def test_other_containers_give_the_same_predictions(trained):
    expected = trained.predict(FRAME)
    lazy = dd.from_pandas(FRAME, npartitions=3)
    np.testing.assert_allclose(trained.predict(lazy).compute(scheduler="sync"), expected, atol=1e-5)
    rows = FRAME.assign(grade=FRAME["grade"].astype(str)).astype(object).where(FRAME.notna(), None)
    np.testing.assert_array_equal(trained.predict(rows.to_numpy()), expected)
    np.testing.assert_array_equal(trained.predict(rows.to_numpy().tolist()), expected)
    polar = pl.from_pandas(FRAME.assign(grade=FRAME["grade"].astype(str)))
    np.testing.assert_array_equal(trained.predict(polar), expected)
    np.testing.assert_array_equal(trained.predict(FRAME[:1])[0].argmax(), expected[0].argmax())


def test_a_dask_dataframe_trains_as_a_frame():
    lazy, labels = dd.from_pandas(FRAME, npartitions=3), dd.from_pandas(pd.Series(Y), npartitions=3)
    how = {"epochs": 2, "streams": 1, "distribution": "uniform"}
    one, other = made(**how).fit(lazy, labels), made(**how).fit(FRAME, Y)
    assert one.parameters_sha256_ == other.parameters_sha256_
    assert one.evaluate(lazy, labels)["loss"] == pytest.approx(other.evaluate(FRAME, Y)["loss"])
    assert one.feature_names_in_.tolist() == list(FRAME.columns)


def test_a_category_that_training_did_not_have_is_no_category(trained):
    strange = FRAME.assign(town="Paris")
    codes = trained.spec_.transforms[-1]
    assert codes.values[1] == ("Lyon", "Oslo", "Rome", "\uffff")
    assert np.isfinite(trained.predict(strange)).all()
    hidden = made().fit(FRAME[FRAME["town"] != "Oslo"], Y[FRAME["town"] != "Oslo"])
    oslo = FRAME.assign(town="Oslo")
    np.testing.assert_array_equal(hidden.predict(oslo), hidden.predict(strange))


def test_only_the_training_part_is_fitted():
    rare = FRAME.assign(town=["Lyon"] * 100 + ["Rome"] * 20)
    fitted = made(distribution="uniform", epochs=1).fit(rare[:100], Y[:100], validation=(rare[100:], Y[100:]))
    assert fitted.spec_.transforms[-1].values[1] == ("Lyon",)


DIFFERENT = {
    "another order": (lambda f: f[f.columns[::-1]], "column 0 is 'paid' where training had 'age'"),
    "too few": (lambda f: f.drop(columns=["town", "age"]), "column 'age' and 1 more are missing"),
    "too many": (lambda f: f.assign(height=1.0), "column 'height' was not there in training; drop it"),
    "renamed": (
        lambda f: f.rename(columns={"age": "Age"}),
        "'age' is missing, which training had; there is 'Age'",
    ),
    "texts for numbers": (lambda f: f.assign(age="old"), "'age' held numbers in training, now texts"),
    "numbers for texts": (lambda f: f.assign(town=1), "'town' held texts in training, now numbers"),
    "dates": (lambda f: f.assign(age=pd.Timestamp("2026-01-01")), "columns 'age' (datetime64"),
    "lazily": (lambda f: dd.from_pandas(f[f.columns[::-1]], npartitions=2), "column 0 is 'paid'"),
    "rows too short": (lambda f: f.astype(object).to_numpy()[:, :3], "on 6 columns: 'age', 'town'"),
    "rows of others": (
        lambda f: [[1.0, 2.0, True, 1, "1", True]] * ROWS,
        "'town' held texts in training, now 2.0",
    ),
}


@pytest.mark.parametrize("case", DIFFERENT)
@pytest.mark.parametrize("way", ["predict", "evaluate", "validation"])
def test_other_columns_are_refused(case, way, trained):
    change, message = DIFFERENT[case]
    given = change(FRAME)
    with pytest.raises(InputError) as error:
        if way == "predict":
            trained.predict(given)
        elif way == "evaluate":
            trained.evaluate(given, Y)
        else:
            made().fit(FRAME, Y, validation=(given, Y))
    assert message in str(error.value)


def test_columns_are_compared_for_numbers_too():
    x = NUMBERS.astype("float64").fillna(0.0)
    plain = made(transforms=[], epochs=1).fit(x, Y)
    assert plain.parameters_sha256_ == made(transforms=[], epochs=1).fit(x.to_numpy(), Y).parameters_sha256_
    with pytest.raises(InputError, match="column 0 is 'paid' where training had 'age'"):
        plain.predict(x[["paid", "visits", "age"]])
    np.testing.assert_array_equal(plain.predict(x.to_numpy()), plain.predict(x))
    scaled = made(transforms=["standardise"], epochs=1).fit(x, Y)
    for columns in (1, 2, 4):  # a single one would be stretched to all
        with pytest.raises(InputError, match=r"the model expects \(3,\) \(columns 'age', 'visits', 'paid'\)"):
            scaled.predict(np.zeros((5, columns)))
    with pytest.raises(AttributeError, match="no attribute 'feature_names_in_'"):
        made(epochs=1, transforms=[]).fit(x.to_numpy(), Y).feature_names_in_  # noqa: B018


def test_a_checkpoint_remembers_columns_and_categories(tmp_path, trained):
    made(folder=tmp_path, epochs=1).fit(FRAME, Y)
    loaded = made().restore(tmp_path / "checkpoints" / "final")
    assert loaded.feature_names_in_.tolist() == list(FRAME.columns)
    np.testing.assert_array_equal(loaded.predict(FRAME), made(epochs=1).fit(FRAME, Y).predict(FRAME))
    with pytest.raises(InputError, match="column 0 is 'paid'"):
        loaded.predict(FRAME[FRAME.columns[::-1]])
    with pytest.raises(InputError, match="train data: column 0 is 'paid'"):
        made(folder=tmp_path, epochs=2).fit(FRAME[FRAME.columns[::-1]], Y, resume=True)
    for fitted in trained.spec_.transforms:
        assert from_json(to_json(fitted)) == fitted


def test_members_of_an_ensemble_know_the_columns():
    both = made(Ensemble, members=2, epochs=1).fit(FRAME, Y)
    assert both.feature_names_in_.tolist() == list(FRAME.columns)
    with pytest.raises(InputError, match="'age' is missing"):
        both.predict(FRAME.drop(columns="age"))


REFUSED = {
    "texts left": (["impute"], "columns 'town', 'grade' of texts; encode them: transforms=[\"encode\"]"),
    "one_hot": (["one_hot"], "transform one_hot: columns 'town', 'grade' hold texts; put encode before it"),
    "gaps": (["encode"], "or replace missing values: transforms: [impute]"),
    "late": (["standardise", "impute", "encode"], "impute comes after standardise"),
    "no such column": (
        [{"impute": {"columns": ["agee"]}}],
        "column 'agee' is not known; did you mean 'age'?",
    ),
    "no such number": ([{"encode": {"one_hot": [9]}}], "column 9 of 6"),
    "twice": ([{"encode": {"one_hot": [1], "embed": ["town"]}}], "column 'town' is in one_hot and in embed"),
    "mean of texts": (
        [{"impute": {"columns": ["town"]}}],
        "mean does not fit column 'town', which holds texts",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_transforms_that_cannot_be(case):
    steps, message = REFUSED[case]
    with pytest.raises(InputError) as error:
        made(transforms=steps).fit(FRAME, Y)
    assert message in str(error.value)


def test_settings_of_impute():
    with pytest.raises(InputError, match="expected a value for constant"):
        Impute("constant")
    with pytest.raises(InputError, match="'middle' is not known; use one of mean"):
        Impute("middle")
    gone = FRAME.assign(age=np.nan)
    with pytest.raises(InputError, match="column 'age' has no value in the training part"):
        made().fit(gone, Y)
    constant = [{"impute": {"strategy": "constant", "value": 0, "columns": ["age"]}}, *STEPS]
    assert made(transforms=constant, epochs=1).fit(gone, Y).spec_.in_shape == (11,)


def fitted(step, x, chunks=1):
    step = step.on_columns((), x)
    first, *rest = map(step.measure, np.array_split(x, chunks))
    for measure in rest:
        first = step.combine(first, measure)
    return step.fit(first)


@pytest.mark.parametrize("chunks", [1, 2, 5])
@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent"])
def test_impute_as_scikit_learn(strategy, chunks):
    from sklearn.impute import SimpleImputer

    x = RNG.integers(0, 6, (51, 3)) * [1.0, 0.5, 1e6]
    x[RNG.random(x.shape) < 0.2] = np.nan
    expected = SimpleImputer(strategy=strategy).fit_transform(x)
    np.testing.assert_allclose(fitted(Impute(strategy), x, chunks).apply(x), expected, rtol=1e-12)
    assert fitted(Impute(strategy), x).apply(x.astype("float32")).dtype == np.float32


def test_numbers_of_categories_for_an_embedding():
    x = np.array([[1.0, 30], [2.0, 10], [3.0, 30]])
    step = fitted(Encode(embed=(1,)), x, 2)
    np.testing.assert_array_equal(step.apply(x)[:, 1], [2, 1, 2])
    np.testing.assert_array_equal(step.apply(np.array([[1.0, 20]])), [[1, 0]])
    assert step.embedded == (3,)


def test_large_whole_numbers_are_no_neighbours():
    x = np.array([[2**53], [2**53 + 1]])
    step = fitted(Encode(one_hot=(0,)), x)
    np.testing.assert_array_equal(step.apply(x), np.eye(2))
