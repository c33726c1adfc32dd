"""Networks by name, many replicas at once, with everything fitted inside them."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from vintage.base.console import InputError
from vintage.base.recipe import Activation, Architecture
from vintage.base.tensors import Features, Schema, read_safetensors
from vintage.network.encoding import Encoder
from vintage.network.layers import (
    ReplicatedModule,
    ReplicatedSequential,
    ScaledLinear,
    replicate,
    replicate_layer,
)

CHUNK_ROWS = 8192
BLOCK_ROWS = 1024
MAX_WEIGHTS = 2**28
MAX_INPUTS = 2**30
ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU}

Layers = ReplicatedSequential | ReplicatedModule


class Ensemble(nn.Module):
    """Replicas of one network, each with its own weights, trained and applied together.

    The state is complete: beside the weights it holds what the encoder has fitted on the train
    rows, the bins' `edges` of a `tabm`, and the `temperature` that the logits are divided by for a
    prediction.
    """

    temperature: Tensor

    def __init__(self, encoder: Encoder, layers: Layers, edges: Tensor | None = None) -> None:
        super().__init__()
        self.n_replicas = layers.n_replicas
        self.encoder = encoder
        self.layers = layers
        self.register_buffer("edges", edges)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, inputs: Tensor) -> Tensor:
        """Encoded rows, float32 `[n, n_inputs]` -> logits `[n_replicas * n_members, n, n_classes]`.

        The members of a replica, one in an `mlp`, stand together.
        """
        logits: Tensor = self.layers(inputs)
        return logits

    @torch.no_grad()
    def encode(self, features: Tensor) -> Tensor:
        """float32 `[n, n_features]` as in the tensor files -> float32 `[n, n_inputs]`."""
        return torch.cat([self.encoder(chunk) for chunk in features.split(CHUNK_ROWS)])

    @torch.no_grad()
    def predict_logits(self, inputs: Tensor) -> Tensor:
        """Encoded rows -> `[n_replicas, n, n_classes]`, in evaluation mode, in chunks of rows.

        Of several members it is the logarithm of their mean probability.
        """
        self.eval()
        logits = torch.cat([self(chunk) for chunk in inputs.split(CHUNK_ROWS)], dim=1)
        n_members = self.layers.n_members
        if n_members == 1:
            return logits
        members = logits.unflatten(0, (self.n_replicas, n_members))
        return members.log_softmax(dim=-1).exp().mean(dim=1).clamp_min(1e-38).log()

    def predict_proba(self, features: Tensor) -> Tensor:
        """float32 `[n, n_features]` -> float64 `[n_replicas, n, n_classes]`, summing to one.

        Every product is over `BLOCK_ROWS` rows, the last ones filled up with zeros, because its
        sums depend on their number: so a row has the same prediction in whatever company, with
        portable numerics to the last bit.

        Raises:
            InputError: features or weights so large that the network's output is not finite.
        """
        blocks = [self._predict_block(block) for block in features.split(BLOCK_ROWS)]
        probabilities = torch.cat(blocks, dim=2)
        if bool(probabilities.sum().isnan()):
            n_wrong = int(probabilities.isnan().any(dim=1).any(dim=0).sum())
            raise InputError(
                f"the network's output for {n_wrong} of {len(features)} rows is not finite; look "
                "for extreme values in the table, or lower train.learning_rate"
            )
        return probabilities.transpose(1, 2)

    def _predict_block(self, features: Tensor) -> Tensor:
        """`[n_replicas, n_classes, n]`, NaN where the network's output is not finite."""
        n_rows = len(features)
        filled = nn.functional.pad(features, (0, 0, 0, BLOCK_ROWS - n_rows))
        logits = self.predict_logits(self.encode(filled)).double() / self.temperature.double()
        # the rows stand last, because PyTorch's softmax over a few numbers in a row is slow
        by_class = logits.transpose(1, 2).contiguous()
        probabilities = by_class.softmax(dim=1)
        if not bool(by_class.sum().isfinite()):  # float64 holds any sum of finite float32
            probabilities[~by_class.isfinite()] = torch.nan
        return probabilities[:, :, :n_rows]

    def parts(self, size: int) -> list["Ensemble"]:
        """Ensembles of at most `size` replicas each, which share the memory of this one."""
        return [
            Ensemble(
                self.encoder, self.layers.part(slice(start, min(start + size, self.n_replicas)))
            )
            for start in range(0, self.n_replicas, size)
        ]


def build_ensemble(
    architecture: Architecture, schema: Schema, seeds: Sequence[int], features: Features
) -> Ensemble:
    """An ensemble with what is fitted on the train rows, and initial weights by seed.

    The weights are those of one network each, drawn with its seed.

    Args:
        features: the train rows, float32 `[n, n_features]`.

    Raises:
        InputError: the weights or the encoded rows need too much memory, or a `tabm` has no hidden
            layer, or a scaling layer.
    """
    encoder = Encoder(schema.features, architecture.n_bins)
    n_inputs = encoder.n_outputs
    if len(features) * n_inputs > MAX_INPUTS:
        raise InputError(
            f"params.yaml: the categories make {n_inputs} inputs of the {len(schema.features)} "
            f"columns, too many for {len(features)} rows; list the columns with the most "
            "categories in data.ignore"
        )
    if architecture.name == "tabm" and not architecture.hidden:
        raise InputError("params.yaml: model.hidden: found []; a tabm has at least one width")
    if architecture.name == "tabm" and architecture.scaling_layer:
        raise InputError(
            "params.yaml: model.scaling_layer: found true; a tabm has a scale for each member and "
            "input anyway, so write auto or false"
        )
    encoder.fit(features, normalize=architecture.normalize != "none")
    edges = None
    if architecture.name == "tabm":
        from vintage.network.tabm import bin_edges

        edges = bin_edges(encoder(torch.from_numpy(features))[:, : encoder.n_numeric].numpy())
    n_weights = _count_weights(architecture, encoder, len(schema.classes), edges) * len(seeds)
    if n_weights > MAX_WEIGHTS:
        raise InputError(
            f"params.yaml: model.hidden and train.replicas call for {n_weights:,} weights in all, "
            f"more than {MAX_WEIGHTS:,}; choose narrower layers or fewer replicas"
        )
    return _with_weights(architecture, encoder, len(schema.classes), seeds, edges)


