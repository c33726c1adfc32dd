"""Layers of many replicas of a network at once, each with its own weights."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call


class ScaledLinear(nn.Linear):
    """A linear layer that multiplies each input by a learned `scale` `[n_in]` first.

    Where the scale learns faster than the weights do, the layer soon leaves out what is of no use.
    Source: Holzmueller, Grinsztajn and Steinwart, Better by Default, NeurIPS 2024. That the scale
    does not decay is our choice.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.scale = nn.Parameter(torch.ones(in_features))

    def forward(self, input: Tensor) -> Tensor:
        """`[n, n_in]` -> `[n, n_out]`."""
        return super().forward(input * self.scale)


class ReplicatedLinear(nn.Module):
    """`n_replicas` independent `nn.Linear` or `ScaledLinear` layers as one batched product.

    Parameters: `weight` `[n_replicas, n_in, n_out]`, `bias` `[n_replicas, 1, n_out]`, and of scaled
    ones `scale` `[n_replicas, n_in, 1]`.
    """

    def __init__(self, weight: Tensor, bias: Tensor, scale: Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)
        self.scale = None if scale is None else nn.Parameter(scale)

    def scaled_weight(self) -> Tensor:
        """Weight and scale in one, `[n_replicas, n_in, n_out]`: mostly smaller than the inputs."""
        return self.weight if self.scale is None else self.weight * self.scale

    def forward(self, inputs: Tensor) -> Tensor:
        """`[n_replicas, n, n_in]` -> `[n_replicas, n, n_out]`."""
        # with the bias in the product (`baddbmm`), MKL's portable path takes three times as long
        return torch.bmm(inputs, self.scaled_weight()).add_(self.bias)

    def part(self, replicas: slice) -> "ReplicatedLinear":
        """Some of the replicas, which share the memory of these."""
        scale = None if self.scale is None else self.scale.detach()[replicas]
        return ReplicatedLinear(self.weight.detach()[replicas], self.bias.detach()[replicas], scale)


class CheapDropout(nn.Module):
    """Dropout that draws 16 random bits a unit, where PyTorch's draws 64: a third of the time.

    So the share of dropped units is a multiple of 1 / 65,536; the others are scaled by what is
    really kept. Its generator is its own, so that threads do not disturb one another.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.n_dropped = min(round(share * 2**16), 2**16 - 1)
        self.generator = torch.Generator()

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return inputs
        n_words = (inputs.numel() + 3) // 4
        words = torch.empty(n_words, dtype=torch.int64).random_(
            -(2**63), None, generator=self.generator
        )
        bits = words.view(torch.int16)[: inputs.numel()].view(inputs.shape).to(inputs.device)
        keep = bits >= self.n_dropped - 2**15
        return inputs * (keep * (2**16 / (2**16 - self.n_dropped)))


class ReplicatedSequential(nn.Sequential):
    """Replicas of a sequence of linear layers, activations and dropout.

    `n_members` is how many outputs each replica has for a row.
    """

    n_members = 1

    def __init__(self, n_replicas: int, layers: Sequence[nn.Module]) -> None:
        super().__init__(*layers)
        self.n_replicas = n_replicas

    def forward(self, inputs: Tensor) -> Tensor:
        """`[n, n_in]` -> `[n_replicas, n, n_out]`."""
        outputs = inputs.expand(self.n_replicas, -1, -1)
        for layer in self:
            outputs = layer(outputs)
        return outputs

    def part(self, replicas: slice) -> "ReplicatedSequential":
        """Some of the replicas, which share the memory of these."""
        layers: list[nn.Module] = []
        for layer in self:
            if isinstance(layer, ReplicatedLinear):
                layers.append(layer.part(replicas))
            else:
                layers.append(copy.deepcopy(layer))
        return ReplicatedSequential(replicas.stop - replicas.start, layers)


class ReplicatedModule(nn.Module):
    """Replicas of any module, one after another.

    Parameters: those of the module, each with a first dimension for the replicas, and `_` for `.`
    in its name.

    Args:
        module: gives the structure; `[n, n_in]` -> `[n, n_members, n_out]`.
        weights: of the module's parameters, by name, `[n_replicas, ...]`.
    """

    def __init__(self, module: nn.Module, weights: dict[str, Tensor], n_members: int) -> None:
        super().__init__()
        self.n_members = n_members
        self.n_replicas = len(next(iter(weights.values())))
        self.names = list(weights)
        for name, weight in weights.items():
            self.register_parameter(name.replace(".", "_"), nn.Parameter(weight))
        self.module = _without_state(module)

    def forward(self, inputs: Tensor) -> Tensor:
        """`[n, n_in]` -> `[n_replicas * n_members, n, n_out]`, a replica's members together."""
        by_name = {name: getattr(self, name.replace(".", "_")).unbind(0) for name in self.names}
        outputs = [
            functional_call(
                self.module, {name: by_name[name][replica] for name in self.names}, (inputs,)
            )
            for replica in range(self.n_replicas)
        ]
        return torch.cat(outputs, dim=1).transpose(0, 1)

    def part(self, replicas: slice) -> "ReplicatedModule":
        """Some of the replicas, which share the memory of these."""
        weights = {
            name: getattr(self, name.replace(".", "_")).detach()[replicas] for name in self.names
        }
        return ReplicatedModule(copy.deepcopy(self.module), weights, self.n_members)


def replicate_layer(layers: Sequence[nn.Module]) -> nn.Module:
    """One layer for all replicas from each one's layer at the same place."""
    first = layers[0]
    if isinstance(first, nn.Dropout):
        return CheapDropout(first.p)
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if not linear:
        return first
    scales = [layer.scale.detach()[:, None] for layer in linear if isinstance(layer, ScaledLinear)]
    return ReplicatedLinear(
        torch.stack([layer.weight.detach().T for layer in linear]),
        torch.stack([layer.bias.detach()[None] for layer in linear]),
        torch.stack(scales) if scales else None,
    )


def replicate(modules: Sequence[nn.Module], n_members: int) -> ReplicatedModule:
    """All of `modules`, which are alike but for their weights, as one."""
    weights = [dict(module.named_parameters()) for module in modules]
    stacked = {name: torch.stack([w[name].detach() for w in weights]) for name in weights[0]}
    return ReplicatedModule(modules[0], stacked, n_members)


def _without_state(module: nn.Module) -> nn.Module:
    """`module` with its parameters as buffers that are not saved: they are only a place to fill."""
    for each in module.modules():
        for name, parameter in list(each.named_parameters(recurse=False)):
            del each._parameters[name]
            each.register_buffer(name, parameter.detach(), persistent=False)
        each._non_persistent_buffers_set.update(each._buffers)
    return module
