"""TabM with piecewise-linear embeddings: a network whose members share most weights.

Source: Gorishniy, Kotelnikov and Babenko, TabM: Advancing Tabular Deep Learning with
Parameter-Efficient Ensembling, ICLR 2025; the embeddings: Gorishniy, Rubachev and Babenko, On
Embeddings for Numerical Features in Tabular Deep Learning, NeurIPS 2022. The sizes below, the
initial weights and the parameters' names are those of the authors' packages, tabm and
rtdl_num_embeddings.
"""

from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from vintage.base.recipe import Architecture
from vintage.network.draws import Step, signs, uniform
from vintage.network.replicas import Replicas, Shape

N_MEMBERS = 32
N_BINS = 48
EMBEDDING_SIZE = 16


class TabM(Replicas):
    """Replicas of `N_MEMBERS` members. Each number is embedded by its bin, so no other bins are
    needed.

    Parameters, each `[n_replicas, ...]`: of the embeddings `linear0_weight` and `linear0_bias`
    `[n_numeric, EMBEDDING_SIZE]` and `linear_weight` `[n_numeric, n_bins, EMBEDDING_SIZE]`; of a
    hidden layer `weight` `[n_out, n_in]`, `r` `[N_MEMBERS, n_in]`, `s` and `bias` `[N_MEMBERS,
    n_out]`; of the last one `weight` `[N_MEMBERS, n_in, n_out]` and `bias` `[N_MEMBERS, n_out]`.
    """

    auto = {"activation": "relu", "normalize": "standard", "scaling_layer": False}  # noqa: RUF012
    fitted = ("edges",)
    n_members = N_MEMBERS
    edges: Tensor
    embeddings_linear0_weight: Tensor
    embeddings_linear0_bias: Tensor
    embeddings_linear_weight: Tensor

    def build(self, shape: Shape) -> None:
        self.n_numeric = shape.n_numeric
        n_others = shape.n_inputs - shape.n_numeric
        self.input_sizes = [EMBEDDING_SIZE] * self.n_numeric + [1] * n_others
        *hidden, last = pairwise(
            [sum(self.input_sizes), *shape.architecture.hidden, shape.n_classes]
        )
        if self.n_numeric:
            n_bins = most_bins(self.edges, self.n_numeric)
            embeddings = (self.n_numeric, EMBEDDING_SIZE)
            self._add("embeddings_linear0_weight", *embeddings)
            self._add("embeddings_linear0_bias", *embeddings)
            self._add("embeddings_linear_weight", self.n_numeric, n_bins, EMBEDDING_SIZE)
        # between two layers there are an activation and dropout, and members ahead of the first
        self.hidden = [f"layers_{1 + 3 * index}" for index in range(len(hidden))]
        self.last = f"layers_{1 + 3 * len(hidden)}"
        for name, (n_in, n_out) in zip(self.hidden, hidden, strict=True):
            self._add(f"{name}_weight", n_out, n_in)
            self._add(f"{name}_r", N_MEMBERS, n_in)
            self._add(f"{name}_s", N_MEMBERS, n_out)
            self._add(f"{name}_bias", N_MEMBERS, n_out)
        self._add(f"{self.last}_weight", N_MEMBERS, *last)
        self._add(f"{self.last}_bias", N_MEMBERS, last[1])

    def _add(self, name: str, *shape: int) -> None:
        self.register_parameter(name, nn.Parameter(torch.empty(self.n_replicas, *shape)))

    def _of(self, name: str) -> Tensor:
        return cast(Tensor, getattr(self, name))

    @classmethod
    def problem_of(cls, architecture: Architecture) -> str | None:
        if not architecture.hidden:
            return "model.hidden: found []; a tabm has at least one width"
        if architecture.scaling_layer:
            return (
                "model.scaling_layer: found true; a tabm has a scale for each member and input "
                "anyway, so write auto or false"
            )
        return None

    @classmethod
    def fit(cls, numbers: Tensor) -> dict[str, Tensor]:
        return {"edges": bin_edges(numbers)}

    @torch.no_grad()
    def draw_replica(self, replica: int, generator: torch.Generator) -> None:
        if self.n_numeric:
            for name in ("embeddings_linear0_weight", "embeddings_linear0_bias"):
                weight = self._of(name)[replica]
                weight.copy_(uniform(generator, EMBEDDING_SIZE**-0.5, *weight.shape))
            # so that at first an embedding is a linear one
            self.embeddings_linear_weight[replica].zero_()
        for name in self.hidden:
            weight = self._of(f"{name}_weight")[replica]
            bound = weight.shape[1] ** -0.5
            weight.copy_(uniform(generator, bound, *weight.shape))
            self._of(f"{name}_r")[replica].fill_(1)
            self._of(f"{name}_s")[replica].fill_(1)
            # all members begin with the same bias
            self._of(f"{name}_bias")[replica].copy_(uniform(generator, bound, len(weight)))
        # one sign for all that a column is embedded in
        drawn = signs(generator, N_MEMBERS, len(self.input_sizes))
        self._of(f"{self.hidden[0]}_r")[replica].copy_(
            drawn.repeat_interleave(torch.tensor(self.input_sizes), dim=1)
        )
        weight = self._of(f"{self.last}_weight")[replica]
        bound = weight.shape[1] ** -0.5
        weight.copy_(uniform(generator, bound, *weight.shape))
        bias = self._of(f"{self.last}_bias")[replica]
        bias.copy_(uniform(generator, bound, *bias.shape))

    def forward(self, inputs: Tensor, step: Step | None = None) -> Tensor:
        ops = self.arithmetic
        n_rows = inputs.shape[-2]
        if step is not None:
            step = step._replace(first_row=step.first_row * N_MEMBERS)
        # [n_replicas, n_rows, n_members, n_in]
        outputs = self._embedded(inputs)[:, :, None]
        for index, name in enumerate(self.hidden):
            outputs = ops.multiply(outputs, self._of(f"{name}_r")[:, None], to_rows=True)
            weight = self._of(f"{name}_weight").transpose(1, 2)
            outputs = ops.linear(outputs.flatten(1, 2), weight)
            outputs = outputs.unflatten(1, (n_rows, N_MEMBERS))
            outputs = ops.multiply(outputs, self._of(f"{name}_s")[:, None], to_rows=True)
            outputs = ops.add(outputs, self._of(f"{name}_bias")[:, None], to_rows=True)
            outputs = self.activate(outputs.flatten(1, 2), index, step)
            outputs = outputs.unflatten(1, (n_rows, N_MEMBERS))
        members = outputs.transpose(1, 2).flatten(0, 1)
        weight, bias = self._of(f"{self.last}_weight"), self._of(f"{self.last}_bias")
        return ops.linear(members, weight.flatten(0, 1), bias.flatten(0, 1)[:, None])

    def _embedded(self, inputs: Tensor) -> Tensor:
        """As the inputs of `forward` -> `[n_replicas, n, sum(input_sizes)]`."""
        ops = self.arithmetic
        n_replicas = self.n_replicas
        numbers, others = inputs[..., : self.n_numeric], inputs[..., self.n_numeric :]
        parts = [others.expand(n_replicas, -1, -1)]
        if self.n_numeric:
            # [n_replicas, n_numeric, n_rows, EMBEDDING_SIZE]
            weight = self.embeddings_linear_weight
            through = piecewise_linear(numbers, self.edges, weight.shape[2])
            through = through.expand(n_replicas, -1, -1, -1).flatten(0, 1)
            bins = ops.linear(through, weight.flatten(0, 1))
            bins = bins.unflatten(0, (n_replicas, self.n_numeric))
            # [n_replicas, n_rows, n_numeric, EMBEDDING_SIZE]
            weight = self.embeddings_linear0_weight[:, None]
            linear = ops.multiply(numbers[..., None], weight, to_rows=True)
            linear = ops.add(linear, self.embeddings_linear0_bias[:, None], to_rows=True)
            parts.insert(0, ops.add(linear, bins.transpose(1, 2)).flatten(2))
        return torch.cat(parts, dim=2)


