"""Predictions, parameters and seed-to-seed spread of a revision; the workspace is left alone.

A revision is `workspace`, anything that Git takes for a commit, or the name of a DVC experiment,
which is a commit under refs/exps/. Its files are read from Git, or from DVC's cache where Git does
not have them.

The parameters are those that the results were made with, by `dvc.lock`. `params.yaml` may ask for
others if the pipeline has not run since.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from vintage.base.console import InputError
from vintage.base.files import parse_json, parse_yaml, read_bytes
from vintage.base.params import PARAMS_PATH, IntervalParams
from vintage.repository.git import find_commit, run_git
from vintage.repository.lock_file import LOCK_FILE, LockFile, parse_lock_file
from vintage.scores.evaluation import replica_stds
from vintage.scores.predictions import Predictions, parse_predictions

WORKSPACE = "workspace"
PREDICTIONS_PATH = Path("metrics/predictions.csv")
DETAILS_PATH = Path("metrics/details.json")
AUTO = "auto"
# the later a stage is listed here, the more it is the one that a parameter acts on
STAGES = ("report", "baseline", "evaluate", "train", "split")


Std = Annotated[float, Field(ge=0, le=1e6)]  # whose powers are numbers, too


class Details(BaseModel):
    """What is used here of `details.json`, of whatever version."""

    resolved: dict[str, str] = {}
    replicas: dict[str, Std | None] | None = None


@dataclass(frozen=True)
class Revision:
    """What a revision holds.

    Attributes:
        name: as it was asked for.
        commit: None for the workspace.
        params: what the results were made with, by dotted key, such as `train.epochs`.
        resolved: by dotted key, what a parameter that is `auto` stood for.
        table_md5: of the table that was split; None if `dvc.lock` does not tell.
        replicas: how many networks were trained.
        stds: standard deviation of metrics over replicas; empty if it is not recorded.
        warnings: why the results may not belong to the parameters, a sentence each.
    """

    name: str
    commit: str | None
    predictions: Predictions
    params: dict[str, Any]
    resolved: dict[str, str]
    table_md5: str | None
    replicas: int
    stds: dict[str, float]
    warnings: list[str]

    def interval_params(self) -> IntervalParams:
        """How its intervals were computed; InputError if the parameters do not say so."""
        values = {key: self.params.get(f"evaluate.{key}") for key in IntervalParams.model_fields}
        try:
            return IntervalParams.model_validate(values)
        except ValidationError as error:
            key = ".".join(map(str, error.errors()[0]["loc"]))
            raise InputError(
                f"{PARAMS_PATH} of {self.name}: evaluate.{key} is missing or impossible"
            ) from None


def read_revision(name: str) -> Revision:
    """Read a revision.

    Raises:
        InputError: there is no such revision, it has no predictions, or no valid ones.
    """
    commit = None if name == WORKSPACE else find_commit(name)
    content = _needed(commit, PREDICTIONS_PATH, name)
    predictions = parse_predictions(content, f"{PREDICTIONS_PATH} of {name}")
    asked = flat(parse_yaml(_needed(commit, PARAMS_PATH, name), f"{PARAMS_PATH} of {name}"))
    details = Details()
    if found := read_file(commit, DETAILS_PATH):
        details = parse_json(found, f"{DETAILS_PATH} of {name}", Details)
    lock = None
    if found := read_file(commit, Path(LOCK_FILE)):
        lock = parse_lock_file(found, f"{LOCK_FILE} of {name}")
    params = asked | (_locked_params(lock) if lock else {})
    replicas = params.get("train.replicas", 1)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return Revision(
        name=name,
        commit=commit,
        predictions=predictions,
        params=params,
        resolved={key: text for key, text in details.resolved.items() if params.get(key) == AUTO},
        table_md5=_table_md5(lock, str(params.get("data.path"))) if lock else None,
        replicas=replicas if isinstance(replicas, int) else 1,
        stds=replica_stds(details.replicas),
        warnings=list(_staleness(name, asked, lock, md5)),
    )


def flat(sections: Any) -> dict[str, Any]:
    """The values of a parameter file by dotted key."""
    return {
        f"{section}.{key}": value
        for section, values in (sections.items() if isinstance(sections, dict) else ())
        for key, value in (values.items() if isinstance(values, dict) else ())
    }


def read_file(commit: str | None, path: Path) -> bytes | None:
    """The content of a file at a commit, or in the workspace; None if it is not there."""
    if commit is None:
        return read_bytes(path) if path.exists() else None
    blob = run_git("cat-file", "blob", f"{commit}:./{path.as_posix()}")
    return blob.stdout if blob.returncode == 0 else _read_from_cache(commit, path)


def _needed(commit: str | None, path: Path, name: str) -> bytes:
    content = read_file(commit, path)
    if content is None:
        where = f"in {name}, neither in Git nor in DVC's cache" if commit else "in the workspace"
        advice = "try `dvc fetch`" if commit else "run `dvc repro` to make it"
        raise InputError(f"{path}: not found {where}; {advice}")
    return content


def _read_from_cache(commit: str, path: Path) -> bytes | None:
    import dvc.api  # half a second, and rarely needed
    from dvc.exceptions import DvcException

    try:
        content: bytes = dvc.api.read(path.as_posix(), repo=".", rev=commit, mode="rb")
    except (DvcException, FileNotFoundError, IsADirectoryError):
        return None
    return content


def _locked_params(lock: LockFile) -> dict[str, Any]:
    """The parameters that the stages ran with, by dotted key."""
    params: dict[str, Any] = {}
    for stage in STAGES:
        params |= flat(lock.params_of(stage))
    return params


def _table_md5(lock: LockFile, path: str) -> str | None:
    deps = lock.stages["split"].deps if "split" in lock.stages else []
    return next((dep.md5 for dep in deps if dep.path == path), None)


def _staleness(
    name: str, asked: Mapping[str, Any], lock: LockFile | None, predictions_md5: str
) -> Iterator[str]:
    """What shows that the pipeline has not run since its inputs changed."""
    if lock is None:
        yield f"{name} has no {LOCK_FILE}, so its parameters are those of {PARAMS_PATH}."
        return
    locked = _locked_params(lock)
    for key in sorted({*asked, *locked}):
        if asked.get(key) != locked.get(key):
            yield (
                f"{PARAMS_PATH} of {name} says {key} {_shown(asked, key)}, and the results were "
                f"made with {_shown(locked, key)}; run `dvc repro`."
            )
    made = {out.path: out.md5 for stage in lock.stages.values() for out in stage.outs}
    if made.get(PREDICTIONS_PATH.as_posix(), predictions_md5) != predictions_md5:
        yield f"{PREDICTIONS_PATH} of {name} is not what {LOCK_FILE} says; run `dvc repro`."
    for stage, entry in lock.stages.items():
        if any(made.get(dep.path, dep.md5) != dep.md5 for dep in entry.deps):
            yield f"In {name}, stage {stage} has not run since its inputs changed; run `dvc repro`."


def _shown(params: Mapping[str, Any], key: str) -> str:
    return json.dumps(params[key], default=str) if key in params else "nothing"
