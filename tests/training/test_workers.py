"""Several workers train to the bytes of one, also if they are killed."""

import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT, Project, environment, refused_here
from tests.processes import REPRO, TRAIN, Group, Training, assert_ended, running, start
from tests.training.sharing import printed_lines
from tests.training.test_resume import CONTINUING, STATE, assert_trained, leftovers

pytestmark = pytest.mark.slow

TORCHRUN = ("torchrun", "--standalone", "--nproc-per-node")  # at a port of its own


def workers_of(group: Group) -> list[psutil.Process]:
    """The processes of a training, in the order of their numbers."""
    found = psutil.Process(group.leader.pid).children(recursive=True)
    stages = [each for each in found if each.cmdline()[-2:] == ["-m", "stages.train"]]
    parents = {each.ppid() for each in stages}
    return sorted((each for each in stages if each.pid not in parents), key=lambda each: each.pid)


def test_four_workers_train_every_kind_of_network_to_the_same_bits() -> None:
    done = subprocess.run(
        [*TORCHRUN, "4", "-m", "tests.training.sharing"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    *found, refused = done.stdout.splitlines()
    for line, expected in zip(found, printed_lines(), strict=True):
        if line.startswith("fast"):  # whose sums depend on their order
            shown, wanted = (list(map(float, each.split()[-3:-1])) for each in (line, expected))
            assert shown == pytest.approx(wanted, rel=1e-3)
        else:
            assert line == expected
    assert refused.startswith("there are 4 workers for 3 train rows; ")


def test_three_workers_of_torchrun_of_which_one_is_killed(
    training: Training, tmp_path: Path
) -> None:
    project = training.copy_to(tmp_path / "project")
    group = start(project, *TORCHRUN, "3", "--max-restarts", "1", "-m", "stages.train")
    assert group.until_written(project.root / STATE)
    first, second, third = workers_of(group)
    second.kill()
    assert group.end() == 0
    assert_ended([first, second, third])
    assert len(CONTINUING.findall(group.shown)) == 1
    assert_trained(project, training)
    assert leftovers(project) == []


def test_two_workers_of_dvc_killed_with_it_and_then_one_alone(
    training: Training, tmp_path: Path
) -> None:
    project = training.copy_to(tmp_path / "project")
    project.set_params(**{"compute.workers": 2})
    group = start(project, *REPRO)
    assert group.until_written(project.root / STATE)
    workers = workers_of(group)
    assert len(workers) == 2
    group.kill()
    assert_ended(workers)
    if project.run("dvc", "status", check=False).returncode:
        project.run("python", "-m", "vintage", "mend")
    group = start(project, *REPRO)
    assert group.until_shown("continuing after epoch ")
    workers_of(group)[0].kill()
    assert group.end() == 0, group.complained
    warnings = [line for line in group.complained.splitlines() if "RWLock-file" not in line]
    assert warnings == [
        "warning: worker 0 was ended by SIGKILL; "
        "all workers start again and continue from the last saved epoch"
    ]
    assert len(CONTINUING.findall(group.shown)) == 2
    assert project.outputs() == training.expected


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_a_worker_killed_while_they_prepare(fresh: Project, seconds: float) -> None:
    """The launcher then ends the other, which says nothing of it."""
    fresh.stage("split", check=True)
    fresh.set_params(**{"compute.workers": 2, "train.epochs": 1})
    group = start(fresh, *TRAIN)
    assert group.until(lambda: len(running(fresh, "stages.train", "RANK")) == 2, "two workers")
    group.run_for(seconds)
    workers = running(fresh, "stages.train", "RANK")
    next(each for each in workers if each.environ()["RANK"] == "1").kill()
    assert group.end() == 0, group.complained
    assert group.complained == (
        "warning: worker 1 was ended by SIGKILL; "
        "all workers start again and continue from the last saved epoch\n"
    )


def test_a_signal_ends_all_workers_with_one_line(training: Training, tmp_path: Path) -> None:
    project = training.copy_to(tmp_path / "project")
    project.set_params(**{"compute.workers": 2})
    group = start(project, *TRAIN)
    assert group.until_shown("epoch ")
    workers = workers_of(group)
    for _ in range(3):
        group.send(signal.SIGINT)
    assert group.end() == 130
    assert group.complained == "interrupted; run the same command again to continue\n"
    assert_ended(workers)


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return str(free.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_waits_for_the_others_answers_a_signal(
    fresh: Project, number: signal.Signals
) -> None:
    own = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": free_port()}
    group = start(fresh, *TRAIN, **own)
    leader = psutil.Process(group.leader.pid)

    def waits() -> bool:
        return any(each.laddr.port == int(own["MASTER_PORT"]) for each in leader.net_connections())

    assert group.until(waits, "a worker that waits")
    group.send(number)
    assert group.end() == 128 + number
    assert group.complained.count("\n") == 1
    assert group.complained.endswith("; run the same command again to continue\n")


WHO = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MASTER_ADDR", "", "MASTER_ADDR is not set; it is the address of worker 0"),
        (
            "MASTER_PORT",
            "",
            "MASTER_PORT is ''; it is a free port of worker 0's machine",
        ),
        ("MASTER_PORT", "99999", "MASTER_PORT is '99999'; "),
        ("WORLD_SIZE", "0", "WORLD_SIZE is '0'; it is the number of workers, from 1 to"),
        ("RANK", "2", "RANK is '2'; it is the number of this worker, from 0 to 1"),
        ("RANK", "one", "RANK is 'one'; "),
    ],
)
def test_an_environment_that_does_not_say_who_is_who(
    fresh: Project, monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    for key, good in WHO.items():
        monkeypatch.setenv(key, good)
    monkeypatch.setenv(name, value)
    assert refused_here(fresh.root, "train").startswith(f"environment: {expected}")


def test_workers_that_see_different_files_are_refused(training: Training, tmp_path: Path) -> None:
    port, groups = free_port(), []
    for rank in range(2):
        project = training.copy_to(tmp_path / str(rank))
        if rank:
            project.edit("params.yaml", "seed: 42", "seed: 43")
            project.stage("split", check=True)
        own = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
        groups.append(start(project, *TRAIN, **own, MASTER_PORT=port))
    assert [group.end() for group in groups] == [2, 2]
    line, *others = "".join(group.complained for group in groups).splitlines()
    assert others in ([], [line])  # no launcher ended the second one
    assert line.startswith("error: worker 1 sees another data/tensors/train.safetensors than wor")
