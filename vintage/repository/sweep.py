"""`vintage sweep`: a grid of settings, trained together, each kept as a DVC experiment.

What is chosen by is how well the rows are predicted that validate a setting, see
`vintage.repository.validation`. An experiment is as far as `dvc repro train` would be: the test
rows are scored when one is applied and the rest of the pipeline run.
"""

import copy
import hashlib
import io
import json
import tempfile
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from vintage.base.console import InputError, say
from vintage.base.files import parse_yaml, write_json
from vintage.base.params import PARAMS_PATH, Params, parse_params
from vintage.network.checkpoint import read_checkpoint
from vintage.repository.cache import cache_folder, described, store
from vintage.repository.declared import read_stages
from vintage.repository.dvc_command import run_dvc
from vintage.repository.experiments import experiments_of, write_experiment
from vintage.repository.git import find_commit, run_git
from vintage.repository.grid import SECTIONS, Values, parse_grid, said
from vintage.repository.lock_file import LOCK_FILE, read_lock_file
from vintage.repository.params_file import with_values
from vintage.repository.status import stale_stages
from vintage.repository.validation import NAMES, TENSORS, Tensors, read_tensors, validate
from vintage.scores.evaluation import best_epoch, followed, plain_scores
from vintage.training.fit import History
from vintage.training.pack import largest_pack, train_all
from vintage.training.prepare import Training, prepare
from vintage.training.results import write_results

HELD_ROWS = 100_000  # of all trainings that are in memory at once
CHECKPOINT, LOSSES, EVALUATION = "data/checkpoint", "metrics/losses.json", "metrics/evaluation.json"
# parameters in which trainings that share their steps may differ
OF_ONE_PACK = {
    ("model", "dropout"),
    ("train", "learning_rate"),
    ("train", "weight_decay"),
    ("train", "patience"),
    ("train", "class_weight"),
    ("train", "calibration"),
}


@dataclass(frozen=True)
class Setting:
    """A place in the grid.

    Attributes:
        name: of its experiment, the same for the same training.
        values: of the parameters that were asked for.
        text: its `params.yaml`.
        lock: its entry of the stage `train` in `dvc.lock`, without outputs.
    """

    name: str
    values: Values
    text: str
    params: Params
    lock: dict[str, Any]


def sweep(root: Path, assignments: Sequence[str]) -> None:
    """Train every setting of a grid that has no experiment yet.

    Raises:
        InputError: the grid is none, or its experiments would not start from what Git has.
    """
    grid = parse_grid(assignments)
    text = (root / PARAMS_PATH).read_text(encoding="utf-8")
    texts = [with_values(text, values) for values in grid]
    base = find_commit("HEAD")
    _check_start(root)
    if not all((root / TENSORS / name).exists() for name in NAMES):
        run_dvc(root, "repro", "split")
    tensors = read_tensors(root)
    lock = parse_yaml((root / LOCK_FILE).read_bytes(), LOCK_FILE)
    settings = [_setting(*each, lock) for each in zip(grid, texts, strict=True)]
    known = {_name_of(lock["stages"]["train"]), *experiments_of(base)}
    due = [setting for setting in settings if setting.name not in known]
    if n_known := len(settings) - len(due):
        say(f"{n_known} of {len(settings)} settings were trained before")
    keeper = _Keeper(root, base, lock, tensors)
    for alike in _alike(due):
        size = _size_of_pack(alike[0], tensors)
        for start in range(0, len(alike), size):
            pack = alike[start : start + size]
            say(f"training {len(pack)} setting{'s together' if len(pack) > 1 else ''}")
            _train(pack, keeper)
    if due and not keeper.n_kept:
        raise InputError("no setting could be trained")


def stages_after_train(root: Path) -> dict[str, list[str]]:
    """By stage, the outputs that are of another model once the parameters of `train` change."""
    stages = read_stages(root / "dvc.yaml")
    outs = {name: _outs_of(spec) for name, spec in stages.items()}
    found = ["train"]
    for name in found:
        for other, spec in stages.items():
            deps = [PurePosixPath(dep) for dep in spec.get("deps", [])]
            reads = any(dep.is_relative_to(out) for dep in deps for out in outs[name])
            of_training = any(str(p).partition(".")[0] in SECTIONS for p in spec.get("params", []))
            if (reads or of_training) and other not in found:
                found.append(other)
    return {name: outs[name] for name in found if name != "train"}


def _outs_of(spec: dict[str, Any]) -> list[str]:
    listed = [out for kind in ("outs", "metrics", "plots") for out in spec.get(kind, [])]
    return [out if isinstance(out, str) else str(next(iter(out))) for out in listed]


