"""Feed-forward networks, many replicas at once, with everything fitted inside them."""

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


class ReplicatedLinear(nn.Module):
    """`n_replicas` independent `nn.Linear` layers as one batched product.

    Parameters: `weight` `[n_replicas, n_in, n_out]`, `bias` `[n_replicas, 1, n_out]`.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().T for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach()[None] for layer in layers]))

    def forward(self, inputs: Tensor) -> Tensor:
        """`[n_replicas, n, n_in]` -> `[n_replicas, n, n_out]`."""
        return torch.baddbmm(self.bias, inputs, self.weight)


class Ensemble(nn.Module):
    """Replicas of one network, each with its own weights, trained and applied together.

    The state is complete: beside the weights it holds the train rows' `mean` and `scale`, float32
    `[n_features]`, and the `temperature` that the logits are divided by for a prediction.
    """

    mean: Tensor
    scale: Tensor
    temperature: Tensor

    def __init__(self, params: ModelParams, n_features: int, n_classes: int, seeds: Sequence[int]):
        super().__init__()
        networks = []
        for seed in seeds:
            torch.manual_seed(seed)
            networks.append(NETWORKS[params.name](params, n_features, n_classes))
        self.n_replicas = len(seeds)
        self.layers = nn.Sequential(*(_replicate(same) for same in zip(*networks, strict=True)))
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.register_buffer("temperature", torch.ones(()))

    def fit_normalization(self, features: npt.NDArray[np.float32]) -> None:
        """Take mean and standard deviation of `features` `[n, n_features]`, in float64.

        A constant feature keeps scale 1. NumPy computes it, because PyTorch's `sqrt` is not the
        same on every CPU.
        """
        deviation = features.std(axis=0, dtype=np.float64)
        deviation[deviation == 0] = 1
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
        """float32 `[n, n_features]` -> float64 `[n_replicas, n, n_classes]`, summing to one."""
        return (self.predict_logits(features).double() / self.temperature.double()).softmax(dim=-1)


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
    ensemble = Ensemble(params, n_features, n_classes, seeds=range(n_replicas))
    state = {name: torch.from_numpy(value) for name, value in read_safetensors(path).items()}
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
    ensemble.load_state_dict(state, strict=False)
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
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    return ReplicatedLinear(linear) if linear else layers[0]
