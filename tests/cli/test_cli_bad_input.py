"""Bad input: one line on standard error, exit code 2, and nothing half-written left."""

import gzip
import socket
import struct
from pathlib import Path

import numpy as np
import pytest


def arrays(x=None, y=None, data=None, **others):
    """A config on an npz file that is fine but for what is given."""

    def make(project):
        rows = np.random.default_rng(0).random((100, 4)) if x is None else x
        np.savez(project.folder / "a.npz", x=rows, y=np.arange(len(rows)) % 3 if y is None else y)
        source = {"source": "npz", "path": str(project.folder / "a.npz"), "validation": 0}
        return {"data": source | (data or {}), "model": [{"dense": 3}], **others}

    return make


def with_value(value):
    x = np.random.default_rng(0).random((100, 4))
    x[::2] = value
    return x


def mnist(cut):
    def make(project):
        (project.folder / "mnist").mkdir()
        for name, shape in (("images-idx3", (100, 28, 28)), ("labels-idx1", (100,))):
            raw = b"\0\0\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
            raw += bytes(int(np.prod(shape)))
            for part in ("train", "t10k"):
                path = project.folder / "mnist" / f"{part}-{name}-ubyte"
                path.write_bytes(cut(raw) if name == "images-idx3" else raw)
        return {"data": {"source": "mnist", "path": str(project.folder)}}

    return make


def model(*layers):
    return lambda project: {"model": ["flatten", *layers]}


def sections(**given):
    return lambda project: given


def train(**given):
    return sections(train={"epochs": 2, "batch": 64, **given})


