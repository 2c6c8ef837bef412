"""Configs: what is wrong is told in one line; what is right comes back as it was."""

import json
from pathlib import Path

import pytest
import yaml

from daskpar import Layout
from daskpar.build import make_trainer
from daskpar.config import Config, load_config
from daskpar.errors import InputError

MODEL = "model: [flatten, {dense: 3}]\n"
SECTIONS = (
    "checkpoint, cluster, dashboard, data, import, layout, loss, metrics, model, optimizer, regularisation, "
    "run, schedule, train"
)


def load(tmp_path, text, *overrides):
    path = tmp_path / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(str(path), overrides)


def refusal(tmp_path, text, *overrides):
    with pytest.raises(InputError) as error:
        load(tmp_path, text, *overrides)
    message = str(error.value)
    assert "\n" not in message
    return message.removeprefix(f"{tmp_path / 'c.yaml'}: ")


@pytest.mark.parametrize(
    "text, message",
    [
        # not a config at all
        ("", "expected sections such as `data:` and `model:`, found None"),
        ("hello", "expected sections such as `data:` and `model:`, found 'hello'"),
        ("- a", "expected sections such as `data:` and `model:`, found ['a']"),
        ("[1, 2\n", "not valid YAML in line 2 (expected ',' or ']', but got '<stream end>')"),
        ("a: 1\nb: c: d\n", "not valid YAML in line 2 (mapping values are not allowed here)"),
        (f"{MODEL}train: {{}}\n{MODEL}", "not valid YAML in line 3 (key 'model' twice)"),
        (f"{MODEL}train: {{batch: 2, batch: 3}}", "not valid YAML in line 2 (key 'batch' twice)"),
        (
            "a: \0",
            "not valid YAML in line 1 (character U+0000 is not allowed; expected a text file in UTF-8)",
        ),
        (
            b"\xff\xfe",
            "not a text file in UTF-8 (invalid start byte at byte 0, in line 1; it begins as UTF-16 does, "
            "save it as UTF-8)",
        ),
        # keys
        ("data: {}", "model is missing"),
        ("modle: [relu]", "key 'modle' is not known; did you mean 'model'?"),
        (f"{MODEL}zzz: 3", f"key 'zzz' is not known; known: {SECTIONS}"),
        (f"{MODEL}1: 3", "1: Keys should be strings, got 1"),
        (f"{MODEL}data: {{sorce: mnist}}", "key in data 'sorce' is not known; did you mean 'source'?"),
        (
            f"{MODEL}train: {{epochs: 0, epohs: 3}}",
            "key in train 'epohs' is not known; did you mean 'epochs'?",
        ),
        (
            f"{MODEL}train: {{early_stopping: {{patince: 3}}}}",
            "key in train.early_stopping 'patince' is not known; did you mean 'patience'?",
        ),
        (
            f"{MODEL}train: {{clip: {{x: 3}}}}",
            "key in train.clip 'x' is not known; known: norm, value",
        ),
        (f"{MODEL}data: {{peak: 255}}", "data.peak is called data.max_value now; write max_value"),
        (f"{MODEL}layout: {{wire: full}}", "layout.wire is called layout.compression now; write compression"),
        (
            f"{MODEL}layout: {{schedule: 1f1b}}",
            "layout.schedule is called layout.pipeline now; write pipeline",
        ),
        # values
        (
            f"{MODEL}data: {{source: mnst}}",
            "data.source: value should be 'digits', 'mnist', 'npz', 'npy', 'text', 'images', 'csv', "
            "'parquet', 'arrow' or 'zarr', got 'mnst'",
        ),
        (
            f"{MODEL}data: {{distribution: shuffled}}",
            "data.distribution: value should be 'random', 'uniform' or 'stratified', got 'shuffled'",
        ),
        (
            f"{MODEL}layout: {{grain: fine}}",
            "layout.grain: value should be 'window', 'step', 'stage' or 'layer', got 'fine'",
        ),
        (
            f"{MODEL}cluster: {{kind: thread}}",
            "cluster.kind: value should be 'threads', 'processes', 'threaded-scheduler', 'address', 'env', "
            "'cuda' or 'kubernetes', got 'thread'",
        ),
        (
            f"{MODEL}train: {{precision: float16}}",
            "train.precision: value should be 'float32' or 'float64', got 'float16'",
        ),
        (f"{MODEL}train: {{epochs: 0}}", "train.epochs: value should be greater than or equal to 1, got 0"),
        (f"{MODEL}train: {{steps: 0}}", "train.steps: value should be greater than or equal to 1, got 0"),
        (f"{MODEL}train: {{steps: 1e3}}", "train.steps: value should be a valid integer, got 1000.0"),
        (f"{MODEL}data: {{block: 0}}", "data.block: value should be greater than or equal to 1, got 0"),
        (f"{MODEL}data: {{max_value: 0}}", "data.max_value: value should be greater than 0, got 0"),
        (f"{MODEL}data: {{channels: 2}}", "data.channels: value should be 1 or 3, got 2"),
        (f"{MODEL}data: {{size: 32}}", "data.size: value should be a valid list, got 32"),
        (
            f"{MODEL}data: {{size: [32]}}",
            "data.size: List should have at least 2 items after validation, not 1, got [32]",
        ),
        (f"{MODEL}data: {{size: [32, 0]}}", "data.size.1: value should be greater than or equal to 1, got 0"),
        (f"{MODEL}data: {{validation: 1}}", "data.validation: value should be less than 1, got 1"),
        (f"{MODEL}data: {{test: -0.1}}", "data.test: value should be greater than or equal to 0, got -0.1"),
        (f"{MODEL}train: {{clip: {{norm: 0}}}}", "train.clip.norm: value should be greater than 0, got 0"),
        (
            f"{MODEL}cluster: {{dashboard_port: 70000}}",
            "cluster.dashboard_port: value should be less than or equal to 65535, got 70000",
        ),
        (f"{MODEL}run: {{name: a/b}}", r"run.name: value should match pattern '^\w[\w.-]*$', got 'a/b'"),
        (f"{MODEL}run: {{name: .}}", r"run.name: value should match pattern '^\w[\w.-]*$', got '.'"),
        (f"{MODEL}run: {{name: ..}}", r"run.name: value should match pattern '^\w[\w.-]*$', got '..'"),
        (f"{MODEL}run: {{name: ''}}", r"run.name: value should match pattern '^\w[\w.-]*$', got ''"),
        # types
        (f"{MODEL}train: {{epochs: ten}}", "train.epochs: value should be a valid integer, got 'ten'"),
        (f"{MODEL}train: {{epochs: 1.5}}", "train.epochs: value should be a valid integer, got 1.5"),
        (f"{MODEL}train: {{epochs: '3'}}", "train.epochs: value should be a valid integer, got '3'"),
        (f"{MODEL}train: {{batch: true}}", "train.batch: value should be a valid integer, got True"),
        (
            f"{MODEL}data: {{validation: '1e-1'}}",
            "data.validation: value should be a valid number, got '1e-1'",
        ),
        (f"{MODEL}data: {{cache: 1}}", "data.cache: value should be a valid boolean, got 1"),
        (f"{MODEL}run: {{name: 2026}}", "run.name: value should be a valid string, got 2026"),
        (f"{MODEL}checkpoint: {{every: 2}}", "checkpoint.every: value should be a valid string, got 2"),
        (f"{MODEL}data:\n", "data: expected keys such as source, path, x, got None"),
        (f"{MODEL}layout: 2\n", "layout: expected keys such as auto, data, lanes, got 2"),
        (f"{MODEL}train: {{clip: 3}}", "train.clip: expected keys such as value, norm, got 3"),
        # blocks by name; which names there are is checked when they are built
        ("model: relu", "model: value should be a valid list, got 'relu'"),
        ("model: [relu, 3]", "model.1: expected a name or one `name: arguments`, got 3"),
        ("model: [[relu]]", "model.0: expected a name or one `name: arguments`, got ['relu']"),
        ("model: [{1: 2}]", "model.0: expected a name or one `name: arguments`, got {1: 2}"),
        (f"{MODEL}optimizer: [adam]", "optimizer: expected a name or one `name: arguments`, got ['adam']"),
        (f"{MODEL}metrics: 3", "metrics.0: expected a name or one `name: arguments`, got 3"),
        (f"{MODEL}batch_size: 3", "key 'batch_size' is called train.batch"),
        (f"{MODEL}lr: 3", "key 'lr' is called train.learning_rate"),
        (f"{MODEL}train: {{batch_size: 3}}", "key in train 'batch_size' is called 'batch' here; write batch"),
        (
            f"{MODEL}train: {{max_epochs: 3}}",
            "key in train 'max_epochs' is called 'epochs' here; write epochs",
        ),
        (
            f"{MODEL}train: {{shuffle: true}}",
            "key in train 'shuffle': write distribution=\"random\" (shuffled) or "
            'distribution="uniform" (as the rows are)',
        ),
        (f"{MODEL}train: {{transforms: [scale]}}", "key in train 'transforms' is called data.transforms"),
        (f"{MODEL}layout: {{workers: 2}}", "key in layout 'workers' is called 'data' here; write data"),
        (
            f"{MODEL}train: {{precision: float16}}",
            "train.precision: value should be 'float32' or 'float64', got 'float16'",
        ),
    ],
)
def test_refused(tmp_path, text, message):
    assert refusal(tmp_path, text) == message


