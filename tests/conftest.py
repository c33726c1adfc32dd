"""Real clones of the project, in which the tests run the real `dvc`, and processes to run it."""

import contextlib
import fcntl
import io
import os
import random
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

    from tests.processes import Training

ROOT = Path(__file__).resolve().parent.parent
# the tests' own parameters, tables and settings of DVC: those of the repository are the user's
INPUTS = ROOT / "tests/project"
PARAMS, WINE, PENGUINS = (
    INPUTS / name for name in ("params.yaml", "data/wine.csv", "data/penguins.csv")
)
USERS = ("params.yaml", "data/", "metrics/", "dvc.lock", ".dvc/config")
BIN = Path(sys.executable).parent

# set here, so that the processes that share out the tests draw the same cases
os.environ.setdefault("FUZZ_SEED", str(secrets.randbits(32)))

GIT_USER = {
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
}


HAS_RAY = find_spec("ray") is not None
needs_docs = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="docs/ was removed")
on_a_cluster = pytest.mark.skipif(not HAS_RAY, reason="bash .ci/ray installs Ray")
NO_CLUSTER = {"RAY_ADDRESS": "127.0.0.1:1"}


@dataclass(frozen=True)
class Project:
    """A copy of the project in a folder of its own."""

    root: Path

    def run(
        self, *command: str, check: bool = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy; its code is the copy's, because it is run from there."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=environment() | (env or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        if check and done.returncode:
            pytest.fail(f"{command} exited {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def stage(self, name: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", f"stages.{name}", check=check)

    def repro(self, *options: str) -> list[str]:
        """Run `dvc repro` and tell which stages really ran."""
        return re.findall(
            r"^Running stage '(\w+)'", self.run("dvc", "repro", *options).stdout, re.M
        )

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {path}"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def set_params(self, **changes: object) -> None:
        """Set parameters by dotted key, such as `set_params(**{"train.epochs": 3})`."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key, value in changes.items():
            section, name = key.split(".")
            params[section][name] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", message)

    def copy_to(self, folder: Path) -> "Project":
        shutil.copytree(self.root, folder, symlinks=True)
        return Project(folder)

    def outputs(self) -> dict[str, bytes]:
        """The bytes of every output and of dvc.lock, by path."""
        folders = ("data/tensors", "data/checkpoint", "data/baseline", "metrics")
        files = [path for folder in folders for path in (self.root / folder).rglob("*")]
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in [*files, self.root / "dvc.lock"]
            if path.is_file() and path.name != ".gitignore"
        }


def environment() -> dict[str, str]:
    # what `make test` and pytest set for their children would change what a command prints
    own = ("MAKE", "MFLAGS", "PYTHON", "PYTEST")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return inherited | GIT_USER | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def run_here(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `vintage` in a folder, in this process, which spares the imports of a process of its own.

    What a process does beside is left out: pinned kernels, signals, a traceback or a full disk.
    """
    from vintage.__main__ import parser
    from vintage.base import numerics
    from vintage.base.console import InputError, one_line

    code: Any
    raw = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(each, "utf-8", newline="", write_through=True) for each in raw)
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(root),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(numerics, "pin", lambda: None)  # which comes too late here
        for key in (*GIT_USER, "PATH"):
            patch.setenv(key, environment()[key])
        try:
            parsed = parser().parse_args(arguments)
            code = parsed.command(parsed)
        except SystemExit as end:
            code = end.code
        except InputError as error:
            code = 2
            err.writelines(f"error: {one_line(each)}\n" for each in error.args)
    said = (each.getvalue().decode() for each in raw)
    return subprocess.CompletedProcess(arguments, code, *said)


def stage_here(root: Path, *stages: str) -> None:
    """Run stages in a folder, in this process."""
    with contextlib.chdir(root):
        for stage in stages:
            import_module(f"stages.{stage}").main()


def refused_here(root: Path, stage: str) -> str:
    """What a stage that must refuse its inputs says; it runs in this process."""
    from vintage.base.console import InputError, one_line

    with pytest.raises(InputError) as caught:
        stage_here(root, stage)
    (line,) = caught.value.args
    return one_line(line)


def copy_working_tree(folder: Path) -> Project:
    """Put the working tree's code with the tests' own inputs into a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(USERS):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    shutil.copytree(INPUTS, folder, dirs_exist_ok=True)
    project = Project(folder)
    for command in ("init -q -b main", "add --all --force", "commit -q -m start"):
        project.run("git", *command.split())
    return project


@pytest.fixture(scope="session")
def _default(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_working_tree(tmp_path_factory.mktemp("default") / "project")


@pytest.fixture(scope="session")
def _fresh(_default: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = _default.copy_to(tmp_path_factory.mktemp("fresh") / "project")
    for key, long, short in (("epochs", 100, 10), ("replicas", 16, 4), ("splits", 10, 2)):
        project.edit("params.yaml", f"{key}: {long}", f"{key}: {short}")
    project.commit("a short training")
    return project


def _made_once(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], object]) -> Path:
    """A folder that the first of the processes that share out the tests has made for all."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return folder