def _check_start(root: Path) -> None:
    """Refuse to start from anything that Git or `dvc.lock` does not have as it is here."""
    stages = read_lock_file(root).stages
    if not {"split", "train"} <= stages.keys():
        raise InputError(f"{LOCK_FILE}: has no entry of train; run `dvc repro` and commit first")
    inputs = [dep.path for name in ("split", "train") for dep in stages[name].deps]
    paths = [str(PARAMS_PATH), "dvc.yaml", LOCK_FILE, *inputs]
    changed = run_git("status", "--porcelain", "--", *paths).stdout.decode(errors="replace")
    if changed:
        raise InputError(
            f"{changed.splitlines()[0][3:]}: not as in HEAD, which the experiments start from; "
            "commit it first"
        )
    if stale := [name for name in stale_stages(root) if name in ("split", "train")]:
        raise InputError(f"stage {stale[0]} is not up to date; run `dvc repro` and commit first")


def _setting(values: Values, text: str, lock: dict[str, Any]) -> Setting:
    entry = copy.deepcopy(lock["stages"]["train"])
    for (section, key), value in values.items():
        entry["params"][str(PARAMS_PATH)][section][key] = value
    params = parse_params(parse_yaml(text.encode(), str(PARAMS_PATH)))
    return Setting(_name_of(entry), values, text, params, entry)


def _name_of(entry: Mapping[str, Any]) -> str:
    """By all that the training depends on."""
    inputs = {key: entry[key] for key in ("cmd", "deps", "params")}
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode())
    return f"sweep-{digest.hexdigest()[:7]}"


def _alike(settings: Sequence[Setting]) -> list[list[Setting]]:
    """Those together that differ in nothing but what a pack may differ in."""
    groups: dict[Hashable, list[Setting]] = defaultdict(list)
    for setting in settings:
        params = {section: getattr(setting.params, section).model_dump() for section in SECTIONS}
        for section, key in OF_ONE_PACK:
            del params[section][key]
        groups[repr(params)].append(setting)
    return list(groups.values())


def _prepared(setting: Setting, tensors: Tensors) -> Training:
    schema, train, val = tensors
    return prepare(
        setting.params.model,
        setting.params.train,
        schema,
        (train.features, train.labels),
        (val.features, val.labels),
        train.folds,
    )


def _size_of_pack(setting: Setting, tensors: Tensors) -> int:
    """How many settings such as this one are trained together, and held in memory."""
    in_memory = max(1, HELD_ROWS // len(tensors.train.labels))
    try:
        return min(in_memory, largest_pack(_prepared(setting, tensors)))
    except InputError:  # which is told when it is trained
        return 1


def _train(settings: Sequence[Setting], keeper: "_Keeper") -> None:
    """Train them as one pack, and keep each; in halves, if one of them cannot be trained."""
    try:
        trainings = [_prepared(setting, keeper.tensors) for setting in settings]
        histories = train_all(trainings)
    except InputError as error:
        if len(settings) == 1:
            say(f"{said(settings[0].values)}: not trained: {error}")
            return
        middle = len(settings) // 2
        _train(settings[:middle], keeper)
        _train(settings[middle:], keeper)
        return
    for each in zip(settings, trainings, histories, strict=True):
        keeper.keep(*each)


class _Keeper:
    """Makes experiments of what was trained."""

    def __init__(self, root: Path, base: str, lock: dict[str, Any], tensors: Tensors) -> None:
        self.base = base
        self.lock = lock
        self.tensors = tensors
        self.cache = cache_folder(root)
        self.after = stages_after_train(root)
        self.n_kept = 0

    def keep(self, setting: Setting, training: Training, history: History) -> None:
        with tempfile.TemporaryDirectory(prefix="vintage-") as name:
            folder = Path(name)
            schema, *rows = self.tensors
            train = setting.params.train
            write_results(
                folder / "checkpoint",
                folder / "losses.json",
                training,
                history,
                schema,
                (rows[0], rows[1]),
                train.numerics,
            )
            checkpoint = read_checkpoint(folder / "checkpoint", train.device)
            validated = validate(checkpoint, self.tensors)
            scores = plain_scores(validated.rows.labels, validated.probabilities)
            epochs = {"trained": len(history.train_losses), "best": best_epoch(history.records())}
            write_json(folder / "evaluation.json", {"val": followed(scores), "epochs": epochs})
            losses = (folder / "losses.json").read_bytes()
            outs = {
                CHECKPOINT: store(self.cache, folder / "checkpoint"),
                LOSSES: described(losses),
            }
            files = {
                str(PARAMS_PATH): setting.text.encode(),
                LOCK_FILE: self._lock_text(setting.lock, outs),
                LOSSES: losses,
                EVALUATION: (folder / "evaluation.json").read_bytes(),
            }
        removed = [out for outs in self.after.values() for out in outs]
        message = f"vintage sweep: {said(setting.values)}"
        write_experiment(self.base, setting.name, message, files, removed)
        self.n_kept += 1

    def _lock_text(self, entry: dict[str, Any], outs: Mapping[str, Any]) -> bytes:
        """`dvc.lock` as DVC writes it."""
        stages = {k: v for k, v in self.lock["stages"].items() if k not in self.after}
        stages["train"] = {**entry, "outs": [{"path": path, **out} for path, out in outs.items()]}
        stream = io.StringIO()
        yaml = YAML()
        yaml.default_flow_style = False
        yaml.dump({**self.lock, "stages": stages}, stream)
        return stream.getvalue().encode()