def _with_weights(
    architecture: Architecture,
    encoder: Encoder,
    n_classes: int,
    seeds: Sequence[int],
    edges: Tensor | None,
) -> Ensemble:
    networks = []
    for seed in seeds:
        torch.manual_seed(seed)
        networks.append(_network(architecture, encoder, n_classes, edges))
    if edges is not None:
        from vintage.network.tabm import N_MEMBERS

        return Ensemble(encoder, replicate(networks, N_MEMBERS), edges)
    same_place = zip(*(network.children() for network in networks), strict=True)
    layers = [replicate_layer(layers) for layers in same_place]
    return Ensemble(encoder, ReplicatedSequential(len(seeds), layers))


def _count_weights(
    architecture: Architecture, encoder: Encoder, n_classes: int, edges: Tensor | None
) -> int:
    """Of one replica, without taking the memory for them."""
    with torch.device("meta"):
        network = _network(architecture, encoder, n_classes, edges)
    return sum(weight.numel() for weight in network.parameters())


def _network(
    architecture: Architecture, encoder: Encoder, n_classes: int, edges: Tensor | None
) -> nn.Module:
    """A single network with initial weights."""
    if edges is not None:
        from vintage.network.tabm import TabM  # its packages import scikit-learn

        return TabM(
            edges,
            encoder.n_outputs,
            architecture.hidden,
            ACTIVATIONS[architecture.activation],
            architecture.dropout,
            n_classes,
        )
    widths = [encoder.n_outputs, *architecture.hidden, n_classes]
    layers: list[nn.Module] = []
    for index, (n_in, n_out) in enumerate(pairwise(widths)):
        if index:
            layers.append(ACTIVATIONS[architecture.activation]())
            if architecture.dropout:
                layers.append(nn.Dropout(architecture.dropout))
        is_scaled = architecture.scaling_layer and index == 0
        layers.append(ScaledLinear(n_in, n_out) if is_scaled else nn.Linear(n_in, n_out))
    return nn.Sequential(*layers)


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
    path: Path, architecture: Architecture, schema: Schema, n_replicas: int
) -> Ensemble:
    """Read the state of an ensemble from safetensors.

    Raises:
        InputError: the file is missing, cut, or holds another network.
    """
    state = {name: torch.from_numpy(value) for name, value in read_safetensors(path).items()}
    encoder = Encoder(schema.features, architecture.n_bins)
    n_classes = len(schema.classes)
    edges = state.get("edges")
    if problem := _problem_of_edges(edges, architecture, encoder):
        raise InputError(f"{path}: {problem}; run `dvc repro`")
    # before the network is built, which a wrong model.json could make larger than the memory
    n_weights = _count_weights(architecture, encoder, n_classes, edges) * n_replicas
    n_found = sum(t.numel() for name, t in state.items() if name.startswith("layers."))
    if n_found != n_weights:
        raise InputError(
            f"{path}: holds {n_found} weights, where model.json calls for {n_weights}; delete the "
            "checkpoint and run `dvc repro`"
        )
    ensemble = _with_weights(architecture, encoder, n_classes, range(n_replicas), edges)
    for name, expected in ensemble.state_dict().items():
        found = state.get(name)
        if found is None or found.shape != expected.shape or found.dtype != expected.dtype:
            what = "is missing" if found is None else f"has shape {tuple(found.shape)}"
            raise InputError(
                f"{path}: tensor {name!r} {what}, where model.json and schema.json call for "
                f"{tuple(expected.shape)}; delete the checkpoint and run `dvc repro`"
            )
        if not bool(found.isfinite().all()):
            raise InputError(f"{path}: tensor {name!r} is not finite; run `dvc repro`")
        if name in ("encoder.scale", "temperature") and not bool((found > 0).all()):
            raise InputError(f"{path}: tensor {name!r} is not positive; run `dvc repro`")
    if unknown := sorted(set(state) - set(ensemble.state_dict())):
        raise InputError(f"{path}: holds a tensor {unknown[0]!r} of no use; run `dvc repro`")
    ensemble.load_state_dict(state)
    return ensemble


def _problem_of_edges(
    edges: Tensor | None, architecture: Architecture, encoder: Encoder
) -> str | None:
    if architecture.name != "tabm":
        return None if edges is None else "holds a tensor 'edges' of no use"
    if architecture.scaling_layer:
        return "holds a tabm, which has no scaling layer, but model.json has one"
    from vintage.network.tabm import N_BINS

    shape = (encoder.n_numeric, N_BINS + 1)
    if (
        edges is None
        or edges.shape != shape
        or edges.dtype != torch.float32
        or not architecture.hidden
    ):
        return f"tensor 'edges' is not float32 of shape {shape}"
    rising = edges.diff(dim=1)
    if not bool((rising >= 0).all()) or not bool((rising > 0).any(dim=1).all()):
        return "tensor 'edges' does not rise"
    return None