def _with_results(project: Project, folder: Path) -> None:
    copy = project.copy_to(folder)
    copy.repro()
    copy.commit("results")


@pytest.fixture(scope="session")
def _reproduced(_fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    make = partial(_with_results, _fresh)
    return Project(_made_once("reproduced", tmp_path_factory, make))


QUICK_ROWS = 301
QUICK = {
    "epochs: 10": "epochs: 4",
    "replicas: 4": "replicas: 1",
    "splits: 2": "splits: 1",
    "val_size: auto": "val_size: 0.1",
}


@pytest.fixture(scope="session")
def _quick(_fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    def make(folder: Path) -> None:
        project = _fresh.copy_to(tmp_path_factory.mktemp("quick") / "project")
        table = project.root / "data/wine.csv"
        table.write_text("".join(table.read_text().splitlines(keepends=True)[:QUICK_ROWS]))
        for old, new in QUICK.items():
            project.edit("params.yaml", old, new)
        project.commit("a small table")
        _with_results(project, folder)

    return Project(_made_once("quick", tmp_path_factory, make))


@pytest.fixture(scope="session")
def _default_reproduced(_default: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    make = partial(_with_results, _default)
    return Project(_made_once("default_reproduced", tmp_path_factory, make))


@pytest.fixture
def fresh(_fresh: Project, tmp_path: Path) -> Project:
    """A clone in which nothing was run, and which holds no results of a run; training is short."""
    return _fresh.copy_to(tmp_path / "project")


@pytest.fixture
def reproduced(_reproduced: Project, tmp_path: Path) -> Project:
    """A clone with the results of `dvc repro` in Git, and all that it made in DVC's cache."""
    return _reproduced.copy_to(tmp_path / "project")


@pytest.fixture
def quick(_quick: Project, tmp_path: Path) -> Project:
    """The same of a small table and a network whose stages take little more than their imports."""
    return _quick.copy_to(tmp_path / "project")


@pytest.fixture
def default_reproduced(_default_reproduced: Project, tmp_path: Path) -> Project:
    """The same of the default parameters, whose training is long."""
    return _default_reproduced.copy_to(tmp_path / "project")


@pytest.fixture(scope="session")
def training(_reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> "Training":
    """A clone in which a training is due that takes its time; copy it before you run it."""
    from tests.processes import Training, prepare_training

    make = partial(prepare_training, _reproduced)
    return Training.of(_made_once("training", tmp_path_factory, make))


@pytest.fixture(scope="session")
def cluster() -> Iterator["Cluster"]:
    """A Ray cluster of two nodes with a processor each, both on this machine."""
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    found.add_node(num_cpus=1)
    yield found
    found.shutdown()


@pytest.fixture
def address(cluster: "Cluster") -> str:
    """What RAY_ADDRESS must be for a command to find it."""
    return str(cluster.address)


SHORT = {
    "data.path": "table.csv",
    "data.target": "kind",
    "train.epochs": 3,
    "train.replicas": 2,
    "model.hidden": [4],
    "evaluate.resamples": 100,
    "evaluate.splits": 2,
}
Run = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs stages on a table in this process, which spares their imports; returns their folder.

    The parameters are the tests' own but for `SHORT` and those that are given by dotted key.
    """
    import torch

    monkeypatch.chdir(tmp_path)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def run_stages(table: str, *stages: str, **changes: Any) -> Path:
        (tmp_path / "table.csv").write_text(table, encoding="utf-8")
        shutil.copy(PARAMS, tmp_path)
        shutil.copytree(ROOT / "requirements", tmp_path / "requirements", dirs_exist_ok=True)
        Project(tmp_path).set_params(**{**SHORT, **changes})
        for stage in stages:
            import_module(f"stages.{stage}").main()
        return tmp_path

    yield run_stages
    torch.set_num_threads(n_threads)


@pytest.fixture
def rng() -> random.Random:
    """Other numbers in each run; a failing test shows the seed."""
    print(f"seed {(seed := secrets.randbits(32))}")
    return random.Random(seed)


Edit = Callable[[Project], None]


def only_error(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The one line of error of a command that must fail with `code`."""
    lines: Sequence[str] = done.stderr.strip().splitlines()
    assert done.returncode == code, f"exit code {done.returncode}:\n{done.stdout}{done.stderr}"
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.stats.get("failed"):
        terminalreporter.write_line(f"FUZZ_SEED={os.environ['FUZZ_SEED']} draws the same cases")
