"""What the network makes of a row's features before its first layer, with constants of its own."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from vintage.base.console import InputError
from vintage.base.tensors import Feature, Features
from vintage.network.exact import mean_of, sqrt

SCALE_OF_CONSTANT = 2.0**64
FAR_OUT = 1e18  # the square of more is infinite in 32 bits, and what is drawn in would be 0


class Encoder(nn.Module):
    """Features as the tensor files hold them -> dense inputs.

    First the numeric and date-time columns, of zero mean and unit variance, with the train rows'
    median where a cell is missing; then, for each of them with missing cells in train, 1 where it
    is missing and 0 elsewhere; then, for each category of the categorical columns, missing
    included, 1 where it is the row's and 0 elsewhere. An unknown category is 0 everywhere.

    With `n_bins`, a number far out is drawn in, and to each come `n_bins` inputs from -1 to 1
    that say how far it is through each bin between the train rows' quantiles. Sources: Holzmueller,
    Grinsztajn and Steinwart, Better by Default, NeurIPS 2024 (smooth clipping); Gorishniy, Rubachev
    and Babenko, On Embeddings for Numerical Features in Tabular Deep Learning, NeurIPS 2022.

    The state, fitted on train rows: `median`, `mean` and `scale`, float32 `[n_numeric]`, and with
    `n_bins` the bins' `edges`, float32 `[n_numeric, n_bins + 1]`.
    """

    median: Tensor
    mean: Tensor
    scale: Tensor
    edges: Tensor | None
    numeric: Tensor
    with_missing: Tensor
    categorical: Tensor
    codes: Tensor

    def __init__(self, features: Sequence[Feature], n_bins: int = 0) -> None:
        super().__init__()
        numeric = [i for i, feature in enumerate(features) if feature.categories is None]
        one_hot = [
            (index, code)
            for index, feature in enumerate(features)
            if feature.categories is not None
            for code in range(feature.unknown_code)
        ]
        self.names = [features[index].name for index in numeric]
        self.n_numeric = len(numeric)
        self.all_numeric = not one_hot
        self.register_buffer("median", torch.zeros(len(numeric)))
        self.register_buffer("mean", torch.zeros(len(numeric)))
        self.register_buffer("scale", torch.ones(len(numeric)))
        edges = torch.linspace(0, 1, n_bins + 1).repeat(len(numeric), 1) if n_bins else None
        self.register_buffer("edges", edges)
        indices = {
            "numeric": numeric,
            "with_missing": [i for i in numeric if features[i].missing],
            "categorical": [index for index, _ in one_hot],
        }
        for name, values in indices.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.int64), persistent=False)
        codes = torch.tensor([code for _, code in one_hot], dtype=torch.float32)
        self.register_buffer("codes", codes, persistent=False)
        n_of_numeric = len(numeric) * (1 + n_bins)
        self.n_outputs = n_of_numeric + len(self.with_missing) + len(one_hot)

    def fit(self, features: Features, normalize: bool) -> None:
        """Take medians, means and standard deviations of the train rows `[n, n_features]`.

        A column that is constant but for missing cells gets a scale that makes any number next to
        nothing: the network has learned nothing of it, and what its first weights would make of
        another number is chance. Without `normalize`, only the medians are taken.

        Raises:
            InputError: a column without any number.
        """
        numbers = features if self.all_numeric else np.take(features, self.numeric.numpy(), axis=1)
        missing = np.isnan(numbers)
        for index in range(self.n_numeric):
            known = numbers[~missing[:, index], index]
            if not len(known):
                raise InputError(
                    f"no train row holds a number in column {self.names[index]!r}, which the split "
                    "would have dropped; delete data/tensors and run `dvc repro`"
                )
            # in 64 bits, since the sum of the middle two may be infinite in 32
            self.median[index] = float(np.median(known.astype(np.float64)))
        if not normalize:
            return
        numbers = np.where(missing, self.median.numpy(), numbers)
        exact_numbers = torch.from_numpy(numbers).double()
        mean = mean_of(exact_numbers, [0])
        deviation = np.sqrt(mean_of((exact_numbers - mean).square_(), [0])[0].numpy())
        # by its values, because the deviation of equal ones is often not quite 0
        is_constant = numbers.min(axis=0) == numbers.max(axis=0)
        deviation[deviation.astype(np.float32) == 0] = 1
        deviation[is_constant] = SCALE_OF_CONSTANT
        self.mean.copy_(mean[0])
        self.scale.copy_(torch.from_numpy(deviation))
        if self.edges is not None:
            normalized = (numbers - self.mean.numpy()) / self.scale.numpy()
            shares = np.linspace(0, 1, self.edges.shape[1])
            quantiles = np.quantile(normalized.astype(np.float64), shares, axis=0)
            self.edges.copy_(torch.from_numpy(quantiles.T))

    def forward(self, features: Tensor) -> Tensor:
        """float32 `[n, n_features]` -> float32 `[n, n_outputs]`."""
        numbers = features if self.all_numeric else features[:, self.numeric]
        numbers = torch.where(numbers.isnan(), self.median, numbers)
        numbers = (numbers - self.mean) / self.scale
        parts = [numbers]
        if self.edges is not None:
            parts = [drawn_in(numbers), piecewise_linear(numbers, self.edges)]
        if len(self.with_missing):
            parts.append(features[:, self.with_missing].isnan().float())
        if not self.all_numeric:
            parts.append((features[:, self.categorical] == self.codes).float())
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


def drawn_in(numbers: Tensor) -> Tensor:
    """About the number itself around 0, and never beyond 3: `x / sqrt(1 + (x / 3) ** 2)`."""
    numbers = numbers.clamp(-FAR_OUT, FAR_OUT)
    third = numbers * (1 / 3)
    return numbers / sqrt(third * third + 1)


def piecewise_linear(numbers: Tensor, edges: Tensor) -> Tensor:
    """How far each number is through each bin, from -1 to 1; 0 for a bin without width.

    Args:
        numbers: float32 `[n, n_columns]`.
        edges: float32 `[n_columns, n_bins + 1]`, rising.

    Returns:
        float32 `[n, n_columns * n_bins]`.
    """
    left, width = edges[:, :-1], edges.diff(dim=1)
    is_bin = width > 0
    through = (numbers[:, :, None] - left) / torch.where(is_bin, width, 1.0)
    return torch.where(is_bin, through.clamp(0, 1) * 2 - 1, 0.0).flatten(1)
