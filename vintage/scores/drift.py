"""Whether a column's cells are distributed otherwise in some rows than in others.

Numbers and times by the two-sample test of Kolmogorov and Smirnov, categories by the chi-squared
test. The p-values are not corrected for their number here.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2_contingency, ks_2samp

from vintage.base.tensors import Feature

FEW = 20  # numbers on the smaller side, below which the approximation of the test does not hold
FEWEST = 5  # expected rows of a category on the smaller side; the rarer ones count as one


@dataclass(frozen=True)
class Drift:
    """Of one column.

    Attributes:
        distance: by how much the share of rows up to a number, or of the rows in some categories,
            differs at most: from 0 to 1.
    """

    distance: float
    p_value: float


def feature_drift(
    feature: Feature, old: npt.NDArray[np.float32], new: npt.NDArray[np.float32]
) -> Drift:
    """Of a column of the tensors."""
    if feature.categories is None:
        return column_drift(old, new)
    return category_drift(*(codes.astype(np.int64) for codes in (old, new)))


def column_drift(old: npt.NDArray[np.float32], new: npt.NDArray[np.float32]) -> Drift:
    """Of a column of numbers, NaN where a cell is missing.

    Whether cells are missing is tested as well; then the smaller p-value counts twice.
    """
    known_old, known_new = old[~np.isnan(old)], new[~np.isnan(new)]
    found = []
    if len(known_old) + len(known_new) < len(old) + len(new):
        missing = (np.isnan(values).astype(np.int64) for values in (old, new))
        found.append(category_drift(*missing))
    if len(known_old) and len(known_new):
        is_small = min(len(known_old), len(known_new)) < FEW
        with warnings.catch_warnings():
            # a p-value of 1 that is rounded to a bit more is approximated by SciPy
            warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation unsuccessful")
            test = ks_2samp(known_old, known_new, method="exact" if is_small else "asymp")
        found.append(Drift(float(test.statistic), float(test.pvalue)))
    p_value = min(1.0, len(found) * min(drift.p_value for drift in found))
    return Drift(max(drift.distance for drift in found), p_value)


def category_drift(old: npt.NDArray[np.int64], new: npt.NDArray[np.int64]) -> Drift:
    """Of codes, each of a category."""
    _, codes = np.unique(np.concatenate([old, new]), return_inverse=True)
    sides = codes[: len(old)], codes[len(old) :]
    counts = np.array([np.bincount(side, minlength=int(codes.max()) + 1) for side in sides])
    shares = counts / counts.sum(axis=1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    expected = counts.sum(axis=0) * counts.sum(axis=1).min() / counts.sum()
    order = np.argsort(expected, kind="stable")
    n_rare = int((expected < FEWEST).sum())
    if n_rare and expected[order[:n_rare]].sum() < FEWEST:
        n_rare += 1  # with the next one
    pooled = np.column_stack(
        [counts[:, order[:n_rare]].sum(axis=1), counts[:, order[n_rare:]]] if n_rare else [counts]
    )
    if pooled.shape[1] < 2:
        return Drift(distance, 1.0)
    return Drift(distance, float(chi2_contingency(pooled, correction=False).pvalue))
