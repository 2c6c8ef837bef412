"""Help of commands: a summary, help for every option, and example lines that the CLI itself accepts."""

from __future__ import annotations

import click
import pytest
from guides.fences import parse

from daskpar.cli import main

COMMANDS = dict(main.commands)
EXAMPLES = [
    line.strip().partition(" > ")[0]
    for command in (main, *COMMANDS.values())
    for line in (command.epilog or "").splitlines()
    if line.startswith("  ") and "COMMAND" not in line
]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    options = [p for p in COMMANDS[name].params if isinstance(p, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_with_a_default_shows_it(name: str) -> None:
    options = [p for p in COMMANDS[name].params if isinstance(p, click.Option)]
    valued = [o for o in options if not o.is_flag and not o.multiple and o.name != "help"]
    hidden = [o.name for o in valued if not o.show_default and "[default: " not in (o.help or "")]
    assert hidden == ([] if name != "train" else ["start"])  # --from has no default: training begins anew


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_fits_on_a_line_of_the_list(name: str) -> None:
    assert not COMMANDS[name].get_short_help_str(66).endswith("...")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example(name: str) -> None:
    assert any(line.split()[1] == name for line in EXAMPLES)


@pytest.mark.parametrize("line", EXAMPLES)
def test_examples_are_parsed(line: str) -> None:
    parse(line)
