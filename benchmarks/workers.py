"""Rows per second of a training by 2 workers, over those of 1, with the same batches.

    python -m benchmarks.workers                    ten minutes on two busy cores
    python -m benchmarks.workers --workers 4
    python -m benchmarks.workers --ray              workers on two nodes of Ray beside them

Each worker has one thread. An epoch of each takes its turn in each round; the fastest counts.
Beside it stands the time that the busiest worker was on a processor, which other programs change
less: the ratio of the two is what the workers could reach at most if nothing made them wait. The
nodes of Ray are both on this machine; see `.ci/ray` for an environment that has it.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import torch

from benchmarks.numeric import numeric_schema, plain_network
from vintage.base.console import say
from vintage.base.numerics import Numerics
from vintage.base.params import ComputeParams
from vintage.base.recipe import Recipe
from vintage.network import workers
from vintage.network.arithmetic import ARITHMETIC
from vintage.network.ensemble import build_ensemble
from vintage.training.fit import fit
from vintage.training.rows import Part

CASE = "BENCHMARKS_WORKERS_CASE"  # what a launched process is to train
LAUNCH = """
import sys
from vintage.base.params import ComputeParams
from vintage.training.launch import launch

launch(ComputeParams.model_validate_json(sys.argv[1]), "benchmarks.workers")
"""
ROUNDS = 3
N_FEATURES = 28
SMOOTH = {"activation": "silu", "n_bins": 8, "normalize": "piecewise", "hidden": [256, 256]}


Launcher = Literal["torchrun", "ray"]


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
    if CASE in os.environ:
        with workers.joined():
            print_seconds(CASES[os.environ[CASE]])
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--ray", action="store_true")
    arguments = parser.parse_args()
    n = arguments.workers
    settings: list[tuple[int, Launcher]] = [(1, "torchrun"), (n, "torchrun")]
    if arguments.ray:
        settings.append((n, "ray"))
    header = ["an epoch, one thread a worker", "1 worker, rows/s", f"{n} / 1", "on the processor"]
    header += [f"{n} on Ray / {n}"] if arguments.ray else []
    say(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    with two_nodes() if arguments.ray else contextlib.nullcontext():
        for name, case in CASES.items():
            rounds = [[run(name, *setting) for setting in settings] for _ in range(ROUNDS)]
            one, several, *on_ray = (
                Seconds(*map(min, zip(*seconds, strict=True)))
                for seconds in zip(*rounds, strict=True)
            )
            cells = [f"{case.n_rows / one.wall:,.0f}", f"{one.wall / several.wall:.2f}"]
            cells += [f"{one.processor / several.processor:.2f}"]
            cells += [f"{several.wall / each.wall:.2f}" for each in on_ray]
            say(f"| {name} | {' | '.join(cells)} |")


@contextlib.contextmanager
def two_nodes() -> Iterator[None]:
    """A Ray cluster on this machine, which RAY_ADDRESS names."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    cluster.add_node(num_cpus=2)
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield
    finally:
        cluster.shutdown()


def run(case: str, n_workers: int, launcher: Launcher) -> Seconds:
    """Train by so many workers, in processes of their own."""
    compute = ComputeParams(workers=n_workers, launcher=launcher, streaming="auto")
    given = compute.model_dump_json()
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH, given],
        env=os.environ | {"OMP_NUM_THREADS": "1", CASE: case},
        capture_output=True,
        text=True,
        check=True,
    )
    return Seconds(*json.loads(done.stdout.splitlines()[-1]))


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
