"""What a training was done with: a network's architecture and its recipe, without `auto`.

The types alone; `vintage.training.auto` has the rules that fill them.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from vintage.base.files import Strict
from vintage.base.params import (
    BatchSize,
    Epochs,
    LearningRate,
    ModelParams,
    Seed,
    Share,
    TrainParams,
    WeightDecay,
    Widths,
)

Activation = Literal["relu", "silu"]
Normalize = Literal["standard", "piecewise", "none"]


class Architecture(Strict):
    """A network, see `vintage.base.params.ModelParams`, without `auto`.

    It is stored in the checkpoint: a field that is added needs a default, so that earlier
    checkpoints are read.

    Attributes:
        name: see `vintage.network.registry`.
        n_bins: of each number, see `vintage.network.encoding.Encoder`; 0 for none.
    """

    name: str
    hidden: Widths
    dropout: Share
    activation: Activation = "relu"
    normalize: Normalize
    n_bins: Annotated[int, Field(ge=0, le=1_000)] = 0
    scaling_layer: bool = False


class Recipe(Strict):
    """How to train, see `vintage.base.params.TrainParams`, without `auto`.

    It is stored in the checkpoint, too, so a field that is added needs a default.
    """

    seed: Seed
    epochs: Epochs
    batch_size: BatchSize
    learning_rate: LearningRate
    weight_decay: WeightDecay
    patience: Epochs


def resolved_values(architecture: Architecture, recipe: Recipe | None) -> dict[str, str]:
    """By dotted key, what a training was done with, as params.yaml has it, as far as is known."""
    return {
        f"{section}.{key}": value if isinstance(value, str) else json.dumps(value)
        for section, resolved in (("model", architecture), ("train", recipe))
        for key, value in (resolved.model_dump() if resolved else {}).items()
    }


def auto_values(
    model: ModelParams, train: TrainParams, resolved: Mapping[str, str]
) -> dict[str, str]:
    """The part of `resolved_values` whose parameters are `auto`."""
    given = {"model": model, "train": train}
    return {
        name: value
        for name, value in resolved.items()
        if getattr(given[name.partition(".")[0]], name.partition(".")[2], None) == "auto"
    }
