"""A training that is killed or interrupted goes on, and ends with the bytes of an undisturbed one.

The moments are random; a failing test prints the seed that they came from.
"""

import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests.conftest import Project
from tests.processes import REPRO, TRAIN, Command, Training, start
from vintage.training.resume import SHORTEST_PAUSE, ResumeFile

pytestmark = pytest.mark.slow

MOMENTS = int(os.environ.get("MOMENTS", "3"))
LOSSES = "metrics/losses.json"
STATE = "data/resume/train.safetensors"
CONTINUING = re.compile(r"^continuing after epoch \d+, from data/resume/train\.safetensors$", re.M)


def leftovers(project: Project) -> list[str]:
    """State files and temporary files, which only an interrupted run may leave behind."""
    found = [*project.root.glob("data/**/.*.tmp"), *project.root.glob("metrics/**/.*.tmp")]
    return sorted(p.name for p in [*found, *project.root.glob("data/resume/*")])


def finish(project: Project, training: Training) -> str:
    """Run `dvc repro` to its end and compare every byte; what it showed."""
    done = project.run(*REPRO, check=False)
    if done.returncode:  # the kill fell into DVC's writing of its own files
        print(f"mended: {done.stderr}")
        project.run("python", "-m", "vintage", "mend")
        done = project.run(*REPRO)
    assert project.outputs() == training.expected
    return done.stdout


def assert_trained(project: Project, training: Training) -> None:
    """The training's own outputs are those of the uninterrupted run."""
    found = project.outputs()
    for path in ("data/checkpoint/model.safetensors", "data/checkpoint/model.json", LOSSES):
        assert found[path] == training.expected[path]


@pytest.mark.parametrize("command", [TRAIN, REPRO], ids=" ".join)
def test_kill_9_at_random_moments(
    training: Training, command: Command, rng: random.Random, tmp_path: Path
) -> None:
    for index in range(MOMENTS):
        project = training.copy_to(tmp_path / str(index))
        group = start(project, *command)
        group.run_for(training.seconds[command] * (index + rng.random()) / MOMENTS)
        group.kill()
        saved = (project.root / STATE).exists()
        shown = finish(project, training)
        assert bool(CONTINUING.search(shown)) == saved, shown
        assert leftovers(project) == []


def test_kill_9_while_the_state_is_saved(training: Training, tmp_path: Path) -> None:
    for index in range(5):  # a save may end before the kill
        project = training.copy_to(tmp_path / str(index))
        resume = project.root / "data/resume"
        group = start(project, *TRAIN)
        while not any(name.endswith(".tmp") for name in names(resume)):
            assert group.leader.poll() is None, "no save was seen"
        group.kill()
        if any(name.endswith(".tmp") for name in names(resume)):
            finish(project, training)
            assert leftovers(project) == []
            return
    pytest.fail("no kill fell into a save")


def names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.exists() else []  # noqa: PTH208 - the quicker one


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (signal.SIGINT, "interrupted; run the same command again to continue\n"),
        (signal.SIGTERM, "terminated; run the same command again to continue\n"),
    ],
)
def test_a_signal_ends_a_training_with_one_line(
    training: Training, number: signal.Signals, line: str, rng: random.Random, tmp_path: Path
) -> None:
    project = training.copy_to(tmp_path / "project")
    group = start(project, *TRAIN)
    assert group.until_shown("epoch ")
    group.run_for(rng.random() * 0.5)
    for _ in range(3):  # the impatient press Ctrl-C more than once
        group.send(number)
    assert (group.end(), group.complained) == (128 + number, line)
    saved = (project.root / STATE).exists()
    done = project.stage("train", check=True)
    assert bool(CONTINUING.search(done.stdout)) == saved
    assert_trained(project, training)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 255), (signal.SIGTERM, -15)])
