"""Rows drawn by whole groups, so that twins stay together."""

import numpy as np

from vintage.scores.rows import Labels


def grouped_order(groups: Labels, generator: np.random.Generator) -> Labels:
    """The places of all rows, group after group in a random order: int64 `[n]`."""
    unique, members = np.unique(groups, return_inverse=True)
    ranks = generator.permutation(len(unique))
    return np.argsort(ranks[members], kind="stable")


def whole_groups(ordered: Labels, groups: Labels, n_rows: int) -> Labels:
    """The first places of `ordered`, as many whole groups as `n_rows` has room for, at least one.

    Args:
        ordered: places in groups, see `grouped_order`.
        groups: int64 `[n]`, of all rows.
    """
    if n_rows >= len(ordered):
        return ordered
    ends = np.flatnonzero(np.diff(groups[ordered], append=-1) != 0) + 1
    fitting = ends[ends <= n_rows]
    return ordered[: fitting[-1] if len(fitting) else ends[0]]
