"""A feed-forward network. A layer of all replicas is one batched product."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

from vintage.network.dropout import CheapDropout
from vintage.network.replicas import ACTIVATIONS, Graph, Replicas, Shape


class MLP(Replicas):
    """Linear layers, each but the last with an activation and dropout behind it."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        for index, layer in enumerate(layers):
            self.add_module(str(index), layer)

    @classmethod
    def build(cls, shape: Shape, seeds: Sequence[int], fitted: Mapping[str, Tensor]) -> Self:  # noqa: ARG003
        model = shape.architecture
        widths = [shape.n_inputs, *model.hidden, shape.n_classes]
        networks = []
        for seed in seeds:
            torch.manual_seed(seed)
            networks.append([nn.Linear(n_in, n_out) for n_in, n_out in pairwise(widths)])
        layers: list[nn.Module] = []
        for index, linears in enumerate(zip(*networks, strict=True)):
            if index:
                layers.append(ACTIVATIONS[model.activation]())
                if model.dropout:
                    layers.append(CheapDropout(model.dropout))
            layers.append(ReplicatedLinear(linears, model.scaling_layer and index == 0))
        return cls(layers)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = inputs.expand(self.n_replicas, -1, -1)
        for layer in self.children():
            outputs = layer(outputs)
        return outputs

    def scales(self) -> list[nn.Parameter]:
        linears = (layer for layer in self.children() if isinstance(layer, ReplicatedLinear))
        return [layer.scale for layer in linears if layer.scale is not None]

    def export(self, graph: Graph, inputs: str) -> str:
        for layer in self.children():
            match layer:
                case ReplicatedLinear():
                    product = graph.node("MatMul", inputs, graph.constant(layer.scaled_weight()))
                    inputs = graph.node("Add", product, graph.constant(layer.bias))
                case nn.ReLU():
                    inputs = graph.node("Relu", inputs)
                case nn.SiLU():
                    inputs = graph.node("Mul", inputs, graph.node("Sigmoid", inputs))
        return inputs


class ReplicatedLinear(nn.Module):
    """Independent linear layers as one batched product.

    Parameters: `weight` `[n_replicas, n_in, n_out]`, `bias` `[n_replicas, 1, n_out]`, and of a
    scaling layer `scale` `[n_replicas, n_in, 1]`, which multiplies each input first. Where the
    scale learns faster than the weights, the layer soon leaves out useless inputs. Source:
    Holzmueller, Grinsztajn and Steinwart, Better by Default, NeurIPS 2024. That the scale does not
    decay is our choice.
    """

    def __init__(self, linears: Sequence[nn.Linear], is_scaling: bool) -> None:
        super().__init__()
        n_out, n_in = linears[0].weight.shape
        self.weight = nn.Parameter(torch.empty(len(linears), n_in, n_out))
        self.bias = nn.Parameter(torch.empty(len(linears), 1, n_out))
        # not by `stack`, which imports PyTorch's compiler on the meta device, for a second
        with torch.no_grad():
            for replica, linear in enumerate(linears):
                self.weight[replica].copy_(linear.weight.T)
                self.bias[replica].copy_(linear.bias)
        self.scale = nn.Parameter(torch.ones_like(self.weight[..., :1])) if is_scaling else None

    def scaled_weight(self) -> Tensor:
        """Weight and scale in one, `[n_replicas, n_in, n_out]`: mostly smaller than the inputs."""
        return self.weight if self.scale is None else self.weight * self.scale

    def forward(self, inputs: Tensor) -> Tensor:
        """`[n_replicas, n, n_in]` -> `[n_replicas, n, n_out]`."""
        # with the bias in the product (`baddbmm`), MKL's portable path takes three times as long
        return torch.bmm(inputs, self.scaled_weight()).add_(self.bias)
