"""Groups of dependent rows."""

import numpy as np

from vintage.base.groups import joined_groups


def test_rows_are_joined_through_others() -> None:
    joined = joined_groups(np.array([0, 0, 1, 2, 3]), np.array([5, 6, 6, 7, 8]))
    assert joined.tolist() == [0, 0, 0, 1, 2]
