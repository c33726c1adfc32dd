"""What `evaluation.json` and `baseline.json` say of a model's predictions, as plain numbers."""

import math
from collections.abc import Sequence

import numpy as np

from vintage.params import EvaluateParams
from vintage.scoring import (
    METRICS,
    Floats,
    Labels,
    class_scores,
    score,
    score_with_intervals,
    wilson_bounds,
)

DIGITS = 6

Number = float | None


def rounded(value: float) -> Number:
    """`value` to 6 decimals; None, JSON's null, where it is not defined."""
    return None if math.isnan(value) else round(float(value), DIGITS)


def plain_scores(labels: Labels, probabilities: Floats) -> dict[str, Number]:
    """Every metric by name; None for all of them without rows."""
    if not len(labels):
        return dict.fromkeys(METRICS, None)
    return {name: rounded(value) for name, value in score(labels, probabilities).items()}


def scores_with_bounds(
    labels: Labels, probabilities: Floats, groups: Labels, params: EvaluateParams
) -> dict[str, Number]:
    """Every metric `m` by name, with its interval as `m_low` and `m_high`."""
    intervals = score_with_intervals(
        labels, probabilities, groups, params.confidence, params.resamples, params.seed
    )
    return {
        f"{name}{suffix}": rounded(value)
        for name, interval in intervals.items()
        for suffix, value in zip(("", "_low", "_high"), interval, strict=True)
    }


def replica_scores(labels: Labels, probabilities: Floats) -> dict[str, Number]:
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
) -> dict[str, dict[str, Number]]:
    """Precision, recall with its Wilson interval, F1 and support of each class, by its name.

    Rows of one group say the same thing, so the interval counts groups as trials.
    """
    table = class_scores(labels, probabilities, np.ones((1, len(labels))))
    trials = [len(np.unique(groups[labels == label])) for label in range(len(classes))]
    low, high = wilson_bounds(table.recall[0], np.array(trials, dtype=np.float64), confidence)
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
