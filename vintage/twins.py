"""Twins: rows of the table whose features are equal."""

import numpy as np
import numpy.typing as npt
import pandas as pd


def duplicate_groups(features: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Give rows of equal features the same number, counted by first appearance.

    Rows are told apart by a 64-bit hash, so the cost is linear. Two different rows that share a
    hash (one chance in 10**7 for a million rows) are kept together, which leaks nothing.

    Args:
        features: float32 `[n_rows, n_features]`.

    Returns:
        int64 `[n_rows]`.
    """
    # adding zero makes -0.0 equal to 0.0
    hashes = pd.util.hash_pandas_object(pd.DataFrame(features + np.float32(0)), index=False)
    return pd.factorize(hashes.to_numpy())[0].astype(np.int64)


def first_twins(
    features: npt.NDArray[np.float32], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """For each row, the number of the first row with the same features: int64 `[n_rows]`.

    Args:
        features: float32 `[n_rows, n_features]`.
        rows: int64 `[n_rows]`, the rows' numbers in the table.
    """
    groups = duplicate_groups(features)
    _, first = np.unique(groups, return_index=True)
    return rows[first][groups]
