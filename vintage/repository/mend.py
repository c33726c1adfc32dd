"""Mend what a kill or a full disk did to DVC's own files, before `dvc repro` stumbles over it.

DVC writes `dvc.lock` and `.dvc/tmp/rwlock` in place, so that they can be left empty or cut. A
damaged rwlock, its note of who reads and writes what, stops every later command; so does a folder
of the run cache in which no run is noted yet.
"""

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from vintage.base.console import InputError
from vintage.base.files import check_regular, read_bytes
from vintage.repository.stored import cache_folder, check_kinds_of_files, read_lock_file

RWLOCK = Path(".dvc/tmp/rwlock")
HELD = (Path(".dvc/tmp/lock"), Path(".dvc/tmp/rwlock.lock"))  # by a DVC that reads or writes
LOCK_FILE = Path("dvc.lock")
DAMAGED = Path(".dvc/tmp/dvc.lock.damaged")


def mend(root: Path) -> Iterator[str]:
    """Mend the repository at `root`; yields one line for each thing that was done.

    Raises:
        InputError: it takes a person to decide what is right.
    """
    with ExitStack() as stack:
        if _dvc_runs_in(root) or not _hold_locks(root, stack):
            yield "DVC is at work here, so nothing is mended"
            return
        check_kinds_of_files(root)
        yield from _mend_rwlock(root)
        yield from _mend_run_cache(cache_folder(root))
        yield from _mend_lock_file(root)


def _mend_rwlock(root: Path) -> Iterator[str]:
    path = root / RWLOCK
    try:
        json.loads(read_bytes(path))
    except FileNotFoundError:
        return
    except (ValueError, RecursionError):  # no JSON, or not even text
        path.unlink()
        yield f"{RWLOCK}: was empty or cut, so it is removed"


def _mend_run_cache(cache: Path) -> Iterator[str]:
    for folder in cache.glob("runs/*/*"):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            yield f"{folder}: held no run, so it is removed"


def _mend_lock_file(root: Path) -> Iterator[str]:
    path = root / LOCK_FILE
    if not path.exists():
        return
    try:
        read_lock_file(path)
    except InputError:
        content = read_bytes(path)
        if b"\n<<<<<<< " in content:
            raise InputError(
                f"{LOCK_FILE}: holds a merge conflict; take one side by "
                f"`git checkout --theirs {LOCK_FILE}`, and run the same command again"
            ) from None
        committed = subprocess.run(
            ["git", "show", f"HEAD:./{LOCK_FILE}"], cwd=root, capture_output=True, check=False
        )
        if committed.returncode:
            raise InputError(
                f"{LOCK_FILE}: empty or cut, and Git holds none to mend it with; delete it"
            ) from None
        (root / DAMAGED).parent.mkdir(exist_ok=True)
        path.replace(root / DAMAGED)
        path.write_bytes(committed.stdout)
        yield f"{LOCK_FILE}: was empty or cut; it is as in Git again, and the cut one is {DAMAGED}"


def _hold_locks(root: Path, stack: ExitStack) -> bool:
    """Keep DVC from starting to read or write meanwhile; False if one does already."""
    for path in HELD:
        if (root / path).exists():
            check_regular(root / path)
            file = stack.enter_context((root / path).open())
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
    return True


def _dvc_runs_in(root: Path) -> bool:
    """Whether a `dvc` command was started in `root`; one that waits for its stage holds no lock."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = (process / "cwd").samefile(root)
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is another user's
            continue
        if here and b"dvc" in (os.path.basename(word) for word in words[:3]):  # noqa: PTH119
            return True
    return False