def test_missing_files(tmp_path):
    with pytest.raises(InputError) as error:
        load_config(str(tmp_path / "none.yaml"))
    assert str(error.value) == f"{tmp_path / 'none.yaml'}: No such file or directory"
    with pytest.raises(InputError) as error:
        load_config(str(tmp_path))
    assert str(error.value) == f"{tmp_path}: Is a directory"


@pytest.mark.parametrize(
    "override, path, value",
    [
        ("train.epochs=3", "train.epochs", 3),
        ("train.clip.norm=2", "train.clip.norm", 2.0),
        ("train.early_stopping={patience: 2}", "train.early_stopping.patience", 2),
        ("run.name=a=b", None, None),
        ("run.name=x", "run.name", "x"),
        ("run.dir=/a b/c=d", "run.dir", "/a b/c=d"),
        ("layout.grain=layer", "layout.grain", "layer"),
        ("optimizer.adam.lr=1e-3", "optimizer", {"adam": {"lr": 1e-3, "weight_decay": 0.5}}),
        ("optimizer={sgd: {lr: 2.5e-1}}", "optimizer", {"sgd": {"lr": 0.25}}),
        ("optimizer=sgd", "optimizer", "sgd"),
        ("model=[flatten]", "model", ["flatten"]),
        ("metrics=[accuracy, {top_k: 3}]", "metrics", ["accuracy", {"top_k": 3}]),
        ("data.path=null", "data.path", None),
        ("data.path=", "data.path", None),
        ("cluster.workers=4", "cluster.workers", 4),
    ],
)
def test_overrides(tmp_path, override, path, value):
    text = f"{MODEL}optimizer: {{adam: {{lr: 1.0, weight_decay: 0.5}}}}\ncluster:\n"
    if path is None:
        assert "run.name: value should match pattern" in refusal(tmp_path, text, "cluster={}", override)
        return
    found = load(tmp_path, text, "cluster={}", override)
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value