TABLE = {
    "missing data file": (
        sections(data={"source": "npz", "path": "none.npz"}),
        f"{Path.cwd()}/none.npz: no such file; expected a .npz file with arrays x and y",
    ),
    "no data file named": (
        sections(data={"source": "npy"}),
        "data.source=npy needs data.x and data.y, two .npy files",
    ),
    "no MNIST": (
        lambda p: {"data": {"source": "mnist", "path": str(p.folder)}},
        "{folder}: no MNIST files there; expected e.g. mnist/train-images-idx3-ubyte.gz",
    ),
    "truncated IDX": (
        mnist(lambda raw: raw[:-7]),
        "{folder}/mnist/train-images-idx3-ubyte: truncated or damaged; its header promises 78400 bytes for "
        "shape (100, 28, 28), 78393 follow",
    ),
    "truncated gzip": (
        mnist(lambda raw: gzip.compress(raw)[:-7]),
        "{folder}/mnist/train-images-idx3-ubyte: cannot be read, truncated or damaged (Compressed file ended "
        "before the end-of-stream marker was reached)",
    ),
    "labels that do not match rows": (
        arrays(y=np.arange(99) % 3),
        "{folder}/a.npz: 100 rows of examples but 99 labels; expected one a row",
    ),
    "NaN in the data": (
        arrays(with_value(np.nan)),
        "train data: NaN or infinite values in the examples; clean the data first, "
        "or replace missing values: transforms: [impute]",
    ),
    "infinity in data that are standardised": (
        arrays(with_value(np.inf), data={"transforms": ["standardise", "scale"]}),
        "train data: NaN or infinite values in the examples; clean the data first, "
        "or replace missing values: transforms: [impute]",
    ),
    "NaN in the targets": (
        arrays(y=np.full(100, np.nan), loss="mean_squared_error", model=[{"dense": 1}]),
        "train data: NaN or infinite values in the targets; clean the data first",
    ),
    "zero rows": (
        arrays(np.zeros((0, 4))),
        "{folder}/a.npz: zero rows; expected at least one example",
    ),
    "text": (
        arrays(np.array([["a"] * 4] * 100)),
        "{folder}/a.npz: expected numbers, got examples of <U1: texts; encode them as numbers",
    ),
    "lanes that do not divide a batch of all rows": (
        sections(train={"batch": 5000}, layout={"data": 3}),
        "layout.data=3 does not divide train.batch=1258; use e.g. 1, 2, 17, 34; a batch is all 1258 rows, as "
        "train.batch=5000 is more",
    ),
    "no rows left to train on": (
        sections(data={"validation": 0.6, "test": 0.5}),
        "data.validation=0.6 and data.test=0.5 leave no rows for training",
    ),
    "weights of classes in a list": (
        train(class_weight=[1, 2]),
        'train.class_weight=[1, 2]: expected "balanced", or a mapping from labels to weights, e.g. '
        "{{0: 1, 1: 5}}",
    ),
    "a weight that is a text": (
        train(class_weight={3: "much"}),
        "train.class_weight: the weight of 3 is 'much'; expected a number from 0 on",
    ),
    "a weight of no class": (
        train(class_weight={12: 2}),
        "train.class_weight: 12 is no label of the data; known: 0, 1, 2, 3, 4, 5, 6, 7, ...",
    ),
    "a layout that does not divide": (
        sections(layout={"data": 3}),
        "layout.data=3 does not divide train.batch=64; use e.g. 1, 2, 4, 8",
    ),
    "streams that do not divide": (
        sections(data={"streams": 5}),
        "data.streams=5 does not divide train.batch=64",
    ),
    "lanes that do not divide streams": (
        sections(data={"streams": 2}, layout={"data": 4}),
        "layout.data=4 does not divide the 2 streams that a batch of 64 is drawn from; use a divisor of 2, "
        "or set data.streams",
    ),
    "statistics of the whole batch within a window": (
        sections(model=["flatten", {"batch_norm": {"sync": True}}], layout={"data": 2, "grain": "window"}),
        "layout.grain=window cannot be had in 2 lanes with batch_norm: {{sync: true}}; use data: 1 or "
        "grain: step",
    ),
    "words that are pixels": (
        sections(model=[{"embedding": {"words": 17, "features": 2}}, "flatten", {"dense": 10}]),
        "layer 0: embedding: expected whole numbers, the examples are transformed, e.g. scaled to 0 to 1; "
        "leave it out, or give it data that are whole numbers",
    ),
    "an unknown layer": (
        model({"denze": 10}),
        "layer 'denze' is not known; did you mean 'dense'?",
    ),
    "an unknown layer within another": (
        model({"residual": [{"dense": 64}, "rely"]}, {"dense": 10}),
        "layer 'rely' is not known; did you mean 'relu'?",
    ),
    "an unknown argument": (
        model({"dense": {"unit": 10}}),
        "argument of layer 'dense' 'unit' is not known; did you mean 'units'?",
    ),
    "an unknown loss": (
        sections(loss="softmax_crossentropi"),
        "loss 'softmax_crossentropi' is not known; did you mean 'softmax_cross_entropy'?",
    ),
    "an unknown metric": (
        sections(metrics=["accurracy"]),
        "metric 'accurracy' is not known; did you mean 'accuracy'?",
    ),
    "an unknown optimizer": (
        sections(optimizer="adamm"),
        "optimizer 'adamm' is not known; did you mean 'adam'?",
    ),
    "an unknown monitor": (
        train(early_stopping={"monitor": "validation.los"}),
        "monitor 'validation.los' is not known; did you mean 'validation.loss'?",
    ),
    "a model without parameters": (
        model(),
        "the model has no parameters; add a layer such as dense",
    ),
    "an interval that is none": (
        sections(checkpoint={"every": "2 hours"}),
        "checkpoint.every='2 hours' is no interval; expected e.g. '1 epoch' or '200 steps'",
    ),
    "numbers where classes are expected": (
        arrays(y=np.linspace(0, 1, 100)),
        "softmax_cross_entropy: targets are float64 of shape () per example; expected integer classes, or "
        "probabilities of shape (3,) (classes that are floats: .astype(int))",
    ),
    "targets of another shape": (
        sections(loss="mean_squared_error"),
        "mean_squared_error: the model returns (10,) per example, the targets hold a number; they must have "
        "one shape",
    ),
    "classes out of range": (
        sections(model=["flatten", {"dense": 9}], data={"source": "digits", "validation": 0}),
        "train data: classes from 0 to 9 for a model with 9 outputs; expected 0 to 8 "
        '(other labels: targets=["labels"])',
    ),
    "negative classes": (
        arrays(y=np.arange(100) % 4 - 1, data={"streams": 1}),  # one chunk, so one message
        "train data: classes from -1 to 2 for a model with 3 outputs; expected 0 to 2 "
        '(other labels: targets=["labels"])',
    ),
    "stratified without classes": (
        arrays(
            y=np.linspace(0, 1, 100),
            data={"distribution": "stratified"},
            loss="mean_squared_error",
            model=[{"dense": 1}],
        ),
        "distribution stratified needs integer classes, one a row; the targets are float64 of shape (100,)",
    ),
}


@pytest.mark.parametrize("earlier", [False, True], ids=["no earlier run", "an earlier run"])
@pytest.mark.parametrize("case", TABLE)
def test_training_refused(project, case, earlier):
    make, message = TABLE[case]
    defaults = {"train": {"epochs": 2, "batch": 64}} | make(project)
    project.write(
        {"data": {"source": "digits"}, "model": ["flatten", {"dense": 10}]}
        | defaults
        | {"cluster": {"kind": "threaded-scheduler"}}
    )
    if earlier:
        project.run.mkdir(parents=True)
        (project.run / "summary.json").write_text("weeks of work")
    before = project.files()
    assert project.refused("train") == message.format(folder=project.folder)
    assert project.files() == before
    assert not project.runs.exists() or [p.name for p in project.runs.iterdir()] == ["tiny"] * earlier


