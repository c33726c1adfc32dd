"""Whether a model's scores on rows that came later differ from its test scores.

Two scores on different rows are compared by both their intervals. The interval of a difference is
that of Zou and Donner, Construction of Confidence Limits about Effect Measures, Statistics in
Medicine 27, 2008; the p-value is the level at which it begins to hold zero. The
p-values are not corrected for their number here.
"""

from typing import NamedTuple

import numpy as np

from vintage.scores.metrics import METRICS, compared_metrics, score
from vintage.scores.rows import Sample

STEPS = 16  # of a bisection of the exponent, which tells p to four digits
LOWEST = 1e-6  # p-value that is told apart from 0


class ScoreChange(NamedTuple):
    """A score on new rows less that on others; no p-value where one has no interval."""

    difference: float
    p_value: float | None


def score_changes(old: Sample, new: Sample) -> dict[str, ScoreChange]:
    """New less old of each compared metric that both define, on rows that share nothing."""
    of_old, of_new = (score(sample.labels, sample.probabilities) for sample in (old, new))
    changes = {}
    for name in compared_metrics():
        difference = of_new[name] - of_old[name]
        if not np.isnan(difference):
            p_value = _p_value(name, (of_old[name], of_new[name]), (old, new))
            changes[name] = ScoreChange(difference, p_value)
    return changes


def _difference_bounds(
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


def _p_value(name: str, scores: tuple[float, float], sides: tuple[Sample, Sample]) -> float | None:
    """The largest level at which the interval of the difference holds zero; None without one."""
    low, high = LOWEST, 1.0
    for _ in range(STEPS):
        level = float(np.sqrt(low * high))
        bounds = _difference_bounds(name, scores, sides, 1 - level)
        if np.isnan(bounds).any():
            return None
        holds_zero = bounds[0] <= 0 <= bounds[1]
        low, high = (level, high) if holds_zero else (low, level)
    return high
