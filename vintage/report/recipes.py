"""Whether one recipe is better than another on tables such as this one, from many splits of it.

The differences of two recipes on J splits are no J independent numbers: the splits share rows. Two
splits of different seeds are taken to be correlated by n_test / n, the share of test rows that
they have in common on average; two splits of one seed, which have none in common, by 0. If each
seed has one split, this is the corrected resampled t-test of Nadeau and Bengio, Inference for the
Generalization Error, Machine Learning 52, 2003. If those of each seed test every row once, the
variance of the mean is that of all rows of the table. Those of a single seed are taken to be as
alike as those of different ones, because a t-test on the folds of one cross-validation is wrong too
often: Dietterich, Approximate Statistical Tests for Comparing Supervised Classification Learning
Algorithms, Neural Computation 10, 1998. The degrees of freedom are Satterthwaite's (An Approximate
Distribution of Estimates of Variance Components, 1946).

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
from scipy.optimize import brentq
from scipy.stats import nct, t

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
    """A t-test: the mean difference, its standard error and the latter's degrees of freedom."""

    mean: float
    error: float
    degrees_of_freedom: float

    @property
    def p_value(self) -> float:
        return float(2 * t.sf(abs(self.mean) / self.error, self.degrees_of_freedom))

    def half_width(self, level: float) -> float:
        return float(t.isf(level / 2, self.degrees_of_freedom)) * self.error


Pair = tuple[SplitScores, SplitScores]  # of A and B on the same split


def common_splits(a: Splits, b: Splits) -> list[list[Pair]]:
    """By seed, both scores of each split with the same test rows and as many train rows in both."""
    by_seed = []
    for seed in [each for each in a.splits if each in b.splits]:
        of_b = {(each.test_digest, each.train_rows): each for each in b.splits[seed].values()}
        of_a = {(each.test_digest, each.train_rows): each for each in a.splits[seed].values()}
        by_seed.append([(of_a[split], of_b[split]) for split in of_a if split in of_b])
    return [pairs for pairs in by_seed if pairs]


def differences_of_recipes(
    recipes: Sequence[list[list[Pair]]], settings: Settings
) -> list[dict[str, RecipeDifference]]:
    """B - A for each compared metric, of each pair of recipes.

    The p-values are corrected for all metrics of all pairs.

    Args:
        recipes: of each pair, by seed, the splits that both have.
    """
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


def _untested(by_seed: list[list[Pair]]) -> tuple[dict[str, RecipeDifference], dict[str, _Test]]:
    """By metric the means and their difference, and the tests that are due."""
    judged: dict[str, RecipeDifference] = {}
    tests: dict[str, _Test] = {}
    shared = shared_rows([of_a for pairs in by_seed for of_a, _ in pairs])
    for name in compared_metrics():
        scores = [
            np.array([pair for pair in both if None not in pair], dtype=np.float64).reshape(-1, 2)
            for both in (
                [(of_a.scores.get(name), of_b.scores.get(name)) for of_a, of_b in pairs]
                for pairs in by_seed
            )
        ]
        known = np.concatenate([np.empty((0, 2)), *scores])
        if not len(known):
            judged[name] = RecipeDifference(None, None)
            continue
        differences = known[:, 1] - known[:, 0]
        mean_a, mean_b = known.mean(axis=0).tolist()
        judged[name] = RecipeDifference(mean_a, mean_b, round(float(differences.mean()), DIGITS))
        if not differences.any():
            judged[name] = replace(judged[name], **_NOTHING)
        elif test := _test_of(differences, [len(each) for each in scores if len(each)], shared):
            tests[name] = test
    return judged, tests


_NOTHING: dict[str, Any] = {
    "low": 0.0, "high": 0.0, "p_value": 1.0, "better": 0.0, "equal": 1.0, "worse": 0.0,
}  # fmt: skip


def shared_rows(splits: list[SplitScores]) -> float:
    """What share of its test rows a split has in common with one of another seed: n_test / n."""
    n_test = sum(each.test_rows for each in splits)
    return n_test / (n_test + sum(each.train_rows for each in splits))


class _Spread(NamedTuple):
    """What differences on splits tell of their mean.

    Attributes:
        squares: the sum of their squared deviations, and
        variance: the variance of their mean, both divided by the variance of one.
        degrees_of_freedom: of the sum.
    """

    squares: float
    variance: float
    degrees_of_freedom: float


def _spread(sizes: Sequence[int], shared: float) -> _Spread:
    """Args:
    sizes: how many splits each seed has.
    shared: see `shared_rows`.
    """
    n_splits, n_seeds = sum(sizes), len(sizes)
    of_one_seed = sum(size**2 for size in sizes) / n_splits
    within = n_splits - n_seeds
    between = max(0.0, n_seeds - 1 - shared * (n_splits - of_one_seed))
    freedom = within + (between**2 / (n_seeds - 1) if between else 0)
    if n_seeds == 1:
        of_one_seed = 1.0
    return _Spread(
        squares=within + between,
        variance=1 / n_splits + shared * (1 - of_one_seed / n_splits),
        degrees_of_freedom=(within + between) ** 2 / freedom if freedom else 0.0,
    )


def detectable(error: float, sizes: Sequence[int], shared: float, level: float) -> float:
    """The true mean difference that a test at `level` finds with a probability of 80 %.

    Args:
        error: the standard error of the difference on one split.
        sizes: how many splits each seed has, two or more in all.
        shared: see `shared_rows`.
    """
    spread = _spread(sizes, shared)
    freedom = spread.degrees_of_freedom
    limit = float(t.isf(level / 2, freedom))
    factor = brentq(lambda true: nct.sf(limit, freedom, true) - POWER, 0, 2 * limit + 2)
    return float(factor * error * np.sqrt(spread.variance))


def _test_of(differences: Floats, sizes: Sequence[int], shared: float) -> _Test | None:
    """None where there is no spread to judge by."""
    if len(differences) < 2 or np.ptp(differences) < 10**-DIGITS:
        return None
    spread = _spread(sizes, shared)
    squares = len(differences) * differences.var()
    error = float(np.sqrt(spread.variance * squares / spread.squares))
    return _Test(float(differences.mean()), error, spread.degrees_of_freedom)


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
