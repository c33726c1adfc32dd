"""What replicas cost: all at once beside one after another, and beside a bare PyTorch loop.

    python -m benchmarks.replicas

On the train rows of the wine table, under the numerics of params.yaml. Run the split stage first.
"""

import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from vintage import console, numerics
from vintage.params import load_params

ROUNDS = 5
REPLICAS = 16


def main() -> None:
    params = load_params()
    reached = numerics.pin(params.train.numerics)
    import torch
    from torch import nn

    from vintage.fitting import fit
    from vintage.network import build_ensemble
    from vintage.tensors import read_examples, read_schema

    tensors = Path("data/tensors")
    schema = read_schema(tensors / "schema.json")
    train, val = (
        (torch.from_numpy(part.features), torch.from_numpy(part.labels))
        for part in (read_examples(tensors / f"{n}.safetensors", schema) for n in ("train", "val"))
    )
    n_features, n_classes = len(schema.features), len(schema.classes)

    def train_replicas(seeds: list[int], model: Any, settings: Any, with_val: bool) -> None:
        ensemble = build_ensemble(model, schema, seeds, train[0].numpy())
        size = None if with_val else 0
        encoded = [(ensemble.encode(x), y) for x, y in (train, (val[0][:size], val[1][:size]))]
        fit(ensemble, encoded[0], encoded[1], settings)

    def together() -> None:
        train_replicas(list(range(REPLICAS)), params.model, params.train, True)

    def one_by_one() -> None:
        for seed in range(REPLICAS):
            train_replicas([seed], params.model, params.train, True)

    def one() -> None:
        train_replicas([0], params.model, params.train, True)

    plain = params.model.model_copy(update={"dropout": 0.0})
    plain_settings = params.train.model_copy(update={"weight_decay": 0.0})

    def one_plain() -> None:
        train_replicas([0], plain, plain_settings, False)

    def bare_loop() -> None:
        """The same network, epochs and numerics in the fewest lines of PyTorch."""
        torch.manual_seed(0)
        widths = [n_features, *params.model.hidden]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        network = nn.Sequential(*layers, nn.Linear(widths[-1], n_classes))
        optimizer = torch.optim.Adam(
            network.parameters(), lr=params.train.learning_rate, fused=True
        )
        loss_function = nn.CrossEntropyLoss()
        features = (train[0] - train[0].mean(0)) / train[0].std(0)
        losses = []
        for _ in range(params.train.epochs):
            optimizer.zero_grad()
            loss = loss_function(network(features), train[1])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    seconds = measure([together, one_by_one, one, one_plain, bare_loop])
    console.say(f"{params.train.epochs} epochs on {len(train[1])} rows, numerics {reached}")
    console.say("| what | seconds | ratio |")
    console.say("|---|---|---|")
    for name, measured, rival in (
        (f"{REPLICAS} replicas at once / one after another", together, one_by_one),
        (f"{REPLICAS} replicas at once / one", together, one),
        ("one replica, no dropout, no validation / bare loop", one_plain, bare_loop),
    ):
        a, b = seconds[measured], seconds[rival]
        console.say(f"| {name} | {a:.3f} / {b:.3f} | {a / b:.2f} |")
    added = seconds[together] - seconds[one]
    console.say(f"\n{REPLICAS} replicas add {added:.2f} s to a train stage with one.")


def measure(actions: list[Callable[[], None]]) -> dict[Callable[[], None], float]:
    """Median seconds of each action, in rounds in which every one takes its turn."""
    rounds: dict[Callable[[], None], list[float]] = {action: [] for action in actions}
    for action in actions:
        action()  # what is imported or allocated once
    for _ in range(ROUNDS):
        for action in actions:
            started = time.perf_counter()
            action()
            rounds[action].append(time.perf_counter() - started)
    return {action: statistics.median(seconds) for action, seconds in rounds.items()}


if __name__ == "__main__":
    console.run(main)
