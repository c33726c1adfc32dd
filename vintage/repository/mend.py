"""Mend what a kill or a full disk did to DVC's own files, before `dvc repro` stumbles over it.

DVC writes `dvc.lock` and `.dvc/tmp/rwlock` in place, so a kill can leave them empty or cut. A
damaged rwlock, its note of who reads and writes what, stops every later command; so does a folder
of the run cache in which no run is noted yet. What it was about to write lies beside the outputs.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

from vintage.base.console import InputError
from vintage.repository.cache import cache_folder
from vintage.repository.git import run_git
from vintage.repository.lock_file import LOCK_FILE, read_lock_file

RWLOCK = ".dvc/tmp/rwlock"
TEMPORARY = re.compile(r"\.[\w-]{22}\.tmp")  # as DVC names files that it writes


def mend(root: Path) -> Iterator[str]:
    """Mend the repository at `root`; yields one line for each thing that was done.

    Raises:
        InputError: only a person can decide what is right.
    """
    if _dvc_runs_in(root):
        yield "DVC is at work here, so nothing is mended"
        return
    if (root / RWLOCK).exists():
        try:
            json.loads((root / RWLOCK).read_bytes())
        except ValueError:
            (root / RWLOCK).unlink()
            yield f"{RWLOCK}: was empty or cut and is removed"
    for folder in cache_folder(root).glob("runs/*/*/"):
        if not any(folder.iterdir()):
            folder.rmdir()
            yield f"{folder}: held no run and is removed"
    if (root / LOCK_FILE).exists():
        yield from _mend_lock_file(root)
        outs = [out for stage in read_lock_file(root).stages.values() for out in stage.outs]
        for folder in sorted({(root / out.path).parent for out in outs}):
            for path in folder.glob(".*.tmp"):
                if TEMPORARY.fullmatch(path.name):
                    path.unlink()
                    yield f"{path}: was half written by DVC and is removed"


def _mend_lock_file(root: Path) -> Iterator[str]:
    path = root / LOCK_FILE
    try:
        read_lock_file(root)
    except InputError:
        if b"\n<<<<<<< " in path.read_bytes():
            raise InputError(
                f"{LOCK_FILE}: holds a merge conflict; take one side by "
                f"`git checkout --theirs {LOCK_FILE}`, and run the same command again"
            ) from None
        if run_git("checkout", "HEAD", "--", str(path)).returncode:
            raise InputError(
                f"{LOCK_FILE}: empty or cut, and Git has no other one; delete it"
            ) from None
        yield f"{LOCK_FILE}: was empty or cut; Git's is in its place"


def _dvc_runs_in(root: Path) -> bool:
    """Whether a `dvc` command was started in `root`; one that waits for its stage holds no lock."""
    here = str(root.resolve())
    return any(
        process.info["cwd"] == here and "dvc" in (Path(word).name for word in command[:3])
        for process in psutil.process_iter(["cwd", "cmdline"])
        if (command := process.info["cmdline"])
    )
