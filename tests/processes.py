"""Real processes to interrupt: a command and its children as a process group of its own."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.conftest import Project, environment

PATIENCE = 120.0
PR_SET_CHILD_SUBREAPER = 36  # of <linux/prctl.h>


@dataclass
class Group:
    """A running command. What it prints goes to files, so that nothing waits for its reader."""

    leader: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def shown(self) -> str:
        return self.out.read_text(errors="replace")

    @property
    def complained(self) -> str:
        return self.err.read_text(errors="replace")

    def until(self, condition: Callable[[], bool], what: str) -> bool:
        """Wait for a condition; False if the command ended before."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            time.sleep(0.002)
            if self.leader.poll() is not None:
                return condition()
            if time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"waited in vain for {what}:\n{self.shown}{self.complained}")
        return True

    def until_shown(self, text: str) -> bool:
        return self.until(lambda: text in self.shown, f"{text!r}")

    def until_written(self, path: Path) -> bool:
        """Wait until the file is new, or another than it was."""
        before = _identity(path)
        return self.until(lambda: _identity(path) not in (None, before), path.name)

    def run_for(self, seconds: float) -> None:
        """Let it run so long, or to its end."""
        try:
            self.leader.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def send(self, number: signal.Signals) -> None:
        """Signal the whole group."""
        if self.leader.poll() is None:
            os.killpg(self.leader.pid, number)

    def end(self) -> int:
        """Wait until every process of the group has ended; the exit code is the leader's."""
        code = self.leader.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if os.waitpid(-self.leader.pid, os.WNOHANG) == (0, 0):
                    time.sleep(0.01)
            except ChildProcessError:
                return code
        os.killpg(self.leader.pid, signal.SIGKILL)
        return pytest.fail(f"a process lives on:\n{self.shown}{self.complained}")

    def kill(self) -> int:
        """`kill -9` the whole group, and reap it."""
        self.send(signal.SIGKILL)
        return self.end()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def start(project: Project, *command: str, **env: str) -> Group:
    if sys.platform == "linux":  # orphans become this process's children, so that it can reap them
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    folder = Path(tempfile.mkdtemp(dir=project.root.parent))
    out, err = folder / "out", folder / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        leader = subprocess.Popen(
            command,
            cwd=project.root,
            env=environment() | env,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    return Group(leader, out, err)


def running(project: Project, module: str, variable: str = "PATH") -> list[psutil.Process]:
    """Those that run `python -m MODULE` in the project's folder, with a variable in their
    environment, whoever has started them."""
    return [each for each in psutil.process_iter() if _runs(each, project, module, variable)]


def _runs(process: psutil.Process, project: Project, module: str, variable: str) -> bool:
    try:
        is_here = Path(process.cwd()) == project.root and variable in process.environ()
        return is_here and process.cmdline()[-2:] == ["-m", module]
    except psutil.Error:
        return False


def assert_ended(processes: Sequence[psutil.Process]) -> None:
    """Wait until they have; one that nobody has reaped yet counts as ended."""
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


Command = tuple[str, ...]
TRAIN: Command = ("python", "-m", "stages.train")
REPRO: Command = ("dvc", "repro")
SECONDS = "seconds.json"


@dataclass(frozen=True)
class Training:
    """A clone in which only the training is due, and what comes out if nothing happens to it.

    Attributes:
        project: what follows from the training lies in DVC's cache, so that it is soon restored.
        expected: the bytes of every output, and of dvc.lock, after an uninterrupted run.
        seconds: that each command takes if it is not interrupted.
    """

    project: Project
    expected: dict[str, bytes]
    seconds: dict[Command, float]

    @classmethod
    def of(cls, folder: Path) -> "Training":
        """As `prepare_training` has made it there."""
        seconds = json.loads((folder / SECONDS).read_text())
        return cls(
            Project(folder / "due"),
            Project(folder / "uninterrupted").outputs(),
            {command: seconds[command[0]] for command in (TRAIN, REPRO)},
        )

    def copy_to(self, folder: Path) -> Project:
        return self.project.copy_to(folder)


def prepare_training(reproduced: Project, folder: Path) -> None:
    project = reproduced.copy_to(folder / "due")
    long = {"train.epochs": 150, "train.batch_size": 512, "train.patience": 0}
    project.set_params(**{"train.replicas": 4, "evaluate.splits": 0, **long})
    uninterrupted = project.copy_to(folder / "uninterrupted")
    uninterrupted.repro()
    shutil.rmtree(project.root / ".dvc/cache")
    shutil.copytree(uninterrupted.root / ".dvc/cache", project.root / ".dvc/cache")
    for run in [*(project.root / ".dvc/cache/runs").glob("*/*/*")]:
        if "stages.train" in run.read_text():
            shutil.rmtree(run.parent)
    seconds: dict[str, float] = {}
    for command in (TRAIN, REPRO):
        timed = project.copy_to(folder / command[0])
        started = time.monotonic()
        timed.run(*command)
        seconds[command[0]] = time.monotonic() - started
    (folder / SECONDS).write_text(json.dumps(seconds))
