"""The commands on real data: what they print, and what they leave."""

import json
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.request import urlopen
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from printed import without_compiling

from daskpar import Layout, Trainer
from daskpar.build import open_data
from daskpar.config import load_config

COMMAND = [sys.executable, "-c", "from daskpar.cli import main; main(prog_name='daskpar')"]
THREADS = ("--set=cluster.kind=threads", "--set=cluster.dashboard_port=0")
PARTS = ("train", "validation", "test")


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


# train


def test_the_folder_of_a_run(trained):
    found = {str(p.relative_to(trained.run)) for p in trained.run.rglob("*") if p.is_file()}
    states = [
        f"checkpoints/{name}/state.{kind}"
        for name in ("final", "step-00000020", "step-00000040")
        for kind in ("json", "safetensors")
    ]
    assert found == {"config.yaml", "history.jsonl", "summary.json", "curves.html", *states}
    assert load_config(str(trained.run / "config.yaml")) == load_config(str(trained.config))


def test_summary(trained):
    found = summary(trained.run)
    assert set(found) >= {
        *PARTS,
        "seconds",
        "examples_per_second",
        "steps",
        "layout",
        "versions",
        "blas",
        "parameters_sha256",
    }
    for part in PARTS:
        assert set(found[part]) == {"loss", "accuracy"}
        assert 0 < found[part]["loss"] < 2.3 and 0.3 < found[part]["accuracy"] <= 1
    assert found["steps"] == 40 and found["seconds"] > 0 and found["examples_per_second"] > 0
    assert found["layout"] == vars(Layout())
    assert set(found["versions"]) >= {"python", "daskpar", "numpy", "dask", "distributed"}
    libraries = [library for each in found["blas"].values() for library in each]
    assert libraries and all({"library", "threads"} <= set(library) for library in libraries)
    assert len(found["parameters_sha256"]) == 64 and int(found["parameters_sha256"], 16)


def test_history(trained):
    lines = history(trained.run)
    assert [(record["step"], record["epoch"]) for record in lines] == [(20, 1), (40, 2)]
    for record in lines:
        assert set(record["train"]) == set(record["validation"]) == {"loss", "accuracy"}
        assert len(record["each_step"]["loss"]) == len(record["each_step"]["lr"]) == 20
    assert lines[1]["validation"] == pytest.approx(summary(trained.run)["validation"], rel=1e-5)


def test_what_training_says(trained):
    """Lines of evaluations, a table of the scores, and facts; no dashboard without a cluster."""
    lines, found = trained.said.splitlines(), summary(trained.run)
    assert [line.split("  ")[0] for line in lines[:2]] == ["epoch 1/2", "epoch 2/2"]
    assert "step 20/40" in lines[0] and "train.loss" in lines[0] and "validation.accuracy" in lines[0]
    assert lines[2] == "" and lines[3].split() == [*PARTS, "best", "validation", "in", "epoch"]
    assert [line.split()[0] for line in lines[4:6]] == ["loss", "accuracy"]
    assert lines[5].split()[1:4] == [f"{found[part]['accuracy']:.4f}" for part in PARTS]
    assert f"{found['best']['validation.accuracy']['value']:.4f}" == lines[5].split()[4]
    assert len(lines) == 7 and lines[6].startswith("40 steps, 2 epochs in ")
    assert f"goodput {100 * found['goodput']:.0f} %" in lines[6]
    assert lines[6].endswith(f"parameters {found['parameters_sha256'][:12]}  {trained.run}/")


@pytest.mark.parametrize("way", ["option", "key"])
def test_the_evaluation_after_the_last_step_can_be_left_out(project, way):
    options = ["--no-final-evaluation"] if way == "option" else ["--set=train.final_evaluation=false"]
    said = project.done("train", *options, train__epochs=1)
    assert [line.split()[0] for line in said.splitlines() if line] == "epoch train loss accuracy 20".split()
    found, last = summary(project.run), history(project.run)[-1]
    assert (found["train"], found["validation"]) == (
        last["train"],
        last["validation"],
    ) and "test" not in found
    assert "at the end" not in (project.run / "curves.html").read_text()
    assert set(json.loads(project.done("evaluate"))) == {"test"}


