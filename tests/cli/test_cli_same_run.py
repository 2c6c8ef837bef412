"""A run is found by its config: by the file's name, and only if it is the run of that config."""

import shutil

import pytest
import yaml

from daskpar import Trainer
from daskpar.cluster.executor import THREADED
from daskpar.config import load_config
from daskpar.config.load import run_name
from daskpar.data import Digits


@pytest.fixture
def copied(trained, project):
    """A trained project that may be changed."""
    shutil.copytree(trained.run, project.run)
    config = (project.run / "config.yaml").read_text().replace(str(trained.runs), str(project.runs))
    (project.run / "config.yaml").write_text(config)
    return project


def test_the_file_s_name_is_the_run_s(tmp_path):
    config = tmp_path / "a.b.yaml"
    config.write_text("model: [flatten, {dense: 10}]\n")
    assert load_config(str(config)).run.name == "a.b"
    assert load_config(str(config), ("run.dir=elsewhere",)).run.name == "a.b"
    assert load_config(str(config), ("run.name=c",)).run.name == "c"
    config.write_text("model: [flatten, {dense: 10}]\nrun: {name: d}\n")
    assert load_config(str(config)).run.name == "d"


@pytest.mark.parametrize(
    "path, name",
    [
        ("x/mnist.yaml", "mnist"),
        ("two words.yml", "two-words"),
        ("größe", "größe"),
        (".hidden.yaml", "hidden"),
        ("-", "run"),
        ("a(1)\udcff.yaml", "a-1-"),
    ],
)
def test_a_name_is_made_of_what_the_file_has(path, name):
    assert run_name(path) == name


def test_two_configs_without_a_name_are_two_runs(project):
    sections = {
        "run": {"dir": str(project.runs)},
        "model": ["flatten", {"dense": 10}],
        "train": {"steps": 3},
        "cluster": {"kind": "threaded-scheduler"},
    }
    for name in ("a", "b"):
        project.config = project.folder / f"{name}.yaml"
        project.config.write_text(yaml.safe_dump(sections))
        project.done("train")
    assert {path.name for path in project.runs.iterdir()} == {"a", "b"}
    assert project.refused("evaluate", model="[flatten, relu, {dense: 10}]").startswith(
        f"{project.runs / 'b'} is the run of another config: model.1='dense' there, 'relu' here; "
    )


OTHER = {
    "units": (
        {"model": "[flatten, {dense: 12}, relu, {dense: 10}]"},
        "model.1.dense.units=16 there, 12 here",
    ),
    "activation": (
        {"model": "[flatten, {dense: 16}, tanh, {dense: 10}]"},
        "model.2='relu' there, 'tanh' here",
    ),
    "fewer": ({"model": "[flatten, {dense: 10}]"}, "model.1.dense.units=16 there, 10 here"),
    "loss": ({"loss": "{softmax_cross_entropy: 0.1}"}, "label_smoothing=0.0 there, 0.1 here"),
    "source": ({"data__source": "mnist"}, "data.source='digits' there, 'mnist' here"),
    "share": ({"data__test": 0.3}, "data.test=None there, 0.3 here"),
    "transforms": (
        {"data__transforms": "[scale]"},
        "data.transforms.0=nothing there, 'scale' here",
    ),
    "targets": ({"data__targets": "[one_hot]"}, "data.targets.0=nothing there, 'one_hot' here"),
    "split": ({"data__distribution": "stratified"}, "data.distribution=False there, True here"),
    "seed": ({"train__seed": 4}, "train.seed=3 there, 4 here"),
}


@pytest.mark.parametrize("sets, told", OTHER.values(), ids=OTHER)
def test_a_run_of_another_config_is_refused(trained, sets, told):
    line = trained.refused("evaluate", **sets)
    assert line.startswith(f"{trained.run} is the run of another config: ") and told in line
    assert line.endswith("set it back, or choose another run (run.name)")


