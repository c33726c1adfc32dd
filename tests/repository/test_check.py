"""The output check accepts what the pipeline put out, and finds what was done to it."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project, only_error, refused_here, run_here
from vintage.report.verdict import MAJORITY
from vintage.repository.show_revision import revision_lines
from vintage.scores.metrics import METRICS


def check(project: Project, code: int) -> str:
    done = run_here(project.root, "check")
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(path.read_text())
    path.chmod(0o644)
    path.write_text(json.dumps(change(content), indent=2, sort_keys=True))


def edit_text(path: Path, pattern: str, new: str) -> None:
    text = path.read_text()
    changed = re.sub(pattern, new, text, count=1)
    assert changed != text
    path.write_text(changed)


def better(evaluation: dict[str, Any]) -> dict[str, Any]:
    evaluation["test"]["accuracy"] += 0.000001
    return evaluation


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a better score": (
        lambda root: edit_json(root / "metrics/details.json", better),
        "metrics/details.json: test.accuracy is not what metrics/predictions.csv gives",
    ),
    "a better score for DVC": (
        lambda root: edit_json(root / "metrics/evaluation.json", better),
        "metrics/evaluation.json: is not what metrics/details.json says",
    ),
    "a probability": (
        lambda root: edit_text(root / "metrics/predictions.csv", r"0\.0\d+,", "0.9,"),
        "metrics/predictions.csv: is not what dvc.lock says",
    ),
    "an actual class": (
        lambda root: edit_text(root / "metrics/predictions.csv", r"\n1,(\w+),5,", r"\n1,\1,6,"),
        "metrics/details.json: classes.5 is not what metrics/predictions.csv gives",
    ),
    "a cut tensor file": (
        lambda root: cut(root / "data/tensors/train.safetensors"),
        "data/tensors/train.safetensors: is not what dvc.lock says",
    ),
    "a foreign checkpoint": (
        lambda root: replace(root / "data/checkpoint/model.safetensors", b"PK\x03\x04 a zip file"),
        "data/checkpoint: is not what dvc.lock says",
    ),
    "no predictions": (
        lambda root: (root / "metrics/predictions.csv").unlink(),
        "metrics/predictions.csv: is missing",
    ),
    "no tensors": (
        lambda root: (root / "data/tensors/val.safetensors").unlink(),
        "data/tensors/val.safetensors: is missing",
    ),
}


def cut(path: Path) -> None:
    replace(path, path.read_bytes()[: path.stat().st_size // 2])


def replace(path: Path, content: bytes) -> None:
    path.unlink()  # a cached output is read-only and may be linked to the cache
    path.write_bytes(content)


def test_the_outputs_are_valid(reproduced: Project) -> None:
    shown = reproduced.run("python", "-m", "vintage", "check").stdout
    assert shown.endswith("\nthe outputs are valid\n")
    assert check(reproduced, 0) == shown


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_named(reproduced: Project, damage: str) -> None:
    apply, expected = DAMAGE[damage]
    apply(reproduced.root)
    shown = check(reproduced, 1)
    assert expected in shown


def test_a_stale_stage_is_found(reproduced: Project) -> None:
    reproduced.edit("params.yaml", "epochs: 10", "epochs: 99")
    assert "stage train is not up to date; run `dvc repro`" in check(reproduced, 1)


@pytest.mark.parametrize(
    ("stage", "path"),
    [
        ("train", "data/tensors/train.safetensors"),
        ("train", "data/tensors/schema.json"),
        ("evaluate", "data/tensors/test.safetensors"),
        ("evaluate", "data/checkpoint/model.safetensors"),
        ("evaluate", "data/checkpoint/model.json"),
        ("evaluate", "metrics/losses.json"),
    ],
)
@pytest.mark.parametrize("how", ["cut", "foreign"])
def test_a_stage_names_a_bad_input(reproduced: Project, stage: str, path: str, how: str) -> None:
    target = reproduced.root / path
    cut(target) if how == "cut" else replace(target, b'{"hello": 1}')
    assert refused_here(reproduced.root, stage).startswith(f"{path}: ")


def show(project: Project, *revision: str) -> list[str]:
    done = run_here(project.root, "show", *revision)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    return lines


def test_show_tells_the_verdict_and_the_scores(reproduced: Project) -> None:
    lines = show(reproduced)
    assert lines[0] == (
        "ties with logistic regression, beats the majority class (log loss, 228 test rows)"
    )
    models = json.loads((reproduced.root / "metrics/baseline.json").read_text())["models"]
    rival, majority = (models[name]["accuracy"] for name in ("logistic_regression", MAJORITY))
    numbers = r"0\.\d{3} +0\.\d{3} to 0\.\d{3} +0\.\d{3} +0\.\d{3}"
    expected = rf"^accuracy +{numbers} +{rival:.3f} +{majority:.3f}$"
    assert re.search(expected, "\n".join(lines), re.M)
    assert any("fewer than 5 test rows: '3' (1), '8' (3);" in line for line in lines)
    assert lines[-1].startswith("figures: metrics/figures/")


def test_show_tells_of_any_revision_and_of_how_many_models_there_are(reproduced: Project) -> None:
    shown = show(reproduced)
    for content in ("0", "1"):  # other models of the same rows
        path = reproduced.root / "metrics/predictions.csv"
        text = path.read_text()
        path.write_text(f"{text[:-1]}{content}\n")
        (reproduced.root / "metrics/comparison.json").unlink(missing_ok=True)
        (reproduced.root / "metrics/report.html").unlink(missing_ok=True)
        reproduced.commit(f"a model that ends in {content}")
    commit = reproduced.run("git", "rev-parse", "HEAD~2").stdout[:7]
    looks = (
        "3 models were scored on these test rows, as far as Git knows. `vintage compare` says "
        "what that"
    )
    report = f"report: git show {commit}:./metrics/report.html > report.html"
    assert show(reproduced, "HEAD~2") == [*shown[:-2], report, looks, "  means."]
    assert (
        reproduced.run("sh", "-c", report[8:] + " && grep -c '</html>' report.html").stdout == "1\n"
    )
    lines = show(reproduced, "HEAD")
    assert lines[0] == "not compared with other models yet; run `dvc repro`"
    assert "report: metrics/report.html is neither in Git nor in DVC's cache at HEAD" in lines


def test_show_tells_of_a_revision_from_before_a_metric_was_added(
    reproduced: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    *before, _ = show(reproduced, "HEAD")
    monkeypatch.setitem(METRICS, "error", changed(METRICS["log_loss"], title="error"))
    title = METRICS["calibration_error"].title
    monkeypatch.delitem(METRICS, "calibration_error")
    *lines, _ = show(reproduced, "HEAD")
    assert lines[0] == before[0]
    (added,) = set(lines) - set(before)
    assert re.fullmatch(r"error( +-){6}", added)
    (removed,) = set(before) - set(lines)
    assert removed.startswith(title)
    assert "error is missing or unknown" in only_error(run_here(reproduced.root, "show"))


def test_show_says_what_a_revision_lacks(reproduced: Project) -> None:
    first = reproduced.run("git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()
    where = f"not found in {first}, neither in Git nor in DVC's cache; try `dvc fetch`"
    for name, expected in (
        ("nowhere", "error: nowhere: no such Git revision or DVC experiment"),
        (first, f"error: metrics/details.json: {where}"),
    ):
        done = run_here(reproduced.root, "show", name)
        assert only_error(done) == expected


def test_show_says_less_without_the_other_models(reproduced: Project) -> None:
    (reproduced.root / "metrics/comparison.json").unlink()
    lines = show(reproduced)
    assert lines[0] == "not compared with other models yet; run `dvc repro`"
    assert any("best rival" in line for line in lines)
    (reproduced.root / "metrics/baseline.json").unlink()
    assert not any("best rival" in line for line in show(reproduced))


@pytest.mark.parametrize("name", ["details", "baseline", "comparison"])
@pytest.mark.parametrize("content", ["{", "[]", '{"models": {"svc": {}}, "network": {}}'])
def test_show_names_a_bad_file(reproduced: Project, name: str, content: str) -> None:
    (reproduced.root / f"metrics/{name}.json").write_text(content)
    done = run_here(reproduced.root, "show")
    assert f"metrics/{name}.json: " in only_error(done)


def test_show_gives_no_verdict_on_another_network(reproduced: Project) -> None:
    reproduced.set_params(**{"train.epochs": 2})
    reproduced.repro("evaluate")
    assert show(reproduced)[0] == (
        "metrics/comparison.json compares an earlier network; run `dvc repro`"
    )


def test_show_tells_how_to_get_the_report_of_a_project_in_a_subfolder(
    reproduced: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer, inner = Project(tmp_path / "outer"), Project(tmp_path / "outer/inner")
    shutil.copytree(reproduced.root / "metrics", inner.root / "metrics")
    for name in ("params.yaml", "dvc.lock"):
        shutil.copy(reproduced.root / name, inner.root)
    outer.run("git", "init", "-q")
    outer.commit("results")
    monkeypatch.chdir(inner.root)
    (report,) = (line for line in revision_lines("HEAD") if line.startswith("report: "))
    assert inner.run("sh", "-c", report[8:] + " && grep -c '</html>' report.html").stdout == "1\n"
