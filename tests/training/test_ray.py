"""Workers on a Ray cluster train to the bytes of one process, also if they are killed."""

import signal
from pathlib import Path

import psutil
import pytest

from tests.conftest import HAS_RAY, NO_CLUSTER, Project, on_a_cluster, only_error
from tests.processes import REPRO, TRAIN, Training, assert_ended, running, start
from tests.training.test_resume import CONTINUING, STATE, assert_trained, leftovers

pytestmark = pytest.mark.slow


def workers_in(project: Project) -> list[psutil.Process]:
    """The processes that train, wherever Ray has started them."""
    return running(project, "stages.train", "RANK")


@on_a_cluster
def test_three_workers_of_which_one_is_killed(
    training: Training, tmp_path: Path, address: str
) -> None:
    project = training.copy_to(tmp_path / "project")
    project.set_params(**{"compute.workers": 3, "compute.launcher": "ray"})
    group = start(project, *REPRO, RAY_ADDRESS=address)
    assert group.until_written(project.root / STATE)
    found = workers_in(project)
    assert len(found) == 3
    next(each for each in found if each.environ()["RANK"] == "2").kill()
    assert group.end() == 0, group.complained
    warnings = [line for line in group.complained.splitlines() if line.startswith("warning: ")]
    assert warnings == [
        "warning: worker 2 was ended by SIGKILL; "
        "all workers start again and continue from the last saved epoch"
    ]
    assert "3 workers on a Ray cluster of 2 nodes\n" in group.shown
    assert len(CONTINUING.findall(group.shown)) == 1
    assert workers_in(project) == []
    assert project.outputs() == training.expected


@on_a_cluster
def test_the_launcher_killed_and_then_one_process_alone(
    training: Training, tmp_path: Path, address: str
) -> None:
    project = training.copy_to(tmp_path / "project")
    project.set_params(**{"compute.workers": 2, "compute.launcher": "ray"})
    group = start(project, *TRAIN, RAY_ADDRESS=address)
    assert group.until_written(project.root / STATE)
    found = workers_in(project)
    group.kill()
    assert_ended(found)
    project.set_params(**{"compute.workers": 1})
    again = start(project, *TRAIN)
    assert again.end() == 0
    assert len(CONTINUING.findall(again.shown)) == 1
    assert_trained(project, training)
    assert leftovers(project) == []


@on_a_cluster
def test_a_signal_ends_all_workers_with_one_line(
    training: Training, tmp_path: Path, address: str
) -> None:
    project = training.copy_to(tmp_path / "project")
    project.set_params(**{"compute.workers": 2, "compute.launcher": "ray"})
    group = start(project, *TRAIN, RAY_ADDRESS=address)
    assert group.until_shown("epoch ")
    found = workers_in(project)
    group.send(signal.SIGINT)
    assert group.end() == 130
    assert group.complained == "interrupted; run the same command again to continue\n"
    assert_ended(found)


@on_a_cluster
def test_a_cluster_that_is_too_small_or_not_there_is_told_in_a_line(
    reproduced: Project, address: str
) -> None:
    reproduced.set_params(**{"compute.workers": 9, "compute.launcher": "ray"})
    train = ("python", "-m", "stages.train")
    done = reproduced.run(*train, check=False, env={"RAY_ADDRESS": address})
    assert only_error(done) == (
        "error: params.yaml: compute.workers: 9 need 8 processors of the Ray cluster beside this "
        "process, and it has 2"
    )
    assert only_error(reproduced.run(*train, check=False, env=NO_CLUSTER)) == (
        "error: compute.launcher: ray needs a Ray cluster, and there is none; start one with `ray "
        "start --head`, or set RAY_ADDRESS (127.0.0.1:1: Connection refused)"
    )


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_it_says_how_to_install_it(reproduced: Project) -> None:
    reproduced.set_params(**{"compute.workers": 2, "compute.launcher": "ray"})
    assert only_error(reproduced.stage("train")) == (
        "error: compute.launcher: ray needs Ray; run `pip install -e '.[ray]'`"
    )
