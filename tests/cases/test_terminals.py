"""Terminals, files and pipes of any kind: what a command does is done, and what it says can be read."""

import errno
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import click
import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.table import Table

from daskpar.cli import main
from daskpar.cli.lines import errors_in_one_line
from daskpar.terminal import Terminal
from daskpar.train.progress.bar import BarProgress
from daskpar.train.run_folder import RunFolder

CONFIG = """run: {name: grün, dir: läufe}
data: {source: digits}
model: [flatten, {dense: 8}, relu, {dense: 10}]
train: {steps: 4, batch: 32, evaluate_every: 2 steps}
cluster: {kind: threaded-scheduler}
"""
TEXT = """run: {name: τ, dir: läufe}
data: {source: text, path: ü.txt, block: 8}
model: [{embedding: {words: 16, features: 4}}, {dense: 16}]
train: {steps: 2, batch: 16}
cluster: {kind: threaded-scheduler}
"""
ENCODINGS = ["ascii", "cp932"]
CALL = [sys.executable, "-c", "from daskpar.cli import main; main()"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which two networks were trained."""
    folder = tmp_path_factory.mktemp("grün")
    (folder / "c.yaml").write_text(CONFIG, "utf-8")
    (folder / "t.yaml").write_text(TEXT, "utf-8")
    (folder / "ü.txt").write_text("wörld × мир\n" * 40, "utf-8")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for config in ("c.yaml", "t.yaml"):
            assert run("utf-8", "train", config).exit_code == 0
    finally:
        os.chdir(before)
    return folder


def run(encoding, *command, **environment):
    result = CliRunner(charset=encoding).invoke(main, command, env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "command",
    [
        "train c.yaml --set run.name=jörg",
        "train c.yaml --resume --set train.steps=4",
        "train c.yaml --profile --set run.name=größe",
        "evaluate c.yaml",
        "predict c.yaml -o прогноз.npy",
        "predict c.yaml -o b\udcff.npy",
        "sample t.yaml --length 40 --prompt ×",
        "model c.yaml",
        "model c.yaml --json",
        "config c.yaml",
        "config --schema",
        "graph c.yaml -o schéma−.svg",
        "--help",
        "train --help",
    ],
)
def test_every_command_prints_to_any_encoding(folder, monkeypatch, encoding, command):
    monkeypatch.chdir(folder)
    result = run(encoding, *command.split())
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout_bytes.decode(encoding)
    if "-o" in command:
        assert Path(command.split()[-1]).is_file()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "command", [["train", "ж\x1b.yaml"], ["train", "c.yaml", "--set=ключ=1"], ["model", "b\udcff"]]
)
def test_every_refusal_prints_to_any_encoding(folder, monkeypatch, encoding, command):
    monkeypatch.chdir(folder)
    result = run(encoding, *command)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize(
    "environment",
    [{"COLUMNS": "1"}, {"COLUMNS": "0"}, {"COLUMNS": "x"}, {"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}],
    ids=str,
)
def test_a_table_on_any_terminal(folder, monkeypatch, environment):
    monkeypatch.chdir(folder)
    result = run("ascii", "model", "c.yaml", **environment)
    assert (result.exit_code, result.stderr) == (0, "") and "dense" in result.stdout


def test_what_an_encoding_lacks_is_replaced_and_tables_are_drawn_in_ascii(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert "input 8 x 8 x 1" in run("ascii", "model", "c.yaml").stdout
    assert "input 8 × 8 × 1" in run("utf-8", "model", "c.yaml").stdout
    for encoding in ("cp1251", "latin-1", "cp437", "gb18030"):
        result = run(encoding, "model", "c.yaml")
        assert result.exit_code == 0 and "┃" not in result.stdout
    assert "pr?dict.npy: classes" in run("ascii", "predict", "c.yaml", "-o", "prädict.npy").stdout


class Spool:
    """A stream that keeps what is written to it."""

    encoding, text = "ascii", ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


@pytest.mark.parametrize(
    "text, printed",
    [
        ("a\x1b]0;title\x7fb", "a\\x1b]0;title\\x7fb"),
        ("\x9b31m", "\\x9b31m"),
        ("b\udcff", "b\\udcff"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("[red]x[/red] [/] :smile:", "[red]x[/red] [/] :smile:"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_names_are_printed_as_text(monkeypatch, text, printed):
    """Neither a terminal's own codes nor rich's markup and emoji take effect."""
    monkeypatch.setattr(sys, "stdout", Spool())
    Terminal(soft_wrap=True, color_system=None).print(text)
    assert sys.stdout.text == printed + "\n"
    table = Table(title=text)
    table.add_row(text)
    sys.stdout.text = ""
    Terminal(width=200, color_system=None).print(table)
    assert "\x1b" not in sys.stdout.text and printed.splitlines()[0] in sys.stdout.text


def test_progress_bars_in_ascii(monkeypatch):
    class Trained:
        steps_planned_, steps_run_, steps = 3, 0, 3
        begun_: ClassVar = {"step": 0, "epoch": 0.0}
        spec_ = SimpleNamespace(order=SimpleNamespace(steps=2, first_step=0))

    monkeypatch.setattr(sys, "stdout", Spool())
    monkeypatch.setenv("TERM", "xterm")
    console = Terminal(force_terminal=True)
    bar = BarProgress(console)
    bar.before_training(Trained())
    bar.redraw()
    console.print("ü above it")
    bar.close()
    assert "step 0/3" in sys.stdout.text and "ü above it" in sys.stdout.text and "━" not in sys.stdout.text


@pytest.mark.parametrize("command", ["train c.yaml --set run.name=pipe", "model c.yaml", "config --schema"])
def test_a_pipe_that_is_closed_early(folder, monkeypatch, capfd, command):
    """What was asked for is done all the same, and nothing is said on standard error."""
    monkeypatch.chdir(folder)
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as end:
            main(command.split())
        monkeypatch.undo()
    assert (end.value.code, capfd.readouterr().err) == (0, "")
    assert "train" not in command or (folder / "läufe/pipe/summary.json").is_file()


def test_a_locale_without_utf8(folder):
    """File names are in UTF-8 there, too, as are a config's texts and the bytes of arguments."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [*CALL, "train", "c.yaml", "--set", "run.name=größe", "--set", "run.dir=läufe"]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **plain}, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.isascii()
    assert (folder / "läufe/größe/summary.json").is_file()


def test_a_full_disk_under_standard_output(folder, monkeypatch, capsys):
    class Full(Spool):
        def write(self, text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.chdir(folder)
    for command in ("model c.yaml", "config c.yaml"):
        monkeypatch.setattr(sys, "stdout", Full())
        with pytest.raises(SystemExit) as end:
            main(command.split())
        assert end.value.code == 2
        assert capsys.readouterr().err == "daskpar: [Errno 28] No space left on device\n"


# an earlier run stays where it is


@pytest.mark.parametrize(
    "trouble", [UnicodeEncodeError("ascii", "ü", 0, 1, "no"), BrokenPipeError(), KeyboardInterrupt()]
)
def test_a_first_run_stays_where_it_is_when_nobody_can_be_told(tmp_path, trouble):
    first = tmp_path / "grün"
    first.mkdir()
    (first / "summary.json").write_text("weeks of work")

    def tell(line):
        raise trouble

    class Trainer:
        history_ = ()

    folder = RunFolder(first, "model: []", False, tell)
    with pytest.raises(type(trouble)):
        folder.before_training(Trainer())
    with pytest.raises(type(trouble)):
        folder.undo()
    assert {p.relative_to(tmp_path): p.read_text() for p in tmp_path.rglob("*") if p.is_file()} == {
        Path("grün/summary.json"): "weeks of work"
    }


def test_a_config_of_another_encoding_comes_back_when_a_resumed_run_fails(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"run: \xff")
    folder = RunFolder(tmp_path, "model: []", True, lambda line: None)

    class Trainer:
        history_, resumed_at_ = (), 3

    folder.before_training(Trainer())
    assert (tmp_path / "config.yaml").read_text() == "model: []"
    folder.undo()
    assert (tmp_path / "config.yaml").read_bytes() == b"run: \xff"


# errors that come from below


@pytest.mark.parametrize(
    "error, code, line",
    [
        (
            MemoryError("Unable to allocate 1 PiB"),
            1,
            "daskpar: out of memory (Unable to allocate 1 PiB); use a",
        ),
        (PermissionError(13, "Permission denied", "a/\x1bb"), 2, "daskpar: a/\\x1bb: Permission denied"),
        (FileNotFoundError(2, "No such file or directory", "x"), 2, "daskpar: x: No such file or directory"),
        (OSError(28, "No space left on device"), 2, "daskpar: [Errno 28] No space left on device"),
        (KeyboardInterrupt(), 130, "daskpar: stopped"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_a_line(error, code, line):
    @click.command()
    def fail():
        with errors_in_one_line():
            warnings.showwarning(RuntimeWarning("overflow"), RuntimeWarning, "f.py", 1)
            raise error

    result = CliRunner().invoke(fail)
    assert result.exit_code == code and result.stderr.startswith(line)
    assert len(result.stderr.splitlines()) == 1, "NumPy's warnings do not stand before the line"


def test_warnings_are_lines():
    @click.command()
    def warn():
        with errors_in_one_line():
            for _ in range(2):
                warnings.showwarning(RuntimeWarning("overflow\nin cast"), RuntimeWarning, "f.py", 1)
            warnings.showwarning(UserWarning("look"), UserWarning, "f.py", 1)

    assert CliRunner().invoke(warn).stderr == "daskpar: warning: look\ndaskpar: warning: overflow in cast\n"


def test_all_that_commands_print_goes_through_the_terminal():
    """Nobody else in the command line makes a Console or writes to a stream."""
    for path in Path(main.__module__ and sys.modules["daskpar.cli.main"].__file__).parent.glob("*.py"):
        text = path.read_text()
        if path.stem != "terminal":
            assert not any(word in text for word in ("click.echo", "Console(", "sys.stdout", "sys.stderr")), (
                path
            )
    assert issubclass(Terminal, Console)
