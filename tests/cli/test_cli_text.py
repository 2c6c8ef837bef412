"""A model of characters from the command line: train, evaluate, resume, sample."""

import json
import os

import pytest
from bigram import Bigram

from daskpar.nn.registry import LAYERS

TEXT = "the quick brown fox jumps over the lazy dog.\n" * 40
KNOWN = len(set(TEXT))


@pytest.fixture
def written(project, monkeypatch):
    """A project on a text, with a layer that stands for a network."""
    monkeypatch.setitem(LAYERS.blocks, "bigram", Bigram)
    monkeypatch.delenv("DASKPAR_DATA", raising=False)
    path = project.folder / "a.txt"
    path.write_text(TEXT)
    project.write(
        {
            "data": {"source": "text", "path": str(path), "block": 8},
            "model": [{"bigram": KNOWN}],
            "metrics": ["accuracy"],
            "optimizer": {"adam": {"lr": 0.1}},
            "train": {"steps": 60, "batch": 32},
            "cluster": {"kind": "threaded-scheduler"},
        }
    )
    return project


def test_train_in_steps(written):
    """1,612 windows in batches of 32 are 51 steps: the run ends within its second epoch."""
    said = [line for line in written.done("train").splitlines() if not line.startswith(("compil", "kernels"))]
    assert [line.split("  ")[:2] for line in said[:2]] == [
        ["step 51/60", "epoch 1"],
        ["step 60/60", "epoch 1.18"],
    ]
    assert [line.split()[0] for line in said[3:]] == ["train", "loss", "accuracy", "60"]
    found = json.loads((written.run / "summary.json").read_text())
    assert found["steps"] == 60 and "test" not in found
    assert json.loads(written.done("evaluate", "--part", "train")) == {"train": found["train"]}
    assert "data.test is 0" in written.refused("evaluate")
    whole = found["parameters_sha256"]
    written.done("train", train__steps=51)
    written.done("train", "--resume")
    assert json.loads((written.run / "summary.json").read_text())["parameters_sha256"] == whole


def test_sample(written):
    written.done("train")
    os.unlink(written.folder / "a.txt")  # what it needs to know lies in the checkpoint
    text = written.done("sample", "--length", 80, "--temperature", 0.2)
    assert len(text) == 81 and set(text) <= set(TEXT)
    assert text == written.done("sample", "--length", 80, "--temperature", 0.2, "--seed", 0)
    assert text != written.done("sample", "--length", 80, "--temperature", 0.2, "--seed", 1)
    begun = written.done("sample", "--prompt", "the lazy d", "--length", 6, "--top-k", 1)
    assert begun[:10] == "the lazy d" and len(begun) == 17
    assert written.done("sample", "--prompt", "qu", "--length", 0) == "qu\n"
    assert written.done("sample", "--prompt", "q", "--length", 1, "--top-k", 1) == "qu\n"
    assert len(written.done("sample")) == 501


def test_sample_beyond_ascii(written):
    """Also for a locale in ASCII, for which Python keeps the bytes of an argument as they are."""
    text = "Съешь ещё этих мягких французских булок. 漢字 é\n" * 30
    (written.folder / "a.txt").write_text(text, encoding="utf-8")
    words = len(set(text))
    written.done("train", model=f"[{{bigram: {words}}}]")
    for prompt in ("Съешь", "Съешь".encode().decode("ascii", "surrogateescape"), "e\u0301"):
        said = written.done("sample", "--prompt", prompt, "--length", 3, model=f"[{{bigram: {words}}}]")
        assert said.startswith("é" if prompt[0] == "e" else "Съешь") and set(said) <= set(text)


def test_a_text_says_the_sizes_of_its_model(written):
    open_model = "[{embedding: {features: 4}}, dense]"
    written.done("train", model=open_model)
    assert f"{KNOWN}" in written.done("model", model=open_model)
    assert len(written.done("sample", "--length", 5, model=open_model)) == 6
    said = written.refused("train", model="[{embedding: {words: 9, features: 4}}, dense]")
    assert f"layer 0: the text has {KNOWN} characters" in said


def test_it_is_written_as_it_comes(written, monkeypatch):
    """Each character is there before the next one is computed."""
    import click

    from daskpar import tasks

    written.done("train")
    events, predict, echo = [], tasks.predict, click.echo
    monkeypatch.setattr(tasks, "predict", lambda *a: events.append("predict") or predict(*a))
    monkeypatch.setattr(click, "echo", lambda *a, **k: events.append("echo") or echo(*a, **k))
    written.done("sample", "--length", 3)
    assert events == ["predict", "echo"] * 3 + ["echo"]


@pytest.mark.parametrize(
    "options, message",
    [
        (
            ["--prompt", "Ü?"],
            "the prompt holds '?', 'Ü', which the text that the model was trained on does not",
        ),
        (["--temperature", "0"], "temperature=0.0 must be above zero; 0.1 is nearly the likeliest text"),
        (["--temperature", "-1"], "temperature=-1.0 must be above zero; 0.1 is nearly the likeliest text"),
        (["--top-k", "0"], "top_k=0 must be at least 1"),
        (["--length", "-3"], "length=-3 must be at least 0"),
    ],
)
def test_sampling_refused(written, options, message):
    written.done("train", train__steps=1)
    assert written.refused("sample", *options) == message


def test_other_models_write_no_text(trained):
    assert trained.refused("sample") == (
        "this model does not write text; sample needs a model that was trained on data.source=text and has "
        "an output for each character at each position"
    )


def test_what_was_not_trained(project):
    assert "no checkpoint there; run `daskpar train`" in project.refused("sample")


@pytest.mark.parametrize(
    "sets, message",
    [
        (
            {"train__epochs": 2},
            "train.epochs=2 and train.steps=60 both say how long to train; give one of them",
        ),
        (
            {"data__path": "null"},
            "data.source=text needs data.path, a text in UTF-8; or set DASKPAR_DATA to a",
        ),
        ({"data__block": 5000}, "too few for windows of 5000; use a smaller data.block"),
        ({"data__distribution": "uniform"}, "data.distribution=uniform is not for data.source=text"),
        (
            {"model": "[flatten, {dense: 3}]"},
            "layer 0: flatten: the examples are numbers of characters; begin",
        ),
        ({"model": "[{bigram: 5}]"}, f"the text has {KNOWN} characters, the model 5 outputs; give"),
    ],
)
def test_training_refused(written, sets, message):
    assert message in written.refused("train", **sets)
    assert not written.runs.exists()


def test_the_graph_of_a_step(written):
    assert "load-data" in written.done("graph", "-o", written.folder / "g.svg", layout__data=2)


def test_a_transformer_learns_a_text_by_heart(written):
    layers = [
        "learned_positions",
        {"repeat": {"times": 2, "layers": [{"transformer_block": 2}]}},
        "layer_norm",
    ]
    model = [{"tied_embedding": {"words": KNOWN, "features": 32, "layers": layers}}]
    written.write(
        {
            "data": {"source": "text", "path": str(written.folder / "a.txt"), "block": 16},
            "model": model,
            "optimizer": {"adamw": 1e-2},
            "train": {"steps": 200, "batch": 16, "seed": 1},
            "cluster": {"kind": "threaded-scheduler"},
        }
    )
    written.done("train")
    said = written.done("sample", "--prompt", "the quick", "--length", 80, "--top-k", 1)
    assert said.startswith("the quick brown fox jumps over the lazy dog.\nthe quick brown fox")
    table = json.loads(written.done("model", "--json"))
    assert "transformer_block" in json.dumps(table)
