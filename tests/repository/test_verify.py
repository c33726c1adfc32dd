"""`vintage verify` runs stages again and tells what is identical, differs, or cannot be told."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import yaml

from tests.conftest import Project, only_error, run_here
from vintage.repository.first_difference import first_difference

STAGES = ["split", "splits", "train", "baseline", "evaluate", "explain", "report"]
slow = pytest.mark.slow


def verify(project: Project, *options: str) -> subprocess.CompletedProcess[str]:
    done = project.run("python", "-m", "vintage", "verify", *options, check=False)
    assert "Traceback" not in done.stderr
    return done


@slow
def test_a_clone_without_a_cache_is_verified(reproduced: Project, tmp_path: Path) -> None:
    """A stage that makes the recorded bytes makes the inputs of those after it."""
    reproduced.run("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    done = verify(clone, "--receipt", "receipt.json")
    commit = clone.run("git", "rev-parse", "HEAD").stdout.strip()
    *lines, last = done.stdout.splitlines()
    assert lines == [f"{stage}: identical" for stage in STAGES]
    assert (done.returncode, last) == (0, f"HEAD ({commit[:7]}): 7 identical")
    text = (clone.root / "receipt.json").read_text()
    receipt = json.loads(text)
    assert text == json.dumps(receipt, indent=2, sort_keys=True) + "\n"
    assert receipt["commit"] == commit
    assert {stage: found["verdict"] for stage, found in receipt["stages"].items()} == dict.fromkeys(
        STAGES, "identical"
    )
    assert receipt["versions"].keys() == {"python", "torch", "numpy", "scikit-learn"}
    assert not (clone.root / ".dvc/cache").exists(), "the cache is written to"
    assert clone.run("git", "status", "--porcelain").stdout == "?? receipt.json\n"


@slow
def test_what_differs_is_named_and_the_workspace_left_alone(reproduced: Project) -> None:
    """Here it is in Git and not in `dvc.lock`; uncommitted changes do not count."""
    reproduced.edit(
        "metrics/losses.json", '"epoch": 7,\n    "train_loss": ', '"epoch": 7,\n    "train_loss": 1'
    )
    reproduced.commit("a better story")
    before = reproduced.outputs()
    reproduced.edit("metrics/details.json", '"accuracy"', '"Accuracy"')
    done = verify(reproduced, "HEAD", "--stage", "train")
    assert done.returncode == 1
    first, second, _ = done.stdout.splitlines()
    assert first == "train: differs"
    assert second.startswith("  metrics/losses.json: epoch 7, train_loss was 1")
    reproduced.run("git", "checkout", "-q", "metrics/details.json")
    assert reproduced.outputs() == before
    assert verify(reproduced, "HEAD~1", "--stage", "train").returncode == 0


@slow
@pytest.mark.parametrize("stage", ["split", "evaluate"])
def test_the_control_finds_a_changed_bit(reproduced: Project, stage: str) -> None:
    before = reproduced.outputs()
    done = verify(reproduced, "--control", "--stage", stage)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines[0] == f"{stage}: differs"
    path = lines[1].strip().partition(": ")[0]
    assert lines[2:] == [f"a bit was changed in {path}, and found"]
    assert reproduced.outputs() == before


def remove_the_cache(project: Project) -> None:
    project.run("rm", "-rf", ".dvc/cache")


def change_params(project: Project) -> None:
    project.edit("params.yaml", "confidence: 0.95", "confidence: 0.9")
    project.commit("without results")


def forget_the_stage(project: Project) -> None:
    lock = yaml.safe_load((project.root / "dvc.lock").read_text())
    del lock["stages"]["baseline"]
    (project.root / "dvc.lock").write_text(yaml.safe_dump(lock))
    project.commit("no baseline")


def break_the_stage(project: Project) -> None:
    project.edit(
        "stages/baseline.py",
        "def main() -> None:\n",
        'def main() -> None:\n    raise console.InputError("broken")\n',
    )
    project.commit("broken")


VOID = {
    "inputs that are nowhere": (
        remove_the_cache,
        "data/tensors/schema.json: neither in Git nor in DVC's cache; try `dvc fetch`",
    ),
    "other parameters": (
        change_params,
        "params.yaml: evaluate.confidence: not what dvc.lock says; run `dvc repro`",
    ),
    "a missing entry": (forget_the_stage, "dvc.lock: has no entry of it; run `dvc repro`"),
    "a stage that fails": (break_the_stage, "dvc repro failed: broken"),
}


@slow
@pytest.mark.parametrize("what", VOID)
def test_what_cannot_be_told_is_void(reproduced: Project, what: str) -> None:
    change, reason = VOID[what]
    change(reproduced)
    done = run_here(reproduced.root, "verify", "--stage", "baseline")
    assert done.returncode == 2
    assert done.stdout.splitlines()[:2] == ["baseline: void", f"  {reason}"]


@slow
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["nowhere"], "nowhere: no such Git revision"),
        (["--stage", "traim"], "traim: no such stage; there are split, "),
        (["--stage", "split", "--receipt", "params.yaml/receipt"], "params.yaml"),
        (["--control", "--receipt", "receipt"], "--receipt"),
    ],
)
def test_wrong_input_is_refused_in_one_line(
    reproduced: Project, options: list[str], named: str
) -> None:
    assert named in only_error(run_here(reproduced.root, "verify", *options))


TENSORS = {"a": np.zeros((2, 3), np.float32), "b": np.array([1.0, np.nan, 0.0])}


def changed(name: str, place: int, value: float) -> bytes:
    tensors = {key: tensor.copy() for key, tensor in TENSORS.items()}
    tensors[name].flat[place] = value
    return safetensors.numpy.save(tensors)


FIRST: dict[str, tuple[bytes, bytes, str]] = {
    "a.safetensors": (
        safetensors.numpy.save(TENSORS),
        changed("b", 2, -0.0),
        "tensor b, element 2 was 0.0, is -0.0",
    ),
    "b.safetensors": (
        safetensors.numpy.save(TENSORS),
        safetensors.numpy.save({"a": TENSORS["a"]}),
        "tensor b is missing",
    ),
    "cut.safetensors": (b"\x00", b"\xff", "byte 0"),
    "losses.json": (
        b'[{"epoch": 1, "val_loss": 2.5}]',
        b'[{"epoch": 1, "val_loss": 2.5}, {"epoch": 2, "val_loss": 2.0}]',
        'epoch 2 was missing, is {"epoch": 2, "val_loss": 2.0}',
    ),
    "scores.json": (b'{"a": {"b": [1, 2]}}', b'{"a": {"b": [1, 2.0]}}', "a.b.1 was 2, is 2.0"),
    "same.json": (b"[1,2]", b"[1, 2]", "the same content, written in another way"),
    "report.md": (b"one\ntwo\n", b"one\n2\n", "line 2 was 'two', is '2'"),
    "longer.csv": (b"one\n", b"one\ntwo", "line 2 was '', is 'two'"),
}


@pytest.mark.parametrize("name", FIRST)
def test_the_first_difference_is_named(tmp_path: Path, name: str) -> None:
    was, now, expected = FIRST[name]
    (tmp_path / "was").mkdir()
    (tmp_path / "was" / name).write_bytes(was)
    (tmp_path / name).write_bytes(now)
    assert first_difference(tmp_path / "was" / name, tmp_path / name) == expected
