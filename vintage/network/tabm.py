"""TabM with piecewise-linear embeddings, from the authors' own packages.

A network whose members share most weights. Source: Gorishniy, Kotelnikov and Babenko, TabM:
Advancing Tabular Deep Learning with Parameter-Efficient Ensembling, ICLR 2025; the embeddings:
Gorishniy, Rubachev and Babenko, On Embeddings for Numerical Features in Tabular Deep Learning,
NeurIPS 2022. The sizes below are those that the packages recommend.
"""

import warnings
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from rtdl_num_embeddings import PiecewiseLinearEmbeddings
from tabm import EnsembleView, LinearBatchEnsemble, LinearEnsemble
from torch import Tensor, nn

from vintage.base.tensors import Features
from vintage.network.layers import CheapDropout

N_MEMBERS = 32
N_BINS = 48
EMBEDDING_SIZE = 16


class TabM(nn.Module):
    """One network of `N_MEMBERS` members.

    Args:
        edges: float32 `[n_numeric, N_BINS + 1]`, see `bin_edges`.
        n_inputs: of which the first `n_numeric` are numbers to embed.
        hidden: width of each hidden layer.
        activation: the class of the module after each.
    """

    def __init__(
        self,
        edges: Tensor,
        n_inputs: int,
        hidden: Sequence[int],
        activation: type[nn.Module],
        dropout: float,
        n_classes: int,
    ) -> None:
        super().__init__()
        self.n_numeric = len(edges)
        n_others = n_inputs - self.n_numeric
        chunks = [EMBEDDING_SIZE] * self.n_numeric + [1] * n_others
        self.embeddings = _embeddings(edges) if self.n_numeric else None
        layers: list[nn.Module] = [EnsembleView(k=N_MEMBERS)]
        for index, (n_in, n_out) in enumerate(pairwise([sum(chunks), *hidden])):
            is_first = index == 0
            layers += [
                LinearBatchEnsemble(
                    n_in,
                    n_out,
                    k=N_MEMBERS,
                    scaling_init=("random-signs", "ones") if is_first else "ones",
                    first_scaling_init_chunks=chunks if is_first else None,
                ),
                activation(),
                CheapDropout(dropout),
            ]
        self.layers = nn.Sequential(*layers, LinearEnsemble(hidden[-1], n_classes, k=N_MEMBERS))

    def forward(self, inputs: Tensor) -> Tensor:
        """`[n, n_inputs]` -> logits `[n, N_MEMBERS, n_classes]`."""
        if self.embeddings is not None:
            embedded = self.embeddings(inputs[:, : self.n_numeric]).flatten(1)
            inputs = torch.cat([embedded, inputs[:, self.n_numeric :]], dim=1)
        logits: Tensor = self.layers(inputs)
        return logits


def bin_edges(numbers: Features) -> Tensor:
    """The quantiles of each column of the train rows: float32 `[n_columns, N_BINS + 1]`.

    Equal ones are put at the end, which is repeated; a constant column has an edge at 1 besides.

    Args:
        numbers: normalised, float32 `[n, n_columns]`.
    """
    edges = torch.empty(numbers.shape[1], N_BINS + 1)
    shares = np.linspace(0, 1, N_BINS + 1)
    for index, column in enumerate(numbers.T):
        distinct = np.unique(np.quantile(column.astype(np.float64), shares).astype(np.float32))
        if len(distinct) == 1:
            distinct = np.append(distinct, distinct + 1)
        edges[index] = float(distinct[-1])
        edges[index, : len(distinct)] = torch.from_numpy(distinct)
    return edges


def _embeddings(edges: Tensor) -> PiecewiseLinearEmbeddings:
    # on their device, whatever the default is: they look at the values
    with warnings.catch_warnings(), torch.device(edges.device):
        warnings.filterwarnings("ignore", message=".*just two bin edges")
        return PiecewiseLinearEmbeddings(
            [column.unique() for column in edges], EMBEDDING_SIZE, activation=False, version="B"
        )
