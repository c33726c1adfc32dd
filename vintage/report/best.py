"""Which of several models has the lowest log loss, and which of the others are shown to be worse.

Each other model is tested against the best one on the same rows, as `vintage.report.differences`
does it: by a paired permutation test and by a standard error with the seed-to-seed variance, and
the larger p-value counts. Here the permutations are the same for all, so that many models cost
little more than two. Of very many rows, the standard error tells as much as permutations would.

The best of k was found by looking at all k (k - 1) / 2 pairs of them, so Holm's procedure corrects
for that many: the pairs without the best count as tests whose p-value is 1. Of 50 equally good
models, the best would otherwise be "better" than one of the others in almost half of all cases.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from vintage.report.differences import with_seeds
from vintage.report.resampling import DIGITS, at_a_time
from vintage.scores.holm import holm
from vintage.scores.rows import Floats, Labels

RESAMPLES = 2_000  # permutations at least
MANY_GROUPS = 5_000  # whose sum is as good as normal


@dataclass(frozen=True)
class RowLosses:
    """Of one model.

    Attributes:
        losses: of each row, float64 `[n]`; their mean is the score.
        seed_variance: of the score, from training to training, and its degrees of freedom; None
            where it is not known, and then no model is shown to be worse.
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
    best = min(range(len(models)), key=lambda place: models[place].mean)
    others = [place for place in range(len(models)) if place != best]
    if not others:
        return {}
    n_pairs = len(models) * (len(models) - 1) // 2
    alpha = round(1 - confidence, 12)
    _, members = np.unique(groups, return_inverse=True)
    rows = np.stack([models[place].losses - models[best].losses for place in others])
    sums = [np.bincount(members, weights=each) for each in rows]
    by_group = np.stack(sums, axis=1).astype(np.float64) / len(members)
    of_swaps = _permutation_test(by_group, alpha / n_pairs, seed)
    p_values = [
        max(p_value, _p_value(of_groups, [models[best], models[place]]))
        for p_value, of_groups, place in zip(of_swaps.tolist(), by_group.T, others, strict=True)
    ]
    corrected, _ = holm([*p_values, *[1.0] * (n_pairs - len(others))], alpha)
    return {
        place: Beside(float(of_groups.sum()), p_value, p_value <= alpha)
        for place, of_groups, p_value in zip(others, by_group.T, corrected, strict=False)
    }


def seed_variance(losses: Floats, folds: Labels) -> tuple[float, float] | None:
    """The variance of an ensemble's log loss from training to training.

    It is estimated from how far the replicas that left out the same fold disagree on it, alike in
    all folds, and taken to be that of a replica divided by their number, see
    `vintage.report.differences`.

    Args:
        losses: each replica's mean log loss of the rows that validate it, float64 `[n_replicas]`.
        folds: of each row that validates, int64 `[n]`; replica r has fold `r % n_folds`.

    Returns:
        It and its degrees of freedom; None if no fold has two replicas.
    """
    shares = np.bincount(folds) / len(folds)
    by_fold = [losses[fold :: len(shares)] for fold in range(len(shares))]
    freedom = sum(len(own) - 1 for own in by_fold)
    if not freedom:
        return None
    pooled = sum(float(((own - own.mean()) ** 2).sum()) for own in by_fold) / freedom
    parts = [share**2 / len(own) for share, own in zip(shares.tolist(), by_fold, strict=True)]
    return pooled * sum(parts), float(freedom)


def _permutation_test(by_group: Floats, level: float, seed: int) -> Floats:
    """The p-value of each column, from permutations enough for one well under `level`."""
    n_groups, n_models = by_group.shape
    if n_groups > MANY_GROUPS:
        return np.zeros(n_models)
    n_permutations = max(RESAMPLES, math.ceil(5 / level) - 1)
    differences = np.abs(by_group.sum(axis=0)).round(DIGITS)
    at_least = np.ones(n_models)  # with the observed one
    for size, generator in at_a_time(n_groups, n_permutations, seed):
        signs = 1 - 2 * generator.integers(0, 2, size=(size, n_groups)).astype(np.float64)
        at_least += (np.abs(signs @ by_group).round(DIGITS) >= differences).sum(axis=0)
    return at_least / (n_permutations + 1)


def _p_value(by_group: Floats, sides: Sequence[RowLosses]) -> float:
    """By the standard error; 1 where it is not known what the seeds add to it."""
    of_seeds = [side.seed_variance for side in sides if side.seed_variance is not None]
    if len(of_seeds) < len(sides):
        return 1.0
    difference = float(by_group.sum())
    error, freedom = with_seeds(math.sqrt(float((by_group**2).sum())), of_seeds)
    if error == 0:
        return float(difference == 0)
    return float(2 * t.sf(abs(difference) / error, freedom))
