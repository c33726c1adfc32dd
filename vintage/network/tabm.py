"""TabM with piecewise-linear embeddings, from the authors' own packages.

A network whose members share most weights. Source: Gorishniy, Kotelnikov and Babenko, TabM:
Advancing Tabular Deep Learning with Parameter-Efficient Ensembling, ICLR 2025; the embeddings:
Gorishniy, Rubachev and Babenko, On Embeddings for Numerical Features in Tabular Deep Learning,
NeurIPS 2022. The sizes below are those that the packages recommend.
"""

import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vintage.base.recipe import Architecture
from vintage.network.dropout import CheapDropout
from vintage.network.replicas import ACTIVATIONS, OneByOne, Shape

N_MEMBERS = 32
N_BINS = 48
EMBEDDING_SIZE = 16


class TabM(OneByOne):
    """Replicas of `SingleTabM`. Each number is embedded by its bin, so no other bins are needed."""

    auto = {"activation": "relu", "normalize": "standard", "scaling_layer": False}  # noqa: RUF012
    fitted = ("edges",)
    n_members = N_MEMBERS

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

    @classmethod
    def single(cls, shape: Shape, fitted: Mapping[str, Tensor]) -> nn.Module:
        return SingleTabM(shape, fitted["edges"])


class SingleTabM(nn.Module):
    """One network of `N_MEMBERS` members.

    Args:
        edges: float32 `[n_numeric, N_BINS + 1]`, see `bin_edges`.
    """

    def __init__(self, shape: Shape, edges: Tensor) -> None:
        # not at the top, because the package imports scikit-learn
        from tabm import EnsembleView, LinearBatchEnsemble, LinearEnsemble

        super().__init__()
        model = shape.architecture
        self.n_numeric = shape.n_numeric
        chunks = [EMBEDDING_SIZE] * self.n_numeric + [1] * (shape.n_inputs - self.n_numeric)
        self.embeddings = _embeddings(edges) if self.n_numeric else None
        layers: list[nn.Module] = [EnsembleView(k=N_MEMBERS)]
        for index, (n_in, n_out) in enumerate(pairwise([sum(chunks), *model.hidden])):
            is_first = index == 0
            layers += [
                LinearBatchEnsemble(
                    n_in,
                    n_out,
                    k=N_MEMBERS,
                    scaling_init=("random-signs", "ones") if is_first else "ones",
                    first_scaling_init_chunks=chunks if is_first else None,
                ),
                ACTIVATIONS[model.activation](),
                CheapDropout(model.dropout),
            ]
        last = LinearEnsemble(model.hidden[-1], shape.n_classes, k=N_MEMBERS)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, inputs: Tensor) -> Tensor:
        """`[n, n_inputs]` -> logits `[n, N_MEMBERS, n_classes]`."""
        if self.embeddings is not None:
            embedded = self.embeddings(inputs[:, : self.n_numeric]).flatten(1)
            inputs = torch.cat([embedded, inputs[:, self.n_numeric :]], dim=1)
        logits: Tensor = self.layers(inputs)
        return logits


def bin_edges(numbers: Tensor) -> Tensor:
    """The quantiles of each column of the train rows: float32 `[n_columns, N_BINS + 1]`.

    Equal ones are put at the end, which is repeated. A constant column gets a second edge, at a
    distance of 1.

    Args:
        numbers: normalized, float32 `[n, n_columns]`.
    """
    edges = torch.empty(numbers.shape[1], N_BINS + 1)
    shares = np.linspace(0, 1, N_BINS + 1)
    for index, column in enumerate(numbers.numpy().T):
        distinct = np.unique(np.quantile(column.astype(np.float64), shares).astype(np.float32))
        if len(distinct) == 1:
            distinct = np.append(distinct, distinct + 1)
        edges[index] = float(distinct[-1])
        edges[index, : len(distinct)] = torch.from_numpy(distinct)
    return edges


def _embeddings(edges: Tensor) -> Any:
    from rtdl_num_embeddings import PiecewiseLinearEmbeddings

    # on their device, whatever the default is: they look at the values
    with warnings.catch_warnings(), torch.device(edges.device):
        warnings.filterwarnings("ignore", message=".*just two bin edges")
        return PiecewiseLinearEmbeddings(
            [column.unique() for column in edges], EMBEDDING_SIZE, activation=False, version="B"
        )
