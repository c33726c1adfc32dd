"""Feed-forward networks, many replicas at once, with everything fitted inside them."""

import copy
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vintage.console import InputError
from vintage.params import ModelParams
from vintage.tensors import read_safetensors

CHUNK_ROWS = 8192
MAX_WEIGHTS = 2**28


class ReplicatedLinear(nn.Module):
    """`n_replicas` independent `nn.Linear` layers as one batched product.

    Parameters: `weight` `[n_replicas, n_in, n_out]`, `bias` `[n_replicas, 1, n_out]`.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """`[n_replicas, n, n_in]` -> `[n_replicas, n, n_out]`."""
        return torch.baddbmm(self.bias, inputs, self.weight)


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


class Ensemble(nn.Module):
    """Replicas of one network, each with its own weights, trained and applied together.

    The state is complete: beside the weights it holds the train rows' `mean` and `scale`, float32
    `[n_features]`, and the `temperature` that the logits are divided by for a prediction.
    """

    mean: Tensor
    scale: Tensor
    temperature: Tensor

    def __init__(self, layers: nn.Sequential, n_replicas: int, n_features: int) -> None:
        super().__init__()
        self.n_replicas = n_replicas
        self.layers = layers
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.register_buffer("temperature", torch.ones(()))

    def fit_normalization(self, features: npt.NDArray[np.float32]) -> None:
        """Take mean and standard deviation of `features` `[n, n_features]`, in float64.

        A constant feature keeps scale 1. NumPy computes it, because PyTorch's `sqrt` is not the
        same on every CPU.
        """
        deviation = features.std(axis=0, dtype=np.float64)
        # by its values, because the deviation of equal ones is often not quite 0
        is_constant = features.min(axis=0) == features.max(axis=0)
        deviation[is_constant | (deviation.astype(np.float32) == 0)] = 1
        self.mean.copy_(torch.from_numpy(features.mean(axis=0, dtype=np.float64)))
        self.scale.copy_(torch.from_numpy(deviation))

    def forward(self, features: Tensor) -> Tensor:
        """float32 `[n, n_features]` -> logits `[n_replicas, n, n_classes]`."""
        normalized = (features - self.mean) / self.scale
        logits: Tensor = self.layers(normalized.expand(self.n_replicas, -1, -1))
        return logits

    @torch.no_grad()
    def predict_logits(self, features: Tensor) -> Tensor:
        """As `forward`, in evaluation mode and in chunks of rows."""
        self.eval()
        return torch.cat([self(chunk) for chunk in features.split(CHUNK_ROWS)], dim=1)

    def predict_proba(self, features: Tensor) -> Tensor:
        """float32 `[n, n_features]` -> float64 `[n_replicas, n, n_classes]`, summing to one.

        Raises:
            InputError: features or weights so large that the network's output is not finite.
        """
        logits = self.predict_logits(features).double() / self.temperature.double()
        finite = logits.isfinite().all(dim=-1).all(dim=0)
        if not bool(finite.all()):
            raise InputError(
                f"the network's output for {int((~finite).sum())} of {len(finite)} rows is not "
                "finite; look for extreme values in the table, or lower train.learning_rate"
            )
        return logits.softmax(dim=-1)

    def parts(self, size: int) -> list["Ensemble"]:
        """Ensembles of at most `size` replicas each, which share the memory of this one."""
        return [
            self._part(slice(start, min(start + size, self.n_replicas)))
            for start in range(0, self.n_replicas, size)
        ]

    def _part(self, replicas: slice) -> "Ensemble":
        layers: list[nn.Module] = []
        for layer in self.layers:
            if isinstance(layer, ReplicatedLinear):
                weight, bias = layer.weight.detach(), layer.bias.detach()
                layers.append(ReplicatedLinear(weight[replicas], bias[replicas]))
            else:
                layers.append(copy.deepcopy(layer))
        n_replicas = replicas.stop - replicas.start
        part = Ensemble(nn.Sequential(*layers), n_replicas, len(self.mean))
        part.mean, part.scale = self.mean, self.scale
        return part


def build_ensemble(
    params: ModelParams, n_features: int, n_classes: int, seeds: Sequence[int]
) -> Ensemble:
    """Replicas whose initial weights are those of one network each, drawn with its seed."""
    networks = []
    for seed in seeds:
        torch.manual_seed(seed)
        networks.append(NETWORKS[params.name](params, n_features, n_classes))
    layers = nn.Sequential(*(_replicate(same) for same in zip(*networks, strict=True)))
    return Ensemble(layers, len(seeds), n_features)


def check_size(params: ModelParams, n_features: int, n_classes: int, n_replicas: int) -> None:
    """Refuse a network whose training would need more than about 6 GB for its weights alone."""
    n_weights = _count_weights(params, n_features, n_classes, n_replicas)
    if n_weights > MAX_WEIGHTS:
        raise InputError(
            f"params.yaml: model.hidden and train.replicas call for {n_weights:,} weights in all, "
            f"more than {MAX_WEIGHTS:,}; choose narrower layers or fewer replicas"
        )


def _count_weights(params: ModelParams, n_features: int, n_classes: int, n_replicas: int) -> int:
    widths = [n_features, *params.hidden, n_classes]
    return n_replicas * sum((n_in + 1) * n_out for n_in, n_out in pairwise(widths))


def choose_device(device: str, numerics: str) -> torch.device:
    """The device of `train.device`; `auto` is CUDA where there is one and numerics is `fast`.

    Raises:
        InputError: CUDA is asked for and not there, or not compatible with portable numerics.
    """
    if device == "cuda" and numerics == "portable":
        raise InputError(
            "params.yaml: train.device: found cuda; with train.numerics portable it is the CPU, "
            "so set train.numerics to fast or train.device to auto"
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("params.yaml: train.device: found cuda, but there is none; allowed is cpu")
    use_cuda = device != "cpu" and numerics == "fast" and torch.cuda.is_available()
    return torch.device("cuda" if use_cuda else "cpu")


def load_ensemble(
    path: Path, params: ModelParams, n_features: int, n_classes: int, n_replicas: int
) -> Ensemble:
    """Read the weights of an ensemble from safetensors.

    Raises:
        InputError: the file is missing, cut, or holds another network.
    """
    state = {name: torch.from_numpy(value) for name, value in read_safetensors(path).items()}
    # before the network is built, which a wrong model.json could make larger than the memory
    n_weights = _count_weights(params, n_features, n_classes, n_replicas)
    n_found = sum(t.numel() for name, t in state.items() if name.startswith("layers."))
    if n_found != n_weights:
        raise InputError(
            f"{path}: holds {n_found} weights, where data/checkpoint/model.json calls for "
            f"{n_weights}; delete the checkpoint and run `dvc repro`"
        )
    ensemble = build_ensemble(params, n_features, n_classes, seeds=range(n_replicas))
    for name, expected in ensemble.state_dict().items():
        found = state.get(name)
        if found is None or found.shape != expected.shape or found.dtype != expected.dtype:
            what = "is missing" if found is None else f"has shape {tuple(found.shape)}"
            raise InputError(
                f"{path}: tensor {name!r} {what}, where data/checkpoint/model.json calls for "
                f"{tuple(expected.shape)}; delete the checkpoint and run `dvc repro`"
            )
        if not bool(found.isfinite().all()):
            raise InputError(f"{path}: tensor {name!r} is not finite; run `dvc repro`")
        if name in ("scale", "temperature") and not bool((found > 0).all()):
            raise InputError(f"{path}: tensor {name!r} is not positive; run `dvc repro`")
    if unknown := sorted(set(state) - set(ensemble.state_dict())):
        raise InputError(f"{path}: holds a tensor {unknown[0]!r} of no use; run `dvc repro`")
    ensemble.load_state_dict(state)
    return ensemble


def _mlp(params: ModelParams, n_features: int, n_classes: int) -> nn.Sequential:
    widths = [n_features, *params.hidden]
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        if params.dropout:
            layers.append(nn.Dropout(params.dropout))
    return nn.Sequential(*layers, nn.Linear(widths[-1], n_classes))


NETWORKS = {"mlp": _mlp}


def _replicate(layers: Sequence[nn.Module]) -> nn.Module:
    """One layer for all replicas from each one's layer at the same place."""
    first = layers[0]
    if isinstance(first, nn.Dropout):
        return CheapDropout(first.p)
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if not linear:
        return first
    return ReplicatedLinear(
        torch.stack([layer.weight.detach().T for layer in linear]),
        torch.stack([layer.bias.detach()[None] for layer in linear]),
    )
