"""What `auto` stands for: the recipe of a training, by its number of train rows.

One recipe for tables of any size: an `mlp` with SiLU and a learned weight for each input, trained
by small steps until the validation loss stays where it is. Few rows want a small network, small
batches and much dropout; many want numbers in bins, and bound the time that is spent.
"""

import math
from collections.abc import Mapping
from typing import Any

from vintage.base.params import ModelParams, TrainParams
from vintage.base.recipe import Architecture, Normalize, Recipe
from vintage.network.registry import network_of

FEW_ROWS = 1_024
LARGE_TABLE = 100_000
MAX_BINNED = 1_000_000_000  # numbers, rows by columns by bins: 4 GB
LEARNING_RATE = 0.005  # found on tables, see docs/quality.md

# SiLU has no kink; source: Elfwing, Uchibe and Doya, Sigmoid-Weighted Linear Units, Neural Networks
# 107, 2018. The scaling layer: Holzmueller, Grinsztajn and Steinwart, Better by Default, NeurIPS
# 2024. That both gain was found on tables, see docs/quality.md.
NETWORK = {"activation": "silu", "scaling_layer": True}


def auto_batch_size(n_rows: int) -> int:
    """32 up to 1,024 rows, 256 beyond, and 1,024 from 100,001.

    Source: the experiments of Gorishniy, Kotelnikov and Babenko, TabM, ICLR 2025, which take 256
    for the 10,000 rows of churn, and 1,024 for the 580,000 of covtype2. 32 was found on tables, see
    docs/quality.md.
    """
    if n_rows <= FEW_ROWS:
        return 32
    return 256 if n_rows <= LARGE_TABLE else 1_024


def auto_weight_decay(n_steps: int) -> float:
    """2 divided by the steps of an epoch.

    So an epoch shrinks the weights by twice the learning rate, however many steps it has.
    Source: Wang and Aitchison, How to set AdamW's weight decay as you scale model and dataset size,
    ICML 2025: the time in which weights are forgotten is constant in epochs, not in steps.
    """
    return float(f"{2 / n_steps:.4g}")


def auto_patience(n_rows: int) -> int:
    """16 epochs, and 8 beyond 100,000 rows, whose epochs are long and validation losses steady.

    Source: the patience of Gorishniy, Kotelnikov and Babenko, TabM, ICLR 2025.
    """
    return 16 if n_rows <= LARGE_TABLE else 8


def auto_hidden(n_rows: int) -> list[int]:
    """64 and 32 units up to 1,024 rows, and twice as many beyond."""
    return [64, 32] if n_rows <= FEW_ROWS else [128, 64]


def auto_dropout(n_rows: int) -> float:
    """0.5 up to 1,024 rows, and from there falling with the square root of the rows to 0.1.

    Source: Srivastava et al., Dropout, JMLR 2014: it gains less once there are many rows; the root
    is the rate at which an estimate's error falls, and was tried on tables, see docs/quality.md.
    """
    return round(min(0.5, max(0.1, 0.5 * math.sqrt(FEW_ROWS / n_rows))), 3)


def number_of_bins(n_rows: int) -> int:
    """Half the cube root of the rows, from 8 to 32: more rows tell finer bins apart.

    Source: the cube root is the rate of a histogram's best number of bins, see Scott, On Optimal
    and Data-Based Histograms, Biometrika 66(3), 1979; the factor was found on tables, see
    docs/quality.md.
    """
    return max(8, min(32, round(n_rows ** (1 / 3) / 2)))


def auto_normalize(n_rows: int, n_features: int) -> Normalize:
    """`standard` up to 1,024 rows and where bins would take much memory; else `piecewise`.

    Source: Gorishniy, Rubachev and Babenko, On Embeddings for Numerical Features in Tabular Deep
    Learning, NeurIPS 2022.
    """
    n_binned = n_rows * n_features * number_of_bins(n_rows)
    return "standard" if n_rows <= FEW_ROWS or n_binned > MAX_BINNED else "piecewise"


def resolve_architecture(params: ModelParams, n_rows: int, n_features: int) -> Architecture:
    """The network for so many train rows; what the network itself says of `auto` comes first.

    Each parameter of the section `model` becomes the architecture's value of the same name.

    Args:
        n_features: the columns, before categories become inputs of their own.

    Raises:
        InputError: no network has this name.
        ValueError: the network says what `auto` is of a key that cannot be `auto`.
    """
    auto: dict[str, Any] = {
        **NETWORK,
        "hidden": auto_hidden(n_rows),
        "dropout": auto_dropout(n_rows),
        "normalize": auto_normalize(n_rows, n_features),
    }
    of_network = network_of(params.name).auto
    if unknown := sorted(set(of_network) - set(auto)):
        raise ValueError(
            f"the network {params.name} says what {unknown[0]!r} is by auto; keys that can be auto "
            f"are {', '.join(sorted(auto))}"
        )
    resolved = _without_auto(dict(params), {**auto, **of_network})
    n_bins = number_of_bins(n_rows) if resolved["normalize"] == "piecewise" else 0
    return Architecture(**resolved, n_bins=n_bins)


def resolve_recipe(params: TrainParams, n_rows: int, n_learned: int) -> Recipe:
    """The recipe for so many train rows, of the parameters of `train` that it has.

    Args:
        n_learned: of the rows, those that a replica learns from; in folds it leaves some out.
    """
    given: dict[str, Any] = {key: getattr(params, key) for key in Recipe.model_fields}
    sizes = {"auto": auto_batch_size(n_rows), "all": n_rows}
    given["batch_size"] = min(sizes.get(given["batch_size"], given["batch_size"]), n_rows)
    n_steps = math.ceil(n_learned / given["batch_size"])
    auto = {
        "learning_rate": LEARNING_RATE,
        "weight_decay": auto_weight_decay(n_steps),
        "patience": auto_patience(n_rows),
    }
    return Recipe(**_without_auto(given, auto))


def _without_auto(given: Mapping[str, Any], auto: Mapping[str, Any]) -> dict[str, Any]:
    return {key: auto[key] if value == "auto" else value for key, value in given.items()}
