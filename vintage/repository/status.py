"""What DVC says of the stages and their outputs, and whether its cache is as it was written."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vintage.repository.dvc_command import run_dvc
from vintage.repository.lock_file import read_lock_file

PROBLEMS = {"deleted": "is missing", "not in cache": "is not in DVC's cache"}


def check_status(root: Path) -> Iterator[str]:
    """Yields one line for each output that is not what `dvc.lock` says, and each outdated stage.

    DVC trusts a file whose size and time it knows; from an empty memory it reads every byte.
    """
    with tempfile.TemporaryDirectory(prefix="vintage-") as memory:
        for stage, change, states in _status(root, DVC_SITE_CACHE_DIR=memory):
            if change != "changed outs":
                yield f"stage {stage} is not up to date; run `dvc repro`"
                continue
            for path, state in states.items():
                yield f"{path}: {PROBLEMS.get(state, 'is not what dvc.lock says')}; run `dvc repro`"


def stale_stages(root: Path) -> list[str]:
    """The stages whose inputs, as far as they exist, are not those in `dvc.lock`.

    In a fresh clone the tensors and the checkpoint are missing, which makes no stage stale.
    """
    stale = [
        stage
        for stage, change, states in _status(root)
        if change == "changed command"
        or (change == "changed deps" and {"modified", "new"} & {*states.values()})
    ]
    return list(dict.fromkeys(stale))


def _status(root: Path, **environment: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Each stage and what has changed, with the states by path or parameter, from `dvc status`."""
    for address, changes in json.loads(run_dvc(root, "status", "--json", **environment)).items():
        stage = address.rpartition(":")[2]
        for change in changes:
            for kind, found in (change if isinstance(change, dict) else {change: {}}).items():
                states: dict[str, str] = {}
                for path, state in found.items():
                    states |= state if isinstance(state, dict) else {path: state}
                yield stage, kind, states


def check_cache(root: Path) -> Iterator[str]:
    """Yields one line for each file in DVC's cache that does not have the hash in its name.

    DVC trusts whatever read-only file it finds there, and would restore one that was cut.
    """
    files = cache_folder(root) / "files/md5"
    due = [out.md5 for stage in read_lock_file(root).stages.values() for out in stage.outs]
    while due:
        md5 = due.pop()
        path = files / md5[:2] / md5[2:]
        if not path.exists():  # a cache may be deleted while its files are in the workspace
            continue
        content = path.read_bytes()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5.removesuffix(".dir"):
            shown = os.path.relpath(path, root)
            yield f"{shown}: damaged in DVC's cache; delete this file and run `dvc repro`"
        elif md5.endswith(".dir"):
            due += [entry["md5"] for entry in json.loads(content)]


def cache_folder(root: Path) -> Path:
    """Where DVC keeps its cache, which its configuration may move."""
    return Path(run_dvc(root, "cache", "dir").strip())
