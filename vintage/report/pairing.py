"""Which test rows two models can be compared on: those that both were tested on.

Rows are known by their ids, so that rows which were added, removed or moved in the table leave the
others paired.
"""

from dataclasses import dataclass

import numpy as np

from vintage.scores.predictions import Ids, Predictions


@dataclass(frozen=True)
class Pairing:
    """Both models' predictions for the same rows, in the same order.

    Attributes:
        n_only_a, n_only_b: test rows of one side that are no test rows of the other.
        n_relabelled: rows that both were tested on, but as examples of another class.
        n_seen: rows left out because a train or validation row of one side has the same features.
    """

    a: Predictions
    b: Predictions
    n_only_a: int
    n_only_b: int
    n_relabelled: int
    n_seen: int = 0

    @property
    def is_complete(self) -> bool:
        return not (self.n_only_a or self.n_only_b or self.n_relabelled or self.n_seen)

    def without_seen(self) -> "Pairing":
        """The rows that neither model has met in training."""
        met = np.zeros(len(self.a.rows), dtype=np.bool_)
        for side in (self.a, self.b):
            if side.seen is not None:
                met |= side.seen
        kept = np.flatnonzero(~met)
        return Pairing(
            self.a.take(kept),
            self.b.take(kept),
            self.n_only_a,
            self.n_only_b,
            self.n_relabelled,
            n_seen=int(met.sum()),
        )


def pair_rows(a: Predictions, b: Predictions) -> Pairing:
    """Pair the rows that both were tested on, as examples of the same class.

    The classes must be the same. Rows are known by their ids, or by their numbers in the table
    where one side has no ids.
    """
    keys_a, keys_b = _keys(a, b)
    _, places_a, places_b = np.intersect1d(keys_a, keys_b, return_indices=True)
    by_row = np.argsort(b.rows[places_b], kind="stable")
    places_a, places_b = places_a[by_row], places_b[by_row]
    same = a.labels[places_a] == b.labels[places_b]
    return Pairing(
        a.take(places_a[same]),
        b.take(places_b[same]),
        n_only_a=len(keys_a) - len(places_a),
        n_only_b=len(keys_b) - len(places_b),
        n_relabelled=int((~same).sum()),
    )


def _keys(a: Predictions, b: Predictions) -> tuple[Ids, Ids]:
    if a.ids is None or b.ids is None:
        return a.rows, b.rows
    return a.ids, b.ids
