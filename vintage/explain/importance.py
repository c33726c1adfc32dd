"""Permutation importance: what the network loses if it is given a column of other rows.

Source: Breiman, Random Forests, 2001, section 10; as a property of any model, Fisher, Rudin and
Dominici, All Models are Wrong, but Many are Useful, JMLR 20, 2019. Columns that tell the same share
the credit: each can be replaced by the other.
"""

from collections.abc import Sequence

import numpy as np

from vintage.base.tensors import Examples, Feature, Features
from vintage.explain.bounds import Mean, rounded
from vintage.explain.explanation import Importance
from vintage.explain.sampling import grouped_order, some_rows
from vintage.network.checkpoint import Checkpoint
from vintage.scores.rows import Floats, Labels, row_losses

MOST_REPEATS = 5
MOST_ROWS = 2_000
FEWEST_ROWS = 200
MOST_PREDICTIONS = 200_000  # rows that are predicted, unless `FEWEST_ROWS` of all columns are more


def plan(n_rows: int, n_columns: int) -> tuple[int, int]:
    """How many test rows to take, and how often to exchange a column's cells among them."""
    most = max(FEWEST_ROWS, min(MOST_ROWS, MOST_PREDICTIONS // n_columns))
    taken = min(n_rows, most)
    return taken, max(1, min(MOST_REPEATS, MOST_PREDICTIONS // (taken * n_columns)))


def permutation_importances(
    checkpoint: Checkpoint,
    features: Sequence[Feature],
    test: Examples,
    confidence: float,
    seed: int,
) -> tuple[list[Importance], int, int]:
    """The rise of the log loss for each column, the largest first, with its interval.

    Whole groups exchange their cells, so that twins stay twins. The interval is that of the mean
    over groups of test rows, for the model as it was trained; it is of each column by itself.

    Returns:
        The importances, the number of test rows that were taken, and that of repeats.
    """
    n_taken, n_repeats = plan(len(test.rows), len(features))
    generator = np.random.default_rng(seed)
    ordered = grouped_order(test.groups, generator)
    places = np.sort(some_rows(ordered, test.groups, n_taken))
    inputs, labels, groups = test.features[places], test.labels[places], test.groups[places]
    as_they_are = _losses(checkpoint, inputs, labels)
    found = []
    for index, feature in enumerate(features):
        losses = np.zeros(len(labels))
        for _ in range(n_repeats):
            exchanged = inputs.copy()
            exchanged[:, index] = inputs[_donors(groups, generator), index]
            losses += _losses(checkpoint, exchanged, labels)
        mean = Mean.of(losses / n_repeats - as_they_are, groups)
        low, high = mean.bounds(confidence)
        increase = rounded(mean.value)
        found.append(Importance(column=feature.name, increase=increase, low=low, high=high))
    found.sort(key=lambda each: -each.increase)  # stable: equal ones in the order of the table
    return found, len(places), n_repeats


def _losses(checkpoint: Checkpoint, inputs: Features, labels: Labels) -> Floats:
    return row_losses(checkpoint.predict_proba(inputs).mean(axis=0), labels)


def _donors(groups: Labels, generator: np.random.Generator) -> Labels:
    """For each row, the place of the row whose cell it gets: int64 `[n]`.

    Each group gets the cells of another one, row after row, from the start again if that has fewer.
    Where there is no other group, each row gets the cell of another row.
    """
    if (groups == groups[0]).all():
        groups = np.arange(len(groups))
    _, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    by_group = np.argsort(members, kind="stable")
    starts = np.cumsum(sizes) - sizes
    within = np.empty_like(members)
    within[by_group] = np.arange(len(members)) - np.repeat(starts, sizes)
    giving = generator.permutation(len(sizes))[members]
    return by_group[starts[giving] + within % sizes[giving]]
