"""Faults of the machine: each is told in a line, loses nothing good, and `make repro` mends it."""

import os
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA

from tests.conftest import Project, only_error, run_here
from tests.processes import REPRO, TRAIN, Training, start
from tests.training.test_resume import CONTINUING, LOSSES, STATE, assert_trained, finish
from vintage.base.console import InputError
from vintage.repository.lock_file import read_lock_file

pytestmark = pytest.mark.slow

MAKE_REPRO = ("make", "-o", ".venv/installed", "repro")  # without installing
RWLOCK = ".dvc/tmp/rwlock"

# a file system of its own needs a mount, which is gone when the last process in it ends
CAN_MOUNT = (
    subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        check=False,
    ).returncode
    == 0
    if shutil.which("unshare")
    else False
)
needs_mount = pytest.mark.skipif(not CAN_MOUNT, reason="this user may not mount")


def check(project: Project, code: int) -> list[str]:
    done = run_here(project.root, "check")
    assert done.returncode == code, done.stdout + done.stderr
    return re.sub(r"^(V\d|  ).*\n", "", done.stdout, flags=re.MULTILINE).splitlines()


def limited(kilobytes: int, *command: str) -> tuple[str, ...]:
    """The command, which cannot write a longer file: to it the disk is full."""
    return ("bash", "-c", f'ulimit -f {kilobytes}; exec "$@"', "bash", *command)


def read_only(folder: str, *command: str) -> tuple[str, ...]:
    """The command, which sees a folder as read-only; root would ignore mere permissions."""
    mounts = f"mkdir -p {folder}; mount --bind {folder} {folder}; mount -o remount,ro,bind {folder}"
    script = f'{mounts}; cd "$PWD"; exec "$@"'
    return ("unshare", "--mount", "bash", "-c", script, "bash", *command)


def test_a_state_that_cannot_be_saved_ends_no_training(training: Training, tmp_path: Path) -> None:
    commands = {"File too large": limited(100, *TRAIN)}
    if CAN_MOUNT:
        commands["Read-only file system"] = read_only("data/resume", *TRAIN)
    for reason, command in commands.items():
        project = training.copy_to(tmp_path / reason)
        done = project.run(*command)
        assert done.stderr == (
            f"warning: {STATE}: cannot be written ({reason}); the training goes on, but if it is "
            "killed, what it has done since its last save is lost\n"
        )
        assert_trained(project, training)


def test_a_full_disk_fails_the_stage_with_one_line(training: Training, tmp_path: Path) -> None:
    project = training.copy_to(tmp_path / "project")
    failed = project.run(*limited(30, *TRAIN), check=False)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("error: ")
    assert failed.stderr.splitlines()[-1].endswith(": File too large")
    assert "Traceback" not in failed.stderr
    assert list(project.root.glob("**/.*.tmp")) == []
    finish(project, training)


def test_a_full_disk_cuts_dvc_lock(reproduced: Project) -> None:
    """DVC writes it in place; the gate's change reruns the report alone, whose files are small."""
    reproduced.edit("params.yaml", "require: {}", "require: {log_loss: 1.2}")
    undisturbed = reproduced.copy_to(reproduced.root.parent / "undisturbed")
    undisturbed.repro()
    failed = reproduced.run(*limited(10, *REPRO), check=False)
    assert failed.returncode != 0
    assert "ERROR: " in failed.stderr
    reproduced.run(*MAKE_REPRO)
    assert reproduced.outputs() == undisturbed.outputs()


@needs_mount
def test_a_full_file_system(training: Training, tmp_path: Path) -> None:
    disk, back = tmp_path / "disk", tmp_path / "back"
    disk.mkdir()
    script = f"""
        set -e
        mount -t tmpfs none {disk}
        cp -a {training.project.root}/. {disk} && cd {disk}
        mount -o remount,size=$(( $(du -sk . | cut -f 1) + 40 ))k {disk}
        ! dvc repro
        mount -o remount,size=100m {disk}
        {" ".join(MAKE_REPRO)}
        cp -a . {back}
    """
    done = training.project.run("unshare", "--mount", "bash", "-c", script)
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert Project(back).outputs() == training.expected


