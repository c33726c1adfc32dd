"""The scores of one model, as `details.json` and `baseline.json` hold them.

`evaluation.json` repeats the few that people follow from change to change, for DVC to show.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field, ValidationInfo

from vintage.base.console import InputError
from vintage.base.files import Strict
from vintage.base.losses import LossRecord
from vintage.scores.intervals import recall_bounds
from vintage.scores.metrics import METRICS, class_scores, score
from vintage.scores.rows import Floats, Labels, Sample

DIGITS = 6
OTHER_RELEASE = "another release"  # context of files that may have other metrics, see `of_each`
RARE_ROWS = (
    5  # of a class, below which its recall, and a mean over classes, rest on next to nothing
)
LAST_PART = 0.1  # of the epochs
LOWERED = 0.02  # of the lowest loss

Number = float | None  # None: not defined
Scores = dict[str, Number]


def of_each(names: Callable[[], Iterable[str]], *suffixes: str) -> AfterValidator:
    """Accepts what has each of the names with each of the suffixes, and nothing else.

    Of `OTHER_RELEASE`, what is unknown is left out, and the others may be missing.
    """

    def check(scores: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        expected = {f"{name}{suffix}" for name in names() for suffix in suffixes or ("",)}
        wrong = sorted(set(scores) ^ expected)
        if wrong and info.context != OTHER_RELEASE:
            raise ValueError(f"{wrong[0]} is missing or unknown")
        return {name: score for name, score in scores.items() if name in expected}

    return AfterValidator(check)


PlainScores = Annotated[Scores, of_each(lambda: METRICS)]
BoundedScores = Annotated[Scores, of_each(lambda: METRICS, "", "_low", "_high")]
ReplicaScores = Annotated[Scores, of_each(lambda: METRICS, "_mean", "_std")]
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,100}$")]


class ClassScore(Strict):
    """Of one class; `support` is its test rows."""

    precision: Number
    recall: Number
    recall_low: Number
    recall_high: Number
    f1: Number
    support: int


class Epochs(Strict):
    """Of the training.

    Attributes:
        trained: how many there were.
        best: see `best_epoch`.
        still_falling: whether all were trained that `train.epochs` allows, and the last of them
            still gained, see `is_still_falling`.
    """

    trained: int
    best: int | None
    still_falling: bool


class Evaluation(Strict):
    """`details.json`: what is known of a checkpoint.

    Attributes:
        test: every metric `m` with its interval, `m_low` and `m_high`.
        classes: by class name.
        replicas: each metric's `m_mean` and `m_std` over single replicas; None with one replica.
        resolved: what was trained and how, see `vintage.base.recipe.resolved_values`.
        temperature: what the logits are divided by.
        numerics: of the training and the predictions, `exact` or `fast`.
        unknown_categories: by column, test rows with a category that no train row has.
        sampled: by part, how many rows there are, where only some of them were scored.
    """

    test: BoundedScores
    train: PlainScores
    val: PlainScores
    classes: dict[str, ClassScore] = Field(min_length=2)
    epochs: Epochs
    resolved: dict[str, str]
    temperature: float
    numerics: str
    replicas: ReplicaScores | None = None
    unknown_categories: dict[str, int] = Field(default={})
    sampled: dict[str, int] = Field(default={})

    @property
    def n_rows(self) -> int:
        """How many test rows there are."""
        return sum(each.support for each in self.classes.values())

    def headline(self) -> dict[str, Any]:
        """The content of `evaluation.json`."""
        return {
            "test": {name: self.test[name] for name in METRICS},
            "val": followed(self.val),
            "epochs": {"trained": self.epochs.trained, "best": self.epochs.best},
        }


class Baselines(Strict):
    """`baseline.json`: by model, every metric with its interval.

    Attributes:
        sampled: by part, how many rows there are, where only some of them were used.
    """

    models: dict[ModelName, BoundedScores]
    sampled: dict[str, int] = Field(default={})


def check_required(require: Mapping[str, float]) -> None:
    """Refuse bounds of metrics that do not exist, see `evaluate.require`."""
    for name in require:
        if name not in METRICS:
            raise InputError(
                f"params.yaml: evaluate.require: found {name!r}; the metrics are "
                f"{', '.join(METRICS)}"
            )


def rounded(value: float | None) -> Number:
    """`value` to 6 decimals; None, JSON's null, where it is not defined."""
    return None if value is None or math.isnan(value) else round(float(value), DIGITS)


