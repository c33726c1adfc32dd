"""Intervals of the metrics: what this classifier would score on all rows like the test rows.

Nothing is drawn at random. Every metric but the log loss is a share, or a mean of one share for
each class: of rows that are right (accuracy, recall), of what F1 counts, of pairs of rows in the
right order (ROC AUC). For each share, this module finds the number of independent trials that has
the variance of the share. The bounds are then Wilson's, which hold for few rows and for shares near
0 and 1, where a bootstrap is too narrow because it draws only what it has seen.

- Groups of rows are fewer trials (design effect: Kish, Survey Sampling, 1965).
- F1 is 2 J / (1 + J), where J is the share of hits among the rows that are of the class or are
  predicted to be; the delta method gives its trials.
- The trials of an area are those of Hanley and McNeil, The Meaning and Use of the Area under a ROC
  Curve, 1982, as in Newcombe, Confidence Intervals for an Effect Size Measure Based on the
  Mann-Whitney Statistic, Part 2, 2006; the more rows, the more by the variance of DeLong, DeLong
  and Clarke-Pearson, Comparing the Areas under Two or More Correlated ROC Curves, 1988.
- The bounds of a mean of shares follow from Wilson's of each, as in Zou and Donner, Construction of
  Confidence Limits about Effect Measures, 2008, but with the errors that the shares have there.
  Without test rows of a class there are none (for F1, unless the class is predicted).
- The log loss is a mean of skewed numbers: Hall, On the Removal of Skewness by Transformation,
  1992.
- The expected calibration error has none: its estimate is above 0 for a calibrated model, too, so
  an interval around it would not hold the truth.

How often the intervals hold the truth: docs/intervals.md.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import gammaincinv, ndtri, stdtrit  # scipy.stats takes longer to import

from vintage.scores.rows import Floats, Sample, Truths, log_losses, share_below

PRIOR = 3.0  # rows that the model's own variance counts as, where few rows show theirs
STEPS = 40  # of a bisection, each of which halves the error
UNKNOWN = float("nan"), float("nan")

Bounds = Callable[[Sample, float], tuple[float, float]]  # of a sample at a confidence


class _Share(NamedTuple):
    """A share of independent trials.

    Attributes:
        influences: float64 `[n_groups]`, by how much each group moves the value.
        information: how many rows make up its variance, such as the wrong ones if these are few.
    """

    value: float
    trials: float
    influences: Floats
    information: float


def accuracy_bounds(sample: Sample, confidence: float) -> tuple[float, float]:
    share = _share(sample, sample.right, np.ones_like(sample.right))
    (low,), (high,) = wilson_bounds(*_stacked([share]), _quantile(confidence))
    return float(low), float(high)


def balanced_accuracy_bounds(sample: Sample, confidence: float) -> tuple[float, float]:
    return _mean_bounds(sample, list(_recalls(sample).values()), 0.0, confidence)


def f1_bounds(sample: Sample, confidence: float) -> tuple[float, float]:
    """Of the mean F1; an error counts against two classes."""
    return _mean_bounds(sample, _f1_shares(sample), _of_two_classes(sample), confidence)


def roc_auc_bounds(sample: Sample, confidence: float) -> tuple[float, float]:
    """Of the mean area; a pair in the wrong order counts against two classes."""
    present = np.unique(sample.labels)
    areas = [_area(sample, label) for label in present] if len(present) > 1 else []
    return _mean_bounds(sample, areas, _of_two_classes(sample), confidence)


def log_loss_bounds(sample: Sample, confidence: float) -> tuple[float, float]:
    """Student's interval without its skewness.

    If few rows make up the variance, the unlikely ones that cost most may be missing among them. So
    if losses vary more where the probabilities are taken as true, that counts as `PRIOR` rows.
    """
    losses, n_rows = log_losses(sample.probabilities), len(sample.labels)
    observed = losses[np.arange(n_rows), sample.labels]
    residuals = observed - observed.mean()
    around = losses - (sample.probabilities * losses).sum(axis=1).mean()
    seen = [float((residuals**k).mean()) for k in (2, 3)]
    assumed = [float((sample.probabilities * around**k).sum(axis=1).mean()) for k in (2, 3)]
    information = _information(residuals)
    second, third = (
        (information * of_rows + PRIOR * prior) / (information + PRIOR)
        for of_rows, prior in zip(seen, max(seen, assumed), strict=True)
    )
    cube = second**1.5  # 0 of what is next to 0
    if sample.n_groups < 2 or cube <= 0:
        return UNKNOWN
    trials = n_rows / _design_effect(sample, residuals, np.ones(n_rows, dtype=np.bool_))
    deviation, skewness = np.sqrt(second), third / cube
    step = float(-stdtrit(n_rows - 1, (1 - confidence) / 2)) / np.sqrt(trials)
    low, high = (observed.mean() - deviation * _skewed(s, skewness, trials) for s in (step, -step))
    return max(float(low), 0.0), float(high)


def recall_bounds(sample: Sample, confidence: float) -> tuple[Floats, Floats]:
    """The bounds of every class's recall, float64 `[n_classes]`; NaN without rows.

    They are Wilson's, or Poisson's where a class has up to 3 hits, or errors: Wilson's own miss a
    share near 0 as soon as one row is in it. Source: Brown, Cai and DasGupta, Interval Estimation
    for a Binomial Proportion, 2001, section 4.1.
    """
    recalls = _recalls(sample)
    values, trials = _stacked(list(recalls.values()))
    low, high = wilson_bounds(values, trials, _quantile(confidence))

    def widened(share: Floats, wilson: Floats) -> Floats:
        hits = share * trials
        poisson = gammaincinv(hits, 1 - confidence) / trials
        is_rare = (hits > 0) & (hits <= 3) & (share < 0.5)
        return np.where(is_rare, np.minimum(wilson, poisson), wilson)

    bounds = np.full((2, sample.n_classes), np.nan)
    bounds[:, list(recalls)] = widened(values, low), 1 - widened(1 - values, 1 - high)
    return bounds[0], bounds[1]


def wilson_bounds(shares: Floats, trials: Floats, quantile: float) -> tuple[Floats, Floats]:
    """Bounds of shares of independent trials, float64 `[k]`, `quantile` standard errors away.

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    square = quantile**2
    middle = (shares + square / (2 * trials)) / (1 + square / trials)
    root = np.sqrt(shares * (1 - shares) / trials + square / (4 * trials**2))
    half = quantile / (1 + square / trials) * root
    return np.maximum(middle - half, 0), np.minimum(middle + half, 1)


