"""CSV, Parquet, Arrow and Zarr as sources: the same arrays, and one line for what cannot be read."""

import numpy as np
import pandas as pd
import pytest
import zarr

from daskpar import InputError, Layout, Trainer
from daskpar.data import Arrow, Csv, Npz, Parquet, Zarr, table_store
from daskpar.data.records import MISSING
from daskpar.data.table_files import TableFile

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "id": range(100),
        "age": RNG.normal(40, 10, 100),
        "town": RNG.choice(["Lyon", "Rome"], 100),
        "post": RNG.choice(["00123", "0456"], 100),
        "member": RNG.random(100) > 0.5,
        "visits": pd.array(RNG.integers(0, 9, 100), dtype="Int64"),
        "kind": RNG.choice(["cat", "dog"], 100),
    }
)
FRAME.loc[::9, "age"] = np.nan
FRAME.loc[3, "town"] = None
FRAME.loc[5, "visits"] = pd.NA
KINDS = {"csv": Csv, "parquet": Parquet, "feather": Arrow}


def write(frame, path):
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        (frame.to_parquet if path.suffix == ".parquet" else frame.to_feather)(path)
    return path


def made(**how):
    how = {
        "transforms": ["impute", "standardise", "encode"],
        "batch": 20,
        "client": "threaded-scheduler",
    } | how
    return Trainer([{"dense": 8}, "relu", {"dense": 2}], **how)


@pytest.mark.parametrize("ending", KINDS)
def test_columns_as_they_are(ending, tmp_path):
    source = KINDS[ending](write(FRAME, tmp_path / f"a.{ending}"), target="kind", drop=("id",))
    x, y = source.arrays()
    assert source.features == tuple(
        (n, "text" if n in ("town", "post") else "number") for n in FRAME.columns[1:-1]
    )
    np.testing.assert_array_equal(y, FRAME["kind"].to_numpy(str))
    np.testing.assert_array_equal(x["age"], FRAME["age"])
    np.testing.assert_array_equal(x["visits"], FRAME["visits"].to_numpy(float, na_value=np.nan))
    assert x["town"].tolist() == FRAME["town"].fillna(MISSING).tolist()
    assert x["post"].tolist() == FRAME["post"].tolist() and x["member"].dtype == bool
    assert (source.rows, source.x_shape, source.y_shape) == (100, (), ())


@pytest.mark.parametrize("layout", [None, Layout(data=2, shards=2)], ids=str)
def test_same_bits_as_a_frame(layout, tmp_path):
    frame = FRAME.drop(columns=["id", "kind"])
    expected = made(layout=layout).fit(frame, FRAME["kind"])
    for ending, kind in KINDS.items():
        source = kind(write(FRAME, tmp_path / f"a.{ending}"), target="kind", drop=("id",))
        trained = made(layout=layout).fit(source)
        assert trained.parameters_sha256_ == expected.parameters_sha256_
        np.testing.assert_array_equal(trained.predict(frame), expected.predict(frame))
        assert trained.evaluate(source) == expected.evaluate(frame, FRAME["kind"])


def test_numbers_alone_are_an_array(tmp_path):
    path = write(FRAME[["age", "member", "id"]].fillna(0.5), tmp_path / "a.parquet")
    x, y = Parquet(path, target=("id",)).arrays()
    assert x.dtype == np.float64 and x.shape == (100, 2) and y.dtype == np.int64
    both = Parquet(path, target=("age", "id"), columns=("member",)).arrays()
    assert both[1].shape == (100, 2) and both[0].dtype == bool


def test_files_of_a_folder_and_a_pattern(tmp_path):
    for i, part in enumerate(np.array_split(np.arange(100), 3)):
        write(FRAME.iloc[part], tmp_path / f"part-{i}.csv")
    for path in (tmp_path, tmp_path / "part-*.csv"):
        source = Csv(path, target="kind")
        np.testing.assert_array_equal(source.arrays()[0]["id"], range(100))
    before = source.version
    write(FRAME[:7], tmp_path / "part-0.csv")
    assert source.version != before and source.rows == 7 + 66


