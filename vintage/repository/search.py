"""Settings that are trained together, each kept as a DVC experiment of HEAD.

An experiment is as far as `dvc repro train` would be, and has a validation score beside, see
`vintage.repository.validation`. The test rows are scored once one is applied, and the rest of the
pipeline run.
"""

import copy
import hashlib
import io
import json
import math
import os
from collections import defaultdict
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from vintage.base.console import InputError, one_line, say
from vintage.base.files import parse_yaml
from vintage.base.params import PARAMS_PATH, Params, parse_params
from vintage.base.waiting import waiting
from vintage.repository.cache import cache_folder, described, holds, store
from vintage.repository.declared import read_stages
from vintage.repository.dvc_command import run_dvc
from vintage.repository.experiments import experiments_of, write_experiment
from vintage.repository.git import find_commit, run_git
from vintage.repository.grid import SECTIONS, Values, said
from vintage.repository.lock_file import LOCK_FILE, read_lock_file
from vintage.repository.pack import (
    CHECKPOINT,
    EVALUATION,
    LOSSES,
    Files,
    digests_of,
    prepared,
    train_pack,
)
from vintage.repository.params_file import with_values
from vintage.repository.revisions import lock_of, read_file
from vintage.repository.status import stale_stages
from vintage.repository.validation import NAMES, TENSORS, read_tensors
from vintage.training.pack import largest_pack
from vintage.training.ray_cluster import Cluster

HELD_ROWS = 100_000  # of all trainings that are in memory at once
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
    """What to train.

    Attributes:
        name: of its experiment.
        values: of the parameters that were asked for.
        text: its `params.yaml`.
        lock: its entry of the stage `train` in `dvc.lock`; the outputs are those of HEAD.
    """

    name: str
    values: Values
    text: str
    params: Params
    lock: dict[str, Any]


