"""Predictions, parameters and seed-to-seed spread of a revision; the workspace is left alone.

A revision is `workspace`, anything that Git takes for a commit, or the name of a DVC experiment.
Its files are read from Git, or from DVC's cache where Git does not have them.

The parameters are those that the results were made with, by `dvc.lock`. `params.yaml` may ask for
others if the pipeline has not run since.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from vintage.base.console import InputError
from vintage.base.files import parse_json, parse_yaml, read_bytes
from vintage.base.params import NO_RESULT, PARAMS_PATH, IntervalParams
from vintage.report.differences import Candidate
from vintage.repository.git import find_commit, run_git
from vintage.repository.lock_file import LOCK_FILE, LockFile, parse_lock_file
from vintage.scores.evaluation import replica_stds
from vintage.scores.predictions import parse_predictions
from vintage.scores.splits import Splits

WORKSPACE = "workspace"
PREDICTIONS_PATH = Path("metrics/predictions.csv")
DETAILS_PATH = Path("metrics/details.json")
SPLITS_PATH = Path("metrics/splits.json")
# by key of `evaluate`, what a revision that is older than the parameter is judged by
OF_OLDER: dict[str, Any] = {"margin": 0.01, "looks": 20}
OUTDATED = (
    "splits.json was made with other parameters, code or rows than the model; run "
    "`dvc repro splits`"
)
# the later a stage is listed here, the more it is the one that a parameter acts on
STAGES = ("report", "baseline", "splits", "evaluate", "train", "split")


class Details(BaseModel):
    """What is used here of `details.json`, of whatever version."""

    resolved: dict[str, str] = {}
    replicas: dict[str, Annotated[float, Field(ge=0, le=1e6)] | None] | None = None


@dataclass(frozen=True)
class Revision:
    """What a revision holds.

    Attributes:
        name: as it was asked for.
        commit: None for the workspace.
        params: what the results were made with, by dotted key, such as `train.epochs`; `auto` with
            what it stood for.
        table_md5: of the table that was split; None if `dvc.lock` does not tell.
        splits: its recipe's scores on other splits; None if it has none.
        warnings: where `params.yaml` asks for something else, a sentence each.
    """

    name: str
    commit: str | None
    model: Candidate
    params: dict[str, Any]
    table_md5: str | None
    splits: Splits | None
    warnings: list[str]

    def margin(self) -> float:
        """`evaluate.margin`, see `OF_OLDER`."""
        margin: Any = self.params.get("evaluate.margin")
        is_number = isinstance(margin, int | float) and not isinstance(margin, bool)
        return float(margin) if is_number and 0 <= margin <= 1 else float(OF_OLDER["margin"])

    def looks(self) -> int:
        """`evaluate.looks`, see `OF_OLDER`."""
        looks = self.params.get("evaluate.looks")
        return looks if isinstance(looks, int) else int(OF_OLDER["looks"])

    def interval_params(self) -> IntervalParams:
        """How its intervals were computed; InputError if the parameters do not say so."""
        keys = IntervalParams.model_fields
        values = {key: self.params.get(f"evaluate.{key}", OF_OLDER.get(key)) for key in keys}
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
    lock = read_lock(commit, name)
    predictions = parse_predictions(
        needed_file(commit, PREDICTIONS_PATH, name), f"{PREDICTIONS_PATH} of {name}"
    )
    asked = flat(parse_yaml(needed_file(commit, PARAMS_PATH, name), f"{PARAMS_PATH} of {name}"))
    params, table_md5 = dict(asked), None
    if lock:
        for stage in STAGES:
            params |= flat(lock.params_of(stage))
        deps = lock.stages["split"].deps if "split" in lock.stages else []
        table_md5 = next((dep.md5 for dep in deps if dep.path == params.get("data.path")), None)
    warnings = [
        f"{PARAMS_PATH} of {name} says {key} {json.dumps(asked.get(key))}, and the results were "
        f"made with {json.dumps(value)}; run `dvc repro`."
        for key, value in sorted(params.items())
        if asked.get(key) != value
    ]
    details = Details()
    if found := read_file(commit, DETAILS_PATH):
        details = parse_json(found, f"{DETAILS_PATH} of {name}", Details)
    splits = None
    if found := read_file(commit, SPLITS_PATH):
        splits = parse_json(found, f"{SPLITS_PATH} of {name}", Splits)
        if lock and not _same_recipe(lock):
            splits = Splits(splits={}, reason=OUTDATED)
    replicas = params.get("train.replicas")
    params |= {
        key: f"auto ({value})"
        for key, value in details.resolved.items()
        if params.get(key) == "auto"
    }
    stds = replica_stds(details.replicas)
    model = Candidate(predictions, replicas if isinstance(replicas, int) else 1, stds)
    return Revision(name, commit, model, params, table_md5, splits, warnings)


def read_lock(commit: str | None, name: str) -> LockFile | None:
    """The `dvc.lock` of a revision that was evaluated; None if it has none.

    Raises:
        InputError: it is cut; or a commit was trained and not evaluated, as those of a search.
    """
    lock = lock_of(commit, name)
    if lock and commit and "train" in lock.stages and "evaluate" not in lock.stages:
        experiments = run_git("for-each-ref", "--points-at", commit, "refs/exps/*/*/*").stdout
        advice = "check it out and run `dvc repro`"
        if experiments:
            advice = f"`dvc exp apply {name} && dvc repro` makes it"
        raise InputError(f"{name}: has no evaluation, only a validation score; {advice}")
    return lock


def lock_of(commit: str | None, name: str) -> LockFile | None:
    """The `dvc.lock` of any revision; None if it has none, InputError if it is cut."""
    content = read_file(commit, Path(LOCK_FILE))
    return None if content is None else parse_lock_file(content, f"{LOCK_FILE} of {name}")


def read_file(commit: str | None, path: Path) -> bytes | None:
    """The content of a file at a commit, or in the workspace; None if it is not there."""
    if commit is None:
        return read_bytes(path) if path.exists() else None
    blob = run_git("cat-file", "blob", f"{commit}:./{path.as_posix()}")
    if blob.returncode == 0:
        return blob.stdout
    import dvc.api  # half a second, and rarely needed
    from dvc.exceptions import DvcException

    try:
        content: bytes = dvc.api.read(path.as_posix(), repo=".", rev=commit, mode="rb")
    except (DvcException, FileNotFoundError, IsADirectoryError):
        return None
    return content


def _same_recipe(lock: LockFile) -> bool:
    """Whether the stage `splits` ran with what `split` and `train` ran with."""
    if "splits" not in lock.stages:
        return False
    params = lock.params_of("splits")
    deps = {dep.path: dep.md5 for dep in lock.stages["splits"].deps}
    return all(
        params.get(section) == values
        for stage in ("split", "train")
        for section, values in lock.params_of(stage).items()
    ) and all(
        deps.get(dep.path, dep.md5) == dep.md5
        for stage in ("split", "train")
        if stage in lock.stages
        for dep in lock.stages[stage].deps
    )


def needed_file(commit: str | None, path: Path, name: str) -> bytes:
    """As `read_file`; InputError, which names the revision, if it is not there."""
    content = read_file(commit, path)
    if content is None:
        where = f"in {name}, neither in Git nor in DVC's cache" if commit else "in the workspace"
        advice = "try `dvc fetch`" if commit else "run `dvc repro` to make it"
        raise InputError(f"{path}: not found {where}; {advice}")
    return content


def flat(sections: Any) -> dict[str, Any]:
    """Parameters that results depend on, by dotted key, as JSON can hold them: dates and infinity
    as text."""
    plain = json.loads(json.dumps(sections, default=str, skipkeys=True), parse_constant=str)
    return {
        f"{section}.{key}": value
        for section, values in (plain.items() if isinstance(plain, dict) else ())
        if section not in NO_RESULT
        for key, value in (values.items() if isinstance(values, dict) else ())
    }


def shown(value: Any) -> str:
    """A parameter's value as it is printed."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
