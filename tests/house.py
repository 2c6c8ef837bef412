"""The rules of the house, each a function over the folder of a package that returns the places that break it.

Files are only parsed, never imported. An import counts wherever it stands: at the top, within a function,
under `TYPE_CHECKING`, relative, or as a constant given to `import_module`.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOM = "__init__"
DASK = ("dask", "distributed")
LONGEST = 300  # lines of a file that gives no reason for more


class Import(NamedTuple):
    """One imported module, and the name taken from it ("" for the module itself)."""

    file: str
    line: int
    module: str
    name: str

    def __str__(self) -> str:
        taken = f"{self.name} of {self.module}" if self.name else self.module
        return f"{self.file}:{self.line} imports {taken}"


@cache
def parsed(text: str) -> ast.Module:
    return ast.parse(text)


def files(package: Path) -> dict[str, ast.Module]:
    """Return the tree of each file by its path below the package, e.g. `nn/layer.py`."""
    paths = sorted(package.rglob("*.py"))
    return {path.relative_to(package).as_posix(): parsed(path.read_text()) for path in paths}


def module_name(package: Path, file: str) -> str:
    parts = [package.name, *Path(file).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == ROOM else parts)


def imports(package: Path) -> list[Import]:
    """Return every import of every file, those of modules told from those of names."""
    trees = files(package)
    modules = {module_name(package, file) for file in trees}
    return [
        Import(file, line, *((f"{module}.{name}", "") if f"{module}.{name}" in modules else (module, name)))
        for file, tree in trees.items()
        for line, module, name in _imported(tree, package, file)
    ]


def _imported(tree: ast.Module, package: Path, file: str) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                around = [package.name, *Path(file).parent.parts]
                base = around[: len(around) + 1 - node.level]
                module = ".".join([*base, module] if module else base)
            yield from ((node.lineno, module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and _name_of(node.func) in _IMPORTERS:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield node.lineno, argument.value, ""


_IMPORTERS = ("import_module", "__import__")


def _name_of(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def circles(package: Path) -> list[str]:
    """Return the circles between files: a shortest one for each set of files that all reach each other."""
    homes = {module_name(package, file): file for file in files(package)}
    graph: dict[str, set[str]] = {file: set() for file in homes.values()}
    for each in imports(package):
        target = homes.get(each.module)
        if target is not None and target != each.file:
            graph[each.file].add(target)
    return [" -> ".join(_shortest_circle(graph, component)) for component in _components(graph)]


def _components(graph: dict[str, set[str]]) -> list[set[str]]:
    """Strongly connected components of more than one file."""
    reached = {start: _reached(graph, start) for start in graph}
    components: list[set[str]] = []
    for start in sorted(graph):
        if not any(start in component for component in components):
            component = {other for other in reached[start] if start in reached[other]}
            if len(component) > 1:
                components.append(component)
    return components


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    reached, waiting = {start}, [start]
    while waiting:
        more = graph[waiting.pop()] - reached
        reached |= more
        waiting += more
    return reached


def _shortest_circle(graph: dict[str, set[str]], component: set[str]) -> list[str]:
    circles = [
        _path(graph, after, start) for start in sorted(component) for after in graph[start] & component
    ]
    path = min(circles, key=lambda circle: (len(circle), circle))
    return [*path, path[0]]


def _path(graph: dict[str, set[str]], start: str, end: str) -> list[str]:
    paths = [[start]]
    for path in paths:
        if path[-1] == end:
            return path
        paths += [[*path, after] for after in sorted(graph[path[-1]]) if not any(after in p for p in paths)]
    raise ValueError(f"no path from {start} to {end}")


def floor_of(path: str, floors: Sequence[str]) -> int | None:
    """Return the number of the floor that a file or a dotted name stands on: that of the longest match."""
    parts = path.removesuffix(".py").replace(".", "/").split("/")
    for length in range(len(parts), 0, -1):
        if "/".join(parts[:length]) in floors:
            return floors.index("/".join(parts[:length]))
    return None


def without_a_floor(package: Path, floors: Sequence[str]) -> list[str]:
    """Return the files for which the list of floors has no place."""
    return [file for file in files(package) if file != f"{ROOM}.py" and floor_of(file, floors) is None]


def upward_imports(package: Path, floors: Sequence[str]) -> list[str]:
    """Return the imports of a floor above that of the file; `floors` names folders and files from below."""
    above = []
    for each in imports(package):
        if each.file != f"{ROOM}.py" and each.module.startswith(f"{package.name}."):
            here = floor_of(each.file, floors)
            there = floor_of(each.module.removeprefix(f"{package.name}."), floors)
            if here is not None and there is not None and there > here:
                above.append(str(each))
    return above


def concrete_imports(package: Path, folders: Iterable[str], contracts: Iterable[str]) -> list[str]:
    """Return the imports of `nn` and `optim`, within some folders, that are not of a module of contracts."""
    allowed = {f"{package.name}.{contract}" for contract in contracts}
    concrete = tuple(f"{package.name}.{floor}" for floor in ("nn", "optim"))
    return [
        str(each)
        for each in imports(package)
        if set(Path(each.file).parent.parts) & set(folders)
        and any(each.module == root or each.module.startswith(f"{root}.") for root in concrete)
        and each.module not in allowed
    ]


def private_dask_imports(package: Path, door: str) -> list[str]:
    """Return the imports of names of Dask that begin with an underscore, but for those of one file."""
    return [
        str(each)
        for each in imports(package)
        if each.module.split(".")[0] in DASK
        and any(part.startswith("_") for part in [*each.module.split("."), each.name])
        and each.file != door
    ]


def imports_outside(package: Path, library: str, folders: Iterable[str]) -> list[str]:
    """Return the imports of a library by files that are not in one of some folders."""
    return [
        str(each)
        for each in imports(package)
        if each.module.split(".")[0] == library and Path(each.file).parts[0] not in folders
    ]


def prints(package: Path, folders: Iterable[str]) -> list[str]:
    """Return the calls of `print` by files that are not in one of some folders."""
    return [
        f"{file}:{node.lineno} prints"
        for file, tree in files(package).items()
        if Path(file).parts[0] not in folders
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def long_files(package: Path) -> list[str]:
    """Return the files that are too long and whose docstring does not say "It is long because …"."""
    long = []
    for file, tree in files(package).items():
        lines = len((package / file).read_text().splitlines())
        sentences = re.split(r"[.!?]\s", ast.get_docstring(tree) or "")
        reasons = [s for s in sentences if re.search(r"\b(lines|long)\b", s) and "because" in s]
        if lines > LONGEST and not reasons:
            long.append(f"{file} has {lines} lines, and its docstring does not say why")
    return long


def any_annotations(package: Path) -> Counter[str]:
    """Count the annotations that are `Any`, of arguments, results and variables, by folder."""
    counts: Counter[str] = Counter()
    for file, tree in files(package).items():
        annotations = [note for node in ast.walk(tree) for note in _annotations(node)]
        exact = [note for note in annotations if isinstance(note, ast.Name) and note.id == "Any"]
        counts[Path(file).parts[0]] += len(exact)
    return +counts


def _annotations(node: ast.AST) -> list[ast.expr | None]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        a = node.args
        arguments = [*a.args, *a.kwonlyargs, *a.posonlyargs, a.vararg, a.kwarg]
        return [*(argument.annotation for argument in arguments if argument is not None), node.returns]
    return [node.annotation] if isinstance(node, ast.AnnAssign) else []
