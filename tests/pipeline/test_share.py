"""A colleague's clone takes from a DVC remote what was computed elsewhere, and computes nothing."""

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import Project, only_error, run_here
from vintage.repository.cache import check_cache
from vintage.repository.status import check_status

pytestmark = pytest.mark.slow
MAKE = ("make", "-o", ".venv/installed", "repro")  # without installing
SERVERS = os.environ.get("REMOTES", "").split()  # which .ci/remotes starts


@pytest.mark.parametrize("url", ["a folder", *SERVERS])
def test_a_colleague_trains_nothing_again(reproduced: Project, url: str) -> None:
    folder = str(reproduced.root.parent / "storage")
    takes_all(share(reproduced, folder if url == "a folder" else url))


@pytest.mark.parametrize("url", SERVERS)
def test_without_a_key_it_is_told_in_a_line(reproduced: Project, url: str, tmp_path: Path) -> None:
    reproduced.run("dvc", "remote", "add", "--default", "storage", url)
    nobody = {"HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    done = reproduced.run("python", "-m", "vintage", "pull", check=False, env=nobody)
    said = only_error(done)
    assert said.startswith("error: the remote 'storage' cannot be used, `dvc repro` computes")


def test_without_a_cache_and_access_it_says_so_and_computes(reproduced: Project) -> None:
    reproduced.run("dvc", "remote", "add", "--default", "storage", "s3://storage")
    reproduced.commit("a remote")
    before = reproduced.outputs()
    shutil.rmtree(reproduced.root / ".dvc/cache")
    assert list(check_cache(reproduced.root)) == []
    missing = "data/checkpoint: is not in DVC's cache; run `dvc repro`"
    assert missing in check_status(reproduced.root)
    done = reproduced.run(*MAKE)
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert said[0].startswith("error: the remote 'storage' cannot be used, `dvc repro` computes")
    assert "requires 'dvc-s3' to be installed" in said[0]
    assert "Running stage 'train'" in done.stdout
    assert reproduced.outputs() == before
    assert reproduced.run("git", "status", "--short").stdout == ""
    assert run_here(reproduced.root, "check").stdout.endswith("\nthe outputs are valid\n")


def test_without_a_remote_there_is_nothing_to_pull(fresh: Project) -> None:
    done = fresh.run("python", "-m", "vintage", "pull", check=False)
    assert done.returncode == 2
    assert done.stderr == "error: no DVC remote is set; run `dvc remote add --default NAME URL`\n"


def share(project: Project, url: str) -> Project:
    """Push the outputs of two branches, and clone."""
    project.run("dvc", "remote", "add", "--default", "storage", url)
    project.commit("a remote")
    project.run("git", "checkout", "-q", "-b", "faster")
    project.set_params(**{"train.learning_rate": 0.02, "train.epochs": 2, "evaluate.splits": 0})
    assert "train" in project.repro()
    project.commit("a higher rate")
    project.run("git", "checkout", "-q", "main")
    project.run("dvc", "push", "--all-branches")
    return cloned(project)


def cloned(project: Project) -> Project:
    clone = project.root.parent / "colleague"
    project.run("git", "clone", "-q", ".", str(clone))
    return Project(clone)


def takes_all(colleague: Project) -> None:
    """Nothing is computed again, on either branch."""
    for branch in ("main", "faster"):
        colleague.run("git", "checkout", "-q", branch)
        shown = colleague.run(*MAKE).stdout
        assert "Running stage" not in shown
        checked = run_here(colleague.root, "check").stdout
        assert checked.endswith("the outputs are valid\n")
        assert colleague.run("dvc", "status").stdout == "Data and pipelines are up to date.\n"
        assert colleague.run("git", "status", "--short").stdout == ""


def test_an_edited_table_is_left_alone(reproduced: Project) -> None:
    """One that DVC tracks, and whose new rows no cache has yet."""
    reproduced.run("git", "rm", "-q", "--cached", "data/wine.csv")
    reproduced.run("dvc", "add", "data/wine.csv")
    reproduced.run("dvc", "remote", "add", "--default", "storage", "../storage")
    reproduced.commit("the table in DVC")
    reproduced.run("dvc", "push")
    table = reproduced.root / "data/wine.csv"
    edited = table.read_text() + table.read_text().splitlines()[-1] + "\n"
    table.unlink()
    table.write_text(edited)
    reproduced.run("python", "-m", "vintage", "pull")
    assert table.read_text() == edited
