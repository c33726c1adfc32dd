"""What the files in `metrics/` say of a model's predictions, as plain numbers.

`evaluation.json` has the few that people follow from change to change, which is what DVC shows.
All others are data: `details.json`, `baseline.json`, `comparison.json`.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from vintage.base.files import Strict
from vintage.scores.intervals import recall_bounds, score_with_intervals
from vintage.scores.metrics import (
    METRICS,
    Floats,
    Labels,
    class_scores,
    is_possible_std,
    score,
)

DIGITS = 6
RARE_ROWS = 5

Number = float | None
Scores = dict[str, Number]

BOUNDED = [f"{name}{suffix}" for name in METRICS for suffix in ("", "_low", "_high")]
SPREAD = [f"{name}{suffix}" for name in METRICS for suffix in ("_mean", "_std")]
PER_CLASS = ("precision", "recall", "recall_low", "recall_high", "f1", "support")


COMPARED = [name for name in METRICS if name != "calibration_error"]
FOLLOWED_VAL = ("accuracy", "balanced_accuracy", "log_loss")


class Epochs(Strict):
    """Of the training.

    Attributes:
        trained: how many there were.
        best: see `vintage.scores.curve.best_epoch`.
        still_falling: whether all were trained that `train.epochs` allows, and the last of them
            still gained, see `vintage.scores.curve.is_still_falling`.
    """

    trained: int
    best: int | None
    still_falling: bool


class Headline(Strict):
    """`evaluation.json`: the metrics that DVC tracks; all of them stand in `details.json`, too."""

    test: Scores
    val: Scores
    epochs: dict[str, int | None]


class Evaluation(Strict):
    """`details.json`: what is known of a checkpoint, each score by its name.

    Attributes:
        test: every metric `m` with its interval, `m_low` and `m_high`.
        classes: by class name, what `class_table` gives.
        replicas: each metric's `m_mean` and `m_std` over single replicas; None with one replica.
        resolved: what was trained and how, see `vintage.base.recipe.resolved_values`.
        temperature: what the logits are divided by.
        numerics: what `vintage.base.numerics.pin` reached.
        unknown_categories: by column, cells of test rows with a category that no train row has.
    """

    test: Scores
    train: Scores
    val: Scores
    classes: dict[str, Scores] = Field(min_length=2)
    epochs: Epochs
    resolved: dict[str, str]
    temperature: float
    numerics: str
    replicas: Scores | None = None
    unknown_categories: dict[str, int] = Field(default={})

    @model_validator(mode="after")
    def _every_score_is_there(self) -> Self:
        _check_names("test", self.test, BOUNDED)
        _check_names("train", self.train, METRICS)
        _check_names("val", self.val, METRICS)
        if self.replicas is not None:
            _check_names("replicas", self.replicas, SPREAD)
            for name, std in self.replica_stds().items():
                if not is_possible_std(name, std):
                    raise ValueError(f"replicas.{name}_std is no possible standard deviation")
        for name, scores in self.classes.items():
            _check_names(f"classes.{name}", scores, PER_CLASS)
            if scores["support"] is None:
                raise ValueError(f"classes.{name}.support is null")
        return self

    def headline(self) -> Headline:
        """The few numbers of `evaluation.json`."""
        return Headline(
            test={name: self.test[name] for name in METRICS},
            val={name: self.val[name] for name in FOLLOWED_VAL},
            epochs={"trained": self.epochs.trained, "best": self.epochs.best},
        )

    def replica_stds(self) -> dict[str, float]:
        """By metric, the standard deviation over replicas, as far as it is defined."""
        found = {name: (self.replicas or {}).get(f"{name}_std") for name in METRICS}
        return {name: std for name, std in found.items() if std is not None}


ModelName = Annotated[str, Field(pattern=r"^[a-z_]{1,100}$")]


class Baselines(Strict):
    """`baseline.json`: by model, every metric with its interval."""

    models: dict[ModelName, Scores]

    @model_validator(mode="after")
    def _every_score_is_there(self) -> Self:
        for name, scores in self.models.items():
            _check_names(f"models.{name}", scores, BOUNDED)
        return self


class Paired(Strict):
    """The network minus a baseline in one metric, on the same test rows. None: not defined.

    Attributes:
        low, high: the interval, see `vintage.report.differences`.
        verdict: on the network.
    """

    difference: Number
    low: Number
    high: Number
    verdict: Literal["better", "worse", "no difference"]


class Comparison(Strict):
    """`comparison.json`: the network beside each baseline.

    Attributes:
        network: the network's test scores, by which metric.
        models: by baseline and metric.
    """

    network: Scores
    models: dict[ModelName, dict[str, Paired]]

    @model_validator(mode="after")
    def _every_difference_is_there(self) -> Self:
        _check_names("network", self.network, COMPARED)
        for name, differences in self.models.items():
            _check_names(f"models.{name}", differences, COMPARED)
        return self


def _check_names(section: str, scores: Mapping[str, object], names: Collection[str]) -> None:
    if set(scores) != set(names):
        wrong = sorted(set(scores) ^ set(names))
        raise ValueError(f"{section}.{wrong[0]} is missing or unknown")


def rounded(value: float | None) -> Number:
    """`value` to 6 decimals; None, JSON's null, where it is not defined."""
    return None if value is None or math.isnan(value) else round(float(value), DIGITS)


def plain_scores(labels: Labels, probabilities: Floats) -> Scores:
    """Every metric by name; None for all of them without rows."""
    if not len(labels):
        return dict.fromkeys(METRICS, None)
    return {name: rounded(value) for name, value in score(labels, probabilities).items()}


def scores_with_bounds(
    labels: Labels, probabilities: Floats, groups: Labels, confidence: float
) -> Scores:
    """Every metric `m` by name, with its interval as `m_low` and `m_high`, None if it has none."""
    intervals = score_with_intervals(labels, probabilities, groups, confidence)
    return {
        f"{name}{suffix}": rounded(value)
        for name, interval in intervals.items()
        for suffix, value in zip(("", "_low", "_high"), interval, strict=True)
    }


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


def class_table(
    labels: Labels,
    probabilities: Floats,
    groups: Labels,
    classes: Sequence[str],
    confidence: float,
) -> dict[str, Scores]:
    """Precision, recall with its interval, F1 and support of each class, by its name."""
    table = class_scores(labels, probabilities, np.ones((1, len(labels))))
    low, high = recall_bounds(labels, probabilities, groups, confidence)
    return {
        name: {
            "precision": rounded(table.precision[0, index]),
            "recall": rounded(table.recall[0, index]),
            "recall_low": rounded(low[index]),
            "recall_high": rounded(high[index]),
            "f1": rounded(table.f1[0, index]),
            "support": int(table.support[0, index]),
        }
        for index, name in enumerate(classes)
    }


def rare_classes(classes: Mapping[str, Scores]) -> dict[str, int]:
    """Of what `class_table` gives, the classes under `RARE_ROWS` test rows, with their number.

    Their recall's interval, and what they add to balanced accuracy, macro F1 and ROC AUC, rests on
    next to nothing.
    """
    support = {name: int(scores["support"] or 0) for name, scores in classes.items()}
    return {name: n_rows for name, n_rows in support.items() if n_rows < RARE_ROWS}
