"""Whether rows are others than a model was made for: its scores there, and the columns.

Two scores on different rows are compared by both their intervals. The interval of a difference is
that of Zou and Donner, Construction of Confidence Limits about Effect Measures, Statistics in
Medicine 27, 2008; the p-value is the level at which it begins to hold zero. A column of numbers is
compared by the Kolmogorov-Smirnov test, one of categories by the chi-squared test. The p-values are
not corrected for their number here.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2_contingency, ks_2samp

from vintage.scores.metrics import METRICS, compared_metrics, score
from vintage.scores.rows import Sample

STEPS = 16  # of a bisection of the exponent, which tells p to four digits
LOWEST = 1e-6  # p-value that is told apart from 0
FEWEST = 10  # rows of a category in both tables; the rarer ones count as one


@dataclass(frozen=True)
class ScoreChange:
    """A score on new rows less that on others, with its interval; None: not defined."""

    difference: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class Drift:
    """Of one column.

    Attributes:
        distance: by how much the share of rows up to a number, or of the rows in some categories,
            differs at most: from 0 to 1.
    """

    distance: float
    p_value: float


def score_changes(old: Sample, new: Sample, confidence: float) -> dict[str, ScoreChange]:
    """New less old of each compared metric that both define, on rows that share nothing."""
    (of_old, of_new) = (score(sample.labels, sample.probabilities) for sample in (old, new))
    changes = {}
    for name in compared_metrics():
        difference = of_new[name] - of_old[name]
        if np.isnan(difference):
            continue
        both = of_old[name], of_new[name]
        low, high = difference_bounds(name, both, (old, new), confidence)
        if np.isnan(low) or np.isnan(high):
            changes[name] = ScoreChange(difference)
            continue
        changes[name] = ScoreChange(difference, low, high, _p_value(name, both, (old, new)))
    return changes


def difference_bounds(
    name: str, scores: tuple[float, float], sides: tuple[Sample, Sample], confidence: float
) -> tuple[float, float]:
    """Of the second score less the first; NaN where one has no interval."""
    bounds = METRICS[name].bounds
    if bounds is None:
        return np.nan, np.nan
    (old_low, old_high), (new_low, new_high) = (bounds(side, confidence) for side in sides)
    of_old, of_new = scores
    difference = of_new - of_old
    low = difference - float(np.hypot(of_new - new_low, old_high - of_old))
    high = difference + float(np.hypot(new_high - of_new, of_old - old_low))
    return low, high


def column_drift(old: npt.NDArray[np.float32], new: npt.NDArray[np.float32]) -> Drift:
    """Of a column of numbers, NaN where a cell is missing.

    Whether cells are missing is tested as well; then the smaller p-value counts twice.
    """
    known_old, known_new = old[~np.isnan(old)], new[~np.isnan(new)]
    found = []
    if len(known_old) + len(known_new) < len(old) + len(new):
        missing = (np.isnan(values).astype(np.int64) for values in (old, new))
        found.append(category_drift(*missing))
    if len(known_old) and len(known_new):
        test = ks_2samp(known_old, known_new, method="asymp")
        found.append(Drift(float(test.statistic), float(test.pvalue)))
    p_value = min(1.0, len(found) * min(drift.p_value for drift in found))
    return Drift(max(drift.distance for drift in found), p_value)


def category_drift(old: npt.NDArray[np.int64], new: npt.NDArray[np.int64]) -> Drift:
    """Of codes, each of a category."""
    _, codes = np.unique(np.concatenate([old, new]), return_inverse=True)
    sides = codes[: len(old)], codes[len(old) :]
    counts = np.array([np.bincount(side, minlength=int(codes.max()) + 1) for side in sides])
    shares = counts / counts.sum(axis=1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    rare = counts.sum(axis=0) < FEWEST
    pooled = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)])
    pooled = pooled[:, pooled.sum(axis=0) > 0]
    if pooled.shape[1] < 2:
        return Drift(distance, 1.0)
    return Drift(distance, float(chi2_contingency(pooled, correction=False).pvalue))


def _p_value(name: str, scores: tuple[float, float], sides: tuple[Sample, Sample]) -> float:
    """The largest level at which the interval of the difference holds zero."""
    low, high = LOWEST, 1.0
    for _ in range(STEPS):
        level = float(np.sqrt(low * high))
        bounds = difference_bounds(name, scores, sides, 1 - level)
        holds_zero = bounds[0] <= 0 <= bounds[1]
        low, high = (level, high) if holds_zero else (low, level)
    return high