def test_a_signal_ends_dvc_and_its_stage(
    training: Training, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    project = training.copy_to(tmp_path / "project")
    group = start(project, *REPRO)
    assert group.until_written(project.root / STATE)
    group.send(number)
    assert group.end() == code
    line = "interrupted" if number == signal.SIGINT else "terminated"
    assert group.complained.count(f"{line}; run the same command again to continue\n") == 1
    assert "Traceback" not in group.complained
    if number == signal.SIGINT:
        assert CONTINUING.search(finish(project, training))


@pytest.fixture(scope="module")
def _saved(training: Training, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = training.copy_to(tmp_path_factory.mktemp("saved") / "project")
    group = start(project, *TRAIN)
    assert group.until_written(project.root / STATE)
    group.kill()
    return project


@pytest.fixture
def saved(_saved: Project, tmp_path: Path) -> Project:
    """A clone whose training was killed after a save."""
    return _saved.copy_to(tmp_path / "project")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_format(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04")


def other_tensors(path: Path) -> None:
    safetensors.torch.save_file({"epoch": torch.ones(3, dtype=torch.bfloat16)}, path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [cut, flip, empty, other_format, other_tensors, folder])
def test_a_bad_state_is_ignored_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: object
) -> None:
    state = {"epoch": torch.tensor(7), "weight": torch.ones(3)}
    file = ResumeFile(tmp_path / "train.safetensors", "key")
    time.sleep(SHORTEST_PAUSE)
    file.save_now_and_then(lambda: state)
    assert file.load(state) is not None
    assert capsys.readouterr().out.startswith("continuing after epoch 7, from ")
    assert callable(damage)
    damage(file.path)
    assert file.load(state) is None
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith(f"warning: {file.path}: ignored, because it is damaged")


@pytest.mark.parametrize("damage", [flip, folder])
def test_a_training_with_a_bad_state_starts_from_the_beginning(
    saved: Project, training: Training, damage: object
) -> None:
    assert callable(damage)
    damage(saved.root / STATE)
    done = saved.stage("train", check=True)
    assert not CONTINUING.search(done.stdout)
    first, *others = done.stderr.splitlines()
    assert first.startswith(f"warning: {STATE}: ignored, because it is damaged")
    if damage is folder:  # nor can it be replaced, which ends no training, either
        assert [line.partition(": cannot")[0] for line in others] == [f"warning: {STATE}"]
    else:
        assert others == []
        assert leftovers(saved) == []
    assert_trained(saved, training)


@pytest.mark.parametrize("what", ["inputs", "parameters", "code"])
def test_a_state_of_other_inputs_parameters_or_code_is_ignored(saved: Project, what: str) -> None:
    if what == "inputs":
        saved.edit("params.yaml", "test_size: 0.2", "test_size: 0.3")
        saved.stage("split", check=True)
    elif what == "parameters":
        saved.edit("params.yaml", "epochs: 150", "epochs: 2")
    else:
        saved.edit(
            "vintage/training/adamw.py",
            "BETA_2, EPSILON = 0.9, 0.999",
            "BETA_2, EPSILON = 0.9, 0.99",
        )
    done = saved.stage("train", check=True)
    assert "continuing" not in done.stdout
    assert done.stderr.splitlines() == [
        f"warning: {STATE}: ignored, because it is damaged or belongs to other inputs, parameters "
        "or code; training starts from the beginning"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"train.patience": 10, "train.learning_rate": 0.02, "train.replicas": 32},
        {"split.val_size": 0},
        {
            "split.val_size": 0.2,
            "train.batch_size": 64,
            "train.epochs": 40,
            "model.scaling_layer": True,
            "model.normalize": "none",
        },
    ],
    ids=str,
)
def test_every_kind_of_training_is_continued(
    training: Training, changes: dict[str, object], tmp_path: Path
) -> None:
    """Early stopping, folds, with and without validation rows, many batches an epoch: all that
    the state must hold.
    """
    project = training.copy_to(tmp_path / "killed")
    project.set_params(**changes)
    project.stage("split", check=True)
    undisturbed = project.copy_to(tmp_path / "undisturbed")
    undisturbed.stage("train", check=True)
    group = start(project, *TRAIN)
    assert group.until_written(project.root / STATE)
    group.kill()
    done = project.stage("train", check=True)
    assert CONTINUING.search(done.stdout)
    assert project.outputs() == undisturbed.outputs()
