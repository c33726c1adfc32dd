"""The real `vintage compare` in real Git repositories with real predictions."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.conftest import PARAMS, ROOT, run_here
from vintage.base.params import IntervalParams
from vintage.report.differences import Difference
from vintage.repository import revisions
from vintage.repository.cache import folder_md5
from vintage.repository.compare import Comparison, compare_revisions
from vintage.repository.looks import looks_in_words
from vintage.repository.revisions import read_revision
from vintage.scores.metrics import METRICS
from vintage.scores.predictions import Predictions, write_predictions

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
    return run_here(root, "compare", *arguments)


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
    rows = np.arange(n) * 2
    return Predictions(
        ["x", "y", "z"], rows, labels, probabilities, rows, rows + 10**6, np.zeros(n, dtype=bool)
    )


def store(root: Path, predictions: Predictions, **changes: Any) -> None:
    """Write what a run leaves, with changed parameters such as `train__epochs=7`."""
    write_predictions(root / "metrics/predictions.csv", predictions)
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
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
    assert set(result) == {
        "a", "b", "title", "paired", "rows", "params", "metrics", "recipe", "summary", "notes",
    }  # fmt: skip
    assert (result["a"], result["b"], result["paired"]) == ("HEAD", "workspace", True)
    assert result["params"] == {"train.epochs": [100, 7]}
    accuracy = result["metrics"]["accuracy"]
    assert set(accuracy) == {
        "a", "b", "difference", "low", "high", "p_value", "verdict", "detectable", "error",
    }  # fmt: skip
    assert accuracy["verdict"] == "better"
    assert accuracy["low"] > 0


def test_table_and_markdown(project: Path) -> None:
    table = compare(project).stdout.splitlines()
    assert table[0].startswith("paired on all 200 test rows; ")
    assert re.search(r"A is HEAD \(\w{7}\), B is workspace", " ".join(" ".join(table).split()))
    assert (
        next(line for line in table if line.startswith("train.epochs")) == "train.epochs: 100 -> 7"
    )
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
    assert done.stdout.splitlines()[0].startswith("paired on all 200 test rows")
    assert "B is workspace: the predictions are equal" in done.stdout
    assert compared(project)["metrics"]["f1_macro"]["p_value"] == 1


def test_no_difference_is_said_in_words(project: Path) -> None:
    store(project, made(0.3, seed=1))
    shown = compare(project).stdout
    assert re.search(r"^accuracy .* no difference$", shown, re.M)
    assert "none that these rows can show; `vintage power` says how large" in shown
    assert all(len(line) <= 100 for line in shown.splitlines())


def test_without_a_common_test_row_nothing_is_paired(project: Path) -> None:
    other = made(0.1)
    assert other.ids is not None
    seen = np.arange(200) < 3
    store(project, replace(other, ids=other.ids + 1, seen=seen), split__group_by="none")
    done = compare(project).stdout
    assert done.startswith("not paired: no test row is left to compare on (left out: 200 of A")
    assert "split.group_by: duplicates -> none" in done
    assert "3 of the 200 test rows of B have a twin in train" in done
    result = compared(project)
    assert result["paired"] is False
    assert {metric["verdict"] for metric in result["metrics"].values()} == {"unpaired"}
    accuracy = result["metrics"]["accuracy"]
    assert accuracy["difference"] is not None
    assert (accuracy["low"], accuracy["high"], accuracy["p_value"]) == (None, None, None)
    assert compare(project, "--fail-if-worse").returncode == 0


def test_rows_are_paired_by_what_they_are_and_not_by_their_place(project: Path) -> None:
    """A row deleted at the top of the table gives all others another number."""
    expected = compared(project)
    other = made(0.1)
    order = np.random.default_rng(0).permutation(200)
    store(project, replace(other.take(order), rows=np.arange(200)), train__epochs=7)
    for name, metric in compared(project)["metrics"].items():
        assert metric == pytest.approx(expected["metrics"][name])
    store(project, replace(other.take(np.arange(1, 200)), rows=np.arange(199)))
    result = compared(project)
    counts = {"paired": 199, "only_a": 1, "only_b": 0, "relabelled": 0, "seen": 0}
    assert result["rows"] == counts
    first = compare(project).stdout.splitlines()[0]
    assert first.startswith("paired on 199 test rows (left out: 1 of A alone); ")


def test_a_row_that_one_side_has_trained_on_or_knows_by_another_class_is_left_out(
    project: Path,
) -> None:
    other = made(0.1)
    labels, seen = other.labels.copy(), np.arange(200) % 50 == 7
    labels[0] = (labels[0] + 1) % 3
    store(project, replace(other, labels=labels, seen=seen))
    counts = {"paired": 195, "only_a": 0, "only_b": 0, "relabelled": 1, "seen": 4}
    assert compared(project)["rows"] == counts
    assert "1 with another class in each, 4 with a twin in train" in compare(project).stdout


def lock(root: Path, table_md5: str, path: str = "data/wine.csv", **params: Any) -> None:
    """Write a `dvc.lock` that says which table was split and what the training ran with."""
    table = {"path": path, "md5": table_md5, "size": 1}
    values = yaml.safe_load((root / "params.yaml").read_text())
    values["data"]["path"] = path
    for key, value in params.items():
        section, name = key.split("__")
        values[section][name] = value
    stages = {"split": {"cmd": "x", "deps": [table], "params": {"params.yaml": values}}}
    content = {"schema": "2.0", "stages": stages}
    (root / "dvc.lock").write_text(yaml.safe_dump(content))


def put_table(root: Path, rows: list[str], **params: Any) -> None:
    text = "\n".join(["a,b,quality", *rows]) + "\n"
    (root / "data").mkdir(exist_ok=True)
    (root / "data/wine.csv").write_text(text)
    lock(root, hashlib.md5(text.encode()).hexdigest(), **params)


def test_it_says_how_the_table_has_changed(project: Path) -> None:
    rows = [f"{index},{index % 3}.5,{index % 2}" for index in range(30)]
    put_table(project, rows)
    commit(project)
    put_table(project, [*rows[:3], *rows[5:], "99,1,0", "98,1.50,1", "97,1,0"])
    changed = "; the table has changed: 3 rows added, 2 rows removed; A is"
    assert changed in compared(project)["title"]
    put_table(project, [row.replace(".5,", ".50,") for row in rows[::-1]])
    assert "the same rows, written or ordered anew" in compare(project).stdout
    (project / "data/wine.csv").unlink()
    shown = " ".join(compare(project).stdout.split())
    assert "how the table has changed is not known: data/wine.csv of workspace" in shown


def test_a_table_under_dvc_add_in_two_versions(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert run(project, "dvc", "init", "-q").returncode == 0
    shutil.copy(PARAMS.parent / ".dvc/config", ".dvc/config")  # the cache is linked
    rows = [f"{index},{index % 3}.5,{index % 2}" for index in range(30)]
    for version, n_rows, n_tested in (("v1", 20, 150), ("v2", 30, 200)):
        put_table(project, rows[:n_rows])
        assert run(project, "dvc", "add", "-q", "data/wine.csv").returncode == 0
        store(project, made(0.3).take(np.arange(n_tested)))
        commit(project)
        git(project, "tag", version)
        assert run(project, "dvc", "unprotect", "data/wine.csv").returncode == 0
    assert git(project, "ls-files", "data") == "data/.gitignore\ndata/wine.csv.dvc"
    Path("data/wine.csv").unlink()
    before = hashes(project / "data")
    (comparison,) = compare_here("v1", "v2")
    assert comparison.title.startswith("paired on 150 test rows (left out: 50 of B alone); the ta")
    assert "; the table has changed: 10 rows added; A is v1" in comparison.title
    assert hashes(project / "data") == before

    tracked = yaml.safe_load(git(project, "show", "v1:data/wine.csv.dvc"))
    (stored,) = Path(".dvc/cache").rglob(tracked["outs"][0]["md5"][2:])
    stored.chmod(0o644)
    stored.write_text("overwritten through a link\n")
    (comparison,) = compare_here("v1", "v2")
    assert "not known: data/wine.csv of v1 is not the table that was split: " in comparison.title
    stored.unlink()
    (comparison,) = compare_here("v1", "v2")
    assert "data/wine.csv of v1 is neither in Git nor in DVC's cache" in comparison.title


def test_a_folder_is_followed_in_git_and_in_dvc(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert run(project, "dvc", "init", "-q").returncode == 0
    rows = [f"{index},{index % 3}.5,{index % 2}" for index in range(30)]
    put_table(project, rows)
    commit(project)
    git(project, "tag", "one-file")
    for version, n_rows in (("git", 20), ("dvc", 30)):
        for name, part in (("x=1/a.csv", rows[:15]), ("a.csv", rows[15:n_rows]), ("_b", [version])):
            path = project / "data/rows" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(["a,b,quality", *part]) + "\n")
        if version == "dvc":
            git(project, "rm", "-rq", "--cached", "data/rows")
            assert run(project, "dvc", "add", "-q", "data/rows").returncode == 0
        lock(project, folder_md5(project / "data/rows"), "data/rows")
        commit(project)
        git(project, "tag", version)
    assert "data/rows" not in git(project, "ls-files", "data").split()

    def title(*revisions: str) -> str:
        (comparison,) = compare_here(*revisions)
        return comparison.title

    assert "; the table has changed: 10 rows added; A is" in title("git", "workspace")
    shutil.rmtree(project / "data/rows")
    assert "; the table has changed: 10 rows removed; A is" in title("one-file", "git")
    assert "; the table has changed: 10 rows added; A is" in title("git", "dvc")
    assert "has changed: the same rows, written or ordered anew; A is" in title("one-file", "dvc")
    shutil.rmtree(project / ".dvc/cache")
    assert "data/rows of dvc is neither in Git nor in DVC's cache" in title("git", "dvc")


def test_a_column_of_ids_tells_which_rows_changed(project: Path) -> None:
    rows = [f"{index},{index % 3}.5,{index % 2}" for index in range(30)]
    store(project, made(0.3), data__id="a")
    put_table(project, rows)
    commit(project)
    put_table(project, [rows[0].replace(".5", ".7"), *rows[2:]])
    changed = "; the table has changed: 1 row removed, 1 row changed; A is"
    assert changed in compared(project)["title"]


def test_the_parameters_are_those_that_the_results_were_made_with(project: Path) -> None:
    """`params.yaml` may ask for what has never run."""
    lock(project, "0" * 32)
    commit(project)
    store(project, made(0.1), train__epochs=500)
    lock(project, "0" * 32, train__epochs=10)
    result = compared(project)
    assert result["params"] == {"train.epochs": [7, 10]}
    assert result["notes"][0] == (
        "params.yaml of workspace says train.epochs 500, and the results were made with 10; "
        "run `dvc repro`."
    )


def test_what_stood_for_auto_is_shown(project: Path) -> None:
    store(project, made(0.1), train__learning_rate=0.02)
    git(project, "stash", "-q")
    resolved = {"train.learning_rate": "0.01", "train.batch_size": "800"}
    (project / "metrics/details.json").write_text(json.dumps({"resolved": resolved}))
    commit(project)
    git(project, "stash", "pop", "-q")
    resolved |= {"train.learning_rate": "0.02", "train.batch_size": "900"}
    (project / "metrics/details.json").write_text(json.dumps({"resolved": resolved}))
    shown = compare(project).stdout
    assert "train.learning_rate: auto (0.01) -> 0.02\n" in shown
    assert "train.batch_size: auto (800) -> auto (900)\n" in shown


def test_another_target_is_not_paired(project: Path) -> None:
    store(project, made(0.1), data__target="colour")
    shown = compare(project).stdout
    assert shown.startswith("not paired: the target is quality in A and colour in B")
    assert compared(project)["metrics"]["accuracy"]["difference"] is None


def test_seed_to_seed_spread_counts(project: Path) -> None:
    assert compared(project)["metrics"]["accuracy"]["verdict"] == "better"
    replicas = {
        f"{name}_std": 1.0
        for name in ("accuracy", "balanced_accuracy", "f1_macro", "log_loss", "roc_auc_ovr")
    }
    evaluation = project / "metrics/details.json"
    evaluation.write_text(json.dumps({"replicas": replicas}), encoding="utf-8")
    result = compared(project)
    assert {metric["verdict"] for metric in result["metrics"].values()} == {"no difference"}


def test_a_revision_is_older_than_a_parameter(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here of the first release, which had three of `evaluate`."""
    params = yaml.safe_load((path := project / "params.yaml").read_text(encoding="utf-8"))
    first = ("confidence", "resamples", "seed")
    params["evaluate"] = {key: params["evaluate"][key] for key in first}
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    shown = compare(project)
    assert shown.returncode == 0, shown.stderr

    class Longer(IntervalParams):
        method: str

    monkeypatch.setattr(revisions, "IntervalParams", Longer)
    assert "evaluate.method is missing or impossible" in compare(project).stderr
    monkeypatch.setitem(revisions.OF_OLDER, "method", "plain")
    assert compare(project).stdout == shown.stdout


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
        (["^HEAD"], "error: ^HEAD: no such Git revision or DVC experiment"),
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


