"""Groups of dependent rows."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vintage.base.tensors import Integers


def joined_groups(a: Integers, b: Integers) -> Integers:
    """Join the rows that share a number in `a` or in `b`, directly or through other rows.

    All are int64 `[n]`. The result is `a` itself if it equals `b`, otherwise numbers from 0 without
    gaps, in the order of the smallest number of `a` in each group.
    """
    if np.array_equal(a, b):
        return a
    (unique_a, ids_a), (unique_b, ids_b) = (np.unique(x, return_inverse=True) for x in (a, b))
    n_nodes = len(unique_a) + len(unique_b)
    edges = coo_array((np.ones(len(a)), (ids_a, len(unique_a) + ids_b)), shape=(n_nodes, n_nodes))
    _, component = connected_components(edges, directed=False)
    return component[ids_a].astype(np.int64)
