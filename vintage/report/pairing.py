"""Which test rows two models can be compared on: those that both were tested on.

Rows are known by their ids, so that rows which were added, removed or moved in the table leave the
others paired.
"""

from dataclasses import dataclass

import numpy as np

from vintage.scores.predictions import Predictions


@dataclass(frozen=True)
class Pairing:
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
        kept = np.flatnonzero(~met)
        left_out = self.left_out | {"seen": int(met.sum())}
        return Pairing(self.a.take(kept), self.b.take(kept), left_out)


def pair_rows(a: Predictions, b: Predictions) -> Pairing:
    """Pair the rows that both were tested on as examples of the same class.

    The classes must be the same. Rows are in the order of B's table.
    """
    _, places_a, places_b = np.intersect1d(a.ids, b.ids, return_indices=True)
    by_row = np.argsort(b.rows[places_b], kind="stable")
    places_a, places_b = places_a[by_row], places_b[by_row]
    same = a.labels[places_a] == b.labels[places_b]
    left_out = {
        "only_a": len(a.ids) - len(places_a),
        "only_b": len(b.ids) - len(places_b),
        "relabelled": int((~same).sum()),
        "seen": 0,
    }
    return Pairing(a.take(places_a[same]), b.take(places_b[same]), left_out)