@needs_mount
def test_a_full_disk_ends_a_split_in_parts(fresh: Project, tmp_path: Path) -> None:
    fresh.set_params(**{"split.by": "hash", "split.val_size": 0.1, "compute.streaming": True})
    (disk := tmp_path / "disk").mkdir()
    script = f"""
        set -e
        mount -t tmpfs none {disk}
        cp -a . {disk} && cd {disk}
        mount -o remount,size=$(( $(du -sk . | cut -f 1) + 40 ))k {disk}
        set +e
        python -m stages.split
        code=$?
        ls data
        exit $code
    """
    failed = fresh.run("unshare", "--mount", "bash", "-c", script, check=False)
    assert "data/scratch: no space left on the disk; docs/large_tables.md" in only_error(failed, 1)
    assert "scratch" not in failed.stdout


@needs_mount
def test_a_read_only_folder(training: Training, tmp_path: Path) -> None:
    project = training.copy_to(tmp_path / "project")
    for folder in ("data", "metrics", "."):
        failed = project.run(*read_only(folder, *REPRO), check=False)
        assert failed.returncode != 0
        assert "Read-only file system" in failed.stderr
        assert "Traceback" not in failed.stderr
    finish(project, training)


def test_while_dvc_runs_no_other_run_starts_and_nothing_is_mended(
    training: Training, tmp_path: Path
) -> None:
    project = training.copy_to(tmp_path / "project")
    group = start(project, *REPRO)
    assert group.until_shown("epoch ")
    rwlock = project.root / RWLOCK
    held = rwlock.read_bytes()
    rwlock.write_bytes(b"")
    assert run_here(project.root, "mend").stdout == "DVC is at work here, so nothing is mended\n"
    assert rwlock.read_bytes() == b""
    rwlock.write_bytes(held)
    second = project.run(*REPRO, check=False)
    assert second.returncode != 0
    assert f"is busy, it is being blocked by:\n  (PID {group.leader.pid}): " in second.stderr
    group.kill()
    rwlock.write_bytes(b"")
    assert "is removed" in run_here(project.root, "mend").stdout
    finish(project, training)


def test_two_runs_that_start_together(training: Training, tmp_path: Path) -> None:
    project = training.copy_to(tmp_path / "project")
    other = Project(project.root)
    groups = [start(project, *REPRO), start(other, *REPRO, "--verbose")]
    assert 0 in [group.end() for group in groups]  # a run that another one meets goes on
    assert "Traceback" not in groups[0].complained
    finish(project, training)


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])
def test_a_stage_ends_with_its_dvc(training: Training, shell: str, tmp_path: Path) -> None:
    project = training.copy_to(tmp_path / "project")
    group = start(project, *REPRO, SHELL=shell)
    assert group.until_written(project.root / STATE)
    os.kill(group.leader.pid, signal.SIGKILL)
    assert group.end() == -signal.SIGKILL
    assert group.complained == "terminated; run the same command again to continue\n"
    assert not (project.root / LOSSES).exists()
    if shell == "/bin/sh":
        assert CONTINUING.search(finish(project, training))


def test_a_damaged_rwlock(reproduced: Project) -> None:
    before = reproduced.outputs()
    path = reproduced.root / RWLOCK
    said = f"{RWLOCK}: was empty or cut and is removed\n"
    for content in (b'{"write": {"/x": {"pi', b"\xff"):
        path.write_bytes(content)
        assert run_here(reproduced.root, "mend").stdout == said
    path.write_bytes(b"")
    failed = reproduced.run(*REPRO, check=False)
    assert failed.returncode != 0
    assert said in reproduced.run(*MAKE_REPRO).stdout
    assert reproduced.outputs() == before


