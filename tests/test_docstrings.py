"""Docstrings: every public name has one, it begins with a noun or an imperative, and the API shows examples.

ruff's pydocstyle rules (`pyproject.toml`) keep the form: a summary on one line, the imperative, Google's
sections. The tests here look at what ruff does not see: methods that override documented ones, the first
word, and the arguments and examples of all that `daskpar` exports.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path

import pytest

import daskpar

HOUSE = Path(daskpar.__file__).parent
CLAUSE = re.compile(r"(What|Which|Where|Whether|Who|Whose|Whom|How|When|Why)\b", re.IGNORECASE)
PLACES = sorted({path.relative_to(HOUSE).parts[0] for path in HOUSE.rglob("*.py")})
DEFINITIONS = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

Place = tuple[str, str]  # the file, the name within it


def docstrings(place: Path) -> Iterator[tuple[Place, bool, str | None]]:
    """Yield each definition of a file or a folder, whether it is public, and its docstring."""
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    for file in files:
        tree = ast.parse(file.read_text())
        name = str(file.relative_to(HOUSE))
        yield (name, ""), True, ast.get_docstring(tree)
        for within, public, node in definitions(tree, "", True):
            yield (name, within), public, ast.get_docstring(node)


def definitions(node: ast.AST, prefix: str, public: bool) -> Iterator[tuple[str, bool, DEFINITIONS]]:
    """Yield name, whether it is public, and node of each class and function below a node."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, DEFINITIONS):
            yield from definitions(child, prefix, public)
            continue
        overload = any(ast.unparse(d).endswith(("overload", ".setter")) for d in child.decorator_list)
        seen = public and not child.name.startswith("_") and not overload
        yield prefix + child.name, seen, child
        yield from definitions(child, f"{prefix}{child.name}.", seen and isinstance(child, ast.ClassDef))


@cache
def inherits_documentation(place: Place) -> bool:
    """Return whether a method overrides one that is documented."""
    file, name = place
    owner, _, method = name.rpartition(".")
    if not owner:
        return False
    module = ".".join(("daskpar", *Path(file).with_suffix("").parts)).removesuffix(".__init__")
    kind: object = pytest.importorskip(module)
    for part in owner.split("."):
        kind = getattr(kind, part)
    return bool(inspect.getdoc(getattr(kind, method)))


@pytest.mark.parametrize("place", PLACES)
def test_every_public_name_has_a_docstring(place: str) -> None:
    bare = [at for at, public, text in docstrings(HOUSE / place) if public and not text]
    assert [at for at in bare if not inherits_documentation(at)] == []


@pytest.mark.parametrize("place", PLACES)
def test_first_lines_are_nouns_or_imperatives(place: str) -> None:
    firsts = [(at, text.splitlines()[0]) for at, _, text in docstrings(HOUSE / place) if text]
    assert [(at, line) for at, line in firsts if CLAUSE.match(line)] == []


def documented_arguments(thing: object) -> set[str]:
    """Return the names that the `Args:` sections of a function, or of a class and its bases, describe."""
    texts = [kind.__doc__ for kind in thing.__mro__] if isinstance(thing, type) else [inspect.getdoc(thing)]
    return {name for text in texts for name in names_described(text or "")}


def names_described(text: str) -> set[str]:
    """Return the names that the `Args:` section of a docstring describes."""
    section = re.search(r"^Args:\n((?:(?: .*)?\n)*)", inspect.cleandoc(text) + "\n", re.M)
    names = re.findall(r"^ {4}(\*{0,2}\w[*\w, /]*?)(?: \(.*?\))?:", section[1], re.M) if section else []
    return {name.strip("* ") for line in names for name in re.split(r",|/", line)}


def arguments(thing: object) -> set[str]:
    """Return the names of a function's or a class's arguments."""
    if is_dataclass(thing):
        return {field.name for field in fields(thing) if field.init}
    kinds = inspect.signature(thing).parameters if callable(thing) else {}
    return {name for name, parameter in kinds.items() if parameter.kind is not parameter.VAR_KEYWORD}


def methods(thing: object) -> Iterator[tuple[str, object]]:
    """Yield the public methods that people call on a class of the API."""
    if isinstance(thing, type):
        for name, method in inspect.getmembers(thing, inspect.isfunction):
            if not name.startswith("_") and method.__module__.startswith("daskpar."):
                yield name, method


API = [name for name in daskpar.__all__ if not inspect.ismodule(getattr(daskpar, name))]


@pytest.mark.parametrize("name", API)
def test_the_api_tells_its_arguments(name: str) -> None:
    thing = getattr(daskpar, name)
    assert arguments(thing) - documented_arguments(thing) == set(), thing.__doc__


@pytest.mark.parametrize("name", API)
def test_the_api_shows_an_example(name: str) -> None:
    assert ">>>" in (getattr(daskpar, name).__doc__ or "")  # tests/test_examples.py runs it


PEOPLE_CALL = ("Trainer", "Ensemble", "NeuralClassifier", "NeuralRegressor")


@pytest.mark.parametrize("name", PEOPLE_CALL)
def test_methods_tell_their_arguments(name: str) -> None:
    missing = {}
    for method_name, method in methods(getattr(daskpar, name)):
        left = arguments(method) - documented_arguments(method) - {"self"}
        if left:
            missing[method_name] = left
    assert missing == {}