def test_large_tables_are_converted_once_and_mapped(tmp_path, monkeypatch):
    monkeypatch.setattr(table_store, "LARGE", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write(FRAME, tmp_path / "a.csv")
    x, y = Csv(path, target="kind").arrays()
    assert isinstance(x, np.memmap) and isinstance(y, np.memmap)
    kept = list((tmp_path / "cache").rglob("x.npy"))
    assert len(kept) == 1

    reads = []
    monkeypatch.setattr(TableFile, "batches", lambda *_: reads.append(1))
    from daskpar.data import table_arrays

    table_arrays.open_table.cache_clear()
    again = Csv(path, target="kind")
    for name in x.dtype.names:
        np.testing.assert_array_equal(again.arrays()[0][name], x[name])
    assert again.features[1] == ("age", "number") and not reads
    monkeypatch.undo()
    monkeypatch.setattr(table_store, "LARGE", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write(FRAME[:50], path)
    assert Csv(path, target="kind").rows == 50
    assert len(list((tmp_path / "cache").rglob("x.npy"))) == 1


CSV = {
    "whole numbers": ("1\n2\n3", np.int64, [1, 2, 3]),
    "numbers": ("1\n2.5\n1e3", np.float64, [1, 2.5, 1000]),
    "gaps": ("1\nNA\n3", np.float64, [1, np.nan, 3]),
    "bools": ("true\nFalse\nTRUE", bool, [True, False, True]),
    "bools with gaps": ("true\n\nfalse", np.float64, [1, np.nan, 0]),
    "spaces": (" 1\n2 \n3", np.int64, [1, 2, 3]),
    "nothing": ("NA\nNA\nNA", np.float64, [np.nan] * 3),
    "codes": ("01\n02\n03", "U2", ["01", "02", "03"]),
    "a text among numbers": ("1\n2\nmany", "U4", ["1", "2", "many"]),
    "beyond int64": ("1\n2\n99999999999999999999", np.float64, [1, 2, 1e20]),
}


@pytest.mark.parametrize("case", CSV)
def test_what_a_column_of_text_holds(case, tmp_path):
    text, dtype, values = CSV[case]
    rows = "\n".join(f"{i};{line}" for i, line in enumerate(text.split("\n")))
    (tmp_path / "a.csv").write_text(f"y;a\n{rows}\n")
    x, _ = Csv(tmp_path / "a.csv", target="y", separator=";").arrays()
    found = x["a"] if x.dtype.names else x[:, 0]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values)


REFUSED = {
    "no such target": ({"target": "kin"}, "data.target: column 'kin' is not known; did you mean 'kind'?"),
    "no such column": ({"drop": ("ages",)}, "data.drop: column 'ages' is not known; did you mean 'age'?"),
    "nothing left": ({"columns": ("kind",)}, "leave no columns of examples"),
    "targets with gaps": ({"target": "visits"}, "target 'visits' is missing in 1 of 100 rows"),
    "texts as targets": ({"target": ("kind", "id")}, "target 'kind' holds texts; of several targets"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_roles_that_cannot_be(case, tmp_path):
    how, message = REFUSED[case]
    with pytest.raises(InputError) as error:
        Csv(write(FRAME, tmp_path / "a.csv"), **{"target": "kind", **how}).arrays()
    assert message in str(error.value)


FILES = {
    "dates": (
        "y,day\n1,2026-01-05\n2,2026-01-06\n",
        "column 'day' holds dates; give numbers, e.g. days since",
    ),
    "long texts": (f"y,a\n1,{'word ' * 300}\n", "column 'a' holds texts of up to 1,500 characters"),
    "names twice": ("y,a,a\n1,2,3\n", "two columns are called 'a'; rename one"),
    "no rows": ("y,a\n", "zero rows; expected at least one example"),
    "ragged": ("y,a\n1,2\n1,2,3\n", "not a readable csv file (CSV parse error: Expected 2 columns, got 3"),
    "another header": ("y,b\n1,2\n", "its columns are not those of"),
    "no file": (None, "no such file; expected a csv file"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_cannot_be_read(case, tmp_path):
    text, message = FILES[case]
    if text is not None:
        (tmp_path / "a.csv").write_text(text)
    if case == "another header":
        (tmp_path / "b.csv").write_text("y,a\n1,2\n")
    with pytest.raises(InputError) as error:
        Csv(tmp_path / ("*.csv" if case == "another header" else "a.csv"), target="y").arrays()
    assert message in str(error.value)


def test_lists_and_dates_of_parquet_are_refused_by_name(tmp_path):
    for name, values, kind in (("day", pd.Timestamp("2026-01-01"), "dates"), ("v", [[1, 2]] * 100, "list<")):
        path = write(FRAME.assign(**{name: values}), tmp_path / f"{name}.parquet")
        with pytest.raises(InputError, match=f"column '{name}' holds {kind}"):
            Parquet(path, target="kind").arrays()


def test_another_file_is_read_as_the_first_was(tmp_path):
    trained = made().fit(Csv(write(FRAME, tmp_path / "a.csv"), target="kind", drop=("id",)))
    numbers = FRAME.assign(post="123")[:10]  # which looks like whole numbers
    other = Csv(write(numbers, tmp_path / "b.csv"), target="kind", drop=("id",))
    assert trained.evaluate(other)["loss"] > 0
    turned = Csv(write(FRAME[FRAME.columns[::-1]], tmp_path / "c.csv"), target="kind", drop=("id",))
    with pytest.raises(InputError, match="test data: column 0 is 'visits' where training had 'age'"):
        trained.evaluate(turned)


def zarr_group(path, x, y, name="x"):
    group = zarr.open_group(path, mode="w")
    group.create_array(name, data=x, chunks=(13, *x.shape[1:]))
    group.create_array("y", data=y, chunks=(17,))
    return path


def test_zarr_gives_the_bits_of_its_arrays(tmp_path):
    x, y = RNG.standard_normal((100, 3)).astype("f4"), RNG.integers(0, 2, 100)
    np.savez(tmp_path / "a.npz", x=x, y=y)
    source = Zarr(zarr_group(tmp_path / "a.zarr", x, y))
    rows = np.array([3, 99, 3])
    np.testing.assert_array_equal(source.read(rows)[0], x[rows])
    np.testing.assert_array_equal(source.read(slice(5, 40))[1], y[5:40])
    for how in ({}, {"distribution": "stratified"}):
        sums = {
            made(transforms=["standardise"], **how).fit(s, validation=0.2).parameters_sha256_
            for s in (source, Npz(tmp_path / "a.npz"))
        }
        assert len(sums) == 1
    before = source.version
    zarr_group(tmp_path / "a.zarr", x[:50], y[:50])
    assert source.version != before and source.rows == 50


def test_a_table_without_a_target(tmp_path):
    source = Csv(write(FRAME, tmp_path / "a.csv"))
    with pytest.raises(InputError, match="train data: targets are missing; name the column to predict"):
        made().fit(source)


def test_zarr_by_other_names_and_refused(tmp_path):
    path = zarr_group(tmp_path / "a.zarr", np.zeros((5, 2)), np.zeros(5, int), "images")
    assert Zarr(path, x="images").rows == 5
    with pytest.raises(InputError, match="holds images, y; expected arrays x and y"):
        Zarr(path).arrays()
    with pytest.raises(InputError, match="no such folder or file; expected a group of Zarr"):
        Zarr(tmp_path / "none.zarr").arrays()


@pytest.mark.parametrize("module, make", [("pyarrow", Csv), ("zarr", Zarr)])
def test_an_extra_that_is_not_installed(module, make, tmp_path, monkeypatch):
    import sys

    (tmp_path / "a.csv").write_text("y,a\n1,2\n")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        InputError, match=rf"pip install 'daskpar\[({'dataframe' if make is Csv else 'zarr'})\]'"
    ):
        make(tmp_path / "a.csv").arrays()
