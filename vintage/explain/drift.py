"""Columns whose cells are distributed otherwise in the test rows than in the train rows."""

from collections.abc import Sequence

import numpy as np

from vintage.base.tensors import Examples, Feature, Features
from vintage.explain.bounds import rounded
from vintage.explain.explanation import Drift
from vintage.scores.drift import feature_drift
from vintage.scores.holm import holm

LEVEL = 0.01
NOTABLE = 0.05  # of the distance, below which many rows show what matters to nobody
MOST_ROWS = 20_000


def drifted_columns(train: Examples, test: Examples, features: Sequence[Feature]) -> list[Drift]:
    """The columns that differ beyond chance and by a distance of at least `NOTABLE`.

    Of each group only the first row counts. The p-values are corrected for the number of columns.
    """
    old, new = (_one_of_each_group(part) for part in (train, test))
    found = [feature_drift(f, old[:, i], new[:, i]) for i, f in enumerate(features)]
    p_values, _ = holm([each.p_value for each in found], LEVEL)
    drifted = [
        Drift(column=feature.name, distance=rounded(each.distance), p_value=rounded(p_value))
        for feature, each, p_value in zip(features, found, p_values, strict=True)
        if p_value <= LEVEL and each.distance >= NOTABLE
    ]
    return sorted(drifted, key=lambda each: (-each.distance, each.column))


def _one_of_each_group(part: Examples) -> Features:
    _, first = np.unique(part.groups, return_index=True)
    if len(first) > MOST_ROWS:
        first = first[np.linspace(0, len(first) - 1, MOST_ROWS).astype(np.int64)]
    return part.features[first]