def test_an_empty_folder_of_the_run_cache(reproduced: Project) -> None:
    """A kill between two steps of DVC leaves it, and `dvc repro` then fails for good."""
    reproduced.edit("stages/evaluate.py", 'f"scored {', 'f"has scored {')
    undisturbed = reproduced.copy_to(reproduced.root.parent / "undisturbed")
    assert undisturbed.repro() == ["evaluate"]
    for run in (undisturbed.root / ".dvc/cache/runs").glob("*/*"):
        (reproduced.root / run.relative_to(undisturbed.root)).mkdir(parents=True, exist_ok=True)
    assert reproduced.run(*REPRO, check=False).returncode != 0
    assert "held no run and is removed\n" in reproduced.run(*MAKE_REPRO).stdout
    assert reproduced.outputs() == undisturbed.outputs()


CUTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "in a word": lambda content: content[: content.index(b"    deps:") + 6],
    "in a number": lambda content: content[: content.rindex(b"size: ") + 7],
    "without its last byte": lambda content: content[:-1],
    "without its last line": lambda content: content[: content.rindex(b"\n", 0, -1) + 1],
    "no text": lambda content: content + b"\xff\n",
}


def test_a_damaged_dvc_lock(reproduced: Project) -> None:
    before = reproduced.outputs()
    path = reproduced.root / "dvc.lock"
    problem = "dvc.lock: empty or cut; `make repro` mends it"
    for said, cut in CUTS.items():
        path.write_bytes(cut(before["dvc.lock"]))
        if said == "in a word":
            failed = reproduced.run(*REPRO, check=False)
            assert failed.returncode != 0
            assert "dvc.lock" in failed.stderr
            assert f"wrong: {problem}" in check(reproduced, 1)
        with pytest.raises(InputError, match=problem):
            read_lock_file(reproduced.root)
        mended = run_here(reproduced.root, "mend").stdout
        assert mended == "dvc.lock: was empty or cut; Git's is in its place\n", said
        assert reproduced.outputs() == before
    assert reproduced.repro() == []


def test_a_dvc_lock_cut_between_lines_is_mended_or_made_whole(
    reproduced: Project, rng: random.Random
) -> None:
    """Where too little is missing to tell, DVC itself sees that something changed."""
    before = reproduced.outputs()
    path = reproduced.root / "dvc.lock"
    lines = before["dvc.lock"].splitlines(keepends=True)
    unnoticed = []
    for number in range(len(lines)):
        path.write_bytes(b"".join(lines[:number]))
        try:
            read_lock_file(reproduced.root)
        except InputError:
            continue
        unnoticed.append(number)
        COMPILED_LOCKFILE_SCHEMA(
            yaml.load(path.read_bytes(), yaml.CSafeLoader)
        )  # DVC can read it as well
    number = rng.choice(unnoticed)
    print(f"cut before line {number + 1}")
    path.write_bytes(b"".join(lines[:number]))
    reproduced.repro()
    assert reproduced.outputs() == before


def test_a_dvc_lock_that_only_a_person_can_mend(reproduced: Project) -> None:
    path = reproduced.root / "dvc.lock"
    path.write_bytes(conflict := b"schema: '2.0'\n<<<<<<< HEAD\nstages:\n")
    done = run_here(reproduced.root, "mend")
    assert (done.returncode, path.read_bytes()) == (2, conflict)
    assert done.stderr.startswith("error: dvc.lock: holds a merge conflict; take one side by ")
    reproduced.run("git", "rm", "-q", "--cached", "dvc.lock")
    reproduced.run("git", "commit", "-q", "-m", "no lock")
    path.write_bytes(b"")
    done = run_here(reproduced.root, "mend")
    assert (done.returncode, path.read_bytes()) == (2, b"")
    assert done.stderr == ("error: dvc.lock: empty or cut, and Git has no other one; delete it\n")


PREDICT = ("predict", "data/wine.csv")


