"""Whether one model is better than another on the same test rows, and what cannot be told.

Each metric is tested twice, and the larger p-value counts:

- by a paired permutation test (`vintage/report/resampling.py`; McNemar's exact test for accuracy),
  whose level is exact for any number of rows, given the two trained models;
- by a standard error: of the paired bootstrap, or of the permutations where that is larger, with
  the seed-to-seed variance added. For accuracy without a known seed-to-seed spread, McNemar's test
  stands alone.

What r replicas predict together is taken to vary from training to training with std ** 2 / r, std
over single replicas: an approximation, since the score of a mean is not the mean of scores.
Since std is an estimate from few, the sum of variances has the degrees of freedom of Satterthwaite,
An Approximate Distribution of Estimates of Variance Components, 1946. Part of what seeds do is seen
by the bootstrap, too, and counts twice, which errs on the careful side.

The p-values are corrected by Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
Each interval is at the level at which Holm's procedure tested its metric, and as wide as what that
test takes for chance: it holds zero exactly when the verdict names no winner.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from vintage.base.groups import joined_groups
from vintage.base.params import IntervalParams
from vintage.report.power import (
    StandardError,
    accuracy_detectable,
    mean_detectable,
    recall_detectable,
)
from vintage.report.resampling import (
    DIGITS,
    bootstrap_differences,
    mcnemar,
    permutation_test,
    permuted_differences,
    won_rows,
)
from vintage.scores.metrics import METRICS, Metric, compared_metrics, score
from vintage.scores.predictions import Predictions
from vintage.scores.rows import Floats, Sample

MAX_PERMUTATIONS = 100_000
NO_CHANGE: dict[str, Any] = {"difference": 0.0, "low": 0.0, "high": 0.0, "p_value": 1.0}

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

    @property
    def has_spread(self) -> bool:
        """Whether it is known how much another seed changes its scores."""
        return self.replicas > 1 and bool(self.stds)

    def scores(self) -> dict[str, float]:
        return score(self.predictions.labels, self.predictions.probabilities)


@dataclass(frozen=True)
class Difference:
    """One metric of both models, and B - A with its interval. None: not defined.

    Attributes:
        p_value: corrected for the number of metrics.
        detectable: the minimum detectable effect, see `vintage.report.power`, at the level of the
            metric that is tested first; None if predictions as alike as these show nothing.
    """

    a: float | None
    b: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    verdict: Verdict = "no difference"
    detectable: float | None = None


class _Test(NamedTuple):
    """A metric's uncorrected p-value, half its interval's width by level, and its standard error.

    `detectable` is its minimum detectable effect at the first level.
    """

    p_value: float
    half_widths: list[float]
    error: StandardError
    detectable: float | None = None


def paired_differences(
    a: Candidate, b: Candidate, settings: IntervalParams
) -> dict[str, Difference]:
    """B - A for each compared metric, of predictions for the same rows in the same order."""
    values_a, values_b = a.scores(), b.scores()
    judged = {
        name: Difference(_defined(values_a[name]), _defined(values_b[name]))
        for name in compared_metrics()
    }
    names = [name for name in judged if not np.isnan(values_a[name])]
    if np.array_equal(a.predictions.probabilities, b.predictions.probabilities):
        return judged | {name: replace(judged[name], **NO_CHANGE) for name in names}
    tests = _tests(names, a, b, settings)
    corrected, steps = holm([tests[name].p_value for name in names], _alpha(settings))
    for name, p_value, step in zip(names, corrected, steps, strict=True):
        difference = values_b[name] - values_a[name]
        low, high = _bounds(name, difference, float(tests[name].half_widths[step]))
        judged[name] = replace(
            judged[name],
            difference=difference,
            low=low,
            high=high,
            p_value=p_value,
            verdict=_verdict(name, difference, p_value <= _alpha(settings)),
            detectable=tests[name].detectable,
        )
    return judged


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


def holm(p_values: Sequence[float], alpha: float) -> tuple[list[float], list[int]]:
    """Holm's procedure, in the order of `p_values`.

    Returns:
        The corrected p-values, and the step at which each was tested, or at which testing stopped.
    """
    n_tests = len(p_values)
    corrected, steps = [1.0] * n_tests, [0] * n_tests
    largest, step = 0.0, 0
    for rank, index in enumerate(sorted(range(n_tests), key=lambda index: p_values[index])):
        step = rank if largest <= alpha else step
        largest = max(largest, min(1.0, p_values[index] * (n_tests - rank)))
        corrected[index], steps[index] = largest, step
    return corrected, steps


def _tests(
    names: Sequence[str], a: Candidate, b: Candidate, settings: IntervalParams
) -> dict[str, _Test]:
    labels = b.predictions.labels
    groups = joined_groups(a.predictions.groups, b.predictions.groups)
    of_a = Sample.of(labels, a.predictions.probabilities, groups)
    of_b = Sample.of(labels, b.predictions.probabilities, groups)
    levels = [_alpha(settings) / (len(names) - step) for step in range(len(names))]
    # enough for a p-value well under the first level, as far as that can be afforded
    n_permutations = max(settings.resamples, int(np.ceil(5 / levels[0])) - 1)
    n_permutations = min(MAX_PERMUTATIONS, n_permutations)
    metrics = [METRICS[name] for name in names]
    resampled = bootstrap_differences(metrics, of_a, of_b, settings.resamples, settings.seed)
    permuted = permuted_differences(metrics, of_a, of_b, n_permutations, settings.seed)
    values_a, values_b = a.scores(), b.scores()
    tests: dict[str, _Test] = {}
    for name, metric, resamples, permutations in zip(
        names, metrics, resampled.T, permuted.T, strict=True
    ):
        seeds = _seed_variances(name, a, b)
        if metric.counts_right_rows and metric.mean_over == "rows":
            tests[name] = _exact_test(of_a, of_b, seeds, levels)
            continue
        deviations = np.nanstd(resamples, ddof=1), np.sqrt(np.mean(permutations**2))
        error = _standard_error(float(max(deviations)), seeds)
        test = _permutation_test(values_b[name] - values_a[name], permutations, error, levels)
        easier = tests.get(metric.as_hard_as or "")
        found = _detectable(metric, test, of_a, of_b, permutations, levels[0], easier)
        tests[name] = test._replace(detectable=found)
    return tests


def _exact_test(
    a: Sample, b: Sample, seeds: Sequence[tuple[float, int]], levels: Sequence[float]
) -> _Test:
    """McNemar's test; its standard error is that of its null hypothesis, sqrt(sum of squares)."""
    won, n_rows = won_rows(a, b), len(a.labels)
    p_value, limit = mcnemar(won)
    error = _standard_error(float(np.sqrt((won**2).sum())) / n_rows, seeds)
    if seeds:
        p_value = max(p_value, error.p_value(int(won.sum()) / n_rows))
    widths = [max(limit(level) / n_rows, error.half_width(level)) for level in levels]
    return _Test(p_value, widths, error, accuracy_detectable(won, n_rows, error, levels[0]))


