"""Training from a file, in blocks, beside training from memory: rows per second and their ratio.

    python -m benchmarks.blocks         two minutes; leave the machine alone meanwhile

A million rows of 28 numbers in batches of 8,192, with fast numerics. From memory, the rows are
encoded once; from a file, in each epoch. An epoch of either takes its turn in each round; the
fastest counts.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.numeric import plain_network, written_rows
from vintage.base.console import say
from vintage.base.recipe import Recipe
from vintage.base.tensors import PartFile
from vintage.network.arithmetic import ARITHMETIC
from vintage.network.ensemble import build_ensemble
from vintage.training.blocks import Blocks
from vintage.training.fit import fit
from vintage.training.rows import Part

ROUNDS = 5
N_ROWS, N_FEATURES, N_CLASSES = 1_000_000, 28, 2
CASES: dict[str, dict[str, Any]] = {
    "ReLU, 64 and 32 units": {},
    "SiLU, 128 and 64 units, dropout": {"activation": "silu", "hidden": [128, 64], "dropout": 0.1},
    "SiLU, 256 and 256 units": {"activation": "silu", "hidden": [256, 256]},
}


def main() -> None:
    say("| network | from memory, rows/s | from a file, rows/s | file / memory |")
    say("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        file = written_rows(Path(folder), N_ROWS, N_FEATURES, N_CLASSES)
        for name, changes in CASES.items():
            from_memory, from_file = measure(file, changes)
            speeds = f"{N_ROWS / from_memory:,.0f} | {N_ROWS / from_file:,.0f}"
            say(f"| {name} | {speeds} | {from_memory / from_file:.2f} |")


def measure(file: PartFile, changes: dict[str, Any]) -> tuple[float, float]:
    """Seconds of an epoch from memory, and from a file."""
    rows = file.rows(0, N_ROWS)
    architecture = plain_network(**{"normalize": "standard", **changes})
    arithmetic = ARITHMETIC["fast"]
    ensemble = build_ensemble(architecture, file.schema, [0], rows.features, arithmetic)
    inputs = ensemble.encode(torch.from_numpy(rows.features))
    in_memory = Part.of_all(inputs, torch.from_numpy(rows.labels))
    recipe = Recipe(
        seed=0, epochs=1, batch_size=8_192, learning_rate=0.01, weight_decay=0, patience=0
    )

    def epoch(part: Part | Blocks) -> float:
        start = time.perf_counter()
        fit(ensemble, part, None, recipe, None)
        return time.perf_counter() - start

    blocks = Blocks(file, ensemble.encode)
    rounds = [(epoch(in_memory), epoch(blocks)) for _ in range(ROUNDS)]
    from_memory, from_file = (min(seconds) for seconds in zip(*rounds, strict=True))
    return from_memory, from_file


if __name__ == "__main__":
    main()
