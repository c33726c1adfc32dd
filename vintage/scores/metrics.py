"""Metrics of a classifier, for one weighting of the rows or thousands at once.

Every function takes `weights`, float64 `[n_resamples, n]`: how often each row counts. All ones give
the plain metric, the same as scikit-learn's; a bootstrap gives a whole distribution in one go.
Probabilities are float64 `[n, n_classes]`, labels int64 `[n]`. A metric that is not defined is NaN.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

N_BINS = 10
MAX_WEIGHTS = 4_000_000  # at once: 32 MB


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
    return weights @ log_losses(actual) / weights.sum(axis=1)


def log_losses(probabilities: Floats) -> Floats:
    """What each probability costs if it is that of the actual class."""
    return -np.log(probabilities.clip(np.finfo(np.float64).eps))


def roc_auc_ovr(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """The mean over the classes in `labels` of the area under the one-versus-rest ROC curve."""
    areas = [
        _roc_auc(labels == label, probabilities[:, label], weights) for label in np.unique(labels)
    ]
    return _mean_defined(np.stack(areas, axis=1))


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


METRICS: dict[str, Callable[[Labels, Floats, Floats], Floats]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "f1_macro": f1_macro,
    "log_loss": log_loss,
    "roc_auc_ovr": roc_auc_ovr,
    "calibration_error": calibration_error,
}


LOWER_IS_BETTER = ("log_loss", "calibration_error")


def is_possible_std(metric: str, std: float) -> bool:
    """Whether values of the metric can have this standard deviation: it is within their range."""
    return 0 <= std <= (float(log_losses(np.zeros(1))[0]) if metric == "log_loss" else 1)


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


def bootstrap_weights(groups: Labels, n_resamples: int, generator: np.random.Generator) -> Floats:
    """How often each row is drawn when whole groups are drawn with replacement.

    Only integers are drawn, so that the result is the same on every CPU.

    Args:
        groups: int64 `[n]`: rows of equal value are drawn together.

    Returns:
        float64 `[n_resamples, n]`.
    """
    unique, members = np.unique(groups, return_inverse=True)
    n_groups = len(unique)
    drawn = generator.integers(0, n_groups, size=(n_resamples, n_groups))
    flat = drawn + np.arange(n_resamples)[:, None] * n_groups
    counts = np.bincount(flat.ravel(), minlength=n_resamples * n_groups)
    return counts.reshape(n_resamples, n_groups).astype(np.float64)[:, members]


def bootstrap(
    statistic: Callable[[Floats], Floats],
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
    size = max(1, MAX_WEIGHTS // len(groups))
    sizes = [min(size, n_resamples - start) for start in range(0, n_resamples, size)]
    return np.concatenate([statistic(bootstrap_weights(groups, size, generator)) for size in sizes])


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
