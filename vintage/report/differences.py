"""Whether one model is better than another on the same test rows, and what cannot be told.

Each metric is tested twice, and the larger p-value counts:

- by a paired permutation test (`vintage/report/resampling.py`; McNemar's exact test for accuracy),
  whose level is exact for any number of rows, given the two trained models;
- by a standard error: of the paired bootstrap, or of the permutations where that is larger (for
  accuracy, of the permutations), with the seed-to-seed variance added.

What r replicas predict together is taken to vary from training to training with std ** 2 / r, std
over single replicas: an approximation, since the score of a mean is not the mean of scores.
Since std is an estimate from few, the sum of variances has the degrees of freedom of Satterthwaite,
An Approximate Distribution of Estimates of Variance Components, 1946. Part of what seeds do is seen
by the bootstrap, too, and counts twice, which errs on the careful side.

The p-values are corrected by Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
Each interval is at the level at which Holm's procedure tested its metric, and as wide as what that
test takes for chance: it holds zero exactly when the verdict names no winner.

The minimum detectable effect d is the true difference that 80 % of test sets show: half the width
of the interval, and a standard error's 80 % quantile. Swaps turn the difference itself around, too,
so the larger it is, the wider they spread, most of all where few rows carry it. Two models that
hardly differ have a small error, but models that differ by d must do so in enough rows: if B wins
z ** 2 rows and loses none, the difference is z standard errors; with z the sum of both quantiles,
that is the least. Source: Connor, Sample Size for Testing Differences in Proportions for the
Paired-Sample Design, 1987.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.stats import norm, t

from vintage.base.groups import joined_groups
from vintage.base.params import IntervalParams
from vintage.report.resampling import (
    DIGITS,
    bootstrap_differences,
    mcnemar,
    permutation_test,
    permuted_differences,
    won_rows,
)
from vintage.scores.holm import holm
from vintage.scores.metrics import METRICS, compared_metrics, score
from vintage.scores.predictions import Predictions
from vintage.scores.rows import Sample

MAX_PERMUTATIONS = 100_000
POWER = 0.8  # with which the minimum detectable effect is found

Verdict = Literal["better", "worse", "no difference", "unpaired"]


@dataclass(frozen=True)
class Candidate:
    """One of two models.

    Attributes:
        replicas: how many networks of other seeds its predictions are the mean of.
        stds: each metric's standard deviation over the replicas alone; empty if it is not known.
    """

    predictions: Predictions
    replicas: int = 1
    stds: Mapping[str, float] = field(default_factory=dict)

    def scores(self) -> dict[str, float]:
        return score(self.predictions.labels, self.predictions.probabilities)


@dataclass(frozen=True)
class Difference:
    """One metric of both models, and B - A with its interval. None: not defined.

    Attributes:
        p_value: corrected for the number of metrics.
        detectable: the minimum detectable effect, at the level of the metric that is tested first;
            None also if no possible difference is as large, or the models differ in no row.
        error: the standard error of the difference, of rows and seeds.
    """

    a: float | None
    b: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    verdict: Verdict = "no difference"
    detectable: float | None = None
    error: float | None = None


class _Test(NamedTuple):
    """How a metric is tested at any level.

    Attributes:
        of_swaps: the p-value of its permutation test.
        limit: from a level to the largest difference that is not significant in that test.
        step: by how much a row on which the models differ moves the difference, on average.
        concentration: the sum of squares of the rows' weights in the metric.
        error: the standard error, of rows and seeds.
    """

    of_swaps: float
    limit: Callable[[float], float]
    step: float
    concentration: float
    error: float
    degrees_of_freedom: float

    def p_value(self, difference: float) -> float:
        if self.error == 0:
            return self.of_swaps
        of_error = 2 * t.sf(abs(difference) / self.error, self.degrees_of_freedom)
        return max(self.of_swaps, float(of_error))

    def half_width(self, level: float) -> float:
        of_error = float(t.isf(level / 2, self.degrees_of_freedom)) * self.error
        return max(self.limit(level), of_error)

    def detectable(self, level: float, largest: float) -> float | None:
        """The minimum detectable effect; None if it is above the largest possible difference."""
        half_width = self.half_width(level)
        margin = self.error * t.ppf(POWER, self.degrees_of_freedom)
        slope = t.isf(level / 2, self.degrees_of_freedom) ** 2 * self.concentration
        if not self.step or slope >= 1:
            return None
        # d = sqrt(half_width ** 2 + slope * d ** 2) + margin
        root = np.sqrt(slope * margin**2 + (1 - slope) * half_width**2)
        n_rows = (norm.isf(level / 2) + norm.ppf(POWER)) ** 2
        found = float(max((margin + root) / (1 - slope), n_rows * self.step))
        return found if found <= largest else None


def paired_differences(
    a: Candidate, b: Candidate, settings: IntervalParams
) -> dict[str, Difference]:
    """B - A for each compared metric, of predictions for the same rows in the same order."""
    return differences_of_pairs([(a, b)], settings)[0]


def differences_of_pairs(
    pairs: Sequence[tuple[Candidate, Candidate]], settings: IntervalParams
) -> list[dict[str, Difference]]:
    """The same for several pairs, with p-values corrected for all metrics of all of them.

    In whatever order they come, each gets the same p-values and verdicts.
    """
    judged = [_untested(a, b) for a, b in pairs]
    due = [
        {
            name: each.difference
            for name, each in of_pair.items()
            if each.difference is not None and each.p_value is None
        }
        for of_pair in judged
    ]
    if not (n_tests := sum(map(len, due))):
        return judged
    alpha = round(1 - settings.confidence, 12)
    tests = [
        (of_pair, name, test)
        for of_pair, differences, (a, b) in zip(judged, due, pairs, strict=True)
        if differences
        for name, test in _tests(differences, a, b, settings, alpha / n_tests).items()
    ]
    p_values = [test.p_value(of_pair[name].difference or 0.0) for of_pair, name, test in tests]
    corrected, levels = holm(p_values, alpha)
    for (of_pair, name, test), p_value, level in zip(tests, corrected, levels, strict=True):
        metric, difference = METRICS[name], of_pair[name].difference or 0.0
        half_width = test.half_width(level)
        verdict: Verdict = "no difference"
        if p_value <= alpha and difference:
            verdict = "better" if (difference < 0) == metric.lower_is_better else "worse"
        of_pair[name] = replace(
            of_pair[name],
            # rounded, so that a bound that is zero but for the last bit is zero
            low=round(max(difference - half_width, -metric.max_difference), DIGITS),
            high=round(min(difference + half_width, metric.max_difference), DIGITS),
            p_value=p_value,
            verdict=verdict,
            detectable=test.detectable(alpha / n_tests, metric.max_difference),
            error=test.error,
        )
    return judged


def _untested(a: Candidate, b: Candidate) -> dict[str, Difference]:
    """The values and, where both are defined, the difference; if all predictions are equal, the
    rest as well."""
    values_a, values_b = a.scores(), b.scores()
    nothing: dict[str, Any] = {}
    if np.array_equal(a.predictions.probabilities, b.predictions.probabilities):
        nothing = {"low": 0.0, "high": 0.0, "p_value": 1.0}
    judged = {}
    for name in compared_metrics():
        judged[name] = Difference(_defined(values_a[name]), _defined(values_b[name]))
        if not np.isnan(values_a[name]):
            difference = values_b[name] - values_a[name]
            judged[name] = replace(judged[name], difference=difference, **nothing)
    return judged


def lead_by_chance(n_models: int, error: float) -> float:
    """By how much the best of so many equally good models leads their mean score, as expected.

    That is the largest of n normal numbers. Two scores differ by `error`, the standard error of
    their difference, so each has a root of two less for itself. Source of the approximation: Blom,
    Statistical Estimates and Transformed Beta Variables, 1958.
    """
    return float(norm.ppf((n_models - 0.375) / (n_models + 0.25))) / math.sqrt(2) * error


def unpaired_differences(
    a: Candidate, b: Candidate, same_classes: bool = True
) -> dict[str, Difference]:
    """B - A where each is scored on rows of its own; both values alone if the classes differ.

    There is neither an interval nor a p-value: each model learned from other rows, too, and how
    much that moves a score cannot be told from two models.
    """
    values_a, values_b = a.scores(), b.scores()
    return {
        name: Difference(
            _defined(values_a[name]),
            _defined(values_b[name]),
            _defined(values_b[name] - values_a[name]) if same_classes else None,
            verdict="unpaired",
        )
        for name in compared_metrics()
    }


def _tests(
    differences: Mapping[str, float],
    a: Candidate,
    b: Candidate,
    settings: IntervalParams,
    level: float,
) -> dict[str, _Test]:
    """The tests of these metrics, of which the most significant is held to `level`."""
    labels = b.predictions.labels
    groups = joined_groups(a.predictions.groups, b.predictions.groups)
    of_a, of_b = (Sample.of(labels, side.predictions.probabilities, groups) for side in (a, b))
    # enough for a p-value well under the level, as far as that can be afforded
    n_permutations = max(settings.resamples, int(np.ceil(5 / level)) - 1)
    n_permutations = min(MAX_PERMUTATIONS, n_permutations)
    metrics = [METRICS[name] for name in differences]
    resampled = bootstrap_differences(metrics, of_a, of_b, settings.resamples, settings.seed)
    permuted = permuted_differences(metrics, of_a, of_b, n_permutations, settings.seed)
    _, sizes = np.unique(labels, return_counts=True)
    tests = {}
    for (name, difference), resamples, permutations in zip(
        differences.items(), resampled.T, permuted.T, strict=True
    ):
        if METRICS[name].is_share_of_rows:
            won = won_rows(of_a, of_b)
            p_value, limit = mcnemar(won, len(labels))
            error = by_swaps = np.sqrt((won**2).sum()) / len(labels)
        else:
            p_value, limit = permutation_test(difference, permutations)
            by_swaps = np.sqrt(np.mean(permutations**2))
            error = max(np.nanstd(resamples, ddof=1), by_swaps)
        most = limit(0)  # that swaps can make of the difference
        step = float(by_swaps**2) / most if most else 0.0
        concentration = 1 / len(labels)
        if METRICS[name].averages_classes:
            concentration = float((1 / sizes).sum()) / len(sizes) ** 2
        known = [side for side in (a, b) if side.replicas > 1 and name in side.stds]
        of_seeds = [(side.stds[name] ** 2 / side.replicas, side.replicas - 1.0) for side in known]
        total = with_seeds(float(error), of_seeds)
        tests[name] = _Test(p_value, limit, step, concentration, *total)
    return tests


def with_seeds(error: float, of_seeds: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """A standard error with seed-to-seed variance added, and its degrees of freedom.

    Args:
        of_seeds: the variance that seeds make of each side's score, and its degrees of freedom.
    """
    total = error**2 + sum(variance for variance, _ in of_seeds)
    uncertain = sum(variance**2 / freedom for variance, freedom in of_seeds)
    return float(np.sqrt(total)), total**2 / uncertain if uncertain else float("inf")


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
