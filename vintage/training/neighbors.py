"""How clearly the train rows of a small table tell the classes apart."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vintage.base.tensors import Feature, Features, Integers
from vintage.network.encoding import Encoder
from vintage.network.exact import sum_of, to_grid
from vintage.training.auto import FEW_ROWS, TrainRows

GRID_BITS = 36  # so that a sum over 2^16 columns is exact


def measure_rows(
    columns: Sequence[Feature], features: Features, labels: Integers, folds: Integers | None
) -> TrainRows:
    """What `auto` goes by, with the neighbour error where the rows are few.

    Args:
        columns: what the features mean, as in the schema.
        features: of the train rows, float32 `[n_rows, n_features]`, as the tensor files hold them.
        labels: int64 `[n_rows]`.
        folds: see `vintage.base.tensors.Examples`.
    """
    n_rows, n_features = features.shape
    n_left_out = 0 if folds is None else int(np.bincount(folds[folds >= 0]).max())
    error = None
    if n_rows <= FEW_ROWS:
        error = neighbor_error(distances_between(columns, features), torch.from_numpy(labels))
    return TrainRows(n_rows, n_features, error, n_left_out)


def distances_between(columns: Sequence[Feature], features: Features) -> Tensor:
    """Sums of absolute differences of the inputs as `Encoder` makes them, float64 `[n, n]`.

    Two categories differ in two of their inputs, which are counted without making them: there may
    be many. The numbers are rounded to a grid first, so that their sums are exact in any order.
    """
    is_numeric = np.array([column.categories is None for column in columns])
    encoder = Encoder([column for column in columns if column.categories is None])
    encoder.fit(features[:, is_numeric], normalize=True)
    numbers = encoder(torch.from_numpy(features[:, is_numeric])).double()
    if numbers.numel():
        numbers = to_grid(numbers, GRID_BITS, numbers.abs().max())
    codes = torch.from_numpy(features[:, ~is_numeric])
    return torch.cdist(numbers, numbers, p=1) + 2 * torch.cdist(codes, codes, p=0).double()


def neighbor_error(distances: Tensor, labels: Tensor) -> float:
    """How often a row's nearest neighbour is of another class, as a multiple of how often the most
    frequent class is not the row's own.

    Near 0 the classes are clear; by chance it is about 1, or more; with a single class it is 1. Of
    neighbours that are equally near, each counts its share, so that the order of the rows makes no
    difference. A row's twins are no neighbours of it, since new rows have none. Source: Cover and
    Hart, Nearest Neighbor Pattern Classification, IEEE Transactions on Information Theory 13(1),
    1967: with many rows, the nearest neighbour errs at most twice as often as the best classifier.

    Args:
        distances: of the rows from each other, float64 `[n, n]`.
        labels: int64 `[n]`.
    """
    distances = distances.masked_fill(distances == 0, torch.inf)
    is_nearest = distances == distances.amin(dim=1, keepdim=True)
    is_wrong = is_nearest & (labels[:, None] != labels)
    n_wrong = float(sum_of(is_wrong.sum(dim=1).double() / is_nearest.sum(dim=1), [0]))
    n_infrequent = len(labels) - int(labels.bincount().max())
    return n_wrong / n_infrequent if n_infrequent else 1.0
