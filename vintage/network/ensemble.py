"""A trained network: what it is fitted to, all its replicas, and what they predict together."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vintage.base.console import InputError, one_line
from vintage.base.numerics import Numerics
from vintage.base.params import Device
from vintage.base.recipe import Architecture
from vintage.base.tensors import Features, Schema, read_safetensors
from vintage.network import exact
from vintage.network.arithmetic import Arithmetic
from vintage.network.draws import Step
from vintage.network.encoding import Encoder
from vintage.network.registry import network_of
from vintage.network.replicas import Replicas, Shape

CHUNK_ROWS = 8192
MAX_WEIGHTS = 2**28
MAX_INPUTS = 2**30
POSITIVE = ("encoder.scale", "temperature")
RENAMED = {"mean": "encoder.mean", "scale": "encoder.scale", "edges": "layers.edges"}


class Ensemble(nn.Module):
    """Replicas of one network, trained and applied together.

    The state is complete: beside the weights it holds what was fitted on the train rows, and the
    `temperature` that the logits are divided by for a prediction.
    """

    temperature: Tensor

    def __init__(self, encoder: Encoder, layers: Replicas) -> None:
        super().__init__()
        self.encoder = encoder
        self.layers = layers
        self.register_buffer("temperature", torch.ones(()))

    @property
    def n_replicas(self) -> int:
        return self.layers.n_replicas

    @property
    def arithmetic(self) -> Arithmetic:
        return self.layers.arithmetic

    def forward(self, inputs: Tensor, step: Step | None = None) -> Tensor:
        """Encoded rows -> logits, see `Replicas.forward`."""
        logits: Tensor = self.layers(inputs, step)
        return logits

    @torch.no_grad()
    def encode(self, features: Tensor) -> Tensor:
        """float32 `[n, n_features]` as in the tensor files -> float32 `[n, n_inputs]`."""
        return torch.cat([self.encoder(chunk) for chunk in features.split(CHUNK_ROWS)])

    @torch.no_grad()
    def predict_logits(self, inputs: Tensor) -> Tensor:
        """Encoded rows, see `Replicas.forward` -> `[n_replicas, n, n_classes]`, in chunks of rows.

        Of several members it is the logarithm of their mean probability.
        """
        logits = torch.cat([self(chunk) for chunk in inputs.split(CHUNK_ROWS, dim=-2)], dim=1)
        if self.layers.n_members == 1:
            return logits
        members = self.arithmetic.softmax(logits).unflatten(0, (self.n_replicas, -1))
        mean = self.arithmetic.mean_of(members, [1])[:, 0]
        return self.arithmetic.log(mean.clamp_min(1e-38)).float()

    def predict_proba(self, features: Features) -> npt.NDArray[np.float64]:
        """float32 `[n, n_features]` -> float64 `[n_replicas, n, n_classes]`, summing to one.

        In exact arithmetic a row has the same prediction, to the last bit, whatever rows stand
        beside it.

        Raises:
            InputError: features or weights so large that the network's output is not finite.
        """
        inputs = torch.from_numpy(features).to(self.temperature.device)
        chunks = [self._predict(chunk) for chunk in inputs.split(CHUNK_ROWS)]
        probabilities = torch.cat(chunks, dim=1)
        is_finite = probabilities.isfinite().all(dim=2).all(dim=0)
        if not bool(is_finite.all()):
            raise InputError(
                f"the network's output for {int((~is_finite).sum())} of {len(features)} rows is "
                "not finite; look for extreme values in the table, or lower train.learning_rate"
            )
        return probabilities.cpu().numpy()

    def _predict(self, features: Tensor) -> Tensor:
        """Of a chunk, NaN where the network's output is not finite."""
        logits = self.predict_logits(self.encode(features))
        probabilities = self.arithmetic.softmax(logits.double() / self.temperature.double())
        return torch.where(logits.isfinite().all(dim=2, keepdim=True), probabilities, torch.nan)


