"""Pictures: a graph as SVG, a run's curves as one file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from dask._task_spec import Task, TaskRef

from daskpar import Trainer
from daskpar.cluster.executor import THREADED
from daskpar.dashboard.curves import write_curves
from daskpar.dashboard.picture import draw
from daskpar.data import Digits
from daskpar.layout.plan import Kind

SVG = "{http://www.w3.org/2000/svg}"


def tasks(edges: dict[Any, list[Any]]) -> dict[Any, Task]:
    return {key: Task(key, print, *(TaskRef(d) for d in below)) for key, below in edges.items()}


def test_a_graph_as_svg() -> None:
    a, b, c, d = (
        ("load-data-0x", "train", 0),
        ("load-data-0x", "train", 1),
        ("grad-0x", 0, "<&>"),
        ("update-0x", 1),
    )
    load, grad = Kind("load-data", "load", ("", "stream")), Kind("grad", "grad", ("lane",))
    kinds = {a: load, b: load, c: grad}
    root = ElementTree.fromstring(draw(tasks({a: [], b: [], c: [a, b, ("elsewhere", 0)], d: [c]}), kinds))
    boxes = root.findall(f"{SVG}g")
    labels = [[t.text for t in box.findall(f"{SVG}text")] for box in boxes]
    assert labels == [
        ["load-data", "train, stream 0"],
        ["load-data", "train, stream 1"],
        ["grad", "step 0, lane <&>"],
        ["update", "step 1"],
    ]
    assert len(root.findall(f"{SVG}path")) == 3
    x = [float(box.find(f"{SVG}rect").get("x")) for box in boxes]  # type: ignore[union-attr,arg-type]
    assert x[0] == x[1] < x[2] < x[3]
    colours = [box.find(f"{SVG}rect").get("fill") for box in boxes]  # type: ignore[union-attr]
    assert colours[0] == colours[1] and len(set(colours)) == 3


def test_an_empty_graph_and_a_cycle() -> None:
    assert ElementTree.fromstring(draw({})).tag == f"{SVG}svg"
    with pytest.raises(ValueError, match="cycle"):
        draw(tasks({("a", 0): [("b", 0)], ("b", 0): [("a", 0)]}))


def test_curves_hold_everything_in_one_file(tmp_path: Path) -> None:
    trainer = Trainer(["flatten", {"dense": 10}], batch=128, epochs=2, metrics=["accuracy"], client=THREADED)
    trainer.fit(Digits(), validation=0.1)
    path = tmp_path / "curves.html"
    write_curves(trainer.history_, path, "a run")
    html = path.read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.https?:", html)
    for label in ("loss", "accuracy", "learning rate", "validation", "train, each step"):
        assert f'"{label}"' in html
