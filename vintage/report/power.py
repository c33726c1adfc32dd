"""The minimum detectable effect: the least true difference that is found in 80 % of test sets.

A true difference makes models differ on more rows, also where the two at hand agree, and most of
all in classes of a few rows. So models that differ by d are taken to be like the two at hand, but
to differ on a share d of the rows at least (of each class's rows, for a mean over classes).

Source: Connor, Sample Size for Testing Differences in Proportions for the Paired-Sample Design,
1987, for the variance under both hypotheses.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import binom, t

from vintage.scores.rows import Floats, Labels

POWER = 0.8
MAX_SEARCHED = 1_000_000
N_DRAWS = 2000


class StandardError(NamedTuple):
    """Of a difference: of rows and seeds together, and of seeds alone."""

    total: float
    seeds: float
    degrees_of_freedom: float

    def half_width(self, level: float) -> float:
        return float(t.isf(level / 2, self.degrees_of_freedom)) * self.total

    def p_value(self, difference: float) -> float:
        if self.total == 0:
            return 1.0 if difference == 0 else 0.0
        return float(2 * t.sf(abs(difference) / self.total, self.degrees_of_freedom))


def accuracy_detectable(
    won: Labels, n_rows: int, error: StandardError, level: float
) -> float | None:
    """Of accuracy, by McNemar's exact test; None if no difference is found so often.

    A difference of k rows needs k rows at least on which the models differ. Groups of several rows
    count as fewer, larger rows.

    Args:
        won: int64 `[n_groups]`, by how many rows B is right more often than A.
    """
    size = float((won**2).sum() / np.abs(won).sum()) if won.any() else 1.0
    n_units = int(n_rows / size)
    units = np.arange(1, min(MAX_SEARCHED, n_units) + 1)
    differing = np.maximum(units, int(np.ceil(np.abs(won).sum() / size)))
    # isf: the largest count of one side's rows that is not significant
    critical = 2 * (binom.isf(level / 2, differing, 0.5) + 1) - differing
    seeds = (error.seeds * n_rows / size) ** 2
    if seeds:
        by_error = t.isf(level / 2, error.degrees_of_freedom) * np.sqrt(differing + seeds)
        critical = np.maximum(critical, by_error)
    spread = np.sqrt(differing - units**2 / n_units + seeds)
    enough = units >= critical + t.ppf(POWER, error.degrees_of_freedom) * spread
    return float(units[enough.argmax()] * size / n_rows) if enough.any() else None


def recall_detectable(
    won: Labels, strata: Labels, error: StandardError, level: float
) -> float | None:
    """Of mean recall, by simulation: with a class of one row, the standard error is one thing where
    the models agree on it and another where they do not.

    Args:
        won: as in `accuracy_detectable`.
        strata: int64 `[n_groups]`, each group's class.
    """
    _, members, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    differing = np.bincount(members, weights=won != 0)
    # a class seems to differ less or more by chance, so one row of the average is added to each
    smoothed = np.clip((differing + differing.sum() / sizes.sum()) / (sizes + 1), 1e-9, 1)
    quantile = float(t.isf(level / 2, error.degrees_of_freedom))

    def power(difference: float) -> float:
        generator = np.random.default_rng(0)
        gains = _with_mean(smoothed, difference)
        differ = np.maximum(smoothed, gains)
        shares = np.stack([differ + gains, differ - gains, 2 - 2 * differ], axis=1) / 2
        drawn = generator.multinomial(sizes, shares, size=(N_DRAWS, len(sizes)))
        wins, losses = drawn[..., 0], drawn[..., 1]
        of_seeds = error.seeds * generator.standard_normal(N_DRAWS)
        means = ((wins - losses) / sizes).mean(axis=1) + of_seeds
        of_rows = ((wins + losses) / sizes**2).sum(axis=1) / len(sizes) ** 2
        return float((means > quantile * np.sqrt(of_rows + error.seeds**2)).mean())

    low, high = 0.0, 1.0
    if power(high) < POWER:
        return None
    while high - low > 0.001:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def _with_mean(shares: Floats, mean: float) -> Floats:
    """Shares in the same proportion with this mean, but none above 1."""
    for _ in range(len(shares)):
        shares = np.minimum(shares * (mean / shares.mean()), 1.0)
    return shares


def mean_detectable(
    critical: float, error: StandardError, level: float, concentration: float
) -> float | None:
    """Of any mean; None if no difference is found so often.

    The more the models differ, the wider permutations spread, since they turn the difference itself
    around, too; the fewer rows carry it, the more.

    Args:
        critical: the largest difference of the predictions at hand that is not significant.
        concentration: the sum of squares of the rows' weights in the mean.
    """
    margin = float(t.ppf(POWER, error.degrees_of_freedom)) * error.total
    slope = float(t.isf(level / 2, error.degrees_of_freedom)) ** 2 * concentration
    if slope >= 1 or critical == 0:
        return None
    # d = sqrt(critical ** 2 + slope * d ** 2) + margin
    root = np.sqrt(slope * margin**2 + (1 - slope) * critical**2)
    return float((margin + root) / (1 - slope))
