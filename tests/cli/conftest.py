import pytest
import yaml
from click.testing import CliRunner
from printed import without_compiling

from daskpar.cli import main

TINY = {
    "data": {"source": "digits"},
    "model": ["flatten", {"dense": 16}, "relu", {"dense": 10}],
    "metrics": ["accuracy"],
    "optimizer": {"adam": {"lr": 0.01}},
    "train": {"epochs": 2, "batch": 64, "seed": 3},
    "cluster": {"kind": "threaded-scheduler"},
}


class Project:
    """A folder with a config, and the command line on it."""

    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "tiny.yaml"
        self.runs = folder / "runs"
        self.run = self.runs / "tiny"
        self.write(TINY)

    def write(self, sections):
        run = {"name": "tiny", "dir": str(self.runs)}
        self.config.write_text(yaml.safe_dump({"run": run, **sections}))

    def __call__(self, command, *options, **sets):
        """Run a command; `train__batch=3` stands for `--set train.batch=3`."""
        given = [f"--set={name.replace('__', '.')}={value}" for name, value in sets.items()]
        result = CliRunner().invoke(main, [command, str(self.config), *map(str, options), *given])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def done(self, command, *options, **sets):
        """Run a command that must succeed; returns what it printed."""
        result = self(command, *options, **sets)
        assert (result.exit_code, result.stderr) == (0, "")
        return without_compiling(result.stdout)

    def refused(self, command, *options, **sets):
        """Run a command that must be refused; returns the one line that it said."""
        result = self(command, *options, **sets)
        lines = result.stderr.splitlines()
        assert (result.exit_code, len(lines)) == (2, 1), result.stderr
        assert lines[0].startswith("daskpar: ")
        return lines[0].removeprefix("daskpar: ")

    def files(self):
        """Every file in the folder with its content."""
        return {p.relative_to(self.folder): p.read_bytes() for p in self.folder.rglob("*") if p.is_file()}


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A project whose network was trained; what its training printed is in `said`. Not to be changed."""
    project = Project(tmp_path_factory.mktemp("trained"))
    project.said = project.done("train")
    return project