def test_a_port_in_use(project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = project.refused("train", cluster__kind="threads", cluster__dashboard_port=port)
    assert said == f"cluster.dashboard_port={port} is in use; choose another, or 0 for any"
    assert not project.runs.exists()


def test_a_runs_folder_that_cannot_be(project):
    (project.folder / "runs").write_text("a file")
    assert project.refused("train") == (
        f"{project.run}: the run's folder cannot be written (Not a directory)"
    )


def test_nothing_to_resume(project):
    assert project.refused("train", "--resume") == (
        f"{project.run}: no checkpoint to resume from; train without --resume"
    )
    assert not project.runs.exists()


@pytest.mark.parametrize(
    "sets, message",
    [
        (
            {"train__batch": 32},
            "the checkpoint was made with batch=64, this run has 32; set it back, or train",
        ),
        (
            {"train__seed": 4},
            "the checkpoint was made with seed=3, this run has 4; set it back, or train from scratch",
        ),
        ({"data__test": 0.3}, "the checkpoint was made with rows=1258, this run has"),
        ({"model": "[flatten, {dense: 10}]"}, "was it written by another model or optimizer?"),
    ],
)
def test_a_resume_that_does_not_fit(project, sets, message):
    project.done("train", train__epochs=1)
    before = project.files()
    assert message in project.refused("train", "--resume", **sets)
    assert project.files() == before


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "sample", "model", "graph", "config"])
@pytest.mark.parametrize(
    "text, message",
    [
        (None, "No such file or directory"),
        ("model: [relu\n", "not valid YAML in line 2 (expected ',' or ']', but got '<stream end>')"),
        ("model: []\ntrian: {}", "key 'trian' is not known; did you mean 'train'?"),
    ],
)
def test_configs_refused(project, command, text, message):
    project.config.unlink()
    if text is not None:
        project.config.write_text(text)
    assert project.refused(command) == f"{project.config}: {message}"
    assert set(project.files()) <= {project.config.relative_to(project.folder)}


def test_config_of_nothing(project):
    from click.testing import CliRunner

    from daskpar.cli import main

    result = CliRunner().invoke(main, ["config"])
    assert (result.exit_code, result.stderr) == (2, "daskpar: config: expected a CONFIG, or --schema\n")


def test_an_override_that_is_none(project):
    assert project.refused("train", "--set", "epochs") == "--set epochs: expected e.g. train.epochs=3"


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_what_was_not_trained(project, command):
    assert project.refused(command) == (
        f"{project.run}: no checkpoint there; run `daskpar train` with this config first"
    )


@pytest.mark.parametrize(
    "command, options, sets, message",
    [
        ("evaluate", [], {"data__test": 0}, "{config}: data.test is 0; there is nothing to evaluate on"),
        ("predict", [], {"data__test": 0}, "{config}: data.test is 0; give examples with --input"),
        (
            "evaluate",
            [],
            {"model": "[flatten, {dense: 10}]"},
            "{run} is the run of another config: model.1.dense.units=16 there, 10 here; model.2='relu' "
            "there, nothing here; model.3='dense' there, nothing here; set it back, or choose another run "
            "(run.name)",
        ),
        (
            "predict",
            ["--input", "{folder}/none.npy"],
            {},
            "{folder}/none.npy: no such file; expected a .npy file",
        ),
        (
            "predict",
            ["--input", "{folder}/shape.npy"],
            {},
            "{folder}/shape.npy: examples of shape (5,), the model expects (8, 8, 1)",
        ),
        (
            "predict",
            ["--input", "{folder}/text.npy"],
            {},
            "{folder}/text.npy: expected numbers, got examples of <U1: texts; encode them as numbers",
        ),
        (
            "predict",
            ["--input", "{folder}/nan.npy"],
            {},
            "{folder}/nan.npy: no class for 3 rows with NaN or infinite values: 0, 1, 2; clean the data "
            "first, or choose what they become, e.g. fill=-1",
        ),
        (
            "predict",
            ["-o", "{folder}/none/out.npy"],
            {},
            "{folder}/none/out.npy: cannot be written (No such file or directory)",
        ),
        ("predict", ["-o", "{folder}"], {}, "{folder}: cannot be written (Is a directory)"),
        (
            "graph",
            ["-o", "{folder}/none/step.svg"],
            {},
            "{folder}/none/step.svg: cannot be written (No such file or directory)",
        ),
        (
            "graph",
            [],
            {"layout__data": 3},
            "layout.data=3 does not divide train.batch=64; use e.g. 1, 2, 4, 8",
        ),
        (
            "graph",
            [],
            {"model": "[flatten, {denze: 3}]"},
            "layer 'denze' is not known; did you mean 'dense'?",
        ),
    ],
)
def test_other_commands_refused(trained, tmp_path, monkeypatch, command, options, sets, message):
    np.save(tmp_path / "shape.npy", np.zeros((3, 5)))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    np.save(tmp_path / "nan.npy", np.full((3, 8, 8, 1), np.nan))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir()), trained.files()
    names = {"folder": tmp_path, "config": trained.config, "run": trained.run}
    said = trained.refused(command, *[option.format(**names) for option in options], **sets)
    assert said == message.format(**names)
    assert (sorted(tmp_path.iterdir()), trained.files()) == before
