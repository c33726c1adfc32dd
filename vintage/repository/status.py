"""What DVC says of the stages and their outputs."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vintage.repository.dvc_command import run_dvc

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
