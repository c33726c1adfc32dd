"""Twins: rows of equal features."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

BLOCK_ROWS = 16384


def duplicate_groups(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    """Give rows of equal features the same number, counted by first appearance.

    Rows are told apart by a 64-bit hash, so the cost is linear. Two different rows that share a
    hash (one chance in 10**7 for a million rows) are kept together, which leaks nothing.

    Args:
        columns: numbers `[n_rows]` each; NaN equals NaN.

    Returns:
        int64 `[n_rows]`.
    """
    return pd.factorize(_hashes(columns))[0].astype(np.int64)


def equal_rows(features: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The same for rows of float32 `[n_rows, n_features]`; -0.0 equals 0.0."""
    hashes = np.empty(len(features), dtype=np.uint64)
    for start in range(0, len(features), BLOCK_ROWS):  # in blocks that a core's cache holds
        block = slice(start, start + BLOCK_ROWS)
        columns = np.ascontiguousarray(features[block].T) + np.float32(0)
        hashes[block] = _hashes(list(columns))
    return pd.factorize(hashes)[0].astype(np.int64)


def _hashes(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.uint64]:
    frame = pd.DataFrame(dict(enumerate(columns)), copy=False)
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)


def torn_rows(groups: npt.NDArray[np.int64], part: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """The rows whose group has rows in several parts: bool `[n_rows]`.

    Args:
        part: int64 `[n_rows]`, the number of each row's part.
    """
    codes, labels = pd.factorize(groups)
    lowest, highest = np.full((2, len(labels)), [[np.iinfo(np.int64).max], [-1]])
    np.minimum.at(lowest, codes, part)
    np.maximum.at(highest, codes, part)
    torn: npt.NDArray[np.bool_] = (lowest < highest)[codes]
    return torn
