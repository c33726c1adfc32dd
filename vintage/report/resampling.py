"""What chance alone does to the difference of two models: the bootstrap and permutation tests.

**Paired permutation test.** If two models are equally good, it is chance which of them made which
prediction. So the two predictions for a row are swapped at random, and the p-value is the share of
permutations whose difference is at least the observed one. Nothing is assumed of the metric's
distribution, so the level holds for classes of two or three rows, where a bootstrap's does not: a
class with a single row shows it no variance at all. Rows of one group, such as twins, are swapped
together. For accuracy, every permutation is counted: that is McNemar's exact test.

Sources: McNemar, Note on the Sampling Error of the Difference Between Correlated Proportions or
Percentages, 1947; Fisher, The Design of Experiments, 1935, section 21; Phipson and Smyth,
Permutation P-values Should Never Be Zero, 2010. Efron and Tibshirani, An Introduction to the
Bootstrap, 1993.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.stats import binom

from vintage.scores.metrics import Metric
from vintage.scores.rows import Floats, Labels, Sample

DIGITS = 12  # the same sum in another order is the same
MAX_WEIGHTS = 4_000_000  # at once: 32 MB


def bootstrap_differences(
    metrics: Sequence[Metric], a: Sample, b: Sample, n_resamples: int, seed: int
) -> Floats:
    """Each metric's B - A on resamples of whole groups, float64 `[n_resamples, n_metrics]`."""
    chunks = []
    for size, generator in at_a_time(len(a.labels), n_resamples, seed):
        weights = bootstrap_weights(a, size, generator)
        columns = [
            metric.function(b.labels, b.probabilities, weights)
            - metric.function(a.labels, a.probabilities, weights)
            for metric in metrics
        ]
        chunks.append(np.stack(columns, axis=1))
    return np.concatenate(chunks)


def bootstrap_weights(sample: Sample, n_resamples: int, generator: np.random.Generator) -> Floats:
    """How often each row is drawn when groups are drawn with replacement, without regard to class.

    Only integers are drawn, so that the result is the same on every CPU.

    Returns:
        float64 `[n_resamples, n]`.
    """
    n_groups = sample.n_groups
    drawn = generator.integers(0, n_groups, size=(n_resamples, n_groups))
    counts = [np.bincount(groups, minlength=n_groups) for groups in drawn]
    return np.array(counts, dtype=np.float64)[:, sample.members]


def permuted_differences(
    metrics: Sequence[Metric], a: Sample, b: Sample, n_permutations: int, seed: int
) -> Floats:
    """Each metric's B - A after random swaps, float64 `[n_permutations, n_metrics]`.

    The swapped predictions are a weighting of both models' rows one below the other.
    """
    labels = np.concatenate([a.labels, b.labels])
    both = np.concatenate([a.probabilities, b.probabilities])
    rows = a.labels, a.probabilities, b.probabilities
    parts = [metric.contributions and metric.contributions(*rows) for metric in metrics]
    chunks = []
    for size, generator in at_a_time(len(both), n_permutations, seed):
        swaps = generator.integers(0, 2, size=(size, a.n_groups))[:, a.members].astype(np.float64)
        as_b = np.hstack([swaps, 1 - swaps])
        columns = [
            metric.function(labels, both, 1 - as_b) - metric.function(labels, both, as_b)
            if part is None
            else (1 - 2 * swaps) @ part
            for metric, part in zip(metrics, parts, strict=True)
        ]
        chunks.append(np.stack(columns, axis=1))
    return np.concatenate(chunks)


def permutation_test(difference: float, permuted: Floats) -> tuple[float, Callable[[float], float]]:
    """The two-sided test of one metric, by a column of `permuted_differences`.

    Returns:
        The p-value, and a function from a level to the largest difference that is not significant
        at it.
    """
    sizes = np.sort(np.abs(permuted).round(DIGITS))[::-1]
    n_permutations = len(sizes) + 1  # with the observed one

    def limit(level: float) -> float:
        rank = int(np.floor(round(level * n_permutations, 6))) - 1
        return float(sizes[rank]) if rank >= 0 else max(float(sizes[0]), abs(difference))

    at_least = (sizes >= round(abs(difference), DIGITS)).sum()
    return float((1 + at_least) / n_permutations), limit


def won_rows(a: Sample, b: Sample) -> Labels:
    """By how many rows of each group B is right more often than A: int64 `[n_groups]`."""
    won = b.right.astype(np.int64) - a.right
    return np.bincount(a.members, weights=won).astype(np.int64)


def mcnemar(won: Labels, n_rows: int) -> tuple[float, Callable[[float], float]]:
    """McNemar's exact test of two models' accuracy on `n_rows` rows, two-sided.

    Args:
        won: as `won_rows` gives it. Where every group is one row, the test is the binomial one on
            the rows that one model has right and the other wrong. A group that counts several rows
            moves the sum by as many.

    Returns:
        As `permutation_test`.
    """
    pmf = np.ones(1)  # of the sum if each group's sign is random, from -largest to largest
    steps, counts = np.unique(np.abs(won[won != 0]), return_counts=True)
    for step, count in zip(steps.tolist(), counts.tolist(), strict=True):
        part = np.zeros(2 * count * step + 1)
        part[:: 2 * step] = binom.pmf(np.arange(count + 1), count, 0.5)
        pmf = np.convolve(pmf, part)
    largest = len(pmf) // 2
    of_size = np.concatenate([pmf[largest : largest + 1], 2 * pmf[largest + 1 :]])
    at_least = of_size[::-1].cumsum()[::-1]

    def limit(level: float) -> float:
        return float(np.flatnonzero(at_least > level).max() / n_rows)

    return min(1.0, float(at_least[abs(int(won.sum()))])), limit


def at_a_time(n_rows: int, n_draws: int, seed: int) -> Iterator[tuple[int, np.random.Generator]]:
    """A generator and how many draws to make with it, a few at a time that need little memory."""
    generator = np.random.default_rng(seed)
    size = max(1, MAX_WEIGHTS // n_rows)
    for start in range(0, n_draws, size):
        yield min(size, n_draws - start), generator
