"""What `auto` stands for: the recipe of a training, by its train rows.

Up to 1,024 rows it is the plain recipe: Adam with learning rate 0.01 and all rows in a step, hidden
layers of 64 and 32 units with ReLU, dropout 0.5, weight decay 2. That keeps a network from learning
noise. Where the classes are clear, which the rows' nearest neighbours tell, there is little noise
to learn, and the recipe is nearer to that of more rows.
"""

import math
from dataclasses import dataclass
from typing import Literal, TypeVar

from vintage.base.params import ModelParams, TrainParams
from vintage.base.recipe import Activation, Architecture, Normalize, Recipe
from vintage.network.registry import network_of

Value = TypeVar("Value")

FEW_ROWS = 1_024
CLEAR_ERROR = 0.33
LARGE_TABLE = 100_000
MAX_BINNED = 1_000_000_000  # numbers, rows by columns by bins: 4 GB


@dataclass(frozen=True)
class TrainRows:
    """What `auto` goes by.

    Attributes:
        n_rows: how many train rows there are.
        n_features: how many columns they have, before categories become inputs of their own.
        neighbor_error: see `vintage.training.neighbors.neighbor_error`; None where it was
            not measured.
        n_left_out: of the rows, at most, by a replica.
    """

    n_rows: int
    n_features: int
    neighbor_error: float | None = None
    n_left_out: int = 0

    @property
    def are_few(self) -> bool:
        return self.n_rows <= FEW_ROWS

    @property
    def are_clear(self) -> bool:
        """Whether the nearest neighbours tell the classes.

        Below the limit an `mlp` gained by the recipe for clear classes on every draw of the
        development tables; above it, what is gained is within chance: see docs/quality.md.
        """
        return self.neighbor_error is not None and self.neighbor_error < CLEAR_ERROR

    @property
    def want_plain(self) -> bool:
        """Whether the recipe is the plain one."""
        return self.are_few and not self.are_clear


def auto_batch_size(rows: TrainRows) -> int:
    """All rows in the plain recipe; else 32 up to 1,024 rows, 256 beyond, and 1,024 from 100,001.

    Source: the experiments of Gorishniy, Kotelnikov and Babenko, TabM, ICLR 2025, which take 256
    for the 10,000 rows of churn, and 1,024 for the 580,000 of covtype2. 32 was found on tables, see
    docs/quality.md.
    """
    if rows.want_plain:
        return rows.n_rows
    if rows.are_few:
        return 32
    return 256 if rows.n_rows <= LARGE_TABLE else 1_024


def auto_learning_rate(rows: TrainRows) -> float:
    """0.01 for steps on all rows, and half of it for small batches, whose gradients are noisier.

    Source: McCandlish et al., An Empirical Model of Large-Batch Training, 2018: noisier gradients
    want shorter steps; the factor was found on tables, see docs/quality.md.
    """
    return 0.01 if rows.want_plain else 0.005


def auto_weight_decay(n_steps: int) -> float:
    """2 divided by the steps of an epoch: in the plain recipe 2, since there it is one step.

    So an epoch shrinks the weights by twice the learning rate, however many steps it has.
    Source: Wang and Aitchison, How to set AdamW's weight decay as you scale model and dataset size,
    ICML 2025: the time in which weights are forgotten is constant in epochs, not in steps.
    """
    return float(f"{2 / n_steps:.4g}")


def auto_patience(rows: TrainRows) -> int:
    """16 epochs, and 8 beyond 100,000 rows, whose epochs are long and validation losses steady.

    None in the plain recipe: its epochs are cheap.

    Source: the patience of Gorishniy, Kotelnikov and Babenko, TabM, ICLR 2025.
    """
    if rows.want_plain:
        return 0
    return 16 if rows.n_rows <= LARGE_TABLE else 8


def auto_hidden(rows: TrainRows) -> list[int]:
    """64 and 32 units up to 1,024 rows, and twice as many beyond."""
    return [64, 32] if rows.are_few else [128, 64]


