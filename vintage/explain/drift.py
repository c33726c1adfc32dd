"""Columns whose cells are distributed otherwise in the test rows than in the train rows.

Numbers and times by the two-sample test of Kolmogorov and Smirnov, with a missing cell as the least
of all numbers; categories by a chi-squared test. Corrected for the number of columns by Holm, A
Simple Sequentially Rejective Multiple Test Procedure, 1979.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp

from vintage.base.tensors import Examples, Feature
from vintage.explain.bounds import rounded
from vintage.explain.explanation import Drift

LEVEL = 0.01
NOTABLE = 0.05  # of the distance, below which many rows show what matters to nobody
MOST_ROWS = 20_000


def drifted_columns(train: Examples, test: Examples, features: Sequence[Feature]) -> list[Drift]:
    """The columns that differ beyond chance and by a distance of at least `NOTABLE`.

    The distance is the largest one of the two cumulative distributions; of categories, half the sum
    of the differences of their shares. Of each group only the first row counts.
    """
    samples = [_one_of_each_group(part) for part in (train, test)]
    found = []
    for index, feature in enumerate(features):
        a, b = (sample[:, index] for sample in samples)
        distance, p_value = (_of_categories if feature.categories else _of_numbers)(a, b)
        found.append((p_value, distance, feature.name))
    found.sort(key=lambda each: each[0])
    drifted, largest = [], 0.0
    for rank, (p_value, distance, name) in enumerate(found):
        largest = max(largest, min(1.0, p_value * (len(found) - rank)))
        if largest > LEVEL:
            break
        if distance >= NOTABLE:
            drifted.append(Drift(column=name, distance=rounded(distance), p_value=rounded(largest)))
    return sorted(drifted, key=lambda each: (-each.distance, each.column))


def _one_of_each_group(part: Examples) -> np.ndarray:
    _, first = np.unique(part.groups, return_index=True)
    if len(first) > MOST_ROWS:
        first = first[np.linspace(0, len(first) - 1, MOST_ROWS).astype(np.int64)]
    return part.features[first]


def _of_numbers(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    a, b = (np.nan_to_num(x.astype(np.float64), nan=-1e300) for x in (a, b))
    found = ks_2samp(a, b, method="asymp")
    return float(found.statistic), float(found.pvalue)


def _of_categories(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    codes = np.unique(np.concatenate([a, b]))
    counts = np.stack([(x[:, None] == codes).sum(axis=0) for x in (a, b)])
    if len(codes) < 2:
        return 0.0, 1.0
    shares = counts / counts.sum(axis=1, keepdims=True)
    p_value = chi2_contingency(counts, correction=False).pvalue
    return float(np.abs(shares[0] - shares[1]).sum() / 2), float(p_value)
