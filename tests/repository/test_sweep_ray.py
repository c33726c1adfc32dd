"""A search on a Ray cluster makes the experiments of one in a single process."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.conftest import NO_CLUSTER, Project, on_a_cluster, only_error
from tests.processes import Group, assert_ended, running, start
from tests.repository.test_sweep import GRID, SWEEP, experiments, trees, trials_of

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = [pytest.mark.slow, on_a_cluster]

TRIALS = ("--trials", "3", "train.learning_rate=1e-3..1e-1", "model.hidden=[8],[4]")


@pytest.fixture(scope="module")
def expected(_reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone in which the same was searched in a single process."""
    project = _reproduced.copy_to(tmp_path_factory.mktemp("expected") / "project")
    project.run(*SWEEP, *GRID)
    return project


def packs_in(project: Project) -> list[psutil.Process]:
    return running(project, "vintage.repository.pack_process")


def until_packs(group: Group, project: Project, known: list[psutil.Process]) -> psutil.Process:
    """Wait for a process that trains, and is none of those that are known."""
    found: list[psutil.Process] = []

    def is_there() -> bool:
        found[:] = [each for each in packs_in(project) if each not in known]
        return bool(found)

    assert group.until(is_there, "a pack"), group.complained
    return found[0]


def test_packs_whose_process_or_task_is_killed_are_trained_again_to_the_same_bytes(
    reproduced: Project, expected: Project, address: str
) -> None:
    group = start(reproduced, *SWEEP, *GRID, "--ray", RAY_ADDRESS=address)
    first = until_packs(group, reproduced, [])
    first.kill()
    second = until_packs(group, reproduced, [first])
    second.parent().kill()
    assert group.end() == 0, group.complained
    assert sorted(group.complained.splitlines()) == [
        "warning: a pack is trained again: its process was ended by SIGKILL",
        "warning: a pack is trained again: its task or its node has gone",
    ]
    told = "a Ray cluster of 2 nodes, 2 processors\n" + 2 * "training 4 settings together\n"
    assert group.shown.startswith(told)  # then Ray tells of its own process, too
    assert group.shown.endswith(expected.run(*SWEEP, "--show").stdout)
    assert_ended([second, *packs_in(reproduced)])
    assert trees(reproduced) == trees(expected)
    assert reproduced.run("git", "status", "--short").stdout == ""


def test_packs_of_a_node_that_goes_are_trained_on_another(
    reproduced: Project, expected: Project, cluster: "Cluster"
) -> None:
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    group = start(reproduced, *SWEEP, *GRID, "--ray", RAY_ADDRESS=cluster.address)
    try:
        assert group.until(lambda: len(packs_in(reproduced)) == 3, "three packs"), group.complained
        found = packs_in(reproduced)
    finally:
        cluster.remove_node(node, allow_graceful=False)
    assert group.end() == 0, group.complained
    assert group.complained == ("warning: a pack is trained again: its task or its node has gone\n")
    assert group.shown.count("training 2 settings together\n") == 4
    assert_ended(found)
    assert trees(reproduced) == trees(expected)


def test_ctrl_c_leaves_what_is_finished_and_the_rest_goes_on(
    reproduced: Project, expected: Project, address: str
) -> None:
    grid = ("model.hidden=[8],[4],[6]", *GRID[1:])  # three packs, for two processors
    group = start(reproduced, *SWEEP, *grid, "--ray", RAY_ADDRESS=address)
    assert group.until(lambda: len(experiments(reproduced)) > 0, "an experiment")
    until_packs(group, reproduced, [])
    found = packs_in(reproduced)
    for _ in range(3):
        group.send(signal.SIGINT)
    assert group.end() == 130
    assert group.complained == "interrupted; run the same command again to continue\n"
    assert_ended(found)
    n_before = len(experiments(reproduced))
    assert 0 < n_before < 12
    shown = reproduced.run(*SWEEP, *grid, "--ray", env={"RAY_ADDRESS": address}).stdout
    assert f"{n_before} of 12 settings were trained before\n" in shown
    found_trees, expected_trees = trees(reproduced), trees(expected)
    assert len(found_trees) == 12
    assert {ref: found_trees[ref] for ref in expected_trees} == expected_trees


def test_optuna_proposes_the_same(reproduced: Project, tmp_path: Path, address: str) -> None:
    alone = reproduced.copy_to(tmp_path / "alone")
    alone.run(*SWEEP, *TRIALS)
    reproduced.run(*SWEEP, *TRIALS, "--ray", env={"RAY_ADDRESS": address})
    assert trees(reproduced) == trees(alone)
    found, own = ([(t.params, t.value) for t in trials_of(p)] for p in (reproduced, alone))
    assert found == own


def test_a_setting_that_cannot_be_trained_leaves_the_others(
    reproduced: Project, address: str
) -> None:
    grid = ("train.learning_rate=0.02,1000", "model.normalize=none")
    done = reproduced.run(*SWEEP, *grid, "--ray", env={"RAY_ADDRESS": address})
    assert done.stdout.count(": not trained: the loss is no longer finite") == 1
    assert len(experiments(reproduced)) == 1


def test_without_a_cluster_one_line_says_how_to_start_one(fresh: Project) -> None:
    done = fresh.run(*SWEEP, "train.epochs=1,2", "--ray", check=False, env=NO_CLUSTER)
    assert only_error(done) == (
        "error: --ray needs a Ray cluster, and there is none; start one with `ray start --head`, "
        "or set RAY_ADDRESS (127.0.0.1:1: Connection refused)"
    )
