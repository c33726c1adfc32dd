"""Which of several models has the lowest log loss, and which of the others are shown to be worse.

Each other model is tested against the best one on the same rows, as `vintage.report.differences`
does it: by a paired permutation test and by a standard error with the seed-to-seed variance, and
the larger p-value counts. Here the permutations are the same for all, so that many models cost
little more than two.

The best of k was found by looking at all k (k - 1) / 2 pairs of them, so Holm's procedure corrects
for that many: the pairs without the best count as tests whose p-value is 1. Of 50 equally good
models, the best would otherwise be "better" than one of the others in almost half of all cases.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from vintage.report.differences import MAX_PERMUTATIONS, with_seeds
from vintage.report.resampling import at_a_time, permutation_test
from vintage.scores.holm import holm
from vintage.scores.rows import Floats, Labels

RESAMPLES = 2_000  # permutations at least


@dataclass(frozen=True)
class RowLosses:
    """Of one model.

    Attributes:
        losses: of each row, float64 `[n]`; their mean is the score.
        seed_variance: of the score, from training to training, and its degrees of freedom; None
            where it is not known.
    """

    losses: Floats
    seed_variance: tuple[float, float] | None

    @property
    def mean(self) -> float:
        return float(self.losses.mean())


@dataclass(frozen=True)
class Beside:
    """A model beside the best one.

    Attributes:
        difference: its log loss minus the best one.
        p_value: corrected for all pairs of models.
        is_worse: whether that is shown at the level asked for.
    """

    difference: float
    p_value: float
    is_worse: bool


def beside_best(
    models: Sequence[RowLosses], groups: Labels, confidence: float, seed: int
) -> dict[int, Beside]:
    """Each model but the best one, by its place in `models`.

    Args:
        models: at least one, of the same rows.
        groups: of the rows, int64 `[n]`; rows of equal value may be alike.
        seed: of the permutations.
    """
    best = best_of(models)
    others = [place for place in range(len(models)) if place != best]
    if not others:
        return {}
    n_pairs = len(models) * (len(models) - 1) // 2
    alpha = round(1 - confidence, 12)
    _, members = np.unique(groups, return_inverse=True)
    rows = np.stack([models[place].losses - models[best].losses for place in others])
    sums = [np.bincount(members, weights=each) for each in rows]
    by_group = np.stack(sums, axis=1).astype(np.float64) / len(members)
    permuted = _permuted(by_group, alpha / n_pairs, seed)
    p_values = [
        _p_value(of_groups, column, [models[best], models[place]])
        for of_groups, column, place in zip(by_group.T, permuted.T, others, strict=True)
    ]
    corrected, _ = holm([*p_values, *[1.0] * (n_pairs - len(others))], alpha)
    return {
        place: Beside(float(of_groups.sum()), p_value, p_value <= alpha)
        for place, of_groups, p_value in zip(others, by_group.T, corrected, strict=False)
    }


def best_of(models: Sequence[RowLosses]) -> int:
    """The place of the lowest log loss, the first of equal ones."""
    return min(range(len(models)), key=lambda place: models[place].mean)


def seed_variance(losses: Floats, folds: Labels) -> tuple[float, float] | None:
    """The variance of an ensemble's log loss from training to training.

    It is estimated from how far the replicas that left out the same fold disagree on it, and taken
    to be that of a replica divided by their number, see `vintage.report.differences`. The degrees
    of freedom are Satterthwaite's, for a sum of one variance a fold.

    Args:
        losses: each replica's mean log loss of the rows that validate it, float64 `[n_replicas]`.
        folds: of each row that validates, int64 `[n]`; replica r has fold `r % n_folds`.

    Returns:
        None if a fold has one replica.
    """
    sizes = np.bincount(folds)
    total, uncertain = 0.0, 0.0
    for fold, size in enumerate(sizes.tolist()):
        own = losses[fold :: len(sizes)]
        if len(own) < 2:
            return None
        variance = (size / len(folds)) ** 2 * float(own.var(ddof=1)) / len(own)
        total += variance
        uncertain += variance**2 / (len(own) - 1)
    return (total, total**2 / uncertain) if uncertain else None


def _permuted(by_group: Floats, level: float, seed: int) -> Floats:
    """Each difference after random swaps, enough for a p-value well under `level`."""
    n_permutations = min(MAX_PERMUTATIONS, max(RESAMPLES, math.ceil(5 / level) - 1))
    n_groups = len(by_group)
    return np.concatenate(
        [
            (1 - 2 * generator.integers(0, 2, size=(size, n_groups)).astype(np.float64)) @ by_group
            for size, generator in at_a_time(n_groups, n_permutations, seed)
        ]
    )


def _p_value(by_group: Floats, permuted: Floats, sides: Sequence[RowLosses]) -> float:
    difference = float(by_group.sum())
    of_swaps, _ = permutation_test(difference, permuted)
    of_seeds = [side.seed_variance for side in sides if side.seed_variance is not None]
    error, freedom = with_seeds(math.sqrt(float((by_group**2).sum())), of_seeds)
    if error == 0:
        return of_swaps
    return max(of_swaps, float(2 * t.sf(abs(difference) / error, freedom)))
