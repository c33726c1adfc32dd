"""The settings that were tried from HEAD, beside each other; all is read from the experiments."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vintage.base.console import InputError
from vintage.base.params import Device, load_params
from vintage.base.recipe import resolved_values
from vintage.network.checkpoint import Checkpoint, read_checkpoint
from vintage.report.best import Beside, beside_best
from vintage.report.tables import aligned, p_text, wrapped
from vintage.repository.cache import cache_folder, md5_of, restore
from vintage.repository.experiments import experiments_of
from vintage.repository.git import find_commit
from vintage.repository.lock_file import LOCK_FILE, LockedStage
from vintage.repository.revisions import flat, lock_of, shown
from vintage.repository.validation import (
    NAMES,
    TENSORS,
    Tensors,
    Validation,
    read_tensors,
    validate,
)
from vintage.scores.metrics import METRICS
from vintage.scores.rows import Sample

HEAD = "HEAD"
CHECKPOINT = "data/checkpoint"


@dataclass(frozen=True)
class Tried:
    """A setting that was trained: its experiment or HEAD, the parameters of the stage train by
    dotted key, and how well it predicts the rows that validate it."""

    name: str
    params: Mapping[str, Any]
    validation: Validation

    @property
    def log_loss(self) -> float:
        return self.validation.row_losses.mean


@dataclass(frozen=True)
class Ranking:
    """The settings from the best to the worst, and all but the best one beside it by their places.

    Attributes:
        rows: which rows validate them, in words.
        notes: who is left out, and why.
    """

    tried: Sequence[Tried]
    beside: Mapping[int, Beside]
    rows: str
    notes: Sequence[str]

    def varied(self) -> list[str]:
        """The parameters in which the settings differ."""
        keys = dict.fromkeys(key for each in self.tried for key in each.params)
        return [k for k in keys if len({shown(each.params.get(k)) for each in self.tried}) > 1]

    def verdict(self, place: int) -> str:
        """`best`, or how the setting at this place does beside the best."""
        if place not in self.beside:
            return "best"
        return "worse" if self.beside[place].is_worse else "ties"


def rank(root: Path) -> Ranking:
    """HEAD and its experiments.

    Raises:
        InputError: there is nothing to compare, or the tensors of the split are not here.
    """
    settings = load_params().evaluate
    tensors = read_tensors(root)
    tried, notes = _tried(root, find_commit(HEAD), tensors)
    if not any(each.name != HEAD for each in tried):
        raise InputError(" ".join(["HEAD has no experiment to compare.", *notes]))
    rows = tried[0].validation.rows
    losses = [each.validation.row_losses for each in tried]
    beside = beside_best(losses, rows.groups, settings.confidence, settings.seed)
    if beside and any(each.seed_variance is None for each in losses):
        notes.append(
            "No setting is called worse, because too few replicas leave out the same rows to tell "
            "what the seeds change; set train.replicas to 16 or more."
        )
    which = f"{len(rows.labels)} validation rows"
    if tensors.train.folds is not None:
        which = f"{len(rows.labels)} train rows, each predicted by the replicas that left it out"
    return Ranking(tried, beside, which, notes)


def table_lines(ranking: Ranking) -> Iterator[str]:
    """For a terminal."""
    confidence = load_params().evaluate.confidence
    tried = ranking.tried
    said = "1 setting by its" if len(tried) == 1 else f"{len(tried)} settings by their"
    yield from (*wrapped(f"{said} log loss on {ranking.rows}"), "")
    yield from aligned(*_table(ranking, confidence))
    summary = [_summary(ranking, confidence)] if ranking.beside else []
    for note in (*summary, *ranking.notes, _next_step(tried[0])):
        yield from ("", *wrapped(note))


def _tried(root: Path, base: str, tensors: Tensors) -> tuple[list[Tried], list[str]]:
    """HEAD and its experiments on the same rows, the best first; and who is left out, and why."""
    device = load_params().train.device
    here = {(TENSORS / name).as_posix(): md5_of(root / TENSORS / name) for name in NAMES}
    cache = cache_folder(root)
    found: list[Tried] = []
    notes = []
    for name, commit in {HEAD: base, **dict(sorted(experiments_of(base).items()))}.items():
        try:
            lock = lock_of(commit, name)
            if lock is None or "train" not in lock.stages:
                continue
            if here.items() - {(dep.path, dep.md5) for dep in lock.stages["train"].deps}:
                raise InputError("it was trained on other rows")
            checkpoint = _checkpoint_of(lock.stages["train"], cache, device)
        except InputError as error:
            notes.append(f"{name} is left out: {error}.")
            continue
        resolved = resolved_values(checkpoint.manifest.model, checkpoint.manifest.recipe)
        params = {
            key: f"auto ({resolved[key]})" if value == "auto" and key in resolved else value
            for key, value in flat(lock.params_of("train")).items()
        }
        found.append(Tried(name, params, validate(checkpoint, tensors)))
    n_rows = max((len(each.validation.rows.labels) for each in found), default=0)
    kept = [each for each in found if len(each.validation.rows.labels) == n_rows]
    few = {each.name for each in found} - {each.name for each in kept}
    notes += [f"{name} is left out: fewer rows validate it." for name in sorted(few)]
    return sorted(kept, key=lambda each: each.log_loss), notes


def _checkpoint_of(train: LockedStage, cache: Path, device: Device) -> Checkpoint:
    """From DVC's cache; InputError, without the names of temporary files, if it is not sound."""
    md5 = train.md5_of(CHECKPOINT)
    if md5 is None:
        raise InputError(f"its {LOCK_FILE} has no {CHECKPOINT}")
    with tempfile.TemporaryDirectory(prefix="vintage-") as folder:
        target = Path(folder) / "checkpoint"
        if not restore(cache, md5, target):
            raise InputError("DVC's cache does not have its checkpoint")
        try:
            return read_checkpoint(target, device)
        except InputError as error:
            raise InputError(str(error).replace(str(target), CHECKPOINT)) from None


