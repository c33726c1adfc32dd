"""Rows drawn by whole groups, so that twins stay together."""

import numpy as np

from vintage.scores.rows import Labels

FEWEST_GROUPS = 20


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


def some_rows(ordered: Labels, groups: Labels, n_rows: int) -> Labels:
    """At most about `n_rows` places: whole groups, or a part of all, where few would fit whole.

    Such are tables of a few words, each of whose rows has thousands of twins.

    Args:
        ordered, groups: as of `whole_groups`.
    """
    whole = whole_groups(ordered, groups, n_rows)
    if len(whole) == len(ordered) or len(np.unique(groups[whole])) >= FEWEST_GROUPS:
        return whole
    return ordered[np.linspace(0, len(ordered) - 1, n_rows).astype(np.int64)]
