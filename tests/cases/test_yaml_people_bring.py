"""Configs that people bring: each is a config, or is refused in one short line that names the place."""

import os
import tempfile
from datetime import date
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings, strategies as st

from daskpar import yaml_text
from daskpar.cli import main
from daskpar.config import Config, load_config
from daskpar.errors import InputError, one_line, shown, unknown
from daskpar.nn import registry

MODEL = "model: [flatten, {dense: 3}]\n"


def load(folder, text, *overrides):
    path = Path(folder) / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return load_config(str(path), overrides)


def refusal(folder, text, *overrides):
    """The line that a config is refused with, without its path."""
    with pytest.raises(InputError) as error:
        load(folder, text, *overrides)
    line = str(error.value)
    assert line.isprintable() and len(line) < 500
    return line.removeprefix(f"{Path(folder) / 'c.yaml'}: ")


def bomb(first, row, alias):
    """Nine aliases a level, eight levels deep: 9**8 values in some 400 bytes."""
    levels = (row.format(n=n, parts=", ".join([alias.format(n=n - 1)] * 9)) for n in range(1, 9))
    return "\n".join([first, *levels]) + "\n"


SEQUENCES = bomb("- &a0 [x, x, x, x, x, x, x, x, x]", "- &a{n} [{parts}]", "*a{n}")
MANY = "more than 50,000 values, with aliases expanded"

