"""The metrics: one entry of `METRICS` is all that the project knows of one.

A metric is a function of labels, int64 `[n]`, probabilities, float64 `[n, n_classes]`, and weights,
float64 `[n_resamples, n]`: how often each row counts. All ones give the plain metric, the same as
scikit-learn's; a bootstrap scores thousands of resamples at once. It returns float64
`[n_resamples]`, NaN where it is not defined.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np

from vintage.scores import intervals
from vintage.scores.rows import Floats, Labels, Truths, row_losses, share_below

N_BINS = 10


class ClassScores(NamedTuple):
    """Per class, float64 `[n_resamples, n_classes]`."""

    precision: Floats
    recall: Floats
    f1: Floats
    support: Floats


def accuracy(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """The share of rows whose most probable class is the actual one."""
    correct = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    return weights @ correct / weights.sum(axis=1)


def balanced_accuracy(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """The mean recall of the classes that occur in `labels`."""
    return _mean_defined(class_scores(labels, probabilities, weights).recall)


def f1_macro(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """The mean F1 of the classes that occur in `labels` or are predicted."""
    return _mean_defined(class_scores(labels, probabilities, weights).f1)


def log_loss(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """The mean of -ln of the actual class's probability, which is cut off at 2.2e-16."""
    return weights @ row_losses(probabilities, labels) / weights.sum(axis=1)


