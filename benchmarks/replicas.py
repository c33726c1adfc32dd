"""What replicas cost: all at once beside one after another.

    python -m benchmarks.replicas

On the train rows of the wine table, under the numerics of params.yaml. Run the split stage first.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from vintage.base import console, numerics
from vintage.base.params import load_params

ROUNDS = 5
REPLICAS = 16


def main() -> None:
    params = load_params()
    numerics.pin()
    from vintage.base.tensors import read_examples, read_schema
    from vintage.training.prepare import prepare

    tensors = Path("data/tensors")
    schema = read_schema(tensors / "schema.json")
    train, val = (
        read_examples(tensors / f"{name}.safetensors", schema) for name in ("train", "val")
    )
    parts = (train.features, train.labels), (val.features, val.labels), train.folds

    def train_replicas(n_replicas: int, seed: int = 0) -> None:
        settings = params.train.model_copy(update={"seed": seed, "replicas": n_replicas})
        prepare(params.model, settings, schema, *parts).run()

    def together() -> None:
        train_replicas(REPLICAS)

    def one_by_one() -> None:
        for seed in range(REPLICAS):
            train_replicas(1, seed)

    def one() -> None:
        train_replicas(1)

    seconds = measure([together, one_by_one, one])
    console.say(
        f"{params.train.epochs} epochs on {len(train[0])} rows, numerics {params.train.numerics}"
    )
    console.say("| what | seconds | ratio |")
    console.say("|---|---|---|")
    for name, measured, rival in (
        (f"{REPLICAS} replicas at once / one after another", together, one_by_one),
        (f"{REPLICAS} replicas at once / one", together, one),
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
