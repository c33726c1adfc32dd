"""How clearly the train rows of a small table tell the classes apart."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vintage.encoding import Encoder
from vintage.recipe import PLAIN_ROWS, TrainRows
from vintage.tensors import Feature, Features


def measure_rows(
    columns: Sequence[Feature], features: Features, labels: npt.NDArray[np.int64]
) -> TrainRows:
    """What `auto` goes by.

    Args:
        features, labels: of the train rows, as the tensor files hold them.
    """
    error = None
    if len(labels) <= PLAIN_ROWS:
        encoder = Encoder(columns)
        encoder.fit(features, normalize=True)
        inputs = encoder(torch.from_numpy(features))
        error = neighbor_error(inputs, torch.from_numpy(labels))
    n_rows, n_features = features.shape
    return TrainRows(n_rows, n_features, error)


def neighbor_error(inputs: Tensor, labels: Tensor) -> float:
    """How often the nearest other row is of another class, as a multiple of how often the most
    frequent class is not a row's own.

    Near 0 the classes are clear; by chance it is about 1, or more. A row's twins are no neighbours
    of it, since new rows have none. Distances are sums of absolute differences, whose bits are the
    same on every CPU. Source: Cover and Hart, Nearest Neighbor Pattern Classification, IEEE
    Transactions on Information Theory 13(1), 1967: with many rows, the nearest neighbour errs at
    most twice as often as the best classifier.

    Args:
        inputs: encoded rows, float32 `[n, n_inputs]`, n from 2.
        labels: int64 `[n]`.
    """
    distances = torch.cdist(inputs, inputs, p=1)
    nearest = distances.masked_fill(distances == 0, torch.inf).argmin(dim=1)
    n_wrong = int((labels[nearest] != labels).sum())
    n_infrequent = len(labels) - int(labels.bincount().max())
    return n_wrong / max(n_infrequent, 1)
