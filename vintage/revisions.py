"""Predictions, parameters and seed-to-seed spread of a revision; the workspace is left alone.

A revision is `workspace`, anything that Git takes for a commit, or the name of a DVC experiment,
which is a commit under refs/exps/. Its files are read from Git, or from DVC's cache where Git does
not have them.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vintage.console import InputError
from vintage.files import read_bytes
from vintage.git import find_commit, run_git
from vintage.params import PARAMS_PATH, IntervalParams, parse_yaml
from vintage.predictions import Predictions, parse_predictions

WORKSPACE = "workspace"
PREDICTIONS_PATH = Path("metrics/predictions.csv")
EVALUATION_PATH = Path("metrics/evaluation.json")
STD = "_std"


@dataclass(frozen=True)
class Revision:
    """What a revision holds.

    Attributes:
        name: as it was asked for.
        commit: None for the workspace.
        params: `params.yaml` by dotted key, such as `train.epochs`.
        replicas: how many networks were trained.
        stds: standard deviation of metrics over replicas; empty if it is not recorded.
    """

    name: str
    commit: str | None
    predictions: Predictions
    params: dict[str, Any]
    replicas: int
    stds: dict[str, float]

    def interval_params(self) -> IntervalParams:
        """How its intervals were computed; InputError if params.yaml does not say so."""
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
    predictions = parse_predictions(
        _needed(commit, PREDICTIONS_PATH, name), f"{PREDICTIONS_PATH} of {name}"
    )
    source = Path(f"{PARAMS_PATH} of {name}")
    params = flat(parse_yaml(_text(_needed(commit, PARAMS_PATH, name), source), source))
    replicas = params.get("train.replicas", 1)
    return Revision(
        name=name,
        commit=commit,
        predictions=predictions,
        params=params,
        replicas=replicas if isinstance(replicas, int) else 1,
        stds=_read_stds(_read(commit, EVALUATION_PATH), name),
    )


def flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys; anything but sections is a value."""
    if not isinstance(content, Mapping):
        return {prefix: content} if prefix else {}
    keys: dict[str, Any] = {}
    for key, value in content.items():
        keys.update(flat(value, f"{prefix}.{key}" if prefix else str(key)))
    return keys


def _needed(commit: str | None, path: Path, name: str) -> bytes:
    content = _read(commit, path)
    if content is None:
        where = f"in {name}, neither in Git nor in DVC's cache" if commit else "in the workspace"
        advice = "try `dvc fetch`" if commit else "run `dvc repro` to make it"
        raise InputError(f"{path}: not found {where}; {advice}")
    return content


def _read(commit: str | None, path: Path) -> bytes | None:
    """The content of a file at a commit, or in the workspace; None if it is not there."""
    if commit is None:
        return read_bytes(path) if path.exists() else None
    blob = run_git("cat-file", "blob", f"{commit}:./{path.as_posix()}")
    return blob.stdout if blob.returncode == 0 else _read_from_cache(commit, path)


def _read_from_cache(commit: str, path: Path) -> bytes | None:
    import dvc.api  # half a second, and rarely needed
    from dvc.exceptions import DvcException

    try:
        content: bytes = dvc.api.read(path.as_posix(), repo=".", rev=commit, mode="rb")
    except (DvcException, FileNotFoundError):
        return None
    return content


def _read_stds(content: bytes | None, name: str) -> dict[str, float]:
    """The standard deviations that `evaluation.json` records; none if it or they are missing."""
    if content is None:
        return {}
    source = Path(f"{EVALUATION_PATH} of {name}")
    try:
        evaluation = json.loads(_text(content, source))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not valid JSON: {error}") from None
    replicas = evaluation.get("replicas") if isinstance(evaluation, dict) else None
    return {
        key.removesuffix(STD): float(value)
        for key, value in (replicas if isinstance(replicas, dict) else {}).items()
        if key.endswith(STD) and isinstance(value, int | float) and 0 <= value <= sys.float_info.max
    }


def _text(content: bytes, source: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{source}: not UTF-8 text") from None