def compare_here(first: str, *others: str) -> list[Comparison]:
    """In this process, which spares the imports."""
    return compare_revisions(read_revision(first), [read_revision(name) for name in others])


def test_several_are_compared_with_the_first_and_corrected_together(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    baseline = git(project, "rev-parse", "HEAD")
    experiment = commit(project)
    git(project, "reset", "-q", "--hard", baseline)
    git(project, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/lanky-cowl", experiment)
    git(project, "switch", "-qc", "branch")
    store(project, made(0.28, seed=1), train__epochs=8)
    commit(project)
    store(project, made(0.3))  # as the first
    names = ["lanky-cowl", "branch", "workspace"]
    together = compare_here("main", *names)
    back = compare_here("main", *names[::-1])[::-1]
    assert [each.b for each in together] == [each.b for each in back] == names
    assert [each.params for each in together[:2]] == [{"train.epochs": (100, n)} for n in (7, 8)]
    factors = []
    for found, again in zip(together, back, strict=True):
        (alone,) = compare_here("main", found.b)
        for name, metric in found.metrics.items():
            reversed_, own = again.metrics[name], alone.metrics[name]
            assert (metric.p_value, metric.verdict) == (reversed_.p_value, reversed_.verdict)
            assert metric.difference == own.difference
            low, high = metric.low or 0.0, metric.high or 0.0
            assert (low <= 0 <= high) == (metric.verdict == "no difference")
            assert metric.p_value
            assert own.p_value
            factors.append(metric.p_value / own.p_value)
    assert together[0].metrics["accuracy"].verdict == "better"
    assert {metric.p_value for metric in together[2].metrics.values()} == {1.0}
    assert min(factors) == 1
    assert max(factors) > 1.5

    done = compare(project, "main", *names, "--fail-if-worse")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    place = lines.index("accuracy")
    assert [line.split()[0] for line in lines[place + 1 : place + 4]] == names
    assert done.stdout.count("lanky-cowl, branch: p is corrected for 5 metrics of 3 revisions") == 1
    assert "lanky-cowl: this model on these rows: B is better in accuracy" in done.stdout
    assert compare(project, "lanky-cowl", "branch", "main", "--fail-if-worse").returncode == 1


def test_recipes_of_several_are_corrected_together(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    put_splits(project, splits())
    commit(project)
    put_splits(project, splits(gain=0.01))
    git(project, "tag", "better", commit(project))
    (project / "metrics/splits.json").unlink()
    alone = compare_here("HEAD~1", "better")[0].recipe.metrics
    found, none = compare_here("HEAD~1", "better", "workspace")
    assert found.recipe.metrics == alone
    assert none.recipe.title.endswith("B has no splits.json; run `dvc repro`")
    put_splits(project, splits(gain=0.005))
    found, _ = compare_here("HEAD~1", "better", "workspace")
    p_values = [(alone[name].p_value, each.p_value) for name, each in found.recipe.metrics.items()]
    assert all((one or 0) <= (both or 0) for one, both in p_values)
    assert any(one != both for one, both in p_values)


def test_predictions_in_the_cache_of_dvc(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert run(tmp_path, "dvc", "init", "-q").returncode == 0
    store(tmp_path, made(0.3))
    assert run(tmp_path, "dvc", "add", "-q", "metrics/predictions.csv").returncode == 0
    commit(tmp_path)
    assert "predictions.csv.dvc" in git(tmp_path, "ls-files", "metrics")
    store(tmp_path, made(0.1))
    assert compared(tmp_path)["metrics"]["accuracy"]["verdict"] == "better"


def splits(
    gain: float = 0.0, noise: float = 0.01, seeds: int = 10, digest: str = "rows"
) -> dict[str, Any]:
    """What the stage `splits` leaves, of a recipe that is better by `gain` on each split."""
    draw = np.random.default_rng(7)
    scores = {
        str(seed): {name: 0.6 + draw.normal(0, 0.02) for name in METRICS} for seed in range(seeds)
    }
    other = np.random.default_rng(int(1000 * gain) + 1)
    return {
        "reason": None,
        "splits": {
            seed: {
                "test_rows": 200,
                "train_rows": 800,
                "test_digest": f"{digest} {seed}",
                "scores": {
                    name: score
                    + (-gain if METRICS[name].lower_is_better else gain)
                    + other.normal(0, noise)
                    for name, score in of_split.items()
                },
            }
            for seed, of_split in scores.items()
        },
    }


def put_splits(root: Path, content: Any) -> None:
    (root / "metrics/splits.json").write_text(json.dumps(content), encoding="utf-8")


def test_recipes_are_compared_over_the_splits_that_both_have(project: Path) -> None:
    put_splits(project, splits())
    git(project, "stash", "-q", "--", "metrics/predictions.csv", "params.yaml")
    commit(project)
    git(project, "stash", "pop", "-q")
    put_splits(project, splits(gain=0.05))
    recipe = compared(project)["recipe"]
    assert recipe["title"].startswith("the recipes over 10 other splits")
    for metric in recipe["metrics"].values():
        assert metric["verdict"] == "better"
        assert metric["better"] > 0.99
        assert metric["low"] * metric["high"] > 0
    shown = compare(project).stdout
    assert all(len(line) <= 100 for line in shown.splitlines())
    assert "this recipe on such tables: B is better in accuracy, " in " ".join(shown.split())
    backwards = compare(project, "workspace", "HEAD", "--fail-if-worse")
    assert backwards.returncode == 1
    put_splits(project, splits(gain=0.05, digest="of another table"))
    recipe = compared(project)["recipe"]
    assert recipe["title"].endswith("fewer than two splits have the same rows in both")
    assert recipe["metrics"] == {}


def test_it_says_why_there_are_no_splits(project: Path) -> None:
    commit(project)
    put_splits(project, {"reason": "evaluate.splits is 0", "splits": {}})
    shown = " ".join(compare(project).stdout.split())
    assert (
        "the recipes are not compared over other splits: A has no splits.json; run `dvc repro`; "
        "B: evaluate.splits is 0"
    ) in shown
    assert "this recipe on such tables: not comparable" in shown
    for content in ("{", '{"splits": {"x": {}}}', json.dumps(splits()).replace("0.", "-9e999")):
        (project / "metrics/splits.json").write_text(content, encoding="utf-8")
        done = compare(project)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert "metrics/splits.json of workspace" in done.stderr


def test_the_margin_is_a_parameter(project: Path) -> None:
    put_splits(project, splits())
    commit(project)
    put_splits(project, splits(gain=0.03))
    for margin, verdict in ((0.0, "better"), (0.2, "equal")):
        store(project, made(0.1), evaluate__margin=margin)
        for metric in compared(project)["recipe"]["metrics"].values():
            assert metric[verdict] > 0.98


def looks(project: Path) -> list[str]:
    notes: list[str] = compared(project)["notes"]
    return [note for note in notes if "were scored on these test rows" in note]


def test_it_counts_the_models_that_were_scored_on_these_rows(project: Path) -> None:
    commit(project)
    assert looks(project) == []  # the two that are compared
    git(project, "switch", "-qc", "branch")
    store(project, made(0.2))
    third = commit(project)
    git(project, "switch", "-q", "main")
    assert len(looks(project)) == 1
    store(project, made(0.2, n=150))  # of other rows
    commit(project)
    store(project, made(0.25))
    git(project, "update-ref", "refs/exps/12/3456/tried", commit(project))
    git(project, "reset", "-q", "--hard", "HEAD~2")
    store(project, made(0.2))  # the third one once more
    (note,) = looks(project)
    assert note.startswith("4 models were scored on these test rows, as far as Git knows. If all")
    assert re.search(r"the best would still lead their mean by about 0\.0\d+ in accuracy, ", note)
    store(project, made(0.2), evaluate__looks=4)
    assert looks(project) == [f"warning: {note}"]
    assert third in git(project, "rev-parse", "branch")


def test_the_best_of_many_equally_good_models_leads_by_as_much_as_is_said() -> None:
    draw = np.random.default_rng(0)
    n_models, error = 12, 0.02  # of a difference
    scores = draw.normal(size=(4000, 1)) + draw.normal(0, error / 2**0.5, size=(4000, n_models))
    lead = (scores.max(axis=1) - scores.mean(axis=1)).mean()
    said = looks_in_words(n_models, 20, {"accuracy": Difference(0.6, 0.6, 0.0, error=error)})
    assert said is not None
    assert f"by about {lead:.3f} in accuracy" in said


def test_a_margin_of_zero_counts(project: Path) -> None:
    put_splits(project, splits())
    commit(project)
    put_splits(project, splits(gain=0.03))
    store(project, made(0.1), evaluate__margin=0)
    assert compared(project)["recipe"]["margin"] == 0
