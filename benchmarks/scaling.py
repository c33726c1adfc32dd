"""What a training costs against its rows and against its replicas: docs/scaling.png.

    python -m benchmarks.scaling             about four minutes; leave the machine alone meanwhile

The plain network, batches as `auto` has them, random rows, the numerics of params.yaml. As in the
stage `train`, rows that are many come from a file. A figure of one machine, so no output of the
pipeline.
"""

import tempfile
import time
from pathlib import Path

from vintage.base import console, numerics
from vintage.base.params import Params, load_params

PLAIN = {
    "name": "mlp",
    "hidden": [64, 32],
    "dropout": 0.5,
    "activation": "relu",
    "normalize": "standard",
    "scaling_layer": False,
}

ROWS = [1_000, 10_000, 100_000, 1_000_000, 2_000_000, 20_000_000]
REPLICAS = [1, 2, 4, 8, 16, 32, 64]
REPLICAS_OF_ROWS = 1
ROWS_OF_REPLICAS = 1_000
FEATURES, CLASSES = 28, 4
SHORTEST = 0.3  # seconds that a measurement takes at least: small trainings get more epochs
LONGEST = 10  # seconds, beyond which a single training counts
REPEATS = 3
FIGURE = Path("docs/scaling.png")


def main() -> None:
    params = load_params()
    numerics.pin()
    by_rows = [seconds_per_epoch(params, rows, REPLICAS_OF_ROWS) for rows in ROWS]
    by_replicas = [seconds_per_epoch(params, ROWS_OF_REPLICAS, n) for n in REPLICAS]
    console.say(
        f"one epoch, {FEATURES} features, {CLASSES} classes, numerics {params.train.numerics}"
    )
    show("rows", ROWS, by_rows, f"{REPLICAS_OF_ROWS} replica")
    show("replicas", REPLICAS, by_replicas, f"{ROWS_OF_REPLICAS:,} rows")
    draw(by_rows, by_replicas)
    console.say(f"\nsee {FIGURE}")


def seconds_per_epoch(params: Params, n_rows: int, n_replicas: int) -> float:
    """The fastest of a few trainings, without validation, by their number of epochs."""
    import numpy as np

    from benchmarks.numeric import written_rows
    from vintage.base.tensors import is_large
    from vintage.training.prepare import prepare

    model = params.model.model_copy(update=PLAIN)
    none = np.empty((0, FEATURES), np.float32), np.empty(0, np.int64)
    with tempfile.TemporaryDirectory() as folder:
        file = written_rows(Path(folder), n_rows, FEATURES, CLASSES)
        of_all = None if is_large(n_rows, file.schema) else file.rows(0, n_rows)
        rows = file if of_all is None else (of_all.features, of_all.labels)

        def train(n_epochs: int) -> float:
            settings = params.train.model_copy(update={"epochs": n_epochs, "replicas": n_replicas})
            training = prepare(model, settings, file.schema, rows, none)
            started = time.perf_counter()
            training.run()
            return (time.perf_counter() - started) / n_epochs

        first = train(1)
        n_epochs = max(1, round(SHORTEST / first))
        return first if first > LONGEST else min(train(n_epochs) for _ in range(REPEATS))


def show(what: str, counts: list[int], seconds: list[float], fixed: str) -> None:
    """A table; the last column says how much dearer it is than proportional to the first line."""
    console.say(f"\n| {what} ({fixed}) | ms an epoch | / first line | / as many times |")
    console.say("|---|---|---|---|")
    for count, value in zip(counts, seconds, strict=True):
        factor, times = value / seconds[0], count / counts[0]
        console.say(f"| {count:,} | {value * 1000:.2f} | {factor:.1f} | {factor / times:.2f} |")


def draw(by_rows: list[float], by_replicas: list[float]) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), dpi=100, layout="constrained", sharey=True)
    panels = (
        (ROWS, by_rows, f"rows ({REPLICAS_OF_ROWS} replica)"),
        (REPLICAS, by_replicas, f"replicas ({ROWS_OF_REPLICAS:,} rows)"),
    )
    for axis, (counts, seconds, label) in zip(axes, panels, strict=True):
        proportional = [seconds[0] * count / counts[0] for count in counts]
        axis.loglog(counts, proportional, color="0.6", linestyle="--", label="proportional")
        axis.loglog(counts, seconds, marker="o", label="measured")
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("seconds an epoch")
    axes[0].legend()
    figure.savefig(FIGURE)


if __name__ == "__main__":
    console.run(main)