class Search:
    """Trains settings, and makes an experiment of each."""

    def __init__(self, root: Path, cluster: Cluster | None = None) -> None:
        """Read what all settings have in common.

        Args:
            cluster: of Ray, on which to train; None: in this process.

        Raises:
            InputError: the experiments would not start from what Git has; or no row validates.
        """
        self.root, self.cluster = root, cluster
        self.base = find_commit("HEAD")
        _check_start(root)
        if not all((root / TENSORS / name).exists() for name in NAMES):
            run_dvc(root, "repro", "split")
            _check_start(root)  # that it made what HEAD has
        self.tensors = read_tensors(root)
        self.text = (root / PARAMS_PATH).read_text(encoding="utf-8")
        self.lock: dict[str, Any] = parse_yaml((root / LOCK_FILE).read_bytes(), LOCK_FILE)
        self.own_name = _name_of(self.lock["stages"]["train"])
        self.cache = cache_folder(root)
        self.after = stages_after_train(root)

    def train(self, grid: Sequence[Values]) -> list[float | None]:
        """Train what has no experiment yet; returns each one's log loss on the rows that validate
        it, None if it could not be trained.

        Raises:
            InputError: a value is impossible.
        """
        settings = [self._setting(values) for values in grid]
        known = self._commits(settings)
        due = {each.name: each for each in settings if each.name not in known}
        if n_known := sum(each.name in known for each in settings):
            say(f"{n_known} of {len(settings)} settings were trained before")
        with closing(self._trained(self._packs(list(due.values())))) as trained:
            for pack, results in trained:
                for setting, result in zip(pack, results, strict=True):
                    if isinstance(result, str):
                        say(f"{said(setting.values)}: not trained: {result}")
                    else:
                        self._keep(setting, result)
        commits = self._commits(settings)
        return [_log_loss_of(commits.get(each.name)) for each in settings]

    def _commits(self, settings: Sequence[Setting]) -> dict[str, str]:
        """By the names of settings, the experiments whose checkpoints DVC's cache has; HEAD is
        one, too."""
        names = {each.name for each in settings}
        found = {
            name: commit
            for name, commit in experiments_of(self.base).items()
            if name in names and self._has_checkpoint(name, commit)
        }
        return {self.own_name: self.base, **found}

    def _has_checkpoint(self, name: str, commit: str) -> bool:
        """Not after `dvc gc`, for one."""
        try:
            lock = lock_of(commit, name)
        except InputError:
            return False
        md5 = lock.stages["train"].md5_of(CHECKPOINT) if lock and "train" in lock.stages else None
        return md5 is not None and holds(self.cache, md5)

    def _setting(self, values: Values) -> Setting:
        text = with_values(self.text, values)
        params = parse_params(parse_yaml(text.encode(), str(PARAMS_PATH)))
        entry = copy.deepcopy(self.lock["stages"]["train"])
        for (section, key), value in values.items():
            entry["params"][str(PARAMS_PATH)][section][key] = value
        return Setting(_name_of(entry), values, text, params, entry)

    def _packs(self, settings: Sequence[Setting]) -> list[list[Setting]]:
        """Those to train together: on a cluster, so few that every processor has some."""
        n_processors = self.cluster.n_processors if self.cluster else 1
        packs = []
        for alike in _alike(settings):
            size = min(self._largest_pack(alike[0]), math.ceil(len(settings) / n_processors))
            n_packs = math.ceil(len(alike) / size)
            packs += [alike[number::n_packs] for number in range(n_packs)]
        return packs

    def _largest_pack(self, setting: Setting) -> int:
        """How many settings such as this one gain by being trained together, and fit in memory."""
        in_memory = max(1, HELD_ROWS // len(self.tensors.train.labels))
        try:
            return min(in_memory, largest_pack(prepared(setting.params, self.tensors)))
        except InputError:  # which is told when it is trained
            return 1

    def _trained(
        self, packs: Sequence[Sequence[Setting]]
    ) -> Generator[tuple[Sequence[Setting], Iterable[Files | str]]]:
        """Each pack with what its settings leave, or why one could not be trained."""
        if self.cluster is None:
            for pack in _told(packs):
                with waiting("training"):
                    results = list(train_pack([each.params for each in pack], self.tensors))
                yield pack, results
            return
        from vintage.repository.pack_tasks import train_on_cluster

        texts = ([setting.text for setting in pack] for pack in _told(packs))
        digests = digests_of(self.root)
        for place, results in train_on_cluster(texts, digests, self.cluster.n_processors):
            yield packs[place], results

    def _keep(self, setting: Setting, files: Files) -> None:
        """Make an experiment of what was trained."""
        tracked = {LOSSES: files[LOSSES], EVALUATION: files[EVALUATION]}
        checkpoint = {PurePosixPath(p).name: files[p] for p in files.keys() - tracked.keys()}
        outs = {CHECKPOINT: store(self.cache, checkpoint), LOSSES: described(files[LOSSES])}
        tracked |= {
            str(PARAMS_PATH): setting.text.encode(),
            LOCK_FILE: self._lock_text(setting.lock, outs),
        }
        removed = [out for outs in self.after.values() for out in outs]
        message = f"vintage sweep: {said(setting.values)}"
        write_experiment(self.base, setting.name, message, tracked, removed)

    def _lock_text(self, entry: dict[str, Any], outs: Mapping[str, Any]) -> bytes:
        """`dvc.lock` as DVC writes it, without the stages whose outputs are of another model."""
        stages = {k: v for k, v in self.lock["stages"].items() if k not in self.after}
        stages["train"] = {**entry, "outs": [{"path": path, **out} for path, out in outs.items()]}
        stream = io.StringIO()
        yaml = YAML()
        yaml.default_flow_style = False
        yaml.dump({**self.lock, "stages": stages}, stream)
        return stream.getvalue().encode()


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
    check_committed(root, [str(PARAMS_PATH), "dvc.yaml", LOCK_FILE, *inputs])
    if stale := [name for name in stale_stages(root) if name in ("split", "train")]:
        raise InputError(f"stage {stale[0]} is not up to date; run `dvc repro` and commit first")


def check_committed(root: Path, paths: Sequence[str]) -> None:
    """Refuse files that are not as in HEAD, and a Git that could not commit.

    Those outside the repository are left out: `dvc.lock` has their hashes.
    """
    if run_git("var", "GIT_COMMITTER_IDENT").returncode:
        raise InputError(
            "Git has no name and address to commit experiments by; "
            "set them by `git config user.name NAME` and `git config user.email ADDRESS`"
        )
    top = Path(_git_said("rev-parse", "--show-toplevel").removesuffix("\n"))
    inside = [path for path in paths if _absolute(root, path).is_relative_to(top)]
    if changed := _git_said("status", "--porcelain", "--untracked-files=all", "--", *inside):
        raise InputError(
            f"{changed.splitlines()[0][3:]}: not as in HEAD, which the experiments start from; "
            "commit it first"
        )


def _absolute(root: Path, path: str) -> Path:
    """Where a file lies, as Git takes it: a link is not followed."""
    return Path(os.path.normpath(root.resolve() / path))


def _git_said(*arguments: str) -> str:
    done = run_git(*arguments)
    if done.returncode:
        reason = one_line(done.stderr.decode(errors="replace").partition("\n")[0])
        raise InputError(f"git {arguments[0]} failed: {reason}")
    return done.stdout.decode(errors="replace")


def _name_of(entry: Mapping[str, Any]) -> str:
    """By the parameters of the training; all else is that of HEAD."""
    digest = hashlib.sha256(json.dumps(entry["params"], sort_keys=True, default=str).encode())
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


def _told(packs: Iterable[Sequence[Setting]]) -> Iterator[Sequence[Setting]]:
    """Say of each that it is trained, when it is taken."""
    for pack in packs:
        say(f"training {len(pack)} setting{'s together' if len(pack) > 1 else ''}")
        yield pack


def _log_loss_of(commit: str | None) -> float | None:
    content = read_file(commit, Path(EVALUATION)) if commit else None
    return json.loads(content)["val"]["log_loss"] if content else None
