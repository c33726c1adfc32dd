"""Whether one recipe is better than another on tables such as this one, from many splits of it.

The differences of two recipes on J splits are no J independent numbers: the splits share rows. The
variance of their mean is therefore taken to be (1 / J + n_test / n_train) times their variance, and
their t-statistic has J - 1 degrees of freedom. Source: the corrected resampled t-test of Nadeau and
Bengio, Inference for the Generalization Error, Machine Learning 52, 2003.

The p-values are corrected by Holm, and each interval is at the level at which that tested its
metric, as in `vintage.report.differences`.

With a flat prior, the true difference has a Student distribution with the same center, scale and
degrees of freedom. Its parts beyond and within the margin are the probabilities that B is better,
equal in practice, or worse. Source: the correlated t-test of Benavoli, Corani, Demsar and Zaffalon,
Time for a Change, JMLR 18, 2017.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t

from vintage.report.differences import POWER, Verdict
from vintage.report.resampling import DIGITS
from vintage.scores.holm import holm
from vintage.scores.metrics import METRICS, compared_metrics
from vintage.scores.rows import Floats
from vintage.scores.splits import Splits, SplitScores


class Settings(NamedTuple):
    """The level of intervals, and the largest difference that does not matter."""

    confidence: float
    margin: float


@dataclass(frozen=True)
class RecipeDifference:
    """One metric of both recipes, and B - A: means over the splits. None: not defined.

    Attributes:
        p_value: corrected for the number of metrics.
        better, equal, worse: the probability that B is so, by more than the margin or within it.
    """

    a: float | None
    b: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    verdict: Verdict = "no difference"
    better: float | None = None
    equal: float | None = None
    worse: float | None = None


class _Test(NamedTuple):
    """A corrected resampled t-test: the mean difference, its standard error and the latter's
    degrees of freedom."""

    mean: float
    error: float
    degrees_of_freedom: int

    @property
    def p_value(self) -> float:
        return float(2 * t.sf(abs(self.mean) / self.error, self.degrees_of_freedom))

    def half_width(self, level: float) -> float:
        return float(t.isf(level / 2, self.degrees_of_freedom)) * self.error


def common_splits(a: Splits, b: Splits) -> list[tuple[SplitScores, SplitScores]]:
    """Both scores of each split that has the same test rows and as many train rows in both."""
    pairs = [(a.splits[seed], b.splits[seed]) for seed in a.splits if seed in b.splits]
    return [
        (of_a, of_b)
        for of_a, of_b in pairs
        if (of_a.test_digest, of_a.train_rows) == (of_b.test_digest, of_b.train_rows)
    ]


def recipe_differences(
    pairs: list[tuple[SplitScores, SplitScores]], settings: Settings
) -> dict[str, RecipeDifference]:
    """B - A for each compared metric, over splits that both have."""
    return differences_of_recipes([pairs], settings)[0]


def differences_of_recipes(
    recipes: Sequence[list[tuple[SplitScores, SplitScores]]], settings: Settings
) -> list[dict[str, RecipeDifference]]:
    """The same for several pairs of recipes, with p-values corrected for all metrics of all."""
    judged: list[dict[str, RecipeDifference]] = []
    tests: list[tuple[dict[str, RecipeDifference], str, _Test]] = []
    for pairs in recipes:
        of_pair, of_metrics = _untested(pairs)
        judged.append(of_pair)
        tests += [(of_pair, name, test) for name, test in of_metrics.items()]
    alpha = round(1 - settings.confidence, 12)
    corrected, levels = holm([test.p_value for _, _, test in tests], alpha)
    for (of_pair, name, test), p_value, level in zip(tests, corrected, levels, strict=True):
        of_pair[name] = replace(of_pair[name], **_judged(name, test, p_value, level, settings))
    return judged


def _untested(
    pairs: list[tuple[SplitScores, SplitScores]],
) -> tuple[dict[str, RecipeDifference], dict[str, _Test]]:
    """By metric the means and their difference, and the tests that are due."""
    judged: dict[str, RecipeDifference] = {}
    tests: dict[str, _Test] = {}
    share = overlap([of_a for of_a, _ in pairs])
    for name in compared_metrics():
        both = [(of_a.scores.get(name), of_b.scores.get(name)) for of_a, of_b in pairs]
        known = np.array([pair for pair in both if None not in pair], dtype=np.float64)
        if not len(known):
            judged[name] = RecipeDifference(None, None)
            continue
        differences = known[:, 1] - known[:, 0]
        mean_a, mean_b = known.mean(axis=0).tolist()
        judged[name] = RecipeDifference(mean_a, mean_b, round(float(differences.mean()), DIGITS))
        if not differences.any():
            judged[name] = replace(judged[name], **_NOTHING)
        elif test := _test_of(differences, share):
            tests[name] = test
    return judged, tests


_NOTHING: dict[str, Any] = {
    "low": 0.0, "high": 0.0, "p_value": 1.0, "better": 0.0, "equal": 1.0, "worse": 0.0,
}  # fmt: skip


def overlap(splits: list[SplitScores]) -> float:
    """n_test / n_train, which stands for how much two splits have in common."""
    return sum(each.test_rows for each in splits) / sum(each.train_rows for each in splits)


def detectable(error: float, n_splits: int, share: float, level: float) -> float:
    """The true mean difference that a test at `level` finds with a probability of 80 %.

    Args:
        error: the standard error of the difference on one split. Splits of one table differ less
            among themselves, because their correlation is share / (1 + share).
        share: see `overlap`.
    """
    freedom = n_splits - 1
    factor = float(t.isf(level / 2, freedom) + t.ppf(POWER, freedom))
    return factor * error * float(np.sqrt((1 / n_splits + share) / (1 + share)))


def _test_of(differences: Floats, share: float) -> _Test | None:
    """None where there is no spread to judge by."""
    n_splits = len(differences)
    if n_splits < 2 or np.ptp(differences) < 10**-DIGITS:
        return None
    variance = (1 / n_splits + share) * differences.var(ddof=1)
    return _Test(float(differences.mean()), float(np.sqrt(variance)), n_splits - 1)


def _judged(
    name: str, test: _Test, p_value: float, level: float, settings: Settings
) -> dict[str, Any]:
    sign = -1 if METRICS[name].lower_is_better else 1
    half_width = test.half_width(level)
    verdict: Verdict = "no difference"
    if p_value <= round(1 - settings.confidence, 12):
        verdict = "better" if sign * test.mean > 0 else "worse"
    above, below = (
        float(t.sf((settings.margin - side * test.mean) / test.error, test.degrees_of_freedom))
        for side in (sign, -sign)
    )
    return {
        "low": round(test.mean - half_width, DIGITS),
        "high": round(test.mean + half_width, DIGITS),
        "p_value": p_value,
        "verdict": verdict,
        "better": above,
        "equal": max(0.0, 1 - above - below),
        "worse": below,
    }