def _share(sample: Sample, hit: Truths, trial: Truths) -> _Share:
    """Of the rows in `trial`, those that are in `hit`: bool `[n]` each."""
    n_trials = float(trial.sum())
    value = float((hit & trial).sum()) / n_trials
    residuals = np.where(trial, hit - value, 0.0)
    trials = n_trials / _design_effect(sample, residuals, trial)
    influences = sample.group_sums(residuals) / n_trials
    return _Share(value, trials, influences, _information(residuals))


def _information(residuals: Floats) -> float:
    fourth = float((residuals**4).sum())
    return float((residuals**2).sum()) ** 2 / fourth if fourth > 0 else 0.0


def _design_effect(sample: Sample, residuals: Floats, trial: Truths) -> float:
    """How many times the variance is that of independent rows, at least 1.

    It is what the residuals show and, weighted as one row of them, what it would be if the rows of
    a group were half alike, midway between what is possible.
    """
    n_trials = float(trial.sum())
    alike = float((sample.group_sums(trial.astype(np.float64)) ** 2).sum()) / n_trials
    squares = float((residuals**2).sum())
    assumed = (1 + alike) / 2
    if squares == 0 or alike == n_trials:
        return assumed
    seen = float((sample.group_sums(residuals) ** 2).sum()) / squares
    seen *= (n_trials - 1) / (n_trials - alike)  # without bias, if rows are independent
    information = _information(residuals)
    return max(1.0, (information * seen + assumed) / (information + 1))


def _recalls(sample: Sample) -> dict[int, _Share]:
    present = np.unique(sample.labels).tolist()
    return {label: _share(sample, sample.right, sample.labels == label) for label in present}


