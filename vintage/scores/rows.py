"""What is known of single rows: their losses, their ranks, and which of them belong together."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]


class Sample(NamedTuple):
    """Scored rows in groups; rows of a group may be alike, groups are independent.

    Attributes:
        labels: int64 `[n]`.
        probabilities: float64 `[n, n_classes]`.
        right: bool `[n]`, whether the most probable class is the actual one.
        members: int64 `[n]`, each row's group, counted from 0.
        n_groups: how many groups there are.
    """

    labels: Labels
    probabilities: Floats
    right: Truths
    members: Labels
    n_groups: int

    @classmethod
    def of(cls, labels: Labels, probabilities: Floats, groups: Labels) -> "Sample":
        """Scored rows whose groups are the equal values of `groups`, int64 `[n]`."""
        unique, members = np.unique(groups, return_inverse=True)
        right = probabilities.argmax(axis=1) == labels
        return cls(labels, probabilities, right, members, len(unique))

    @property
    def n_classes(self) -> int:
        return self.probabilities.shape[1]

    def group_sums(self, values: Floats) -> Floats:
        """float64 `[n_groups]` of float64 `[n]`."""
        return np.bincount(self.members, weights=values, minlength=self.n_groups).astype(np.float64)


def log_losses(probabilities: Floats) -> Floats:
    """What each probability costs if it is that of the actual class; cut off at 2.2e-16."""
    return -np.log(probabilities.clip(np.finfo(np.float64).eps))


def row_losses(probabilities: Floats, labels: Labels) -> Floats:
    """The log loss of each row, float64 `[n]`, of probabilities `[n, n_classes]`."""
    return log_losses(probabilities[np.arange(len(labels)), labels])


def share_below(values: Floats, ordered: Floats) -> Floats:
    """The share of the sorted `ordered` that is less than each value; ties count half."""
    less, at_most = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return (less + at_most) / (2 * max(1, len(ordered)))