def roc_auc_ovr(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """The mean over the classes in `labels` of the area under the one-versus-rest ROC curve."""
    areas = [
        _roc_auc(labels == label, probabilities[:, label], weights) for label in np.unique(labels)
    ]
    return _mean_defined(np.stack(areas, axis=1))


def roc_auc_contributions(labels: Labels, a: Floats, b: Floats) -> Floats:
    """What each row adds to the difference B - A of `roc_auc_ovr`, float64 `[n]`.

    The area counts pairs of rows. What swapping one row's predictions does to a pair depends on
    whether the other row's are swapped, but in the *difference* of the two areas this cancels out,
    so each row is compared with the others' predictions of both models. Ranks stand in for
    probabilities, since those of two models need not have a common scale.

    Source: Venkatraman and Begg, A Distribution-Free Procedure for Comparing Receiver Operating
    Characteristic Curves from a Paired Experiment, 1996.
    """
    parts = np.zeros(len(labels))
    classes = np.unique(labels)
    for label in classes:
        rank_a, rank_b = (share_below(each, np.sort(each)) for each in (a[:, label], b[:, label]))
        positive = labels == label
        for rows, others, sign in ((positive, ~positive, 1), (~positive, positive, -1)):
            pool = np.sort(np.concatenate([rank_a[others], rank_b[others]]))
            above = share_below(rank_b[rows], pool) - share_below(rank_a[rows], pool)
            parts[rows] += sign * above / rows.sum() / len(classes)
    return parts


def calibration_error(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """Expected calibration error of the top class, over 10 bins of equal width.

    It is biased upwards: the fewer rows, the farther above 0 it is for a calibrated model.

    Source: Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian
    Binning, AAAI 2015.
    """
    confidence = probabilities.max(axis=1)
    gap = confidence - (probabilities.argmax(axis=1) == labels)
    in_bin = np.eye(N_BINS)[confidence_bins(confidence)]
    return np.abs(weights @ (in_bin * gap[:, None])).sum(axis=1) / weights.sum(axis=1)


@dataclass(frozen=True)
class Metric:
    """What is known of a metric; the defaults are right for any that does not rank rows.

    Attributes:
        function: as described above.
        title: its name for people.
        bounds: finds its interval; None: it has none.
        lower_is_better: its direction.
        max_difference: between two models, the largest possible one.
        averages_classes: whether it is a mean over classes, in which a row of a small class weighs
            more; for the minimum detectable effect.
        is_compared: whether models are compared by it.
        follow_val: whether `evaluation.json`, which DVC follows, has its validation score.
        is_share_of_rows: whether it is the share of rows that are right, which has an exact test.
        contributions: of labels and both models' probabilities, what each row adds to the
            difference B - A, float64 `[n]`; needed where predictions of two models have no common
            scale.
    """

    function: Callable[[Labels, Floats, Floats], Floats]
    title: str
    bounds: intervals.Bounds | None = None
    _: KW_ONLY
    lower_is_better: bool
    max_difference: float
    averages_classes: bool
    is_compared: bool = True
    follow_val: bool = False
    is_share_of_rows: bool = False
    contributions: Callable[[Labels, Floats, Floats], Floats] | None = None


METRICS: dict[str, Metric] = {
    "accuracy": Metric(
        accuracy,
        "accuracy",
        intervals.accuracy_bounds,
        lower_is_better=False,
        max_difference=1,
        averages_classes=False,
        follow_val=True,
        is_share_of_rows=True,
    ),
    "balanced_accuracy": Metric(
        balanced_accuracy,
        "balanced accuracy",
        intervals.balanced_accuracy_bounds,
        lower_is_better=False,
        max_difference=1,
        averages_classes=True,
        follow_val=True,
    ),
    "f1_macro": Metric(
        f1_macro,
        "macro F1",
        intervals.f1_bounds,
        lower_is_better=False,
        max_difference=1,
        averages_classes=True,
    ),
    "log_loss": Metric(
        log_loss,
        "log loss",
        intervals.log_loss_bounds,
        lower_is_better=True,
        max_difference=float("inf"),
        averages_classes=False,
        follow_val=True,
    ),
    "roc_auc_ovr": Metric(
        roc_auc_ovr,
        "ROC AUC (one vs rest)",
        intervals.roc_auc_bounds,
        lower_is_better=False,
        max_difference=1,
        averages_classes=True,
        contributions=roc_auc_contributions,
    ),
    "calibration_error": Metric(
        calibration_error,
        "calibration error",
        lower_is_better=True,
        max_difference=1,
        averages_classes=False,
        is_compared=False,
    ),
}


def compared_metrics() -> list[str]:
    """The names of the metrics by which models are compared."""
    return [name for name, metric in METRICS.items() if metric.is_compared]


def score(labels: Labels, probabilities: Floats) -> dict[str, float]:
    """Every metric of `METRICS`, each row counted once."""
    once = np.ones((1, len(labels)))
    return {
        name: float(metric.function(labels, probabilities, once)[0])
        for name, metric in METRICS.items()
    }


def class_scores(labels: Labels, probabilities: Floats, weights: Floats) -> ClassScores:
    """Precision, recall, F1 and support of every class.

    As in scikit-learn, precision is 0 for a class that occurs and is never predicted; recall is
    NaN for a class that does not occur, and F1 for one that neither occurs nor is predicted.
    """
    n_classes = probabilities.shape[1]
    is_actual = np.eye(n_classes)[labels]
    is_predicted = np.eye(n_classes)[probabilities.argmax(axis=1)]
    hits = weights @ (is_actual * is_predicted)
    support, predicted = weights @ is_actual, weights @ is_predicted
    precision = _ratio(hits, np.where(predicted == 0, support, predicted))
    return ClassScores(
        precision, _ratio(hits, support), _ratio(2 * hits, support + predicted), support
    )


def confidence_bins(confidence: Floats) -> Labels:
    """The bin, of `N_BINS` equally wide ones, of each confidence `[n]` in [0, 1]."""
    return np.minimum(confidence * N_BINS, N_BINS - 1).astype(np.int64)


def _roc_auc(positive: Truths, ranking: Floats, weights: Floats) -> Floats:
    """The share of (positive, negative) pairs in the right order; ties count half."""
    rows = np.flatnonzero(~positive)
    rows = rows[np.argsort(ranking[rows], kind="stable")]
    below = np.zeros((len(weights), len(rows) + 1))  # by how many negatives lie below
    np.cumsum(weights[:, rows], axis=1, out=below[:, 1:])
    less, at_most = (
        np.searchsorted(ranking[rows], ranking[positive], side) for side in ("left", "right")
    )
    positives = weights[:, positive]
    won = (positives * (below[:, less] + below[:, at_most])).sum(axis=1) / 2
    return _ratio(won, positives.sum(axis=1) * below[:, -1])


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(
        numerator, denominator, out=np.full_like(denominator, np.nan), where=denominator > 0
    )


def _mean_defined(values: Floats) -> Floats:
    """The mean of each row's values that are not NaN; NaN if all are."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(np.float64))
