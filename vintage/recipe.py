"""What `auto` stands for: the recipe of a training, by the number of train rows.

Up to 1,024 rows it is the plain recipe: all rows in a step, learning rate 0.01, hidden layers of 64
and 32 units, dropout 0.5.
"""

import math
from typing import Any, Literal, TypeVar

from vintage.files import Strict
from vintage.params import (
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

Value = TypeVar("Value")

PLAIN_ROWS = 1_024
LARGE_TABLE = 100_000
SMALL_BATCH, LARGE_BATCH = 256, 1_024
DECAY_AN_EPOCH = 2.0
PATIENCE = 16


class Architecture(Strict):
    """A network, see `vintage.params.ModelParams`, without `auto`."""

    name: Literal["mlp", "tabm"]
    hidden: Widths
    dropout: Share
    normalize: Literal["standard", "none"]


class Recipe(Strict):
    """How to train, see `vintage.params.TrainParams`, without `auto`."""

    seed: Seed
    epochs: Epochs
    batch_size: BatchSize
    learning_rate: LearningRate
    weight_decay: WeightDecay
    patience: Epochs


def auto_batch_size(n_rows: int) -> int:
    """All rows up to 1,024; then 256, and 1,024 beyond 100,000 rows.

    Source: Gorishniy et al., TabM, ICLR 2025, appendix: 256 to 1,024 by the size of the table.
    """
    if n_rows <= PLAIN_ROWS:
        return n_rows
    return SMALL_BATCH if n_rows <= LARGE_TABLE else LARGE_BATCH


def auto_learning_rate(n_rows: int) -> float:
    """0.01 up to 10,000 rows and 0.003 beyond, ..."""
    return 0.01 if n_rows <= 10_000 else 0.003


def auto_weight_decay(n_steps: int) -> float:
    """So that an epoch of `n_steps` steps decays the weights as much as one of the plain recipe.

    Source: Wang and Aitchison, How to set AdamW's weight decay as you scale model and dataset size,
    2024: the time in which weights are forgotten is constant in epochs.
    """
    return DECAY_AN_EPOCH / n_steps


def auto_patience(n_rows: int) -> int:
    """None in the plain recipe, which keeps the best epoch anyway; then 16 epochs.

    Source: Gorishniy et al., TabM, ICLR 2025: a patience of 16.
    """
    return 0 if n_rows <= PLAIN_ROWS else PATIENCE


def auto_hidden(n_rows: int) -> list[int]:
    return [64, 32] if n_rows <= PLAIN_ROWS else [128, 64]


def auto_dropout(n_rows: int) -> float:
    """0.5 in the plain recipe, and falling with the root of the rows to 0.05: ..."""
    return round(max(0.05, min(0.5, 0.5 * math.sqrt(PLAIN_ROWS / n_rows))), 3)


def settle_architecture(params: ModelParams, n_rows: int) -> Architecture:
    """The network for `n_rows` train rows."""
    return Architecture(
        name=params.name,
        hidden=_settled(params.hidden, auto_hidden(n_rows)),
        dropout=_settled(params.dropout, auto_dropout(n_rows)),
        normalize=params.normalize,
    )


def settle_recipe(params: TrainParams, n_rows: int) -> Recipe:
    """The recipe for `n_rows` train rows."""
    batch_size = min(_settled(params.batch_size, auto_batch_size(n_rows)), n_rows)
    n_steps = math.ceil(n_rows / batch_size)
    return Recipe(
        seed=params.seed,
        epochs=params.epochs,
        batch_size=batch_size,
        learning_rate=_settled(params.learning_rate, auto_learning_rate(n_rows)),
        weight_decay=_settled(params.weight_decay, auto_weight_decay(n_steps)),
        patience=_settled(params.patience, auto_patience(n_rows)),
    )


def _settled(value: Literal["auto"] | Value, auto: Value) -> Value:
    return auto if value == "auto" else value


def auto_values(
    model: ModelParams, train: TrainParams, architecture: Architecture, recipe: Recipe
) -> dict[str, Any]:
    """By dotted key, what the parameters that are `auto` were settled to."""
    sections = (("model", model, architecture), ("train", train, recipe))
    return {
        f"{section}.{key}": value
        for section, given, settled in sections
        for key, value in settled.model_dump().items()
        if getattr(given, key) == "auto"
    }
