"""The real `vintage compare` in real Git repositories with real predictions."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from vintage.predictions import Predictions, write_predictions

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(ROOT),
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
    "DVC_NO_ANALYTICS": "1",
}


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=root, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120
    )


def git(root: Path, *arguments: str) -> str:
    done = run(root, "git", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def compare(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(root, sys.executable, "-m", "vintage", "compare", *arguments)


def compared(root: Path, *arguments: str) -> Any:
    done = compare(root, *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def made(wrong: float, n: int = 200, seed: int = 0) -> Predictions:
    """Predictions of which a share `wrong` is wrong, the same rows first whatever the share."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    guess = np.where(generator.random(n) < wrong, (labels + 1) % 3, labels)
    probabilities = np.where(np.eye(3)[guess] == 1, 0.7, 0.15)
    probabilities += generator.uniform(0, 0.01, (n, 3))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Predictions(["x", "y", "z"], np.arange(n) * 2, labels, probabilities, np.arange(n) * 2)


def store(root: Path, predictions: Predictions, **changes: Any) -> None:
    """Write what a run leaves, with changed parameters such as `train__epochs=7`."""
    write_predictions(root / "metrics/predictions.csv", predictions)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for key, value in changes.items():
        section, name = key.split("__")
        params[section][name] = value
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def commit(root: Path) -> str:
    git(root, "add", "-A")
    git(root, "commit", "-qm", "a run")
    return git(root, "rev-parse", "HEAD")