def _permutation_test(
    difference: float, permuted: Floats, error: StandardError, levels: Sequence[float]
) -> _Test:
    p_value, limit = permutation_test(difference, permuted)
    widths = [max(limit(level), error.half_width(level)) for level in levels]
    return _Test(max(p_value, error.p_value(difference)), widths, error)


def _detectable(
    metric: Metric,
    test: _Test,
    a: Sample,
    b: Sample,
    permuted: Floats,
    level: float,
    easier: _Test | None,
) -> float | None:
    """A metric's minimum detectable effect at `level`, that of the first width."""
    if metric.counts_right_rows:
        _, first = np.unique(a.members, return_index=True)
        return recall_detectable(won_rows(a, b), a.labels[first], test.error, level)
    _, sizes = np.unique(a.labels, return_counts=True)
    # the sum of squared weights of a mean over rows, or of a mean over classes' means
    concentration = (
        1 / len(a.labels)
        if metric.mean_over == "rows"
        else float((1 / sizes).sum()) / len(sizes) ** 2
    )
    smallest_p, _ = permutation_test(float(np.abs(permuted).max()), permuted)
    found = None
    if smallest_p <= level:
        found = mean_detectable(test.half_widths[0], test.error, level, concentration)
    if easier and easier.detectable is not None and easier.error.total > 0:
        scaled = easier.detectable * test.error.total / easier.error.total
        found = max(found or 0, scaled)
    return found


def _seed_variances(name: str, *sides: Candidate) -> list[tuple[float, int]]:
    """Of each side whose spread is known: its variance from training to training, and replicas."""
    return [
        (side.stds[name] ** 2 / side.replicas, side.replicas)
        for side in sides
        if side.has_spread and name in side.stds
    ]


def _standard_error(rows: float, seeds: Sequence[tuple[float, int]]) -> StandardError:
    of_seeds = sum(variance for variance, _ in seeds)
    total = rows**2 + of_seeds
    uncertain = sum(variance**2 / (replicas - 1) for variance, replicas in seeds)
    degrees_of_freedom = total**2 / uncertain if uncertain else float("inf")
    return StandardError(float(np.sqrt(total)), float(np.sqrt(of_seeds)), degrees_of_freedom)


def _alpha(settings: IntervalParams) -> float:
    return round(1 - settings.confidence, 12)


def _bounds(name: str, difference: float, half_width: float) -> tuple[float, float]:
    """Rounded, so that a bound that is zero but for the last bit is zero."""
    limit = METRICS[name].max_difference
    low, high = max(difference - half_width, -limit), min(difference + half_width, limit)
    return round(low, DIGITS), round(high, DIGITS)


def _verdict(name: str, difference: float, significant: bool) -> Verdict:
    if not significant or difference == 0:
        return "no difference"
    return "better" if (difference < 0) == METRICS[name].lower_is_better else "worse"


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