def _f1_shares(sample: Sample) -> list[_Share]:
    predicted = sample.probabilities.argmax(axis=1)
    shares = []
    for label in np.union1d(sample.labels, predicted):
        actual, claimed = sample.labels == label, predicted == label
        of_union = _share(sample, actual & claimed, actual | claimed)
        plus_one = 1 + of_union.value
        shares.append(
            of_union._replace(
                value=2 * of_union.value / plus_one,
                trials=of_union.trials * plus_one**2 / 2,
                influences=of_union.influences * 2 / plus_one**2,
            )
        )
    return shares


def _area(sample: Sample, label: int) -> _Share:
    positive, ranking = sample.labels == label, sample.probabilities[:, label]
    above, below = np.sort(ranking[positive]), np.sort(ranking[~positive])
    n_above, n_below = len(above), len(below)
    right = np.empty(len(ranking))  # of each row's pairs, the share in the right order
    right[positive] = share_below(ranking[positive], below)
    right[~positive] = 1 - share_below(ranking[~positive], above)
    value = float(right[positive].mean())
    influences = (right - value) / np.where(positive, n_above, n_below)
    spread = (1 - value) / (2 - value) + value / (1 + value)
    trials = n_above * n_below / (1 + ((n_above + n_below) / 2 - 1) * spread)
    fewest = min(n_above, n_below)
    modelled = value * (1 - value) / trials
    information = _information(influences)
    effect = _design_effect(sample, influences, positive if n_above < n_below else ~positive)
    if modelled > 0 and fewest > 1:
        seen = float((influences**2).sum()) * fewest / (fewest - 1) / modelled
        effect *= (information * seen + PRIOR) / (information + PRIOR)
    return _Share(value, trials / effect, sample.group_sums(influences), information)


def _mean_bounds(
    sample: Sample, shares: Sequence[_Share], correlation: float, confidence: float
) -> tuple[float, float]:
    """Bounds of the mean over all classes; NaN unless the share of each is known.

    Args:
        correlation: of two shares, as far as the rows do not show it.
    """
    if len(shares) < sample.n_classes:
        return UNKNOWN
    values, trials = _stacked(shares)
    correlations, quantile = _correlations(shares, correlation), _quantile(confidence)
    low = _lower(values, trials, correlations, quantile)
    return low, 1 - _lower(1 - values, trials, correlations, quantile)


def _stacked(shares: Sequence[_Share]) -> tuple[Floats, Floats]:
    """The values and the trials, float64 `[k]` each."""
    values, trials = np.array([(share.value, share.trials) for share in shares]).T
    return values, trials


def _quantile(confidence: float) -> float:
    return float(-ndtri((1 - confidence) / 2))


def _of_two_classes(sample: Sample) -> float:
    """The correlation of two classes' shares where each error counts against two classes."""
    return 1 / max(1, sample.n_classes - 1)


def _correlations(shares: Sequence[_Share], prior: float) -> Floats:
    """Of the shares' errors; float64 `[k, k]`."""
    influences = np.stack([share.influences for share in shares], axis=1)
    sizes = np.sqrt((influences**2).sum(axis=0))
    units = influences / np.where(sizes > 0, sizes, 1)
    information = float(np.mean([share.information for share in shares]))
    correlations = (information * (units.T @ units) + prior) / (information + 1)
    np.fill_diagonal(correlations, 1)
    return correlations


def _lower(values: Floats, trials: Floats, correlations: Floats, quantile: float) -> float:
    """The mean of each share's lower bound, at a quantile small enough for all of them together.

    As far as the shares err independently of each other, all are not low at once: at the bounds,
    the mean is `quantile` of its own standard errors below the observed one.
    """
    least, most = 0.0, quantile
    for _ in range(STEPS):
        middle = (least + most) / 2
        low, _ = wilson_bounds(values, trials, middle)
        errors = np.sqrt(low * (1 - low) / trials)
        if middle * errors.sum() < quantile * np.sqrt(errors @ correlations @ errors):
            least = middle
        else:
            most = middle
    return float(low.mean())


def _skewed(step: float, skewness: float, trials: float) -> float:
    """Hall's transformation, turned round: how far away of the mean, in standard deviations."""
    if abs(skewness) < 1e-6:
        return step
    root = np.cbrt(1 + skewness * (step - skewness / (6 * trials)))
    return float(3 / skewness * (root - 1))
