"""plan, compare and simulate, with a cluster of known latencies."""

from __future__ import annotations

import pytest

from daskpar.autotune.simulate import Network
from daskpar.train import plan

QUIET = {"cluster__kind": "threads", "cluster__dashboard_port": 0}


@pytest.fixture(autouse=True)
def known(monkeypatch, tmp_path):
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(plan, "measure_network", lambda *where: Network(1e-3, 1e-3, 5e-4, cores=2))


@pytest.fixture(autouse=True)
def load(monkeypatch):
    """The load of this machine, as the commands see it; quiet, unless a test sets another."""
    found = [0.0, 0.0, 0.0]
    monkeypatch.setattr("psutil.getloadavg", lambda: tuple(found))
    return found


def rows(printed):
    return [line for line in printed.splitlines() if line.startswith("{")]


def test_plan(project):
    result = project("plan", **QUIET, layout__fan_in=3)
    assert result.exit_code == 0
    assert "measuring {fan_in: 3}" in result.stderr
    found = rows(result.stdout)
    assert any(line.startswith("{fan_in: 3} ") for line in found)
    assert any(line.startswith("{grain: window} ") and "nothing waits" in line for line in found)
    assert "layout.tiles=2: no layer of this model can be cut by rows" in found[-1]
    again = project("plan", **QUIET, layout__fan_in=3)
    assert again.stderr == "" and again.stdout == result.stdout


def test_compare(project):
    chart = project.folder / "chart.html"
    named = "{data: 2, shards: 2}"
    result = project("compare", "--steps=4", "--best=1", f"--layout={named}", f"-o{chart}", **QUIET)
    assert result.exit_code == 0, result.stderr
    found = rows(result.stdout)
    assert 2 <= len(found) <= 3 and any(line.startswith(named) for line in found)
    html = chart.read_text()
    assert named in html and "predicted, ms" in html and "Bokeh" in html
    assert not project.run.exists()


def test_simulate(project):
    chart = project.folder / "chart.html"
    options = ("--workers=1,8,64", "--scheduler=0.01", f"-o{chart}")
    result = project("simulate", *options, **QUIET, layout__data=2)
    assert result.exit_code == 0, result.stderr
    assert "simulating 4 layouts" in result.stderr
    own = next(line for line in rows(result.stdout) if line.startswith("{data: 2} "))
    assert own.split()[2] == "1"
    last = result.stdout.split("{data: 2, fan_in: 2}")[0].splitlines()[-1].split()
    assert last[0] == "64" and last[-1] == "100%"  # busy: one task takes it 10 ms
    assert "{data: 2, fan_in: 16}" in chart.read_text()


@pytest.mark.parametrize("command", ["plan", "simulate"])
def test_a_busy_machine_is_told_of_once_where_it_measures(project, load, command):
    options = [] if command == "plan" else ["--workers=2", f"-o{project.folder / 'chart.html'}"]
    load[0] = 1e4
    busy = [line for line in project(command, *options, **QUIET).stderr.splitlines() if "busy" in line]
    assert len(busy) == 1 and busy[0].startswith("this machine is busy (load 10000.0 on ")
    assert "busy" not in project(command, *options, **QUIET).stderr  # all is measured


def test_layout_auto_trains_with_what_plan_puts_first(project):
    best = rows(project("plan", **QUIET, layout="auto").stdout)[0].split("  ")[0]
    said = project("train", **QUIET, layout="auto").stdout
    assert f"layout {best}" in said


@pytest.mark.parametrize(
    "command, options, message",
    [
        ("simulate", ["--workers=1,x"], "--workers 1,x: expected whole numbers from 1 on, e.g. 1,8,64"),
        ("simulate", ["--workers=0"], "--workers 0: expected whole numbers from 1 on"),
        ("compare", ["--layout=3"], "layout 3: expected keys and values, e.g. {data: 2, shards: 2}"),
        ("compare", ["--layout={"], "layout {: not valid YAML"),
        ("compare", ["--layout={dta: 2}"], "key in layout 'dta' is not known; did you mean 'data'?"),
        (
            "compare",
            ["--layout={tiles: 2}", "--best=0"],
            "{tiles: 2}: layout.tiles=2: no layer",
        ),
        ("compare", ["--best=1", "--steps=1", "-o/nowhere/x.html"], "/nowhere/x.html: cannot be written"),
        ("plan", ["--set=layout=quick"], "layout: expected keys such as auto, data, lanes, got 'quick'"),
    ],
)
def test_refused(project, command, options, message):
    result = project(command, *options, **QUIET)
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]
