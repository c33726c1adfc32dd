"""The interface of every network: all its replicas at once, each with weights of its own.

To add a network, write a subclass in a file of its own and list it in `vintage.network.registry`;
`tests/network/test_compliance.py` then tells whether it keeps its promises.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from vintage.base.console import InputError
from vintage.base.recipe import Architecture
from vintage.network.arithmetic import Arithmetic
from vintage.network.draws import Step, dropout_mask


@dataclass(frozen=True)
class Shape:
    """What decides how many weights a network has.

    Attributes:
        n_inputs: see `vintage.network.encoding.Encoder`; the first `n_numeric` are numbers.
    """

    architecture: Architecture
    n_inputs: int
    n_numeric: int
    n_classes: int


class Graph(Protocol):
    """An ONNX graph in the making, see `vintage.predict.export`."""

    def constant(self, value: Tensor) -> str:
        """Add a constant; returns its name."""

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; returns the name of its output."""


class Replicas(nn.Module, ABC):
    """Replicas of a network. The first dimension of every parameter is that of the replicas.

    What a network computes is built from the functions of its `arithmetic`, and nothing in it joins
    two replicas: then each has the same bits alone and among others.

    Attributes:
        auto: what `auto` stands for in this network, by key of the section `model`, whatever the
            rows.
        fitted: the names of the tensors that `fit` returns, which become buffers.
        n_members: how many outputs a replica has for a row; its prediction is their mean.
        seeds: int64 `[n_replicas]`, what each replica's random numbers follow from in training.
        dropout: of each replica; at first that of the architecture.
    """

    auto: ClassVar[Mapping[str, Any]] = {}
    fitted: ClassVar[Sequence[str]] = ()
    n_members = 1
    seeds: Tensor

    def __init__(
        self,
        shape: Shape,
        n_replicas: int,
        fitted: Mapping[str, Tensor],
        arithmetic: Arithmetic,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.architecture = shape.architecture
        self.n_replicas = n_replicas
        self.arithmetic = arithmetic
        self.dropout = [shape.architecture.dropout] * n_replicas
        self.register_buffer("seeds", torch.zeros(n_replicas, dtype=torch.int64), persistent=False)
        for name, value in fitted.items():
            self.register_buffer(name, value)
        self.build(shape)

    @abstractmethod
    def build(self, shape: Shape) -> None:
        """Register the parameters, without values; what was fitted is there already."""

    @classmethod
    def problem_of(cls, architecture: Architecture) -> str | None:  # noqa: ARG003
        """What this network cannot be, as `model.KEY: found ...; what would be right`, or None."""
        return None

    @classmethod
    def fit(cls, numbers: Tensor) -> dict[str, Tensor]:  # noqa: ARG003
        """What the network takes from the train rows beside its weights.

        Args:
            numbers: encoded, float32 `[n, n_numeric]`.
        """
        return {}

    def draw(self, seeds: Sequence[int]) -> None:
        """Set the initial weights: those of one network each, drawn with its seed."""
        self.seeds.copy_(torch.tensor(seeds))
        for replica, seed in enumerate(seeds):
            self.draw_replica(replica, torch.Generator().manual_seed(seed))

    @abstractmethod
    def draw_replica(self, replica: int, generator: torch.Generator) -> None:
        """Set the initial weights of one replica."""

    @abstractmethod
    def forward(self, inputs: Tensor, step: Step | None = None) -> Tensor:
        """Rows of all replicas `[n, n_inputs]`, or of each, `[n_replicas, n, n_inputs]` -> logits
        `[n_replicas * n_members, n, n_classes]`, where the members of a replica stand together.

        Args:
            step: None predicts.
        """

    def activate(self, outputs: Tensor, layer: int, step: Step | None) -> Tensor:
        """The activation of a hidden layer, and in training its dropout.

        Args:
            outputs: `[n_replicas, n, n_units]`.
        """
        functions = {"relu": self.arithmetic.relu, "silu": self.arithmetic.silu}
        mask = None
        if any(self.dropout) and step is not None:
            mask = dropout_mask(outputs.shape, self.dropout, self.seeds, layer, step)
        return functions[self.architecture.activation](outputs, mask)

    def scales(self) -> list[nn.Parameter]:
        """The parameters that learn faster and do not decay, see `vintage.training.fit`."""
        return []

    def export(self, graph: Graph, inputs: str) -> str:  # noqa: ARG002
        """Add the nodes from `[n, n_inputs]` to logits `[n_replicas, n, n_classes]`, all float32.

        Raises:
            InputError: this network has no ONNX form.
        """
        raise InputError(
            f"a {type(self).__name__.lower()} cannot be exported as ONNX; train with model.name "
            "mlp, or predict by `vintage predict` or `vintage.load`"
        )
