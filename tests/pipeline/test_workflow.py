"""The workflow is valid, safe, and made of commands that run here."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import BIN, ROOT, Project, run_here
from vintage.repository.requirements import read_pins

PATH = ROOT / ".github/workflows/pipeline.yml"
WORKFLOW: dict[str, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))


def steps() -> list[dict[str, Any]]:
    return [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def test_it_is_a_valid_workflow() -> None:
    checker = str(BIN / "check-jsonschema")
    command = [checker, "--builtin-schema", "vendor.github-workflows", str(PATH)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_audit_finds_nothing() -> None:
    command = [str(BIN / "zizmor"), "--offline", "--pedantic", str(PATH)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_hooks_of_pre_commit_are_the_pinned_versions() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    revisions = {Path(each["repo"]).name: each.get("rev") for each in config["repos"]}
    assert f"v{read_pins(ROOT / 'requirements/dev.txt')['ruff']}" == revisions["ruff-pre-commit"]
    assert read_pins(ROOT / "requirements/dvc.txt")["dvc"] == revisions["dvc"]


def test_the_citation_is_valid_and_of_this_version() -> None:
    path = ROOT / "CITATION.cff"
    checker = str(BIN / "check-jsonschema")
    command = [checker, "--builtin-schema", "vendor.citation-file-format", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    citation = yaml.safe_load(path.read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


def test_actions_are_pinned_and_permissions_are_few() -> None:
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action)
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert WORKFLOW["jobs"]["comment"]["permissions"] == {"pull-requests": "write"}


def test_every_step_is_a_command_of_this_repository() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for step in steps():
        for target in re.findall(r"^make (?:--silent )?(\w+)", step.get("run", ""), re.M):
            assert re.search(rf"^{target}:", makefile, re.M)
        for script in re.findall(r"bash (\S+)", step.get("run", "")):
            assert (ROOT / script).exists()


def test_git_changes_no_byte_of_a_table(fresh: Project, tmp_path: Path) -> None:
    """Or its hash would be another one in each clone, and `dvc.lock` wrong there for good."""
    table = b'size,kind\r\n1,"two\nlines"\r\n2,x\n'
    (fresh.root / "data/table.csv").write_bytes(table)
    fresh.commit("a table of Windows")
    fresh.run("git", "clone", "-q", ".", str(tmp_path / "clone"))
    assert (tmp_path / "clone/data/table.csv").read_bytes() == table


@pytest.mark.slow
def test_a_pull_request_is_told_what_changed(reproduced: Project) -> None:
    """Parameters without their results: what is stale, what it does, and red at the end."""
    assert reproduced.run("python", "-m", "vintage", "stale").stdout == "none\n"
    reproduced.edit("params.yaml", "epochs: 10", "epochs: 1")
    reproduced.commit("fewer epochs")
    stale = reproduced.run("python", "-m", "vintage", "stale").stdout.strip()
    assert stale == "train, splits, explain, report"
    reproduced.repro()
    comment = reproduced.run("bash", ".ci/comment", "main~1", stale).stdout
    assert "committed dvc.lock: train, splits, explain, report" in comment
    assert "| train.epochs | 10 | 1 |" in comment
    assert re.search(r"\| log loss \|.*\| worse \|", comment)
    row = r"\| metrics/evaluation.json +\| test.log_loss +\| [\d.]+ +\| [\d.]+ +\|"
    assert re.search(row, comment)
    verify = ("python", "-m", "vintage", "verify", "--stage", "train")
    failed = reproduced.run(*verify, check=False)
    assert failed.returncode == 2
    assert "params.yaml: train: not what dvc.lock says" in failed.stdout


@pytest.mark.slow
def test_the_gate_says_which_bound_was_missed_by_how_much(reproduced: Project) -> None:
    reproduced.edit("params.yaml", "require: {}", "require: {log_loss: 0.5, accuracy: 0.1}")
    assert reproduced.repro() == ["report"]
    done = run_here(reproduced.root, "check")
    assert done.returncode == 1
    assert re.search(
        r"^wrong: evaluate.require: log_loss is 0\.\d+ and misses its bound 0\.5 by 0\.\d+$",
        done.stdout,
        re.M,
    )
    assert "accuracy is" not in done.stdout
    reproduced.edit("params.yaml", "log_loss: 0.5", "log_loss: 1.15")
    reproduced.repro()
    assert run_here(reproduced.root, "check").stdout.endswith("\nthe outputs are valid\n")


@pytest.mark.slow
def test_it_advises_to_push_only_where_there_is_a_remote(reproduced: Project) -> None:
    make = ("make", "-o", ".venv/installed", "repro")  # without installing
    for has_remote, bound in ((False, 0.3), (True, 0.2)):
        if has_remote:
            reproduced.run("dvc", "remote", "add", "--default", "storage", "../storage")
        reproduced.set_params(**{"evaluate.require": {"accuracy": bound}})
        shown = reproduced.run(*make).stdout
        assert "Running stage 'report'" in shown
        assert ("dvc push" in shown) == has_remote
    reproduced.set_params(**{"train.epochs": 0})
    failed = reproduced.run(*make, check=False)
    assert failed.returncode != 0
    assert "error: params.yaml: train.epochs: found 0" in failed.stderr
