"""Rows per second of a training by 2 workers, over those of 1, with the same batches.

    python -m benchmarks.workers                    ten minutes on two busy cores
    python -m benchmarks.workers --workers 4

Each worker has one thread. An epoch of either takes its turn in each round; the fastest counts.
Beside it stands the time that the busiest worker was on a processor, which other programs change
less: the ratio of the two is what the workers could reach at most if nothing made them wait.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any, NamedTuple

import torch

from benchmarks.numeric import numeric_schema, plain_network
from vintage.base.console import say
from vintage.base.numerics import Numerics
from vintage.base.recipe import Recipe
from vintage.network import workers
from vintage.network.arithmetic import ARITHMETIC
from vintage.network.ensemble import build_ensemble
from vintage.training.fit import fit
from vintage.training.rows import Part

ROUNDS = 3
N_FEATURES = 28
SMOOTH = {"activation": "silu", "n_bins": 8, "normalize": "piecewise", "hidden": [256, 256]}


class Case(NamedTuple):
    """One network, trained for an epoch."""

    n_rows: int
    batch_size: int
    numerics: Numerics
    network: dict[str, Any]


CASES = {
    "batches of 65,536, SiLU, bins, 256 and 256 units": Case(131_072, 65_536, "exact", SMOOTH),
    "batches of 8,192, SiLU, bins, 256 and 256 units": Case(131_072, 8_192, "exact", SMOOTH),
    "batches of 8,192, ReLU, 64 and 32 units": Case(262_144, 8_192, "exact", {}),
    "batches of 256, ReLU, 64 and 32 units": Case(16_384, 256, "exact", {}),
    "fast, batches of 8,192, SiLU, bins, 256 and 256 units": Case(131_072, 8_192, "fast", SMOOTH),
}


class Seconds(NamedTuple):
    """Of an epoch: on the clock, and of the busiest worker on a processor."""

    wall: float
    processor: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        with workers.joined():
            print_seconds(CASES[arguments.case])
        return
    n = arguments.workers
    say(f"| an epoch, one thread a worker | 1 worker, rows/s | {n} / 1 | on the processor |")
    say("|---|---|---|---|")
    for name, case in CASES.items():
        rounds = [(run(name, 1), run(name, n)) for _ in range(ROUNDS)]
        one, several = (
            Seconds(*map(min, zip(*seconds, strict=True))) for seconds in zip(*rounds, strict=True)
        )
        cells = f"{case.n_rows / one.wall:,.0f} | {one.wall / several.wall:.2f}"
        say(f"| {name} | {cells} | {one.processor / several.processor:.2f} |")


def run(case: str, n_workers: int) -> Seconds:
    """Train by so many workers of `torchrun`."""
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(n_workers)]
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "-m", "benchmarks.workers", "--case", case],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return Seconds(*json.loads(done.stdout))


def print_seconds(case: Case) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(case.n_rows, N_FEATURES, generator=generator)
    labels = (features[:, 0] + features[:, 1] > 0).long()
    architecture = plain_network(**{"normalize": "standard", **case.network})
    schema, arithmetic = numeric_schema(N_FEATURES, n_classes=2), ARITHMETIC[case.numerics]
    ensemble = build_ensemble(architecture, schema, [0], features.numpy(), arithmetic)
    rows = Part.of_all(ensemble.encode(features), labels)
    recipe = Recipe(
        seed=0,
        epochs=2,
        batch_size=case.batch_size,
        learning_rate=0.01,
        weight_decay=0,
        patience=0,
    )
    clocks = time.perf_counter, time.process_time
    moments = []

    def note(*_: object) -> None:
        moments.append([clock() for clock in clocks])

    fit(ensemble, rows, None, recipe, None, report=note)  # the first epoch is to warm up
    wall, processor = (second - first for first, second in zip(*moments, strict=True))
    (busiest,), _ = workers.maxima_of_all([torch.tensor([processor], dtype=torch.float64)], 1)
    print(json.dumps([wall, float(busiest)]))


if __name__ == "__main__":
    main()