def _table(ranking: Ranking, confidence: float) -> tuple[list[str], list[list[str]]]:
    """Header and rows."""
    keys = ranking.varied()
    rows = []
    for place, each in enumerate(ranking.tried):
        values = [shown(each.params.get(key)) for key in keys]
        scores = _scores(each, ranking.beside.get(place), confidence)
        rows.append([each.name, *values, *scores, ranking.verdict(place)])
    titles = [key.partition(".")[2] for key in keys]
    return ["", *titles, "log loss", "interval", "minus best", "p", "verdict"], rows


def _scores(each: Tried, beside: Beside | None, confidence: float) -> list[str]:
    rows, probabilities, losses = each.validation
    sample = Sample.of(rows.labels, probabilities, rows.groups)
    bounds = METRICS["log_loss"].bounds
    assert bounds is not None
    low, high = bounds(sample, confidence)
    numbers = [f"{losses.mean:.4f}", f"{low:.3f} to {high:.3f}"]
    if beside is None:
        return [*numbers, "-", "-"]
    return [*numbers, f"{beside.difference:+.4f}", p_text(beside.p_value)]


def _summary(ranking: Ranking, confidence: float) -> str:
    beside = ranking.beside
    worse, ties = (
        [ranking.tried[place].name for place, each in beside.items() if each.is_worse is is_worse]
        for is_worse in (True, False)
    )
    n_pairs = len(beside) * (len(beside) + 1) // 2
    return (
        f"{ranking.tried[0].name} is better than {len(worse)} of the others"
        f"{', HEAD among them,' if HEAD in worse else ''} and ties with {len(ties)}"
        f"{', HEAD among them' if HEAD in ties else ''}. p is corrected for every pair of "
        f"settings, of which there {'are' if n_pairs > 1 else 'is'} {n_pairs} (Holm), at a "
        f"confidence of {confidence:.6g}."
    )


def _next_step(best: Tried) -> str:
    said = "The best of many looks better here than it is. "
    if best.name == HEAD:
        return f"{said}It is HEAD, so there is nothing to apply."
    return f"{said}`dvc exp apply {best.name} && dvc repro` scores it on the test rows."