def auto_dropout(rows: TrainRows) -> float:
    """0.5 up to 1,024 rows, and from there falling with the square root of the rows to 0.1.

    Half as much up to 1,024 rows of clear classes.

    Source: Srivastava et al., Dropout, JMLR 2014: it gains less once there are many rows; the root
    is the rate at which an estimate's error falls, and was tried on tables, see docs/quality.md.
    """
    if rows.are_few:
        return 0.5 if rows.want_plain else 0.25
    return round(max(0.1, 0.5 * math.sqrt(FEW_ROWS / rows.n_rows)), 3)


def auto_activation(rows: TrainRows) -> Activation:
    """`relu` in the plain recipe, else `silu`, which has no kink.

    Source: Elfwing, Uchibe and Doya, Sigmoid-Weighted Linear Units, Neural Networks 107, 2018; that
    it gains was found on tables, see docs/quality.md.
    """
    return "relu" if rows.want_plain else "silu"


def auto_scaling_layer(rows: TrainRows) -> bool:
    """A learned weight for each input, except in the plain recipe.

    Source: Holzmueller, Grinsztajn and Steinwart, Better by Default, NeurIPS 2024.
    """
    return not rows.want_plain


def number_of_bins(n_rows: int) -> int:
    """Half the cube root of the rows, from 8 to 32: more rows tell finer bins apart.

    Source: the cube root is the rate of a histogram's best number of bins, see Scott, On Optimal
    and Data-Based Histograms, Biometrika 66(3), 1979; the factor was found on tables, see
    docs/quality.md.
    """
    return max(8, min(32, round(n_rows ** (1 / 3) / 2)))


def auto_normalize(rows: TrainRows) -> Normalize:
    """`standard` up to 1,024 rows and where bins would take much memory; else `piecewise`.

    Source: Gorishniy, Rubachev and Babenko, On Embeddings for Numerical Features in Tabular Deep
    Learning, NeurIPS 2022.
    """
    n_binned = rows.n_rows * rows.n_features * number_of_bins(rows.n_rows)
    return "standard" if rows.are_few or n_binned > MAX_BINNED else "piecewise"


def resolve_architecture(params: ModelParams, rows: TrainRows) -> Architecture:
    """The network for the train rows; what the network itself says of `auto` comes first.

    Raises:
        InputError: no network has this name.
    """
    auto = {
        "activation": auto_activation(rows),
        "normalize": auto_normalize(rows),
        "scaling_layer": auto_scaling_layer(rows),
        **network_of(params.name).auto,
    }
    normalize = _resolved(params.normalize, auto["normalize"])
    return Architecture(
        name=params.name,
        hidden=_resolved(params.hidden, auto_hidden(rows)),
        dropout=_resolved(params.dropout, auto_dropout(rows)),
        activation=_resolved(params.activation, auto["activation"]),
        normalize=normalize,
        n_bins=number_of_bins(rows.n_rows) if normalize == "piecewise" else 0,
        scaling_layer=_resolved(params.scaling_layer, auto["scaling_layer"]),
    )


def resolve_recipe(params: TrainParams, rows: TrainRows) -> Recipe:
    """The recipe for the train rows."""
    batch_size = rows.n_rows
    if params.batch_size != "all":
        batch_size = min(_resolved(params.batch_size, auto_batch_size(rows)), rows.n_rows)
    n_steps = math.ceil((rows.n_rows - rows.n_left_out) / batch_size)
    return Recipe(
        seed=params.seed,
        epochs=params.epochs,
        batch_size=batch_size,
        learning_rate=_resolved(params.learning_rate, auto_learning_rate(rows)),
        weight_decay=_resolved(params.weight_decay, auto_weight_decay(n_steps)),
        patience=_resolved(params.patience, auto_patience(rows)),
    )


def _resolved(value: Literal["auto"] | Value, auto: Value) -> Value:
    return auto if value == "auto" else value
