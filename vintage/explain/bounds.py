"""The interval of a mean over rows that come in groups."""

from typing import NamedTuple

import numpy as np
from scipy.stats import t

from vintage.scores.rows import Floats, Labels

DIGITS = 6


class Mean(NamedTuple):
    """A mean with its standard error, and the degrees of freedom of that; NaN of one group."""

    value: float
    error: float
    degrees_of_freedom: float

    @classmethod
    def of(cls, values: Floats, groups: Labels) -> "Mean":
        """Of values float64 `[n]` in groups int64 `[n]`, which are independent of each other.

        The rows of a group add up, however much they are alike.
        """
        unique, members = np.unique(groups, return_inverse=True)
        n_groups, value = len(unique), float(values.mean())
        if n_groups < 2:
            return cls(value, float("nan"), float("nan"))
        sums = np.bincount(members, weights=values - value)
        error = np.sqrt(n_groups / (n_groups - 1) * (sums**2).sum()) / len(values)
        return cls(value, float(error), n_groups - 1)

    def bounds(self, confidence: float) -> tuple[float | None, float | None]:
        """Student's interval, rounded; None where there is none."""
        if np.isnan(self.error):
            return None, None
        half = float(t.isf((1 - confidence) / 2, self.degrees_of_freedom)) * self.error
        return rounded(self.value - half), rounded(self.value + half)


def rounded(value: float) -> float:
    """To six decimals; -0.0 becomes 0.0."""
    return round(float(value), DIGITS) + 0.0