TEXTS = {
    # aliases
    "nested aliases as the whole file": (SEQUENCES, f"not valid YAML in line 5 ({MANY})"),
    "nested aliases in a section": (
        f"{MODEL}run:\n  " + SEQUENCES.replace("\n", "\n  "),
        f"not valid YAML in line 7 ({MANY})",
    ),
    "nested aliases of mappings in a loss": (
        f"{MODEL}loss:\n  huber:\n"
        + "".join(
            f"    a{n}: &a{n} {{{', '.join(f'k{i}: *a{n - 1}' for i in range(9)) if n else 'x: 1'}}}\n"
            for n in range(9)
        ),
        f"not valid YAML in line 9 ({MANY})",
    ),
    "nested merges": (
        bomb("x0: &a0 {x: 1}", "x{n}: &a{n} {{<<: [{parts}]}}", "*a{n}") + MODEL,
        f"not valid YAML in line 6 ({MANY})",
    ),
    "a list that holds itself": (
        "a: &a [*a]",
        "not valid YAML in line 1 (an alias of a value that contains it)",
    ),
    "a mapping that holds itself": (
        "x: 1\ny: &a {x: {z: *a}}",
        "not valid YAML in line 2 (an alias of a value that contains it)",
    ),
    "an alias of nothing": (
        f"{MODEL}loss: *a",
        "not valid YAML in line 2 (found undefined alias 'a')",
    ),
    # depth and size
    "1,000 brackets": (
        f"{MODEL}run: {'[' * 1000}",
        "not valid YAML in line 2 (nested deeper than 100 levels)",
    ),
    "1,000 pairs of brackets": (
        f"a: {'[' * 1000}{']' * 1000}",
        "not valid YAML in line 1 (nested deeper than 100 levels)",
    ),
    "1,000 dashes": ("- " * 1000, "not valid YAML in line 1 (nested deeper than 100 levels)"),
    "1,000 keys, each within the other": (
        "\n".join(" " * n + "a:" for n in range(1000)),
        "not valid YAML in line 100 (nested deeper than 100 levels)",
    ),
    "1,000 questions": ("? " * 1000, "not valid YAML in line 1 (nested deeper than 100 levels)"),
    "data, not a config": (b"x" * 1_000_001, "larger than 1,000,000 bytes; expected a config, not data"),
    # values of explicit types
    "text as int": (
        f"{MODEL}train: {{batch: !!int x}}",
        "not valid YAML in line 2 ('x' is not a value of type int)",
    ),
    "text as float": (f"{MODEL}a: !!float x", "not valid YAML in line 2 ('x' is not a value of type float)"),
    "text as bool": (f"{MODEL}a: !!bool x", "not valid YAML in line 2 ('x' is not a value of type bool)"),
    "nothing as int": (f"{MODEL}a: !!int", "not valid YAML in line 2 ('' is not a value of type int)"),
    "a prefix without digits": (
        f"{MODEL}a: 0x_",
        "not valid YAML in line 2 ('0x_' is not a value of type int)",
    ),
    "a list as text": (
        f"{MODEL}a: !!str [1]",
        "not valid YAML in line 2 (expected a scalar node, but found sequence)",
    ),
    **{
        f"tag {tag}": (
            f"{MODEL}a: {tag} {value}",
            f"not valid YAML in line 2 (tag '{tag}' is not allowed in configs; leave it out)",
        )
        for tag, value in (
            ("!!timestamp", "x"),
            ("!!binary", "/w=="),
            ("!!set", "{a, b}"),
            ("!!omap", "[a: 1]"),
            ("!!python/object:os.system", "x"),
            ("!mine", "[1]"),
        )
    },
    # numbers
    "5,000 digits": (
        f"{MODEL}train: {{seed: {'9' * 5000}}}",
        "9999' is a number of more than 64 bits)",
    ),
    "5,000 hexadecimal digits": (
        f"{MODEL}train: {{seed: 0x{'f' * 5000}}}",
        "is a number of more than 64 bits",
    ),
    "2**64": (
        f"{MODEL}train: {{seed: 18446744073709551616}}",
        "not valid YAML in line 2 ('18446744073709551616' is a number of more than 64 bits)",
    ),
    "beyond floats": (
        f"{MODEL}optimizer: {{adam: 1e400}}",
        "not valid YAML in line 2 ('1e400' is too large for a number)",
    ),
    "octal": (
        f"{MODEL}train: {{batch: 010}}",
        "not valid YAML in line 2 ('010': leave out the leading zeros, or put it in quotes)",
    ),
    "nearly octal": (
        f"{MODEL}train: {{batch: 08}}",
        "not valid YAML in line 2 ('08': leave out the leading zeros, or put it in quotes)",
    ),
    "sexagesimal": (
        f"{MODEL}train: {{batch: 1:30}}",
        "train.batch: value should be a valid integer, got '1:30'",
    ),
    "a date": (
        f"{MODEL}train: {{batch: 2020-99-99}}",
        "train.batch: value should be a valid integer, got '2020-99-99'",
    ),
    "NaN": (
        f"{MODEL}data: {{validation: .nan}}",
        "data.validation: value should be a finite number, got nan",
    ),
    "infinity": (
        f"{MODEL}train: {{clip: {{norm: .inf}}}}",
        "train.clip.norm: value should be a finite number, got inf",
    ),
    "infinity in a list": (
        f"{MODEL}layout: {{lanes: [1, -.inf]}}",
        "layout.lanes.1: value should be a finite number, got -inf",
    ),
    "a largest value without a reciprocal": (
        f"{MODEL}data: {{max_value: 1e-300}}",
        "data.max_value: value should be at least 1e-30, got 1e-300",
    ),
    "a largest value beyond float32": (
        f"{MODEL}data: {{max_value: 1e300}}",
        "data.max_value: value should be less than or equal to 1000",
    ),
    # texts that are booleans
    "no as a name": (
        f"{MODEL}run: {{name: no}}",
        "run.name: value should be a valid string, got False; YAML takes yes, no, on, off, true and false "
        "for booleans, put it in quotes",
    ),
    "on as a path": (f"{MODEL}data: {{path: on}}", "put it in quotes"),
    # keys
    "a key twice": (f"{MODEL}run: {{}}\nrun: {{}}\n", "not valid YAML in line 3 (key 'run' twice)"),
    "a key that is a number": (f"{MODEL}1: 2", "1: Keys should be strings, got 1"),
    "a key that is nothing": (f"{MODEL}~: 2", "None: Keys should be strings, got None"),
    "a key that is a list": (f"{MODEL}[1]: 2", "not valid YAML in line 2 (found unhashable key)"),
    "a key called as pydantic calls a type": (
        f"{MODEL}str: 1",
        "key 'str' is not known; did you mean 'cluster'?",
    ),
    "the same within a section": (
        f"{MODEL}data: {{str: 1}}",
        "key in data 'str' is not known; did you mean 'streams'?",
    ),
    "a long key": (f"{MODEL}{'k' * 900}: 1", "is not known; known: checkpoint, cluster"),
    "a long value": (
        f"{MODEL}train: {{precision: {'x' * 5000}}}",
        "train.precision: value should be 'float32' or 'float64', got 'xxx",
    ),
    "a large value": (
        f"{MODEL}run: {{name: {[[n] * 50 for n in range(200)]}}}",
        "run.name: value should be a valid string, got [[0, 0",
    ),
    # bytes
    "tabs": (
        f"{MODEL}run:\n\tname: x",
        "not valid YAML in line 3 (found character '\\t' that cannot start any token)",
    ),
    "two documents": (
        f"{MODEL}---\n{MODEL}",
        "not valid YAML in line 2 (a second document begins; expected one)",
    ),
    "an empty file": ("", "expected sections such as `data:` and `model:`, found None"),
    "comments only": ("# nothing\n", "expected sections such as `data:` and `model:`, found None"),
    "Latin-1": (
        f"{MODEL}run: {{dir: grün}}".encode("latin-1"),
        "not a text file in UTF-8 (invalid start byte at byte 42, in line 2)",
    ),
    "UTF-16": (
        MODEL.encode("utf-16"),
        "(invalid start byte at byte 0, in line 1; it begins as UTF-16 does, save it as UTF-8)",
    ),
    "UTF-16 without a mark": (
        MODEL.encode("utf-16-le"),
        "not valid YAML in line 1 (character U+0000 is not allowed; expected a text file in UTF-8)",
    ),
    "an escape character": (
        f"{MODEL}# \x1b]0;x",
        "not valid YAML in line 2 (character U+001B is not allowed; expected a text file in UTF-8)",
    ),
    # paths that no file has
    "NUL in a path": (
        f'{MODEL}data: {{path: "a\\0b"}}',
        "data.path: value should be a path without NUL and other unusable characters, got 'a\\x00b'",
    ),
    "half a surrogate pair in a path": (
        f'{MODEL}run: {{dir: "\\ud800"}}',
        "run.dir: value should be a path without NUL and other unusable characters, got '\\ud800'",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_refused_in_a_line(tmp_path, name):
    text, message = TEXTS[name]
    assert message in refusal(tmp_path, text)


def test_what_is_read_as_people_mean_it(tmp_path):
    """Dates and times are text, a byte order mark is none, a merge may be overridden."""
    config = load(
        tmp_path,
        "\ufeffdata: {path: 12:30, validation: .5, max_value: 1e3}\n"
        "train: &t {<<: {batch: 3, seed: 5}, batch: 1_000, seed: 0x1f}\n"
        "run: {name: 2026-11-25, dir: 2020-99-99}\n"
        "optimizer: &o {adam: {lr: 1e-3}}\nlayout: {outer: *o}\nmodel: [relu]\n...\n",
        "optimizer.adam.lr=2.5e-1",
    )
    assert (config.data.path, config.data.validation, config.data.max_value) == ("12:30", 0.5, 1000.0)
    assert (config.train.batch, config.train.seed) == (1000, 31)
    assert config.folder == Path("2020-99-99/2026-11-25")
    assert config.optimizer == {"adam": {"lr": 0.25}}
    assert config.layout.outer == {"adam": {"lr": 1e-3}}, "what an alias shares changes in one place only"
    assert load(tmp_path, config.as_yaml()) == config


@pytest.mark.parametrize(
    "text", ["2026-11-25", "1:30", "08", "010", "1e5", "=", "<<", "on", "~", "0o7", "\udcff"]
)
def test_texts_come_back_from_what_is_written(tmp_path, text):
    config = load(tmp_path, MODEL).model_copy(update={"loss": text})
    assert load(tmp_path, config.as_yaml()).loss == text


@pytest.mark.parametrize(
    "override, message",
    [
        ("train.batch=010", "--set train.batch=010: the value is not valid YAML in line 1 ('010': leave out"),
        (f"run.name={'[' * 500}", "(nested deeper than 100 levels)"),
        (f"train.batch={'9' * 5000}", "is a number of more than 64 bits)"),
        (
            "data.path=\x1b]0;x",
            "--set data.path=\\x1b]0;x: the value is not valid YAML in line 1 (character U+001B",
        ),
        ("train.batch=!!set {a}", "(tag '!!set' is not allowed in configs; leave it out)"),
        ("train.clip.norm=.inf", "train.clip.norm: value should be a finite number, got inf"),
        ("x." * 5000 + "y=1", "expected e.g. train.epochs=3"),
        (f"{'k' * 5000}=1", "is not known; known: checkpoint"),
    ],
    ids=["octal", "deep", "digits", "escape", "tag", "infinity", "path", "key"],
)
def test_an_override_is_refused_in_a_line(tmp_path, override, message):
    assert message in refusal(tmp_path, MODEL, override)


def test_bytes_of_an_argument_are_utf8_whatever_the_locale(tmp_path):
    """In an ASCII locale Python gives the bytes of an argument as surrogates."""
    assert load(tmp_path, MODEL, os.fsdecode("run.name=grün".encode())).run.name == "grün"
    assert load(tmp_path, MODEL, "run.name=gr\udcc3\udcbcn").run.name == "grün"
    assert os.fsencode(load(tmp_path, MODEL, "run.dir=b\udcff").folder) == b"b\xff/c"


@pytest.mark.parametrize("kind", ["a pipe that stays silent", "a folder", "endless zeros", "no path"])
def test_configs_that_are_no_files(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(yaml_text, "PATIENCE", 0.1)
    os.mkfifo(tmp_path / "pipe")
    path, message = {
        "a pipe that stays silent": (tmp_path / "pipe", "nothing to read within 0 s; expected a file"),
        "a folder": (tmp_path, "Is a directory"),
        "endless zeros": ("/dev/zero", "larger than 1,000,000 bytes; expected a config, not data"),
        "no path": ("a\0b", "embedded null byte"),
    }[kind]
    with pytest.raises(InputError) as error:
        load_config(str(path))
    assert str(error.value) == f"{one_line(str(path))}: {message}"


def test_a_pipe_that_somebody_writes_to_is_read():
    reading, writing = os.pipe()
    os.write(writing, MODEL.encode())
    os.close(writing)
    try:
        assert load_config(f"/dev/fd/{reading}").model == ["flatten", {"dense": 3}]
    finally:
        os.close(reading)


def repeat(times, *layers):
    return {"repeat": {"times": times, "layers": [*layers]}}


@pytest.mark.parametrize(
    "model, count",
    [
        ([repeat(1_000_000, "relu")], "1,000,000"),
        ([repeat(2**62, "relu")], "4,611,686,018,427,387,904"),
        ([repeat(1000, repeat(1000, repeat(1000, "relu")))], "1,000,000"),
        ([repeat(5000, {"sequential": [repeat(5000, "relu")]})], "25,005,000"),
        ([repeat(200, {"residual": [repeat(200, {"dense": 8})]})], "40,200"),
        ([{"residual": {"layers": ["relu"], "shortcut": [repeat(20_000, "relu")]}}], "20,000"),
    ],
    ids=["once", "2**62", "nested", "in sequentials", "in residuals", "in a shortcut"],
)
def test_a_model_has_a_bounded_number_of_layers(model, count):
    with pytest.raises(
        InputError, match=f"a model of {count} layers or more; expected at most 10,000; check"
    ):
        registry.model(model)


@pytest.mark.slow
def test_a_model_of_many_layers_is_described(tmp_path):
    """A table of 4,000 rows takes time in proportion to them: squares took minutes."""
    load(tmp_path, f"model: [flatten, {{dense: 4}}, {repeat(2000, {'dense': 4}, 'relu')}, {{dense: 10}}]")
    result = CliRunner().invoke(main, ["model", str(tmp_path / "c.yaml")])
    assert result.exit_code == 0 and len(result.stdout.splitlines()) > 4000


def test_out_of_memory_is_a_line(tmp_path, monkeypatch):
    def allocate(config):
        raise MemoryError("Unable to allocate 9 TiB")

    load(tmp_path, MODEL)
    monkeypatch.setattr("daskpar.cli.prepare.prepare", allocate)
    result = CliRunner().invoke(main, ["model", str(tmp_path / "c.yaml")])
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("daskpar: out of memory (Unable to allocate ") and "use a smaller model" in line


@pytest.mark.parametrize(
    "command, message",
    [
        (["simulate", "--bandwidth=0"], "--bandwidth 0.0: expected a number above zero"),
        (["simulate", "--hop=nan"], "--hop nan: expected a number above zero"),
        (["simulate", "--scheduler=inf"], "--scheduler inf: expected a number above zero"),
        (["simulate", f"--workers={'9' * 5000}"], "expected whole numbers from 1 on, e.g. 1,8,64"),
        (["simulate", "--workers=99999999999999999999"], "expected whole numbers from 1 on, e.g. 1,8,64"),
        (["compare", f"--layout={'[' * 500}"], "(nested deeper than 100 levels)"),
        (["graph", "-o", "."], ".: cannot be written (Is a directory)"),
        (["graph", "-o", ""], ": cannot be written (Is a directory)"),
        (["model", f"--set=data={{source: npz, path: {'p' * 300}}}"], "ppp"),
        (["model", '--set=data={source: npz, path: "\\e]0;x"}'], "\\x1b]0;x: no such file"),
        (["train", f"--set=run.name={'g' * 300}"], "File name too long"),
        (["train", "--set=run.dir=/dev/null/x"], "the run's folder cannot be written (Not a directory)"),
    ],
)
def test_a_command_refuses_in_a_line(tmp_path, monkeypatch, command, message):
    monkeypatch.chdir(tmp_path)
    load(tmp_path, f"{MODEL.replace('3', '10')}cluster: {{kind: threaded-scheduler}}")
    result = CliRunner().invoke(main, [command[0], "c.yaml", *command[1:]])
    (line,) = result.stderr.splitlines()
    assert (result.exit_code, message in line, line.isprintable(), len(line) < 500) == (
        2,
        True,
        True,
        True,
    ), line
    assert {path.name for path in tmp_path.iterdir()} <= {"c.yaml", "runs"}


# what an error line shows


@pytest.mark.parametrize(
    "value, text",
    [
        ("a\x1b]0;\n", "'a\\x1b]0;\\n'"),
        ({"x": [1, 2]}, "{'x': [1, 2]}"),
        (date(2026, 11, 25), "datetime.date(2026, 11, 25)"),
        (10**100, "a whole number of 333 bits"),
        (2**63, "9223372036854775808"),
        (True, "True"),
    ],
)
def test_what_is_shown(value, text):
    assert shown(value) == text


def test_no_line_is_long_and_all_are_printable():
    deep = [[[[[[["x" * 999] * 99] * 99] * 99] * 99] * 99] * 99] * 99
    assert len(shown(deep)) <= 200 and len(shown({n: deep for n in range(999)})) <= 200
    assert len(str(unknown("layer", "x" * 10**6, ["relu"]))) < 200
    line = str(InputError(f"begin {'x' * 10**6}\n  \x1b[31m\udcff\u202e end"))
    assert len(line) <= 480 and line.startswith("begin xxx") and line.endswith("\\x1b[31m\\udcff\\u202e end")
    assert str(InputError(line)) == line


# anything at all

SCALARS = (
    "x|relu|1|-1|0|010|1e-3|1e400|.nan|-.inf|~|yes|off|1:30|2026-11-25|9223372036854775808|99999999999999999999|"
    "''|\"\\e]0;\"|'é'|!!int x|!!binary /w==|!!set {a}|&a x|*a|<<|=|0x_|[|]|{|}"
    "|? |: |- |, |# |\t|\n|\n  |---|%YAML 2|@|`|\ufeff|\x00|\x85"
).split("|")
PLACES = [
    (section, key)
    for section, field in Config.model_fields.items()
    for key in (None, *getattr(field.annotation, "model_fields", ()))
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.text(min_size=300, max_size=400)
    | st.binary(max_size=5)
    | st.dates()
    | st.sampled_from(["auto", "relu", "adam", "1 epoch", "a\0b", "\x1b]0;x"]),
    lambda parts: (
        st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(), parts, max_size=3)
    ),
    max_leaves=8,
)
FUZZ = settings(max_examples=250, derandomize=True, deadline=None, database=None)


def config_or_line(text):
    """Load a text: a config that comes back from what is written, or one short line."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            config = load(folder, text)
        except InputError as error:
            line = str(error)
            assert line.isprintable() and len(line) < 500
        else:
            assert load(folder, config.as_yaml()).as_yaml() == config.as_yaml()


@FUZZ
@given(
    st.lists(
        st.sampled_from([*SCALARS, MODEL, "run: ", "name: ", "train: {batch: ", "optimizer: "]), max_size=12
    )
)
def test_any_text_is_a_config_or_a_line(pieces):
    config_or_line("".join(pieces))


@FUZZ
@given(st.binary(max_size=40))
def test_any_bytes_are_a_config_or_a_line(raw):
    config_or_line(MODEL.encode() + raw)


@FUZZ
@given(st.sampled_from(PLACES), VALUES)
def test_any_value_at_any_place_is_a_config_or_a_line(place, value):
    section, key = place
    values = {"model": ["flatten", {"dense": 3}], section: value if key is None else {key: value}}
    config_or_line(yaml.safe_dump(values, allow_unicode=False))