@needs_mount
def test_the_status_of_a_read_only_checkout(reproduced: Project) -> None:
    for command in ("check", "stale"):
        done = reproduced.run(*read_only(".", "python", "-m", "vintage", command), check=False)
        said = only_error(done) if command == "stale" else done.stdout
        assert "dvc status failed: unexpected error - [Errno 30] Read-only file system" in said


def test_stages_have_their_names_wherever_it_runs(reproduced: Project) -> None:
    reproduced.set_params(**{"evaluate.confidence": 0.9})
    code = {"PYTHONPATH": str(reproduced.root)}
    inside = Project(reproduced.root / "metrics")
    done = inside.run("python", "-m", "vintage", "stale", env=code)
    assert done.stdout == "evaluate, baseline, explain, report\n"


@pytest.mark.parametrize(
    "arguments",
    [[], ["nothing"], ["predict"], ["predict", "x", "--rows", "0"], ["show", "x", "y"]],
)
def test_a_wrong_command_line_gets_one_line(fresh: Project, arguments: list[str]) -> None:
    line = only_error(fresh.run("python", "-m", "vintage", *arguments, check=False))
    assert re.search(r"; see `vintage( predict)? --help`$", line)


def test_a_link_to_a_file_is_one(reproduced: Project) -> None:
    path = reproduced.root / "data/checkpoint/model.safetensors"
    path.replace(reproduced.root / "elsewhere")
    path.symlink_to(reproduced.root / "elsewhere")
    assert run_here(reproduced.root, *PREDICT).returncode == 0


def cached(project: Project, md5: str) -> Path:
    return project.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def test_a_truncated_file_in_the_cache(reproduced: Project) -> None:
    before = reproduced.outputs()
    locked = read_lock_file(reproduced.root)
    for out in ("data/tensors/train.safetensors", "data/checkpoint"):
        md5 = next(o.md5 for s in locked.stages.values() for o in s.outs if o.path == out)
        path = cached(reproduced, md5)
        path.chmod(0o644)
        os.truncate(path, path.stat().st_size // 2)
        path.chmod(0o444)  # which is why DVC trusts it
        shown = path.relative_to(reproduced.root)
        expected = f"wrong: {shown}: damaged in DVC's cache; delete this file and run `dvc repro`"
        assert expected in check(reproduced, 1)
        path.unlink()
        reproduced.repro()
        assert reproduced.outputs() == before
    assert check(reproduced, 0) == ["the outputs are valid"]


def test_a_changed_file_of_the_same_size_and_time(reproduced: Project) -> None:
    """DVC would not look at it again."""
    for out, name in (("data/checkpoint", "model.safetensors"), ("metrics/predictions.csv", "")):
        path = reproduced.root / out / name
        before = path.stat()
        content = bytearray(path.read_bytes())
        content[-2] ^= 1
        path.chmod(0o644)
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = check(reproduced, 1)
    for out in ("data/checkpoint", "metrics/predictions.csv"):
        assert f"wrong: {out}: is not what dvc.lock says; run `dvc repro`" in found


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("data/wine.csv", "split"),
        ("params.yaml", "split"),
        ("data/tensors/train.safetensors", "train"),
        ("metrics/details.json", "report"),
    ],
)
def test_a_pipe_in_place_of_a_file_is_refused_and_hangs_nothing(
    reproduced: Project, path: str, stage: str
) -> None:
    file = reproduced.root / path
    file.unlink()
    os.mkfifo(file)
    assert only_error(reproduced.stage(stage)).startswith(
        f"error: {path}: is a folder, a pipe or a"
    )


def test_what_dvc_left_half_written_is_removed(reproduced: Project) -> None:
    left, own = (
        reproduced.root / "metrics" / name for name in (".6pVVjA8o_GM3F9VtRlTQHg.tmp", ".own.tmp")
    )
    for path in (left, own):
        path.write_text("half")
    assert "half written by DVC and is removed" in run_here(reproduced.root, "mend").stdout
    assert (left.exists(), own.exists()) == (False, True)