def hashes(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository whose HEAD is 30 % wrong and whose workspace is 10 % wrong."""
    git(tmp_path, "init", "-qb", "main")
    store(tmp_path, made(0.3))
    commit(tmp_path)
    store(tmp_path, made(0.1), train__epochs=7)
    return tmp_path


def test_head_against_the_workspace_which_is_not_touched(project: Path) -> None:
    before = hashes(project)
    result = compared(project)
    assert hashes(project) == before
    assert set(result) == {"a", "b", "paired", "params", "metrics"}
    assert (result["a"], result["b"], result["paired"]) == ("HEAD", "workspace", True)
    assert result["params"] == {"train.epochs": [100, 7]}
    accuracy = result["metrics"]["accuracy"]
    assert set(accuracy) == {
        "a", "b", "difference", "low", "high", "p_value", "verdict", "detectable",
    }  # fmt: skip
    assert accuracy["verdict"] == "better"
    assert accuracy["low"] > 0


def test_table_and_markdown(project: Path) -> None:
    table = compare(project).stdout.splitlines()
    assert table[0].startswith("A is HEAD (")
    assert table[0].endswith("B is workspace, paired on 200 test rows")
    assert table[1] == "train.epochs: 100 -> 7"
    assert next(line for line in table if line.startswith("accuracy")).endswith("better")
    assert compare(project).stdout == compare(project).stdout
    markdown = compare(project, "--format", "md").stdout.splitlines()
    assert "| train.epochs | 100 | 7 |" in markdown
    assert sum(line.startswith("| accuracy |") for line in markdown) == 1


def test_fail_if_worse(project: Path) -> None:
    assert compare(project, "--fail-if-worse").returncode == 0
    done = compare(project, "workspace", "HEAD", "--fail-if-worse")
    assert done.returncode == 1
    assert "worse" in done.stdout
    assert compare(project, "workspace", "HEAD").returncode == 0


def test_branches_and_tags_with_names_of_their_own(project: Path) -> None:
    commit(project)
    git(project, "branch", "a|b`<i>")
    git(project, "tag", "first", "HEAD~1")
    result = compared(project, "first", "a|b`<i>")
    assert (result["a"], result["b"]) == ("first", "a|b`<i>")
    assert result["metrics"]["accuracy"]["verdict"] == "better"
    assert "a\\|b\\`&lt;i&gt;" in compare(project, "first", "a|b`<i>", "--format", "md").stdout


def test_names_with_control_characters_stay_on_their_line(project: Path) -> None:
    store(project, made(0.1), data__ignore=["a\nb|c\x1b[31m"])
    for output in ("table", "md"):
        shown = compare(project, "--format", output).stdout
        assert "\x1b" not in shown
        assert "\nb|c" not in shown


def test_equal_predictions_say_so(project: Path) -> None:
    commit(project)
    done = compare(project)
    assert "the predictions for all 200 test rows are equal" in done.stdout.splitlines()[0]
    assert compared(project)["metrics"]["f1_macro"]["p_value"] == 1


def test_no_difference_is_said_in_words(project: Path) -> None:
    store(project, made(0.3, seed=1))
    shown = compare(project).stdout
    assert "no difference that this test set can show (it could have shown 0." in shown


def test_other_test_rows_are_not_paired(project: Path) -> None:
    other = made(0.1)
    store(project, replace(other, rows=other.rows + 100), split__group_by="none")
    lines = compare(project).stdout.splitlines()
    assert lines[0].startswith("not paired: 100 of 250 test rows are on one side only")
    assert lines[1] == "split.group_by: duplicates -> none"
    assert any("scores may be too good" in line for line in lines)
    result = compared(project)
    assert result["paired"] is False
    assert {metric["verdict"] for metric in result["metrics"].values()} == {"unpaired"}
    accuracy = result["metrics"]["accuracy"]
    assert accuracy["difference"] is not None
    assert (accuracy["low"], accuracy["high"], accuracy["p_value"]) == (None, None, None)
    assert compare(project, "--fail-if-worse").returncode == 0


def test_another_target_is_not_paired(project: Path) -> None:
    store(project, made(0.1), data__target="colour")
    first = compare(project).stdout.splitlines()[0]
    assert first.startswith("not paired: the target is quality in A and colour in B")
    assert compared(project)["metrics"]["accuracy"]["difference"] is None


def test_seed_to_seed_spread_counts(project: Path) -> None:
    assert "not known (no replicas)" in compare(project).stdout
    replicas = {
        f"{name}_std": 1.0
        for name in ("accuracy", "balanced_accuracy", "f1_macro", "log_loss", "roc_auc_ovr")
    }
    evaluation = project / "metrics/evaluation.json"
    evaluation.write_text(json.dumps({"replicas": replicas}), encoding="utf-8")
    result = compared(project)
    assert {metric["verdict"] for metric in result["metrics"].values()} == {"no difference"}


@pytest.mark.parametrize("std", [1e150, -1, 1.5, "0.1", True])
def test_a_spread_that_no_scores_have_is_refused(project: Path, std: object) -> None:
    evaluation = project / "metrics/evaluation.json"
    evaluation.write_text(json.dumps({"replicas": {"accuracy_std": std}}), encoding="utf-8")
    done = compare(project, "--fail-if-worse")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "replicas.accuracy_std is no possible standard deviation" in done.stderr


@pytest.mark.parametrize("confidence", [1e-300, 0.49, 1.0])
def test_an_impossible_confidence_is_refused(project: Path, confidence: float) -> None:
    store(project, made(0.1), evaluate__confidence=confidence)
    done = compare(project, "--fail-if-worse")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "evaluate.confidence is missing or impossible" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "error: nowhere: no such Git revision or DVC experiment"),
        (["--", "--help"], "error: --help: no such Git revision or DVC experiment"),
        (["HEAD", "HEAD:metrics"], "error: HEAD:metrics: no such Git revision"),
    ],
)
def test_unknown_revisions(project: Path, arguments: list[str], message: str) -> None:
    done = compare(project, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


def test_revisions_without_or_with_wrong_files(project: Path) -> None:
    path = project / "metrics/predictions.csv"
    path.write_text("nonsense", encoding="utf-8")
    commit(project)
    path.unlink()
    commit(project)
    for arguments in (["HEAD~1", "HEAD~2"], ["HEAD", "HEAD~2"], ["HEAD~2"]):
        done = compare(project, *arguments)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert "metrics/predictions.csv" in done.stderr


def test_a_folder_without_git(tmp_path: Path) -> None:
    store(tmp_path, made(0.3))
    done = compare(tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "Git repository" in done.stderr


def test_a_project_in_a_folder_of_its_repository(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    store(tmp_path / "inside", made(0.3))
    commit(tmp_path)
    assert compared(tmp_path / "inside")["paired"] is True


def test_experiments_by_name(project: Path) -> None:
    baseline = git(project, "rev-parse", "HEAD")
    experiment = commit(project)
    git(project, "reset", "-q", "--hard", baseline)
    git(project, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/lanky-cowl", experiment)
    result = compared(project, "HEAD", "lanky-cowl")
    assert result["b"] == "lanky-cowl"
    assert result["metrics"]["accuracy"]["verdict"] == "better"


def test_predictions_in_the_cache_of_dvc(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert run(tmp_path, "dvc", "init", "-q").returncode == 0
    store(tmp_path, made(0.3))
    assert run(tmp_path, "dvc", "add", "-q", "metrics/predictions.csv").returncode == 0
    commit(tmp_path)
    assert "predictions.csv.dvc" in git(tmp_path, "ls-files", "metrics")
    store(tmp_path, made(0.1))
    assert compared(tmp_path)["metrics"]["accuracy"]["verdict"] == "better"
