"""Metrics of a classifier, for one weighting of the rows or thousands at once, and intervals.

Every function takes `weights`, float64 `[n_resamples, n]`: how often each row counts. All ones give
the plain metric, the same as scikit-learn's; a bootstrap gives a whole distribution in one go.
Probabilities are float64 `[n, n_classes]`, labels int64 `[n]`. A metric that is not defined is NaN.
"""

import warnings
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

N_BINS = 10
MAX_WEIGHTS = 4_000_000  # at once: 32 MB


class Interval(NamedTuple):
    """A metric's value and the bounds that a percentile bootstrap puts around it."""

    value: float
    low: float
    high: float


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
    actual = probabilities[np.arange(len(labels)), labels]
    return weights @ -np.log(actual.clip(np.finfo(np.float64).eps)) / weights.sum(axis=1)


def roc_auc_ovr(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """The mean over the classes in `labels` of the area under the one-versus-rest ROC curve."""
    areas = [
        _roc_auc(labels == label, probabilities[:, label], weights) for label in np.unique(labels)
    ]
    return _mean_defined(np.stack(areas, axis=1))


def calibration_error(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """Expected calibration error of the top class, over 10 bins of equal width.

    Source: Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian
    Binning, AAAI 2015.
    """
    confidence = probabilities.max(axis=1)
    gap = confidence - (probabilities.argmax(axis=1) == labels)
    in_bin = np.eye(N_BINS)[confidence_bins(confidence)]
    return np.abs(weights @ (in_bin * gap[:, None])).sum(axis=1) / weights.sum(axis=1)


METRICS: dict[str, Callable[[Labels, Floats, Floats], Floats]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "f1_macro": f1_macro,
    "log_loss": log_loss,
    "roc_auc_ovr": roc_auc_ovr,
    "calibration_error": calibration_error,
}


LOWER_IS_BETTER = ("log_loss", "calibration_error")


def class_scores(labels: Labels, probabilities: Floats, weights: Floats) -> ClassScores:
    """Precision, recall, F1 and support of every class.

    As in scikit-learn, precision is 0 for a class that is never predicted but occurs; recall is
    NaN for a class that does not occur, and F1 for one that does neither.
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


def score(labels: Labels, probabilities: Floats) -> dict[str, float]:
    """Every metric of `METRICS`, each row counted once."""
    once = np.ones((1, len(labels)))
    return {name: float(metric(labels, probabilities, once)[0]) for name, metric in METRICS.items()}


def confidence_bins(confidence: Floats) -> Labels:
    """The bin, of `N_BINS` equally wide ones, of each confidence `[n]` in [0, 1]."""
    return np.minimum(confidence * N_BINS, N_BINS - 1).astype(np.int64)


def bootstrap_weights(
    strata: Labels, groups: Labels, n_resamples: int, generator: np.random.Generator
) -> Floats:
    """How often each row is drawn when whole groups are drawn with replacement.

    Groups are drawn within their stratum, so that a rare class is in every resample. Only integers
    are drawn, so that the result is the same on every CPU.

    Args:
        strata: int64 `[n]`, such as the labels; a group's is that of its first row.
        groups: int64 `[n]`: rows of equal value are drawn together.

    Returns:
        float64 `[n_resamples, n]`.
    """
    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    group_strata = strata[first]
    counts = np.zeros((n_resamples, len(first)))
    for stratum in np.unique(group_strata):
        (units,) = np.nonzero(group_strata == stratum)
        drawn = generator.integers(0, len(units), size=(n_resamples, len(units)))
        flat = drawn + np.arange(n_resamples)[:, None] * len(units)
        counts[:, units] = np.bincount(flat.ravel(), minlength=n_resamples * len(units)).reshape(
            n_resamples, len(units)
        )
    return counts[:, members]


def bootstrap(
    statistic: Callable[[Floats], Floats],
    labels: Labels,
    groups: Labels,
    n_resamples: int,
    seed: int,
) -> Floats:
    """The distribution of `statistic` over resamples of the rows.

    Args:
        statistic: weights `[k, n]` -> `[k, ...]`.

    Returns:
        float64 `[n_resamples, ...]`, in chunks that need little memory.
    """
    generator = np.random.default_rng(seed)
    size = max(1, MAX_WEIGHTS // len(labels))
    sizes = [min(size, n_resamples - start) for start in range(0, n_resamples, size)]
    return np.concatenate(
        [statistic(bootstrap_weights(labels, groups, size, generator)) for size in sizes]
    )


def percentile_bounds(resamples: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Lower and upper bound over the first axis; NaN resamples do not count.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    tail = (1 - confidence) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice")
        low, high = np.nanquantile(resamples, [tail, 1 - tail], axis=0)
    return low, high


def score_with_intervals(
    labels: Labels,
    probabilities: Floats,
    groups: Labels,
    confidence: float,
    n_resamples: int,
    seed: int,
) -> dict[str, Interval]:
    """Every metric of `METRICS` with its bootstrap interval; `groups` are drawn together.

    If all rows are right, or all wrong, the resamples' accuracy cannot differ: then its interval is
    Wilson's, with a trial for each group.
    """

    def all_metrics(weights: Floats) -> Floats:
        columns = [metric(labels, probabilities, weights) for metric in METRICS.values()]
        return np.stack(columns, axis=1)

    resamples = bootstrap(all_metrics, labels, groups, n_resamples, seed)
    values = score(labels, probabilities).values()
    bounds = percentile_bounds(resamples, confidence)
    intervals = {
        name: Interval(value, float(low), float(high))
        for name, value, low, high in zip(METRICS, values, *bounds, strict=True)
    }
    share, low, high = intervals["accuracy"]
    if low == high:
        n_groups = np.array([len(np.unique(groups))], dtype=np.float64)
        wilson = wilson_bounds(np.array([share]), n_groups, confidence)
        intervals["accuracy"] = Interval(share, *(float(bound[0]) for bound in wilson))
    return intervals


def wilson_bounds(share: Floats, n: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Bounds of a share observed in `n` independent trials; unlike a bootstrap's, honest at 0.

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    with np.errstate(all="ignore"):
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.maximum(middle - half, 0), np.minimum(middle + half, 1)


def _roc_auc(positive: npt.NDArray[np.bool_], ranking: Floats, weights: Floats) -> Floats:
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
    """The mean of each row's values that are not NaN; NaN where none is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(np.float64))