def followed(val: Scores) -> Scores:
    """Of the validation scores, those that people follow from change to change."""
    return {name: val[name] for name, metric in METRICS.items() if metric.follow_val}


def plain_scores(labels: Labels, probabilities: Floats) -> Scores:
    """Every metric by name; None for all of them without rows."""
    if not len(labels):
        return dict.fromkeys(METRICS, None)
    return {name: rounded(value) for name, value in score(labels, probabilities).items()}


def scores_with_bounds(sample: Sample, confidence: float) -> Scores:
    """Every metric `m` by name, with its interval as `m_low` and `m_high`, None if it has none."""
    scores = plain_scores(sample.labels, sample.probabilities)
    for name, metric in METRICS.items():
        low, high = metric.bounds(sample, confidence) if metric.bounds else (None, None)
        scores |= {f"{name}_low": rounded(low), f"{name}_high": rounded(high)}
    return scores


def replica_scores(labels: Labels, probabilities: Floats) -> Scores:
    """Mean and standard deviation of each metric over the replicas alone.

    Args:
        probabilities: float64 `[n_replicas, n, n_classes]`, of at least two replicas.
    """
    values = [list(score(labels, replica).values()) for replica in probabilities]
    means, deviations = np.mean(values, axis=0), np.std(values, axis=0, ddof=1)
    return {
        f"{name}{suffix}": rounded(value)
        for name, mean, deviation in zip(METRICS, means, deviations, strict=True)
        for suffix, value in (("_mean", mean), ("_std", deviation))
    }


def out_of_fold(by_replica: Floats, folds: Labels) -> tuple[Labels, Floats]:
    """Each row's mean probabilities by the replicas that left its fold out.

    Args:
        by_replica: of the train rows, float64 `[n_replicas, n, n_classes]`; replica r leaves out
            fold `r % n_folds`.
        folds: int64 `[n]`, -1 for none.

    Returns:
        The places of the rows that were left out for any, and their mean probabilities.
    """
    n_folds = int(folds.max()) + 1
    mean = np.zeros(by_replica.shape[1:])
    for fold in range(min(n_folds, len(by_replica))):
        in_fold = folds == fold
        mean[in_fold] = by_replica[fold::n_folds, in_fold].mean(axis=0)
    places = np.flatnonzero((folds >= 0) & (folds < len(by_replica)))
    return places, mean[places]


def replica_stds(replicas: Mapping[str, Number] | None) -> dict[str, float]:
    """By metric, the standard deviation of `replica_scores`, where it is defined."""
    return {
        name.removesuffix("_std"): std
        for name, std in (replicas or {}).items()
        if name.endswith("_std") and std is not None
    }


def class_table(sample: Sample, classes: Sequence[str], confidence: float) -> dict[str, ClassScore]:
    """Precision, recall with its interval, F1 and support of each class, by its name."""
    once = np.ones((1, len(sample.labels)))
    precision, recall, f1, support = class_scores(sample.labels, sample.probabilities, once)
    low, high = recall_bounds(sample, confidence)
    return {
        name: ClassScore(
            precision=rounded(precision[0, index]),
            recall=rounded(recall[0, index]),
            recall_low=rounded(low[index]),
            recall_high=rounded(high[index]),
            f1=rounded(f1[0, index]),
            support=int(support[0, index]),
        )
        for index, name in enumerate(classes)
    }


def best_epoch(records: Sequence[LossRecord]) -> int | None:
    """The epoch with the lowest validation loss, mean over the replicas; the first of equal ones.

    None without validation rows. Without folds, each replica keeps the weights of its own lowest,
    which may be another epoch.
    """
    losses = [(r.val_loss, r.epoch) for r in records if r.val_loss is not None]
    return min(losses)[1] if losses else None


def is_still_falling(records: Sequence[LossRecord]) -> bool:
    """Whether the last tenth of the epochs lowered the lowest validation loss by more than 2 %."""
    losses = [record.val_loss for record in records if record.val_loss is not None]
    n_before = len(losses) - math.ceil(LAST_PART * len(losses))
    return n_before > 0 and min(losses[:n_before]) > min(losses) * (1 + LOWERED)
