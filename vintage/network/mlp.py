"""A feed-forward network. A layer of all replicas is one batched product."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from vintage.network.arithmetic import Arithmetic
from vintage.network.draws import Step, uniform
from vintage.network.replicas import Graph, Replicas, Shape


class MLP(Replicas):
    """Linear layers, each but the last with an activation and dropout behind it."""

    def build(self, shape: Shape) -> None:
        model = shape.architecture
        widths = [shape.n_inputs, *model.hidden, shape.n_classes]
        # the names are places in the `Sequential` that a single network would be
        places_a_layer = 3 if model.dropout else 2
        for index, (n_in, n_out) in enumerate(pairwise(widths)):
            is_scaling = model.scaling_layer and index == 0
            layer = ReplicatedLinear(self.n_replicas, n_in, n_out, is_scaling)
            self.add_module(str(index * places_a_layer), layer)

    def draw_replica(self, replica: int, generator: torch.Generator) -> None:
        for layer in self.linears():
            layer.draw(replica, generator)

    def forward(self, inputs: Tensor, step: Step | None = None) -> Tensor:
        outputs = inputs.expand(self.n_replicas, -1, -1)
        *hidden, last = self.linears()
        for index, layer in enumerate(hidden):
            outputs = self.activate(layer(outputs, self.arithmetic), index, step)
        logits: Tensor = last(outputs, self.arithmetic)
        return logits

    def linears(self) -> list["ReplicatedLinear"]:
        return [layer for layer in self.children() if isinstance(layer, ReplicatedLinear)]

    def scales(self) -> list[nn.Parameter]:
        return [layer.scale for layer in self.linears() if layer.scale is not None]

    def export(self, graph: Graph, inputs: str) -> str:
        *hidden, last = self.linears()
        for layer in hidden:
            inputs = layer.export(graph, inputs)
            if self.architecture.activation == "relu":
                inputs = graph.node("Relu", inputs)
            else:
                inputs = graph.node("Mul", inputs, graph.node("Sigmoid", inputs))
        return last.export(graph, inputs)


class ReplicatedLinear(nn.Module):
    """Independent linear layers as one batched product.

    Parameters: `weight` `[n_replicas, n_in, n_out]`, `bias` `[n_replicas, 1, n_out]`, and of a
    scaling layer `scale` `[n_replicas, n_in, 1]`, which multiplies each input first. Where the
    scale learns faster than the weights, the layer soon leaves out useless inputs. Source:
    Holzmueller, Grinsztajn and Steinwart, Better by Default, NeurIPS 2024. That the scale does not
    decay is our choice.
    """

    def __init__(self, n_replicas: int, n_in: int, n_out: int, is_scaling: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_replicas, n_in, n_out))
        self.bias = nn.Parameter(torch.empty(n_replicas, 1, n_out))
        self.scale = nn.Parameter(torch.ones(n_replicas, n_in, 1)) if is_scaling else None

    @torch.no_grad()
    def draw(self, replica: int, generator: torch.Generator) -> None:
        """Initial weights: those of `nn.Linear`."""
        n_in, n_out = self.weight.shape[1:]
        gain = math.sqrt(2.0 / (1 + 5))  # written as in `kaiming_uniform_`, whose roundings differ
        weight = uniform(generator, math.sqrt(3.0) * (gain / math.sqrt(n_in)), n_out, n_in)
        self.weight[replica].copy_(weight.T)
        self.bias[replica].copy_(uniform(generator, 1 / math.sqrt(n_in), 1, n_out))

    def scaled_weight(self, arithmetic: Arithmetic) -> Tensor:
        """Weight and scale in one, `[n_replicas, n_in, n_out]`: mostly smaller than the inputs."""
        return self.weight if self.scale is None else arithmetic.multiply(self.weight, self.scale)

    def forward(self, inputs: Tensor, arithmetic: Arithmetic) -> Tensor:
        """`[n_replicas, n, n_in]` -> `[n_replicas, n, n_out]`."""
        return arithmetic.linear(inputs, self.scaled_weight(arithmetic), self.bias)

    def export(self, graph: Graph, inputs: str) -> str:
        weight = self.weight if self.scale is None else self.weight * self.scale
        product = graph.node("MatMul", inputs, graph.constant(weight))
        return graph.node("Add", product, graph.constant(self.bias))