def test_an_interrupt_of_the_last_evaluation_leaves_the_run(project, monkeypatch):
    evaluate = Trainer.evaluate

    def interrupted(self, part):
        if part.name == "validation":
            raise KeyboardInterrupt
        return evaluate(self, part)

    monkeypatch.setattr(Trainer, "evaluate", interrupted)
    assert project("train", train__epochs=1).exit_code == 130
    assert set(PARTS) & set(summary(project.run)) == {"train"}
    assert (project.run / "curves.html").is_file()


def test_curves_have_the_results(trained):
    text = (trained.run / "curves.html").read_text()
    assert len(text) < 400_000 and "test, at the end" in text
    assert f"{summary(trained.run)['test']['accuracy']:.4f}" in text


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.scripts = [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        self.found += [value for name, value in attributes if name in ("src", "href", "data", "action")]


def test_curves_open_without_a_network(trained):
    text = (trained.run / "curves.html").read_text()
    links = Links(text)
    assert links.found == [] and links.scripts > 1
    assert "@import" not in text
    for label in ("loss", "accuracy", "learning rate", "validation"):
        assert f'"{label}"' in text


@pytest.mark.parametrize("options", [(), THREADS], ids=["threaded-scheduler", "threads"])
def test_where_the_time_went(project, options):
    printed = project.done("train", "--profile", *options, layout__data=2)
    found = json.loads((project.run / "profile.json").read_text())
    assert found["steps"] == 39 and 0 <= found["scheduling_share"] < 1
    path = found["critical_path"]
    assert sum(sum(v for k, v in kind.items() if k != "tasks") for kind in path.values()) == pytest.approx(
        found["seconds_per_step"]
    )
    assert found["a_step"]["grad"]["tasks"] == 2
    text = (project.run / "profile.html").read_text()
    assert Links(text).found == []
    for label in ("grad", "evaluate", "critical path", "compute, ms"):
        assert label in printed and label in text
    own = project.run / "performance.html"  # Dask's own report
    assert own.is_file() == ("performance.html" in printed) == (options == THREADS)
    if own.is_file():
        assert "performance.html" in text and Links(own.read_text()).found == []
    else:
        assert "Dask has no report of its own of this run: the threaded scheduler makes none" in text


def test_a_second_run_moves_the_first_aside(trained, project):
    first = project.done("train", train__epochs=1)
    before = project.files()
    said = project.done("train")
    assert f"{project.run} was there already; moved to {project.run}.1" in said and "was there" not in first
    aside = {p: c for p, c in project.files().items() if p.parts[1:2] == ("tiny.1",)}
    assert {Path(*p.parts[2:]): c for p, c in aside.items()} == {
        Path(*p.parts[2:]): c for p, c in before.items() if len(p.parts) > 2
    }
    assert f"moved to {project.run}.2" in project.done("train", train__epochs=1)
    assert sorted(p.name for p in project.runs.iterdir()) == ["tiny", "tiny.1", "tiny.2"]
    digests = [summary(project.runs / name)["parameters_sha256"] for name in ("tiny", "tiny.1", "tiny.2")]
    assert digests[0] == digests[1] != digests[2] == summary(trained.run)["parameters_sha256"]


def test_resume(trained, project):
    project.done("train", train__epochs=1)
    assert summary(project.run)["steps"] == 20
    project.done("train", "--resume")
    assert sorted(p.name for p in project.runs.iterdir()) == ["tiny"]
    found, unbroken = summary(project.run), summary(trained.run)
    assert found["parameters_sha256"] == unbroken["parameters_sha256"]
    assert [found[part] for part in PARTS] == [unbroken[part] for part in PARTS]
    assert [r["train"] for r in history(project.run)] == [r["train"] for r in history(trained.run)]
    assert load_config(str(project.run / "config.yaml")).train.epochs == 2


def test_two_lanes_learn_the_same(trained, project):
    project.done("train", layout__data=2)
    ours, theirs = summary(project.run), summary(trained.run)
    assert ours["layout"]["data"] == 2
    assert ours["test"] == pytest.approx(theirs["test"], rel=1e-4)


def test_transforms_reach_evaluation_and_prediction(project):
    project.done("train", data__transforms="[standardise]", train__epochs=1)
    sets = {"data__transforms": "[standardise]", "train__epochs": 1}
    assert json.loads(project.done("evaluate", **sets))["test"] == summary(project.run)["test"]


# evaluate and predict


@pytest.mark.parametrize("part", PARTS)
def test_evaluate(trained, part):
    assert json.loads(trained.done("evaluate", "--part", part)) == {part: summary(trained.run)[part]}


@pytest.mark.parametrize(
    "kind, dtype, shape",
    [("classes", np.int64, ()), ("probabilities", np.float32, (10,)), ("outputs", np.float32, (10,))],
)
def test_predict(trained, tmp_path, kind, dtype, shape):
    file = tmp_path / "out"
    said = trained.done("predict", "-o", file, "--kind", kind)
    assert said == f"{file}: {kind} of 359 examples\n"
    found = np.load(file)
    assert (found.dtype, found.shape) == (dtype, (359, *shape))
    test = open_data(load_config(str(trained.config))).test
    labels = test.read(slice(0, test.rows))[1]
    classes = found if kind == "classes" else found.argmax(axis=1)
    assert (classes == labels).mean() == pytest.approx(summary(trained.run)["test"]["accuracy"])
    if kind == "probabilities":
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_predict_examples_of_a_file(trained, tmp_path):
    test = open_data(load_config(str(trained.config))).test
    np.save(tmp_path / "x.npy", test.read(slice(0, 7))[0])
    trained.done("predict", "-o", tmp_path / "all.npy")
    trained.done("predict", "--input", tmp_path / "x.npy", "-o", tmp_path / "some.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "some.npy"), np.load(tmp_path / "all.npy")[:7])


def test_predict_writes_to_a_device_as_it_is(trained):
    trained.done("predict", "-o", "/dev/null")
    assert not Path("/dev/null").is_file()


# graph and config

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    "sets, operations",
    [
        ({}, {"load-data", "load-state", "grad", "update", "report"}),
        ({"layout__data": 8}, {"load-data", "load-state", "grad", "reduce-gradient", "update", "report"}),
        (
            {"layout__data": 2, "layout__grain": "layer"},
            {"load-batch", "forward-dense", "forward-relu", "backward-dense", "reduce-gradient", "update"},
        ),
        ({"layout__grain": "stage"}, {"load-batch", "forward-stage", "backward-stage", "update"}),
        ({"layout__grain": "window"}, {"train-window", "report"}),
        ({"cluster__kind": "processes", "layout__data": 2}, {"grad", "update"}),
        ({"data__transforms": "[standardise]"}, {"grad"}),
    ],
    ids=lambda v: " ".join(f"{k}={w}" for k, w in v.items()) if isinstance(v, dict) else "",
)
def test_graph(project, sets, operations):
    file = project.folder / "step.svg"
    said = project.done("graph", "-o", file, **sets)
    root = ElementTree.fromstring(file.read_text())
    assert root.tag == f"{SVG}svg"
    nodes = [node.find(f"{SVG}text").text for node in root.iter(f"{SVG}g")]
    assert operations <= set(nodes)
    assert said.startswith(f"{file}: ") and said.endswith(" tasks on the longest path\n")
    counted = dict(
        reversed(part.split(" ", 1)) for part in said[len(f"{file}: ") :].split(";")[0].split(", ")
    )
    assert counted == {name: str(nodes.count(name)) for name in set(nodes)}
    assert {p.name for p in project.folder.iterdir()} == {"tiny.yaml", "step.svg"}


def test_graph_of_steps(project):
    said = [project.done("graph", "-o", project.folder / "g.svg", "--steps", n) for n in (1, 3)]
    assert [" 1 grad," in said[0], " 3 grad," in said[1]] == [True, True]


def test_config_prints_all_of_it(project):
    text = project.done("config", train__batch=9)
    written = yaml.safe_load(text)
    assert written["train"]["batch"] == 9 and written["checkpoint"] == {"every": "1 epoch", "keep": 3}
    (project.folder / "again.yaml").write_text(text)
    assert load_config(str(project.folder / "again.yaml")) == load_config(
        str(project.config), ("train.batch=9",)
    )


def test_config_schema(project):
    schema = json.loads(project.done("config", "--schema"))
    assert {"data", "model", "train", "layout"} <= set(schema["properties"])


# the program as it is installed


def program(*arguments, cwd):
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


def test_program_trains_on_a_cluster_of_threads(trained, project):
    done = program("train", "tiny.yaml", *THREADS, cwd=project.folder)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, *rest = without_compiling(done.stdout).splitlines()
    assert first.startswith("dashboard http://127.0.0.1:") and first.endswith("/status")
    assert second == first.replace("dashboard", "training page").replace("/status", "/daskpar")
    assert len(rest) == 7
    assert summary(project.run)["parameters_sha256"] == summary(trained.run)["parameters_sha256"]


def test_program_refuses_in_one_line(project):
    """With real standard streams, and with an earlier run that stays where it is."""
    project.done("train")
    before = project.files()
    sets = ("--set=model=[flatten, {dense: 3}]", "--set=data.validation=0")
    done = program("train", "tiny.yaml", *THREADS, *sets, cwd=project.folder)
    assert done.returncode == 2
    assert done.stderr == (
        "daskpar: train data: classes from 0 to 9 for a model with 3 outputs; expected 0 to 2 "
        '(other labels: targets=["labels"])\n'
    )
    assert project.files() == before


def test_program_says_what_it_can_do(tmp_path):
    done = program("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(
        f"  {command} " in done.stdout
        for command in ("train", "evaluate", "predict", "sample", "model", "graph", "config")
    )
    assert program("--version", cwd=tmp_path).stdout.startswith("daskpar, version ")


def test_find_lr(project, tmp_path):
    picture = tmp_path / "rate.svg"
    said = project.done("find-lr", "--steps", 20, "--low", 1e-4, "-o", picture)
    assert said.startswith(f"{picture}: 20 steps up to 1; suggestion ") and "<svg" in picture.read_text()
    assert not project.runs.exists()
    assert "expected 0 < low < high" in project.refused("find-lr", "--low", 3)
    assert project.refused("find-lr", "--steps", 12, "-o", "rate.png").endswith(".svg or .html")


def test_dashboard_is_held_open_until_an_interrupt(project):
    command = [*COMMAND, "train", "tiny.yaml", *THREADS, "--set=dashboard.hold=true"]
    with subprocess.Popen(command, cwd=project.folder, stdout=subprocess.PIPE, text=True) as running:
        lines = iter(running.stdout.readline, "")
        held = next(line for line in lines if "stays open" in line)
        link = held.removeprefix("dashboard ").partition(" ")[0]
        assert summary(project.run)["steps"] == 40
        for page in ("status", "groups", "graph"):
            with urlopen(link.replace("status", page), timeout=60) as answer:
                assert answer.status == 200
        running.send_signal(signal.SIGINT)
        assert (running.wait(timeout=60), list(lines)) == (0, ["dashboard closed\n"])


def test_dashboard_that_there_is_not_cannot_be_held(project):
    assert project.refused("train", dashboard__hold="true") == (
        "dashboard.hold=true: cluster.kind=threaded-scheduler has no dashboard; use cluster.kind=threads, or "
        "leave dashboard.hold out"
    )
