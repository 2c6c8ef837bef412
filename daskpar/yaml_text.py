"""YAML as people write it, read within limits: size, depth, aliases, types of values.

A number is a number in any notation that is not ambiguous, e.g. `1e-3`. A date is text. A key must not occur
twice. These are refused: tags other than YAML's basic types, octal numbers such as 010, integers of more than
64 bits, and documents that are too large, too deep, or too large once their aliases are expanded.
"""

from __future__ import annotations

import math
import os
import re
import select
import stat
import time
from pathlib import Path
from typing import Any

import yaml

from daskpar.errors import InputError, shown

LARGEST_FILE = 1_000_000  # bytes
DEEPEST = 100  # levels
MOST_VALUES = 50_000  # with aliases expanded
PATIENCE = 5.0
"""Time in seconds to wait for the next part of a config from a pipe."""

_TAG = "tag:yaml.org,2002:"
_INT = r"[-+]?(?:0b[0-1_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)"
_FLOAT = r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
_INFINITE = r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"


class _Loader(yaml.SafeLoader):
    """A SafeLoader with limits, and with fewer surprises than YAML 1.1."""

    # surrogates represent bytes of arguments and file names that are not UTF-8
    NON_PRINTABLE = re.compile(  # type: ignore[misc]
        "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\udc80-\udcff\ue000-\ufffd\U00010000-\U0010ffff]"
    )

    def __init__(self, text: str):
        super().__init__(text)
        self.depth = 0
        self.values: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> Any:
        """Compose a node, and count its values as if its aliases were expanded."""
        event = self.peek_event()
        mark = event.start_mark
        self.depth += 1
        if self.depth > DEEPEST:
            raise _error(f"nested deeper than {DEEPEST} levels", mark)
        node: Any = super().compose_node(parent, index)
        self.depth -= 1
        if isinstance(event, yaml.AliasEvent):
            if node not in self.values:
                raise _error("an alias of a value that contains it", mark)
            return node
        count = 1
        if isinstance(node, yaml.CollectionNode):
            pairs = isinstance(node, yaml.MappingNode)
            children = [part for pair in node.value for part in pair] if pairs else node.value
            count += sum(self.values[child] for child in children)
        if count > MOST_VALUES:
            raise _error(f"more than {MOST_VALUES:,} values, with aliases expanded", mark)
        self.values[node] = count
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        """Compose a mapping. A key that occurs twice is an error."""
        node = super().compose_mapping_node(anchor)
        keys = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in keys:
                raise _error(f"key {shown(key.value)} twice", key.start_mark)
            keys.add(key.value)
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Construct a value. A value that does not fit its tag is an error that names the line."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, ArithmeticError):
            kind = node.tag.removeprefix(_TAG)
            raise _error(f"{shown(node.value)} is not a value of type {kind}", node.start_mark) from None

    def construct_undefined(self, node: Any) -> Any:
        """Refuse a tag that YAML's basic types do not have."""
        tag = node.tag.replace(_TAG, "!!", 1)
        raise _error(f"tag {shown(tag, 80)} is not allowed in configs; leave it out", node.start_mark)

    def construct_yaml_int(self, node: Any) -> int:
        """Construct an integer of at most 64 bits. Leading zeros are an error."""
        text = self.construct_scalar(node)
        if re.fullmatch(r"[-+]?0[0-9_]+", text):
            raise _error(f"{shown(text)}: leave out the leading zeros, or put it in quotes", node.start_mark)
        value = int(text.replace("_", ""), 0) if len(text) < 100 else 2**64
        if not -(2**63) <= value < 2**64:
            raise _error(f"{shown(text, 50)} is a number of more than 64 bits", node.start_mark)
        return value

    def construct_yaml_float(self, node: Any) -> float:
        """Construct a float. A number that is too large for one is an error; `.inf` is not."""
        text = self.construct_scalar(node).lower().replace("_", "")
        infinite = re.fullmatch(_INFINITE, text)
        value = float(text.replace(".", "", 1) if infinite else text)
        if math.isinf(value) and not infinite:
            raise _error(f"{shown(text, 50)} is too large for a number", node.start_mark)
        return value


class Dumper(yaml.SafeDumper):
    """A SafeDumper that quotes texts that `_Loader` would read as numbers, and that writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: a value that occurs twice is written twice."""
        return True


_Loader.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in (
    ("bool", r"(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)", "yYnNtTfFoO"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", _INT, "-+0123456789"),
    ("float", f"{_FLOAT}|{_INFINITE}", "-+.0123456789"),
    ("merge", "<<", "<"),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_pattern})$"), list(_first))
    if _kind in ("int", "float"):
        Dumper.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_pattern})$"), list(_first))
_Loader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag and tag.removeprefix(_TAG) in ("null", "bool", "str", "seq", "map")
}
_Loader.add_constructor(None, _Loader.construct_undefined)
_Loader.add_constructor(f"{_TAG}int", _Loader.construct_yaml_int)
_Loader.add_constructor(f"{_TAG}float", _Loader.construct_yaml_float)


def _error(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    """Return an error at a place in the text."""
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def parse(text: str) -> Any:
    """Return the value of a YAML text: nested dicts and lists of texts, numbers, booleans and None.

    Raises InputError "not valid YAML in line N (reason)".
    """
    line, problem = None, ""
    try:
        loader = _Loader(text)
        try:
            return _unshared(loader.get_single_data())
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"character U+{error.character:04X} is not allowed; expected a text file in UTF-8"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        problem = error.problem or str(error)
        if problem == "but found another document":
            problem = "a second document begins; expected one"
    except (yaml.YAMLError, RecursionError) as error:
        problem = str(error)
    place = f" in line {line}" if line else ""
    raise InputError(f"not valid YAML{place} ({problem})")


def _unshared(value: Any) -> Any:
    """Return a value without shared parts, so that a change in one place does not change another."""
    if isinstance(value, dict):
        return {key: _unshared(part) for key, part in value.items()}
    return [_unshared(part) for part in value] if isinstance(value, list) else value


def read(path: str | Path) -> Any:
    """Return the value of a YAML file. The InputError for a fault names the file and, if known, the line."""
    try:
        raw = _read_bytes(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:  # a path that no file can have
        raise InputError(f"{path}: {error}") from None
    if len(raw) > LARGEST_FILE:
        raise InputError(f"{path}: larger than {LARGEST_FILE:,} bytes; expected a config, not data")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        kind = "; it begins as UTF-16 does, save it as UTF-8" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        place = f"{error.reason} at byte {error.start}, in line {line}"
        raise InputError(f"{path}: not a text file in UTF-8 ({place}{kind})") from None
    try:
        return parse(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _read_bytes(path: str | Path) -> bytes:
    """Return the bytes of a file, at most one more than a config may have. A silent pipe is an error."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        regular = stat.S_ISREG(os.fstat(file).st_mode)
        parts, size = [], 0
        while size <= LARGEST_FILE:
            if not regular and not stat.S_ISDIR(os.fstat(file).st_mode):
                _await(file)
            part = os.read(file, LARGEST_FILE + 1 - size)
            if not part:
                break
            parts.append(part)
            size += len(part)
        return b"".join(parts)
    finally:
        os.close(file)


def _await(file: int) -> None:
    """Wait until there is something to read. Raises OSError after `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not select.select([file], [], [], max(0.0, deadline - time.monotonic()))[0]:
        if time.monotonic() > deadline:
            raise OSError(f"nothing to read within {PATIENCE:.0f} s; expected a file")
