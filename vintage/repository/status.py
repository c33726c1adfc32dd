"""What DVC says of the stages and their outputs."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vintage.repository.dvc_command import run_dvc

PROBLEMS = {"deleted": "is missing", "not in cache": "is not in DVC's cache"}


def check_status(root: Path) -> Iterator[str]:
    """Yields one line for each output that is not what `dvc.lock` says, and each outdated stage.

    DVC trusts a file whose size and time it knows; from an empty memory it reads every byte.
    """
    with tempfile.TemporaryDirectory(prefix="vintage-") as memory:
        status = _status(root, DVC_SITE_CACHE_DIR=memory)
    for stage, changes in status.items():
        for change in changes:
            if isinstance(change, dict) and "changed outs" in change:
                for path, state in change["changed outs"].items():
                    problem = PROBLEMS.get(state, "is not what dvc.lock says")
                    yield f"{path}: {problem}; run `dvc repro`"
            else:
                yield f"stage {stage} is not up to date; run `dvc repro`"


def stale_stages(root: Path) -> list[str]:
    """The stages whose inputs, as far as they exist, are not those in `dvc.lock`.

    In a fresh clone the tensors and the checkpoint are missing, which makes no stage stale.
    """
    return [stage for stage, changes in _status(root).items() if any(map(_makes_stale, changes))]


def _makes_stale(change: Any) -> bool:
    if not isinstance(change, dict):
        return bool(change == "changed command")
    states = change.get("changed deps", {}).values()
    flat = [s for state in states for s in (state.values() if isinstance(state, dict) else [state])]
    return bool({"modified", "new"} & set(flat))


def _status(root: Path, **environment: str) -> dict[str, list[Any]]:
    """By stage, what has changed, as `dvc status` says it."""
    said = json.loads(run_dvc(root, "status", "--json", **environment))
    return {stage.rpartition(":")[2]: changes for stage, changes in said.items()}