def test_an_override_of_a_former_key_is_refused(tmp_path):
    told = refusal(tmp_path, MODEL, "layout.wire=float16")
    assert told == "layout.wire is called layout.compression now; write compression"


def test_overrides_in_turn(tmp_path):
    """Sections that are not there are made, and the last of two overrides holds."""
    config = load(tmp_path, MODEL, "train.batch=8", "train.early_stopping.patience=2", "train.batch=9")
    assert (config.train.batch, config.train.early_stopping.patience) == (9, 2)
    assert load(tmp_path, "data: {}", "model=[relu]").model == ["relu"]


@pytest.mark.parametrize(
    "override, message",
    [
        ("train.epochs", "--set train.epochs: expected e.g. train.epochs=3"),
        ("=3", "--set =3: expected e.g. train.epochs=3"),
        ("", "--set : expected e.g. train.epochs=3"),
        (".=3", "--set .=3: expected e.g. train.epochs=3"),
        ("train..epochs=3", "--set train..epochs=3: expected e.g. train.epochs=3"),
        (
            "train.epochs=[1",
            "--set train.epochs=[1: the value is not valid YAML in line 1 (expected ',' or ']', but got "
            "'<stream end>')",
        ),
        ("model.0=relu", "--set model.0=relu: model has no keys within"),
        ("train.batch.x=3", "train.batch: value should be a valid integer, got {'x': 3}"),
        ("train.epohs=3", "key in train 'epohs' is not known; did you mean 'epochs'?"),
        ("train.epochs=x", "train.epochs: value should be a valid integer, got 'x'"),
    ],
)
def test_overrides_refused(tmp_path, override, message):
    assert refusal(tmp_path, MODEL, override) == message


@pytest.mark.parametrize(
    "text, value",
    [
        ("1e-3", 1e-3),
        ("1E-3", 1e-3),
        ("1.e+3", 1e3),
        ("2.5e3", 2500.0),
        (".5e-1", 0.05),
        ("-1e2", -100.0),
        ("1.0e-3", 1e-3),
        ("'1e-3'", "1e-3"),
        ("1e", "1e"),
        ("1e3abc", "1e3abc"),
        ("e3", "e3"),
        ("3", 3),
    ],
)
def test_numbers_as_people_write_them(tmp_path, text, value):
    config = load(tmp_path, f"{MODEL}optimizer: {{adam: {{lr: {text}}}}}")
    found = config.optimizer["adam"]["lr"]
    assert found == value and type(found) is type(value)
    (tmp_path / "again.yaml").write_text(config.as_yaml())
    assert load_config(str(tmp_path / "again.yaml")) == config


