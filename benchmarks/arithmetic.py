"""What exact arithmetic costs: the training beside `fast`, in full batches and in small ones.

    python -m benchmarks.arithmetic         four minutes on two cores

16 replicas with dropout on 800 rows of 11 features, and one network on a million rows of 28 in
batches of 8,192. An epoch of either takes its turn in each round; the fastest counts.
"""

import time
from typing import Any

import torch

from benchmarks.numeric import numeric_schema, plain_network
from vintage.base.console import say
from vintage.base.numerics import Numerics
from vintage.base.recipe import Recipe
from vintage.network.arithmetic import ARITHMETIC
from vintage.network.ensemble import build_ensemble
from vintage.training.fit import fit
from vintage.training.rows import Part

ROUNDS = 3
SMOOTH = {"activation": "silu", "n_bins": 8, "normalize": "piecewise"}
WIDE = {"hidden": [256, 256], "dropout": 0.1}
FULL, BATCHES = (800, 11, 800, 16), (1_000_000, 28, 8192, 1)
CASES: dict[str, tuple[tuple[int, int, int, int], dict[str, Any]]] = {
    "full batch, 16 replicas, dropout": (FULL, {"dropout": 0.5}),
    "batches of 8,192": (BATCHES, {}),
    "batches of 8,192, SiLU, bins": (BATCHES, SMOOTH),
    "batches of 8,192, SiLU, bins, dropout, 256 and 256 units": (BATCHES, {**SMOOTH, **WIDE}),
}


def main() -> None:
    say("| an epoch of | exact, ms | fast, ms | exact / fast |")
    say("|---|---|---|---|")
    for name, case in CASES.items():
        exact, fast = measure(*case)
        say(f"| {name} | {1000 * exact:.0f} | {1000 * fast:.0f} | {exact / fast:.2f} |")


def measure(sizes: tuple[int, int, int, int], changes: dict[str, Any]) -> tuple[float, float]:
    """Seconds of an epoch, exact and fast."""
    n_rows, n_features, batch_size, n_replicas = sizes
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(n_rows, n_features, generator=generator)
    labels = (features[:, 0] + features[:, 1] > 0).long()
    schema = numeric_schema(n_features, n_classes=2)
    architecture = plain_network(**{"normalize": "standard", **changes})
    n_epochs = max(1, 8000 // n_rows)
    recipe = Recipe(
        seed=0,
        epochs=n_epochs,
        batch_size=batch_size,
        learning_rate=0.01,
        weight_decay=0,
        patience=0,
    )

    def epoch(numerics: Numerics) -> float:
        arithmetic = ARITHMETIC[numerics]
        seeds = range(n_replicas)
        ensemble = build_ensemble(architecture, schema, seeds, features.numpy(), arithmetic)
        inputs = ensemble.encode(features)
        start = time.perf_counter()
        fit(ensemble, Part.of_all(inputs, labels), None, recipe, None)
        return (time.perf_counter() - start) / n_epochs

    rounds = [(epoch("exact"), epoch("fast")) for _ in range(ROUNDS)]
    exact, fast = (min(seconds) for seconds in zip(*rounds, strict=True))
    return exact, fast


if __name__ == "__main__":
    main()
