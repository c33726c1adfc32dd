"""The test rows on which two models can be compared: those that both were tested on.

Rows are known by their ids, so that rows which were added, removed or moved in the table leave the
others paired.
"""

from typing import NamedTuple

import numpy as np

from vintage.scores.predictions import Predictions


class Pairing(NamedTuple):
    """Both models' predictions for the same rows, in the same order.

    Attributes:
        left_out: how many test rows are not among them: `only_a` and `only_b`, which only one side
            was tested on; `relabelled`, which have another class in each; and `seen`, whose
            features a train or validation row of one side has, too.
    """

    a: Predictions
    b: Predictions
    left_out: dict[str, int]

    def without_seen(self) -> "Pairing":
        """The rows that neither model has met in training."""
        met = self.a.seen | self.b.seen
        kept, left_out = np.flatnonzero(~met), self.left_out | {"seen": int(met.sum())}
        return Pairing(self.a.take(kept), self.b.take(kept), left_out)


def pair_rows(a: Predictions, b: Predictions) -> Pairing:
    """Pair the rows that both were tested on as examples of the same class.

    The classes must be the same. Rows are in the order of B's table.
    """
    _, places_a, places_b = np.intersect1d(a.ids, b.ids, return_indices=True)
    by_row = np.argsort(b.rows[places_b], kind="stable")
    both_a, both_b = a.take(places_a[by_row]), b.take(places_b[by_row])
    same = np.flatnonzero(both_a.labels == both_b.labels)
    left_out = {
        "only_a": len(a.ids) - len(places_a),
        "only_b": len(b.ids) - len(places_b),
        "relabelled": len(places_a) - len(same),
        "seen": 0,
    }
    return Pairing(both_a.take(same), both_b.take(same), left_out)