CONFIGS = sorted(Path(__file__).parents[1].glob("configs/*.yaml"))


def test_there_are_configs():
    assert {"digits_mlp", "mnist_mlp"} <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_of_the_project(tmp_path, path):
    config = load_config(str(path))
    assert config.run.name == path.stem
    assert config.folder == Path("runs") / path.stem
    text = config.as_yaml()
    again = tmp_path / "again.yaml"
    again.write_text(text)
    assert load_config(str(again)) == config
    assert load_config(str(again)).as_yaml() == text
    assert set(yaml.safe_load(text)) == set(Config.model_fields)
    assert f"daskpar train configs/{path.name}" in path.read_text()


def test_every_default_is_written_out(tmp_path):
    written = yaml.safe_load(load(tmp_path, MODEL).as_yaml())
    assert set(written) == set(Config.model_fields)
    assert written["train"]["batch"] == 32 and written["layout"] == {"auto": False, **vars(Layout())}


def test_one_value_for_a_list_and_other_names(tmp_path):
    config = load(
        tmp_path,
        f"{MODEL}metrics: acc\nloss: cross_entropy\ndata: {{transforms: standardize, targets: labels}}\n"
        "train: {precision: double, learning_rate: 0.5}\noptimizer: SGD",
    )
    trainer = make_trainer(config)
    assert (trainer.metrics, trainer.transforms, trainer.targets) == (["acc"], ["standardize"], ["labels"])
    assert (trainer.precision, trainer.learning_rate, trainer.loss) == ("float64", 0.5, "cross_entropy")


@pytest.mark.parametrize(
    "text",
    [
        MODEL,
        f"{MODEL}run: {{name: '1e3', dir: '2026'}}\ntrain: {{clip: {{norm: 1e-12}}, seed: 123456789012}}",
        f"{MODEL}data: {{source: images, size: [32, 24], channels: 1, max_value: 255}}\ntrain: {{steps: 7}}",
        f"{MODEL}data: {{source: text, block: 9, targets: [inputs]}}",
        f"{MODEL}regularisation: {{l1: 0.1}}\ntrain: {{early_stopping: {{restore: false}}}}",
        "model: [{residual: [{dense: 3}, relu]}, {dense: {units: 2, bias: false}}]\nmetrics: [{top_k: 2}]",
        "model: [dense: 3]\nloss: {softmax_cross_entropy: {class_weights: [1, 2.5, 3]}}\ndata: {x: 'ü.npy'}",
    ],
)
def test_yaml_round_trip(tmp_path, text):
    config = load(tmp_path, text)
    assert load(tmp_path, config.as_yaml()) == config


def test_json_schema():
    schema = json.loads(json.dumps(Config.model_json_schema()))
    assert set(schema["properties"]) == set(Config.model_fields)
    assert schema["required"] == ["model"] and schema["additionalProperties"] is False
    for name, field in schema["properties"].items():
        if "$ref" in field:
            section = schema["$defs"][field["$ref"].rsplit("/", 1)[1]]
            assert section["additionalProperties"] is False, name
            assert all({"type", "enum", "anyOf", "$ref"} & set(p) for p in section["properties"].values())


def test_the_example_of_the_issue(tmp_path):
    config = load(
        tmp_path,
        """
run: {name: mnist_mlp, dir: runs}
data: {source: mnist, chunk_rows: 5000, distribution: random, validation: 0.1}
model:
  - flatten
  - dense: 512
  - relu
  - dropout: 0.2
  - dense: 10
loss: softmax_cross_entropy
metrics: [accuracy]
optimizer: {adam: {lr: 1.0e-3, weight_decay: 1.0e-4}}
schedule: {cosine: {warmup: 200}}
train:
  {epochs: 10, batch: 512, seed: 7, precision: float32,
   early_stopping: {monitor: validation.accuracy, patience: 3}}
layout: {data: 2}
cluster: {kind: threads, workers: 2}
checkpoint: {every: 1 epoch, keep: 3}
""",
    )
    assert config.model == ["flatten", {"dense": 512}, "relu", {"dropout": 0.2}, {"dense": 10}]
    assert config.train.early_stopping.monitor == "validation.accuracy"
    assert config.checkpoint.every == "1 epoch"
