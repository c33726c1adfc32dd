"""The rows that replicas learn from, or are validated by: the same for all, or by fold."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vintage.network import exact


class Batch(NamedTuple):
    """Rows by replica; where the first dimension is 1, all replicas have the same.

    Attributes:
        inputs: float32 `[n_replicas or 1, n, n_inputs]`.
        labels: int64 `[n_replicas or 1, n]`.
        is_own: bool `[n_replicas or 1, n]`, False for what only fills up; None: all are.
    """

    inputs: Tensor
    labels: Tensor
    is_own: Tensor | None

    def n_own(self) -> Tensor:
        """How many rows a replica has: float64 `[n_replicas or 1]`."""
        is_own = torch.ones_like(self.labels) if self.is_own is None else self.is_own
        return is_own.sum(dim=1).double()


@dataclass(frozen=True)
class Rows:
    """Encoded rows, and which of them a replica has: replica r those of fold `r % n_folds`.

    Attributes:
        inputs: float32 `[n, n_inputs]`.
        labels: int64 `[n]`.
        places: int64 `[n_folds, n_own]`, where the rows of each fold stand in `inputs`; None:
            there are no folds, and each replica has all rows. What a fold lacks to `n_own` is
            filled up with its first row.
        is_own: bool `[n_folds, n_own]`, False for what only fills up; None: all are.
    """

    inputs: Tensor
    labels: Tensor
    places: Tensor | None = None
    is_own: Tensor | None = None

    @property
    def n_folds(self) -> int:
        """1 if there are none."""
        return 1 if self.is_own is None else len(self.is_own)

    def __len__(self) -> int:
        """How many rows a replica has, at most."""
        return len(self.labels) if self.places is None else self.places.shape[1]

    def of_folds(self, folds: Tensor, is_held_out: bool) -> "Rows":
        """The rows of each fold, or all others.

        Args:
            folds: of each row, from 0 without gaps, or -1 for none: int64 `[n]`.
        """
        numbers = torch.arange(int(folds.max()) + 1, device=folds.device)[:, None]
        is_own = (folds == numbers) == is_held_out
        n_own = int(is_own.sum(dim=1).max())
        places = (~is_own).byte().argsort(dim=1, stable=True)[:, :n_own]
        is_own = is_own.gather(1, places)
        return Rows(self.inputs, self.labels, places.where(is_own, places[:, :1]), is_own)

    def batches(self, size: int, generator: torch.Generator) -> list["Rows"]:
        """In a random order, the same for all folds; each fold has as many as the smallest.

        Of larger folds some rows may be left over, other ones in each epoch.
        """
        order = torch.randperm(len(self.labels), generator=generator).to(self.labels.device)
        if self.places is None:
            return [Rows(self.inputs, self.labels, part[None]) for part in order.split(size)]
        assert self.is_own is not None
        rank = torch.where(self.is_own, order.argsort()[self.places], len(order))
        by_rank = rank.argsort(dim=1, stable=True)
        places, is_own = self.places.gather(1, by_rank), self.is_own.gather(1, by_rank)
        n_batches = -(-int(is_own.sum(dim=1).min()) // size)
        parts = zip(places.split(size, dim=1), is_own.split(size, dim=1), strict=True)
        return [Rows(self.inputs, self.labels, *part) for part in parts][:n_batches]

    def batch(self, n_replicas: int) -> Batch:
        """All of them."""
        if self.places is None:
            return Batch(self.inputs[None], self.labels[None], None)
        places, is_own = self.places, self.is_own
        if is_own is not None:
            folds = torch.arange(n_replicas, device=places.device) % len(places)
            places, is_own = places[folds], is_own[folds]
        # a quarter of the time that inputs[places] takes
        inputs = self.inputs.index_select(0, places.flatten()).unflatten(0, places.shape)
        return Batch(inputs, self.labels[places], is_own)


def row_weights(
    labels: Tensor, class_weights: Tensor | None = None, is_own: Tensor | None = None
) -> Tensor:
    """What each row counts in a mean loss: float64 `[..., n]`, summing to one.

    Args:
        labels: int64 `[..., n]`.
        class_weights: `[n_classes]`; None counts all rows alike.
        is_own: bool `[..., n]`, False for rows that count nothing.
    """
    weights = torch.ones_like(labels, dtype=torch.float64)
    if class_weights is not None:
        weights = class_weights.double()[labels]
    if is_own is not None:
        weights = weights * is_own
    return weights / exact.sum_of(weights, [-1])
