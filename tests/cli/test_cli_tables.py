"""Tables on the command line: each source trains, and `predict` goes from a table to a table."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from click.testing import CliRunner

from daskpar import Trainer
from daskpar.cli import main
from daskpar.data import Csv

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {"id": range(90), "age": RNG.normal(40, 10, 90), "town": RNG.choice(["Lyon", "Rome"], 90)}
).assign(kind=lambda f: np.where(f["town"] == "Rome", "dog", "cat"))
FRAME.loc[4, "age"] = np.nan
CONFIG = """
data: {{source: {source}, path: {path}, transforms: [impute, standardise, encode], {more}}}
model: [{{dense: 8}}, relu, {{dense: 2}}]
optimizer: {{adam: 0.05}}
metrics: [accuracy]
train: {{epochs: 8, batch: 20}}
cluster: {{kind: threaded-scheduler}}
run: {{name: table}}
"""
TABLE = "target: kind, drop: [id]"


def run(*arguments, code=0):
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FRAME.to_csv("a.csv", index=False)
    FRAME.to_parquet("a.parquet")
    FRAME.to_feather("a.arrow")
    return tmp_path


def config(source, path, more=TABLE):
    with open("c.yaml", "w") as file:
        file.write(CONFIG.format(source=source, path=path, more=more))


@pytest.mark.parametrize("source", ["csv", "parquet", "arrow"])
def test_from_a_table_to_a_table(source, folder):
    config(source, f"a.{source}")
    run("train", "c.yaml")
    assert "accuracy" in run("evaluate", "c.yaml")
    said = run("predict", "c.yaml", "--input", f"a.{source}", "-o", "y.csv")
    assert "y.csv: classes of 90 examples" in said
    with open("y.csv") as file:
        header, *rows = csv.reader(file)
    assert header == ["kind"] and [row[0] for row in rows] == FRAME["kind"].tolist()
    run("predict", "c.yaml", "--input", f"a.{source}", "-o", "p.parquet", "--kind", "probabilities")
    chances = pd.read_parquet("p.parquet")
    assert list(chances.columns) == ["cat", "dog"]
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-6)
    run("predict", "c.yaml", "--input", f"a.{source}", "-o", "p.npy", "--kind", "probabilities")
    np.testing.assert_array_equal(np.load("p.npy"), chances.to_numpy())


def test_in_ten_lines_of_python(folder):
    trainer = Trainer(
        [{"dense": 8}, "relu", {"dense": 2}],
        transforms=["impute", "standardise", "encode"],
        optimizer={"adam": 0.05},
        epochs=8,
        batch=20,
        client="threaded-scheduler",
    ).fit(Csv("a.csv", target="kind", drop=("id",)))
    frame = pd.read_csv("a.csv")[list(trainer.feature_names_in_)]
    assert trainer.predict(frame, "classes").tolist() == FRAME["kind"].tolist()


def test_zarr_trains(folder):
    group = zarr.open_group("a.zarr", mode="w")
    group.create_array("x", data=RNG.standard_normal((60, 3)))
    group.create_array("y", data=np.arange(60) % 2)
    config("zarr", "a.zarr", "x: x, y: y")
    run("train", "c.yaml", "--set", "data.transforms=[standardise]")
    run("predict", "c.yaml", "--set", "data.transforms=[standardise]", "-o", "y.csv")
    assert Path("y.csv").read_text().split("\n")[0] == "class"


def test_numbers_are_columns_of_their_targets(folder):
    config("csv", "a.csv", "target: age, drop: [id]")
    FRAME.dropna().to_csv("a.csv", index=False)
    how = ["--set", "loss=mean_squared_error", "--set", "model=[{dense: 1}]", "--set", "metrics=[]"]
    run("train", "c.yaml", *how)
    run("predict", "c.yaml", *how, "--input", "a.csv", "-o", "y.tsv", "--kind", "outputs")
    assert Path("y.tsv").read_text().split("\n")[0] == "age"


def test_two_classes_of_one_output_are_two_columns(folder):
    config("csv", "a.csv")
    how = ["--set", "loss=binary_cross_entropy", "--set", "model=[{dense: 1}]", "--set", "metrics=[]"]
    run("train", "c.yaml", *how)
    run("predict", "c.yaml", *how, "--input", "a.csv", "-o", "y.csv", "--kind", "probabilities")
    chances = pd.read_csv("y.csv")
    assert list(chances.columns) == ["cat", "dog"]
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-6)


REFUSED = {
    "wrong target": (["train", "c.yaml", "--set", "data.target=kin"], "did you mean 'kind'?"),
    "no target": (
        ["train", "c.yaml", "--set", "data.target=[]"],
        "data.source=csv needs data.target, the column to predict",
    ),
    "order": (
        ["predict", "c.yaml", "--input", "turned.csv"],
        "turned.csv: column 0 is 'town' where training had",
    ),
    "missing": (["predict", "c.yaml", "--input", "short.csv"], "short.csv: column 'age' is missing"),
    "more": (
        ["predict", "c.yaml", "--input", "more.csv"],
        "column 'extra' was not there in training; drop it",
    ),
    "a key of tables": (
        ["train", "c.yaml", "--set", "data.source=digits", "--set", "data.path=null"],
        "data.drop=['id'] is not for data.source=digits; leave it out",
    ),
    "output": (["predict", "c.yaml", "-o", "y.xlsx"], "y.xlsx: expected a file that ends with .npy, .csv"),
}


def test_refused_in_one_line(folder):
    config("csv", "a.csv")
    run("train", "c.yaml")
    FRAME[["town", "age"]].to_csv("turned.csv", index=False)
    FRAME[["town"]].to_csv("short.csv", index=False)
    FRAME.assign(extra=1).to_csv("more.csv", index=False)
    for arguments, message in REFUSED.values():
        assert message in run(*arguments, code=2)


def test_an_autoencoder_needs_no_target(folder):
    config("csv", "a.csv", "drop: [id, kind], targets: [inputs]")
    how = [
        "--set",
        "loss=mean_squared_error",
        "--set",
        "model=[{dense: 2}, {dense: 3}]",
        "--set",
        "metrics=[]",
    ]
    run("train", "c.yaml", *how)
