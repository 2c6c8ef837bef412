"""The image: its recipe is true to the repository. No image is built here: no test has a container engine.

The slow test runs the steps of the build one by one in a bare virtual environment, and trains with the
environment of the image. It does not show the base image, its user, or the layers.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "configs/kubernetes"
TEXT = re.sub(r"\\\n\s*", "", (FOLDER / "Dockerfile").read_text())
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
BUILD = LINES[: next(i for i, line in enumerate(LINES) if line.startswith("FROM") and " AS " not in line)]
RUNTIME = LINES[len(BUILD) :]


def instructions(lines: list[str], name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


def environment(lines: list[str]) -> dict[str, str]:
    """The variables that ENV sets, with the defaults of ARG filled in."""
    arguments = dict(one.split("=", 1) for one in instructions(LINES, "ARG") if "=" in one)
    pairs = [pair for line in instructions(lines, "ENV") for pair in shlex.split(line)]
    values = dict(pair.split("=", 1) for pair in pairs)
    return {k: re.sub(r"\$\{(\w+)\}", lambda m: arguments[m[1]], v) for k, v in values.items()}


def constraints() -> dict[str, str]:
    lines = (FOLDER / "constraints.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): number for name, number in pins}


def requirements(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = project["dependencies"] + [one for e in extras for one in project["optional-dependencies"][e]]
    return [Requirement(text) for text in texts]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line[1:] for line in ignored if line.startswith("!")]
    for line in instructions(BUILD, "COPY"):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists()
            assert any(source == name or fnmatch(source, f"{name}/*") for name in kept), source
    assert ignored[1] == "*" and all((ROOT / name).exists() for name in kept)


def test_versions_are_locked_within_the_bounds_of_the_project() -> None:
    locked = constraints()
    for requirement in requirements("kubernetes", "dataframe", "images", "zarr", "cuda"):
        pin = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pin), f"{requirement} is locked at {pin}"


def test_the_tests_run_with_the_locked_versions() -> None:
    """A warning at most: the newest versions are not always those of the image."""
    differing = {
        name: (pin, version(name))
        for name, pin in constraints().items()
        if name in {"dask", "distributed", "dask-kubernetes", "kr8s", "numpy", "numba"}
        and version(name) != pin
    }
    if differing:
        pytest.skip(f"constraints.txt has other versions than this environment: {differing}")


def test_signals_user_and_paths() -> None:
    assert instructions(RUNTIME, "USER") == ["10001"]
    assert instructions(RUNTIME, "ENTRYPOINT") == ['["/usr/bin/tini", "-g", "--"]']
    assert "apt-get install --yes --no-install-recommends tini" in TEXT and "--uid 10001" in TEXT
    env = environment(RUNTIME)
    assert env["NUMBA_CACHE_DIR"].startswith("/opt/daskpar/") and env["HOME"] == "/tmp"
    compiled = environment(BUILD)
    for name in ("NUMBA_CACHE_DIR", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"):  # else the kernels do not fit
        assert env[name] == compiled[name]
    assert instructions(RUNTIME, "HEALTHCHECK") and "--from=build /opt/daskpar" in TEXT


def test_every_stage_has_its_arguments() -> None:
    for stage in (BUILD, RUNTIME):
        begun = next(i for i, line in enumerate(stage) if line.startswith("FROM"))
        declared = {one.split("=")[0] for one in instructions(stage[begun:], "ARG")}
        used = set(re.findall(r"\$\{(\w+)\}", "\n".join(stage[begun + 1 :])))
        assert used <= declared


def run(command: list[str], env: dict[str, str], folder: Path) -> str:
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_steps_of_the_build_one_by_one(tmp_path: Path) -> None:
    """Run COPY and RUN of the first stage in a folder, then train with the environment of the second."""
    root = tmp_path / "root"
    (root / "opt").mkdir(parents=True)
    (root / "src").mkdir()

    def here(text: str) -> str:
        return text.replace("/opt/daskpar", f"{root}/opt/daskpar").replace("/src", f"{root}/src")

    env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path), "TARGET": "cpu"}
    for line in BUILD:
        name, _, rest = line.partition(" ")
        if name == "COPY":
            *sources, target = rest.split()
            for source in sources:
                place = Path(here(target)) / (Path(source).name if target.endswith("/") else "")
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copyfile
                copy(ROOT / source, place)
        elif name == "ENV":
            env |= {key: here(value) for key, value in environment([line]).items()}
        elif name == "RUN":
            run(["sh", "-c", here(rest)], env, tmp_path)
    kernels = Path(env["NUMBA_CACHE_DIR"])
    before = sorted(kernels.rglob("*.nb*"))
    assert len(before) > 40
    env = {**{k: here(v) for k, v in environment(RUNTIME).items()}, "HOME": str(tmp_path)}
    env["PATH"] = f"{root}/opt/daskpar/bin:/usr/bin:/bin"
    assert "version" in run(["dask", "scheduler", "--version"], env, tmp_path)
    for path in (kernels, *kernels.rglob("*")):
        os.chmod(path, 0o555 if path.is_dir() else 0o444)
    config = str(ROOT / "configs/digits_cnn.yaml")
    said = run(["daskpar", "train", config, "--set", "train.epochs=1"], env, tmp_path)
    assert "compiling" not in said and sorted(kernels.rglob("*.nb*")) == before
    for path in (kernels, *kernels.rglob("*")):
        os.chmod(path, 0o755)
