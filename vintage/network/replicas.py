"""The interface of every network: all its replicas at once, each with weights of its own.

To add a network, write a subclass in a file of its own and list it in `vintage.network.registry`;
`tests/network/test_compliance.py` then tells whether it keeps its promises.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vintage.base.console import InputError
from vintage.base.recipe import Activation, Architecture

ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU}


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

    Attributes:
        auto: what `auto` stands for in this network, by key of the architecture, whatever the rows.
        fitted: the names of the tensors that `fit` returns.
        n_members: how many outputs a replica has for a row; its prediction is their mean.
    """

    auto: ClassVar[Mapping[str, Any]] = {}
    fitted: ClassVar[Sequence[str]] = ()
    n_members = 1

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

    @classmethod
    @abstractmethod
    def build(cls, shape: Shape, seeds: Sequence[int], fitted: Mapping[str, Tensor]) -> Self:
        """Replicas with initial weights: those of one network each, drawn with its seed."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """`[n, n_inputs]` -> logits `[n_replicas * n_members, n, n_classes]`.

        The members of a replica stand together.
        """

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

    @property
    def n_replicas(self) -> int:
        return len(next(self.parameters()))

    def part(self, replicas: slice) -> Self:
        """Some of the replicas, whose weights share the memory of these."""
        views: dict[int, Any] = {
            id(weight): nn.Parameter(weight.detach()[replicas]) for weight in self.parameters()
        }
        return copy.deepcopy(self, views)  # which takes these as copied already


class OneByOne(Replicas):
    """Replicas of any module, one after another.

    Parameters: those of the module, with `_` for `.` in their names.
    """

    def __init__(self, modules: Sequence[nn.Module], fitted: Mapping[str, Tensor]) -> None:
        """Args:
        modules: `[n, n_inputs]` -> `[n, n_members, n_classes]`, alike but for their weights.
        """
        super().__init__()
        weights = [dict(module.named_parameters()) for module in modules]
        self.names = list(weights[0])
        for name in self.names:
            stacked = torch.stack([each[name].detach() for each in weights])
            self.register_parameter(name.replace(".", "_"), nn.Parameter(stacked))
        for name, value in fitted.items():
            self.register_buffer(name, value)
        self.module = _without_state(modules[0])

    @classmethod
    @abstractmethod
    def single(cls, shape: Shape, fitted: Mapping[str, Tensor]) -> nn.Module:
        """One network with initial weights."""

    @classmethod
    def build(cls, shape: Shape, seeds: Sequence[int], fitted: Mapping[str, Tensor]) -> Self:
        modules = []
        for seed in seeds:
            torch.manual_seed(seed)
            modules.append(cls.single(shape, fitted))
        return cls(modules, fitted)

    def forward(self, inputs: Tensor) -> Tensor:
        weights = {name: getattr(self, name.replace(".", "_")).unbind(0) for name in self.names}
        outputs = [
            functional_call(
                self.module, {name: weights[name][replica] for name in self.names}, (inputs,)
            )
            for replica in range(self.n_replicas)
        ]
        return torch.cat(outputs, dim=1).transpose(0, 1)


def _without_state(module: nn.Module) -> nn.Module:
    """`module` with its parameters as buffers that are not saved: `forward` fills them in."""
    for each in module.modules():
        for name, parameter in list(each.named_parameters(recurse=False)):
            del each._parameters[name]
            each.register_buffer(name, parameter.detach(), persistent=False)
        each._non_persistent_buffers_set.update(each._buffers)
    return module