@pytest.mark.parametrize("command", ["predict", "sample", "train --resume"])
def test_every_command_that_reads_a_run_refuses(trained, command):
    name, *options = command.split()
    line = trained.refused(name, *options, model="[flatten, {dense: 16}, tanh, {dense: 10}]", train__epochs=3)
    assert "another config: model.2='relu' there, 'tanh' here; set it back" in line


HARMLESS = {
    "layout__data": 2,
    "train__epochs": 9,
    "train__batch": 32,
    "data__cache": "false",
    "data__chunk_rows": 100,
    "metrics": "[accuracy, {top_k: 2}]",
    "checkpoint__keep": 1,
    "cluster__blas_threads": 1,
    "model": "[flatten: {}, dense: {units: 16, bias: true}, relu, dense: {units: 10, trainable: false}]",
}


def test_what_changes_no_answer_may_differ(trained):
    said = trained.done("evaluate", **HARMLESS)
    assert "top_2" in said


def test_a_moved_run_is_still_the_run(trained, project):
    shutil.copytree(trained.run, project.runs / "elsewhere")
    assert project.done("evaluate", run__name="elsewhere") == trained.done("evaluate")


def test_an_earlier_version_s_config_lacks_keys(copied):
    stored = yaml.safe_load((copied.run / "config.yaml").read_text())
    del stored["data"]["transforms"], stored["data"]["validation"], stored["checkpoint"]
    (copied.run / "config.yaml").write_text(yaml.safe_dump(stored))
    copied.done("evaluate")
    (copied.run / "config.yaml").unlink()
    copied.done("evaluate")
    (copied.run / "config.yaml").write_text("[1")
    assert "config.yaml: not valid YAML" in copied.refused("evaluate")


def test_a_run_of_a_program_is_told_from_that_of_a_config(project):
    model = ["flatten", {"dense": 16}, "relu", {"dense": 10}]
    x, y = Digits().arrays()
    Trainer(model, folder=project.run, seed=3, batch=64, client=THREADED).fit(x, y)
    assert "data.source='arrays' there, 'digits' here" in project.refused("evaluate")
    # of a source, its config evaluates the run
    Trainer(model, folder=project.runs / "own", client=THREADED).fit(Digits(), validation=0.2)
    project.config = project.runs / "own" / "config.yaml"
    assert "validation" in project.done("evaluate", "--part", "validation")


# train --from


def test_training_begins_with_another_run_s_state(trained, project):
    """In place of random parameters: the loss of the first epoch is below that of a new training."""
    again = project.done("train", "--from", trained.run, "--fresh-optimizer", train__epochs=1)
    loss = float(again.split("train.loss ")[1].split()[0])
    first = float(trained.said.split("train.loss ")[1].split()[0])
    assert loss < first / 2


def test_a_run_goes_on_from_itself_and_from_a_file(copied, tmp_path):
    x, y = Digits().arrays()
    model = ["flatten", {"dense": 16}, "relu", {"dense": 10}]
    file = Trainer(model, client=THREADED, batch=64, steps=4).fit(x, y).save(tmp_path / "model")
    assert "step 44/" in copied.done("train", "--from", copied.run, train__steps=4, train__epochs="null")
    assert {path.name for path in copied.runs.iterdir()} == {"tiny", "tiny.1"}
    assert "step 8/" in copied.done("train", "--from", file, train__steps=4, train__epochs="null")


def test_some_parameters_only(trained, project):
    model = "[flatten, {dense: 16}, relu, {dense: 12}, relu, {dense: 10}]"
    project.refused("train", "--from", trained.run, model=model)
    assert not project.runs.exists()
    said = project.done("train", "--from", trained.run, "--not-strict", model=model)
    assert "left out, because the model differs: 3.weight" in said


@pytest.mark.parametrize(
    "options, told",
    [
        (["--from", "gone"], "gone: no such file or folder"),
        (["--from", "gone", "--resume"], "give one of them"),
        (["--fresh-optimizer"], "--fresh-optimizer goes with --from"),
        (["--not-strict"], "--not-strict goes with --from"),
    ],
)
def test_wrong_starts(project, options, told):
    assert told in project.refused("train", *options)
    assert not project.runs.exists()
