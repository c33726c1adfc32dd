"""`vintage predict` beside pandas and a plain forward pass: rows a second and memory.

    python -m benchmarks.predict             about two minutes; leave the machine alone meanwhile

The table has 1,000,000 rows of 28 numbers and a label; the checkpoint 16 replicas of the default
network, untrained. Both read the same CSV and write CSV, each as a process of its own, which starts
Python and PyTorch as well. The rival writes 32-bit probabilities and no spread.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import ROOT, environment

ROUNDS = 3
N_ROWS = 1_000_000
N_COLUMNS = 28


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, checkpoint = folder / "table.csv", folder / "checkpoint"
        make_table(table)
        make_checkpoint(checkpoint)
        files = (str(checkpoint), str(table), str(folder / "rival.csv"))
        commands = {
            "vintage predict": (
                *("vintage", "predict", str(table), "--model", str(checkpoint)),
                *("-o", str(folder / "predictions.csv")),
            ),
            "pandas and a plain forward pass": ("benchmarks.plain_predict", *files),
        }
        rows: dict[str, list[tuple[float, float]]] = {}
        for _ in range(ROUNDS):
            for what, command in commands.items():
                rows.setdefault(what, []).append(measure(*command))
    print(f"{N_ROWS:,} rows of {N_COLUMNS} numbers, {os.cpu_count()} cores")
    print("| what | seconds | rows a second | peak memory, MB |")
    print("|---|---|---|---|")
    medians = []
    for what, runs in rows.items():
        seconds, memory = (statistics.median(values) for values in zip(*runs, strict=True))
        medians.append(seconds)
        print(f"| {what} | {seconds:.2f} | {N_ROWS / seconds:,.0f} | {memory:.0f} |")
    ours, rival = medians
    print(
        f"\nMedians of {ROUNDS} rounds, taken in turn: {rival / ours:.2f} times the rows a second."
    )


def make_table(path: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv

    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(N_COLUMNS, N_ROWS)).round(6)
    columns = {f"f{index}": column for index, column in enumerate(numbers)}
    pyarrow.csv.write_csv(pa.table({**columns, "class": (numbers[0] > 0).astype(int)}), path)


def make_checkpoint(folder: Path) -> None:
    import numpy as np

    from benchmarks.numeric import numeric_schema
    from vintage.base.params import load_params
    from vintage.network.checkpoint import Manifest, write_checkpoint
    from vintage.training.prepare import prepare

    params = load_params()
    settings = params.train.model_copy(update={"replicas": 16})
    schema = numeric_schema(N_COLUMNS, n_classes=2)
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(1000, N_COLUMNS)).astype(np.float32), rng.integers(0, 2, 1000)
    training = prepare(params.model, settings, schema, rows, (rows[0][:0], rows[1][:0]))
    layers = training.ensemble.layers
    manifest = Manifest(
        model=layers.architecture,
        recipe=training.recipe,
        seeds=layers.seeds.tolist(),
        best_epochs=[1] * layers.n_replicas,
        n_epochs=1,
        numerics="exact",
    )
    write_checkpoint(folder, training.ensemble, manifest, schema)


def measure(module: str, *arguments: str) -> tuple[float, float]:
    """Seconds and peak memory in MB of a process."""
    started = time.perf_counter()
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=environment())
    _, status, usage = os.wait4(process.pid, 0)
    if process.returncode is None:
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"error: {module} exited with {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
