"""A small table with a column of each kind and missing cells, as a network sees it."""

import numpy as np
import torch
from torch import Tensor

from vintage.base.tensors import Feature, Features, RowCounts, Schema

SCHEMA = Schema(
    target="y",
    classes=["a", "b"],
    features=[
        Feature(name="n", kind="numeric", missing=True),
        Feature(name="c", kind="categorical", categories=["p", "q"]),
        Feature(name="t", kind="datetime"),
    ],
    rows=RowCounts(train=1, val=0, test=1, repeated=0),
)


def rows(n_rows: int, seed: int = 1) -> Features:
    draw = np.random.default_rng(seed)
    columns = [draw.normal(size=n_rows), draw.integers(0, 2, n_rows), draw.normal(9, 4, n_rows)]
    features = np.stack(columns, axis=1).astype(np.float32)
    features[::9, 0] = np.nan
    return features


def labels_of(features: Features) -> Tensor:
    return torch.from_numpy((features[:, 1] + features[:, 2] > 9.5).astype(np.int64))
