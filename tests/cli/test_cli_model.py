"""`daskpar model`: what a network is made of, before anything is started."""

import json

import pytest

Image = pytest.importorskip("PIL.Image", reason="needs the images extra")


def test_table(project):
    lines = project.done("model").splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert [row[:4] for row in cells] == [
        ["0", "flatten", "64", "0"],
        ["1", "dense units=16", "16", "1,040"],
        ["2", "relu", "16", "0"],
        ["3", "dense units=10", "10", "170"],
        ["", "total", "10", "1,210"],
    ]
    for column in (4, 5):
        *each, total = (int(row[column].replace(",", "")) for row in cells)
        assert sum(each) == total > 0
    assert lines[0].strip() == "input 8 × 8 × 1"
    assert not project.runs.exists()


def test_blocks_are_indented(project):
    said = project.done("model", model="[flatten, {residual: [{dense: 64}, tanh]}, {dense: 10}]")
    assert [
        line.split("│")[2].rstrip() for line in said.splitlines() if "dense" in line or "resid" in line
    ] == [
        " residual",
        "   dense units=64",
        " dense units=10",
    ]


def test_frozen_parameters_are_counted(project):
    sets = {"model": "[flatten, {dense: {units: 16, trainable: false}}, relu, {dense: 10}]"}
    said = project.done("model", **sets, train__frozen='["3.bias"]')
    rows = [[c.strip() for c in line.split("│")[1:-1]] for line in said.splitlines() if line.startswith("│")]
    assert [row[1:5] for row in rows if row[3] != "0"] == [
        ["dense units=16 trainable=False", "16", "1,040", "1,040"],
        ["dense units=10", "10", "170", "10"],
        ["total", "10", "1,210", "1,050"],
    ]
    assert "Trained: 160 of 1,210" in " ".join(said.split())


def test_json(project):
    found = json.loads(project.done("model", "--json"))
    assert found["in_shape"] == [8, 8, 1]
    assert [row["number"] for row in found["layers"]] == ["0", "1", "2", "3"]
    for name in ("parameters", "flops", "kept_bytes"):
        assert found["total"][name] == sum(row[name] for row in found["layers"])
    assert found["total"]["parameters"] == 1210


def test_transforms_change_the_shape(project):
    """One-hot columns are as many as the training part has values."""
    found = json.loads(project.done("model", "--json", data__transforms="[one_hot]"))
    assert found["in_shape"] == [found["layers"][0]["out_shape"][0]] and found["in_shape"][0] > 500


@pytest.mark.parametrize(
    "sets, message",
    [
        (
            {"model": "[flatten, {residual: [{dense: 3}]}]"},
            "layer 1: residual: its layers turn (64,) into (3,); ",
        ),
        ({"model": "[flatten, {denze: 3}]"}, "layer 'denze' is not known; did you mean 'dense'?"),
        ({"model": "[flatten]"}, "the model has no parameters; add a layer such as dense"),
        (
            {"train__steps": 3},
            "train.epochs=2 and train.steps=3 both say how long to train; give one of them",
        ),
    ],
)
def test_refused(project, sets, message):
    assert project.refused("model", **sets).startswith(message)


def test_pictures_and_an_autoencoder(project):
    """From a folder of pictures to a summary: their classes are not needed to learn them."""
    for name, value in (("dark", 40), ("light", 220)):
        (project.folder / "pictures" / name).mkdir(parents=True)
        for i in range(12):
            Image.new("L", (6, 6), value + i).save(project.folder / "pictures" / name / f"{i}.png")
    project.write(
        {
            "data": {
                "source": "images",
                "path": str(project.folder / "pictures"),
                "size": [4, 4],
                "channels": 1,
                "targets": ["inputs"],
            },
            "model": ["flatten", {"dense": 2}, {"dense": 16}],
            "loss": "mean_squared_error",
            "optimizer": {"adam": {"lr": 0.02}},
            "train": {"epochs": 40, "batch": 4},
            "cluster": {"kind": "threaded-scheduler"},
        }
    )
    assert json.loads(project.done("model", "--json"))["in_shape"] == [4, 4, 1]
    project.done("train")
    found = json.loads((project.run / "summary.json").read_text())
    assert found["test"]["loss"] < 0.01
    assert json.loads(project.done("evaluate")) == {"test": found["test"]}
