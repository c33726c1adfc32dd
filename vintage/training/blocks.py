"""Rows of a tensor file that are too many for the memory: read, and encoded, when they are needed.

The order of an epoch is drawn in two steps: that of blocks of rows that stand together in the file,
and that of the rows of many blocks at a time. Batches take the rows as they come.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vintage.base.tensors import Examples, PartFile
from vintage.training.rows import Part

BLOCK_ROWS = 4_096
NUMBERS_AT_ONCE = 2**24  # of the blocks whose rows are in one order, 64 MB
FITTED_ROWS = 2**18  # that the encoding is fitted to
CALIBRATED_ROWS = 2**16


@dataclass(frozen=True)
class Blocks:
    """The rows of a file, as `Part` has those in memory: the same ones for all replicas.

    Attributes:
        encode: float32 `[n, n_features]` -> the inputs of the network, on its device.
    """

    file: PartFile
    encode: Callable[[Tensor], Tensor]
    n_folds = 1

    @property
    def n_rows(self) -> int:
        return self.file.n_rows

    def n_own(self) -> Tensor:
        """int64 `[1]`."""
        return torch.tensor([self.n_rows])

    def class_counts(self, n_classes: int) -> Tensor:
        """How many are of each class: int64 `[1, n_classes]`."""
        counts = torch.zeros(1, n_classes, dtype=torch.int64)
        for rows in self.file.blocks():
            counts += torch.bincount(torch.from_numpy(rows.labels), minlength=n_classes)
        return counts

    def judged(self, losses: Tensor) -> Tensor:
        """See `Part.judged`."""
        return losses.double()

    def is_over(self, stopped: Tensor) -> bool:
        """See `Part.is_over`."""
        return bool(stopped.all())

    def batches(self, size: int, generator: torch.Generator) -> "Batches":
        """In a random order."""
        return Batches(self, size, generator)

    def chunks(self) -> Iterator[Part]:
        """All rows, in their order."""
        for start in range(0, self.n_rows, BLOCK_ROWS):
            yield self.part(*self.read(start))

    def sample(self) -> Part:
        """About `CALIBRATED_ROWS` of them."""
        return self.part(*_tensors(self.file.sample(CALIBRATED_ROWS)))

    def read(self, start: int) -> tuple[Tensor, Tensor]:
        """The features and labels of a block."""
        return _tensors(self.file.rows(start, BLOCK_ROWS))

    def part(self, features: Tensor, labels: Tensor) -> Part:
        inputs = self.encode(features)
        return Part.of_all(inputs, labels.to(inputs.device))


@dataclass(frozen=True)
class Batches:
    """The batches of an epoch, each of which is read when it is its turn."""

    blocks: Blocks
    size: int
    generator: torch.Generator

    def __len__(self) -> int:
        return math.ceil(self.blocks.n_rows / self.size)

    def n_own(self) -> Tensor:
        """Of each batch: int64 `[n_batches, 1]`."""
        counts = torch.full((len(self), 1), self.size)
        counts[-1] = self.blocks.n_rows - (len(self) - 1) * self.size
        return counts

    def __iter__(self) -> Iterator[Part]:
        file = self.blocks.file
        starts = torch.arange(0, file.n_rows, BLOCK_ROWS)
        order = torch.randperm(len(starts), generator=self.generator)
        at_once = max(1, NUMBERS_AT_ONCE // (BLOCK_ROWS * file.n_features))
        features = torch.empty(at_once * BLOCK_ROWS + self.size, file.n_features)
        labels = torch.empty(len(features), dtype=torch.int64)
        n_rows = 0
        for some in starts[order].split(at_once):
            for start in some.tolist():
                read = self.blocks.read(start)
                rows = slice(n_rows, n_rows + len(read[1]))
                features[rows], labels[rows] = read
                n_rows = rows.stop
            *whole, last = torch.randperm(n_rows, generator=self.generator).split(self.size)
            for places in whole:
                yield self.blocks.part(features[places], labels[places])
            n_rows = len(last)
            features[:n_rows], labels[:n_rows] = features[last], labels[last]
        yield self.blocks.part(features[:n_rows], labels[:n_rows])


def _tensors(rows: Examples) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(rows.features), torch.from_numpy(rows.labels)