def most_bins(edges: Tensor, n_columns: int) -> int:
    """How many bins the column with the most of them has.

    Raises:
        ValueError: the edges are not those of `n_columns`, or a column has no bin.
    """
    if edges.shape != (n_columns, N_BINS + 1) or not bool(edges.isfinite().all()):
        raise ValueError(f"tensor 'layers.edges' is not finite or {tuple(edges.shape)}")
    counts = (edges.diff(dim=1) > 0).sum(dim=1)
    if not bool(counts.all()):
        raise ValueError("tensor 'layers.edges' has a column without a bin")
    return int(counts.max())


def piecewise_linear(numbers: Tensor, edges: Tensor, n_bins: int) -> Tensor:
    """How far each number is through each bin, from 0 to 1, and beyond in the outermost bins.

    A column with fewer bins has its last one in the last place, and zeros ahead of it.

    Args:
        numbers: `[..., n, n_columns]`.
        edges: `[n_columns, N_BINS + 1]`, see `bin_edges`.

    Returns:
        `[..., n_columns, n, n_bins]`.
    """
    width = edges.diff(dim=1)
    n_of_column = (width > 0).sum(dim=1, keepdim=True)
    places = torch.arange(n_bins, device=edges.device).expand(len(edges), -1)
    is_last = places == n_bins - 1
    bins = torch.where(is_last, n_of_column - 1, places)
    is_bin = is_last | (places < n_of_column - 1)
    left, width = edges.gather(1, bins), torch.where(is_bin, width.gather(1, bins), 1.0)
    through = (numbers.transpose(-1, -2)[..., None] - left[:, None]) / width[:, None]
    through = torch.where((through < 0) & (bins > 0)[:, None], 0.0, through)
    through = torch.where((through > 1) & ~is_last[:, None], 1.0, through)
    return torch.where(is_bin[:, None], through, 0.0)


def bin_edges(numbers: Tensor) -> Tensor:
    """The quantiles of each column of the train rows: float32 `[n_columns, N_BINS + 1]`.

    Equal ones are put at the end, which is repeated. A constant column gets a second edge, at a
    distance of 1, or of the next number where 32 bits cannot tell that apart.

    Args:
        numbers: normalized, float32 `[n, n_columns]`.
    """
    edges = torch.empty(numbers.shape[1], N_BINS + 1)
    shares = np.linspace(0, 1, N_BINS + 1)
    for index, column in enumerate(numbers.numpy().T):
        distinct = np.unique(np.quantile(column.astype(np.float64), shares).astype(np.float32))
        if len(distinct) == 1:
            only = distinct[0]
            other = only + 1 if only + 1 > only else np.nextafter(only, np.float32(0))
            distinct = np.union1d(only, other)
        edges[index] = float(distinct[-1])
        edges[index, : len(distinct)] = torch.from_numpy(distinct)
    return edges
