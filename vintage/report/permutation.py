"""Tests that exchange the predictions of two models: McNemar's, and its like for any metric.

If two models are equally good, it is chance which of them made which prediction. So for each row
a coin decides whether the two predictions change places, and the p-value is the share of such
worlds in which the models differ at least as much as they do. Nothing is assumed of the metric's
distribution, so the level holds for classes of two or three rows, where a bootstrap's does not: of
a class with a single row it makes no variance at all.

Rows of one group (twins: equal features) get the same prediction, so they change places together.

Sources: McNemar, Note on the Sampling Error of the Difference Between Correlated Proportions or
Percentages, 1947; Fisher, The Design of Experiments, 1935, section 21; Phipson and Smyth,
Permutation P-values Should Never Be Zero, 2010.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import binom, rankdata

from vintage.scores.metrics import MAX_WEIGHTS, Floats, Labels, roc_auc_ovr

DIGITS = 12  # the same sum in another order is the same

Metric = Callable[[Labels, Floats, Floats], Floats]


def won_rows(labels: Labels, a: Floats, b: Floats, groups: Labels) -> Labels:
    """By how many rows of each group B is right more often than A: int64 `[n_groups]`."""
    won = (b.argmax(axis=1) == labels).astype(np.int64) - (a.argmax(axis=1) == labels)
    _, members = np.unique(groups, return_inverse=True)
    return np.bincount(members, weights=won).astype(np.int64)


def mcnemar(won: Labels) -> tuple[float, Callable[[float], int]]:
    """McNemar's exact test of two models' accuracy.

    Args:
        won: by group, as `won_rows` gives it. Where every group is one row, the test is the
            binomial one on the rows that one model has right and the other wrong. A group that
            counts several rows moves the sum by as many.

    Returns:
        The two-sided p-value, and a function from a level to the largest difference, in rows, that
        is not significant at it.
    """
    at_least = _tail(won)
    p_value = min(1.0, float(at_least[abs(int(won.sum()))]))

    def limit(level: float) -> int:
        return int(np.flatnonzero(at_least > level).max())

    return p_value, limit


def exchanged_differences(
    metrics: Sequence[Metric],
    labels: Labels,
    a: Floats,
    b: Floats,
    groups: Labels,
    n_exchanges: int,
    seed: int,
) -> Floats:
    """Each metric's difference B - A after random exchanges: float64 `[n_exchanges, n_metrics]`.

    An exchanged set is a weighting of both models' rows under one another.
    """
    generator = np.random.default_rng(seed)
    unique, members = np.unique(groups, return_inverse=True)
    both_labels, both = np.concatenate([labels, labels]), np.concatenate([a, b])
    auc_parts = auc_contributions(labels, a, b)

    def differences(coins: Floats) -> Floats:
        as_b = np.hstack([coins, 1 - coins])
        columns = [
            (1 - 2 * coins) @ auc_parts
            if metric is roc_auc_ovr
            else metric(both_labels, both, 1 - as_b) - metric(both_labels, both, as_b)
            for metric in metrics
        ]
        return np.stack(columns, axis=1)

    size = max(1, MAX_WEIGHTS // len(both))
    sizes = [min(size, n_exchanges - start) for start in range(0, n_exchanges, size)]
    draws = (generator.integers(0, 2, size=(size, len(unique)))[:, members] for size in sizes)
    return np.concatenate([differences(coins.astype(np.float64)) for coins in draws])


def auc_contributions(labels: Labels, a: Floats, b: Floats) -> Floats:
    """What each row adds to the difference B - A of `roc_auc_ovr`; an exchange turns its sign.

    The area counts pairs of rows. What an exchange of one row does to a pair depends on whether
    the other row is exchanged, but in the *difference* of the two areas this cancels out, so each
    row is compared with the others' predictions of both models. Ranks stand in for probabilities,
    since those of two models need not have a common scale (Venkatraman and Begg, A
    Distribution-Free Procedure for Comparing Receiver Operating Characteristic Curves from a
    Paired Experiment, 1996).

    Returns:
        float64 `[n]`.
    """
    parts = np.zeros(len(labels))
    classes = np.unique(labels)
    for label in classes:
        rank_a, rank_b = rankdata(a[:, label]), rankdata(b[:, label])
        positive = labels == label
        for rows, others, sign in ((positive, ~positive, 1), (~positive, positive, -1)):
            pool = np.sort(np.concatenate([rank_a[others], rank_b[others]]))
            above = _share_below(rank_b[rows], pool) - _share_below(rank_a[rows], pool)
            parts[rows] += sign * above / rows.sum() / len(classes)
    return parts


def exchange_test(
    difference: float, exchanged: Floats
) -> tuple[float, Callable[[float], float], Callable[[float], bool]]:
    """The test of one metric by random exchanges.

    Args:
        exchanged: float64 `[n_exchanges]`, a column of `exchanged_differences`.

    Returns:
        The two-sided p-value; a function from a level to the largest difference that is not
        significant at it; and one from a level to whether any arrangement of these predictions
        would be significant.
    """
    sizes = np.sort(np.abs(exchanged).round(DIGITS))[::-1]
    n_worlds = len(sizes) + 1  # the one that was observed, too

    def p_of(size: float) -> float:
        return float((1 + (sizes >= round(abs(size), DIGITS)).sum()) / n_worlds)

    def limit(level: float) -> float:
        rank = int(np.floor(round(level * n_worlds, 6))) - 1
        return float(sizes[rank]) if rank >= 0 else max(float(sizes[0]), abs(difference))

    return p_of(difference), limit, lambda level: p_of(sizes[0]) <= level


def _tail(won: Labels) -> Floats:
    """P(|sum| >= k) for k from 0, if each group's sign is a fair coin: float64 `[largest + 1]`."""
    pmf = np.ones(1)  # of the sum, from -largest to largest
    steps, counts = np.unique(np.abs(won[won != 0]), return_counts=True)
    for step, count in zip(steps.tolist(), counts.tolist(), strict=True):
        part = np.zeros(2 * count * step + 1)
        part[:: 2 * step] = binom.pmf(np.arange(count + 1), count, 0.5)
        pmf = np.convolve(pmf, part)
    middle = len(pmf) // 2
    size = np.concatenate([pmf[middle : middle + 1], 2 * pmf[middle + 1 :]])
    return size[::-1].cumsum()[::-1]


def _share_below(values: Floats, pool: Floats) -> Floats:
    """The share of the sorted `pool` that is less than each value; ties count half."""
    less, at_most = (np.searchsorted(pool, values, side) for side in ("left", "right"))
    return (less + at_most) / (2 * max(1, len(pool)))