def build_ensemble(
    architecture: Architecture,
    schema: Schema,
    seeds: Sequence[int],
    features: Features,
    arithmetic: Arithmetic = exact,
) -> Ensemble:
    """An ensemble with what is fitted on the train rows, and initial weights by seed.

    Args:
        features: the train rows, float32 `[n, n_features]`.

    Raises:
        InputError: the network cannot be built so, or needs too much memory.
    """
    network = network_of(architecture.name)
    if problem := network.problem_of(architecture):
        raise InputError(f"params.yaml: {problem}")
    encoder = Encoder(schema.features, architecture.n_bins)
    if len(features) * encoder.n_outputs > MAX_INPUTS:
        raise InputError(
            f"params.yaml: the categories make {encoder.n_outputs} inputs of the "
            f"{len(schema.features)} columns, too many for {len(features)} rows; list the columns "
            "with the most categories in data.ignore"
        )
    encoder.fit(features, normalize=architecture.normalize != "none")
    shape = _shape(architecture, encoder, schema)
    fitted = {}
    if network.fitted:
        fitted = network.fit(encoder(torch.from_numpy(features))[:, : shape.n_numeric])
    n_weights = count_weights(network, shape, fitted) * len(seeds)
    if n_weights > MAX_WEIGHTS:
        raise InputError(
            f"params.yaml: model.hidden and train.replicas call for {n_weights:,} weights in all, "
            f"more than {MAX_WEIGHTS:,}; choose narrower layers or fewer replicas"
        )
    layers = network(shape, len(seeds), fitted, arithmetic)
    layers.draw(seeds)
    return Ensemble(encoder, layers)


def load_ensemble(
    path: Path,
    architecture: Architecture,
    schema: Schema,
    n_replicas: int,
    arithmetic: Arithmetic,
) -> Ensemble:
    """Read the state of an ensemble from safetensors.

    Raises:
        InputError: the file is missing, cut, or holds another network.
    """
    network = network_of(architecture.name, f"{path.with_name('model.json')}: model.name")
    if problem := network.problem_of(architecture):
        raise InputError(f"{path.with_name('model.json')}: {problem}")
    tensors = {name: torch.from_numpy(value) for name, value in read_safetensors(path).items()}
    state = {RENAMED.get(name, name): tensor for name, tensor in tensors.items()}
    # of the first checkpoints, whose tables had no missing cells
    if "mean" in tensors:
        state["encoder.median"] = tensors["mean"]
    encoder = Encoder(schema.features, architecture.n_bins)
    shape = _shape(architecture, encoder, schema)
    try:
        if missing := [name for name in network.fitted if f"layers.{name}" not in state]:
            raise InputError(f"tensor 'layers.{missing[0]}' is missing")
        fitted = {name: state[f"layers.{name}"] for name in network.fitted}
        # before the network is built, which a wrong model.json could make larger than the memory
        n_weights = count_weights(network, shape, fitted) * n_replicas
        n_found = sum(t.numel() for name, t in state.items() if name.startswith("layers."))
        n_found -= sum(tensor.numel() for tensor in fitted.values())
        if n_found != n_weights:
            raise InputError(f"holds {n_found} weights, where model.json calls for {n_weights}")
        ensemble = Ensemble(encoder, network(shape, n_replicas, fitted, arithmetic))
        _check_state(state, ensemble.state_dict())
    except (InputError, ValueError, TypeError, IndexError) as error:
        reason = one_line(error)[:200]
        raise InputError(f"{path}: {reason}; delete the checkpoint and run `dvc repro`") from None
    ensemble.load_state_dict(state)
    return ensemble


def count_weights(network: type[Replicas], shape: Shape, fitted: Mapping[str, Tensor]) -> int:
    """Of one replica, without taking the memory for them."""
    with torch.device("meta"):
        replicas = network(shape, 1, fitted, exact)
    return sum(weight.numel() for weight in replicas.parameters())


def choose_device(device: Device, numerics: Numerics) -> torch.device:
    """The device of `train.device`; `auto` is CUDA where there is one and numerics is `fast`.

    Raises:
        InputError: CUDA is asked for and not available.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("params.yaml: train.device: found cuda, but there is none; allowed is cpu")
    use_cuda = device == "cuda" or (
        device == "auto" and numerics == "fast" and torch.cuda.is_available()
    )
    return torch.device("cuda" if use_cuda else "cpu")


def _shape(architecture: Architecture, encoder: Encoder, schema: Schema) -> Shape:
    return Shape(architecture, encoder.n_outputs, encoder.n_numeric, len(schema.classes))


def _check_state(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raises InputError for the first tensor that is missing, unknown, or not what it should be."""
    for name, wanted in expected.items():
        found = state.get(name)
        if found is None or found.shape != wanted.shape or found.dtype != torch.float32:
            what = "is missing" if found is None else f"is {found.dtype} {tuple(found.shape)}"
            raise InputError(
                f"tensor {name!r} {what}, where model.json and schema.json call for float32 "
                f"{tuple(wanted.shape)}"
            )
        if not bool(found.isfinite().all()):
            raise InputError(f"tensor {name!r} is not finite")
        if name in POSITIVE and not bool((found > 0).all()):
            raise InputError(f"tensor {name!r} is not positive")
    if unknown := sorted(set(state) - set(expected)):
        raise InputError(f"holds a tensor {unknown[0]!r} of no use")
