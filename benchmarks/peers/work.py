"""The work that every contestant does: rows, network, epochs and batches, and what came out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import log_loss
from torch import nn

from vintage.base.numerics import Numerics

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Predict = Callable[[Floats], npt.NDArray[np.floating]]

SEED = 42
WINE = Path("tests/project/data/wine.csv")
WINE_ROWS = 800  # as many as the pipeline trains on


@dataclass(frozen=True)
class Work:
    """Train an MLP by Adam on the mean cross entropy, without dropout or weight decay.

    Attributes:
        features: float32 `[n, n_features]`, normalised.
        labels: int64 `[n]`.
        batch_size: rows a step; the order is new in every epoch, unless a step takes all rows.
        numerics: of Vintage alone.
    """

    features: Floats
    labels: Labels
    epochs: int
    batch_size: int
    hidden: tuple[int, ...] = (64, 32)
    learning_rate: float = 0.01
    numerics: Numerics = "exact"

    @property
    def widths(self) -> list[int]:
        return [self.features.shape[1], *self.hidden, int(self.labels.max()) + 1]

    def network(self) -> nn.Sequential:
        """The network with its initial weights, which Vintage's has, too."""
        torch.manual_seed(SEED)
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(self.widths):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def short(self) -> "Work":
        """Two epochs on a few batches, to import and allocate what is needed once."""
        rows = slice(4 * self.batch_size)
        return replace(self, features=self.features[rows], labels=self.labels[rows], epochs=2)

    def final_loss(self, predict: Predict) -> float:
        """The log loss on all rows after training."""
        return float(log_loss(self.labels, predict(self.features).astype(np.float64)))

    def flops_per_row(self) -> int:
        """Operations of the matrix products that one row takes part in, forward and backward.

        A layer's product forward costs 2 n_in n_out, and so do its gradients by the weights and
        by the inputs, of which the first layer needs none.
        """
        products = [2 * n_in * n_out for n_in, n_out in pairwise(self.widths)]
        return 3 * sum(products) - products[0]


def wine() -> Work:
    """100 epochs on the wine table in full batches."""
    import pandas as pd

    table = pd.read_csv(WINE).sample(WINE_ROWS, random_state=SEED)
    features = table.drop(columns="quality").to_numpy(np.float64)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    labels = table["quality"].astype("category").cat.codes.to_numpy()
    return Work(
        features.astype(np.float32), labels.astype(np.int64), epochs=100, batch_size=WINE_ROWS
    )


def large() -> Work:
    """An epoch on 1,000,000 rows of 28 features in batches of 8,192.

    The four classes are drawn from what a random network says, so that no training can predict
    them without error: then the loss that is reached is the same for all, whatever their luck.
    """
    generator = np.random.default_rng(SEED)
    features = generator.standard_normal((1_000_000, 28), dtype=np.float32)
    hidden = np.tanh(features @ generator.normal(size=(28, 8)) / 4)
    logits = hidden @ generator.normal(size=(8, 4))
    noise = generator.gumbel(size=logits.shape)
    labels = (logits + noise).argmax(axis=1)
    return Work(features, labels, epochs=1, batch_size=8192, numerics="fast")


WORKS = {"wine": wine, "large": large}
