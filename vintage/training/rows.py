"""The rows that replicas learn from, or are validated by: the same for all, or by fold."""

from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor

from vintage.network import exact


class Batch(NamedTuple):
    """Rows by replica; where the first dimension is 1, all replicas have the same.

    Attributes:
        inputs: float32 `[n_replicas or 1, n, n_inputs]`.
        labels: int64 `[n_replicas or 1, n]`.
        is_own: bool `[n_replicas or 1, n]`, False for rows that only fill up.
    """

    inputs: Tensor
    labels: Tensor
    is_own: Tensor


@dataclass(frozen=True)
class Part:
    """Encoded rows, and which of them a replica has: replica r those of fold `r % n_folds`.

    Attributes:
        inputs: float32 `[n, n_inputs]`.
        labels: int64 `[n]`.
        places: int64 `[n_folds, n_own]`, where the rows of each fold stand in `inputs`. What a fold
            lacks to `n_own` is filled up with its first row.
        is_own: bool `[n_folds, n_own]`, False for what only fills up.
    """

    inputs: Tensor
    labels: Tensor
    places: Tensor
    is_own: Tensor

    @classmethod
    def of_all(cls, inputs: Tensor, labels: Tensor) -> "Part":
        """All rows, for all replicas."""
        places = torch.arange(len(labels), device=labels.device)[None]
        return cls(inputs, labels, places, torch.ones_like(places, dtype=torch.bool))

    @classmethod
    def of_folds(cls, inputs: Tensor, labels: Tensor, folds: Tensor, is_held_out: bool) -> "Part":
        """For the replicas of each fold its rows, or all others.

        Args:
            folds: of each row, from 0 without gaps, or -1 for none: int64 `[n]`.
        """
        numbers = torch.arange(int(folds.max()) + 1, device=folds.device)[:, None]
        is_own = (folds == numbers) == is_held_out
        n_own = int(is_own.sum(dim=1).max())
        places = (~is_own).byte().argsort(dim=1, stable=True)[:, :n_own]
        is_own = is_own.gather(1, places)
        return cls(inputs, labels, places.where(is_own, places[:, :1]), is_own)

    @property
    def n_folds(self) -> int:
        """1 if there are none."""
        return len(self.places)

    @property
    def n_rows(self) -> int:
        """Of each fold, with those that only fill up."""
        return self.places.shape[1]

    def n_own(self) -> Tensor:
        """How many rows the replicas of each fold have: int64 `[n_folds]`."""
        return self.is_own.sum(dim=1)

    def class_counts(self, n_classes: int) -> Tensor:
        """How many of these are of each class: int64 `[n_folds, n_classes]`."""
        labels = self.labels[self.places]
        counts = torch.zeros(self.n_folds, n_classes, dtype=torch.int64, device=labels.device)
        return counts.scatter_add_(1, labels, self.is_own.long())

    def judged(self, losses: Tensor) -> Tensor:
        """The loss that each replica is judged by: its own, or in folds the mean of all.

        Args:
            losses: of these rows by replica, float32 `[n_replicas]`.

        Returns:
            float64 `[n_replicas]`.
        """
        judged = losses.double()
        return judged.fill_(fmean(losses.tolist())) if self.n_folds > 1 else judged

    def is_over(self, stopped: Tensor) -> bool:
        """Whether to end a training whose replicas are out of patience or not: bool `[n]`."""
        return bool(stopped.all())

    def batches(self, size: int, generator: torch.Generator) -> list["Part"]:
        """In a random order, the same for all folds; itself if one batch takes all.

        Each fold has as many batches as the one with the fewest rows. Of the others, rows are left
        over, different ones in each epoch.
        """
        if size >= self.n_rows:
            return [self]
        order = torch.randperm(len(self.labels), generator=generator).to(self.labels.device)
        rank = torch.where(self.is_own, order.argsort()[self.places], len(order))
        by_rank = rank.argsort(dim=1, stable=True)
        places, is_own = self.places.gather(1, by_rank), self.is_own.gather(1, by_rank)
        n_batches = -(-int(self.n_own().min()) // size)
        parts = zip(places.split(size, dim=1), is_own.split(size, dim=1), strict=True)
        return [Part(self.inputs, self.labels, *part) for part in parts][:n_batches]

    def batch(self, n_replicas: int, rows: slice = slice(None)) -> Batch:
        """All of them, or some of each fold."""
        places = self.by_replica(self.places[:, rows], n_replicas)
        # a quarter of the time that inputs[places] takes
        inputs = self.inputs.index_select(0, places.flatten()).unflatten(0, places.shape)
        is_own = self.by_replica(self.is_own[:, rows], n_replicas)
        return Batch(inputs, self.labels[places], is_own)

    def by_replica(self, of_folds: Tensor, n_replicas: int) -> Tensor:
        """What each fold has, `[n_folds, ...]` -> `[n_replicas, ...]`; without folds the same."""
        if self.n_folds == 1:
            return of_folds
        return of_folds[torch.arange(n_replicas, device=of_folds.device) % self.n_folds]


def row_weights(labels: Tensor, is_own: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """What each row counts in a mean loss: float64 `[..., n]`, summing to one.

    Args:
        labels: int64 `[..., n]`.
        is_own: bool `[..., n]`, False for rows that count nothing.
        class_weights: `[..., n_classes]`; None counts all rows alike.
    """
    weights = is_own.double()
    if class_weights is not None:
        weights = weights * class_weights.double().gather(-1, labels)
    return weights / exact.sum_of(weights, [-1])


def balanced_weights(counts: Tensor) -> Tensor:
    """Weights that give every class of a fold's rows the same share, and 1 to the mean row.

    Args:
        counts: of the rows, int64 `[n_folds, n_classes]`.

    Returns:
        float32 `[n_folds, n_classes]`.
    """
    n_own, n_classes = counts.sum(dim=1, keepdim=True), counts.shape[1]
    return n_own.float() / (n_classes * counts.clamp_min(1)).float()
